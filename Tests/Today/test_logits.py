"""The numbers that come out of a model, for twenty architectures and more: whatever tmpack does to a model, transformers and peft load
the result, and it computes what the library's own way to the same weights computes.

Paths that are exact agree to 1e-5 of the outputs' norm; a packing of `--quality high` is bounded by what it may lose.
"""

import os
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model

from test_names import ALL, run, text_of
from test_names import model as named_model

torch.set_num_threads(1)
EXACT = 1e-5
ARCHITECTURES = [*ALL, "phi"]
# The modules that a LoRA goes to: attention, and an MLP where it is of Linear or Conv1D.
TARGETS = {"gpt2": ["c_attn", "c_proj", "c_fc"], "gpt_neox": ["query_key_value", "dense"], "phi3": ["qkv_proj", "down_proj"],
           "bert": ["query", "value", "dense"], "t5": ["q", "v", "wi", "wo"], "whisper": ["q_proj", "v_proj", "fc1"],
           "clip": ["q_proj", "v_proj", "fc1"], "siglip": ["q_proj", "v_proj", "fc2"], "vit": ["q_proj", "v_proj"],
           "deepseek_v3": ["q_a_proj", "o_proj"], "phi": ["q_proj", "dense"], "qwen2_vl": ["q_proj", "v_proj", "qkv"],
           "qwen2_5_vl": ["q_proj", "v_proj", "qkv"], "granitemoe": ["q_proj", "v_proj"]}


def build(name):
    if name != "phi":
        return named_model(name)
    torch.manual_seed(0)
    config = text_of(transformers.PhiConfig, pad_token_id=0)
    return transformers.PhiForCausalLM(config).eval()


def tuned(name, seed):
    """The base with all its matrices and vectors changed by some per cent."""
    built = build(name)
    torch.manual_seed(100 + seed)
    tied = set()
    with torch.no_grad():
        for value in built.parameters():
            if value.data_ptr() not in tied:
                tied.add(value.data_ptr())
                value.add_(0.05 * (value.std() if value.numel() > 1 else 1) * torch.randn_like(value))
    return built


def numbers(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7))


@torch.no_grad()
def outputs(name, built):
    """What the model computes of fixed inputs, in one vector."""
    built = built.eval()
    ids = (torch.arange(12)[None] * 5 + 3) % 60
    picture = numbers(1, 3, 16, 16)
    if name == "vit":
        found = [built(pixel_values=picture).logits]
    elif name in ("clip", "siglip"):
        made = built(input_ids=ids, pixel_values=picture)
        found = [made.logits_per_text, made.text_embeds, made.image_embeds]
    elif name == "whisper":
        found = [built(input_features=numbers(1, 80, 3000), decoder_input_ids=ids).logits]
    elif name == "t5":
        found = [built(input_ids=ids, decoder_input_ids=ids).logits]
    else:
        found = [built(input_ids=ids, output_hidden_states=name == "bert")]
        found = [x for made in found for x in (made.hidden_states[-1:] if name == "bert" else ()) + (made.logits,)]
    if name in ("llava", "gemma3"):
        found += [seen(built.get_image_features(pixel_values=picture))]
    elif name in ("qwen2_vl", "qwen2_5_vl"):
        grid = torch.tensor([[1, 4, 4]])
        patches = numbers(16, 3 * 2 * 14 * 14)
        found += [seen(built.get_image_features(pixel_values=patches, image_grid_thw=grid))]
    return torch.cat([x.float().flatten() for x in found])


def seen(features):
    """Of an image, in the forms that releases of the library have given."""
    features = getattr(features, "pooler_output", features)
    return torch.cat([x.flatten() for x in features]) if isinstance(features, (tuple, list)) else features


