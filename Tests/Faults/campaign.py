#!/usr/bin/env python3
"""Fails, shortens, interrupts or kills the tool at the k-th system call, for every command that writes and every k.

  campaign.py TOOL [--fast] [--only COMMAND] [--call CALL] [--kind KIND] [--jobs N]

What must hold, whatever happens (see Spec/threat-model.md):

- exit 0: the outputs are those of a run without a fault, byte for byte.
- exit 4: the outputs are what they were before, and nothing else lies beside them; the message names a file.
- exit 6: as exit 0, and the message says what was written.
- killed: every output is what it was or what it was to be. The same command, with --force, then gives the outputs of a run
  without a fault, and nothing else lies beside them.
- Nothing else ever happens: no other exit code, no signal of its own making.

Needs Linux, a C compiler and Python's standard library. Exit code 1 when anything else was found; each finding is printed with what
makes it again.
"""
import argparse
import concurrent.futures
import errno
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CALLS = {
    # Kinds: a number of errno, or what the shim has a word for.
    "open": [errno.EIO, errno.EMFILE, errno.EINTR, "kill"],
    "read": [errno.EIO, errno.EINTR, "short", "kill"],
    "write": [errno.ENOSPC, errno.EIO, errno.EINTR, "short", "kill", "killed"],
    "sync": [errno.EIO, errno.EINTR, "kill", "killed"],
    "rename": [errno.EIO, "kill", "killed"],
    "link": [errno.EIO, "kill", "killed"],
    "unlink": [errno.EIO, "kill", "killed"],
    "truncate": [errno.EIO, errno.EINTR, "kill", "killed"],
    "map": [errno.ENOMEM, "cut"],
    "close": [errno.EIO, errno.EINTR, "kill"],
    "lock": [errno.EINTR, "kill"],
    "stat": [errno.EIO],
    "mkdir": [errno.EIO, "kill", "killed"],
}
# In each command of a fast run; the rest takes minutes.
FAST = {"write": [errno.ENOSPC, "kill"], "sync": [errno.EIO], "rename": [errno.EIO, "killed"], "open": [errno.EMFILE],
        "read": [errno.EINTR]}

TEMPORARY = re.compile(r"\..*\.[0-9a-z]{13}-tmpack\.(tmp|old)(/|$)")
EMBEDDED = ["--rank", "2"]
# Arguments, and what the command makes or changes. {} is the folder.
COMMANDS = {
    "pack": (["pack", "--base", "base", "--expert", "a=a", "--expert", "b=b.safetensors", *EMBEDDED, "-o", "new.tmpack"],
             ["new.tmpack"]),
    "pack-force": (["pack", "--base", "base", "--expert", "a=a", *EMBEDDED, "-o", "zoo.tmpack", "--force"], ["zoo.tmpack"]),
    "pack-budget": (["pack", "--base", "base", "--expert", "a=a", "--budget-per-expert", "2kB", "-o", "new.tmpack"],
                    ["new.tmpack"]),
    "pack-shared-out": (["pack", "--base", "base", "--expert", "a=a", *EMBEDDED, "--detached", "--shared-out", "s", "-o",
                         "new.tmpack"], ["new.tmpack", "s"]),
    "pack-shared-file": (["pack", "--base", "base", "--expert", "a=a", *EMBEDDED, "--detached", "--shared-out",
                          "s.safetensors", "-o", "new.tmpack"], ["new.tmpack", "s.safetensors"]),
    "add": (["add", "zoo.tmpack", "--expert", "c=b.safetensors", *EMBEDDED], ["zoo.tmpack"]),
    "remove": (["remove", "zoo.tmpack", "b"], ["zoo.tmpack"]),
    "remove-elsewhere": (["remove", "zoo.tmpack", "b", "-o", "less.tmpack"], ["less.tmpack"]),
    "unpack-file": (["unpack", "zoo.tmpack", "--expert", "a", "-o", "x.safetensors"], ["x.safetensors"]),
    "unpack-folder": (["unpack", "zoo.tmpack", "--expert", "a", "-o", "x"], ["x"]),
    "unpack-force": (["unpack", "zoo.tmpack", "--expert", "a", "-o", "old", "--force"], ["old"]),
    "unpack-receipt": (["unpack", "zoo.tmpack", "--weights", "a=0.5,b=0.5", "-o", "x", "--receipt", "mix.json"],
                       ["x", "mix.json"]),
    "merge": (["merge", "ties", "--base", "base", "--expert", "a=a", "--expert", "b=b.safetensors", "-o", "m"], ["m"]),
    "convert": (["convert", "a", "a.npz"], ["a.npz"]),
    "convert-torch": (["convert", "b.safetensors", "b.bin"], ["b.bin"]),
    "convert-gguf": (["convert", "b.safetensors", "b.gguf"], ["b.gguf"]),
    "export": (["export", "--peft", "zoo.tmpack#a", "-o", "lora"], ["lora"]),
    "export-shared-out": (["export", "--peft", "zoo.tmpack#a", "-o", "lora", "--shared-out", "s"], ["lora", "s"]),
    "strip": (["strip", "zoo.tmpack", "--exact", "-o", "stripped.tmpack"], ["stripped.tmpack"]),
    "repair": (["repair", "zoo.tmpack", "-o", "repaired.tmpack"], ["repaired.tmpack"]),
}


