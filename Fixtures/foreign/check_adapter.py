#!/usr/bin/env python3
"""Checks an exported adapter's algebra with NumPy alone: check_adapter.py SHARED ADAPTER UNPACKED.

For each pair of A and B, W + alpha / r * (B A) of the shared weight W must be the unpacked one, to float32's accuracy;
all other tensors must be equal.
"""
import json, os, re, sys
import numpy as np


def load(path):
    with open(path, "rb") as file:
        data = file.read()
    length = int.from_bytes(data[:8], "little")
    tensors = json.loads(data[8:8 + length])
    tensors.pop("__metadata__", None)
    for name, info in tensors.items():
        begin, end = info["data_offsets"]
        kind = {"F32": np.float32, "I64": np.int64}[info["dtype"]]
        tensors[name] = np.frombuffer(data[8 + length + begin:8 + length + end], kind).reshape(info["shape"])
    return tensors


shared, expected = load(sys.argv[1]), load(sys.argv[3])
adapter = load(os.path.join(sys.argv[2], "adapter_model.safetensors"))
with open(os.path.join(sys.argv[2], "adapter_config.json")) as file:
    config = json.load(file)
merged = {name: tensor.astype(np.float64) for name, tensor in shared.items()}
pairs = 0
for name in adapter:
    found = re.fullmatch(r"base_model\.model\.(.*)\.lora_(embedding_)?A(\.weight)?", name)
    if not found:
        continue
    module, embedding, suffix = found.group(1), found.group(2) or "", found.group(3) or ""
    a = adapter[name]
    b = adapter[f"base_model.model.{module}.lora_{embedding}B{suffix}"]
    rank = config.get("rank_pattern", {}).get(module, config["r"])
    alpha = config.get("alpha_pattern", {}).get(module, config["lora_alpha"])
    assert a.shape[0] == rank == b.shape[1], module
    delta = alpha / rank * (b.reshape(len(b), rank).astype(np.float64) @ a.reshape(rank, -1))
    # The checkpoint's name may lack the model's prefix.
    weight = next(n for n in shared if n == module + ".weight" or ("." + module + ".weight").endswith("." + n))
    if embedding or config["fan_in_fan_out"]:
        delta = delta.T
    merged[weight] = merged[weight] + delta.reshape(merged[weight].shape)
    pairs += 1
assert pairs > 0
for name, tensor in expected.items():
    error = np.abs(merged[name] - tensor).max(initial=0) / max(np.abs(tensor).max(initial=0), 1e-3)
    assert error <= 1e-6, f"{name}: {error}"
