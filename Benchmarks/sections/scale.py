#!/usr/bin/env python3
"""An archive with many experts of many tensors: what it costs to look at it, and how much of it one expert needs.

    Benchmarks/sections/scale.py [--tensors 1000] [--experts 100] [--work FOLDER]
"""
import argparse, pathlib, shutil, subprocess, sys, tempfile
import numpy as np

import paths  # noqa: F401, before what it makes findable
from measure import TOOL, run, table, tool
import tensors


def make(folder, count, experts, shape=(32, 32)):
    """An archive of random experts, each a rank-16 difference."""
    random = np.random.default_rng(7)
    size = shape[0] * shape[1]
    base = {f"layers.{i:04}.weight": ("F32", shape, random.standard_normal(size).astype("<f4")) for i in range(count)}
    tensors.write(folder / "base.safetensors", base)
    archive = folder / "many.tmpack"
    pack = ["--base", folder / "base.safetensors", "--shared", "base"]
    for number in range(experts):
        expert = {n: (d, s, (x + 0.01 * random.standard_normal(size)).astype("<f4")) for n, (d, s, x) in base.items()}
        tensors.write(folder / f"e{number:03}.safetensors", expert)
        pack += ["--expert", folder / f"e{number:03}.safetensors"]
    tool("pack", *pack, "--force", "-o", archive)
    return archive


def bytes_read(*command):
    """Bytes that a command reads of its files with read(2) and pread(2), as strace sees it; None without strace."""
    if not shutil.which("strace"):
        return None
    with tempfile.NamedTemporaryFile("r") as log:
        run("strace", "-f", "-y", "-e", "trace=read,pread64", "-o", log.name, *command)
        results = (line.rsplit("=", 1)[1].strip() for line in log if ".tmpack>" in line and "=" in line)
        return sum(int(r) for r in results if r.isdigit())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tensors", type=int, default=1000)
    parser.add_argument("--experts", type=int, default=100)
    parser.add_argument("--work", type=pathlib.Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.work or pathlib.Path(temporary)
        archive = folder / "many.tmpack"
        if not archive.exists():
            archive = make(folder, options.tensors, options.experts)
        size = archive.stat().st_size
        rows = []
        last = f"e{options.experts - 1:03}"
        commands = (("inspect", ["inspect", archive]), ("inspect --expert", ["inspect", archive, "--expert", last]),
                    ("inspect --expert --tensors", ["inspect", archive, "--expert", last, "--tensors"]),
                    ("unpack one tensor", ["unpack", archive, "--expert", last, "--tensors", "layers.0000.weight", "--force",
                                           "-o", folder / "one.safetensors"]))
        for name, command in commands:
            _, cost = tool(*command, runs=9)
            # Only what reads tensors has a choice of how; a mapped file is not seen to be read.
            read = bytes_read(TOOL, *command, "--io", "read") if command[0] == "unpack" else None
            rows.append((name, f"{1000 * cost.cpu:.0f}", f"{1000 * cost.wall:.0f}", f"{cost.memory:.0f}",
                         "–" if read is None else f"{100 * read / size:.2f}"))
        print(f"{options.experts} experts of {options.tensors} tensors: {size / 1e6:.1f} MB. Medians of nine runs; read with `--io read`.\n")
        print(table(("command", "CPU, ms", "wall, ms", "peak MB", "read, % of the file"), rows))


if __name__ == "__main__":
    main()
