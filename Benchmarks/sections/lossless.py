#!/usr/bin/env python3
"""Lossless packing against its peers, as Markdown tables: every family there is, and synthetic pairs in BF16.

    Benchmarks/sections/lossless.py [--work FOLDER] [--level 19]

All times are CPU time of one thread. XOR + byte planes + zstd is measured on the tensors that changed; ZipNN (pip install zipnn), if
it is there, on the base's own tensors. Encoding and decoding are the functions alone, in memory; `pack` and `unpack` whole commands
with their digests and files.
"""
import argparse, json, pathlib, sys, tempfile
import numpy as np

import paths  # noqa: F401, before what it makes findable
from measure import DATA, TOOL, minilm, run, table, tool
import tensors, xor_zstd, zipnn_size

KERNELS = TOOL.parent / "lossless-benchmark"


def rounded(folder, path):
    """A copy of a checkpoint with its F32 tensors in BF16."""
    target = folder / f"{path.parent.name}-{path.stem}-bf16.safetensors"
    tensors.write(target, {n: ("BF16", s, tensors.to_bf16(x)) for n, (d, s, x) in tensors.read(path).items() if d == "F32"})
    return target


def synthetic(folder, change):
    """Normal weights in BF16, and the same with a relative change, rounded again."""
    random = np.random.default_rng(1)
    weights = tensors.to_bf16((random.standard_normal(1 << 22) * 0.02).astype("<f4").view("<u4"))
    moved = (weights.astype("<u4") << 16).view("<f4") + (random.standard_normal(1 << 22) * 0.02 * change).astype("<f4")
    for name, lanes in ("base", weights), (f"change-{change}", tensors.to_bf16(moved.astype("<f4").view("<u4"))):
        tensors.write(folder / f"synthetic-{name}.safetensors", {"w": ("BF16", [2048, 2048], lanes)})
    return folder / "synthetic-base.safetensors", folder / f"synthetic-change-{change}.safetensors"


def families(folder):
    def of(name, *experts):
        return DATA / name / "base.safetensors", [DATA / name / f"{e}.safetensors" for e in experts]
    found = minilm(folder / "minilm")
    if found:
        base = found / "base/model.safetensors"
        for name in "npm", "sre":
            expert = found / name / "model.safetensors"
            yield f"MiniLM {name}, F32", base, [expert]
            yield f"MiniLM {name}, BF16", rounded(folder, base), [rounded(folder, expert)]
    yield "glyphive-ocr, F32", *of("glyphive-ocr", "courier", "dejavu", "libmono", "ocrb")
    mhc = sorted(p.stem for p in (DATA / "mhcnuggets").glob("*.safetensors") if p.stem != "base")
    yield "mhcnuggets, F32", *of("mhcnuggets", *mhc)
    yield "testbed, F32", *of("testbed", "syllables", "cities", "gloss", "langid")
    for change in 0.1, 0.015:
        base, expert = synthetic(folder, change)
        yield f"synthetic {change}, BF16", base, [expert]


def rate(size, seconds):
    return f"{size / seconds / 1e6:.0f}" if seconds > 0 else "–"


def percent(ours, peer):
    return f"{100 * (ours / peer - 1):+.1f} %"


class Family:
    """One family, packed and measured."""

    def __init__(self, folder, name, base, experts, level):
        self.name, self.base, archive = name, base, folder / "lossless.tmpack"
        named = [x for i, e in enumerate(experts) for x in ("--expert", f"e{i}={e}")]
        report, pack = tool("pack", "--force", "--shared", "base", "--lossless", "--base", base, *named, "-o", archive, "--threads", 1)
        _, unpack = tool("unpack", archive, "--expert", "e0", "--force", "-o", folder / "unpacked.safetensors", "--threads", 1)
        run(TOOL, "verify", "--deep", archive)
        run(TOOL, "compare", "--require-equal", experts[0], folder / "unpacked.safetensors")
        self.pack = rate(sum(e.stat().st_size for e in [base, *experts]), pack.cpu)
        self.unpack = rate(experts[0].stat().st_size, unpack.cpu)
        self.own = sum(e["bytes"] for e in report["experts"])
        before = tensors.read(base)
        self.peer = xor_zstd.Peer(level)
        for expert in experts:
            self.peer.add(tensors.changed(before, tensors.read(expert)))
        self.width = next(x[2].itemsize for x in before.values() if x[0] in ("F32", "BF16"))
        self.costs = json.loads(run(KERNELS, archive, "e0")[0])

    def difference(self):
        """Against XOR + byte planes + zstd."""
        lanes = self.peer.given / self.width
        cost, peer = self.costs["difference"], self.peer
        return (self.name, f"{peer.given / 1e6:.2f}", f"{8 * peer.taken / lanes:.3f}", f"{8 * self.own / lanes:.3f}",
                percent(self.own, peer.taken), rate(peer.given, peer.encoding), rate(cost["raw"], cost["encode_s"]),
                rate(peer.given, peer.decoding), rate(cost["raw"], cost["decode_s"]), self.pack, self.unpack)

    def alone(self):
        """The shared model, without a reference, against ZipNN."""
        cost, peer = self.costs["alone"], zipnn_size.alone(tensors.read(self.base))
        if not peer:
            return self.name, f"{cost['raw'] / 1e6:.2f}", "–", f"{100 * cost['stored'] / cost['raw']:.2f}", "–", "–", \
                rate(cost["raw"], cost["encode_s"]), "–", rate(cost["raw"], cost["decode_s"])
        ours, theirs = cost["stored"] / cost["raw"], peer["stored"] / peer["raw"]
        return (self.name, f"{cost['raw'] / 1e6:.2f}", f"{100 * theirs:.2f}", f"{100 * ours:.2f}", percent(ours, theirs),
                rate(peer["raw"], peer["encode_s"]), rate(cost["raw"], cost["encode_s"]),
                rate(peer["raw"], peer["decode_s"]), rate(cost["raw"], cost["decode_s"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=pathlib.Path)
    parser.add_argument("--level", type=int, default=19)
    options = parser.parse_args()
    differences, alone = [], {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.work or pathlib.Path(temporary)
        for family in families(folder):
            measured = Family(folder, *family, options.level)
            differences.append(measured.difference())
            if measured.base not in alone:
                alone[measured.base] = measured.alone()
            print(measured.name, file=sys.stderr)
    peer = f"XOR + planes + zstd-{options.level}"
    print("MB/s are of raw bytes and one thread's CPU time; *bits* are of a weight, archive overhead included.\n")
    print(table(("family", "changed, MB", f"{peer}, bits", "tmpack, bits", "against it", "its encoding", "encoding, MB/s", "its decoding",
                 "decoding, MB/s", "`pack`, MB/s", "`unpack`, MB/s"), differences))
    print("\nThe shared model, which has no reference, against ZipNN; sizes in per cent of the raw ones.\n")
    print(table(("family", "MB", "ZipNN, %", "tmpack, %", "against it", "its encoding", "encoding, MB/s", "its decoding", "decoding, MB/s"),
                alone.values()))


if __name__ == "__main__":
    main()