def load(name, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        built, info = type(build(name)).from_pretrained(folder, output_loading_info=True)
    for kind in ("missing_keys", "mismatched_keys"):
        assert not info[kind], (kind, sorted(info[kind])[:4])
    return built


def assert_near(got, want, tolerance):
    assert torch.isfinite(got).all()
    error = float((got - want).norm() / want.norm())
    assert error <= tolerance, error


def combined(name, weights):
    """base + Σ w · (expert − base), by the library's own state dicts."""
    base = build(name)
    experts = [dict(tuned(name, seed).named_parameters()) for seed in (1, 2)]
    done = set()
    with torch.no_grad():
        for key, value in base.named_parameters():
            if value.data_ptr() in done:
                continue
            done.add(value.data_ptr())
            value.copy_(value.double() + sum(w * (e[key].double() - value.double()) for w, e in zip(weights, experts)))
    return base


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folders of a base and two experts, the second under the names in memory, and lossless and lossy archives of them."""
    known = {}

    def make(name):
        if name not in known:
            folder = tmp_path_factory.mktemp(name)
            build(name).save_pretrained(folder / "base")
            tuned(name, 1).save_pretrained(folder / "one")
            tuned(name, 2).save_pretrained(folder / "two", save_original_format=False)
            given = ["--base", folder / "base", "--expert", f"one={folder}/one", "--expert", f"two={folder}/two"]
            run("pack", *given, "--shared", "base", "--lossless", "-o", folder / "exact.tmpack")
            run("pack", *given, "--quality", "high", "-o", folder / "high.tmpack")
            known[name] = folder
        return known[name]

    return make


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_lossless(made, name, tmp_path):
    folder = made(name)
    for seed, expert in enumerate(("one", "two"), 1):
        run("unpack", folder / "exact.tmpack", "--expert", expert, "-o", tmp_path / expert)
        assert_near(outputs(name, load(name, tmp_path / expert)), outputs(name, tuned(name, seed)), EXACT)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_high_quality(made, name, tmp_path):
    folder = made(name)
    base = outputs(name, build(name))
    for seed, expert in enumerate(("one", "two"), 1):
        run("unpack", folder / "high.tmpack", "--expert", expert, "-o", tmp_path / expert)
        want = outputs(name, tuned(name, seed))
        got = outputs(name, load(name, tmp_path / expert))
        # Of what the fine-tuning has changed, most is there.
        assert_near(got - base, want - base, 0.5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_mix(made, name, tmp_path):
    folder = made(name)
    run("unpack", folder / "exact.tmpack", "--weights", "one=0.75,two=0.5", "-o", tmp_path / "mix")
    assert_near(outputs(name, load(name, tmp_path / "mix")), outputs(name, combined(name, (0.75, 0.5))), EXACT)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_merge(made, name, tmp_path):
    folder = made(name)
    run("merge", "task-arithmetic", "--lambda", "0.5", "--base", folder / "base", "--expert", f"one={folder}/one",
        "--expert", f"two={folder}/two", "-o", tmp_path / "merged")
    assert_near(outputs(name, load(name, tmp_path / "merged")), outputs(name, combined(name, (0.5, 0.5))), EXACT)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_namings_compare_equal(made, name, tmp_path):
    folder = made(name)
    run("convert", folder / "two", tmp_path / "other", "--naming", "transformers-5")
    run("compare", folder / "two", tmp_path / "other", "--require-equal")
    assert_near(outputs(name, load(name, tmp_path / "other")), outputs(name, tuned(name, 2)), EXACT)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_adapter(made, name, tmp_path):
    """A LoRA by peft in, as an expert and in a merge; and out again, for peft to load."""
    folder = made(name)
    peft = get_peft_model(load(name, folder / "base"), LoraConfig(
        r=2, lora_alpha=6, target_modules=TARGETS.get(name, ["q_proj", "v_proj"])))
    torch.manual_seed(5)
    for parameter in peft.parameters():
        if parameter.requires_grad:
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    peft.save_pretrained(tmp_path / "lora")
    merged = peft.merge_and_unload()
    want = outputs(name, merged)
    run("pack", "--base", folder / "base", "--expert", f"x={tmp_path}/lora", "--shared", "base", "--rank", 2, "--factor-dtype", "f32",
        "-o", tmp_path / "x.tmpack")
    run("unpack", tmp_path / "x.tmpack", "--expert", "x", "-o", tmp_path / "x")
    assert_near(outputs(name, load(name, tmp_path / "x")), want, EXACT)
    run("merge", "task-arithmetic", "--lambda", "1", "--base", folder / "base", "--expert", f"x={tmp_path}/lora", "-o", tmp_path / "y")
    assert_near(outputs(name, load(name, tmp_path / "y")), want, EXACT)
    run("export", "--peft", f"{tmp_path}/x.tmpack#x", "-o", tmp_path / "out", "--shared-out", tmp_path / "shared")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        again = PeftModel.from_pretrained(load(name, tmp_path / "shared"), tmp_path / "out").merge_and_unload()
    assert not [w for w in said if "adapter keys" in str(w.message)], [str(w.message)[:200] for w in said]
    assert_near(outputs(name, again), want, EXACT)
