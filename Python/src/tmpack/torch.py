"""Experts and mixes in torch: as files of safetensors are loaded, into a model that is there, and switched between."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple, Union

import torch

from . import _dtypes, _errors
from ._archive import Archive, Mix, Weights, open as open_archive
from ._safe_open import chosen, safe_open  # noqa: F401 - stands for safetensors'

__all__ = ["Switcher", "load_file", "load_into", "safe_open"]


def load_file(
    filename: Any,
    device: Any = "cpu",
    *,
    expert: Optional[str] = None,
    weights: Weights = None,
    base: Any = None,
    dtype: Any = None,
    **options: Any,
) -> Dict[str, torch.Tensor]:
    """``safetensors.torch.load_file`` for an expert or a mix of an archive."""
    with open_archive(filename, base, framework="pt", **options) as archive:
        with archive.mix(chosen(archive, expert, weights)) as mix:
            return mix.load(device=device, dtype=dtype)


class _Plan:
    """Which tensors of a mix go where in a model.

    A tensor of the model that shares its memory with another (tied weights) needs only one of the names. Tensors that the mix has in
    another dtype, on another device or not contiguous are copied from a buffer.
    """

    def __init__(self, model: Any, mix: Mix, strict: bool) -> None:
        tensors = _tensors(model)
        missing = [name for name in tensors if name not in mix]
        self.unexpected = [name for name in mix if name not in tensors]
        written = {_place(tensors[name]) for name in mix if name in tensors}
        own = _made_by_the_model(model)
        self.missing = [
            name for name in missing if _place(tensors[name]) not in written and tensors[name].numel() and name not in own
        ]
        if strict and (self.missing or self.unexpected):
            raise _errors.made(
                "shape-mismatch",
                "the model and the mix are not of the same tensors: "
                + "; ".join(
                    f"{what} {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
                    for what, names in (("missing are", self.missing), ("unexpected are", self.unexpected))
                    if names
                ),
            )
        self.targets: Dict[str, torch.Tensor] = {}
        #: Names of tied tensors beyond the first, with the first.
        self.tied: Dict[str, str] = {}
        first: Dict[Tuple, str] = {}
        for name in mix:
            tensor = tensors.get(name)
            if tensor is None:
                continue
            shape = _dtypes.array_shape(mix.tensors[name].dtype, mix.tensors[name].shape, mix.tensors[name].byte_count)
            if tuple(tensor.shape) != tuple(shape):
                raise _errors.made(
                    "shape-mismatch", f"is {list(shape)} in the mix, and {list(tensor.shape)} in the model", tensor=name
                )
            if tensor.device.type == "meta":
                raise _errors.made("invalid-argument", "the model's tensor is on the meta device: it has no memory", tensor=name)
            place = _place(tensor)
            if tensor.numel() and place in first:
                self.tied[name] = first[place]
                continue
            first[place] = name
            self.targets[name] = tensor

    def is_direct(self, name: str, mix: Mix) -> bool:
        """Whether the mix can be rebuilt right in the model's memory."""
        tensor = self.targets[name]
        return (
            tensor.device.type == "cpu"
            and tensor.is_contiguous()
            and tensor.dtype == _dtypes.torch_dtype(mix.tensors[name].dtype)
        )

    def fill(self, mix: Mix, names: List[str], threads: int) -> None:
        direct = [name for name in names if self.is_direct(name, mix)]
        buffers = {
            name: (self.targets[name].data_ptr(), mix.tensors[name].byte_count) for name in direct
        }
        mix.read_into(buffers, threads=threads)
        with torch.no_grad():
            direct_names = set(direct)
            self._fill_by_copies(mix, [name for name in names if name not in direct_names], threads)

    #: What a copy goes through at a time.
    _copied_bytes = 256 << 20

    def _fill_by_copies(self, mix: Mix, names: List[str], threads: int) -> None:
        while names:
            some, left = [], self._copied_bytes
            while names and (not some or mix.tensors[names[0]].byte_count <= left):
                left -= mix.tensors[names[0]].byte_count
                some.append(names.pop(0))
            is_pinned = any(self.targets[name].device.type == "cuda" for name in some)
            buffers = {}
            for name in some:
                info = mix.tensors[name]
                shape = _dtypes.array_shape(info.dtype, info.shape, info.byte_count)
                buffers[name] = torch.empty(shape, dtype=_dtypes.torch_dtype(info.dtype), pin_memory=is_pinned)
            mix.read_into({name: (each.data_ptr(), each.nbytes) for name, each in buffers.items()}, threads=threads)
            for name in some:
                self.targets[name].copy_(buffers[name])

    def check_ties(self, mix: Mix) -> None:
        """Throws where the mix has different numbers for what is one in the model."""
        for name, first in self.tied.items():
            tensor = self.targets[first]
            own = mix.load("pt", names=[name])[name].to(tensor.device, tensor.dtype)
            if not torch.equal(own.view(torch.uint8), tensor.contiguous().view(torch.uint8)):
                raise _errors.made(
                    "shape-mismatch", f"is one with '{first}' in the model, and another tensor in the mix: untie them", tensor=name
                )


def _tensors(model: Any) -> Dict[str, torch.Tensor]:
    state = model.state_dict(keep_vars=True) if hasattr(model, "state_dict") else model
    if not isinstance(state, Mapping):
        raise TypeError("load into a module, or a state_dict")
    return {name: tensor.data for name, tensor in state.items() if isinstance(tensor, torch.Tensor)}


