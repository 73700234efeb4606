"""CABS: Yang et al., "CABS: Conflict-Aware and Balanced Sparsification for Enhancing Model Merging", 2025, arXiv 2503.01874,
algorithm 1: n:m pruning by magnitude of one task vector after the other, each of what the masks before it left free.

Where n times the experts is more than m, the paper asks for the least overlap: the free elements first, then the greatest
taken ones. Ours: equal magnitudes in order; ceil(n b / m) of a last block of b elements.
"""
import numpy as np

from common import task_vectors


def merge(base, experts, settings, statistics):
    n, m = settings("n", 64), settings("m", 256)
    merged = {}
    for name, origin in base.items():
        taken = np.zeros(origin.size, bool)
        total = np.zeros(origin.size)
        for expert, vector in task_vectors(base, experts, name):
            flat = vector.ravel()
            keep = np.zeros(flat.size, bool)
            for start in range(0, flat.size, m):
                block = np.arange(start, min(start + m, flat.size))
                order = np.lexsort((block, -np.abs(flat[block]), taken[block]))
                keep[block[order[: -(-n * len(block) // m)]]] = True
            taken |= keep
            total += settings("weight", 1.0, expert) * np.where(keep, flat, 0.0)
        merged[name] = origin + settings("lambda", 1.0) * total.reshape(origin.shape)
    return merged
