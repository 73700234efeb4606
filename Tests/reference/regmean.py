"""RegMean: Jin et al., "Dataless Knowledge Fusion by Merging Weights of Language Models", ICLR 2023, arXiv 2212.09849,
the closed form, with off-diagonal elements multiplied by alpha, for weights [out, in], or a stack of them with Gram matrices for each.

Inputs that are always zero leave the normal equations undetermined; their weights are averaged.
"""
import numpy as np


def layer(layers, grams, weights, alpha):
    left, right = 0, 0
    for values, gram, weight in zip(layers, grams, weights):
        gram = alpha * gram + (1 - alpha) * np.diag(np.diag(gram))
        left = left + weight * gram
        right = right + weight * gram @ values.T
    used = np.diag(left) > 0
    result = sum(weight * values for weight, values in zip(weights, layers)).T
    result[used] = np.linalg.inv(left[np.ix_(used, used)]) @ right[used]
    return result.T


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
            grams = [statistics[expert][name + ".gram"].astype(float) for _, expert, _ in held]
            weights = [weight for weight, _, _ in held]
            layers = [values for _, _, values in held]
            if grams[0].ndim == 3:
                merged[name] = np.stack([
                    layer([values[k] for values in layers], [gram[k] for gram in grams], weights, alpha)
                    for k in range(len(origin))
                ])
            else:
                layers = [values.reshape(len(origin), -1) for values in layers]
                merged[name] = layer(layers, grams, weights, alpha).reshape(origin.shape)
    return merged
