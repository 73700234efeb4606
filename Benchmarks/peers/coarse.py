"""BitDelta (arXiv 2402.10193) and top-k ternary as in ComPEFT (arXiv 2311.13171), in numpy, for one exclusive tensor.

Sizes favour the peers: order-0 entropy of the symbols plus 16 bits a scale, no container; vectors are kept at 16 bits.
"""
import numpy as np


def entropy_bits(symbols):
    _, counts = np.unique(symbols, return_counts=True)
    share = counts / counts.sum()
    return float(-(share * np.log2(share)).sum() * counts.sum())


def bitdelta(v):
    """One sign an entry and the mean magnitude as the scale; (approximation, bytes)."""
    if v.ndim < 2:
        return v.astype(np.float16).astype(np.float32), 2 * v.size
    return (np.where(v < 0, -1, 1) * np.abs(v).mean()).astype(np.float32), v.size / 8 + 2


def ternary(v, density):
    """The signs of the largest entries, scaled by their mean magnitude; (approximation, bytes)."""
    if v.ndim < 2:
        return v.astype(np.float16).astype(np.float32), 2 * v.size
    magnitude = np.abs(v)
    kept = magnitude >= np.partition(magnitude.ravel(), -max(1, round(density * v.size)))[-max(1, round(density * v.size))]
    signs = np.sign(v) * kept
    return (signs * magnitude[kept].mean()).astype(np.float32), entropy_bits(signs) / 8 + 2
