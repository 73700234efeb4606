"""Archives that are not files here: only the bytes are fetched that are needed.

The C library asks for ranges, of several threads at once. They come from a bounded cache, which is filled ahead: ranges that lie together are
fetched together, several at a time. Every answer must have as many bytes as were asked for, from a source that has not changed; and what is decoded
is compared with the archive's digests, so a wrong byte is an error and never a wrong number.
"""

from __future__ import annotations

import io
import threading
import urllib.error
import urllib.request
from bisect import bisect_right
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, List, Optional, Protocol, Sequence, Tuple

from . import _errors, _native

#: Header of an archive: read as one.
_HEADER_BYTES = 8192

Ranges = List[Tuple[int, int]]


class Fetcher(Protocol):
    """What gives the bytes of an archive: any number of threads may ask at once."""

    #: For messages.
    label: str
    #: Of the whole.
    size: int

    def fetch(self, offset: int, count: int) -> bytes:
        """Exactly so many bytes; anything else is an exception."""


class HTTPFetcher:
    """A server with ranges. A changed ETag or size, or a server that answers with anything but the range, is an error."""

    def __init__(self, url: str, headers: Optional[Dict[str, str]] = None, timeout: float = 60.0) -> None:
        self.label = url
        self._headers = dict(headers or {})
        self._timeout = timeout
        self._tag: Optional[str] = None
        # The first bytes, which are needed in any case, say the size and the tag.
        self._size: Optional[int] = None
        self._first = self.fetch(0, _HEADER_BYTES)

    @property
    def size(self) -> int:
        return self._size or 0

    def fetch(self, offset: int, count: int) -> bytes:
        if self._size is not None and offset == 0 and count <= len(self._first):
            return self._first[:count]
        headers = dict(self._headers, Range=f"bytes={offset}-{offset + count - 1}")
        # Sizes are those of the bytes as they are stored.
        headers["Accept-Encoding"] = "identity"
        try:
            with urllib.request.urlopen(
                urllib.request.Request(self.label, headers=headers), timeout=self._timeout
            ) as answer:
                return self._checked(answer, offset, count)
        except urllib.error.HTTPError as error:
            raise self._failure(
                f"the server says {error.code} {error.reason}", offset, "not-found" if error.code == 404 else "input-output"
            ) from error
        except (OSError, EOFError, ValueError) as error:
            if isinstance(error, _errors.TmpackError):
                raise
            raise self._failure(f"cannot be fetched: {error}", offset) from error

    def _checked(self, answer: Any, offset: int, count: int) -> bytes:
        if answer.status != 206:
            raise self._failure(
                f"the server does not give ranges: it answers with {answer.status}, not 206; download the file", offset
            )
        unit, _, place = answer.headers.get("Content-Range", "").partition(" ")
        extent, _, whole = place.partition("/")
        first, _, last = extent.partition("-")
        if unit != "bytes" or not (first.isdigit() and last.isdigit() and whole.isdigit()):
            raise self._failure("the server does not say which bytes it gives, of how many", offset)
        size, tag = int(whole), answer.headers.get("ETag")
        if self._size is None:
            count = min(count, size)
        elif size != self._size or tag != self._tag:
            raise self._failure("changed while it was read: it has another size or tag", offset)
        if (int(first), int(last) - int(first) + 1) != (offset, count):
            raise self._failure(f"the server gives bytes {extent} instead of {count} from byte {offset} on", offset)
        content = answer.read(count + 1)
        if len(content) != count:
            raise self._failure(f"the server gives {len(content)} of {count} bytes", offset)
        if self._size is None:
            self._size, self._tag = size, tag
        return content

    def _failure(self, message: str, offset: int, code: str = "input-output") -> _errors.TmpackError:
        return _errors.made(code, message, file=self.label, offset=offset)


