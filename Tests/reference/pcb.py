"""PCB-Merging: Du et al., "Parameter Competition Balancing for Model Merging", NeurIPS 2024, arXiv 2410.02396, section 3,
as in `PCB_merge` of the authors' code, which differs from the paper's formulas: magnitudes are clipped at both ends,
intra-balancing is exp(N norm(|tau|)^2), whose softmax denominator the last normalisation cancels, and inter-balancing
tanh(tau * sum of tau). Everything over the whole flattened task vector. lambda and weights scale the task vectors.
"""
import numpy as np

from common import task_vectors


def normalized(values, low, high):
    return (np.clip(values, low, high) - low) / (high - low) if high > low else np.zeros_like(values)


def merge(base, experts, settings, statistics):
    names = list(base)
    vectors = {name: task_vectors(base, experts, name) for name in names}
    sums = {name: sum(v for _, v in vectors[name]) for name in names}
    clip, ratio = settings("clip", 0.0001), settings("ratio", 0.1)
    scores, clipped = {}, {}
    for expert, tensors in experts:
        own = [name for name in names if name in tensors]
        flat = np.concatenate([dict(vectors[name])[expert].ravel() for name in own])
        total = np.concatenate([sums[name].ravel() for name in own])
        count = flat.size
        ascending = np.sort(np.abs(flat))
        low, high = ascending[int(count * clip)], ascending[max(0, int(count * (1 - clip) - 1))]
        intra = np.exp(len(experts) * normalized(np.abs(flat), low, high) ** 2)
        product = intra * np.tanh(flat * total)
        ascending = np.sort(product)
        score = normalized(product, ascending[min(count - 1, int(count * (1 - ratio)))], ascending[-1])
        limited = np.sign(flat) * np.clip(np.abs(flat), low, high)
        ends = np.cumsum([base[name].size for name in own])[:-1]
        for name, s, v in zip(own, np.split(score, ends), np.split(limited, ends)):
            scores[expert, name] = s.reshape(base[name].shape)
            clipped[expert, name] = settings("weight", 1.0, expert) * v.reshape(base[name].shape)
    merged = {}
    for name, origin in base.items():
        held = [expert for expert, _ in vectors[name]]
        top = sum(clipped[e, name] * scores[e, name] for e in held)
        bottom = sum(scores[e, name] for e in held)
        merged[name] = origin + settings("lambda", 1.0) * top / np.maximum(bottom, 1e-12)
    return merged
