"""Model soup: Wortsman et al., "Model soups", ICML 2022, arXiv 2203.05482, the uniform soup; and with weights."""
import numpy as np


def merge(base, experts, settings, statistics):
    merged = {}
    for name in base:
        held = [(settings("weight", 1.0, expert), tensors[name]) for expert, tensors in experts if name in tensors]
        total = sum(weight for weight, _ in held) if settings("normalize", True) else 1
        merged[name] = np.sum([weight * values for weight, values in held], axis=0) / total
    return merged
