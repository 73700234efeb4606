#!/usr/bin/env python3
"""Makes Fixtures/foreign/gguf again with the library `gguf` (PyPI), or tells what the library reads in a file.

    make_gguf.py                        every FILE.gguf, and FILE.json with what the library reads in it
    make_gguf.py --describe FILE.gguf   that JSON for any file, on standard output

The JSON has no floating-point numbers: elements are the hexadecimal bytes of what they are read as (quantised ones of
`gguf.quants.dequantize`'s float32), floats among the metadata those of their little-endian bytes.
"""
import json
import pathlib
import struct
import sys

import numpy as np
import gguf
from safetensors.numpy import load_file
from gguf import GGMLQuantizationType as Q, GGUFEndian, GGUFReader, GGUFValueType as V, GGUFWriter

HERE = pathlib.Path(__file__).parent / "gguf"
PLAIN = {Q.F32, Q.F16, Q.F64, Q.BF16, Q.I8, Q.I16, Q.I32, Q.I64}


def text(value, type):
    if type == V.FLOAT32:
        return struct.pack("<f", value).hex()
    if type == V.FLOAT64:
        return struct.pack("<d", value).hex()
    return {True: "true", False: "false"}[value] if type == V.BOOL else str(value)


def describe(path):
    reader = GGUFReader(path)
    metadata = []
    for key, field in reader.fields.items():
        if key.startswith("GGUF."):
            continue
        value = field.contents()
        types = " ".join(t.name for t in field.types)
        if field.types[0] == V.ARRAY:
            # The library reads arrays in arrays as if they were one.
            value = "|".join(text(v, field.types[-1]) for v in value)
        else:
            value = text(value, field.types[0])
        metadata.append(f"{key} = {types} {value}")
    tensors = {}
    for t in reader.tensors:
        data = t.data
        if t.tensor_type not in PLAIN:
            data = gguf.quants.dequantize(data, t.tensor_type).astype("<f4")
        elif reader.endianess == GGUFEndian.BIG:
            data = data.view("u2").byteswap() if t.tensor_type == Q.BF16 else data.astype(data.dtype.newbyteorder("<"))
        tensors[t.name] = {
            "type": t.tensor_type.name,
            "dtype": t.tensor_type.name if t.tensor_type in PLAIN else "F32",
            "shape": [int(n) for n in reversed(t.shape.tolist())],
            "bytes": data.tobytes().hex(),
        }
    return {"metadata": metadata, "tensors": tensors}


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def writer(name, **more):
    return GGUFWriter(HERE / f"{name}.gguf", "bert", **more)


def plain(name, rng, alignment=None, **more):
    w = writer(name, **more)
    if alignment:
        w.add_custom_alignment(alignment)
    w.add_name("Größe 名 😀")
    w.add_uint8("t.u8", 255)
    w.add_int8("t.i8", -128)
    w.add_uint16("t.u16", 65535)
    w.add_int16("t.i16", -32768)
    w.add_uint32("t.u32", 2**32 - 1)
    w.add_int32("t.i32", -(2**31))
    w.add_uint64("t.u64", 2**64 - 1)
    w.add_int64("t.i64", -(2**63))
    w.add_float32("t.f32", 1e-5)
    w.add_float64("t.f64", 0.1)
    w.add_bool("t.yes", True)
    w.add_bool("t.no", False)
    for type in ["UINT8", "INT8", "UINT16", "INT16", "UINT32", "INT32", "UINT64", "INT64"]:
        w.add_key_value(f"t.array.{type.lower()}", [0, 1, 127], V.ARRAY, V[type])
    w.add_key_value("t.array.float32", [0.5, -1e30], V.ARRAY, V.FLOAT32)
    w.add_key_value("t.array.float64", [0.1, 1e300], V.ARRAY, V.FLOAT64)
    w.add_array("t.array.bool", [True, False, True])
    w.add_array("tokenizer.ggml.tokens", ["", "a", "▁the", "a longer token, beyond fifteen bytes"])
    w.add_array("t.array.array", [[1, 2, 3], [4], [5, 6]])
    for dtype in ["f4", "f2", "f8"]:
        w.add_tensor(f"t.{dtype}", rng.standard_normal((3, 5)).astype(dtype))
    for dtype in ["i1", "i2", "i4", "i8"]:
        bounds = np.iinfo(dtype)
        w.add_tensor(f"t.{dtype}", rng.integers(bounds.min, bounds.max, (2, 3), dtype))
    brain = gguf.quants.quantize(rng.standard_normal((4, 6)).astype("f4"), Q.BF16)
    if w.endianess == GGUFEndian.BIG:
        brain = brain.view("u2").byteswap().view("u1")
    w.add_tensor("t.bf16", brain, raw_dtype=Q.BF16)
    w.add_tensor("four.dims", np.arange(2 * 3 * 4 * 5, dtype="f4").reshape(2, 3, 4, 5))
    w.add_tensor("vector", np.arange(7, dtype="f4"))
    w.add_tensor("scalar", np.array(2.5, dtype="f4"))
    w.add_tensor("层.权重", np.float32([[1, np.inf], [-np.inf, -0.0]]))
    finish(w)


