"""The base itself."""


def merge(base, experts, settings, statistics):
    return base
