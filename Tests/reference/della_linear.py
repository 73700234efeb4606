"""MAGPRUNE (see `della`) followed by task arithmetic: mergekit's della_linear."""
from common import fuse
from della import pruned


def merge(base, experts, settings, statistics):
    return {n: fuse(base[n], pruned(base, experts, settings, n), settings, 0.3, False, False) for n in base}
