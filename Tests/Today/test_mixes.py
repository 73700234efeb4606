"""Mixes of models that are not quite alike: of vocabularies of other sizes, with some tensors in another dtype. What transformers loads is
base + Σ w · (expert − base) where all have a row, and the decider's rows beyond.
"""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from test_adapter_families import bert, gemma3, gpt2, mistral, outputs, smollm3, tmpack


def tuned(build, rows, seed):
    model = build()
    torch.manual_seed(seed)
    if rows != 64:
        model.resize_token_embeddings(rows)
    done = set()
    for parameter in model.parameters():
        if parameter.data_ptr() not in done:
            done.add(parameter.data_ptr())
            parameter.data.add_(0.002 * torch.randn_like(parameter))
    return model.eval()


def done(*arguments):
    run = tmpack(*arguments)
    assert run.returncode == 0, run.stderr
    return run.stderr


def packed(folder, *options):
    done("pack", "--base", folder / "base", "--expert", f"a={folder / 'a'}", "--expert", f"b={folder / 'b'}", "--shared",
         "base", *options, "-o", folder / "x.tmpack")


@pytest.mark.parametrize("rows", [(70, 64), (70, 72), (72, 70), (60, 64)])
@pytest.mark.parametrize("build", [mistral, smollm3, gpt2, bert, gemma3])
def test_vocabularies_of_other_sizes(build, rows, tmp_path):
    base, experts = build(), {name: tuned(build, r, s) for s, (name, r) in enumerate(zip("ab", rows), 1)}
    base.save_pretrained(tmp_path / "base")
    for name, model in experts.items():
        model.save_pretrained(tmp_path / name)
    packed(tmp_path, "--lossless")
    for name, model in experts.items():
        done("unpack", tmp_path / "x.tmpack", "--expert", name, "-o", tmp_path / f"out-{name}")
        assert torch.equal(outputs(type(base).from_pretrained(tmp_path / f"out-{name}")), outputs(model))
    for weights in [dict(a=0.75, b=0.25), dict(a=0.25, b=0.75)]:
        decider = experts[max(weights, key=weights.get)].state_dict()
        folder = tmp_path / f"mix-{weights['a']}"
        done("unpack", tmp_path / "x.tmpack", "--weights", ",".join(f"{k}={w}" for k, w in weights.items()), "-o", folder)
        mix, info = type(base).from_pretrained(folder, output_loading_info=True)
        assert not info["missing_keys"] and not info["mismatched_keys"], info
        got = mix.state_dict()
        for key, shared in base.state_dict().items():
            if not shared.is_floating_point() or shared.dim() == 0:
                continue
            parts = [m.state_dict()[key] for m in experts.values()]
            count = min(len(t) for t in [shared, *parts])
            want = shared[:count].double()
            for part, weight in zip(parts, weights.values()):
                want = want + weight * (part[:count].double() - shared[:count].double())
            assert len(got[key]) == len(decider[key]), key
            assert (got[key][:count].double() - want).norm() <= 1e-6 * want.norm().clamp(min=1e-3), key
            # Rows of one expert alone, beyond the base's.
            beyond = max(len(shared), *(len(p) for p in parts if len(p) < len(decider[key])), 0)
            assert torch.equal(got[key][beyond:], decider[key][beyond:]), key


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_some_tensors_in_another_dtype(dtype, tmp_path):
    """As trainers leave norms and output layers."""
    mistral().to(torch.bfloat16).save_pretrained(tmp_path / "base")
    for seed, name in enumerate("ab", 1):
        tuned(mistral, 64, seed).to(torch.bfloat16).save_pretrained(tmp_path / name)
    file = tmp_path / "a/model.safetensors"
    own = {k: v.to(dtype) * 1.001 if "norm" in k or k == "lm_head.weight" else v for k, v in load_file(file).items()}
    save_file(own, file, metadata={"format": "pt"})
    packed(tmp_path, "--lossless")
    done("unpack", tmp_path / "x.tmpack", "--expert", "a", "-o", tmp_path / "again")
    again = load_file(tmp_path / "again/model.safetensors")
    assert all(torch.equal(again[k], v) and again[k].dtype == v.dtype for k, v in own.items())
    base, other = (load_file(tmp_path / n / "model.safetensors") for n in ("base", "b"))
    for options, kind in [([], torch.bfloat16), (["--dtype", "f32"], torch.float32)]:
        folder = tmp_path / f"mix-{kind}"
        done("unpack", tmp_path / "x.tmpack", "--weights", "a=0.5,b=0.25", *options, "-o", folder)
        assert json.loads((folder / "config.json").read_text())["dtype"] == str(kind).removeprefix("torch.")
        for key, tensor in load_file(folder / "model.safetensors").items():
            want = base[key].double() + 0.5 * (own[key].double() - base[key].double()) + 0.25 * (
                other[key].double() - base[key].double())
            assert tensor.dtype == kind, key
            # Experts are rounded to the base's dtype before they are mixed.
            assert (tensor.double() - want).norm() <= 4e-3 * want.norm(), key
