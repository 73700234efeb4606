#!/usr/bin/env python3
"""Random models are packed with random options; what the tool and the second reader make of the archives is compared, and of archives that
were changed.

  campaign.py TOOL [--seed N] [--count N] [--mutations N]

For each archive: both verify it; for three mixes, in the models' dtypes and in others, and for the expert to the bit where that
is possible, all tensors have the same digests. For each change of it, a byte or a value of a manifest under digests that are right: both accept
or both refuse. A disagreement is printed with the seed that makes it again, and its archive is kept. Needs numpy and zstandard.
"""
import argparse
import contextlib
import hashlib
import io
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile

import numpy as np
import zstandard

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, f"{ROOT}/Spec/reader")
import tmpack_reader as reader  # noqa: E402

FLOATS = {"F32": np.float32, "F64": np.float64, "F16": np.float16, "BF16": np.uint16}
WHOLE = {"I64": np.int64, "U8": np.uint8, "I32": np.int32, "BOOL": np.uint8}


def write(path, tensors):
    header, data = {}, b""
    for name, (dtype, array) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def rounded(values, dtype):
    """An array as safetensors has it."""
    if dtype == "BF16":
        return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return values.astype(FLOATS[dtype])


def random_models(choice, numbers, folder, count):
    """A base and so many experts, of tensors of all kinds."""
    models = [{} for _ in range(count + 1)]
    for index in range(choice.randint(2, 6)):
        name = choice.choice(["layers.{}.weight", "model.layers.{}.proj", "b{}", "é{}"]).format(index)
        rank = choice.choice([1, 2, 2, 2, 3, 4])
        shape = [choice.randint(1, 24) for _ in range(rank)]
        if choice.random() < 0.2:
            dtype = choice.choice(list(WHOLE))
            base = numbers.integers(0, 2, shape).astype(WHOLE[dtype])
            for model in models:
                other = numbers.integers(0, 2, shape).astype(WHOLE[dtype]) if choice.random() < 0.5 else base
                model[name] = (dtype, other)
            continue
        dtype = choice.choice(list(FLOATS))
        base = numbers.standard_normal(shape) * 10.0 ** choice.randint(-3, 3)
        models[0][name] = (dtype, rounded(base, dtype))
        for model in models[1:]:
            kind = choice.random()
            if kind < 0.1:
                continue  # absent
            if kind < 0.25:
                model[name] = (dtype, rounded(base, dtype))
                continue
            thin = numbers.standard_normal(shape) * (numbers.random(shape) < choice.choice([0.05, 0.5, 1]))
            model[name] = (dtype, rounded(base + thin * np.abs(base).mean() * choice.choice([1e-3, 0.1, 1]), dtype))
    for model in models[1:]:
        if choice.random() < 0.2:
            model["extra.weight"] = ("F32", numbers.standard_normal((3, 5)).astype(np.float32))
    for number, model in enumerate(models):
        write(f"{folder}/{number}.safetensors", model)


def random_options(choice, lossless=False):
    kind = choice.choice([["--rank", str(choice.randint(1, 9))], ["--rank-ratio", "0.4"], ["--density", "0.3"], ["--ternary", "0.2"],
                          ["--signs"], ["--quality", choice.choice(["low", "medium", "high", "near-lossless"])], ["--error", "0.5"],
                          ["--error", "0.5", "--codec", choice.choice(["low-rank", "entrywise", "layered"])], ["--lossless"],
                          ["--rank", "2", "--override", "*=stack"], ["--override", "*=dense"], ["--tall-masks", "--shared", "base"]])
    options = list(kind)
    if kind[0] in ("--rank", "--rank-ratio", "--density"):
        options += ["--factor-dtype", choice.choice(["f32", "bf16", "f16", "int8", "int4"])]
    if kind[0] not in ("--lossless", "--tall-masks") and choice.random() < 0.3:
        options += ["--exact"]
    if "--shared" not in options:
        options += choice.choice([[], ["--shared", "base"], ["--shared", "average"], ["--shared", "ties"]])
    if choice.random() < 0.2:
        options += ["--exclude", "*1*"]
    if choice.random() < 0.2 and options.count("base"):
        options += ["--detached"]
    return options + choice.choice([[], ["--level", "1"], ["--level", "12"]])


