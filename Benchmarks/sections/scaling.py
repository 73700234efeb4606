#!/usr/bin/env python3
"""How time and memory of packing and unpacking grow: with the size of the checkpoint, the number of experts, and the threads.

    Benchmarks/sections/scaling.py [--sizes 0.25 0.5 1 2 4] [--experts 1 2 4 8 16] [--threads 1 2 4] [--plot scaling.svg] [--work FOLDER]

Synthetic models in bf16 of matrices of 2048 × 8192. Needs numpy and 4.5 times the largest size on disk.
"""
import argparse, pathlib, shutil, tempfile

import paths  # noqa: F401, before what it makes findable
from measure import table, tool
from plot import Chart, figure
from synthetic import Model

ROWS, COLUMNS = 2048, 8192
TENSOR = 2 * ROWS * COLUMNS
COMMANDS = ("pack, rank 16", "unpack, rank 16", "pack, lossless", "unpack, lossless")
MODES = {"rank 16": ["--rank", 16], "lossless": ["--lossless"]}


def tensors(gigabytes):
    return max(1, round(gigabytes * 1e9 / TENSOR))


def costs(work, base, experts, threads):
    """The cost of every command, on a base and its experts."""
    how = ("--io", "read", "--threads", threads)
    found = {}
    for mode, options in MODES.items():
        archive, output = work / "zoo.tmpack", work / "out"
        names = [f"--expert=e{number}={path}" for number, path in enumerate(experts)]
        _, found[f"pack, {mode}"] = tool("pack", "--base", base, *names, "--shared", "base", "--detached", *options, *how, "-o", archive)
        _, found[f"unpack, {mode}"] = tool("unpack", archive, "--shared-from", base, "--expert", f"e{len(experts) - 1}", *how, "-o", output)
        archive.unlink()
        shutil.rmtree(output)
    return found


def by_size(work, sizes, threads):
    model = Model(ROWS, COLUMNS, 1)
    for size in sizes:
        model.tensors = tensors(size)
        base, expert = model.write(work / "base"), model.write(work / "expert", 1)
        yield model.size / 1e9, costs(work, base, [expert], threads)
        shutil.rmtree(base)
        shutil.rmtree(expert)


def by_experts(work, counts, gigabytes, threads):
    model = Model(ROWS, COLUMNS, tensors(gigabytes))
    base = model.write(work / "base")
    experts = [model.write(work / f"expert{number}", 1 + number) for number in range(max(counts))]
    for count in counts:
        yield count, costs(work, base, experts[:count], threads)
    for folder in [base, *experts]:
        shutil.rmtree(folder)


def by_threads(work, counts, gigabytes):
    model = Model(ROWS, COLUMNS, tensors(gigabytes))
    base, expert = model.write(work / "base"), model.write(work / "expert", 1)
    for count in counts:
        yield count, costs(work, base, [expert], count)
    shutil.rmtree(base)
    shutil.rmtree(expert)


def charts(title, x, ticks, points):
    """Time and memory, beside each other."""
    time = Chart(f"Time by {title}", x, "seconds", logarithmic_y=True, x_ticks=ticks)
    memory = Chart(f"Peak memory by {title}", x, "MB", x_ticks=ticks)
    for command in COMMANDS:
        time.line(command, [(at, found[command].wall) for at, found in points])
        memory.line(command, [(at, found[command].memory) for at, found in points])
    return [time, memory]


def rows(points, label):
    return [(label(at), *(f"{found[c].wall:.1f} s, {found[c].memory:.0f} MB" for c in COMMANDS)) for at, found in points]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=float, nargs="+", default=[0.25, 0.5, 1, 2, 4])
    parser.add_argument("--experts", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--expert-size", type=float, default=0.13)
    parser.add_argument("--plot", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as temporary:
        work = pathlib.Path(temporary)
        sizes = list(by_size(work, options.sizes, 2))
        experts = list(by_experts(work, options.experts, options.expert_size, 2))
        threads = list(by_threads(work, options.threads, 1))
    print(f"Wall time and peak memory of each command, run once; matrices of {ROWS} × {COLUMNS} in bf16, the shared model is the base and outside of the archive; files are read "
          "with `--io read`, so memory is what the process holds. Two threads but in the last table.")
    print("\nOne expert, by the size of its checkpoint:\n")
    print(table(("checkpoint", *COMMANDS), rows(sizes, lambda x: f"{x:.2f} GB")))
    print(f"\nExperts of {tensors(options.expert_size) * TENSOR / 1e6:.0f} MB each; one is unpacked:\n")
    print(table(("experts", *COMMANDS), rows(experts, str)))
    print(f"\nOne expert of {tensors(1) * TENSOR / 1e9:.2f} GB:\n")
    print(table(("threads", *COMMANDS), rows(threads, str)))
    if options.plot:
        panels = charts("size of the checkpoint", "GB", options.sizes, sizes) + charts("number of experts", "experts", options.experts, experts) \
            + charts("threads", "threads", options.threads, threads)
        options.plot.write_text(figure(panels, columns=2, width=460, height=330))
        print(f"\n![Time and memory against size, experts and threads]({options.plot})")


if __name__ == "__main__":
    main()
