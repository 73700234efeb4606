#!/usr/bin/env python3
"""Loading and switching in Python, against safetensors: `load_file` and a copy into the same tensors is 1.00.

    TMPACK=tmpack python3 Benchmarks/python.py [--megabytes 1000] [--rounds 5] [--folder FOLDER]

A Llama-shaped bf16 model with random weights and two experts that differ by low rank and noise. CPU time of all threads (user and system) and wall
time, medians of alternating rounds; files are in the page cache. `load_state_dict(assign=True)` copies nothing, so it is no peer of a load into a model
that is there.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import torch
from safetensors.torch import load_file, save_file

import tmpack
import tmpack.torch


def model(megabytes):
    """Tensors of about so many megabytes in bf16: 4096-wide layers, or narrower ones for a small model."""
    width = 4096 if megabytes >= 800 else 2048 if megabytes >= 200 else 1024
    shapes = {"self_attn.q_proj": (width, width), "self_attn.k_proj": (width // 4, width), "self_attn.v_proj": (width // 4, width),
              "self_attn.o_proj": (width, width), "mlp.gate_proj": (width * 11 // 4, width), "mlp.up_proj": (width * 11 // 4, width),
              "mlp.down_proj": (width, width * 11 // 4)}  # fmt: skip
    layer = sum(a * b for a, b in shapes.values()) * 2
    tensors = {"model.embed_tokens.weight": torch.randn(8000, width).mul_(0.02).bfloat16()}
    for number in range(max(1, round((megabytes * 1e6 - 16000 * width) / layer))):
        for name, shape in shapes.items():
            tensors[f"model.layers.{number}.{name}.weight"] = torch.randn(shape).mul_(0.02).bfloat16()
        tensors[f"model.layers.{number}.input_layernorm.weight"] = torch.ones(width).bfloat16()
    return tensors


def expert(base, seed):
    torch.manual_seed(seed)
    changed = {}
    for name, tensor in base.items():
        if tensor.ndim == 1:
            changed[name] = tensor.clone()
            continue
        left, right = torch.randn(len(tensor), 8), torch.randn(8, tensor.shape[1])
        changed[name] = (tensor.float() + 0.0005 * left @ right).bfloat16()
    return changed


def cost(work):
    before = resource.getrusage(resource.RUSAGE_SELF)
    begun = time.perf_counter()
    work()
    wall = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, wall


def rounds_of(rows, count):
    for work in rows.values():
        work()
    times = {name: [] for name in rows}
    for _ in range(count):
        for name, work in rows.items():
            times[name].append(cost(work))
    return {
        name: tuple(statistics.median(each[place] for each in found) for place in (0, 1)) for name, found in times.items()
    }


START = """
import sys, time
import torch
begun = time.perf_counter(), time.process_time()
import tmpack
with tmpack.open(sys.argv[1], sys.argv[2] or None, framework="pt") as archive:
    mix = archive[archive.experts[0]]
    mix[sys.argv[3]]
print(time.perf_counter() - begun[0], time.process_time() - begun[1])
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or temporary
        path = lambda name: os.path.join(folder, name)  # noqa: E731
        if not os.path.exists(path("detached.tmpack")):
            torch.manual_seed(0)
            base = model(options.megabytes)
            save_file(base, path("base.safetensors"))
            for seed, name in enumerate(("math", "code"), 1):
                save_file(expert(base, seed), path(f"{name}.safetensors"))
            del base
            experts = {name: path(f"{name}.safetensors") for name in ("math", "code")}
            common = dict(rank=16, shared="base")
            tmpack.pack(path("base.safetensors"), experts, path("embedded.tmpack"), **common)
            tmpack.pack(path("base.safetensors"), experts, path("detached.tmpack"), detached=True, **common)
        state = load_file(path("math.safetensors"))
        state = {name: tensor.clone() for name, tensor in state.items()}
        size = sum(tensor.nbytes for tensor in state.values())
        base = path("base.safetensors")

        def peer():
            for name, tensor in load_file(path("math.safetensors")).items():
                state[name].copy_(tensor)

        detached = tmpack.open(path("detached.tmpack"), base)
        embedded = tmpack.open(path("embedded.tmpack"))
        rows = {
            "safetensors: load_file and copy": peer,
            "load, detached": lambda: tmpack.torch.load_into(state, detached, "math"),
            "load, embedded": lambda: tmpack.torch.load_into(state, embedded, "math"),
        }
        times = rounds_of(rows, options.rounds)
        kept = tmpack.open(path("detached.tmpack"), base, keep=True)
        switcher = tmpack.torch.Switcher(state, kept)
        turn = [0]

        def switch(choices):
            turn[0] += 1
            switcher.switch(choices[turn[0] % 2])

        times.update(
            rounds_of(
                {
                    "switch, everything kept": lambda: switch(("math", "code")),
                    "mix of two, kept": lambda: switch(({"math": 0.5, "code": 0.5}, {"math": 0.4, "code": 0.6})),
                },
                options.rounds,
            )
        )
        first = min(state, key=lambda name: state[name].nbytes)
        start = min(
            tuple(
                float(each)
                for each in subprocess.run(
                    [sys.executable, "-c", START, path("detached.tmpack"), base, first],
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout.split()
            )
            for _ in range(5)
        )
        reference = times["safetensors: load_file and copy"]
        print(f"{size / 1e6:.0f} MB, {len(state)} tensors, {os.cpu_count()} cores, torch {torch.__version__}")
        print("| what | CPU s | ÷ safetensors | wall s | ÷ safetensors |\n|---|---|---|---|---|")
        for name, (cpu, wall) in times.items():
            print(f"| {name} | {cpu:.3f} | {cpu / reference[0]:.2f} | {wall:.3f} | {wall / reference[1]:.2f} |")
        print(f"| start beyond `import torch`, to the first tensor | {start[1] * 1000:.0f} ms | | {start[0] * 1000:.0f} ms | |")


main()
