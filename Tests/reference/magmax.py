"""MagMax: Marczak et al., "MagMax: Leveraging Model Merging for Seamless Continual Learning", ECCV 2024, arXiv 2407.06322,
section 4: of each parameter the change of the greatest magnitude. Of equal ones the last, as the authors' `merge_max_abs`;
lambda is 0.5 there too."""
import numpy as np

from common import task_vectors


def merge(base, experts, settings, statistics):
    merged = {}
    for name, origin in base.items():
        vectors = np.stack([vector for _, vector in task_vectors(base, experts, name)])
        last = len(vectors) - 1 - np.argmax(np.abs(vectors)[::-1], axis=0)
        merged[name] = origin + settings("lambda", 0.5) * np.take_along_axis(vectors, last[None], axis=0)[0]
    return merged
