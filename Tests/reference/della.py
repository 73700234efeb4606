"""DELLA: Deep et al., "DELLA-Merging", 2024, arXiv 2406.11617, section 3.

MAGPRUNE ranks the parameters of a row by magnitude, the larger the less likely to be dropped, with probabilities in a
window around the drop rate, and rescales what stays by 1 / (1 - p_i); then elect and fuse as TIES, and lambda. From the
authors' `rank_magnitude`: ranks go from 0 to n - 1 and keep probabilities from density - epsilon to density + epsilon
(their window_size is 2 epsilon), and a vector is one row. Ours: tensors of more dimensions are [d_0, rest], equal
magnitudes are ranked in order, a row of one element has the density itself.
"""
import numpy as np

from common import fuse, task_vectors
from random_bits import uniform


def pruned(base, experts, settings, name):
    places = {expert: place for place, (expert, _) in enumerate(experts)}
    held = []
    for expert, vector in task_vectors(base, experts, name):
        density, epsilon = settings("density", 0.7, expert), settings("epsilon", 0.07, expert)
        rows = vector.reshape(vector.shape[0] if vector.ndim > 1 else 1, -1)
        numbers = uniform(settings("seed", 0), name, places[expert], vector.size).reshape(rows.shape)
        ranks = np.argsort(np.argsort(np.abs(rows), axis=1, kind="stable"), axis=1, kind="stable")
        count = rows.shape[1]
        position = ranks / (count - 1) if count > 1 else np.full(rows.shape, 0.5)
        keep = density - epsilon + position * (2 * epsilon)
        if density in (0.0, 1.0):
            keep = np.full(rows.shape, density)
        divisor = np.where(keep > 0, keep, 1.0) if settings("rescale", True) else 1.0
        held.append((expert, np.where(numbers < keep, rows / divisor, 0.0).reshape(vector.shape)))
    return held


def merge(base, experts, settings, statistics):
    return {n: fuse(base[n], pruned(base, experts, settings, n), settings, 1.1, True, True) for n in base}
