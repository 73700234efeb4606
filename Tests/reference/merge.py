#!/usr/bin/env python3
"""Merges checkpoints by the reference implementation of a method, all in memory and in float64.

    merge.py METHOD --base B.safetensors --expert NAME=E.safetensors ... [--statistics NAME=S.safetensors ...]
             [--set SETTING[@EXPERT]=VALUE ...] -o OUT.safetensors

Each method is a module of this folder, METHOD with `_` for `-`, written from its paper alone. Its function

    merge(base, experts, settings, statistics) -> dict

takes the base's tensors {name: array}, the experts' as a list of (name, {name: array}) in declaration order, the
settings as a `Settings`, and statistics {expert: {name: array}}; it gives the merged tensors. Tensors that no expert
holds in the base's shape, and those that are not floats, never reach it: they stay the base's. `lines.py` then scales
the layers, for every method alike.
With `--jobs FILE`, each line of FILE is one such command, run in this process.
"""
import argparse
import importlib
import os
import shlex
import sys

import numpy as np
from safetensors.numpy import load_file, save_file

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))


class Settings:
    """`settings('lambda', 0.3)` for all experts, `settings('weight', 1, 'math')` for one, as numbers or as they are."""

    def __init__(self, given):
        self.given = dict(item.split("=", 1) for item in given)

    def __call__(self, name, default, expert=None):
        text = self.given.get(f"{name}@{expert}", self.given.get(name))
        if text is None:
            return default
        if isinstance(default, bool):
            return text == "true"
        return type(default)(text)


def run(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("method")
    parser.add_argument("--base", required=True)
    parser.add_argument("--expert", action="append", default=[])
    parser.add_argument("--statistics", action="append", default=[])
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("-o", required=True)
    options = parser.parse_args(arguments)

    stored = load_file(options.base)
    experts = [(name, load_file(path)) for name, path in (item.split("=", 1) for item in options.expert)]
    statistics = {name: load_file(path) for name, path in (item.split("=", 1) for item in options.statistics)}

    def fits(tensors, name):
        return name in tensors and tensors[name].shape == stored[name].shape and tensors[name].dtype == stored[name].dtype

    names = [
        name for name in sorted(stored)
        if stored[name].dtype.kind == "f" and stored[name].size and any(fits(e, name) for _, e in experts)
    ]
    base = {name: stored[name].astype(np.float64) for name in names}
    wide = [(expert, {n: t[n].astype(np.float64) for n in names if fits(t, n)}) for expert, t in experts]
    method = importlib.import_module(options.method.replace("-", "_"))
    settings = Settings(options.set)
    merged = method.merge(base, wide, settings, statistics)
    assert set(merged) == set(names), "every tensor, and no other"
    merged = importlib.import_module("lines").scale(base, merged, list(stored), settings)
    result = {name: np.asarray(merged[name], stored[name].dtype, order="C") if name in merged else stored[name] for name in stored}
    save_file(result, options.o)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--jobs"]:
        for line in open(sys.argv[2], encoding="utf-8"):
            run(shlex.split(line))
    else:
        run(sys.argv[1:])
