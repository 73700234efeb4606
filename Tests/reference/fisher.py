"""Fisher merging: Matena and Raffel, "Merging Models with Fisher-Weighted Averaging", NeurIPS 2022, arXiv 2111.09832,
with the diagonal of the Fisher information.

From the authors' code: the floor, and coefficients divided by the norm of each model's whole diagonal.
"""
import numpy as np


def merge(base, experts, settings, statistics):
    norm = {}
    for expert, tensors in experts:
        energy = sum(np.sum(statistics[expert][name].astype(float) ** 2) for name in tensors if name in statistics[expert])
        norm[expert] = np.sqrt(energy) if settings("normalize", True) and energy > 0 else 1
    merged = {}
    for name in base:
        held = [(expert, tensors[name]) for expert, tensors in experts if name in tensors]
        weight = {expert: settings("weight", 1.0, expert) for expert, _ in held}
        mean = sum(weight[expert] * values for expert, values in held) / sum(weight.values())
        if not any(name in statistics[expert] for expert, _ in held):
            merged[name] = mean
            continue
        parts = [
            weight[expert] / norm[expert] * np.maximum(statistics[expert][name].astype(float), settings("floor", 1e-6))
            for expert, _ in held
        ]
        total = np.asarray(sum(parts))
        weighted = sum(part * values for part, (_, values) in zip(parts, held))
        merged[name] = np.where(total > 0, np.divide(weighted, np.where(total > 0, total, 1)), mean)
    return merged
