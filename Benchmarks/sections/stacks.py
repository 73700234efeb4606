"""A layer's experts as one tensor of three dimensions against the same matrices one by one: bytes and CPU at equal error, and memory.

    python3 Benchmarks/sections/stacks.py            16 experts of 288 × 160, three errors
    python3 Benchmarks/sections/stacks.py --large    one stack of 2 GB in BF16: memory against 2-D tensors of its matrices
    python3 Benchmarks/sections/stacks.py --trained  a small Qwen3-MoE, fine-tuned on the spot: what it still knows

Each expert's matrices, gate and up side by side, change by directions ∝ 1/k. Needs numpy and ml_dtypes; `--trained` torch and
transformers 5, and some minutes.
"""
import argparse, pathlib, sys, tempfile
import ml_dtypes
import numpy as np

import paths  # noqa: F401, before what it makes findable
from measure import machine, table, tool


def change(random, rows, columns, rank=None):
    rank = rank or min(rows, columns)
    left, right = (np.linalg.qr(random.standard_normal((side, rank)))[0] for side in (rows, columns))
    value = (left / np.arange(1, rank + 1)) @ right.T
    return value * (0.001 * (rows * columns) ** 0.5 / np.linalg.norm(value))


def save(path, tensors):
    """Safetensors, written as they come."""
    import json
    header, offset = {}, 0
    for name, (shape, _) in tensors.items():
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, parts in tensors.values():
            for part in parts():
                file.write(part.astype(ml_dtypes.bfloat16).tobytes())


def models(folder, experts, hidden, inner, layers, rank, seed=3):
    """b3, f3: stacks; b2, f2: their matrices, gate and up apart."""
    def matrix(layer, kind, expert, tuned):
        rows, columns = (2 * inner, hidden) if kind == "gate_up_proj" else (hidden, inner)
        random = np.random.default_rng([seed, layer, len(kind), expert])
        value = (random.standard_normal((rows, columns)) * 0.02).astype(ml_dtypes.bfloat16).astype(np.float32)
        return value + change(random, rows, columns, rank) if tuned else value
    for tuned, prefix in ((False, "b"), (True, "f")):
        stacks, apart = {}, {}
        for layer in range(layers):
            for kind in ("gate_up_proj", "down_proj"):
                shape = (experts, 2 * inner, hidden) if kind == "gate_up_proj" else (experts, hidden, inner)
                name = f"model.layers.{layer}.mlp.experts"
                stacks[f"{name}.{kind}"] = shape, lambda l=layer, k=kind: (matrix(l, k, e, tuned) for e in range(experts))
                for expert in range(experts):
                    halves = ("gate_proj", "up_proj") if kind == "gate_up_proj" else ("down_proj",)
                    for number, half in enumerate(halves):
                        own = slice(number * inner, (number + 1) * inner) if len(halves) == 2 else slice(None)
                        apart[f"{name}.{expert}.{half}.weight"] = (
                            (inner, hidden) if len(halves) == 2 else (hidden, inner),
                            lambda l=layer, k=kind, e=expert, o=own: [matrix(l, k, e, tuned)[o]])
        save(folder / f"{prefix}3.safetensors", stacks)
        save(folder / f"{prefix}2.safetensors", apart)


def packed(folder, kind, *options, runs=3):
    summary, cost = tool("pack", "--base", folder / f"b{kind}.safetensors", "--expert", f"x={folder / f'f{kind}.safetensors'}",
                         "--shared", "base", "--detached", "--threads", "1", *options, "-o", folder / f"{kind}.tmpack", "--force",
                         runs=runs)
    return tool("inspect", folder / f"{kind}.tmpack")[0]["experts"][0], cost


def trained(seeds=2):
    """Scores, and KL(fine-tune ‖ rebuilt) in nats, of the same fine-tunes with a tensor for all experts and with one for each."""
    import small_moe
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        sums = {}
        for seed in range(seeds):
            small_moe.make(folder, seed=seed)
            own = small_moe.load(folder / "tuned-2d")
            before = small_moe.answers(own, small_moe.TIMES)
            for quality in ("medium", "high"):
                for kind in ("2d", "3d"):
                    archive, rebuilt = folder / f"{kind}.tmpack", folder / f"rebuilt-{kind}"
                    tool("pack", "--base", folder / f"base-{kind}", "--expert", f"x={folder / f'tuned-{kind}'}", "--shared", "base",
                         "--quality", quality, "-o", archive, "--force")
                    tool("unpack", archive, "--expert", "x", "-o", rebuilt, "--force")
                    expert, model = tool("inspect", archive)[0]["experts"][0], small_moe.load(rebuilt)
                    after = small_moe.answers(model, small_moe.TIMES)
                    kl = (before.exp() * (before - after)).sum(-1).mean().item()
                    share = small_moe.share(model, small_moe.TIMES) / small_moe.share(own, small_moe.TIMES)
                    sums.setdefault((quality, kind), []).append((expert["bytes"], expert["error"], share, kl))
        for (quality, kind), found in sums.items():
            size, error, share, kl = np.mean(found, axis=0)
            rows.append([quality, kind, f"{size:.0f}", f"{error:.3f}", f"{100 * share:.1f} %", f"{kl:.3f}"])
    print(table(["--quality", "experts' tensors", "bytes", "error", "of the fine-tune's score", "KL"], rows))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--trained", action="store_true")
    options = parser.parse_args()
    if options.trained:
        return trained()
    large = options.large
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        models(folder, *((64, 2048, 2688, 1, 8) if large else (16, 288, 160, 2, None)))
        rows = []
        for options in (("--rank", "8"), ("--quality", "low")) if large else tuple(("--error", e) for e in ("0.6", "0.45", "0.3")):
            (apart, before), (stack, now) = (packed(folder, kind, *options, runs=1 if large else 3) for kind in (2, 3))
            rows.append([" ".join(options), apart["bytes"], stack["bytes"], f"{stack['bytes'] / apart['bytes']:.2f}",
                         f"{apart['error']:.4f}", f"{stack['error']:.4f}", f"{now.cpu / before.cpu:.2f}",
                         f"{before.memory:.0f}", f"{now.memory:.0f}"])
        print(machine() + "\n")
        print(table(["options", "matrices, bytes", "stack, bytes", "ratio", "error", "error", "CPU, ratio", "memory, MB", "memory, MB"],
                    rows))


main()
