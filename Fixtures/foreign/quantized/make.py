#!/usr/bin/env python3
"""Makes the quantised models of this folder, and what their own libraries decode them to.

Each subfolder is a model of one or two modules. `expected.safetensors` has the numbers of all of them, named
FOLDER/TENSOR: by the library that the folder's name begins with where that runs on a CPU; for gptq, awq, modelopt
and what is marked below, by NumPy from the layout that the library documents.

Needs torch 2.15.0, transformers 5.24.0, compressed-tensors 0.20.1, bitsandbytes 0.50.2, torchao 0.18.0, mlx 0.32.4
(with mlx-cpu) and safetensors 0.8.0:  make.py [FOLDER]
"""
import json
import os
import sys

import numpy as np
import torch
from safetensors.torch import save_file

torch.set_num_threads(1)
torch.manual_seed(0)
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
expected = {}


def save(name, tensors, numbers, config=None, metadata=None, dtype="bfloat16"):
    folder = os.path.join(OUT, name)
    os.makedirs(folder, exist_ok=True)
    tensors = {key: tensor.detach().contiguous() for key, tensor in tensors.items()}
    tensors.setdefault("norm.weight", torch.linspace(0.5, 1.5, 8, dtype=torch.bfloat16))
    save_file(tensors, os.path.join(folder, "model.safetensors"), metadata=metadata)
    text = {"model_type": "none", "dtype": dtype} | ({} if config is None else config)
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(text, file, indent=1)
    for key, tensor in numbers.items():
        expected[f"{name}/{key}"] = tensor.detach().contiguous()


def weight(rows, columns, dtype=torch.bfloat16):
    return (torch.randn(rows, columns) * 0.1).to(dtype)


# MARK: compressed-tensors

from compressed_tensors.compressors.base import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme


def compressed(name, form, rows, columns, args, scale_shape, dtype=torch.bfloat16, zero=None, **more):
    scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**args))
    compressor = BaseCompressor.get_value_from_registry(form)
    state = {"weight": weight(rows, columns, dtype), "weight_scale": (torch.rand(scale_shape) * 0.01 + 0.01).to(dtype)}
    if zero is not None:
        state["weight_zero_point"] = torch.randint(*zero, scale_shape, dtype=torch.int8)
    if args["type"] == "float" and args["num_bits"] < 8 or form == "mxfp8-quantized":
        state["weight_scale"] = torch.exp2(torch.randint(-6, -2, scale_shape).float()).to(dtype)
    for key, value in more.items():
        state[key] = value
    if "weight_global_scale" in state:
        state["weight_scale"] = (torch.rand(scale_shape) * 300 + 1).to(torch.float8_e4m3fn).to(torch.float32)
    packed = compressor.compress(dict(state), scheme)
    numbers = compressor.decompress(dict(packed), scheme)["weight"]
    group = {"targets": ["Linear"], "weights": json.loads(scheme.weights.model_dump_json())}
    config = {"quant_method": "compressed-tensors", "format": form, "config_groups": {"group_0": group}}
    save(name, {f"m.{key}": value for key, value in packed.items()}, {"m.weight": numbers},
         {"quantization_config": config})


def integers(bits, strategy, symmetric=True, **more):
    return {"num_bits": bits, "type": "int", "strategy": strategy, "symmetric": symmetric} | more


for bits in range(1, 9):
    low = -(1 << (bits - 1))
    compressed(f"ct-int{bits}-group", "pack-quantized", 12, 96, integers(bits, "group", group_size=32), (12, 3))
    if bits in (3, 4):
        compressed(f"ct-int{bits}-group-zero", "pack-quantized", 12, 96,
                   integers(bits, "group", False, group_size=32), (12, 3), zero=(low, -low))
compressed("ct-int4-channel-zero", "pack-quantized", 10, 70, integers(4, "channel", False), (10, 1), zero=(-8, 8))
compressed("ct-int8-tensor-zero", "pack-quantized", 8, 40, integers(8, "tensor", False), (1,), zero=(-128, 127))
compressed("ct-int8-f32", "pack-quantized", 8, 40, integers(8, "channel"), (8, 1), torch.float32)
compressed("ct-int8-plain", "int-quantized", 8, 40, integers(8, "channel", False), (8, 1), zero=(-128, 127))
floats = {"num_bits": 8, "type": "float", "symmetric": True}
compressed("ct-fp8-channel", "float-quantized", 8, 40, floats | {"strategy": "channel"}, (8, 1))
compressed("ct-fp8-tensor", "float-quantized", 8, 40, floats | {"strategy": "tensor"}, (1,), torch.float16)
compressed("ct-fp8-block", "float-quantized", 20, 24,
           floats | {"strategy": "block", "block_structure": [16, 16]}, (2, 2))
