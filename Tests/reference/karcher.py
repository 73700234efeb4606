"""The Karcher mean: Karcher, "Riemannian center of mass and mollifier smoothing", 1977, on the unit sphere, by the
gradient descent u <- exp_u(sum w log_u x); starting point, tolerance, number of steps and final length as in mergekit.
"""
import numpy as np


def karcher(vectors, weights, steps, tol):
    norms = [np.linalg.norm(v) for v in vectors]
    present = [(w, v / n) for w, v, n in zip(weights, vectors, norms) if n > 0]
    if not present:
        return np.zeros_like(vectors[0])
    total = sum(w for w, _ in present)
    present = [(w / total, x) for w, x in present]
    u = sum(w * x for w, x in present)
    u = present[0][1] if np.linalg.norm(u) < max(tol, 1e-300) else u / np.linalg.norm(u)
    for _ in range(steps):
        step = np.zeros_like(u)
        for w, x in present:
            cosine = np.clip(np.sum(u * x), -1, 1)
            angle = np.arccos(cosine)
            if angle >= tol and angle > 0 and cosine > -1 + 1e-12:
                step = step + w * angle / np.sin(angle) * (x - cosine * u)
        length = np.linalg.norm(step)
        if length < tol or length == 0:
            break
        u = np.cos(length) * u + np.sin(length) / length * step
        u = u / np.linalg.norm(u)
    return sum(w * n for w, n in zip(weights, norms)) * u


def merge(base, experts, settings, statistics):
    merged = {}
    for name in base:
        origin = base[name] if settings("origin", "zero") == "base" else np.zeros_like(base[name])
        held = [(settings("weight", 1.0, expert), tensors[name] - origin) for expert, tensors in experts if name in tensors]
        total = sum(weight for weight, _ in held)
        merged[name] = origin + karcher(
            [vector for _, vector in held], [weight / total for weight, _ in held], settings("max_iter", 10),
            settings("tol", 1e-5))
    return merged
