#!/usr/bin/env python3
"""What commands cost that used to cost more than their answers: merging, quantising, packing, searching a rate, digesting, removing and adding
experts, reading one tensor of many, starting.

    Benchmarks/sections/speed.py [--work FOLDER] [--runs 3]

CPU seconds of one thread, user and system, medians; each with the tool that TMPACK_AGAINST names, if it names one, in the same run: what comes out is
then compared byte by byte. Peers where they are there: gguf for q8_0, torch for the decomposition, openssl and b3sum for digests. Needs numpy.
"""
import argparse, filecmp, os, pathlib, shutil, statistics, subprocess, sys, tempfile

import numpy as np

import paths  # noqa: F401, before what it makes findable
from measure import TOOL, run, table
from synthetic import to_bf16
import tensors

AGAINST = os.environ.get("TMPACK_AGAINST")
# Two layers of a Llama with a hidden size of 2048, and the embedding of 32,000 tokens.
HIDDEN, INNER, TOKENS = 2048, 5632, 32000
METHODS = ("task-arithmetic", "average", "ties", "dare-linear", "slerp", "karcher")


def change(random, shape, rank=64):
    """Directions that fall as k^−0.7, and noise."""
    noise = np.float32(6e-4) * random.standard_normal(shape, "f4")
    if len(shape) < 2:
        return noise
    falling = np.arange(1, rank + 1, dtype="f4") ** -0.7
    return noise + np.float32(4.5e-4) * ((random.standard_normal((shape[0], rank), "f4") * falling) @ random.standard_normal((rank, shape[1]), "f4"))


def models(folder, shapes, experts):
    """A base and experts of it in bf16, as files."""
    paths = []
    for number in range(experts + 1):
        held = {}
        for index, (name, shape) in enumerate(shapes.items()):
            values = np.float32(0.02) * np.random.default_rng(index).standard_normal(shape, "f4")
            if number:
                values = values + change(np.random.default_rng(1000 * number + index), shape)
            held[name] = ("BF16", shape, to_bf16(values.reshape(-1)))
        paths.append(folder / f"m{number}.safetensors")
        tensors.write(paths[-1], held)
    return paths


def layers(embedded=True):
    shapes = {}
    for layer in range(2):
        name = f"model.layers.{layer}."
        for part, shape in {"q_proj": (HIDDEN, HIDDEN), "k_proj": (256, HIDDEN), "v_proj": (256, HIDDEN), "o_proj": (HIDDEN, HIDDEN),
                            "gate_proj": (INNER, HIDDEN), "up_proj": (INNER, HIDDEN), "down_proj": (HIDDEN, INNER), "norm": (HIDDEN,)}.items():
            shapes[f"{name}{part}.weight"] = shape
    return shapes | ({"model.embed_tokens.weight": (TOKENS, HIDDEN)} if embedded else {})


def cpu(command, runs, before=lambda: None):
    costs = []
    for _ in range(runs):
        before()
        costs.append(run(*command)[1])
    return statistics.median(c[0] for c in costs), max(c[2] for c in costs)


class Rows:
    """Rows of a table: a command by this tool, and by the other."""

    def __init__(self, runs):
        self.runs, self.rows = runs, []

    def add(self, name, command, output, *, before=lambda: None, peer=None, compares=True, note=lambda cost: ""):
        """`command` writes `output`, or nothing; `peer` is its name and CPU seconds. The cost of this tool."""
        cost, memory = cpu([TOOL, *command, "--quiet"], self.runs, before)
        old = same = "–"
        if AGAINST:
            if output:
                kept = output.with_name("ours")
                shutil.move(output, kept)
            other, _ = cpu([AGAINST, *command, "--quiet"], self.runs if cost < 1 else 1, before)
            old = f"{other:.3f} ({cost / other:.2f} ×)"
            if output and compares:
                same = "yes" if filecmp.cmp(kept, output, shallow=False) else "no"
            if output:
                kept.unlink()
        theirs = f"{peer[0]} {peer[1]:.3f} ({cost / peer[1]:.2f} ×)" if peer else "–"
        self.rows.append((name, f"{cost:.3f}", old, same, theirs, f"{memory:.0f}", note(cost)))
        return cost

    def print(self):
        print(table(("what", "CPU s", "before", "same bytes", "peer", "peak MB", ""), self.rows))


