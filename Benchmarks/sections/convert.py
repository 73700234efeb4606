#!/usr/bin/env python3
"""Converting a checkpoint between formats against `cp` of the same file, as a Markdown table.

    Benchmarks/sections/convert.py [--work FOLDER] [--runs 7]

Every conversion is checked: what it made has the tensors of the original, bit for bit. `tmpack` waits until its output is on the
disk, `cp` does not, so there is also `cp` followed by `sync` of the file. The runs of all take turns, so that a busy machine
is as busy for each.
"""
import argparse, pathlib, sys, tempfile
import paths  # noqa: F401, before what it makes findable
from measure import DATA, TOOL, Cost, minilm, run

FORMATS = {"safetensors": "safetensors", "PyTorch": "pt", "npz": "npz", "GGUF": "gguf"}


def remove(path):
    path.unlink(missing_ok=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=pathlib.Path)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as temporary:
        folder = pathlib.Path(temporary)
        models = minilm(folder / "minilm")
        original = models / "base/model.safetensors" if models else DATA / "glyphive-ocr/base.safetensors"
        inputs = {}
        for name, suffix in FORMATS.items():
            inputs[name] = folder / f"in.{suffix}"
            run(TOOL, "convert", original, inputs[name], "--quiet")
        copy = folder / "copy"
        jobs = {"cp": (lambda: run("cp", original, copy), copy),
                "cp and sync": (lambda: run("sh", "-c", 'cp "$1" "$2" && sync "$2"', "sh", original, copy), copy)}
        for source in FORMATS:
            for target, suffix in FORMATS.items():
                output = folder / f"out.{suffix}"
                jobs[f"{source} → {target}"] = (
                    lambda i=inputs[source], o=output: run(TOOL, "convert", i, o, "--quiet"), output)
        costs = {name: [] for name in jobs}
        for turn in range(options.runs):
            for name, (job, output) in jobs.items():
                remove(output)
                costs[name].append(job()[1])
                if turn == 0 and name[:2] != "cp":
                    run(TOOL, "compare", original, output, "--require-equal", "--quiet")
        costs = {name: Cost(runs) for name, runs in costs.items()}
        print(f"{original.stat().st_size / 1e6:.1f} MB, medians of {options.runs} runs. Speed is that of `cp`'s time by the tool's.\n")
        print("| | CPU, s | wall, s | memory, MB | speed to cp, wall | to cp and sync, wall | to cp, CPU |")
        print("|---|---|---|---|---|---|---|")
        plain, synced = costs["cp"], costs["cp and sync"]
        for name, cost in costs.items():
            print(f"| {name} | {cost.cpu:.3f} | {cost.wall:.3f} | {cost.memory:.0f} | {plain.wall / cost.wall:.2f} "
                  f"| {synced.wall / cost.wall:.2f} | {plain.cpu / cost.cpu:.2f} |")


if __name__ == "__main__":
    sys.exit(main())