class FileSystemFetcher:
    """Anything that fsspec opens: ``s3://…``, ``hf://…``, ``gs://…``, ``memory://…``."""

    def __init__(self, url: str, **options: Any) -> None:
        try:
            import fsspec
        except ImportError as error:
            raise ImportError(f"{url.partition('://')[0]}:// needs fsspec, and what it needs for that") from error
        self.label = url
        self._system, self._path = fsspec.core.url_to_fs(url, **options)
        self._state = self._look()
        self.size = self._state[0]

    def _look(self) -> Tuple[int, Any]:
        info = self._system.info(self._path)
        tag = next((info[key] for key in ("ETag", "etag", "sha", "blob_id", "mtime") if info.get(key)), None)
        return int(info["size"]), tag

    def check(self) -> None:
        """Whether it is still what was opened."""
        self._system.invalidate_cache()
        if self._look() != self._state:
            raise _errors.made("input-output", "changed while it was read: it has another size or tag", file=self.label)

    def fetch(self, offset: int, count: int) -> bytes:
        try:
            content = self._system.cat_file(self._path, start=offset, end=offset + count)
        except Exception as error:
            if isinstance(error, _errors.TmpackError):
                raise
            raise _errors.made("input-output", f"cannot be fetched: {error}", file=self.label, offset=offset) from error
        if len(content) != count:
            raise _errors.made(
                "input-output", f"gives {len(content)} of {count} bytes", file=self.label, offset=offset
            )
        return bytes(content)