def merging(rows, folder, base, experts):
    count = sum(int(np.prod(shape)) for shape in layers().values())
    for method in METHODS:
        named = [f"--expert=e{i}={path}" for i, path in enumerate(experts[:2] if method == "slerp" else experts)]
        output = folder / "merged.safetensors"
        rows.add(f"merge {method}, {len(named)} experts", ["merge", method, "--base", base, *named, "-o", output, "--force", "--threads", "1"], output,
                 note=lambda cost: f"{1e9 * cost / count:.1f} ns a parameter, files read and written")


QUANTIZE = """
import sys, time, resource, numpy as np
from gguf import quants, GGMLQuantizationType
start = resource.getrusage(resource.RUSAGE_SELF)
import json, struct
with open(sys.argv[1], "rb") as file:
    header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0])); data = file.read()
with open(sys.argv[2], "wb") as out:
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        values = (np.frombuffer(data[begin:end], "<u2").astype("u4") << 16).view("f4").reshape(entry["shape"])
        out.write((quants.quantize(values, GGMLQuantizationType.Q8_0) if values.ndim > 1 else values).tobytes())
end = resource.getrusage(resource.RUSAGE_SELF)
print(end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime)
"""


def quantizing(rows, folder, base):
    peer = None
    try:
        import gguf  # noqa: F401
        single = dict(os.environ, OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
        made = [float(subprocess.run([sys.executable, "-c", QUANTIZE, base, folder / "peer"], check=True, capture_output=True, text=True, env=single).stdout)
                for _ in range(rows.runs)]
        peer = ("gguf", statistics.median(made))
    except ImportError:
        pass
    output = folder / "model.gguf"
    rows.add("convert --quantize q8_0", ["convert", base, output, "--quantize", "q8_0", "--force", "--threads", "1"], output, peer=peer)


DECOMPOSE = """
import sys, json, struct, resource, torch
torch.set_num_threads(1)
def read(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0])); data = bytearray(file.read())
    return {n: torch.frombuffer(data, dtype=torch.bfloat16, count=(e["data_offsets"][1] - e["data_offsets"][0]) // 2, offset=e["data_offsets"][0]).view(e["shape"])
            for n, e in header.items() if n != "__metadata__"}
start = resource.getrusage(resource.RUSAGE_SELF)
base, own = read(sys.argv[1]), read(sys.argv[2])
for name, tensor in own.items():
    if tensor.dim() == 2:
        torch.svd_lowrank(tensor.float() - base[name].float(), q=32, niter=1)
end = resource.getrusage(resource.RUSAGE_SELF)
print(end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime)
"""


def packing(rows, folder):
    """Two layers without the embedding."""
    place = folder / "layers"
    place.mkdir()
    base, expert = models(place, layers(embedded=False), 1)
    peer = None
    try:
        import torch  # noqa: F401
        made = [float(subprocess.run([sys.executable, "-c", DECOMPOSE, base, expert], check=True, capture_output=True, text=True).stdout) for _ in range(rows.runs)]
        peer = ("torch svd_lowrank(q=32, niter=1)", statistics.median(made))
    except ImportError:
        pass
    output = place / "x.tmpack"
    pack = ["pack", "--base", base, "--expert", f"x={expert}", "-o", output, "--force", "--threads", "1"]
    rows.add("pack --rank 16, two layers", [*pack, "--shared", "base", "--rank", "16"], output, peer=peer)
    rows.add("the same, a merged shared model", [*pack, "--rank", "16"], output)
    rows.add("pack --lossless, two layers", [*pack, "--shared", "base", "--lossless"], output)


def digesting(rows, folder, base, expert):
    archive = folder / "lossless.tmpack"
    run(TOOL, "pack", "--base", base, "--expert", f"x={expert}", "--shared", "base", "--lossless", "--quiet", "-o", archive)
    for command, file in (["verify", archive], archive), (["digest", base], base):
        peers = {"openssl": ["openssl", "dgst", "-sha256", file], "b3sum": ["b3sum", "--num-threads", "1", file]}
        found = [(name, cpu(peer, rows.runs)[0]) for name, peer in peers.items() if shutil.which(name)]
        size = os.path.getsize(file)
        for peer in found or [None]:
            rows.add(f"{command[0]}, {size / 1e6:.0f} MB", [*command, "--threads", "1"], None, peer=peer, note=lambda cost: f"{size / cost / 1e9:.1f} GB/s")


def many_tensors(rows, folder, count=100_000):
    """One tensor of very many."""
    random = np.random.default_rng(11)
    values = random.standard_normal((count, 16), "f4")
    paths = []
    for number in range(2):
        held = {f"model.layers.{i // 100:04}.mlp.experts.{i % 100:03}.weight": ("F32", (4, 4), values[i]) for i in range(count)}
        paths.append(folder / f"many{number}.safetensors")
        tensors.write(paths[-1], held)
        values = values + np.float32(0.01) * random.standard_normal((count, 16), "f4")
    archive, output = folder / "tensors.tmpack", folder / "one.safetensors"
    rows.add(f"pack {count} tensors", ["pack", "--base", paths[0], "--expert", f"x={paths[1]}", "--shared", "base", "--rank", "2", "-o", archive, "--force",
                                        "--threads", "1"], archive, note=lambda cost: f"{1e6 * cost / count:.0f} µs a tensor")
    run(TOOL, "pack", "--base", paths[0], "--expert", f"x={paths[1]}", "--shared", "base", "--rank", "2", "-o", archive, "--force", "--quiet")
    rows.add(f"unpack one of {count} tensors", ["unpack", archive, "--expert", "x", "--tensors", f"model.layers.{count // 200:04}.mlp.experts.000.weight", "-o", output,
                                                 "--force", "--threads", "1"], output)


def starting(rows):
    rows.runs, runs = 10 * rows.runs, rows.runs
    rows.add("doctor", ["doctor"], None)
    rows.runs = runs


def searching(rows, folder):
    for side in (1024, 2048, 4096):
        place = folder / f"n{side}"
        place.mkdir()
        base, expert = models(place, {"w": (side, side)}, 1)
        output = place / "x.tmpack"
        pack = ["pack", "--base", base, "--expert", f"x={expert}", "--shared", "base", "-o", output, "--force", "--threads", "1"]
        fixed = rows.add(f"pack --rank 16, {side} × {side}", [*pack, "--rank", "16"], output)
        for options in (["--error", "0.7"], ["--error", "0.7", "--objective", "balanced"]):
            # A search may end elsewhere.
            rows.add(f"pack {' '.join(options)}, {side} × {side}", [*pack, *options], output, compares=False,
                     note=lambda cost: f"{cost / fixed:.1f} × rank 16")


def rewriting(rows, folder, experts=500, count=40):
    random = np.random.default_rng(7)
    shape = (32, 32)
    base = {f"layers.{i:03}.weight": ("F32", shape, random.standard_normal(1024).astype("<f4")) for i in range(count)}
    tensors.write(folder / "base.safetensors", base)
    command = [TOOL, "pack", "--base", folder / "base.safetensors", "--shared", "base", "--rank", "8", "--quiet", "-o", folder / "many.tmpack"]
    for number in range(experts + 1):
        path = folder / f"e{number:03}.safetensors"
        tensors.write(path, {n: (d, s, (x + 0.01 * random.standard_normal(1024)).astype("<f4")) for n, (d, s, x) in base.items()})
        command += ["--expert", path] if number < experts else []
    run(*command)
    archive, output = folder / "many.tmpack", folder / "other.tmpack"
    copy, _ = cpu(["sh", "-c", f"cp {archive} {output} && sha256sum {archive}"], rows.runs)
    rows.add(f"remove 1 of {experts} experts", ["remove", archive, "e250", "-o", output, "--force"], output, peer=("cp and sha256sum", copy))
    rows.add(f"add to {experts} experts", ["add", output, f"--expert=new={folder / f'e{experts:03}.safetensors'}", "--rank", "8"], output,
             before=lambda: shutil.copy(archive, output))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=pathlib.Path)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    rows = Rows(options.runs)
    with tempfile.TemporaryDirectory(dir=options.work) as temporary:
        folder = pathlib.Path(temporary)
        base, *experts = models(folder, layers(), 3)
        merging(rows, folder, base, experts)
        quantizing(rows, folder, base)
        digesting(rows, folder, base, experts[0])
        packing(rows, folder)
        many_tensors(rows, folder)
        starting(rows)
        for path in experts:
            path.unlink()
        searching(rows, folder)
        rewriting(rows, folder)
    rows.print()


if __name__ == "__main__":
    main()
