"""The C interface, include/tmpack.h, through ctypes. Calls release the interpreter's lock."""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    byref,
    c_char_p,
    c_double,
    c_float,
    c_int32,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
    cast,
    sizeof,
)
from typing import Any, Callable, Iterable, Optional, Sequence

from . import _errors

ABI_VERSION = 0x00010000


class Error(Structure):
    _fields_ = [
        ("code", c_int32),
        ("name", c_char_p),
        ("message", c_char_p),
        ("text", c_char_p),
        ("file", c_char_p),
        ("expert", c_char_p),
        ("tensor", c_char_p),
        ("offset", c_int64),
    ]


class Sized(Structure):
    """Options whose first member is their size."""

    def __init__(self, **values: Any) -> None:
        super().__init__(size=sizeof(type(self)), **values)


class OpenOptions(Sized):
    _fields_ = [("size", c_uint32), ("reserved", c_uint32), ("base", c_char_p), ("kept_bytes", c_uint64)]


READ = CFUNCTYPE(c_int32, c_void_p, c_uint64, c_void_p, c_uint64)
RELEASE = CFUNCTYPE(None, c_void_p)


class Source(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("reserved", c_uint32),
        ("context", c_void_p),
        ("byte_count", c_uint64),
        ("label", c_char_p),
        ("read", READ),
        ("release", RELEASE),
    ]


class RouteOptions(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("group", c_uint32),
        ("temperature", c_double),
        ("threshold", c_double),
        ("top", c_uint32),
        ("fallback", c_uint32),
        ("fallback_entropy", c_double),
    ]


class Weight(Structure):
    _fields_ = [("expert", c_char_p), ("weight", c_float)]


class MixOptions(Sized):
    _fields_ = [
        ("size", c_uint32),
        ("is_exact", c_uint32),
        ("names", c_int32),
        ("reserved", c_uint32),
        ("dtype", c_char_p),
    ]


class Target(Structure):
    _fields_ = [("tensor", c_size_t), ("buffer", c_void_p), ("byte_count", c_uint64)]


class ReadOptions(Sized):
    _fields_ = [("size", c_uint32), ("threads", c_uint32), ("cancel", POINTER(c_int32))]


class Range(Structure):
    _fields_ = [("offset", c_uint64), ("byte_count", c_uint64)]


def _library_path() -> str:
    given = os.environ.get("TMPACK_LIBRARY")
    if given:
        return given
    name = "libtmpack.dylib" if sys.platform == "darwin" else "libtmpack.so"
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib", name)


def _loaded() -> ctypes.CDLL:
    path = _library_path()
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise ImportError(f"tmpack's library cannot be loaded: {error}; TMPACK_LIBRARY names another") from error
    failing: Sequence[tuple[str, list]] = [
        ("tmpk_open", [c_char_p, POINTER(OpenOptions), POINTER(c_void_p)]),
        ("tmpk_open_source", [POINTER(Source), POINTER(OpenOptions), POINTER(c_void_p)]),
        ("tmpk_describe", [c_void_p, c_uint32, POINTER(c_void_p)]),
        ("tmpk_verify", [c_void_p, c_int32, POINTER(c_int32), POINTER(c_void_p)]),
        ("tmpk_route", [c_void_p, c_void_p, c_size_t, c_size_t, POINTER(RouteOptions), POINTER(c_void_p)]),
        ("tmpk_mix_open", [c_void_p, POINTER(Weight), c_size_t, POINTER(MixOptions), POINTER(c_void_p)]),
        ("tmpk_mix_describe", [c_void_p, POINTER(c_void_p)]),
        ("tmpk_mix_read", [c_void_p, POINTER(Target), c_size_t, POINTER(ReadOptions)]),
        ("tmpk_mix_read_part", [c_void_p, c_size_t, c_uint64, c_void_p, c_uint64]),
        ("tmpk_overflow_count", [c_void_p, POINTER(c_uint64)]),
        (
            "tmpk_mix_ranges",
            [c_void_p, POINTER(c_size_t), c_size_t, POINTER(c_void_p), POINTER(c_size_t)],
        ),
        ("tmpk_mix_file", [c_void_p, c_char_p, POINTER(c_void_p), POINTER(c_size_t)]),
    ]
    for name, arguments in failing:
        function = getattr(library, name)
        function.argtypes = arguments + [POINTER(Error)]
        function.restype = c_int32
    for name in ("tmpk_close", "tmpk_mix_close", "tmpk_free"):
        getattr(library, name).argtypes = [c_void_p]
        getattr(library, name).restype = None
    library.tmpk_error_clear.argtypes = [POINTER(Error)]
    library.tmpk_error_clear.restype = None
    library.tmpk_abi_version.restype = c_uint32
    library.tmpk_version.restype = c_char_p
    version = library.tmpk_abi_version()
    if version >> 16 != ABI_VERSION >> 16 or version < ABI_VERSION:
        raise ImportError(f"{path} has the interface {version:#x}, and this package needs {ABI_VERSION:#x}")
    return library


