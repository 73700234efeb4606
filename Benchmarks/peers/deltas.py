"""Other ways to keep a fine-tune's difference, each small and from its paper, in numpy: mixed precision of singular vectors, one bit and a
low-rank residual, sparse quantised entries, one pulse.

Each takes the differences of a whole model, by tensor, and gives (approximations, bytes). Sizes favour the peers: order-0 entropy of the symbols
and 16 bits a scale, no container; vectors are kept at 16 bits. Where a paper calibrates rounding with data, numbers are rounded to nearest here.
"""
import numpy as np

from coarse import bitdelta, entropy_bits


def split(differences):
    """The matrices, and what the vectors are at 16 bits."""
    matrices = {name: v for name, v in differences.items() if v.ndim == 2}
    vectors = {name: v.astype(np.float16).astype(np.float32) for name, v in differences.items() if v.ndim != 2}
    return matrices, vectors, 2 * sum(v.size for v in vectors.values())


def one_bit(differences):
    """BitDelta (arXiv 2402.10193): the signs, and the mean magnitude of each matrix."""
    pairs = {name: bitdelta(v) for name, v in differences.items()}
    return {name: pair[0] for name, pair in pairs.items()}, sum(pair[1] for pair in pairs.values())


def pulse(differences, density):
    """T-Switch (arXiv 2412.00054): of the whole model the entries above one magnitude, as signs, and one scale for all."""
    matrices, vectors, size = split(differences)
    magnitudes = np.concatenate([np.abs(v).ravel() for v in matrices.values()])
    least = np.quantile(magnitudes, 1 - density)
    scale = magnitudes[magnitudes >= least].mean()
    for name, v in matrices.items():
        signs = np.sign(v) * (np.abs(v) >= least)
        vectors[name] = (scale * signs).astype(np.float32)
        size += entropy_bits(signs) / 8
    return vectors, size + 2


def sparse_levels(differences, sparsity, step=0.05, bits=4, scale=1.0, seed=1):
    """UltraDelta (arXiv 2505.13563): sparsity by the variance of a matrix (more in the lowest third, less in the highest), entries rounded to
    `bits` between the least and the greatest, the same share of every level kept at random, and one factor for all."""
    matrices, vectors, size = split(differences)
    random = np.random.default_rng(seed)
    order = sorted(matrices, key=lambda name: matrices[name].var())
    for place, name in enumerate(order):
        v = matrices[name]
        own = sparsity + step * (1 - place * 3 // len(order))
        low, width = v.min(), (v.max() - v.min()) / (2**bits - 1)
        symbols = np.rint((v - low) / width).astype(int)
        kept = np.zeros(v.shape, bool)
        for level in np.unique(symbols):
            places = np.flatnonzero(symbols == level)
            kept.flat[random.permutation(places)[: round((1 - own) * len(places))]] = True
        vectors[name] = (scale / (1 - own) * np.where(kept, low + width * symbols, 0)).astype(np.float32)
        size += entropy_bits(np.where(kept, symbols, -1)) / 8 + 4
    return vectors, size


def rounded(rows, bits):
    """Each row to a number of bits, with a scale of its own; (rounded, bits that they take)."""
    if bits == 0:
        return np.zeros_like(rows), 0
    if bits == 1:
        scale = np.abs(rows).mean(1, keepdims=True)
        return scale * np.where(rows < 0, -1, 1), rows.size + 16 * len(rows)
    most = 2 ** (bits - 1) - 1
    best, least = np.zeros_like(rows), np.full(len(rows), np.inf)
    # The clip with the least error, as a round-to-nearest of care would have it.
    for clip in (1.0, 0.85, 0.7, 0.55, 0.4):
        scale = clip * np.abs(rows).max(1, keepdims=True) / most
        candidate = np.clip(np.rint(rows / scale), -most, most) * scale
        error = ((candidate - rows) ** 2).sum(1)
        better = error < least
        best[better], least[better] = candidate[better], error[better]
    symbols = [np.unique(row, return_inverse=True)[1] for row in best]
    return best, min(bits * rows.size, entropy_bits(np.concatenate(symbols))) + 16 * len(rows)


class SingularVectors:
    """Of the matrices of a model; computed once for all rates."""

    WIDTHS = (0, 2, 3, 4, 6, 8)

    def __init__(self, differences):
        self.differences = differences
        matrices, _, _ = split(differences)
        self.of = {name: np.linalg.svd(v, full_matrices=False) for name, v in matrices.items()}
        # What a unit vector loses at a width, by its length.
        self.losses = {}

    def loss(self, length, bits):
        if (length, bits) not in self.losses:
            rows = np.random.default_rng(0).standard_normal((16, length))
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            self.losses[length, bits] = ((rounded(rows, bits)[0] - rows) ** 2).sum(1).mean()
        return self.losses[length, bits]

    def mixed(self, bits_an_entry):
        """PrinMix (arXiv 2506.11087): for each matrix the widths of its singular vectors that lose the least at a budget of bits. The loss is
        convex in them, so that the best pays follow each other and the integer programme needs no solver."""
        return self.encoded(lambda name, values: self.widths(*self.differences[name].shape, values, bits_an_entry))

    def grouped(self, rank):
        """Delta-CoMe (arXiv 2406.08903): 8 bits for the first vectors, 3 for some sixteen times as many, 2 for the rest of a rank."""
        return self.encoded(lambda _, values: [8 if k < 2 else 3 if k < 34 else 2 for k in range(min(rank, len(values)))])

    def widths(self, rows, columns, values, bits_an_entry):
        budget, widths = bits_an_entry * rows * columns, [0] * len(values)

        def lost(bits):
            return 1 - (1 - self.loss(rows, bits)) * (1 - self.loss(columns, bits)) if bits else 1
        losses = [lost(bits) for bits in self.WIDTHS]
        steps = []
        for k, value in enumerate(values):
            for at in range(1, len(self.WIDTHS)):
                more = (self.WIDTHS[at] - self.WIDTHS[at - 1]) * (rows + columns) + (32 if at == 1 else 0)
                steps.append((value**2 * (losses[at - 1] - losses[at]) / more, k, at, more))
        for _, k, at, more in sorted(steps, reverse=True):
            if budget < more:
                break
            if self.WIDTHS[at - 1] == widths[k]:
                widths[k], budget = self.WIDTHS[at], budget - more
        return widths

    def encoded(self, widths_of):
        _, result, size = split(self.differences)
        for name, (u, s, vt) in self.of.items():
            widths = np.array(widths_of(name, s))
            approximation, bits = np.zeros(self.differences[name].shape), 0
            for width in set(widths) - {0}:
                chosen = np.flatnonzero(widths == width)
                left, left_bits = rounded(u.T[chosen] * s[chosen, None], int(width))
                right, right_bits = rounded(vt[chosen], int(width))
                approximation += left.T @ right
                bits += left_bits + right_bits
            result[name] = approximation.astype(np.float32)
            size += bits / 8
        return result, size


def one_bit_and_residual(differences, rank, bits=4):
    """D-QRELO (arXiv 2604.16940): the signs and one scale, and singular vectors of what they leave."""
    coarse, size = one_bit(differences)
    residual = SingularVectors({name: v - coarse[name] for name, v in differences.items() if v.ndim == 2})
    fine, more = residual.encoded(lambda _, values: [bits] * min(rank, len(values)))
    return {name: coarse[name] + fine.get(name, 0) for name in coarse}, size + more
