"""SLERP: Shoemake, "Animating rotation with quaternion curves", SIGGRAPH 1985, for vectors of any length.

With two experts from the first to the second, with one from the base to it. As mergekit does, it is linear where
|cos| exceeds `dot_threshold`, and a zero vector is left as it is when directions are compared.
"""
import numpy as np


def slerp(t, a, b, threshold):
    unit_a, unit_b = [v / np.linalg.norm(v) if np.linalg.norm(v) > 0 else v for v in (a, b)]
    cosine = np.sum(unit_a * unit_b)
    if abs(cosine) > threshold:
        return (1 - t) * a + t * b
    angle = np.arccos(cosine)
    return np.sin((1 - t) * angle) / np.sin(angle) * a + np.sin(t * angle) / np.sin(angle) * b


def merge(base, experts, settings, statistics):
    merged = {}
    for name in base:
        held = [tensors[name] for _, tensors in experts if name in tensors]
        if len(experts) == 1:
            held.insert(0, base[name])
        if len(held) == 2:
            merged[name] = slerp(settings("t", 0.5), held[0], held[1], settings("dot_threshold", 0.9995))
        else:
            merged[name] = held[0]
    return merged
