#!/usr/bin/env python3
"""Readers, writers and killers on the same archive, all at once.

  campaign.py TOOL [--seconds N] [--readers N] [--writers N] [--seed N]

Readers inspect, verify and unpack without pause. Writers add and remove experts, each with names of its own; some of them are killed by SIGKILL at a
random moment. What must hold:

- A reader never fails: an expert that is never removed comes out with the digests that it went in with, and verify finds nothing
  but what a killed writer has left after the archive's end.
- A writer does what it was asked, or says that another has the lock (exit 4). What it was told is there (exit 0) is there, until it
  removes it itself.
- After a kill, the expert that was being added is there, whole, or it is not; the others are.
- In the end the archive verifies, and `doctor --clean` leaves nothing beside it.

Needs Python's standard library. Exit code 1 when anything else was found.
"""
import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, f"{os.path.dirname(HERE)}/Faults")
from campaign import safetensors  # noqa: E402


class Stress:
    def __init__(self, tool, folder, seed):
        self.tool, self.folder, self.seed = os.path.abspath(tool), folder, seed
        self.lock, self.counts, self.findings = threading.Lock(), {}, []
        self.end = 0
        safetensors(f"{folder}/base.safetensors", 7, 0)
        for number in range(3):
            safetensors(f"{folder}/{number}.safetensors", 11 + number, 0.02 + 0.01 * number)
        packed, _ = self.run("pack", "--base", "base.safetensors", "--expert", "kept=0.safetensors", "--rank", "2", "-o", "zoo.tmpack")
        if packed.returncode != 0:
            sys.exit(packed.stderr)
        self.expected = self.unpacked("reference.safetensors")

    def run(self, *arguments, killed_after=None):
        """The finished process, and whether it was killed."""
        process = subprocess.Popen([self.tool, *arguments], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env=os.environ | {"SWIFT_BACKTRACE": "enable=no"})
        try:
            out, err = process.communicate(timeout=killed_after or 120)
            killed = False
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            out, err = process.communicate()
            killed = True
            if killed_after is None:
                self.found(f"{' '.join(arguments)} does not end")
        return subprocess.CompletedProcess(arguments, process.returncode, out, err), killed

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def found(self, what):
        with self.lock:
            self.findings.append(what)
        print(what, flush=True)

    def unpacked(self, name):
        result, _ = self.run("unpack", "zoo.tmpack", "--expert", "kept", "-o", name, "--force", "-q")
        if result.returncode != 0:
            self.found(f"unpack: exit {result.returncode}: {result.stderr.strip()}")
            return None
        with open(f"{self.folder}/{name}", "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()

    def read(self, number):
        choice = random.Random(f"{self.seed} reader {number}")
        while time.monotonic() < self.end:
            kind = choice.choice(["inspect", "verify", "verify-deep", "unpack"])
            self.count(kind)
            if kind == "unpack":
                if self.unpacked(f"out-{number}.safetensors") not in (self.expected, None):
                    self.found("unpack: other numbers")
                continue
            arguments = ["inspect", "zoo.tmpack", "--json"] if kind == "inspect" else [
                "verify", "zoo.tmpack", "--json", "-q", *(["--deep"] if kind == "verify-deep" else [])]
            result, _ = self.run(*arguments)
            left = "interrupted append" in result.stdout + result.stderr and self.counts.get("kills")
            if result.returncode != 0 and not left:
                self.found(f"{kind}: exit {result.returncode}: {result.stderr.strip()[:300]} {self.faults(result.stdout)}")
            elif kind == "inspect" and "kept" not in [expert["name"] for expert in json.loads(result.stdout)["experts"]]:
                self.found("inspect: no expert 'kept'")

    def faults(self, text):
        try:
            report = json.loads(text)
        except ValueError:
            return text[:300]
        return {key: report[key] for key in ("residue", "faults", "unused") if report.get(key)}

    def write(self, number):
        choice = random.Random(f"{self.seed} writer {number}")
        own, serial = [], 0
        while time.monotonic() < self.end:
            serial += 1
            removes = own and (len(own) > 3 or choice.random() < 0.4)
            name = choice.choice(own) if removes else f"w{number}-{serial}"
            arguments = ["remove", "zoo.tmpack", name] if removes else [
                "add", "zoo.tmpack", "--expert", f"{name}={choice.choice('12')}.safetensors", "--rank", "2"]
            result, killed = self.run(*arguments, "-q", killed_after=choice.uniform(0, 0.08) if choice.random() < 0.4 else None)
            self.count("kills" if killed else arguments[0] if result.returncode == 0 else "writers that found the lock taken")
            if not killed and result.returncode not in (0, 4):
                self.found(f"{' '.join(arguments)}: exit {result.returncode}: {result.stderr.strip()[:300]}")
            if result.returncode == 4 and "process" not in result.stderr:
                self.found(f"{' '.join(arguments)}: exit 4: {result.stderr.strip()[:300]}")
            now, _ = self.run("inspect", "zoo.tmpack", "--json")
            if now.returncode != 0:
                self.found(f"inspect after a writer: exit {now.returncode}: {now.stderr.strip()[:300]}")
                continue
            names = [expert["name"] for expert in json.loads(now.stdout)["experts"]]
            if result.returncode == 0 and not killed:
                if (name in names) == bool(removes):
                    self.found(f"{' '.join(arguments)}: exit 0, and it is not done")
            if any(other not in names for other in own if other != name):
                self.found(f"lost: {[other for other in own if other not in names]}")
            own = [other for other in names if other.startswith(f"w{number}-")]

    def campaign(self, seconds, readers, writers):
        self.end = time.monotonic() + seconds
        threads = [threading.Thread(target=self.read, args=[number]) for number in range(readers)]
        threads += [threading.Thread(target=self.write, args=[number]) for number in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.run("doctor", "--clean")
        added, _ = self.run("add", "zoo.tmpack", "--expert", "last=1.safetensors", "--rank", "2", "-q")
        verified, _ = self.run("verify", "zoo.tmpack", "--deep", "-q")
        if added.returncode or verified.returncode:
            self.found(f"in the end: {added.stderr} {verified.stdout} {verified.stderr}")
        strays = [name for name in os.listdir(self.folder) if name.startswith(".")]
        if strays:
            self.found(f"left: {strays}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--readers", type=int, default=4)
    parser.add_argument("--writers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tmpack-stress-") as folder:
        stress = Stress(options.tool, os.path.realpath(folder), options.seed)
        stress.campaign(options.seconds, options.readers, options.writers)
    total = sum(stress.counts.values())
    print(f"{total:,} operations: " + ", ".join(f"{count:,} {name}" for name, count in sorted(stress.counts.items()))
          + f"; {len(stress.findings)} findings")
    sys.exit(1 if stress.findings else 0)


if __name__ == "__main__":
    main()
