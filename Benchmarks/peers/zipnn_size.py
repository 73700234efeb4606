#!/usr/bin/env python3
"""ZipNN (pip install zipnn), if it is there: each tensor by itself, and XOR with the base.

    zipnn_size.py BASE EXPERT           prints bytes in, bytes out alone, bytes out of the XOR
"""
import sys
import tensors

TYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}


def sizes(base, expert):
    from zipnn import ZipNN
    given = alone = delta = 0
    for name, (dtype, shape, lanes) in sorted(expert.items()):
        if dtype not in TYPES or name not in base or base[name][:2] != (dtype, shape):
            continue
        coder = ZipNN(input_format="byte", bytearray_dtype=TYPES[dtype])
        given += lanes.nbytes
        # It compresses in place.
        alone += len(coder.compress(bytearray(lanes.tobytes())))
        delta += len(coder.compress(bytearray((lanes ^ base[name][2]).tobytes())))
    return given, alone, delta


if __name__ == "__main__":
    print(*sizes(*map(tensors.read, sys.argv[1:3])))
