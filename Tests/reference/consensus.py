"""Consensus Merging: Wang et al., "Localizing Task Information for Improved Model Merging and Compression", ICML 2024,
arXiv 2405.07813: TALL masks, equation 3 with >=, and equation 6: keep what at least k tasks select.

As in the authors' `create_task_vector` the multi-task vector is the plain sum, or TIES' with top 20 % and "dis-sum"; the
masks compare with the whole task vectors.
"""
from common import disjoint_merge, task_vectors, trim


def merge(base, experts, settings, statistics):
    ties = settings("multi_task", "task-arithmetic") == "ties"
    if ties:
        trimmed = trim(base, experts, lambda e: settings("density", 0.2, e), settings("scope", "model"))
    merged = {}
    for name, origin in base.items():
        held = task_vectors(base, experts, name)
        if ties:
            vector = disjoint_merge([v for _, v in trimmed[name]], [1.0] * len(held), "sum", False)
        else:
            vector = sum(own for _, own in held)
        selecting = sum(
            (abs(own) >= settings("tall_lambda", 0.4, expert) * abs(vector - own)).astype(int) for expert, own in held)
        merged[name] = origin + settings("lambda", 0.3) * vector * (selecting >= settings("k", 2))
    return merged
