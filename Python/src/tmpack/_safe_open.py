"""An archive in the place of a safetensors file."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from . import _errors
from ._archive import Mix, TensorSlice, Weights, open as open_archive


def chosen(archive: Any, expert: Optional[str], weights: Weights) -> Weights:
    """What a function that stands for one of safetensors' gives: the expert or mix that is named, or the only expert there is."""
    if expert is not None and weights is not None:
        raise _errors.made("invalid-argument", "give an expert, or weights")
    if expert is not None or weights is not None:
        return expert if expert is not None else weights
    experts = archive.experts
    if len(experts) == 1:
        return experts[0]
    raise _errors.made(
        "invalid-argument", f"holds several experts; say which: {', '.join(experts)}", file=archive.info["archive"]
    )


class safe_open:
    """``safetensors.safe_open`` for an expert or a mix of an archive: the same methods, tensors rebuilt as they are asked for.

    >>> with tmpack.safe_open("zoo.tmpack", framework="pt", expert="math") as file:
    ...     for name in file.keys():
    ...         tensor = file.get_tensor(name)
    """

    def __init__(
        self,
        filename: Any,
        framework: str,
        device: Any = "cpu",
        *,
        expert: Optional[str] = None,
        weights: Weights = None,
        base: Any = None,
        **options: Any,
    ) -> None:
        self._archive = open_archive(filename, base, framework=framework, **options)
        try:
            self._mix: Mix = self._archive.mix(chosen(self._archive, expert, weights))
        except BaseException:
            self._archive.close()
            raise
        if self._mix.framework == "np" and device != "cpu":
            raise _errors.made("invalid-argument", "NumPy's arrays are in the CPU's memory")
        self._device = device

    def keys(self) -> List[str]:
        return list(self._mix)

    def offset_keys(self) -> List[str]:
        """The names in the order that is read fastest."""
        return list(self._mix)

    def metadata(self) -> Optional[Dict[str, str]]:
        return dict(self._mix.metadata) or None

    def get_tensor(self, name: str) -> Any:
        if name not in self._mix:
            raise _errors.made("unknown-name", "has no tensor of that name", tensor=name)
        tensor = self._mix[name]
        return tensor if self._device == "cpu" else tensor.to(self._device)

    def get_tensors(self, names: List[str]) -> Dict[str, Any]:
        """Several at once, by several threads."""
        device = None if self._device == "cpu" else self._device
        return self._mix.load(device=device, names=names)

    def get_slice(self, name: str) -> TensorSlice:
        if name not in self._mix:
            raise _errors.made("unknown-name", "has no tensor of that name", tensor=name)
        return self._mix.get_slice(name)

    def __enter__(self) -> "safe_open":
        return self

    def __exit__(self, *_: object) -> None:
        self._mix.close()
        self._archive.close()