def changed(value, choice):
    """The value with one random change somewhere in it."""
    if isinstance(value, dict) and value and choice.random() < 0.9:
        value = dict(value)
        name = choice.choice(list(value))
        if choice.random() < 0.1:
            del value[name]
        else:
            value[name] = changed(value[name], choice)
        return value
    if isinstance(value, list) and value and choice.random() < 0.9:
        value = list(value)
        place = choice.randrange(len(value))
        kind = choice.randrange(6)
        if kind == 0:
            del value[place]
        elif kind == 1:
            value.append(value[place])
        elif kind == 2:
            value.reverse()
        else:
            value[place] = changed(value[place], choice)
        return value
    if isinstance(value, bool) or value is None:
        return 0
    if isinstance(value, int):
        return choice.choice([0, 1, 2, value + 1, max(0, value - 1), 2 * value, 1 << 31, (1 << 53) - 1])
    if isinstance(value, str):
        return choice.choice(["", value + "0", value[:-1], "low-rank", "dense", "F32", "I4", "1", "0.5", "é"])
    return choice.choice([0, "x", [], {}])


def resealed(file, choice):
    """The archive with one value of a JSON text changed, and all places, sizes and digests made anew."""
    index = reader.Index(file)
    ref = index.slot["index"]
    value = json.loads(reader.zstd_frame(file[ref["offset"]:ref["offset"] + ref["stored"]], ref["raw"], ""))
    owners = [value["shared"], *value["experts"]] + ([value["extensions"]["router"]] if index.router else [])
    target = choice.randrange(len(owners) + 1)
    out = bytearray(8192)

    def put(bytes, alignment=1):
        out.extend(b"\0" * (-len(out) % alignment))
        out.extend(bytes)
        return len(out) - len(bytes)

    for number, owner in enumerate(owners):
        section = owner["section"]
        data = index.extent(section, "", "")
        size, count = struct.unpack_from("<II", data)
        manifest, start = json.loads(data[8:8 + size]), (8 + size + 7) // 8 * 8
        if number == target:
            manifest = changed(manifest, choice)
        text = json.dumps(manifest, ensure_ascii=False, separators=(",", ":")).encode()
        raw = struct.pack("<II", len(text), count) + text + b"\0" * (-(8 + len(text)) % 8)
        known = {}
        for record in struct.iter_unpack("<QIIBBB5s32s", data[start:]):
            offset, stored = record[:2]
            if (offset, stored) not in known:
                known[offset, stored] = put(file[offset:offset + stored], 64 if record[3] == 0 else 1)
            raw += struct.pack("<QIIBBB5s32s", known[offset, stored], *record[1:])
        packed = zstandard.ZstdCompressor(write_checksum=True).compress(raw)
        if "summary" in owner:  # TMP-4-10
            owner["summary"]["bytes"] += len(packed) - section["stored"]
        owner["section"] = {"digest": hashlib.sha256(packed).hexdigest(), "offset": put(packed), "raw": len(raw), "stored": len(packed)}
    if target == len(owners):
        value = changed(value, choice)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    packed = zstandard.ZstdCompressor(write_checksum=True).compress(text)
    offset = put(packed)
    head = struct.pack("<8sHHIQQQQQQ32s", reader.MAGIC, 1, 0, 0, 1, len(out), offset, len(packed), len(text), 0,
                       hashlib.sha256(packed).digest())
    out[:128] = head + hashlib.sha256(head).digest()
    return bytes(out)


def flipped(file, choice):
    file = bytearray(file)
    for _ in range(choice.randint(1, 3)):
        file[choice.randrange(len(file))] ^= 1 << choice.randrange(8)
    return bytes(file if choice.random() < 0.8 else file[:choice.randrange(len(file))])


class TooSlow(Exception):
    pass


def second_reader(archive, command, *options):
    """What it prints, or None where it refuses."""
    out = io.StringIO()
    out.reconfigure = lambda **_: None
    sys.argv = ["tmpack_reader", archive, command, *options]

    def late(*_):
        raise TooSlow

    signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            reader.main()
        except SystemExit as stop:
            code = stop.code or 0
        except MemoryError:
            code = 2
        finally:
            signal.alarm(0)
    return None if code else out.getvalue().splitlines()