def safetensors(path, seed, scale, shape=(16, 24)):
    """A small model: three matrices, a vector and integers, from a linear congruential generator."""
    state = seed
    def numbers(count, reference):
        nonlocal state
        base = 12345 if reference else state
        values = []
        for i in range(count):
            base = (base * 1103515245 + 12345) & 0x7FFFFFFF
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF
            values.append(base / 0x7FFFFFFF - 0.5 + scale * (state / 0x7FFFFFFF - 0.5))
        return struct.pack(f"<{count}f", *values)
    header, data = {}, b""
    for name, dims in [("layer.0.weight", shape), ("layer.1.weight", shape), ("layer.2.weight", (40, 40)), ("norm.weight", (24,))]:
        count = 1
        for dim in dims:
            count *= dim
        raw = numbers(count, True)
        header[name] = {"dtype": "F32", "shape": list(dims), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def make_template(tool, folder):
    """The inputs of all commands."""
    for number, name in enumerate(["base", "a", "old"]):
        os.mkdir(f"{folder}/{name}")
        safetensors(f"{folder}/{name}/model.safetensors", 7 + number, 0.02 * number)
        with open(f"{folder}/{name}/config.json", "w") as file:
            json.dump({"model_type": "bert", "architectures": ["BertModel"]}, file)
    safetensors(f"{folder}/b.safetensors", 99, 0.03)
    subprocess.run([tool, "pack", "--base", "base", "--expert", "a=a", "--expert", "b=b.safetensors", *EMBEDDED, "-o",
                    "zoo.tmpack"], cwd=folder, check=True, capture_output=True)


def snapshot(folder):
    """Content of every file below a folder, by path; None for folders."""
    content = {}
    for place, folders, files in os.walk(folder):
        for name in folders:
            content[os.path.relpath(os.path.join(place, name), folder)] = None
        for name in files:
            with open(os.path.join(place, name), "rb") as file:
                content[os.path.relpath(os.path.join(place, name), folder)] = file.read()
    return content


def differences(actual, expected):
    names = sorted(set(actual) | set(expected))
    return [f"{name} ({'missing' if name not in actual else 'stray' if name not in expected else 'different'})"
            for name in names if actual.get(name, 0) != expected.get(name, 0)]


class Campaign:
    def __init__(self, tool, work):
        self.tool, self.work = os.path.abspath(tool), work
        self.shim = f"{work}/shim.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", self.shim, f"{HERE}/shim.c", "-ldl"], check=True)
        self.template = f"{work}/template"
        os.mkdir(self.template)
        make_template(self.tool, self.template)
        self.expected, self.counts = {}, {}

    def run(self, folder, arguments, **fault):
        environment = dict(os.environ)
        environment.pop("TMPDIR", None)
        log = f"{folder}.log"
        if fault:
            environment.update({"LD_PRELOAD": self.shim, "FAULT_ROOT": folder, "FAULT_LOG": log, "SWIFT_BACKTRACE": "enable=no"})
            environment.update({f"FAULT_{key.upper()}": str(value) for key, value in fault.items()})
        result = subprocess.run([self.tool, *arguments], cwd=folder, env=environment, capture_output=True, text=True,
                                timeout=120, errors="replace")
        counts = {}
        if fault and os.path.exists(log):
            with open(log) as file:
                counts = {line.split()[0]: int((line.split() + ["1"])[1]) for line in file}
            os.remove(log)
        return result, counts

    def fresh(self):
        folder = tempfile.mkdtemp(dir=self.work)
        shutil.copytree(self.template, folder, dirs_exist_ok=True)
        return folder

    def reference(self, name):
        """What a command makes without a fault, and how many calls of each kind it needs."""
        arguments, _ = COMMANDS[name]
        folder = self.fresh()
        result, counts = self.run(folder, arguments, call="open", at=0)
        if result.returncode != 0:
            sys.exit(f"{name} fails without a fault: {result.stderr}")
        self.expected[name], self.counts[name] = snapshot(folder), counts
        shutil.rmtree(folder)

    def check(self, name, call, at, kind):
        """Findings of one run with a fault."""
        arguments, outputs = COMMANDS[name]
        folder = self.fresh()
        before, expected = snapshot(folder), self.expected[name]
        try:
            result, log = self.run(folder, arguments, call=call, at=at, kind=kind)
        except subprocess.TimeoutExpired:
            return [f"does not end"]
        after, findings = snapshot(folder), []
        if kind == "cut":
            # What was changed is an input, or an output that was read again.
            changed = [key for state in (before, expected) for key, value in state.items()
                       if value is not None and after.get(key) == value[:4096] != value]
            before = {k: v for k, v in before.items() if k not in changed}
            after = {k: v for k, v in after.items() if k not in changed}
            expected = {k: v for k, v in expected.items() if k not in changed}
        if call == "unlink" and kind not in ("kill", "killed"):
            # What cannot be removed stays, under a name that the next run knows.
            after = {k: v for k, v in after.items() if not TEMPORARY.match(k)}
        talk = result.stderr
        if result.returncode in (0, 6):
            if wrong := differences(after, expected):
                findings.append(f"exit {result.returncode}, but {', '.join(wrong)}")
            if result.returncode == 6 and "was written" not in talk:
                findings.append(f"exit 6 says nothing of what was written: {talk.strip()}")
        elif result.returncode == 4:
            if wrong := differences(after, before):
                findings.append(f"exit 4, but {', '.join(wrong)}: {talk.strip()}")
            if not any(part in talk for part in list(before) + outputs):
                findings.append(f"names no file: {talk.strip()}")
        elif result.returncode == -9 and kind in ("kill", "killed"):
            for output in outputs:
                def part(state):
                    return {k: v for k, v in state.items() if k == output or k.startswith(output + "/")}
                # An archive that was being appended to may be followed by bytes that a reader passes over.
                now, old = part(after), part(before)
                isAppended = name == "add" and after[output][8192:].startswith(before[output][8192:])
                if now not in (old, part(expected)) and not isAppended:
                    findings.append(f"killed, and {output} is neither old nor new")
            again = list(arguments)
            if name != "add" and "--force" not in again and any(output in after for output in outputs):
                again.append("--force")
            if name == "add":
                inspected = subprocess.run([self.tool, "inspect", "zoo.tmpack", "--json"], cwd=folder, capture_output=True, text=True)
                if inspected.returncode != 0:
                    findings.append(f"killed, and the archive cannot be read: {inspected.stderr.strip()}")
                elif any(expert["name"] == "c" for expert in json.loads(inspected.stdout)["experts"]):
                    again = None
            if name == "remove" and after["zoo.tmpack"] == expected["zoo.tmpack"]:
                again = None
            if again:
                second, _ = self.run(folder, again)
                if second.returncode != 0:
                    findings.append(f"killed, and the next run says: {second.stderr.strip()}")
            if wrong := differences(snapshot(folder), expected):
                if again or not all("stray" in text for text in wrong):
                    findings.append(f"after the next run: {', '.join(wrong)}")
        elif kind == "cut" and result.returncode == 2 and any(key in talk for key in changed):
            pass  # It was opened again, and then it is a file that is cut off.
        else:
            findings.append(f"exit {result.returncode}: {talk.strip()[:300]}")
        shutil.rmtree(folder, ignore_errors=True)
        return findings


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool")
    parser.add_argument("--fast", action="store_true", help="a part of the kinds, in less than a minute")
    parser.add_argument("--only", choices=COMMANDS, action="append")
    parser.add_argument("--without", choices=COMMANDS, action="append", default=[])
    parser.add_argument("--call", choices=CALLS)
    parser.add_argument("--kind")
    parser.add_argument("--at", type=int)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    chosen = [name for name in options.only or COMMANDS if name not in options.without]
    with tempfile.TemporaryDirectory(prefix="tmpack-faults-") as work:
        campaign = Campaign(options.tool, os.path.realpath(work))
        total, failures = 0, 0
        for name in chosen:
            runs = []
            campaign.reference(name)
            for call, kinds in (FAST if options.fast else CALLS).items():
                if options.call and call != options.call:
                    continue
                for kind in kinds:
                    if options.kind and str(kind) != options.kind:
                        continue
                    count = campaign.counts[name].get(call, 0)
                    # Of very many calls of one kind, those at the beginning, the end and some between.
                    step = max(1, count // (6 if options.fast else 60))
                    places = sorted(set(range(1, count + 1, step)) | set(range(max(1, count - 4), count + 1)))
                    runs += [(name, call, at, kind) for at in places if options.at in (None, at)]
            found = 0
            with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
                for run, findings in zip(runs, pool.map(lambda run: campaign.check(*run), runs)):
                    for finding in findings:
                        found += 1
                        name, call, at, kind = run
                        print(f"--only {name} --call {call} --at {at} --kind {kind}: {finding}", flush=True)
            print(f"{name}: {len(runs):,} faults, {found} findings", flush=True)
            total, failures = total + len(runs), failures + found
        print(f"{total:,} faults in {len(chosen)} commands, {failures} findings")
        sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
