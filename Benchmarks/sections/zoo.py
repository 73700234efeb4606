#!/usr/bin/env python3
"""A hundred real experts in one archive: how packing, opening and mixing grow with their number.

    Benchmarks/sections/zoo.py [--counts 25 50 100 200] [--work FOLDER] [--plot experts.svg]

The package mhcnuggets ships some 300 networks of one architecture, each transfer-learned for another allele. Needs pip,
the packages numpy and h5py, and PyPI; says so and ends without an error where they are missing.
"""
import argparse, pathlib, subprocess, sys, tempfile, zipfile

import paths  # noqa: F401, before what it makes findable
from measure import TOOL, table, tool
from plot import Chart

BASE = "HLA-A02:01_BA.h5"
# As Keras names them, and as the fixtures do.
NAMES = {
    f"{layer}/{layer}/{part}:0": f"{layer}.{part}"
    for layer, parts in {"lstm_1": ("kernel", "recurrent_kernel", "bias"), "dense_1": ("kernel", "bias"), "dense_2": ("kernel", "bias")}.items()
    for part in parts
}


def networks(folder):
    """Writes the networks as safetensors; returns the base's path and the others', sorted by name."""
    import h5py
    import numpy as np
    import tensors
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, "mhcnuggets==2.4.1"], check=True, stdout=sys.stderr)
    wheel = zipfile.ZipFile(next(folder.glob("mhcnuggets-*.whl")))
    base, others = None, []
    for entry in sorted(n for n in wheel.namelist() if "/production/" in n and n.endswith(".h5")):
        name = pathlib.PurePosixPath(entry).name
        (folder / "network.h5").write_bytes(wheel.read(entry))
        with h5py.File(folder / "network.h5") as file:
            weights = {own: np.asarray(file[theirs], "<f4") for theirs, own in NAMES.items()}
        path = folder / (name[:-3].replace(":", "") + ".safetensors")
        tensors.write(path, {n: ("F32", a.shape, a.ravel()) for n, a in weights.items()})
        if name == BASE:
            base = path
        else:
            others.append(path)
    return base, others


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--counts", type=int, nargs="+", default=[25, 50, 100, 200])
    parser.add_argument("--work")
    parser.add_argument("--plot")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as temporary:
        folder = pathlib.Path(temporary)
        try:
            base, others = networks(folder)
        except (ImportError, subprocess.CalledProcessError) as fault:
            return print(f"The networks cannot be had here: {fault}.")
        rows, lines = [], {"pack, CPU ms": [], "archive, kB": [], "inspect, ms": [], "mix of two, ms": []}
        for count in options.counts:
            experts = others[:count]
            archive = folder / "zoo.tmpack"
            names = [f"--expert={path.stem}={path}" for path in experts]
            packed, cost = tool("pack", "--base", base, *names, "--shared", "base", "--rank", 16, "--force", "-o", archive, runs=3)
            _, opening = tool("inspect", archive, runs=5)
            weights = f"{experts[0].stem}=0.7,{experts[-1].stem}=0.3"
            _, mixing = tool("unpack", archive, "--weights", weights, "--force", "-o", folder / "mix.safetensors", runs=5)
            measured = (1e3 * cost.cpu, packed["bytes"] / 1e3, 1e3 * opening.wall, 1e3 * mixing.wall)
            for line, value in zip(lines.values(), measured):
                line.append((len(experts), value))
            rows.append((
                len(experts), f"{packed['bytes'] / 1e3:.0f}", f"{packed['bytes'] / len(experts) / 1e3:.2f}", f"{cost.cpu:.2f}",
                f"{1e3 * cost.cpu / len(experts):.1f}", f"{1e3 * opening.wall:.0f}", f"{1e3 * mixing.wall:.0f}", f"{cost.memory:.0f}"))
        print("Class networks of mhcnuggets 2.4.1 (26,241 parameters each) against the HLA-A\\*02:01 network; rank 16, int8.\n")
        print(table(("experts", "archive kB", "kB an expert", "pack CPU s", "ms an expert", "inspect wall ms", "mix of two wall ms", "pack peak MB"), rows))
        if options.plot:
            chart = Chart("Many experts in one archive", "experts", "ms, kB", logarithmic_y=True, x_ticks=options.counts)
            for name, points in lines.items():
                chart.line(name, points)
            pathlib.Path(options.plot).write_text(chart.svg())
            print(f"\n![Time and size against the number of experts]({options.plot})")
        foreign = folder / "foreign.safetensors"
        import numpy as np
        import tensors
        tensors.write(foreign, {"encoder.weight": ("F32", (4, 4), np.zeros(16, "<f4"))})
        refusal = subprocess.run([TOOL, "add", folder / "zoo.tmpack", "--expert", f"foreign={foreign}"], capture_output=True, text=True)
        message = refusal.stderr.strip().replace(str(folder) + "/", "")
        print(f"\nAn expert of another architecture: exit code {refusal.returncode}, `{message}`")


if __name__ == "__main__":
    main()