compressed("ct-nvfp4", "nvfp4-pack-quantized", 8, 64,
           {"num_bits": 4, "type": "float", "symmetric": True, "strategy": "tensor_group", "group_size": 16}, (8, 4),
           weight_global_scale=torch.tensor([3517.3]))
for bits, form in ((4, "mxfp4-pack-quantized"), (6, "mxfp6-pack-quantized"), (8, "mxfp8-quantized")):
    compressed(f"ct-mxfp{bits}", form, 8, 64,
               {"num_bits": bits, "type": "float", "symmetric": True, "strategy": "group", "group_size": 32}, (8, 2))

# NumPy: older files have a group for each input.
index = torch.randperm(64) // 16
q = torch.randint(-8, 8, (8, 64))
scale = (torch.rand(8, 4) * 0.01 + 0.01).to(torch.bfloat16)
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32

save("ct-int4-g-idx", {"m.weight_packed": pack_to_int32(q.to(torch.int8), 4), "m.weight_scale": scale,
                       "m.weight_shape": torch.tensor([8, 64]), "m.weight_g_idx": index.to(torch.int32)},
     {"m.weight": (q.float() * scale.float()[:, index]).to(torch.bfloat16)},
     {"quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": {
         "group_0": {"targets": ["Linear"], "weights": integers(4, "group", group_size=16)}}}})

# MARK: transformers

from transformers.integrations.finegrained_fp8 import Fp8Dequantize
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

fp8 = Fp8Dequantize(None)


def fp8_config(*block):
    return {"quantization_config": {"quant_method": "fp8", "weight_block_size": list(block)}}


codes = weight(256, 128).float().mul(1000).to(torch.float8_e4m3fn)[:32, :48].contiguous()
scale = torch.rand(2, 3) * 0.001
save("transformers-fp8-block", {"m.weight": codes, "m.weight_scale_inv": scale},
     {"m.weight": fp8._dequantize_one(codes, scale, torch.bfloat16)}, fp8_config(16, 16))
# NumPy: the library takes other blocks where the last one is smaller.
codes = (weight(20, 40).float() * 1000).to(torch.float8_e4m3fn)
scale = torch.rand(2, 3) * 0.001
full = scale.repeat_interleave(16, 0).repeat_interleave(16, 1)[:20, :40]
save("transformers-fp8-ragged", {"m.weight": codes, "m.weight_scale_inv": scale},
     {"m.weight": (codes.float() * full).to(torch.bfloat16)}, fp8_config(16, 16))
codes = (torch.randn(2, 32, 48) * 100).to(torch.float8_e4m3fn)
scale = torch.rand(2, 2, 3) * 0.001
save("transformers-fp8-experts", {"experts.gate_up_proj": codes, "experts.gate_up_proj_scale_inv": scale},
     {"experts.gate_up_proj": fp8._dequantize_one(codes, scale, torch.bfloat16)}, fp8_config(16, 16))
scale = torch.randint(115, 122, (2, 3), dtype=torch.uint8)
codes = (torch.randn(32, 48) * 100).to(torch.float8_e4m3fn)
save("transformers-fp8-e8m0", {"m.weight": codes, "m.weight_scale_inv": scale.view(torch.float8_e8m0fnu)},
     {"m.weight": fp8._dequantize_one(codes, scale, torch.bfloat16)}, fp8_config(16, 16))
codes = torch.randint(-128, 128, (8, 32), dtype=torch.int8)
scale = torch.rand(8, 2) * 0.01
save("transformers-fp4-experts", {"m.weight": codes, "m.weight_scale_inv": scale},
     {"m.weight": fp8._dequantize_one(codes, scale, torch.bfloat16)}, fp8_config(128, 128))
blocks = torch.randint(0, 256, (2, 6, 2, 16), dtype=torch.uint8)
scales = torch.randint(110, 125, (2, 6, 2), dtype=torch.uint8)
scales[0, 0, 0] = 0
numbers = convert_moe_packed_tensors(blocks, scales)
save("transformers-gpt-oss", {"experts.gate_up_proj_blocks": blocks, "experts.gate_up_proj_scales": scales,
                              "experts.gate_up_proj_bias": torch.zeros(2, 6, dtype=torch.bfloat16)},
     {"experts.gate_up_proj": numbers}, {"quantization_config": {"quant_method": "mxfp4"}})

# NumPy: ComfyUI keeps a scale for the tensor.
codes = (torch.randn(8, 40) * 100).to(torch.float8_e5m2)
scale = torch.tensor(0.0123)
save("comfyui-fp8", {"m.weight": codes, "m.scale_weight": scale, "scaled_fp8": torch.zeros(2).to(torch.float8_e5m2)},
     {"m.weight": (codes.float() * scale).to(torch.bfloat16)})

