"""What ggml itself makes of numbers: gguf/ggml.safetensors, by ggml_quantize_chunk of the library in xllamacpp 2026.10.11549."""
import ctypes
import glob
import os
import pathlib

import numpy as np
import xllamacpp
from safetensors.numpy import save_file

# number in ggml, elements and bytes of a block
TYPES = {
    "q4_0": (2, 32, 18), "q4_1": (3, 32, 20), "q5_0": (6, 32, 22), "q5_1": (7, 32, 24), "q8_0": (8, 32, 34),
    "q4_k": (12, 256, 144), "q5_k": (13, 256, 176), "q6_k": (14, 256, 210), "mxfp4": (39, 32, 17),
    "tq1_0": (34, 256, 54), "tq2_0": (35, 256, 66),
}
# Types that ggml quantises otherwise where it is told how much each column counts.
WEIGHTED = ["q4_0", "q4_1", "q5_0", "q5_1", "q4_k", "q5_k", "q6_k"]

library = ctypes.CDLL(glob.glob(os.path.join(os.path.dirname(xllamacpp.__file__), "*.so"))[0])
quantize = library.ggml_quantize_chunk
quantize.restype = ctypes.c_size_t
quantize.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p]

random = np.random.default_rng(1)
x = random.standard_normal((12, 256)).astype(np.float32)
x[1], x[2] = 0, 1.5
x[3] = np.abs(x[3]) + 3
x[4] *= 1e-6
x[5] = np.exp(2 * random.standard_normal(256)) * np.sign(x[5])
x[6, ::7] = 100
x[7] = np.round(4 * x[7])
x[8] = -np.abs(x[8]) - 1
x[9, :128] = 0
x[10] *= 3000
x[11] *= 1e-30
tensors = {"x": x}
for name, (number, elements, size) in TYPES.items():
    blocks = np.zeros(x.size // elements * size, np.uint8)
    library.ggml_quantize_init(number)
    assert quantize(number, x.ctypes.data, blocks.ctypes.data, 0, *x.shape, None) == blocks.size
    tensors[name] = blocks
tensors["importance"] = np.exp(2 * random.standard_normal(256)).astype(np.float32)
tensors["importance"][5:9] = 0
for name in WEIGHTED:
    number, elements, size = TYPES[name]
    blocks = np.zeros(x.size // elements * size, np.uint8)
    assert quantize(number, x.ctypes.data, blocks.ctypes.data, 0, *x.shape, tensors["importance"].ctypes.data) == blocks.size
    tensors[f"{name}.weighted"] = blocks
# What gguf-py does not decode.
tensors["q1_0"] = random.integers(0, 256, (4, 18), np.uint8)
tensors["q1_0"][:, 1] &= 0x7B
decoded = np.zeros((4, 128), np.float32)
library.dequantize_row_q1_0.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
library.dequantize_row_q1_0(tensors["q1_0"].ctypes.data, decoded.ctypes.data, decoded.size)
tensors["q1_0.decoded"] = decoded
save_file(tensors, pathlib.Path(__file__).parent / "gguf/ggml.safetensors")
