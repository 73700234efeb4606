#!/usr/bin/env python3
"""ZipNN (pip install zipnn), if it is there: each tensor by itself, and XOR with the base.

    zipnn_size.py BASE EXPERT           prints bytes in, bytes out alone, bytes out of the XOR
"""
import sys, time, warnings
import tensors

TYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}


def coder(dtype):
    warnings.simplefilter("ignore")  # of the packages that it imports
    from zipnn import ZipNN
    return ZipNN(input_format="byte", bytearray_dtype=TYPES[dtype], threads=1)


def sizes(base, expert):
    given = alone = delta = 0
    for name, (dtype, shape, lanes) in sorted(expert.items()):
        if dtype not in TYPES or name not in base or base[name][:2] != (dtype, shape):
            continue
        given += lanes.nbytes
        # It compresses in place.
        alone += len(coder(dtype).compress(bytearray(lanes.tobytes())))
        delta += len(coder(dtype).compress(bytearray((lanes ^ base[name][2]).tobytes())))
    return given, alone, delta


def alone(checkpoint, rounds=3):
    """Bytes, and CPU seconds of the best of some rounds, of each tensor by itself; None without ZipNN."""
    total = {"raw": 0, "stored": 0, "encode_s": 0.0, "decode_s": 0.0}
    try:
        coder("F32")
    except ImportError:
        return None
    for dtype, _, lanes in checkpoint.values():
        if dtype not in TYPES or not lanes.nbytes:
            continue
        times = []
        for _ in range(rounds):
            raw = bytearray(lanes.tobytes())
            start = time.process_time()
            stored = coder(dtype).compress(raw)
            middle = time.process_time()
            back = coder(dtype).decompress(stored)
            times.append((middle - start, time.process_time() - middle))
            assert bytes(back) == lanes.tobytes()
        total["raw"] += lanes.nbytes
        total["stored"] += len(stored)
        total["encode_s"] += min(t[0] for t in times)
        total["decode_s"] += min(t[1] for t in times)
    return total


if __name__ == "__main__":
    print(*sizes(*map(tensors.read, sys.argv[1:3])))
