"""DARE (see `dare_linear`) followed by the election of signs and the disjoint mean of TIES (see `ties`), without its
trimming: the combination that mergekit calls dare_ties, with the paper's mean as the default."""
from common import fuse
from dare_linear import dropped


def merge(base, experts, settings, statistics):
    return {n: fuse(base[n], dropped(base, experts, settings, n), settings, 1.0, True, True) for n in base}
