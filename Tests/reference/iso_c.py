"""Iso-C: Marczak et al., "No Task Left Behind: Isotropic Model Merging with Common and Task-Specific Subspaces", ICML
2025, arXiv 2502.04959, Iso-C: U (mean of the singular values) V^T of the sum of the task vectors.

From the authors' code: matrices of two dimensions only, the others get the mean task vector. Not from there: directions
whose singular values are rounding noise are left out.
"""
import numpy as np


def svd(matrix):
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    kept = s > max(matrix.shape) * 2.0**-52 * s[0]
    return u[:, kept], s[kept], vt[kept]


def merge(base, experts, settings, statistics):
    merged = {}
    for name, origin in base.items():
        vectors = [settings("weight", 1.0, e) * (tensors[name] - origin) for e, tensors in experts if name in tensors]
        if origin.ndim == 2:
            u, s, vt = svd(sum(vectors))
            vector = s.sum() / min(origin.shape) * (u @ vt)
        else:
            vector = np.mean(vectors, axis=0)
        merged[name] = origin + settings("lambda", 1.0) * vector
    return merged
