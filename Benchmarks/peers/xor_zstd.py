#!/usr/bin/env python3
"""The usual lossless delta: XOR with the base, byte planes, zstd level 19, in frames of 1 MiB.

    xor_zstd.py BASE EXPERT [LEVEL]     prints bytes in, bytes out, seconds to encode and to decode
"""
import ctypes, ctypes.util, sys, time
import numpy as np
import tensors

zstd = ctypes.CDLL(ctypes.util.find_library("zstd"))
for function in zstd.ZSTD_compress, zstd.ZSTD_compressBound, zstd.ZSTD_decompress:
    function.restype = ctypes.c_size_t
zstd.ZSTD_compress.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
zstd.ZSTD_decompress.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t]
zstd.ZSTD_compressBound.argtypes = [ctypes.c_size_t]


class Peer:
    """Sums over the pairs of lanes that are added. Times are of this thread's CPU; numpy does what is not zstd."""
    FRAME = 1 << 20

    def __init__(self, level=19):
        self.level, self.given, self.taken, self.encoding, self.decoding = level, 0, 0, 0.0, 0.0
        self.room = ctypes.create_string_buffer(zstd.ZSTD_compressBound(self.FRAME))

    def add(self, pairs):
        for base, expert in pairs:
            self.given += expert.nbytes
            step = self.FRAME // expert.itemsize
            for start in range(0, len(expert), step):
                self.frame(base[start:start + step], expert[start:start + step])

    def frame(self, base, expert):
        width = expert.itemsize
        start = time.thread_time()
        planes = np.ascontiguousarray((base ^ expert).view(np.uint8).reshape(-1, width).T)
        size = zstd.ZSTD_compress(self.room, len(self.room), planes.ctypes.data, planes.nbytes, self.level)
        middle = time.thread_time()
        back = np.empty_like(planes)
        zstd.ZSTD_decompress(back.ctypes.data, back.nbytes, self.room, size)
        same = np.ascontiguousarray(back.T).reshape(-1).view(expert.dtype) ^ base
        self.decoding += time.thread_time() - middle
        self.encoding += middle - start
        self.taken += min(size, planes.nbytes)
        assert np.array_equal(same, expert)


if __name__ == "__main__":
    base, expert = map(tensors.read, sys.argv[1:3])
    peer = Peer(*map(int, sys.argv[3:]))
    peer.add(tensors.changed(base, expert))
    print(peer.given, peer.taken, peer.encoding, peer.decoding)
