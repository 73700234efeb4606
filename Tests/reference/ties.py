"""TIES-Merging: Yadav et al., "TIES-Merging: Resolving Interference When Merging Models", NeurIPS 2023, arXiv 2306.01708.

Section 3 and algorithm 1: trim to the top-k % by magnitude, of the whole flattened task vector (the paper keeps 20 %);
elect sgn(sum of the trimmed vectors); the mean of the values that have that sign; theta_0 + lambda times it. Where the
paper is silent: elements as large as the last that stays are kept too, as the authors' `topk_values_mask` does; a sum of
zero elects no sign, as sgn(0) = 0. Weights, density per expert, `sign=count` and `scope=tensor` are mergekit's.
"""
from common import disjoint_merge, trim


def merge(base, experts, settings, statistics):
    trimmed = trim(base, experts, lambda e: settings("density", 0.2, e), settings("scope", "model"))
    merged = {}
    for name, origin in base.items():
        weights = [settings("weight", 1.0, expert) for expert, _ in trimmed[name]]
        vectors = [vector for _, vector in trimmed[name]]
        vector = disjoint_merge(vectors, weights, settings("sign", "sum"), settings("normalize", True))
        merged[name] = origin + settings("lambda", 1.0) * vector
    return merged