class ObjectFetcher:
    """A binary file object that can seek: one thread at a time."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._lock = threading.Lock()
        self.label = str(getattr(file, "name", "") or repr(file))
        self.size = file.seek(0, io.SEEK_END)

    def fetch(self, offset: int, count: int) -> bytes:
        with self._lock:
            self._file.seek(offset)
            parts, left = [], count
            while left:
                part = self._file.read(left)
                if not part:
                    raise _errors.made("truncated", "the file ended while it was read", file=self.label, offset=offset)
                parts.append(part)
                left -= len(part)
        return b"".join(parts)


class Source:
    """Ranges of what a fetcher gives, kept in a bounded cache.

    cache_bytes: what is kept at most, beside what is being waited for.
    parallel: requests at a time.
    overhead: bytes between ranges that may be fetched with them to save requests, for each byte of the ranges.
    """

    #: What a large range is fetched in.
    piece_bytes = 8 << 20

    def __init__(self, fetcher: Fetcher, cache_bytes: int = 256 << 20, parallel: int = 8, overhead: float = 0.04) -> None:
        self.fetcher = fetcher
        self.size = fetcher.size
        self.requests = 0
        self.fetched_bytes = 0
        self._cache_bytes = max(cache_bytes, 1 << 20)
        self._parallel = max(1, parallel)
        self._overhead = overhead
        self._lock = threading.Lock()
        #: Sorted by offset, disjoint.
        self._offsets: List[int] = []
        self._blocks: Dict[int, bytes] = {}
        self._uses: Dict[int, int] = {}
        self._clock = 0
        self._held = 0

        @_native.READ
        def read(_: Any, offset: int, buffer: int, count: int) -> int:
            try:
                _native.ctypes.memmove(buffer, self.bytes(offset, count), count)
                return 0
            except BaseException as error:  # is raised by the call that asked
                _native.failures[fetcher.label] = error
                return 1

        self.callback = read

    # MARK: what the library asks for

    def bytes(self, offset: int, count: int) -> bytes:
        with self._lock:
            found = self._found(offset, count)
        if found is not None:
            return found
        if offset + count <= _HEADER_BYTES <= self.size:
            return self._fetch(0, _HEADER_BYTES)[offset : offset + count]
        return self._fetch(offset, count)

    def _found(self, offset: int, count: int) -> Optional[bytes]:
        """From one block, or from several that touch each other."""
        parts: List[bytes] = []
        while count:
            place = bisect_right(self._offsets, offset) - 1
            if place < 0:
                return None
            start = self._offsets[place]
            block = self._blocks[start]
            part = block[offset - start : offset - start + count]
            if not part:
                return None
            self._clock += 1
            self._uses[start] = self._clock
            parts.append(part)
            offset += len(part)
            count -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _fetch(self, offset: int, count: int) -> bytes:
        content = self.fetcher.fetch(offset, count)
        with self._lock:
            self.requests += 1
            self.fetched_bytes += count
            place = bisect_right(self._offsets, offset)
            overlaps = (place > 0 and self._offsets[place - 1] + len(self._blocks[self._offsets[place - 1]]) > offset) or (
                place < len(self._offsets) and self._offsets[place] < offset + count
            )
            if not overlaps and count <= self._cache_bytes:
                self._offsets.insert(place, offset)
                self._blocks[offset] = content
                self._clock += 1
                self._uses[offset] = self._clock
                self._held += count
                self._shrink(offset)
        return content

    def _shrink(self, new: int) -> None:
        while self._held > self._cache_bytes:
            oldest = min((start for start in self._offsets if start != new), key=self._uses.__getitem__)
            self._offsets.remove(oldest)
            self._held -= len(self._blocks.pop(oldest))
            del self._uses[oldest]

    # MARK: ahead

    def prefetch(self, ranges: Ranges) -> None:
        """Fetches what is not there yet, several requests at a time."""
        with self._lock:
            missing = [(start, count) for start, count in ranges if self._found(start, count) is None]
        pieces = self._requests(missing)
        if len(pieces) == 1:
            self._fetch(*pieces[0])
        elif pieces:
            with ThreadPoolExecutor(min(self._parallel, len(pieces))) as pool:
                for done in [pool.submit(self._fetch, *piece) for piece in pieces]:
                    done.result()

    def _requests(self, ranges: Ranges) -> Ranges:
        """Ranges that lie together in one request: the smallest gaps are fetched with them, as many as the overhead allows."""
        ranges = sorted(ranges)
        if not ranges:
            return []
        gaps = sorted(
            (later[0] - earlier[0] - earlier[1], place) for place, (earlier, later) in enumerate(zip(ranges, ranges[1:]))
        )
        left = self._overhead * sum(count for _, count in ranges)
        bridged = set()
        for gap, place in gaps:
            left -= max(0, gap)
            if left < 0:
                break
            bridged.add(place)
        merged: Ranges = [ranges[0]]
        for place, (start, count) in enumerate(ranges[1:]):
            if place in bridged:
                first = merged[-1][0]
                merged[-1] = (first, max(start + count, sum(merged[-1])) - first)
            else:
                merged.append((start, count))
        # In pieces, so that several connections share a large one; more of them than connections gain nothing.
        total = sum(count for _, count in merged)
        piece = max(self.piece_bytes, -(-total // self._parallel))
        return [
            (place, min(piece, start + count - place)) for start, count in merged for place in range(start, start + count, piece)
        ]

    def read_ahead(
        self, places: Sequence[int], ranges: Callable[[Sequence[int]], Ranges], read: Callable[[Sequence[int]], None]
    ) -> None:
        """Reads things by their numbers, those of half a cache at a time, while the next ones are fetched."""
        batches: List[Tuple[List[int], Ranges]] = []
        some: List[int] = []
        known: Dict[int, int] = {}
        for place in places:
            new = dict(ranges([place]))
            if some and sum(known.values()) + sum(new.values()) > self._cache_bytes // 2:
                batches.append((some, sorted(known.items())))
                some, known = [], {}
            some.append(place)
            known.update(new)
        if some:
            batches.append((some, sorted(known.items())))
        if not batches:
            return
        with ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(self.prefetch, batches[0][1])
            for index, (some, _) in enumerate(batches):
                ahead.result()
                if index + 1 < len(batches):
                    ahead = pool.submit(self.prefetch, batches[index + 1][1])
                read(some)
        check = getattr(self.fetcher, "check", None)
        if check is not None:
            check()


def fetcher_for(place: Any, **options: Any) -> Fetcher:
    if hasattr(place, "read"):
        return ObjectFetcher(place)
    if place.startswith(("http://", "https://")):
        return HTTPFetcher(place, **options)
    return FileSystemFetcher(place, **options)


def open_source(
    place: Any, *, cache_bytes: int = 256 << 20, parallel: int = 8, overhead: float = 0.04, **options: Any
) -> Source:
    """Options that are not named here are the fetcher's: ``headers`` and ``timeout`` of HTTP, or what fsspec's file system takes."""
    return Source(fetcher_for(place, **options), cache_bytes, parallel, overhead)


def open_archive(place: Any, settings: Any, framework: str, **options: Any) -> Any:
    from ._archive import Archive

    source = open_source(place, **options)
    described = _native.Source(
        byte_count=source.size, label=_native.c_string(source.fetcher.label), read=source.callback
    )
    handle = _native.handle_of("tmpk_open_source", described, settings)
    return Archive(handle, framework, source)