class Campaign:
    def __init__(self, tool, work, seed, mutations):
        self.tool, self.work, self.seed, self.mutations = os.path.abspath(tool), work, seed, mutations
        self.counts = {"archives": 0, "refused options": 0, "mixes": 0, "tensors": 0, "changes": 0, "accepted changes": 0, "too slow": 0}
        self.findings = 0

    def run(self, *arguments):
        return subprocess.run([self.tool, *arguments], cwd=self.work, capture_output=True, text=True, errors="replace",
                              env=os.environ | {"SWIFT_BACKTRACE": "enable=no"})

    def found(self, round, what):
        self.findings += 1
        kept = f"differential-{self.seed}-{round}-{self.findings}.tmpack"
        shutil.copy(f"{self.work}/x.tmpack", kept)
        print(f"--seed {self.seed}, round {round}: {what}; kept as {kept}", flush=True)

    def round(self, number):
        choice, numbers = random.Random(f"{self.seed} {number}"), np.random.default_rng([self.seed, number])
        for name in os.listdir(self.work):
            os.remove(f"{self.work}/{name}")
        count = choice.randint(1, 3)
        random_models(choice, numbers, self.work, count)
        experts = [part for each in range(count) for part in ("--expert", f"e{each}={each + 1}.safetensors")]
        options = random_options(choice)
        packed = self.run("pack", "--base", "0.safetensors", *experts, *options, "-o", "x.tmpack", "-q", "--json")
        if packed.returncode == 1:
            self.counts["refused options"] += 1  # such as experts that have nothing in common with the base
            return
        if packed.returncode != 0:
            shutil.copy(f"{self.work}/0.safetensors", f"{self.work}/x.tmpack")
            return self.found(number, f"pack {' '.join(options)}: exit {packed.returncode}: {packed.stderr[:300]}")
        self.counts["archives"] += 1
        base = ["--shared-from", f"{self.work}/0.safetensors"] if "--detached" in options else []
        self.compare_verdicts(number, base, isChanged=False)
        self.compare_mixes(number, choice, count, base, options)
        with open(f"{self.work}/x.tmpack", "rb") as file:
            bytes = file.read()
        for _ in range(self.mutations):
            other = resealed(bytes, choice) if choice.random() < 0.7 else flipped(bytes, choice)
            with open(f"{self.work}/x.tmpack", "wb") as file:
                file.write(other)
            self.compare_verdicts(number, base, isChanged=True)

    def compare_verdicts(self, number, base, isChanged):
        ours = self.run("verify", "x.tmpack", "--deep", "-q", "--json", *base)
        try:
            theirs = second_reader(f"{self.work}/x.tmpack", "verify", *base)
        except TooSlow:
            self.counts["too slow"] += 1
            return
        self.counts["changes"] += isChanged
        self.counts["accepted changes"] += isChanged and theirs is not None
        if ours.returncode not in (0, 1, 2, 3, 5):
            self.found(number, f"verify: exit {ours.returncode}: {ours.stderr[:300]}")
        elif (ours.returncode == 0) != (theirs is not None):
            self.found(number, f"the tool {'refuses' if theirs is not None else 'accepts'} what the second reader does not: "
                               f"{ours.stderr.strip()[:200] or ours.stdout[:200]}")
        elif not isChanged and theirs is None:
            self.found(number, "both refuse what was packed")

    def compare_mixes(self, number, choice, count, base, options):
        mixes = [("", None)] + [(",".join(f"e{each}={choice.choice(['1', '0.5', '-0.25', '0.3'])}" for each in range(count)),
                                 choice.choice([None, None, "F32", "F16", "BF16", "F64"])) for _ in range(2)]
        jobs = [([*(["--weights", weights] if weights else ["--shared"]), *(["--dtype", dtype.lower()] if dtype else [])],
                 [*(["--weights=" + weights] if weights else []), *(["--dtype", dtype] if dtype else [])]) for weights, dtype in mixes]
        if "--exact" in options or "--lossless" in options:
            jobs.append((["--expert", "e0", "--exact"], ["--weights=e0=1", "--exact"]))
        for own, other in jobs:
            out = f"{self.work}/m.safetensors"
            ours = self.run("unpack", "x.tmpack", *own, *base, "-o", out, "--force", "-q", "--json")
            theirs = second_reader(f"{self.work}/x.tmpack", "unpack", *other, *base)
            self.counts["mixes"] += 1
            if ours.returncode != 0:
                if theirs is not None:
                    self.found(number, f"unpack {' '.join(own)}: exit {ours.returncode}: {ours.stderr[:300]}")
                continue
            made = {name: (dtype, shape, hashlib.sha256(data).hexdigest()) for name, (dtype, shape, data) in
                    reader.read_safetensors(out).items()}
            expected = {}
            for line in theirs or []:
                name, dtype, shape, digest = line.rsplit(" ", 3)
                expected[name] = (dtype, json.loads(shape), digest)
            self.counts["tensors"] += len(made)
            if made != expected:
                self.found(number, f"unpack {' '.join(own)}: other tensors: "
                                   f"{sorted(name for name in made.keys() | expected.keys() if made.get(name) != expected.get(name))}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=200, help="archives")
    parser.add_argument("--mutations", type=int, default=20, help="changes of each")
    parser.add_argument("--only", type=int, help="one round")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tmpack-differential-") as work:
        campaign = Campaign(options.tool, os.path.realpath(work), options.seed, options.mutations)
        for number in range(options.count) if options.only is None else [options.only]:
            campaign.round(number)
    print(", ".join(f"{count:,} {name}" for name, count in campaign.counts.items()) + f"; {campaign.findings} findings")
    sys.exit(1 if campaign.findings else 0)


if __name__ == "__main__":
    main()
