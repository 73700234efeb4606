"""Task arithmetic: Ilharco et al., "Editing Models with Task Arithmetic", ICLR 2023, arXiv 2212.04089, section 2."""
import numpy as np


def merge(base, experts, settings, statistics):
    merged = {}
    for name, origin in base.items():
        vector = np.zeros_like(origin)
        for expert, tensors in experts:
            if name in tensors:
                vector += settings("weight", 1.0, expert) * (tensors[name] - origin)
        merged[name] = origin + settings("lambda", 0.3) * vector
    return merged
