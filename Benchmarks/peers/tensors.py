"""Reads safetensors files as arrays of unsigned integers, and pairs the tensors of an expert with those of its base."""
import json, pathlib, struct
import numpy as np

LANES = {"F64": "<u8", "I64": "<u8", "F32": "<u4", "I32": "<u4", "F16": "<u2", "BF16": "<u2"}


def read(path):
    """Name to (dtype, shape, lanes)."""
    data = memoryview(pathlib.Path(path).read_bytes())
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(bytes(data[8:8 + size]))
    header.pop("__metadata__", None)
    tensors = {}
    for name, info in header.items():
        start, end = (8 + size + x for x in info["data_offsets"])
        tensors[name] = (info["dtype"], info["shape"], np.frombuffer(data[start:end], LANES.get(info["dtype"], "u1")))
    return tensors


def write(path, tensors):
    header, body = {}, b""
    for name, (dtype, shape, lanes) in sorted(tensors.items()):
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + lanes.nbytes]}
        body += lanes.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + body)


def changed(base, expert):
    """Pairs of lanes of the tensors that both have, of one dtype and shape, and that differ."""
    for name, (dtype, shape, lanes) in sorted(expert.items()):
        if name in base and base[name][:2] == (dtype, shape) and not np.array_equal(base[name][2], lanes):
            yield base[name][2], lanes


def to_bf16(lanes):
    """Rounds binary32 bits to bfloat16, to nearest even."""
    return ((lanes + 0x7FFF + (lanes >> 16 & 1)) >> 16).astype("<u2")
