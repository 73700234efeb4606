#!/usr/bin/env python3
"""Routers on the testbed, as Markdown tables: accuracy, size, time to fit, inputs of another task, and what serving costs.

    Benchmarks/sections/router.py [--work FOLDER]

Embeddings are those of an archive's own shared model. Accuracy is the share of test inputs, alone and in groups of 8 of one task, whose
most probable expert is their task's. Serving routes an input and mixes a model for it in memory.
"""
import argparse, json, pathlib, sys, tempfile
import numpy as np

sys.dont_write_bytecode = True
import paths  # noqa: F401, before what it makes findable
from measure import DATA, TOOL, minilm, run, table, tool
import embeddings

SERVING = TOOL.parent / "serving-benchmark"
KINDS = {"mlp 256, 128": [], "mlp 128, 64": ["--hidden", "128,64"], "linear": ["--model", "linear"],
         "knn, all examples": ["--model", "knn"], "knn, 2000 examples": ["--model", "knn", "--examples", "2000"]}


def pack(folder, experts):
    base = DATA / "testbed/base.safetensors"
    archive = folder / "testbed.tmpack"
    arguments = [a for e in experts for a in ("--expert", f"{e}={DATA / 'testbed' / (e + '.safetensors')}")]
    tool("pack", "--base", base, *arguments, "--lambda", "0.2", "--quality", "medium", "-o", archive, "--force")
    return archive


def read(path):
    sys.path.insert(0, str(DATA / "testbed"))
    import evaluate
    data = evaluate.read_safetensors(path)
    return data["embeddings"], data["labels"]


def copy(archive, name):
    target = archive.with_name(name + ".tmpack")
    target.write_bytes(archive.read_bytes())
    return target


def route(archive, inputs, *options):
    return tool("route", archive, "--embedding", inputs, *options)[0]


def accuracy(archive, inputs, *options):
    answer = route(archive, inputs, "--no-fallback", *options)
    return f"{100 * answer['right'] / answer['labelled_groups']:.1f} %"


def fits(archive, data):
    """One row for each kind."""
    rows = []
    for name, options in KINDS.items():
        own = copy(archive, "fitted")
        made, cost = tool("router", "fit", own, "--embeddings", data / "train.safetensors", "--validation",
                          data / "val.safetensors", *options)
        rows.append([name, f"{(made['bytes'] - made['bytes_before']) / 1e3:.1f} kB", accuracy(own, data / "test.safetensors"),
                     accuracy(own, data / "test.safetensors", "--group-size", "8"), f"{cost.cpu:.1f}"])
    return rows


def unknown(archive, data):
    """Routers that one task was kept from: how often its inputs, and those of the others, go to the shared model."""
    rows = []
    for left, task in enumerate(embeddings.TASKS):
        rest = [t for t in embeddings.TASKS if t != task]
        for split in "train", "val", "test":
            x, y = read(data / f"{split}.safetensors")
            kept = y != left
            embeddings.write(data / f"known-{split}.safetensors", x[kept], y[kept] - (y[kept] > left), rest)
            embeddings.write(data / f"unknown-{split}.safetensors", x[~kept], 0 * y[~kept], rest)
        own = copy(archive, "unknown")
        tool("router", "fit", own, "--embeddings", data / "known-train.safetensors", "--validation", data / "known-val.safetensors")
        for size in 1, 8:
            shares = []
            for kind in "known", "unknown":
                groups = route(own, data / f"{kind}-test.safetensors", "--group-size", str(size))["groups"]
                shares.append(f"{100 * np.mean([g['fell_back'] for g in groups]):.1f} %")
            rows.append([task, size, *shares])
    return rows


def serving(name, archive, inputs):
    rows = []
    for threads in 1, 2:
        cost = json.loads(run(SERVING, archive, inputs, "200", threads)[0])
        hit = "–" if cost["hit_ms"] is None else f"{cost['hit_ms']:.4f}"
        rows.append([name, threads, f"{cost['first_ms']:.0f}", f"{cost['route_ms']:.3f}", f"{cost['mix_ms']:.1f}", hit,
                     f"{100 * cost['hit_share']:.0f} %", f"{cost['mix_bytes'] / 1e6:.1f} MB"])
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=pathlib.Path)
    arguments = parser.parse_args()
    folder = arguments.work or pathlib.Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    archive = pack(folder, embeddings.TASKS)
    data = folder / "embeddings"
    data.mkdir(exist_ok=True)
    if not (data / "test.safetensors").exists():
        shared = folder / "shared.safetensors"
        tool("unpack", archive, "--shared", "-o", shared, "--force")
        embeddings.make(shared, data, 3000)
    print("Embeddings of 256 numbers, 12,000 for training, 1,600 for validation, 3,800 for the test; four tasks. F16.\n")
    print(table(["router", "bytes", "single inputs", "groups of 8", "CPU seconds to fit"], fits(archive, data)))
    print("\nInputs of a task that the router does not know, and of those that it does: share that goes to the shared model, by the "
          "entropy that `router fit` stores.\n")
    print(table(["task kept from the router", "group of", "known tasks", "that task"], unknown(archive, data)))
    print("\nServing, medians of 200 requests, in ms: decoding for the first mix; routing; mixing anew; a mix that the cache has (weights in "
          "steps of 1/16); share of requests that it had; memory of a mix.\n")
    own = copy(archive, "served")
    tool("router", "fit", own, "--embeddings", data / "train.safetensors", "--validation", data / "val.safetensors")
    rows = serving("testbed, 4 experts", own, data / "test.safetensors")
    models = minilm(folder / "minilm")
    if models:
        served = folder / "minilm.tmpack"
        tool("pack", "--base", models / "base", "--expert", f"sre={models / 'sre'}", "--expert", f"npm={models / 'npm'}", "--quality",
             "medium", "-o", served, "--force")
        random = np.random.default_rng(1)
        labels = np.arange(2000) % 2
        rows_ = random.standard_normal((2000, 384)) + 0.2 * (labels[:, None] - 0.5)
        embeddings.write(data / "minilm.safetensors", rows_, labels, ["sre", "npm"])
        tool("router", "fit", served, "--embeddings", data / "minilm.safetensors")
        rows += serving("MiniLM, 2 experts", served, data / "minilm.safetensors")
    print(table(["model", "threads", "first", "route", "mix", "hit", "hits", "memory"], rows))


if __name__ == "__main__":
    main()