# MARK: bitsandbytes

import bitsandbytes.functional as bnb

for kind in ("nf4", "fp4"):
    for nested in (False, True):
        for dtype in (torch.bfloat16, torch.float32) if not nested else (torch.float16,):
            data, state = bnb.quantize_4bit(weight(12, 128, dtype), blocksize=64, compress_statistics=nested,
                                            quant_type=kind)
            name = f"bitsandbytes-{kind}{'-double' if nested else ''}-{str(dtype)[6:]}"
            save(name, {"m.weight": data} | {f"m.weight.{k}": v for k, v in state.as_dict(packed=True).items()},
                 {"m.weight": bnb.dequantize_4bit(data, state)},
                 {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}})
# NumPy: an odd number of elements, and rows that are not whole blocks.
data, state = bnb.quantize_4bit(weight(9, 35), blocksize=64, quant_type="nf4")
flat = data.flatten()
nibbles = torch.stack([flat >> 4, flat & 15], 1).flatten()[: 9 * 35].long()
numbers = state.code[nibbles] * state.absmax.repeat_interleave(64)[: 9 * 35]
save("bitsandbytes-nf4-odd", {"m.weight": data} | {f"m.weight.{k}": v for k, v in state.as_dict(packed=True).items()},
     {"m.weight": numbers.reshape(9, 35).to(torch.bfloat16)},
     {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}})
data, rows, _ = bnb.int8_vectorwise_quant(weight(8, 40, torch.float16))
save("bitsandbytes-int8", {"m.weight": data, "m.SCB": rows, "m.weight_format": torch.tensor(0, dtype=torch.uint8)},
     {"m.weight": bnb.int8_vectorwise_dequant(data, rows).to(torch.float16)},
     {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}, dtype="float16")

# MARK: torchao

from torchao.prototype.safetensors.safetensors_support import flatten_tensor_state_dict
from torchao.quantization import (Float8WeightOnlyConfig, Int8WeightOnlyConfig, IntxWeightOnlyConfig, PerGroup,
                                  quantize_)

for name, config, dtype in (
        ("int8", Int8WeightOnlyConfig(), torch.bfloat16),
        ("float8", Float8WeightOnlyConfig(), torch.bfloat16),
        ("int4", IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(16)), torch.float32),
):
    model = torch.nn.ModuleDict({"m": torch.nn.Linear(48, 8, bias=False, dtype=dtype)})
    quantize_(model, config)
    tensors, metadata = flatten_tensor_state_dict({"m.weight": model["m"].weight.detach()})
    save(f"torchao-{name}", tensors, {"m.weight": model["m"].weight.dequantize()},
         {"quantization_config": {"quant_method": "torchao"}}, metadata)

# MARK: MLX

import mlx.core as mx


def torched(array):
    kind = {mx.bfloat16: torch.bfloat16, mx.float16: torch.float16}.get(array.dtype)
    if kind is None:
        return torch.from_numpy(np.array(array))
    return torch.from_numpy(np.array(array.view(mx.uint16))).view(kind)


def mlx_config(bits, group, mode, **more):
    settings = {"bits": bits, "group_size": group, "mode": mode} | more
    return {"quantization": settings, "quantization_config": settings}


for bits, group, dtype in ((2, 32, mx.bfloat16), (3, 64, mx.float16), (4, 64, mx.bfloat16), (5, 32, mx.float32),
                           (6, 64, mx.bfloat16), (8, 128, mx.float16)):
    w = mx.random.normal((8, 128)).astype(dtype)
    q, s, b = mx.quantize(w, group, bits)
    numbers = mx.dequantize(q, s, b, group, bits)
    save(f"mlx-affine-{bits}", {"m.weight": torched(q), "m.scales": torched(s), "m.biases": torched(b)},
         {"m.weight": torched(numbers)},
         mlx_config(4, 64, "affine", m={"bits": bits, "group_size": group}))
for mode, bits, group in (("mxfp4", 4, 32), ("nvfp4", 4, 16), ("mxfp8", 8, 32)):
    q, s = mx.quantize(mx.random.normal((8, 128)).astype(mx.bfloat16), group, bits, mode)
    save(f"mlx-{mode}", {"m.weight": torched(q), "m.scales": torched(s)},
         {"m.weight": torched(mx.dequantize(q, s, None, group, bits, mode))}, mlx_config(bits, group, mode))

# MARK: GPTQ, AWQ, ModelOpt: NumPy


def stream(codes, bits):
    """Codes along the last dimension as a stream of words."""
    flat = ((codes[..., None] >> np.arange(bits)) & 1).reshape(*codes.shape[:-1], -1).astype(np.uint8)
    flat = np.concatenate([flat, np.zeros((*flat.shape[:-1], -flat.shape[-1] % 32), np.uint8)], -1)
    return np.packbits(flat, -1, bitorder="little").view(np.int32)


