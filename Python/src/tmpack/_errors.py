"""Exceptions: one class for each family of the tool's exit codes, and what is wrong, where."""

from __future__ import annotations

from typing import Any, Optional


class TmpackError(Exception):
    """What is wrong, and where.

    ``code`` is stable, such as ``"digest-mismatch"`` (Spec/json.md lists them); ``message`` is for people and may change. ``file``,
    ``expert``, ``tensor`` and ``offset`` (a byte of the file) are the place, or None where it is not known.
    """

    code: str
    message: str
    file: Optional[str]
    expert: Optional[str]
    tensor: Optional[str]
    offset: Optional[int]

    def __init__(
        self,
        message: str,
        *,
        code: str = "invalid-argument",
        text: Optional[str] = None,
        file: Optional[str] = None,
        expert: Optional[str] = None,
        tensor: Optional[str] = None,
        offset: Optional[int] = None,
    ) -> None:
        super().__init__(text if text is not None else message)
        self.code = code
        self.message = message
        self.file = file
        self.expert = expert
        self.tensor = tensor
        self.offset = offset

    def __str__(self) -> str:  # KeyError would print a representation, OSError a number
        return str(self.args[0])

    def __reduce__(self) -> Any:
        return _restored, (type(self), self.args[0], dict(self.__dict__))


def _restored(kind: type, text: str, state: dict) -> TmpackError:
    error = kind(text)
    error.__dict__.update(state)
    return error


class UsageError(TmpackError, ValueError):
    """The caller asked for what cannot be."""


class UnknownName(UsageError, KeyError):
    """There is no expert, tensor or file of that name."""


class BaseMismatch(UsageError):
    """The base that was given is not the one that the archive is bound to."""


class FormatError(TmpackError):
    """The file is damaged, or breaks the rules of its format."""


class UnsupportedError(TmpackError):
    """The file is sound, and not for this version."""


class InputOutputError(TmpackError, OSError):
    """The system, a server or a callback said no."""


class NotFound(InputOutputError, FileNotFoundError):
    """There is no such file."""


class Cancelled(InputOutputError):
    """The call was cancelled."""


class LimitError(TmpackError):
    """A size that the file declares is above a limit."""


_KINDS: dict[str, type[TmpackError]] = {
    "invalid-argument": UsageError,
    "unknown-name": UnknownName,
    "output-exists": UsageError,
    "base-mismatch": BaseMismatch,
    "non-finite": UsageError,
    "shape-mismatch": UsageError,
    "truncated": FormatError,
    "malformed": FormatError,
    "digest-mismatch": FormatError,
    "signature-mismatch": FormatError,
    "unknown-format": FormatError,
    "unsupported-version": UnsupportedError,
    "unsupported-feature": UnsupportedError,
    "not-found": NotFound,
    "input-output": InputOutputError,
    "cancelled": Cancelled,
    "out-of-memory": InputOutputError,
    "limit-exceeded": LimitError,
}


def made(
    code: str,
    message: str,
    *,
    text: Optional[str] = None,
    file: Optional[str] = None,
    expert: Optional[str] = None,
    tensor: Optional[str] = None,
    offset: Optional[int] = None,
) -> TmpackError:
    """The exception that goes with a code."""
    if text is None:
        place = [
            part
            for part in (
                file,
                None if offset is None else f"byte {offset}",
                None if expert is None else f"expert '{expert}'",
                None if tensor is None else f"tensor '{tensor}'",
            )
            if part is not None
        ]
        text = f"{', '.join(place)}: {message}" if place else message
    return _KINDS.get(code, TmpackError)(
        message, code=code, text=text, file=file, expert=expert, tensor=tensor, offset=offset
    )


def reported(error: dict[str, Any]) -> TmpackError:
    """The exception that goes with an error as the tool and the library write it in JSON (Spec/json.md)."""
    return made(
        error["code"],
        error["message"],
        file=error.get("file"),
        expert=error.get("expert"),
        tensor=error.get("tensor"),
        offset=error.get("byte"),
    )
