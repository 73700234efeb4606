"""Read tmpack archives: any expert, or any weighted mix of experts, straight into the process's memory.

>>> import tmpack
>>> archive = tmpack.open("zoo.tmpack")
>>> archive.experts
['math', 'code']
>>> archive.mix({"math": 0.7, "code": 0.3})["layers.0.weight"]      # an array, rebuilt now
>>> archive["math"].load(framework="pt")                            # a state_dict
"""

import importlib as _importlib
from typing import Any as _Any

from ._archive import Archive, Files, Mix, Routing, TensorInfo, TensorSlice, Verification, open
from ._errors import (
    BaseMismatch,
    Cancelled,
    FormatError,
    InputOutputError,
    LimitError,
    NotFound,
    TmpackError,
    UnknownName,
    UnsupportedError,
    UsageError,
)
from ._native import version as _version
from ._safe_open import safe_open
from ._tool import add, compare, convert, export, merge, pack, plan, remove, run, save, unpack
from .calibration import calibrate

__version__ = _version()

#: What needs libraries of its own, imported when it is asked for.
_SUBMODULES = ("distributed", "peft", "remote", "torch", "transformers", "vllm")


def __getattr__(name: str) -> _Any:
    if name in _SUBMODULES:
        return _importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

__all__ = [
    "Archive",
    "BaseMismatch",
    "Cancelled",
    "Files",
    "FormatError",
    "InputOutputError",
    "LimitError",
    "Mix",
    "NotFound",
    "Routing",
    "TensorInfo",
    "TensorSlice",
    "TmpackError",
    "UnknownName",
    "UnsupportedError",
    "UsageError",
    "Verification",
    "add",
    "calibrate",
    "compare",
    "convert",
    "export",
    "merge",
    "open",
    "pack",
    "plan",
    "remove",
    "run",
    "safe_open",
    "save",
    "unpack",
]
