"""Archives, mixes of their experts, and the tensors of these."""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np

from . import _dtypes, _errors, _native

Weights = Union[None, str, Mapping]
_LEVELS = {"quick": 0, "full": 1, "deep": 2}
_NAMES = {"source": 0, "base": 1, "transformers-5": 2}
_FALLBACKS = {"stored": 0, "never": 2}
_ORIGINS = ("shared", "own", "sum")
# What a call takes that is not worth a thread of its own.
_QUICK_BYTES = 16 << 20


def open(  # noqa: A001 - as gzip, tarfile and others name theirs
    path: Any,
    base: Optional[Union[str, os.PathLike]] = None,
    *,
    framework: str = "np",
    keep: Union[bool, int] = False,
    **options: Any,
) -> "Archive":
    """Opens an archive.

    path: a path; a binary file object that can seek; or a URL such as ``https://…``, ``s3://…``, ``hf://…``, of which only the bytes are
        fetched that are needed. ``options`` are those of ``tmpack.remote.open_source``.
    base: the shared model of a detached archive: a file, a folder, or a model's name in the Hugging Face cache.
    framework: of the arrays that it gives: ``"np"`` or ``"pt"``.
    keep: bytes of decoded tensors and factors to keep, so that the next mix reads and decodes less; True keeps all.
    """
    kept = (1 << 62) if keep is True else int(keep)
    if kept < 0:
        raise _errors.made("invalid-argument", "keep is a number of bytes, and not less than 0")
    settings = _native.OpenOptions(
        base=None if base is None else _native.c_string(base if isinstance(base, str) else os.fspath(base)),
        kept_bytes=kept,
    )
    if hasattr(path, "read") or (isinstance(path, str) and "://" in path):
        from . import remote

        return remote.open_archive(path, settings, framework, **options)
    if options:
        raise TypeError(f"unknown options for a file: {', '.join(options)}")
    handle = _native.handle_of(
        "tmpk_open", _native.c_string(path if isinstance(path, str) else os.fspath(path)), settings
    )
    return Archive(handle, framework)


@dataclass(frozen=True)
class Verification:
    """What was found wrong with an archive, and what of it is usable still."""

    sound: bool
    faults: List[_errors.TmpackError]
    usable_experts: List[str]
    shared_usable: bool
    root_digest: str

    def __bool__(self) -> bool:
        return self.sound


class Routing(Dict[str, float]):
    """Weights by expert, as ``Archive.mix`` takes them, and what they come of."""

    def __init__(self, classes: Sequence[str], group: Mapping) -> None:
        super().__init__(zip(classes, group["weights"]))
        self.probabilities: Dict[str, float] = dict(zip(classes, group["probabilities"]))
        #: 0 for certain, 1 for saying nothing.
        self.entropy: float = group["entropy"]
        #: Whether the shared model alone is meant, because the entropy is above the fallback's.
        self.fell_back: bool = group["fell_back"]
        #: First input of the group, and one past the last.
        self.rows: Tuple[int, int] = tuple(group["rows"])


class _Handle:
    """A handle that is closed once: by hand, or when nothing refers to it."""

    def __init__(self, close: str, number: int) -> None:
        self.number = number
        self._finalize = weakref.finalize(self, getattr(_native.library, close), number)

    def close(self) -> None:
        self._finalize()


