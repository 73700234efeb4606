#!/usr/bin/env python3
"""The usual lossless delta: XOR with the base, byte planes, zstd level 19, in frames of 1 MiB.

    xor_zstd.py BASE EXPERT [LEVEL]     prints bytes in, bytes out
"""
import ctypes, ctypes.util, sys
import numpy as np
import tensors

zstd = ctypes.CDLL(ctypes.util.find_library("zstd"))
zstd.ZSTD_compress.restype = zstd.ZSTD_compressBound.restype = ctypes.c_size_t
zstd.ZSTD_compress.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
zstd.ZSTD_compressBound.argtypes = [ctypes.c_size_t]


def compressed(data, level):
    target = ctypes.create_string_buffer(zstd.ZSTD_compressBound(len(data)))
    return min(len(data), zstd.ZSTD_compress(target, len(target), data, len(data), level))


def size(pairs, level=19, frame=1 << 20):
    taken = given = 0
    for base, expert in pairs:
        given += expert.nbytes
        lanes = base ^ expert
        step = frame // lanes.itemsize
        for start in range(0, len(lanes), step):
            planes = lanes[start:start + step].view(np.uint8).reshape(-1, lanes.itemsize).T
            taken += compressed(np.ascontiguousarray(planes).tobytes(), level)
    return given, taken


if __name__ == "__main__":
    base, expert = map(tensors.read, sys.argv[1:3])
    print(*size(tensors.changed(base, expert), *map(int, sys.argv[3:])))
