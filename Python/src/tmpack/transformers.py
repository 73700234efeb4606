"""Experts and mixes as models of transformers: configuration, tokenizer and weights come out of the archive."""

from __future__ import annotations

import os
import tempfile
from typing import Any, Optional

from . import _errors
from ._archive import Archive, Mix, Weights
from ._safe_open import chosen

__all__ = ["config", "from_pretrained", "tokenizer"]


def _mix(archive: Archive, expert: Optional[str], weights: Weights, names: str = "source") -> Mix:
    return archive.mix(chosen(archive, expert, weights), names=names, framework="pt")


def _settings(mix: Mix, name: str) -> dict:
    if name not in mix.files:
        raise _errors.made("unknown-name", f"has no {name}: it was not packed from a folder of transformers")
    return mix.files.json(name)


def config(archive: Archive, expert: Optional[str] = None, *, weights: Weights = None) -> Any:
    """The configuration: the heaviest expert's, for a mix."""
    with _mix(archive, expert, weights) as mix:
        return _config(mix)


def _config(mix: Mix) -> Any:
    from transformers import CONFIG_MAPPING

    settings = _settings(mix, "config.json")
    kind = settings.get("model_type")
    if kind not in CONFIG_MAPPING:
        raise _errors.made("unsupported-feature", f"config.json names the model type {kind!r}, which this transformers lacks")
    return CONFIG_MAPPING[kind].from_dict(settings)


def from_pretrained(
    archive: Archive,
    expert: Optional[str] = None,
    *,
    weights: Weights = None,
    auto_class: Any = None,
    **options: Any,
) -> Any:
    """A model of an expert or a mix: what ``AutoModel….from_pretrained`` gives for its folder. Nothing is written.

    auto_class: such as ``transformers.AutoModelForCausalLM``; by default the class that ``config.json`` names, or ``AutoModel``.
    options: those of ``from_pretrained`` that say how a model is made, such as ``dtype`` and ``attn_implementation``.
    """
    import transformers

    with _mix(archive, expert, weights) as mix:
        settings = options.pop("config", None) or _config(mix)
        kind = auto_class or _class_of(settings)
        if hasattr(kind, "_model_mapping"):
            kind = _from_mapping(kind, settings)
        state = mix.load("pt")
        if "generation_config.json" in mix.files:
            generation = transformers.GenerationConfig.from_dict(mix.files.json("generation_config.json"))
        else:
            generation = None
    model = kind.from_pretrained(None, config=settings, state_dict=state, **options)
    if generation is not None and hasattr(model, "generation_config"):
        model.generation_config = generation
    return model


def _class_of(settings: Any) -> Any:
    import transformers

    for name in settings.architectures or []:
        found = getattr(transformers, name, None)
        if found is not None:
            return found
    return transformers.AutoModel


def _from_mapping(auto_class: Any, settings: Any) -> Any:
    kind = auto_class._model_mapping[type(settings)]
    if isinstance(kind, (list, tuple)):
        named = [each for each in kind if each.__name__ in (settings.architectures or [])]
        kind = (named or kind)[0]
    return kind


def tokenizer(archive: Archive, expert: Optional[str] = None, *, weights: Weights = None, **options: Any) -> Any:
    """The tokenizer: what ``AutoTokenizer.from_pretrained`` gives for the expert's folder.

    Tokenizers read files and nothing else, so theirs are put into a temporary folder meanwhile; weights are not.
    """
    from transformers import AutoTokenizer

    with _mix(archive, expert, weights) as mix, tempfile.TemporaryDirectory(prefix="tmpack-") as folder:
        for name in mix.files:
            place = os.path.join(folder, *name.split("/"))
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "wb") as file:
                file.write(mix.files[name])
        return AutoTokenizer.from_pretrained(folder, **options)
