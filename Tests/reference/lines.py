"""LiNeS: Wang et al., "LiNeS: Post-training Layer Scaling Prevents Forgetting and Enhances Model Merging", 2024,
arXiv 2410.17146, equation 3: the task vector of layer l of L, times alpha + beta (l - 1) / (L - 1).

As in the authors' code the layers are the residual blocks, and what is outside of them is scaled with alpha. A block is
here the number after the shortest prefix that has one, and L counts the blocks of that prefix, if they are 0 to L - 1.
"""
import re


def block(name):
    found = re.match(r"((?:.*?\.)??)([0-9]+)\.", name)
    return (found[1], int(found[2])) if found else None


def scale(base, merged, names, settings):
    alpha, beta = settings("lines_alpha", 1.0), settings("lines_beta", 0.0)
    if (alpha, beta) == (1.0, 0.0):
        return merged
    stacks = {}
    for prefix, index in filter(None, map(block, names)):
        stacks.setdefault(prefix, set()).add(index)
    stacks = {prefix: len(found) for prefix, found in stacks.items() if len(found) > 1 and max(found) == len(found) - 1}

    def factor(name):
        place = block(name)
        if not place or place[0] not in stacks:
            return alpha
        return alpha + beta * place[1] / (stacks[place[0]] - 1)

    return {name: base[name] + factor(name) * (merged[name] - base[name]) for name in merged}