# Where half-precision scales are in a block, so that random bytes do not give NaN.
HALVES = EARLIER = {
    Q.Q4_0: [0], Q.Q4_1: [0, 2], Q.Q5_0: [0], Q.Q5_1: [0, 2], Q.Q8_0: [0], Q.Q2_K: [80, 82], Q.Q3_K: [108],
    Q.Q4_K: [0, 2], Q.Q5_K: [0, 2], Q.Q6_K: [208], Q.IQ4_NL: [0], Q.IQ4_XS: [0], Q.TQ1_0: [52], Q.TQ2_0: [64],
    Q.MXFP4: [],
}  # fmt: skip


def random_blocks(rng, type, rows, blocks):
    elements, size = gguf.GGML_QUANT_SIZES[type]
    data = rng.integers(0, 256, (rows, blocks, size), "u1")
    for place in HALVES[type]:
        scale = rng.standard_normal((rows, blocks)) * 10.0 ** rng.integers(-7, 3, (rows, blocks))
        data[..., place : place + 2] = scale.astype("<f2")[..., None].view("u1")
    return data.reshape(rows, blocks * size)


def quantized(rng):
    w = writer("quantized")
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    for type in EARLIER:
        elements, _ = gguf.GGML_QUANT_SIZES[type]
        w.add_tensor(f"random.{type.name}", random_blocks(rng, type, 2, 64 // elements or 1), raw_dtype=type)
        try:
            data = gguf.quants.quantize(rng.standard_normal((1, elements)).astype("f4"), type)
        except NotImplementedError:
            continue
        w.add_tensor(f"normal.{type.name}", data, raw_dtype=type)
    finish(w)


# Elements that are points of a grid, and others that came later.
LATER = {
    Q.IQ2_XXS: [0], Q.IQ2_XS: [0], Q.IQ2_S: [0], Q.IQ3_XXS: [0], Q.IQ3_S: [0], Q.IQ1_S: [0], Q.IQ1_M: [], Q.NVFP4: [],
}  # fmt: skip
HALVES = EARLIER | LATER


def later(rng):
    w = writer("later")
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    for type in LATER:
        data = random_blocks(rng, type, 2, 2)
        if type == Q.IQ1_M:
            # The highest four bits of the scale are those of the last byte: never infinity.
            data.reshape(2, 2, -1)[..., -1] &= 0xBF
        w.add_tensor(f"random.{type.name}", data, raw_dtype=type)
    finish(w)


def signs():
    """What make_ggml.py made, which the library does not decode."""
    w = writer("signs")
    w.add_tensor("signs", load_file(HERE / "ggml.safetensors")["q1_0"], raw_dtype=Q.Q1_0)
    finish(w)


def weights(rng):
    """Values, and what the library makes of them when it quantises."""
    rows = rng.standard_normal((12, 64)).astype("f4")
    rows[0] = 0
    rows[1] *= 1e-30
    rows[2] *= 1e5
    rows[3] = np.arange(64) - 31.5  # halves after scaling by a power of two
    rows[4, :32] = np.linspace(-127, 127, 32) + 0.5
    rows[4, 5] = 127
    rows[5] = 0
    rows[5, 40] = -3
    rows[6] = np.tile([1, -1], 32)  # which of two equal magnitudes comes first
    rows[7] = -rows[6]
    rows[8] = rng.integers(-8, 9, 64) + 0.5
    rows[8, ::32] = -8
    rows[9] *= np.float32(1e-6)  # a subnormal half for a scale
    rows[11] *= np.float32(1e-4)
    rows[10] = 1e-9
    w = writer("weights")
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    w.add_tensor("weights", rows)
    for type in [Q.Q8_0, Q.Q4_0]:
        w.add_tensor(f"weights.{type.name}", gguf.quants.quantize(rows, type), raw_dtype=type)
    finish(w)


def refused(rng):
    w = writer("q8_1.refused")
    w.add_tensor("blk.0.attn_q.weight", rng.integers(0, 256, (1, 40), "u1"), raw_dtype=Q.Q8_1)
    finish(w)


def main():
    if sys.argv[1:2] == ["--describe"]:
        json.dump(describe(sys.argv[2]), sys.stdout, ensure_ascii=False)
        return
    HERE.mkdir(exist_ok=True)
    rng = np.random.default_rng(4)
    plain("plain", rng)
    plain("aligned_to_256", rng, alignment=256)
    plain("version_2", rng)
    # As "plain", in the other order of bytes.
    plain("big_endian", np.random.default_rng(4), endianess=GGUFEndian.BIG)
    with open(HERE / "version_2.gguf", "r+b") as file:
        file.seek(4)
        file.write(struct.pack("<I", 2))
    quantized(rng)
    weights(rng)
    refused(rng)
    later(np.random.default_rng(5))
    signs()
    for path in sorted(HERE.glob("*.gguf")):
        if not path.name.endswith((".refused.gguf", "signs.gguf")):
            path.with_suffix(".json").write_text(json.dumps(describe(path), ensure_ascii=False, indent=0) + "\n")


main()
