"""Model Breadcrumbs' masks (see `breadcrumbs`) followed by the election of signs of TIES: mergekit's breadcrumbs_ties."""
from breadcrumbs import masked
from common import fuse


def merge(base, experts, settings, statistics):
    return {n: fuse(base[n], masked(base, experts, settings, n), settings, 0.2, True, False) for n in base}
