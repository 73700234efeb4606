"""Experts of an archive as LoRA adapters of vLLM: a request for model ``math`` is served by expert ``math``.

Set ``TMPACK_VLLM_ARCHIVE`` to the archive's path and ``VLLM_ALLOW_RUNTIME_LORA_UPDATING=1``; serve the archive's shared model with ``--enable-lora``. Adapters
are exported once, into ``TMPACK_VLLM_CACHE`` (default: a folder of the user's cache).
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import tempfile
from typing import Any, Optional

_log = logging.getLogger("tmpack.vllm")


def register() -> None:
    """The entry point of group ``vllm.general_plugins``: called in every process, maybe several times."""
    path = os.environ.get("TMPACK_VLLM_ARCHIVE")
    if not path:
        return
    try:
        from vllm.lora.resolver import LoRAResolverRegistry

        LoRAResolverRegistry.register_resolver("tmpack", resolver(path))
    except Exception:
        # A plugin that raises would end the server.
        _log.exception("the resolver of %s is not registered", path)


def resolver(path: Any, cache: Optional[str] = None, base_model: Optional[str] = None) -> Any:
    """A ``LoRAResolver`` over an archive.

    base_model: answer for that model only; None for any.
    """
    from vllm.lora.request import LoRARequest
    from vllm.lora.resolver import LoRAResolver

    exporter = Exporter(path, cache)

    class ArchiveResolver(LoRAResolver):
        async def resolve_lora(self, base_model_name: str, lora_name: str) -> Optional[Any]:
            if base_model is not None and base_model_name != base_model:
                return None
            folder = await asyncio.to_thread(exporter.folder_or_none, lora_name)
            if folder is None:
                return None
            # vLLM gives it a number of its own.
            return LoRARequest(lora_name=lora_name, lora_int_id=abs(hash(lora_name)) % (1 << 31) + 1, lora_path=folder)

    return ArchiveResolver()


class Exporter:
    """Adapters of an archive's experts in a folder: each is exported once for each root digest of the archive."""

    def __init__(self, path: Any, cache: Optional[str] = None) -> None:
        self.path = os.fspath(path)
        self._cache = cache or os.environ.get("TMPACK_VLLM_CACHE") or os.path.join(
            os.environ.get("XDG_CACHE_HOME", os.path.join(os.path.expanduser("~"), ".cache")), "tmpack", "vllm"
        )

    def folder_or_none(self, expert: str) -> Optional[str]:
        """Where the adapter is; None where there is no such expert, or it cannot be exported, which is logged."""
        try:
            return self.folder(expert)
        except Exception:
            _log.exception("expert %r of %s cannot be served", expert, self.path)
            return None

    def folder(self, expert: str) -> Optional[str]:
        from . import _archive, _tool

        with _archive.open(self.path) as archive:
            if expert not in archive.experts:
                return None
            root = archive.info["root_digest"]
        place = os.path.join(self._cache, root, expert)
        if os.path.isfile(os.path.join(place, "adapter_config.json")):
            return place
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="export-", dir=os.path.dirname(place)) as folder:
            made = os.path.join(folder, "adapter")
            # vLLM refuses modules_to_save; what no adapter can hold is an error, not another model. Of experts' weights that are tensors of
            # their own on disk it takes updates by those names; PEFT's for all of them it divides otherwise (vLLM 0.33).
            _tool.export(self.path, expert, made, strict=True, naming="per-expert")
            try:
                os.rename(made, place)
            except OSError:
                # Another process was first.
                if not os.path.isfile(os.path.join(place, "adapter_config.json")):
                    raise
                shutil.rmtree(made, ignore_errors=True)
        return place
