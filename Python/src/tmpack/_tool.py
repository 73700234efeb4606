"""The commands that write, by the tool: see ``tmpack COMMAND --help``."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Union

from . import _dtypes, _errors

Model = Union[str, os.PathLike, Mapping]
_PROGRESS = re.compile(r"^(?P<stage>.+): +(?P<share>\d+) %")


def tool_path() -> str:
    """The tool: what TMPACK names, the one of this package, or that on the path."""
    given = os.environ.get("TMPACK")
    own = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin", "tmpack")
    found = given or (own if os.path.exists(own) else shutil.which("tmpack"))
    if not found:
        raise FileNotFoundError("there is no tmpack tool: this package was built without it, and none is on the path")
    return found


def main() -> None:
    """The command ``tmpack``."""
    path = tool_path()
    os.execv(path, [path] + sys.argv[1:])


def arguments_of(options: Mapping) -> List[str]:
    """``{"rank": 16, "exact": True, "scale": {"math": 0.5}}`` as ``--rank 16 --exact --scale math=0.5``."""
    arguments: List[str] = []
    for name, value in options.items():
        # `lambda_` for what is a word of the language.
        option = "--" + name.rstrip("_").replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            arguments.append(option)
        elif isinstance(value, Mapping):
            for key, each in value.items():
                arguments += [option, f"{key}={os.fspath(each) if isinstance(each, os.PathLike) else each}"]
        elif isinstance(value, (list, tuple)):
            for each in value:
                arguments += [option, str(each)]
        else:
            arguments += [option, os.fspath(value) if isinstance(value, os.PathLike) else str(value)]
    return arguments


def run(
    command: str, *arguments: Any, progress: Union[None, bool, Callable[[str, float], None]] = None, **options: Any
) -> Any:
    """Runs a command of the tool with ``--json`` and gives what it prints; raises what it reports.

    progress: called with the stage and the share that is done, now and then; True shows a bar, by tqdm if it is there.
    options: ``rank=16`` is ``--rank 16``, ``exact=True`` is ``--exact``, a dictionary is ``NAME=VALUE`` for each, a list the option again for each.
    """
    line = [tool_path(), command, *[os.fspath(each) for each in arguments], *arguments_of(options), "--json"]
    with _bar(progress) as show:
        process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        said: List[str] = []
        try:

            def listen() -> None:
                assert process.stderr is not None
                for raw in process.stderr:
                    text = raw.decode("utf-8", "replace").rstrip("\n")
                    match = _PROGRESS.match(text)
                    if match:
                        show(match["stage"], int(match["share"]) / 100)
                    else:
                        said.append(text)

            listener = threading.Thread(target=listen, daemon=True)
            listener.start()
            assert process.stdout is not None
            output = process.stdout.read()
            code = process.wait()
            listener.join()
        except BaseException:
            # It removes what it has begun.
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            process.wait()
            raise
    if code != 0:
        raise _failure(code, said, command, output)
    return json.loads(output)


def _failure(code: int, said: Sequence[str], command: str, output: bytes) -> Exception:
    for text in reversed(said):
        with contextlib.suppress(ValueError):
            error = json.loads(text).get("error")
            if isinstance(error, dict):
                return _errors.reported(error)
    with contextlib.suppress(ValueError):
        report = json.loads(output)
        if isinstance(report, dict):  # such as that of verify: it is what the command says, and the code that it is bad
            error = _errors.made("malformed" if code == 2 else "invalid-argument", f"tmpack {command} ends with {code}")
            error.report = report  # type: ignore[attr-defined]
            return error
    return _errors.made(
        "invalid-argument" if code in (1, 64) else "input-output",
        "\n".join(said) or f"tmpack {command} ends with {code}",
    )


@contextlib.contextmanager
def _bar(progress: Any) -> Iterator[Callable[[str, float], None]]:
    if progress is None or progress is False:
        yield lambda stage, share: None
        return
    if progress is not True:
        yield progress
        return
    try:
        from tqdm.auto import tqdm
    except ImportError:
        yield lambda stage, share: print(f"{stage}: {share:.0%}", file=sys.stderr)
        return
    with tqdm(total=100, unit="%", bar_format="{desc}: {percentage:3.0f}% {bar}") as bar:

        def show(stage: str, share: float) -> None:
            bar.set_description(stage)
            bar.update(round(share * 100) - bar.n)

        yield show


@contextlib.contextmanager
def _paths(models: Mapping) -> Iterator[Dict[str, str]]:
    """Paths of models; those in memory are written to temporary safetensors files."""
    with contextlib.ExitStack() as stack:
        paths: Dict[str, str] = {}
        folder: Optional[str] = None
        for number, (name, model) in enumerate(models.items()):
            if isinstance(model, (str, os.PathLike)):
                paths[name] = os.fspath(model)
                continue
            folder = folder or stack.enter_context(tempfile.TemporaryDirectory(prefix="tmpack-"))
            paths[name] = os.path.join(folder, f"{number}.safetensors")
            save(model, paths[name])
        yield paths


def save(state: Any, path: Union[str, os.PathLike], **metadata: str) -> None:
    """Writes a ``state_dict``, or arrays by name, as safetensors. Tensors that share memory are written each, in full."""
    if hasattr(state, "state_dict"):
        state = state.state_dict()
    entries: Dict[str, Any] = {"__metadata__": {"format": "pt", **metadata}}
    place = 0
    arrays: List[Any] = []
    for name in sorted(state):
        dtype, shape, array = _raw(state[name])
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [place, place + array.nbytes]}
        place += array.nbytes
        arrays.append(array)
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % 8)
    with open(path, "wb") as file:
        file.write(len(header).to_bytes(8, "little"))
        file.write(header)
        for array in arrays:
            file.write(array.data)


def _raw(tensor: Any) -> Any:
    """safetensors' name of the dtype, the shape, and the bytes as an array."""
    import numpy as np

    if hasattr(tensor, "detach"):
        import torch

        tensor = tensor.detach().cpu().contiguous()
        name = _dtypes.name_of(tensor.dtype)
        flat = tensor.reshape(-1).view(torch.uint8) if tensor.numel() else torch.empty(0, dtype=torch.uint8)
        return name, list(tensor.shape), flat.numpy()
    array = np.ascontiguousarray(tensor)
    return _dtypes.name_of(array.dtype), list(np.shape(tensor)), array.reshape(-1).view(np.uint8)