def planes(codes, bits):
    codes = np.concatenate([codes, np.zeros((*codes.shape[:-1], -codes.shape[-1] % 32), codes.dtype)], -1)
    blocks = codes.reshape(*codes.shape[:-1], -1, 32)
    words, taken = [], 0
    for width in (4, 2, 1):
        if bits & width:
            words.append(stream(blocks >> taken & ((1 << width) - 1), width))
            taken += width
    return np.concatenate(words, -1).reshape(*codes.shape[:-1], -1)


rng = np.random.default_rng(0)


def gptq(name, bits, form, ordered=True, inputs=96, outputs=40, groups=3, key="checkpoint_format"):
    q = rng.integers(0, 1 << bits, (outputs, inputs))
    z = rng.integers(0, 1 << bits, (groups, outputs))
    s = (rng.random((groups, outputs)) * 0.01 + 0.01).astype(np.float16)
    index = np.arange(inputs) // (-(-inputs // groups))
    if not ordered:
        index = rng.permutation(index)
    planar = bits in (5, 6, 7) or form == "gptq_p" and bits == 3
    pack = planes if planar else stream
    stored = pack(z, bits)
    if form == "gptq":
        if bits in (2, 4, 8):
            ones = {2: 0x55555555, 4: 0x11111111, 8: 0x01010101}[bits]
            stored = (stored.view(np.uint32) - np.uint32(ones)).view(np.int32)
        else:
            stored = pack((z - 1) & ((1 << bits) - 1), bits)
    numbers = ((q - z.T[:, index]).astype(np.float32) * s.T[:, index].astype(np.float32)).astype(np.float16)
    config = {"quant_method": "gptq", "bits": bits, "group_size": -(-inputs // groups), key: form}
    tensors = {"m.qweight": pack(q, bits).T.copy(), "m.qzeros": stored, "m.scales": s,
               "m.g_idx": index.astype(np.int32)}
    save(name, {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in tensors.items()},
         {"m.weight": torch.from_numpy(numbers)}, {"quantization_config": config}, dtype="float16")


for bits in range(2, 9):
    gptq(f"gptq-{bits}", bits, "gptq")
    gptq(f"gptq-{bits}-v2", bits, "gptq_v2", ordered=bits % 2 == 0, key="format")
gptq("gptq-3-planar", 3, "gptq_p")
gptq("gptq-4-odd", 4, "gptq", inputs=90)


def awq(name, bits, version):
    q, z = rng.integers(0, 1 << bits, (48, 64)), rng.integers(0, 1 << bits, (48, 2))
    s = (rng.random((48, 2)) * 0.01 + 0.01).astype(np.float16)
    index = np.arange(64) // 32
    numbers = ((q - z[:, index]).astype(np.float32) * s[:, index].astype(np.float32)).astype(np.float16)
    if version == "gemv":
        pad = np.zeros((48, 6), z.dtype)
        tensors = {"m.qweight": stream(q, 4), "m.qzeros": stream(np.concatenate([z, pad], 1), 4),
                   "m.scales": np.concatenate([s, pad.astype(np.float16)], 1)}
    else:
        order = np.array([0, 2, 4, 6, 1, 3, 5, 7]) if bits == 4 else np.arange(8)
        shuffled = (np.arange(48).reshape(-1, 8)[:, order]).reshape(-1)
        tensors = {"m.qweight": stream(q.T[:, shuffled], bits), "m.qzeros": stream(z.T[:, shuffled], bits),
                   "m.scales": s.T}
    config = {"quant_method": "awq", "bits": bits, "group_size": 32, "version": version, "zero_point": True}
    save(name, {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in tensors.items()},
         {"m.weight": torch.from_numpy(numbers)}, {"quantization_config": config}, dtype="float16")


for bits in (2, 3, 4, 8):
    awq(f"awq-{bits}", bits, "gemm")
awq("awq-gemv", 4, "gemv")

e2m1 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])
codes = torch.from_numpy(rng.integers(0, 256, (8, 32)).astype(np.uint8))
scale = (torch.rand(8, 4) * 300 + 1).to(torch.float8_e4m3fn)
outer = torch.tensor(0.00031)
numbers = e2m1[torch.stack([codes & 15, codes >> 4], -1).reshape(8, 64).long()]
numbers = numbers * (scale.float() * outer).repeat_interleave(16, 1)
save("modelopt-nvfp4", {"m.weight": codes, "m.weight_scale": scale, "m.weight_scale_2": outer,
                        "m.input_scale": torch.tensor(0.5)},
     {"m.weight": numbers.to(torch.bfloat16)}, {"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}})

save_file(expected, os.path.join(OUT, "expected.safetensors"))
