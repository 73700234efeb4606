"""DARE: Yu et al., "Language Models are Super Mario", ICML 2024, arXiv 2311.03099, section 3.2, equation 1.

m ~ Bernoulli(p), delta~ = (1 - m) * delta, delta^ = delta~ / (1 - p), with density = 1 - p; then task arithmetic.
The random numbers are those of `random_bits`; an element stays where its number is below the density.
"""
import numpy as np

from common import fuse, task_vectors
from random_bits import uniform


def dropped(base, experts, settings, name):
    places = {expert: place for place, (expert, _) in enumerate(experts)}
    held = []
    for expert, vector in task_vectors(base, experts, name):
        density = settings("density", 0.8, expert)
        numbers = uniform(settings("seed", 0), name, places[expert], vector.size).reshape(vector.shape)
        divisor = density if settings("rescale", True) and density else 1.0
        held.append((expert, np.where(numbers < density, vector / divisor, 0.0)))
    return held


def merge(base, experts, settings, statistics):
    return {n: fuse(base[n], dropped(base, experts, settings, n), settings, 0.3, False, False) for n in base}
