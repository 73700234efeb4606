"""An expert as an adapter for PEFT."""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any, Dict, Tuple

from . import _tool


def adapter(archive: Any, expert: str, **options: Any) -> Tuple[Dict[str, Any], Any]:
    """A LoRA of an expert, for the archive's shared model: its ``state_dict`` and its ``peft.LoraConfig``.

    archive: a path. Low-rank factors are taken as they are; ``options`` are those of ``tmpack export --peft``: ``rank=32``, ``strict=True``, …

    >>> state, config = tmpack.peft.adapter("zoo.tmpack", "math")
    >>> model = peft.get_peft_model(base, config)
    >>> peft.set_peft_model_state_dict(model, state)
    """
    import peft
    from safetensors.torch import load_file

    with tempfile.TemporaryDirectory(prefix="tmpack-") as folder:
        output = os.path.join(folder, "adapter")
        _tool.export(archive, expert, output, **options)
        with open(os.path.join(output, "adapter_config.json"), encoding="utf-8") as file:
            settings = json.load(file)
        state = {
            name: tensor.clone() for name, tensor in load_file(os.path.join(output, "adapter_model.safetensors")).items()
        }
        return state, peft.PeftConfig.from_peft_type(**settings)