def _packing(command: str, base: Model, experts: Mapping, progress: Any, options: Mapping) -> dict:
    with _paths({"": base, **experts}) as paths:
        given = paths.pop("")
        return run(command, progress=progress, base=given, expert=paths, **options)


def pack(base: Model, experts: Mapping, output: Any, *, progress: Any = None, **options: Any) -> dict:
    """Packs experts of a base: paths, names in the Hugging Face cache, or ``state_dict``s in memory.

    >>> tmpack.pack("base/", {"math": "math/", "code": model.state_dict()}, "zoo.tmpack", rank=16)
    """
    return _packing("pack", base, experts, progress, {"output": output, **options})


def plan(base: Model, experts: Mapping, *, progress: Any = None, **options: Any) -> dict:
    """What ``pack`` would give and take, before it is done."""
    return _packing("plan", base, experts, progress, options)


def add(archive: Any, experts: Mapping, *, progress: Any = None, **options: Any) -> dict:
    """Adds experts to an archive, in place."""
    with _paths(experts) as paths:
        return run("add", archive, progress=progress, expert=paths, **options)


def remove(archive: Any, *experts: str, **options: Any) -> dict:
    """Removes experts from an archive."""
    return run("remove", archive, *experts, **options)


def unpack(archive: Any, output: Any, *, progress: Any = None, **options: Any) -> dict:
    """Writes a checkpoint: ``expert="math"``, ``weights="math=0.7,code=0.3"`` or ``shared=True``."""
    return run("unpack", archive, progress=progress, output=output, **options)


def export(archive: Any, expert: str, output: Any, *, progress: Any = None, **options: Any) -> dict:
    """Writes an expert as a PEFT adapter of type LoRA."""
    return run("export", progress=progress, peft=f"{os.fspath(archive)}#{expert}", output=output, **options)


def convert(source: Any, output: Any, *, progress: Any = None, **options: Any) -> dict:
    """Converts a checkpoint between formats, dtypes and names."""
    return run("convert", source, output, progress=progress, **options)


def compare(first: Any, second: Any, *, progress: Any = None, **options: Any) -> dict:
    """Compares two checkpoints, or selections of archives (``"zoo.tmpack#math"``), tensor by tensor."""
    return run("compare", first, second, progress=progress, **options)


def merge(
    method: str, base: Optional[Model], models: Mapping, output: Any, *, progress: Any = None, **options: Any
) -> dict:
    """Merges models into one, by a method such as ``"ties"``."""
    with _paths({**({} if base is None else {"": base}), **models}) as paths:
        given = paths.pop("", None)
        return run("merge", method, progress=progress, base=given, expert=paths, output=output, **options)
