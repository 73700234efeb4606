"""Uniform random numbers in [0, 1) for each element of a tensor of an expert.

SplitMix64 (Steele, Lea and Flood, 2014), whose state is mixed of the seed, the 64-bit FNV-1a hash of the tensor's name
and the expert's place among all; the element's number picks the output.
"""
import numpy as np

GAMMA = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1


def output(state):
    """The next output from each state, an array of uint64."""
    z = state + np.uint64(GAMMA)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def mix(value):
    return int(output(np.array([value & MASK], np.uint64))[0])


def uniform(seed, name, expert, count):
    digest = 0xCBF29CE484222325
    for byte in name.encode():
        digest = (digest ^ byte) * 0x100000001B3 & MASK
    state = mix(mix(mix(seed) ^ digest) + expert)
    states = np.uint64(state) + np.arange(count, dtype=np.uint64) * np.array([GAMMA], np.uint64)
    return (output(states) >> np.uint64(11)).astype(np.float64) * 2.0**-53