def _made_by_the_model(model: Any) -> Set[str]:
    """Names that transformers never saves, such as sinusoidal positions: a model has them from its configuration."""
    return set(getattr(model, "_keys_to_ignore_on_save", None) or ())


def _place(tensor: torch.Tensor) -> Tuple:
    return (tensor.device, tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)


def _mix_for(model: Any, archive: Archive, weights: Weights, exact: bool, names: Optional[str]) -> Mix:
    """A mix whose tensors have the model's names and dtype: of the namings that an archive knows, the one that fits best."""
    tensors = _tensors(model)
    kinds = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()}

    def opened(naming: str) -> Mix:
        mix = archive.mix(weights, exact=exact, names=naming, framework="pt")
        own = {_dtypes.torch_dtype(info.dtype) for info in mix.tensors.values() if info.dtype in _dtypes.FLOATS}
        # Rounded once, by the archive, where the model has one dtype and another.
        name = _dtypes.name_of(next(iter(kinds))) if len(kinds) == 1 else None
        if exact or name not in _dtypes.FLOATS or own <= kinds:
            return mix
        return archive.mix(weights, dtype=name, names=naming, framework="pt")

    if names is not None:
        return opened(names)
    best = opened("source")
    missing = sum(name not in best for name in tensors)
    for naming in ("base", "transformers-5") if missing else ():
        try:
            other = opened(naming)
        except _errors.TmpackError:  # there are no such names
            continue
        count = sum(name not in other for name in tensors)
        if count < missing:
            best, missing = other, count
    return best


def load_into(
    model: Any,
    archive: Archive,
    weights: Weights = None,
    *,
    strict: bool = True,
    exact: bool = False,
    names: Optional[str] = None,
    threads: int = 0,
) -> Any:
    """Rebuilds an expert or a mix in the memory of a model, or of a ``state_dict``'s tensors.

    On the CPU and in the archive's dtype nothing is copied; to others the tensors go through a buffer, pinned for CUDA. Tied tensors of the model
    need one of their names. On an error, the model holds anything.

    Gives what ``torch.nn.Module.load_state_dict`` gives: the missing and the unexpected names, which are errors if ``strict``. What
    a model of transformers makes itself and never saves may be missing.
    """
    with _mix_for(model, archive, weights, exact, names) as mix:
        plan = _Plan(model, mix, strict)
        plan.fill(mix, list(plan.targets), threads)
        plan.check_ties(mix)
    return torch.nn.modules.module._IncompatibleKeys(plan.missing, plan.unexpected)


class Switcher:
    """Changes a model between experts and mixes of one archive, in its own memory: only what differs is written.

    The model must hold nothing else than what the switcher puts there. Open the archive with ``keep=True``, so that the shared model and the factors
    stay decoded and a switch is arithmetic only.

    >>> archive = tmpack.open("zoo.tmpack", keep=True)
    >>> switcher = tmpack.torch.Switcher(model, archive)
    >>> switcher.switch("math")
    >>> with switcher.using({"math": 0.5, "code": 0.5}):
    ...     answer = model(**inputs)
    """

    #: Mixes whose manifests stay read.
    most_mixes = 64

    def __init__(
        self, model: Any, archive: Archive, *, strict: bool = True, names: Optional[str] = None, threads: int = 0
    ) -> None:
        self._model = model
        self._archive = archive
        self._strict = strict
        self._names = names
        self._threads = threads
        self._lock = threading.RLock()
        self._mixes: Dict[Tuple, Tuple[Mix, _Plan]] = {}
        self._current: Optional[Tuple] = None
        self._weights: Weights = None

    @property
    def current(self) -> Weights:
        """What the model holds: as it was given to ``switch``; None before the first time, and for the shared model."""
        return self._weights

    def _key(self, weights: Weights) -> Tuple:
        if weights is None:
            return ()
        if isinstance(weights, str):
            return ((weights, 1.0),)
        return tuple(sorted((name, float(weight)) for name, weight in weights.items() if weight != 0))

    def _opened(self, key: Tuple) -> Tuple[Mix, _Plan]:
        known = self._mixes.pop(key, None)
        if known is None:
            mix = _mix_for(self._model, self._archive, dict(key), False, self._names)
            known = (mix, _Plan(self._model, mix, self._strict))
            while len(self._mixes) >= self.most_mixes:
                self._mixes.pop(next(iter(self._mixes)))
        self._mixes[key] = known
        return known

    def switch(self, weights: Weights = None) -> int:
        """Puts an expert or a mix into the model; gives the number of tensors that were written."""
        with self._lock:
            key = self._key(weights)
            if key == self._current:
                return 0
            mix, plan = self._opened(key)
            names = list(plan.targets)
            if self._current is not None:
                # What is the shared model's in both is there already.
                before, old_plan = self._opened(self._current)
                same = {
                    name
                    for name in old_plan.targets
                    if name in mix.tensors and before.tensors[name].origin == "shared" == mix.tensors[name].origin
                }
                names = [name for name in names if name not in same]
            self._current = None
            plan.fill(mix, names, self._threads)
            if plan.tied:
                plan.check_ties(mix)
            self._current, self._weights = key, weights
            return len(names)

    @contextlib.contextmanager
    def using(self, weights: Weights) -> Iterator[Any]:
        """Switches, and back at the end. Others that want to switch wait."""
        with self._lock:
            before, held = self._weights, self._current
            self.switch(weights)
            try:
                yield self._model
            finally:
                if held is not None:
                    self.switch(before)
