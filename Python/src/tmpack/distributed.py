"""Packing as tasks of a Dask or Ray cluster whose workers see the same files: ``tmpack plan --tasks``, ``run`` and ``join``."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from typing import Any, Callable, List, Optional, Union

from . import _errors, _tool

_Path = Union[str, os.PathLike]


def pack(
    base: _Path,
    experts: Mapping,
    output: _Path,
    *,
    engine: str,
    shares: int,
    client: Any = None,
    folder: Optional[_Path] = None,
    retries: int = 3,
    threads: Optional[int] = None,
    progress: Any = None,
    **options: Any,
) -> dict:
    """Packs as ``tmpack.pack`` does, to the same bytes, in ``shares`` tasks.

    engine: ``"dask"``, with the ``client``, or else the current one; or ``"ray"``, in the session that ``ray.init`` has begun.
    folder: where the parts lie until they are joined: on a file system of all workers, as the models and the output. One of its own beside
    the output, unless given; in a given one, what is finished stays, and the same call takes it up.
    retries: of a share whose worker is lost, or whose run says that the system has failed (exit code 4); other errors end the call.
    threads: of each task.
    """
    for model in (base, *experts.values()):
        if not isinstance(model, (str, os.PathLike)):
            raise _errors.made("invalid-argument", "models that are packed by a cluster are paths that its workers see")
    try:
        submit = {"dask": _dask, "ray": _ray}[engine](client, retries)
    except KeyError:
        raise _errors.made("invalid-argument", f"engine is 'dask' or 'ray', not {engine!r}") from None
    paths = {name: os.path.abspath(os.fspath(path)) for name, path in experts.items()}
    output = os.path.abspath(os.fspath(output))
    with tempfile.TemporaryDirectory(prefix=".tmpack-parts-", dir=os.path.dirname(output)) as own:
        place = own if folder is None else os.path.abspath(os.fspath(folder))
        os.makedirs(place, exist_ok=True)
        tasks = os.path.join(place, "tasks.json")
        _tool.run("plan", base=os.path.abspath(os.fspath(base)), expert=paths, tasks=tasks, force=os.path.exists(tasks) or None, **options)
        parts = [os.path.join(place, f"{number}.part") for number in range(1, shares + 1)]
        submit(_share, [(tasks, f"{number}/{shares}", part, retries, threads) for number, part in enumerate(parts, 1)])
        return _tool.run("join", tasks, *parts, output=output, progress=progress)


def _share(tasks: str, share: str, part: str, retries: int, threads: Optional[int]) -> None:
    """Does a share, on a worker. A part that is finished is left as it is."""
    for attempt in range(retries + 1):
        try:
            _tool.run("run", tasks, task=share, output=part, threads=threads)
            return
        except _errors.InputOutputError:
            # Also where the run of a worker that is lost goes on: it has the part's lock.
            if attempt == retries:
                raise
            time.sleep(2**attempt)


def _dask(client: Any, retries: int) -> Callable[[Callable, List[tuple]], None]:
    from distributed import get_client

    client = client or get_client()

    def submit(task: Callable, arguments: List[tuple]) -> None:
        # A task of a worker that is lost goes to another.
        client.gather([client.submit(task, *each, pure=False, retries=0) for each in arguments])

    return submit


def _ray(client: Any, retries: int) -> Callable[[Callable, List[tuple]], None]:
    import ray

    def submit(task: Callable, arguments: List[tuple]) -> None:
        remote = ray.remote(max_retries=retries)(task)
        ray.get([remote.remote(*each) for each in arguments])

    return submit