library = _loaded()


def version() -> str:
    return library.tmpk_version().decode()


def _text(value: Optional[bytes]) -> Optional[str]:
    return None if value is None else value.decode("utf-8", "replace")


#: What went wrong in callbacks, by the label of the source: the library knows only that something did.
failures: dict[str, BaseException] = {}


def call(name: str, *arguments: Any) -> None:
    """Calls a function that can fail; raises what it reports, or what went wrong in a callback."""
    error = Error()
    if getattr(library, name)(*arguments, byref(error)) == 0:
        return
    try:
        cause = failures.pop(_text(error.file) or "", None) if error.name == b"input-output" else None
        if isinstance(cause, _errors.TmpackError) or not isinstance(cause, (Exception, type(None))):
            raise cause
        raise _errors.made(
            _text(error.name) or "unknown",
            _text(error.message) or "",
            text=_text(error.text),
            file=_text(error.file),
            expert=_text(error.expert),
            tensor=_text(error.tensor),
            offset=None if error.offset < 0 else error.offset,
        ) from cause
    finally:
        library.tmpk_error_clear(byref(error))


def handle_of(name: str, *arguments: Any) -> int:
    """Calls a function whose last output is a handle."""
    handle = c_void_p()
    call(name, *arguments, byref(handle))
    return handle.value or 0


def json_of(name: str, *arguments: Any) -> Any:
    """Calls a function whose last output is a text of JSON."""
    text = c_void_p()
    call(name, *arguments, byref(text))
    try:
        return json.loads(ctypes.string_at(text.value or 0).decode())
    finally:
        library.tmpk_free(text)


def file_of(mix: int, name: str) -> bytes:
    content, count = c_void_p(), c_size_t()
    call("tmpk_mix_file", mix, c_string(name), byref(content), byref(count))
    try:
        return ctypes.string_at(content.value or 0, count.value)
    finally:
        library.tmpk_free(content)


def ranges_of(mix: int, tensors: Optional[Sequence[int]]) -> list[tuple[int, int]]:
    """Offset and length of what is read of the archive."""
    found, count = c_void_p(), c_size_t()
    chosen = None if tensors is None else (c_size_t * max(1, len(tensors)))(*tensors)
    call("tmpk_mix_ranges", mix, chosen, 0 if tensors is None else len(tensors), byref(found), byref(count))
    try:
        ranges = cast(found, POINTER(Range))
        return [(ranges[i].offset, ranges[i].byte_count) for i in range(count.value)]
    finally:
        library.tmpk_free(found)


def c_string(text: str) -> bytes:
    encoded = os.fsencode(text) if isinstance(text, os.PathLike) else text.encode()
    if b"\0" in encoded:
        raise _errors.made("invalid-argument", "a name or a path has a zero byte")
    return encoded


def weights_array(weights: Iterable[tuple[str, float]]) -> tuple[Any, int]:
    entries = [Weight(c_string(name), weight) for name, weight in weights]
    return (Weight * max(1, len(entries)))(*entries), len(entries)


def interruptibly(work: Callable[[c_int32], None]) -> None:
    """Runs a call that may take long. On the main thread, Ctrl-C ends it: a signal's handler runs only between Python's own
    instructions, so the call is made on another thread meanwhile.

    ``work`` takes the number that cancels it.
    """
    cancel = c_int32(0)
    if threading.current_thread() is not threading.main_thread():
        return work(cancel)
    outcome: list[Optional[BaseException]] = []
    ended = threading.Lock()
    ended.acquire()

    def run() -> None:
        caught: Optional[BaseException] = None
        try:
            work(cancel)
        except BaseException as error:  # is raised again below
            caught = error
        outcome.append(caught)
        ended.release()

    def wait() -> None:
        while not outcome:
            ended.acquire(timeout=1)

    # Not `Thread.join`: interrupted, it takes a running thread for one that has ended (CPython before 3.13).
    threading.Thread(target=run, name="tmpack", daemon=True).start()
    try:
        wait()
    except BaseException:
        cancel.value = 1
        # What it writes to must not go before it has ended.
        while not outcome:
            try:
                wait()
            except BaseException:
                pass
        raise
    if outcome[0] is not None:
        raise outcome[0]
