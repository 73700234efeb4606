import hashlib
import os
import pathlib

import numpy as np
import pytest

import tmpack
from tmpack import _tool

ROOT = pathlib.Path(os.environ.get("TMPACK_ROOT", pathlib.Path(__file__).parents[2]))
GOLDEN = ROOT / "Fixtures" / "golden"


class Golden:
    """An archive of Fixtures/golden, and what must come out of it: Fixtures/README.md describes the manifest."""

    def __init__(self, name, root):
        self.name, self.root = name, root
        self.mixes, self.exact, self.routes = [], [], []

    @property
    def path(self):
        return GOLDEN / f"{self.name}.tmpack"

    @property
    def base(self):
        path = GOLDEN / f"{self.name}.safetensors"
        return path if path.exists() else None

    def open(self, **options):
        return tmpack.open(self.path, self.base, **options)

    def __repr__(self):
        return self.name


def _golden():
    found = []
    for line in (GOLDEN / "manifest.txt").read_text().splitlines():
        words = line.split(" ")
        if words[0] == "archive":
            found.append(Golden(words[1], words[2]))
        elif words[0] in ("mix", "exact"):
            lines = []
            (found[-1].mixes if words[0] == "mix" else found[-1].exact).append((words[1], lines))
        elif words[0] == "route":
            found[-1].routes.append(
                ([float(each) for each in words[1].split(",")], parsed(words[2]), float(words[3]))
            )
        else:
            lines.append(line)
    for golden in found:
        # One of its experts has a tensor in another dtype, or tensors are of a dtype that no sum is made of. In mixes they are made
        # numbers first, as unpack does: test_equal_to_unpack_in_every_dtype.
        if golden.name in ("replaced", "difference-f8_e4m3", "difference-c64"):
            golden.mixes = [(weights, expected) for weights, expected in golden.mixes if set(parsed(weights).values()) <= {1} and len(parsed(weights)) < 2]
    return found


def parsed(text):
    """``math=0.7,code=0.3``"""
    return {name: float(weight) for name, _, weight in (part.partition("=") for part in text.split(",") if part)}


ALL_GOLDEN = _golden()


def digests(mix, tensors=None):
    """Lines as the manifest has them."""
    tensors = mix.load("np") if tensors is None else tensors
    return [
        f"{name} {info.dtype} [{','.join(map(str, info.shape))}] {hashlib.sha256(np.ascontiguousarray(tensors[name]).tobytes()).hexdigest()}"
        for name, info in mix.tensors.items()
    ]


@pytest.fixture(scope="session")
def tool():
    try:
        return _tool.tool_path()
    except FileNotFoundError:
        pytest.fail("there is no tool: build the wheel with it, or set TMPACK")


@pytest.fixture(scope="session")
def zoo(tmp_path_factory, tool):
    """A base of 3 MB with large and small tensors, two experts, and archives of them: embedded and detached."""
    folder = tmp_path_factory.mktemp("zoo")
    random = np.random.default_rng(7)
    base = {
        "emb.weight": random.standard_normal((400, 96)).astype(np.float32),
        "head.bias": random.standard_normal(400).astype(np.float32),
        "large.weight": random.standard_normal((1536, 512)).astype(np.float32),
        "unchanged.weight": random.standard_normal((300, 300)).astype(np.float32),
        "ids": np.arange(12, dtype=np.int64),
    }
    models = {"base": base}
    for number, name in enumerate(("math", "code")):
        models[name] = {
            key: (
                value
                if key in ("unchanged.weight", "ids")
                else (value + 0.02 * random.standard_normal(value.shape)).astype(value.dtype)
            )
            for key, value in base.items()
        }
    for name, model in models.items():
        _tool.save(model, folder / f"{name}.safetensors")
    experts = {name: folder / f"{name}.safetensors" for name in ("math", "code")}
    common = {"rank": 8}
    tmpack.pack(folder / "base.safetensors", experts, folder / "embedded.tmpack", **common)
    tmpack.pack(folder / "base.safetensors", experts, folder / "detached.tmpack", detached=True, shared="base", **common)
    return folder
