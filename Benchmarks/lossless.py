#!/usr/bin/env python3
"""Lossless packing against its peers, as a Markdown table: `pack --shared base --lossless` on every family there is.

    Benchmarks/lossless.py [--work FOLDER] [--level 19]

Sizes are of the expert's part of the archive; XOR + byte planes + zstd-19 is measured on the tensors that changed.
"""
import argparse, json, pathlib, sys, tempfile
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "peers"))
from measure import DATA, machine, minilm, run, tool, TOOL  # noqa: E402
import tensors, xor_zstd  # noqa: E402


def rounded(folder, path):
    """A copy of a checkpoint with its F32 tensors in BF16."""
    target = folder / f"{path.parent.name}-{path.stem}-bf16.safetensors"
    tensors.write(target, {n: ("BF16", s, tensors.to_bf16(x)) for n, (d, s, x) in tensors.read(path).items() if d == "F32"})
    return target


def synthetic(folder, change):
    """DESIGN §7: normal weights in BF16, and the same with a relative change, rounded again."""
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


def measure(folder, name, base, experts, level):
    archive = folder / "lossless.tmpack"
    named = [x for i, e in enumerate(experts) for x in ("--expert", f"e{i}={e}")]
    report, cost = tool("pack", "--force", "--shared", "base", "--lossless", "--base", base, *named, "-o", archive, "--threads", 1)
    own = sum(e["bytes"] for e in report["experts"])
    before = tensors.read(base)
    given = taken = 0
    for expert in experts:
        g, t = xor_zstd.size(tensors.changed(before, tensors.read(expert)), level)
        given, taken = given + g, taken + t
    lanes = given / next(x[2].itemsize for x in before.values() if x[0] in ("F32", "BF16"))
    run(TOOL, "verify", "--deep", archive)
    print(f"| {name} | {given / 1e6:.2f} | {8 * taken / lanes:.3f} | {8 * own / lanes:.3f} | {100 * (own / taken - 1):+.1f} % "
          f"| {sum(e.stat().st_size for e in experts) / cost.cpu / 1e6:.0f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=pathlib.Path)
    parser.add_argument("--level", type=int, default=19)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.work or pathlib.Path(temporary)
        print(machine() + "\n")
        print(f"| family | changed, MB | XOR + planes + zstd-{options.level}, bits | tmpack, bits | against it | pack, MB/s CPU |")
        print("|---|---|---|---|---|---|")
        for family in families(folder):
            measure(folder, *family, options.level)


if __name__ == "__main__":
    main()