class Archive:
    """An archive that is open for reading. Safe to use from several threads."""

    def __init__(self, handle: int, framework: str = "np", source: Any = None) -> None:
        self._handle = _Handle("tmpk_close", handle)
        self._source = source
        self.framework = _checked_framework(framework)
        self._info: Optional[dict] = None

    @property
    def info(self) -> dict:
        """What ``tmpack inspect --json`` prints: sizes, errors, methods, provenance."""
        if self._info is None:
            self._info = _native.json_of("tmpk_describe", self._handle.number, 0)
        return self._info

    def describe(self, tensors: bool = True) -> dict:
        """``info``, with the tensors of every expert."""
        return _native.json_of("tmpk_describe", self._handle.number, 1 if tensors else 0)

    @property
    def experts(self) -> List[str]:
        return [expert["name"] for expert in self.info["experts"]]

    @property
    def router(self) -> Optional[dict]:
        """What the archive says of its router: classes, dimension, accuracy; None if it has none."""
        return self.info.get("router")

    @property
    def is_detached(self) -> bool:
        return self.info["shared"]["storage"] == "detached"

    def verify(self, level: str = "full") -> Verification:
        """Checks every byte against the digests: ``"quick"`` of header, index and sections only; ``"deep"`` decodes everything, too."""
        if level not in _LEVELS:
            raise _errors.made("invalid-argument", f"there is no level '{level}'; there are {', '.join(_LEVELS)}")
        found: List[dict] = []
        _native.interruptibly(
            lambda cancel: found.append(
                _native.json_of("tmpk_verify", self._handle.number, _LEVELS[level], _native.byref(cancel))
            )
        )
        report = found[0]
        return Verification(
            sound=report["sound"],
            faults=[_errors.reported(fault) for fault in report["faults"]],
            usable_experts=report["usable_experts"],
            shared_usable=report["shared_usable"],
            root_digest=report["root_digest"],
        )

    def route(
        self,
        embeddings: Any,
        *,
        group: Union[None, int, str] = None,
        temperature: Optional[float] = None,
        top: Optional[int] = None,
        threshold: float = 0.0,
        fallback: Union[str, float] = "stored",
    ) -> Any:
        """The router's weights for embeddings, [inputs, dimension] or [dimension].

        group: how many inputs get weights together; None for each by itself, ``"all"`` for all.
        fallback: the normalised entropy above which the shared model is taken; ``"stored"`` as the router has it, or ``"never"``.

        Gives a list of ``Routing``, one for each group; a single one for ``"all"`` or an embedding without the first dimension.
        """
        numbers = np.ascontiguousarray(_as_numpy(embeddings), dtype=np.float32)
        if numbers.ndim not in (1, 2):
            raise _errors.made("shape-mismatch", "embeddings are a matrix of one row an input, or one row")
        is_single = numbers.ndim == 1 or group == "all"
        rows, dimension = (1, numbers.shape[0]) if numbers.ndim == 1 else numbers.shape
        if group is not None and group != "all" and not 0 < int(group) < 1 << 32:
            raise _errors.made("invalid-argument", "a group has one input at least")
        if top is not None and not 0 < top < 1 << 32:
            raise _errors.made("invalid-argument", "one expert at least must keep its weight")
        if temperature == 0:
            raise _errors.made("invalid-argument", "the temperature must be more than 0")
        if isinstance(fallback, str) and fallback not in _FALLBACKS:
            raise _errors.made("invalid-argument", f"fallback is a number, 'stored' or 'never', not '{fallback}'")
        options = _native.RouteOptions(
            group=0 if group is None else 0xFFFF_FFFF if group == "all" else int(group),
            temperature=temperature or 0,
            threshold=threshold,
            top=top or 0,
            fallback=_FALLBACKS[fallback] if isinstance(fallback, str) else 1,
            fallback_entropy=0 if isinstance(fallback, str) else fallback,
        )
        report = _native.json_of("tmpk_route", self._handle.number, numbers.ctypes.data, rows, dimension, options)
        routings = [Routing(report["classes"], each) for each in report["groups"]]
        return routings[0] if is_single else routings

    def mix(
        self,
        weights: Weights = None,
        *,
        dtype: Any = None,
        exact: bool = False,
        names: str = "source",
        framework: Optional[str] = None,
    ) -> "Mix":
        """A mix of experts, whose tensors are rebuilt when they are asked for: θ = shared + Σ weight · expert.

        weights: by expert, used as they are, not normalised; a name is that expert with weight 1; None or nothing is the shared model.
        dtype: of the floating-point tensors; None leaves each its own.
        exact: one expert to the bit, of an archive that was packed with ``--exact`` or ``--lossless``.
        names: of the tensors: ``"source"`` as in an expert's own checkpoint, ``"base"``, or ``"transformers-5"`` as in its memory.
        """
        if names not in _NAMES:
            raise _errors.made("invalid-argument", f"there are no names '{names}'; there are {', '.join(_NAMES)}")
        entries = _weight_entries(weights)
        array, count = _native.weights_array(entries)
        name = _dtypes.name_of(dtype)
        options = _native.MixOptions(
            is_exact=1 if exact else 0, names=_NAMES[names], dtype=None if name is None else name.encode()
        )
        handle = _native.handle_of("tmpk_mix_open", self._handle.number, array, count, options)
        return Mix(
            handle,
            _checked_framework(framework) if framework else self.framework,
            self._source,
            lambda other: self.mix(weights, dtype=other, exact=exact, names=names, framework=framework),
        )

    def __getitem__(self, expert: str) -> "Mix":
        return self.mix(expert)

    @property
    def shared(self) -> "Mix":
        """The shared model."""
        return self.mix()

    @property
    def files(self) -> "Files":
        """The non-tensor files of the shared model."""
        return self.mix().files

    def close(self) -> None:
        """Closes the archive; mixes that are open stay so."""
        self._handle.close()

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<tmpack.Archive {self.info['archive']!r}: {', '.join(self.experts)}>"


