"""RegMean: Jin et al., "Dataless Knowledge Fusion by Merging Weights of Language Models", ICLR 2023, arXiv 2212.09849,
the closed form, with off-diagonal elements multiplied by alpha, for weights [out, in].

Inputs that are always zero leave the normal equations undetermined; their weights are averaged.
"""
import numpy as np


def merge(base, experts, settings, statistics):
    alpha = settings("alpha", 0.9)
    merged = {}
    for name, origin in base.items():
        held = [(settings("weight", 1.0, expert), expert, tensors[name]) for expert, tensors in experts if name in tensors]
        total = sum(weight for weight, _, _ in held)
        held = [(weight / total, expert, values) for weight, expert, values in held]
        mean = sum(weight * values for weight, _, values in held)
        merged[name] = mean
        if name + ".gram" in statistics[held[0][1]]:
            left, right = 0, 0
            for weight, expert, values in held:
                gram = statistics[expert][name + ".gram"].astype(float)
                gram = alpha * gram + (1 - alpha) * np.diag(np.diag(gram))
                left = left + weight * gram
                right = right + weight * gram @ values.reshape(len(origin), -1).T
            used = np.diag(left) > 0
            result = mean.reshape(len(origin), -1).T.copy()
            result[used] = np.linalg.inv(left[np.ix_(used, used)]) @ right[used]
            merged[name] = result.T.reshape(origin.shape)
    return merged
