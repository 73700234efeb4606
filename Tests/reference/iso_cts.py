"""Iso-CTS: Marczak et al., "No Task Left Behind: Isotropic Model Merging with Common and Task-Specific Subspaces", ICML
2025, arXiv 2502.04959, Iso-CTS, with the sizes of the subspaces from the authors' code.

Their rounding can ask for more task-specific directions than there are; then as many as fit. What is a matrix, and
rounding noise: as in iso_c.
"""
import numpy as np
from common import by_matrix
from iso_c import svd


def polar(vectors):
    u, _, vt = svd(vectors)
    return u @ vt


def combine(vectors, fraction):
    total = sum(vectors)
    k = min(total.shape)
    own = min(round((k - int(k * fraction)) / len(vectors)), k // len(vectors))
    u, s, vt = (part for part in svd(total))
    count = k - own * len(vectors)
    u, s, vt = u[:, :count], s[:count], vt[:count]
    left, values, right = [], [], []
    for vector in vectors:
        u_own, s_own, vt_own = svd(vector - u @ (u.T @ vector))
        left.append(u_own[:, :own])
        values.append(s_own[:own])
        right.append(vt_own[:own])
    left = np.hstack(left + [u])
    if not left.size:
        return np.zeros_like(total)
    return np.concatenate(values + [s]).sum() / k * polar(left) @ polar(np.vstack(right + [vt]))


def merge(base, experts, settings, statistics):
    merged = {}
    for name, origin in base.items():
        vectors = [settings("weight", 1.0, e) * (tensors[name] - origin) for e, tensors in experts if name in tensors]
        fraction = settings("common_space_fraction", 0.8)
        vector = by_matrix(origin, vectors, lambda own: combine(own, fraction))
        merged[name] = origin + settings("lambda", 1.0) * vector
    return merged
