"""What several methods share: task vectors, their largest elements, and the election of signs."""
import numpy as np


def task_vectors(base, experts, name):
    """(expert, task vector) for those that hold the tensor. What is equal, infinities too, did not change."""
    origin = base[name]
    return [
        (expert, np.where(tensors[name] == origin, 0.0, tensors[name] - origin))
        for expert, tensors in experts if name in tensors
    ]


def is_stack(origin):
    """Whether a tensor of three dimensions is a stack of matrices, as the weights of a layer's experts are; kernels are smaller."""
    return origin.ndim == 3 and len(origin) > 1 and min(origin.shape[1:]) >= 8


def by_matrix(origin, vectors, combine):
    """`combine` of the vectors of a matrix, or of those of each matrix of a stack; their mean for any other tensor."""
    if origin.ndim == 2:
        return combine(vectors)
    if is_stack(origin):
        return np.stack([combine([vector[k] for vector in vectors]) for k in range(len(origin))])
    return np.mean(vectors, axis=0)


def threshold(magnitudes, density):
    """The least magnitude among the int(density * d) largest."""
    count = int(density * magnitudes.size)
    if count == 0:
        return np.inf
    return np.sort(magnitudes)[::-1][count - 1]


def trim(base, experts, density, scope="model"):
    """{name: [(expert, task vector with its small elements set to 0)]}; `density` is a function of the expert."""
    vectors = {name: task_vectors(base, experts, name) for name in base}
    limits = {}
    for expert, tensors in experts:
        own = {name: np.abs(dict(vectors[name])[expert]).ravel() for name in base if name in tensors}
        if scope == "model" and own:
            limit = threshold(np.concatenate(list(own.values())), density(expert))
            limits.update({(expert, name): limit for name in own})
        else:
            limits.update({(expert, name): threshold(values, density(expert)) for name, values in own.items()})
    return {
        name: [(e, np.where(np.abs(v) >= limits[e, name], v, 0.0)) for e, v in vectors[name]] for name in base
    }


def disjoint_merge(vectors, weights, sign, normalize):
    """TIES, steps 2 and 3: elect a sign, then add up, or average, the elements that have it."""
    weighted = [w * v for w, v in zip(weights, vectors)]
    if sign == "sum":
        elected = np.sign(sum(weighted))
    else:
        elected = np.where(sum(np.sign(v) for v in weighted) >= 0, 1.0, -1.0)
    agree = [(np.sign(v) == elected) & (v != 0) for v in weighted]
    total = sum(np.where(a, v, 0.0) for a, v in zip(agree, weighted))
    if not normalize:
        return total
    divisor = sum(np.where(a, w, 0.0) for a, w in zip(agree, weights))
    return total / np.where(divisor == 0, 1.0, divisor)


def weighted_sum(vectors, weights, normalize):
    total = sum(w * v for w, v in zip(weights, vectors))
    return total / sum(weights) if normalize and sum(weights) != 0 else total


def fuse(origin, held, settings, scale, election, normalize):
    """theta_0 + lambda times the merged task vector, of (expert, sparse task vector)."""
    weights = [settings("weight", 1.0, expert) for expert, _ in held]
    vectors = [vector for _, vector in held]
    normalize = settings("normalize", normalize)
    if election:
        vector = disjoint_merge(vectors, weights, settings("sign", "sum"), normalize)
    else:
        vector = weighted_sum(vectors, weights, normalize)
    return origin + settings("lambda", scale) * vector
