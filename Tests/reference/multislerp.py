"""Multi-SLERP: Goddard, "Multi-SLERP", 2025, goddard.blog, in its three steps: unit vectors to the tangent space at
their normalised weighted mean, the weighted sum there, and the exponential map back; then the weighted mean length.

Two vectors whose mean direction vanishes are averaged linearly, as in mergekit; so are vectors that are all zero.
"""
import numpy as np


def barycentre(vectors, weights, eps):
    norms = [np.linalg.norm(v) for v in vectors]
    units = [v / (n + eps) if n > 0 else v for v, n in zip(vectors, norms)]
    mean = sum(w * u for w, u in zip(weights, units))
    length = np.linalg.norm(mean)
    if length < eps or length == 0:
        assert len(vectors) <= 2 or max(norms) <= eps
        return sum(w * v for w, v in zip(weights, vectors))
    mean = mean / length
    tangent = sum(w * (u - np.sum(u * mean) * mean) for w, u in zip(weights, units))
    step = np.linalg.norm(tangent) + eps
    point = np.cos(step) * mean + (np.sin(step) / step if step else 1) * tangent
    return point * sum(w * n for w, n in zip(weights, norms))


def merge(base, experts, settings, statistics):
    merged = {}
    for name in base:
        origin = base[name] if settings("origin", "base") == "base" else np.zeros_like(base[name])
        held = [(settings("weight", 1.0, expert), tensors[name] - origin) for expert, tensors in experts if name in tensors]
        weights = np.array([weight for weight, _ in held])
        if settings("normalize_weights", True):
            weights = weights / weights.sum()
        merged[name] = origin + barycentre([vector for _, vector in held], weights, settings("eps", 1e-8))
    return merged
