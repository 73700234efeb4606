"""Model Breadcrumbs: Davari and Belilovsky, 2023, arXiv 2312.06795, section 3: layer by layer, the mask leaves out both
tails of the magnitudes; theta_0 + alpha times the sum of the masked task vectors.

As in the authors' `TaskVectorMiddleKeep` (top_k_remove, then top_k_keep) and in mergekit, gamma is the share that is left
out above and density the share that stays below it; a layer is a whole tensor; scalars stay as they are. Equal
magnitudes at either end stay together.
"""
import numpy as np

from common import fuse, task_vectors


def masked(base, experts, settings, name):
    held = []
    for expert, vector in task_vectors(base, experts, name):
        if vector.ndim == 0:
            held.append((expert, vector))
            continue
        count = vector.size
        keep = int(settings("density", 0.15, expert) * count)
        above = min(int(settings("gamma", 0.006, expert) * count), count - keep)
        descending = np.sort(np.abs(vector).ravel())[::-1]
        if keep == 0:
            held.append((expert, np.zeros_like(vector)))
            continue
        high, low = descending[above], descending[above + keep - 1]
        held.append((expert, np.where((np.abs(vector) >= low) & (np.abs(vector) <= high), vector, 0.0)))
    return held


def merge(base, experts, settings, statistics):
    return {n: fuse(base[n], masked(base, experts, settings, n), settings, 0.2, False, False) for n in base}
