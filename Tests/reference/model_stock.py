"""Model Stock: Jang et al., "Model Stock: All we need is just a few fine-tuned models", ECCV 2024, arXiv 2403.19522,
the ratio for N models t = N cos / (1 + (N - 1) cos), layer by layer, or row by row with `filter_wise`.

The paper has one angle; of several pairs the mean cosine is taken, as in mergekit. A negative one counts as 0.
"""
import numpy as np
from common import is_stack


def merge(base, experts, settings, statistics):
    merged = {}
    for name, origin in base.items():
        by_row = settings("filter_wise", False) and origin.ndim > 1
        rows = origin.shape[0] * origin.shape[1] if is_stack(origin) else len(origin) if origin.ndim else 1
        shape = (rows, -1) if by_row else (1, -1)
        vectors = [(tensors[name] - origin).reshape(shape) for _, tensors in experts if name in tensors]
        count = len(vectors)
        ratio = np.ones(shape[0])
        if count > 1:
            cosines = []
            for i in range(count):
                for j in range(i):
                    lengths = np.linalg.norm(vectors[i], axis=1) * np.linalg.norm(vectors[j], axis=1)
                    products = np.sum(vectors[i] * vectors[j], axis=1)
                    cosines.append(np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0))
            cosine = np.maximum(0, np.mean(cosines, axis=0))
            ratio = count * cosine / (1 + (count - 1) * cosine)
        mean = np.mean(vectors, axis=0)
        merged[name] = origin + (ratio[:, None] * mean).reshape(origin.shape)
    return merged
