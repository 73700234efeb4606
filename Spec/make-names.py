#!/usr/bin/env python3
"""Writes Spec/names.txt and the Swift file that holds it: how `transformers` names tensors in memory and on disk.

Run with the version of transformers that the table is to be of, and torch: `python3 Spec/make-names.py`. The library's own tables
are asked, by running it; a model of each architecture is built without memory (device `meta`) to see which tables hold for which of
its parts. What the table's language cannot say is left out and counted on standard error.
"""

import os
import pathlib
import re
import sys
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")

import torch
import transformers
from transformers import conversion_mapping as tables
from transformers.models.auto import modeling_auto

try:
    import re._parser as sre
except ImportError:
    import sre_parse as sre

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESERVED = set("#*{}^>+ :;@")

# What the library converts by a script of its own, and not when it loads: convert_llama_weights_to_hf.py and
# convert_mistral_weights_to_hf.py of transformers 4.57, for `consolidated.00.pth` of Meta and `consolidated.safetensors` of Mistral.
CONSOLIDATED = """\
family consolidated
pairs .attention.wq.
pairs .attention.wk.
rename ^tok_embeddings. > model.embed_tokens.
rename ^layers. > model.layers.
rename ^norm. > model.norm.
rename ^output. > lm_head.
rename .attention.wq. > .self_attn.q_proj.
rename .attention.wk. > .self_attn.k_proj.
rename .attention.wv. > .self_attn.v_proj.
rename .attention.wo. > .self_attn.o_proj.
rename .feed_forward.w1. > .mlp.gate_proj.
rename .feed_forward.w2. > .mlp.down_proj.
rename .feed_forward.w3. > .mlp.up_proj.
rename .feed_forward.gate. > .block_sparse_moe.gate.
rename .feed_forward.experts. > .block_sparse_moe.experts.
rename .attention_norm. > .input_layernorm.
rename .ffn_norm. > .post_attention_layernorm.
""".splitlines()


class Untold(Exception):
    """What the table's language has no words for."""


# Patterns

def literal(text):
    if RESERVED & set(text):
        raise Untold(text)
    return text


def texts(tree):
    """All texts that a pattern without repetitions stands for."""
    found = [""]
    for kind, value in tree:
        if kind is sre.LITERAL:
            more = [literal(chr(value))]
        elif kind is sre.ANY:
            more = ["."]
        elif kind is sre.IN and all(k is sre.LITERAL for k, _ in value):
            more = [literal(chr(v)) for _, v in value]
        elif kind is sre.IN and value == [(sre.RANGE, (48, 57))]:
            more = ["#"]
        elif kind is sre.AT and value is sre.AT_BEGINNING:
            more = ["^"]
        elif kind is sre.SUBPATTERN:
            more = texts(value[-1])
        elif kind is sre.BRANCH:
            more = [t for branch in value[1] for t in texts(branch)]
        else:
            raise Untold(str(kind))
        found = [a + b for a in found for b in more]
    return found


def is_digits(value):
    low, _, what = value
    return low == 1 and list(what) == [(sre.IN, [(sre.CATEGORY, sre.CATEGORY_DIGIT)])]


def branches(tree, top=True):
    """[(pattern, what the first group took)]: one for each way through the alternatives."""
    found = [("", None)]
    for kind, value in tree:
        if kind is sre.SUBPATTERN:
            group, inner = value[0], branches(value[-1], False)
            more = [(p, p if group is not None else None) for p, _ in inner]
        elif kind is sre.BRANCH:
            more = [m for branch in value[1] for m in branches(branch, False)]
        elif kind is sre.MAX_REPEAT and is_digits(value):
            more = [("#", None)]
        elif kind is sre.MAX_REPEAT and value[0] <= 1 and list(value[2]) == [(sre.ANY, None)]:
            more = [("*", None)]
        elif kind in (sre.ASSERT_NOT,):
            direction, inner = value
            more = [("{" + ("!" if direction > 0 else "<") + "|".join(texts(inner)) + "}", None)]
        elif kind is sre.AT and value is sre.AT_BEGINNING:
            more = [("^", None)]
        else:
            more = [(t, None) for t in texts([(kind, value)])]
        found = [(a + b, group if group is not None else other) for a, group in found for b, other in more]
    return found


def rename(source, target):
    """[(pattern, name)] of one source pattern of the library."""
    rules = []
    tree = sre.parse(source.replace("*.", r".*\."))
    target = target.replace("\\.", ".")
    for pattern, group in branches(tree):
        name = target
        if r"\1" in name:
            if group is None:
                raise Untold(source)
            # A group with a star or a number in it is the rule's only one; any other is a text.
            name = name.replace(r"\1", group)
        if re.search(r"\\\d", name) or set(re.sub(r"[#*]", "", name)) & RESERVED:
            raise Untold(source)
        if name.count("#") > pattern.count("#") or name.count("*") > pattern.count("*"):
            raise Untold(source)
        rules.append((pattern, name))
    return rules


def part(source):
    """A source of a converter; of a list of modules, with a number."""
    (pattern, _), *others = branches(sre.parse(source.replace("*.", r"\d+\.")))
    if others or "*" in pattern:
        raise Untold(source)
    return pattern


