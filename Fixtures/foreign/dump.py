#!/usr/bin/env python3
"""Tells what the real libraries read in files, as `expected.json` tells it: dump.py FILE… > JSON

The suffix says which library: safetensors, torch (.pt), numpy (.npz), gguf. Quantised tensors of GGUF are given as F32;
make_gguf.py --describe tells their types.
"""
import json
import sys

NAMES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32",
    "int16": "I16", "int8": "I8", "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64", "bool": "BOOL",
    "complex64": "C64",
}


def entry(dtype, shape, data):
    return {"dtype": dtype, "shape": [int(n) for n in shape], "hex": bytes(data).hex()}


def read_safetensors(path):
    import safetensors
    with open(path, "rb") as file:
        for name, t in safetensors.deserialize(file.read()):
            yield name, entry(t["dtype"], t["shape"], t["data"])


def read_torch(path):
    import torch
    for name, t in torch.load(path, weights_only=True).items():
        raw = t.contiguous().view(torch.int16) if t.dtype == torch.bfloat16 else t
        yield name, entry(NAMES[str(t.dtype).split(".")[1]], t.shape, raw.numpy().tobytes())


def read_numpy(path):
    import numpy
    for name, t in numpy.load(path).items():
        yield name, entry(NAMES[t.dtype.name], t.shape, t.tobytes())


def read_gguf(path):
    import gguf
    for t in gguf.GGUFReader(path).tensors:
        dtype, data = t.tensor_type.name, t.data
        if dtype not in NAMES.values():
            dtype, data = "F32", gguf.quants.dequantize(data, t.tensor_type).astype("<f4")
        yield t.name, entry(dtype, reversed(t.shape.tolist()), data.tobytes())


READERS = {"safetensors": read_safetensors, "pt": read_torch, "npz": read_numpy, "gguf": read_gguf}


def ties(path):
    """Of a file of PyTorch: which tensors are one in memory; to each but the first, by name, the first."""
    if not path.endswith(".pt"):
        return {}
    import torch
    first, found = {}, {}
    for name, t in sorted(torch.load(path, weights_only=True).items(), key=lambda item: item[0].encode()):
        if t.numel():
            place = t.data_ptr(), t.dtype, t.shape, t.stride()
            if place in first:
                found[name] = first[place]
            first.setdefault(place, name)
    return found


json.dump({"files": {path: {"tensors": dict(READERS[path.rsplit(".", 1)[1]](path)), "ties": ties(path)}
                     for path in sys.argv[1:]}}, sys.stdout, ensure_ascii=False)
