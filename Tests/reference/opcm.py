"""OPCM: Tang et al., "Merging Models on the Fly Without Retraining: A Sequential Approach to Scalable Continual Model
Merging", NeurIPS 2025, arXiv 2501.09522, step by step as in the authors' code: full singular vectors of the merged task
vector, the diagonal and the leading block of the projection set to zero, and lambda at every step from whole-model norms.

With a first expert that is merged already: lambda and its share in the mean norm by `merged_scale` and `merged_count`.
Not from the code: each matrix of a stack counts as one, the block has all directions for alpha = 1, and none in the rounding noise of the merged task vector.
"""
import numpy as np
from common import is_stack


def project(vector, merged, alpha):
    u, s, vt = np.linalg.svd(merged)
    kept = int(np.sum(s > max(merged.shape) * 2.0**-52 * s[0]))
    if kept == 0:
        return vector
    sums = np.cumsum(s[:kept])
    above = np.flatnonzero(sums > alpha * sums[-1])
    split = above[0] if len(above) else kept
    inner = u.T @ vector @ vt.T
    inner[np.arange(kept), np.arange(kept)] = 0
    inner[:split, :split] = 0
    return u @ inner @ vt


def merge(base, experts, settings, statistics):
    def norm(vectors):
        return np.sqrt(sum(np.sum(vector**2) for vector in vectors.values()))

    tasks = [{name: tensors[name] - base[name] for name in tensors} for _, tensors in experts]
    count = settings("merged_count", 1)
    scale = settings("merged_scale", 0.0) or np.sqrt(count)
    norms = [norm(tasks[0])] * count
    merged = {name: tasks[0].get(name, np.zeros_like(base[name])) for name in base}
    for task in tasks[1:]:
        norms.append(norm(task))
        following = {}
        for name, vector in merged.items():
            new = task.get(name, np.zeros_like(vector))
            if vector.ndim == 2:
                new = project(new, vector, settings("alpha", 0.5))
            elif is_stack(vector):
                new = np.stack([project(*pair, settings("alpha", 0.5)) for pair in zip(new, vector)])
            following[name] = scale * vector + new
        scale = norm(following) / np.mean(norms)
        merged = {name: vector / scale for name, vector in following.items()}
    return {name: base[name] + merged[name] for name in base}
