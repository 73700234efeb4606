#!/usr/bin/env python3
"""Ways to store a frame's bytes, and ways to store a matrix with an error: bits a weight, and the speed of one thread, as Markdown tables.

    Benchmarks/sections/codecs.py [--pieces 16] [--matrices 12]

Beside what `pack` chooses: its filters one at a time, zstd as it is, and ZipNN (pip install zipnn), if it is there, all on the same bytes.
"""
import argparse, json, pathlib, sys, tempfile
import numpy as np

import paths  # noqa: F401, before what it makes findable
from lossless import rounded
from measure import DATA, TOOL, minilm, run, table
import zipnn_size

BENCHMARK = TOOL.parent / "codec-benchmark"


def pairs(folder):
    """(name, base, expert) with tensors of more than a frame."""
    found = minilm(folder / "minilm")
    if found:
        base, expert = found / "base/model.safetensors", found / "sre/model.safetensors"
        yield "MiniLM sre, F32", base, expert
        yield "MiniLM sre, BF16", rounded(folder, base), rounded(folder, expert)
    if (DATA / "testbed").is_dir():
        yield "testbed cities, F32", DATA / "testbed/base.safetensors", DATA / "testbed/cities.safetensors"


def zipnn(folder, dtype, alone):
    """ZipNN on the pieces that the benchmark left in the folder, one at a time; None without it."""
    width = {"F32": 4, "BF16": 2}[dtype]
    base, expert = (np.fromfile(folder / name, f"<u{width}") for name in ("base", "expert"))
    lanes = base if alone else base ^ expert
    pieces = np.split(lanes, lanes.nbytes >> 20)
    cost = zipnn_size.alone({n: (dtype, piece.shape, piece) for n, piece in enumerate(pieces)})
    return cost and {"name": "ZipNN" if alone else "XOR, ZipNN", **cost}


def speed(size, seconds):
    return f"{size / seconds / 1e6:.0f}"


def frames(name, base, expert, pieces):
    """Two lists of rows: of the base by itself, and of the expert against it."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        found = json.loads(run(BENCHMARK, "frames", base, expert, pieces, folder)[0])
        width = {"F32": 4, "BF16": 2}[found["dtype"]]
        for kind in "alone", "difference":
            ways = found[kind] + [w for w in [zipnn(folder, found["dtype"], kind == "alone")] if w]
            yield [(name, w["name"], f"{8 * width * w['stored'] / found['raw']:.2f}", speed(found["raw"], w["encode_s"]),
                    speed(found["raw"], w["decode_s"])) for w in ways]


def factors(name, base, expert, matrices):
    found = json.loads(run(BENCHMARK, "factors", base, expert, matrices)[0])
    for f in found["factors"]:
        yield (name, f["name"], f"{f['error']:.3f}", f"{8 * f['stored'] / found['elements']:.3f}", f"{8 * f['stored'] / f['numbers']:.2f}",
               speed(f["numbers"], f["encode_s"]), speed(f["numbers"], f["decode_s"]), speed(4 * found["elements"], f["decode_s"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pieces", type=int, default=16)
    parser.add_argument("--matrices", type=int, default=12)
    options = parser.parse_args()
    alone, differences, lossy = [], [], []
    with tempfile.TemporaryDirectory() as temporary:
        for name, base, expert in pairs(pathlib.Path(temporary)):
            own, difference = frames(name, base, expert, options.pieces)
            alone += own
            differences += difference
            if "BF16" not in name:
                lossy += factors(name, base, expert, options.matrices)
            print(name, file=sys.stderr, flush=True)
    header = ("of", "as", "bits a weight", "encoding, MB/s", "decoding, MB/s")
    print(f"### Frames, alone\n\nUp to {options.pieces} pieces of 1 MiB, evenly spread over the tensors of the base, each a frame by itself. MB/s are of raw bytes and of one thread's "
          "CPU time, the best of three runs in memory (one for encoding with zstd-19). `pack` tries its searches in turn, cuts blocks where the statistics change, and computes a SHA-256 of what it "
          "stores.\n")
    print(table(header, alone))
    print("\n### Frames, against the base\n\nThe same places in the fine-tune; whoever decodes has the base's bytes. XOR and difference are part of the cost.\n")
    print(table(header, differences))
    print(f"\n### Factors\n\nUp to {options.matrices} matrices of the fine-tunes' differences. *Numbers* are those that are coded: of rank r for m × n, r · (m + n). Encoding begins with the singular "
          "vectors, which are not part of it; decoding ends with what the reconstruction adds: for a rank the numbers in binary32, otherwise symbols or bytes. *Error* is relative, of all matrices together.\n")
    print(table(("of", "factor", "error", "bits a weight", "bits a number", "encoding, M numbers/s", "decoding, M numbers/s", "decoding, MB/s of the matrix in binary32"), lossy))


if __name__ == "__main__":
    main()