def rules(transform):
    kind = type(transform).__name__
    sources = list(transform._original_source_patterns)
    targets = [t.replace("\\.", ".") for t in transform.target_patterns]
    if kind == "GroupWeightRename":
        # Names shift, so that the last goes first. All such groups have a prefix that names in memory lack.
        return [f"rename {p} > {n}" for s, t in reversed(list(zip(sources, targets))) for p, n in rename(s, t)]
    if kind in ("WeightRenaming", "PrefixChange"):
        return [f"rename {p} > {n}" for s in sources for p, n in rename(s, targets[0])]
    if kind != "WeightConverter":
        raise Untold(kind)
    operations = [(type(o).__name__, getattr(o, "dim", None)) for o in transform.operations]
    names = [o[0] for o in operations]
    if any(getattr(o, "num_shards_attribute", None) for o in transform.operations):
        raise Untold("shards")
    sources = [part(s) for s in sources]
    if any(RESERVED & set(t) for t in targets):
        raise Untold(str(targets))
    if names in (["MergeModulelist"], ["MergeModulelist", "Concatenate"]) and operations[0][1] == 0 and len(targets) == 1:
        if not all("#" in s for s in sources) or (len(sources) > 1) != (len(names) > 1):
            raise Untold(str(sources))
        # The axis is of the stack.
        axis = operations[1][1] - 1 if len(names) > 1 else 0
        return [f"stack {axis} {' + '.join(sources)} > {targets[0]}"]
    if names == ["Concatenate"] and len(targets) == 1 and len(sources) > 1:
        return [f"join {operations[0][1]} {' + '.join(sources)} > {targets[0]}"]
    if names in (["Chunk"], ["Split"]) and len(sources) == 1 and len(targets) > 1:
        return [f"part {operations[0][1]} {sources[0]} > {' + '.join(targets)}"]
    raise Untold(str(names))


# Models

def shrink(config, depth=0):
    for key in ("num_hidden_layers", "encoder_layers", "decoder_layers", "num_layers", "depth", "n_layer"):
        if isinstance(getattr(config, key, None), int) and getattr(config, key) > 2:
            try:
                setattr(config, key, 2)
            except Exception:
                pass
    for key in dir(config):
        if key.endswith("_config") and depth < 3 and hasattr(getattr(config, key, None), "model_type"):
            shrink(getattr(config, key), depth + 1)


def architectures():
    names = set()
    for attribute in dir(modeling_auto):
        if attribute.startswith("MODEL_") and attribute.endswith("_MAPPING_NAMES"):
            for classes in getattr(modeling_auto, attribute).values():
                names.update([classes] if isinstance(classes, str) else classes)
    return sorted(names)


def places(name):
    """(model type, prefix of the bare model, [(family, where)]) of an architecture."""
    cls = getattr(transformers, name)
    config = cls.config_class()
    shrink(config)
    with torch.device("meta"):
        model = cls(config)
    found = []
    asked = tables.get_checkpoint_conversion_mapping

    def noting(key):
        transforms = asked(key)
        for transform in transforms or []:
            transform.distributed_operation = key
        return transforms

    tables.get_checkpoint_conversion_mapping = noting
    try:
        for transform in tables.get_model_conversion_mapping(model, add_legacy=False):
            place = (transform.distributed_operation, transform.scope_prefix)
            if place not in found:
                found.append(place)
    finally:
        tables.get_checkpoint_conversion_mapping = asked
    return config.model_type, model.base_model_prefix, found


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    mapping = tables._build_checkpoint_conversion_mapping()
    families, untold = {}, 0
    for key in sorted(mapping):
        lines = []
        for transform in mapping[key]:
            try:
                lines += rules(transform)
            except Untold as error:
                untold += 1
                print(f"{key}: {error}", file=sys.stderr)
        if lines:
            families.setdefault(tuple(lines), []).append(key)
    home = {key: min(keys, key=lambda k: (k in tables._MODEL_TO_CONVERSION_PATTERN, k)) for keys in families.values() for key in keys}

    models, unbuilt = {}, 0
    for name in architectures():
        try:
            model_type, prefix, found = places(name)
        except Exception as error:
            unbuilt += 1
            print(f"{name}: {str(error)[:100]}", file=sys.stderr)
            continue
        held = [(home[key], scope) for key, scope in found if key in home]
        text = " ".join(key if scope is None else f"{key}@{scope}" for key, scope in held)
        models.setdefault((model_type, prefix, text), []).append(name)

    out = [
        f"# How transformers {transformers.__version__} names tensors: rules from names on disk to names in memory.",
        "# Made by make-names.py; names.md says what the lines mean.",
        f"version transformers {transformers.__version__}",
    ]
    for lines, keys in families.items():
        out += ["family " + " ".join(keys)] + list(lines)
    out += CONSOLIDATED
    for (model_type, prefix, text), names in sorted(models.items()):
        out.append(f"model {model_type} {prefix or '-'} {','.join(names)}" + (f" : {text}" if text else ""))
    text = "\n".join(out) + "\n"
    (ROOT / "Spec/names.txt").write_text(text)
    swift = ROOT / "Sources/Models/Names/NameTable+Text.swift"
    swift.write_text(
        "// Made by Spec/make-names.py of the same text as Spec/names.txt.\n\nextension NameTable {\n"
        f"  /// `Spec/names.txt`\n  static let text = #\"\"\"\n" + "".join(f"    {line}\n" if line else "\n" for line in out)
        + "    \"\"\"#\n}\n")
    print(f"{len(families)} families, {sum(map(len, models.values()))} architectures; not told: {untold} rules; not built: {unbuilt}")


if __name__ == "__main__":
    main()
