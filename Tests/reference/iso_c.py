"""Iso-C: Marczak et al., "No Task Left Behind: Isotropic Model Merging with Common and Task-Specific Subspaces", ICML
2025, arXiv 2502.04959, Iso-C: U (mean of the singular values) V^T of the sum of the task vectors.

From the authors' code: matrices of two dimensions only, the others get the mean task vector. Not from there: each matrix of a stack
counts as one, and directions whose singular values are rounding noise are left out.
"""
import numpy as np
from common import by_matrix


def svd(matrix):
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    kept = s > max(matrix.shape) * 2.0**-52 * s[0]
    return u[:, kept], s[kept], vt[kept]


def combine(vectors):
    total = sum(vectors)
    u, s, vt = svd(total)
    return s.sum() / min(total.shape) * (u @ vt)


def merge(base, experts, settings, statistics):
    merged = {}
    for name, origin in base.items():
        vectors = [settings("weight", 1.0, e) * (tensors[name] - origin) for e, tensors in experts if name in tensors]
        merged[name] = origin + settings("lambda", 1.0) * by_matrix(origin, vectors, combine)
    return merged
