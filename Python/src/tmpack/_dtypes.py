"""Element types: safetensors' names, NumPy's and torch's."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from . import _errors

_NUMPY: dict[str, str] = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
}
# NumPy has none of its own; ml_dtypes adds them.
_EXTENDED: dict[str, str] = {
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
}
# Several elements in one byte: frameworks have no arrays of them, so their bytes are given.
PACKED: dict[str, int] = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}
FLOATS = ("F64", "F32", "F16", "BF16")


def numpy_dtype(name: str) -> np.dtype:
    if name in _NUMPY:
        return np.dtype(_NUMPY[name])
    if name in PACKED:
        return np.dtype("uint8")
    if name in _EXTENDED:
        try:
            import ml_dtypes
        except ImportError as error:
            raise ImportError(f"NumPy has no {name}: install ml_dtypes, or ask for another dtype") from error
        return np.dtype(getattr(ml_dtypes, _EXTENDED[name]))
    raise _errors.made("unsupported-feature", f"NumPy has no {name}")


def torch_dtype(name: str) -> Any:
    import torch

    if name == "F4":
        packed = getattr(torch, "float4_e2m1fn_x2", None)
        return torch.uint8 if packed is None else packed
    if name in PACKED:
        return torch.uint8
    found = getattr(torch, _NUMPY.get(name) or _EXTENDED.get(name) or "", None)
    if found is None:
        raise _errors.made("unsupported-feature", f"this torch has no {name}")
    return found


def name_of(dtype: Any) -> Optional[str]:
    """safetensors' name of a dtype of NumPy or torch, or of a name in any spelling; None for None."""
    if dtype is None:
        return None
    text = dtype if isinstance(dtype, str) else str(dtype)
    text = text.rsplit(".", 1)[-1].strip("<>'")
    for names in (_NUMPY, _EXTENDED):
        for name, own in names.items():
            if text == own or text.upper() == name:
                return name
    raise _errors.made("invalid-argument", f"'{dtype}' is not a dtype that is known here")


def array_shape(name: str, shape: tuple[int, ...], byte_count: int) -> tuple[int, ...]:
    """The shape of the array that holds a tensor: fewer elements in the last dimension where bytes hold several."""
    if name not in PACKED:
        return shape
    bits = PACKED[name]
    if shape and shape[-1] * bits % 8 == 0:
        return shape[:-1] + (shape[-1] * bits // 8,)
    return (byte_count,)