@dataclass(frozen=True)
class TensorInfo:
    name: str
    #: safetensors' name, such as "BF16".
    dtype: str
    shape: Tuple[int, ...]
    byte_count: int
    #: "shared", bit for bit; "own" of one expert; or "sum".
    origin: str
    index: int = field(repr=False)


class Files(Mapping):
    """Non-tensor files by name, such as ``config.json``: read when they are asked for, and checked by digest."""

    def __init__(self, mix: "Mix", sizes: Dict[str, int]) -> None:
        self._mix = mix
        self.sizes = sizes

    def __getitem__(self, name: str) -> bytes:
        if name not in self.sizes:
            raise KeyError(name)
        return _native.file_of(self._mix._handle.number, name)

    def json(self, name: str) -> Any:
        return json.loads(self[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.sizes)

    def __len__(self) -> int:
        return len(self.sizes)


class Mix(Mapping):
    """Tensors by name, rebuilt when they are asked for. Safe to use from several threads."""

    def __init__(self, handle: int, framework: str, source: Any, reopen: Callable[[Any], "Mix"]) -> None:
        self._handle = _Handle("tmpk_mix_close", handle)
        self._source = source
        self._reopen = reopen
        self.framework = framework
        report = _native.json_of("tmpk_mix_describe", handle)
        self.tensors: Dict[str, TensorInfo] = {
            name: TensorInfo(name, dtype, tuple(shape), byte_count, _ORIGINS[origin], index)
            for index, (name, dtype, shape, byte_count, origin) in enumerate(report["tensors"])
        }
        self.metadata: Dict[str, str] = report["metadata"]
        self.notes: List[str] = report["notes"]
        self.files = Files(self, {each["name"]: each["bytes"] for each in report["files"]})

    # MARK: the mapping

    def __getitem__(self, name: str) -> Any:
        array, buffer = self._new(self.tensors[name], self.framework)
        self.read_into({name: buffer})
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def __contains__(self, name: object) -> bool:
        return name in self.tensors

    def get_slice(self, name: str) -> "TensorSlice":
        """A tensor of which some rows are going to be read."""
        return TensorSlice(self, self.tensors[name])

    # MARK: reading

    def load(
        self,
        framework: Optional[str] = None,
        *,
        dtype: Any = None,
        device: Any = None,
        names: Optional[Iterable[str]] = None,
        threads: int = 0,
    ) -> Dict[str, Any]:
        """All tensors, or those of some names, in memory of their own: by several threads, Ctrl-C ends it.

        dtype: of the floating-point tensors: F64, F32, F16 or BF16 as the archive converts, rounded once; torch converts to others.
        device: for torch; whatever is not the CPU's goes there tensor by tensor.
        """
        framework = _checked_framework(framework) if framework else self.framework
        if framework == "np" and device not in (None, "cpu"):
            raise _errors.made("invalid-argument", "NumPy's arrays are in the CPU's memory: device is for framework='pt'")
        name = _dtypes.name_of(dtype)
        if name is not None and name in _dtypes.FLOATS and any(
            info.dtype in _dtypes.FLOATS and info.dtype != name for info in self.tensors.values()
        ):
            return self._reopen(name).load(framework, device=device, names=names, threads=threads)
        chosen = list(self.tensors if names is None else names)
        for each in chosen:
            if each not in self.tensors:
                raise _errors.made("unknown-name", "the mix has no tensor of that name", tensor=each)
        arrays: Dict[str, Any] = {}
        buffers: Dict[str, Any] = {}
        for each in chosen:
            arrays[each], buffers[each] = self._new(self.tensors[each], framework)
        self.read_into(buffers, threads=threads)
        if name is not None and name not in _dtypes.FLOATS:
            for each in chosen:
                if self.tensors[each].dtype in _dtypes.FLOATS:
                    kind = _dtypes.torch_dtype(name) if framework == "pt" else _dtypes.numpy_dtype(name)
                    arrays[each] = arrays[each].to(kind) if framework == "pt" else arrays[each].astype(kind)
        if framework == "pt" and device not in (None, "cpu"):
            arrays = {each: array.to(device) for each, array in arrays.items()}
        return arrays

    def read_into(self, buffers: Mapping, *, threads: int = 0) -> None:
        """Rebuilds tensors in memory of the caller's: by name, an array of NumPy or tensor of torch on the CPU, contiguous, of as many
        bytes; or an address and a number of bytes.

        On an error they hold anything.
        """
        targets = (_native.Target * max(1, len(buffers)))()
        total = 0
        for target, (name, buffer) in zip(targets, buffers.items()):
            info = self.tensors.get(name)
            if info is None:
                raise _errors.made("unknown-name", "the mix has no tensor of that name", tensor=name)
            address, count = _memory(buffer)
            target.tensor, target.buffer, target.byte_count = info.index, address, count
            total += count
        count = len(buffers)
        if self._source is not None:
            return self._read_fetched(targets, count, threads)
        if total < _QUICK_BYTES:
            options = _native.ReadOptions(threads=threads)
            _native.call("tmpk_mix_read", self._handle.number, targets, count, options)
            return None
        return _native.interruptibly(lambda cancel: self._read(targets, count, threads, cancel))

    def _read(self, targets: Any, count: int, threads: int, cancel: Any) -> None:
        options = _native.ReadOptions(threads=threads, cancel=_native.ctypes.pointer(cancel))
        _native.call("tmpk_mix_read", self._handle.number, targets, count, options)

    def _read_fetched(self, targets: Any, count: int, threads: int) -> None:
        """A few tensors at a time, whose bytes are fetched ahead."""
        number = self._handle.number

        def ranges(places: Sequence[int]) -> List[Tuple[int, int]]:
            return _native.ranges_of(number, [targets[place].tensor for place in places])

        def read(places: Sequence[int], cancel: Any) -> None:
            some = (_native.Target * len(places))(*[targets[place] for place in places])
            self._read(some, len(places), threads, cancel)

        source = self._source
        _native.interruptibly(lambda cancel: source.read_ahead(range(count), ranges, lambda p: read(p, cancel)))

    def _new(self, info: TensorInfo, framework: str) -> Tuple[Any, Any]:
        """An array for a tensor, and its memory."""
        shape = _dtypes.array_shape(info.dtype, info.shape, info.byte_count)
        array = self._new_array(shape, info.dtype, framework)
        return array, (array.data_ptr() if framework == "pt" else array.ctypes.data, info.byte_count)

    def _new_array(self, shape: Tuple[int, ...], dtype: str, framework: Optional[str] = None) -> Any:
        if (framework or self.framework) == "pt":
            import torch

            return torch.empty(shape, dtype=_dtypes.torch_dtype(dtype))
        return np.empty(shape, dtype=_dtypes.numpy_dtype(dtype))

    @property
    def overflow_count(self) -> int:
        """Numbers that became infinite so far because they were too large for the dtype that was asked for."""
        count = _native.c_uint64()
        _native.call("tmpk_overflow_count", self._handle.number, _native.byref(count))
        return count.value

    @property
    def byte_count(self) -> int:
        """Of all tensors."""
        return sum(info.byte_count for info in self.tensors.values())

    def close(self) -> None:
        self._handle.close()

    def __enter__(self) -> "Mix":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<tmpack.Mix of {len(self)} tensors, {self.byte_count} bytes>"


class TensorSlice:
    """A tensor of which only the rows are read that are asked for, as ``safetensors`` has it."""

    def __init__(self, mix: Mix, info: TensorInfo) -> None:
        self._mix = mix
        self._info = info

    def get_shape(self) -> List[int]:
        return list(self._info.shape)

    def get_dtype(self) -> str:
        return self._info.dtype

    def __getitem__(self, key: Any) -> Any:
        info, mix = self._info, self._mix
        shape = _dtypes.array_shape(info.dtype, info.shape, info.byte_count)
        first = key[0] if isinstance(key, tuple) and key else key
        if not shape or not isinstance(first, (int, np.integer, slice)) or info.byte_count == 0:
            return mix[info.name][key]
        if isinstance(first, slice):
            start, stop, step = first.indices(shape[0])
            rows = range(start, stop, step)
            low, high = (min(rows), max(rows) + 1) if rows else (0, 0)
            # The same rows, counted from the lowest; a negative end would count from the other end.
            end = rows.stop - low if rows.stop - low >= 0 else None
            inner: Any = slice(rows.start - low, end, step) if rows else slice(0, 0)
        else:
            row = int(first) + (shape[0] if first < 0 else 0)
            if not 0 <= row < shape[0]:
                raise IndexError(f"row {first} of {shape[0]}")
            low, high, inner = row, row + 1, 0
        width = info.byte_count // shape[0]
        array = mix._new_array((high - low,) + shape[1:], info.dtype)
        if (high - low) * width == 0:
            return array[(inner,) + _rest(key)]
        address = array.data_ptr() if mix.framework == "pt" else array.ctypes.data

        _native.call("tmpk_mix_read_part", mix._handle.number, info.index, low * width, address, (high - low) * width)
        return array[(inner,) + _rest(key)]


def _rest(key: Any) -> Tuple[Any, ...]:
    return tuple(key[1:]) if isinstance(key, tuple) else ()


def _checked_framework(framework: str) -> str:
    known = {"np": "np", "numpy": "np", "pt": "pt", "torch": "pt", "pytorch": "pt"}
    if framework not in known:
        raise _errors.made("invalid-argument", f"framework is 'np' or 'pt', not '{framework}'")
    return known[framework]


def _weight_entries(weights: Weights) -> List[Tuple[str, float]]:
    if weights is None:
        return []
    if isinstance(weights, str):
        return [(weights, 1.0)]
    if not isinstance(weights, Mapping):
        raise TypeError("weights are a name, or numbers by name")
    return [(name, float(weight)) for name, weight in weights.items()]


def _as_numpy(values: Any) -> np.ndarray:
    if hasattr(values, "detach"):  # torch's, without importing it
        return values.detach().float().cpu().numpy()
    return np.asarray(values)


def _memory(buffer: Any) -> Tuple[int, int]:
    """Address and size of the memory of an array."""
    if isinstance(buffer, tuple):
        return buffer
    if isinstance(buffer, np.ndarray):
        if not buffer.flags.c_contiguous or not buffer.flags.writeable:
            raise _errors.made("invalid-argument", "a buffer must be contiguous and writable")
        return buffer.ctypes.data, buffer.nbytes
    if hasattr(buffer, "data_ptr"):
        if buffer.device.type != "cpu" or not buffer.is_contiguous():
            raise _errors.made("invalid-argument", "a buffer must be contiguous and in the CPU's memory")
        return buffer.data_ptr(), buffer.numel() * buffer.element_size()
    view = memoryview(buffer)
    if view.readonly or not view.c_contiguous:
        raise _errors.made("invalid-argument", "a buffer must be contiguous and writable")
    return np.frombuffer(view, dtype=np.uint8).ctypes.data if view.nbytes else 0, view.nbytes
