"""LoRA in the layouts of other libraries, read and written: what tmpack makes of them is what mlx-lm fuses and diffusers loads, and for
kohya's and LyCORIS's files what their definition says, written out here with NumPy.

Environment: TMPACK, the path of the tool (default: the debug build).
"""
import json
import os
import pathlib
import subprocess

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = os.environ.get("TMPACK", str(ROOT / ".build/debug/tmpack"))
RANDOM = np.random.default_rng(3)


def tmpack(*arguments):
    return subprocess.run([TOOL, *map(str, arguments)], capture_output=True, text=True)


def unpacked(folder, base, adapter):
    for arguments in (
        ("pack", "--base", base, "--expert", f"x={adapter}", "--shared", "base", "--lossless", "-o", folder / "x.tmpack"),
        ("unpack", folder / "x.tmpack", "--expert", "x", "-o", folder / "out"),
    ):
        run = tmpack(*arguments)
        assert run.returncode == 0, run.stderr
    return folder / "out"


def close(a, b, tolerance=1e-6):
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= tolerance * np.abs(b).max()


def random(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


# mlx-lm


def mlx_model(folder, kind):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    utilities = pytest.importorskip("mlx_lm.utils", exc_type=ImportError)
    torch.manual_seed(0)
    common = dict(vocab_size=24, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
                  num_key_value_heads=4, tie_word_embeddings=False)
    if kind == "llama":
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**common))
    else:
        model = transformers.Qwen3MoeForCausalLM(transformers.Qwen3MoeConfig(
            **common, moe_intermediate_size=8, num_experts=3, num_experts_per_tok=2, head_dim=4))
    model.save_pretrained(folder)
    # As transformers 4 called them, which mlx-lm asks for.
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config.update(rope_theta=1e4, num_experts=3)
    path.write_text(json.dumps(config))
    return utilities.load_model(folder)[0]


@pytest.mark.parametrize("kind, way", [("llama", "lora"), ("llama", "dora"), ("qwen3_moe", "lora"), ("llama", "full")])
def test_mlx(kind, way, tmp_path):
    model = mlx_model(tmp_path / "base", kind)
    import mlx.core as mx
    from mlx.utils import tree_flatten, tree_unflatten
    from mlx_lm.tuner.utils import linear_to_lora_layers

    parameters = dict(rank=2, scale=5.0, dropout=0.0)
    model.freeze()
    if way == "full":
        for layer in model.layers[-1:]:
            layer.unfreeze()
    else:
        linear_to_lora_layers(model, 1, parameters, use_dora=way == "dora")
    mx.random.seed(1)
    model.update(tree_unflatten(
        [(k, v + 0.1 * mx.random.normal(v.shape)) for k, v in tree_flatten(model.trainable_parameters())]))
    (tmp_path / "adapter").mkdir()
    mx.save_safetensors(
        str(tmp_path / "adapter/adapters.safetensors"), dict(tree_flatten(model.trainable_parameters())))
    (tmp_path / "adapter/adapter_config.json").write_text(
        json.dumps(dict(fine_tune_type=way, num_layers=1, lora_parameters=parameters)))
    model.update_modules(tree_unflatten([(n, m.fuse()) for n, m in model.named_modules() if hasattr(m, "fuse")]))
    right = {k: np.array(v) for k, v in tree_flatten(model.parameters())}

    out = load_file(unpacked(tmp_path, tmp_path / "base", tmp_path / "adapter") / "model.safetensors")
    for name, tensor in right.items():
        if ".switch_mlp." in name:
            for expert, matrix in enumerate(tensor):
                close(out[name.replace(".switch_mlp.", f".experts.{expert}.")], matrix)
        else:
            close(out[name], tensor)


# kohya and diffusers


def pipeline(folder):
    """A UNet and a text encoder, as far as tensors go."""
    tensors = {
        "unet": {"down_blocks.0.attentions.0.to_q.weight": random(8, 6), "conv_in.weight": random(8, 4, 3, 3),
                 "down_blocks.0.time_emb.weight": random(5, 5)},
        "text_encoder": {"text_model.encoder.layers.0.self_attn.q_proj.weight": random(6, 6)},
    }
    for name, component in tensors.items():
        (folder / name).mkdir(parents=True)
        save_file(component, folder / name / ("model.safetensors" if "text" in name else "diffusion_pytorch_model.safetensors"))
    (folder / "model_index.json").write_text(json.dumps({
        "_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"],
        "text_encoder": ["transformers", "CLIPTextModel"]}))
    return tensors


def read(out):
    return (load_file(out / "unet/diffusion_pytorch_model.safetensors"), load_file(out / "text_encoder/model.safetensors"))


def test_kohya(tmp_path):
    base = pipeline(tmp_path / "base")
    q, conv, text = (
        "lora_unet_down_blocks_0_attentions_0_to_q", "lora_unet_conv_in",
        "lora_te_text_model_encoder_layers_0_self_attn_q_proj")
    lora = {
        f"{q}.lora_down.weight": random(2, 6), f"{q}.lora_up.weight": random(8, 2), f"{q}.alpha": np.float32(3),
        f"{conv}.lora_down.weight": random(2, 4, 3, 3), f"{conv}.lora_up.weight": random(8, 2, 1, 1),
        f"{conv}.alpha": np.array(2, np.int64),
        f"{text}.lora_down.weight": random(4, 6), f"{text}.lora_up.weight": random(6, 4),
    }
    save_file({k: np.asarray(v) for k, v in lora.items()}, tmp_path / "style.safetensors")
    unet, encoder = read(unpacked(tmp_path, tmp_path / "base", tmp_path / "style.safetensors"))

    def delta(module, scale):
        up, down = lora[f"{module}.lora_up.weight"], lora[f"{module}.lora_down.weight"]
        return scale * (up.reshape(len(up), -1) @ down.reshape(len(down), -1))

    name = "down_blocks.0.attentions.0.to_q.weight"
    close(unet[name], base["unet"][name] + delta(q, 1.5))
    close(unet["conv_in.weight"], base["unet"]["conv_in.weight"] + delta(conv, 1).reshape(8, 4, 3, 3))
    assert np.array_equal(unet["down_blocks.0.time_emb.weight"], base["unet"]["down_blocks.0.time_emb.weight"])
    name = "text_model.encoder.layers.0.self_attn.q_proj.weight"
    close(encoder[name], base["text_encoder"][name] + delta(text, 1))


@pytest.mark.parametrize("has_metadata", [True, False])
@pytest.mark.parametrize("sides", [("lora_A", "lora_B"), ("lora.down", "lora.up"), ("lora_linear_layer.down", "lora_linear_layer.up")])
def test_diffusers(has_metadata, sides, tmp_path):
    base = pipeline(tmp_path / "base")
    name = "down_blocks.0.attentions.0.to_q"
    a, b = random(2, 6), random(8, 2)
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    metadata = {"format": "pt"}
    if has_metadata:
        metadata["lora_adapter_metadata"] = json.dumps({
            "unet.r": 4, "unet.lora_alpha": 7, "unet.rank_pattern": {name: 2}, "unet.alpha_pattern": {}})
    save_file({f"unet.{name}.{sides[0]}.weight": a, f"unet.{name}.{sides[1]}.weight": b},
              adapter / "pytorch_lora_weights.safetensors", metadata=metadata)
    unet, encoder = read(unpacked(tmp_path, tmp_path / "base", adapter))
    close(unet[f"{name}.weight"], base["unet"][f"{name}.weight"] + (3.5 if has_metadata else 1) * (b @ a))


def test_refuses_what_it_cannot_merge(tmp_path):
    pipeline(tmp_path / "base")
    module = "lora_unet_down_blocks_0_attentions_0_to_q"
    for parts, code, word in [
        ({"hada_w1_a": random(8, 2), "hada_w1_b": random(2, 6), "hada_w2_a": random(8, 2)}, 2, "make no update"),
        ({"hada_w1_a": random(8, 2), "hada_w1_b": random(3, 6), "hada_w2_a": random(8, 2), "hada_w2_b": random(2, 6)}, 2, "does not fit"),
        ({"hada_w1_a": random(8, 2), "hada_w1_b": random(2, 6), "hada_w2_a": random(8, 2), "hada_w2_b": random(2, 6),
          "hada_t1": random(2, 2, 3, 3)}, 2, "hada_t1"),
        ({"lokr_w1": random(2, 2), "lokr_w2": random(4, 3), "lokr_scalar": random(2, 2)}, 2, "make no update"),
        ({"lokr_w1": random(2, 2), "lokr_w2": random(5, 3)}, None, "does not fit"),
        ({"lokr_w1": random(8), "lokr_w2": random(5, 3)}, 2, "no matrix"),
        ({"lokr_w1": random(1, 40000), "lokr_w2": random(1, 40000)}, 5, "above the limit"),
        ({"lora_down.weight": random(2, 6), "lora_up.weight": random(8, 2), "dora_scale": random(1, 6)}, 3, "scales inputs"),
        ({"oft_blocks": random(2, 4, 4), "lora_down.weight": random(2, 6), "lora_up.weight": random(8, 2)}, 3, "OFT"),
        ({"lora_down.weight": random(2, 6)}, 2, "counterpart"),
        ({"lora_down.weight": random(2, 6), "lora_up.weight": random(8, 2), "alpha": random(2)}, 2, "one number"),
        ({"lora_down.weight": random(2, 5), "lora_up.weight": random(8, 2)}, None, "does not fit"),
    ]:
        save_file({f"{module}.{k}": v for k, v in parts.items()}, tmp_path / "x.safetensors")
        run = tmpack("pack", "--base", tmp_path / "base", "--expert", f"x={tmp_path / 'x.safetensors'}", "--shared", "base",
                     "--lossless", "-o", tmp_path / "x.tmpack")
        assert run.returncode == code if code else run.returncode in (1, 2, 3), run.stderr
        assert word in run.stderr, run.stderr
        assert not (tmp_path / "x.tmpack").exists()


# LyCORIS


def lycoris(parts, alpha):
    """ΔW of a module, as `lycoris/modules/loha.py` and `lokr.py` define it, flattened to [outputs, …]."""

    def matrix(name, core):
        if name in parts:
            return parts[name], None
        a, b = parts[f"{name}_a"], parts[f"{name}_b"]
        if core in parts:
            return np.einsum("ijkl,jr,ip->prkl", parts[core], b, a), len(a)
        return a @ b.reshape(len(b), -1), len(b)

    if "hada_w1_a" in parts:
        (first, rank), (second, _) = matrix("hada_w1", "hada_t1"), matrix("hada_w2", "hada_t2")
        return alpha / rank * (first * second)
    (first, own), (second, other) = matrix("lokr_w1", "lokr_t1"), matrix("lokr_w2", "lokr_t2")
    rank = other or own
    first = first.reshape(first.shape + (1,) * (second.ndim - 2))
    return (alpha / rank if rank else 1) * np.kron(first, second)


LYCORIS = {
    "loha": ("q", {"hada_w1_a": (8, 2), "hada_w1_b": (2, 6), "hada_w2_a": (8, 3), "hada_w2_b": (3, 6)}),
    "loha, convolution": ("conv", {"hada_w1_a": (8, 2), "hada_w1_b": (2, 36), "hada_w2_a": (8, 2), "hada_w2_b": (2, 36)}),
    "loha, core": ("conv", {"hada_w1_a": (2, 8), "hada_w1_b": (2, 4), "hada_t1": (2, 2, 3, 3),
                            "hada_w2_a": (2, 8), "hada_w2_b": (2, 4), "hada_t2": (2, 2, 3, 3)}),
    "lokr": ("q", {"lokr_w1": (2, 3), "lokr_w2": (4, 2)}),
    "lokr, factored": ("q", {"lokr_w1": (2, 3), "lokr_w2_a": (4, 1), "lokr_w2_b": (1, 2)}),
    "lokr, both": ("q", {"lokr_w1_a": (2, 1), "lokr_w1_b": (1, 3), "lokr_w2_a": (4, 1), "lokr_w2_b": (1, 2)}),
    "lokr, convolution": ("conv", {"lokr_w1": (2, 2), "lokr_w2": (4, 2, 3, 3)}),
    "lokr, core": ("conv", {"lokr_w1": (2, 2), "lokr_w2_a": (2, 4), "lokr_w2_b": (2, 2), "lokr_t2": (2, 2, 3, 3)}),
}
MODULES = {"q": "lora_unet_down_blocks_0_attentions_0_to_q", "conv": "lora_unet_conv_in"}
WEIGHTS = {"q": "down_blocks.0.attentions.0.to_q.weight", "conv": "conv_in.weight"}


@pytest.mark.parametrize("name", LYCORIS)
def test_lycoris(name, tmp_path):
    base = pipeline(tmp_path / "base")
    where, shapes = LYCORIS[name]
    parts = {part: random(*shape) for part, shape in shapes.items()}
    save_file({f"{MODULES[where]}.{k}": v for k, v in parts.items()} | {f"{MODULES[where]}.alpha": np.array(3, np.float32)},
              tmp_path / "x.safetensors")
    unet, _ = read(unpacked(tmp_path, tmp_path / "base", tmp_path / "x.safetensors"))
    weight = base["unet"][WEIGHTS[where]]
    close(unet[WEIGHTS[where]], weight + lycoris(parts, 3).reshape(weight.shape))
    # As LoRA in another layout, and read again.
    run = tmpack("convert", tmp_path / "x.safetensors", tmp_path / "lora", "--adapter", "diffusers", "--base", tmp_path / "base")
    assert run.returncode == 0, run.stderr
    again, _ = read(unpacked(tmp_path / "lora", tmp_path / "base", tmp_path / "lora"))
    close(again[WEIGHTS[where]], unet[WEIGHTS[where]])


# Written


def adapter_of_pipeline(folder, ranks=(2, 3)):
    """What a file of kohya's has, and its own tensors."""
    q, conv, text = (
        "lora_unet_down_blocks_0_attentions_0_to_q", "lora_unet_conv_in",
        "lora_te_text_model_encoder_layers_0_self_attn_q_proj")
    lora = {
        f"{q}.lora_down.weight": random(ranks[0], 6), f"{q}.lora_up.weight": random(8, ranks[0]), f"{q}.alpha": np.array(3, np.float32),
        f"{conv}.lora_down.weight": random(2, 4, 3, 3), f"{conv}.lora_up.weight": random(8, 2, 1, 1), f"{conv}.alpha": np.array(2, np.float32),
        f"{text}.lora_down.weight": random(ranks[1], 6), f"{text}.lora_up.weight": random(6, ranks[1]), f"{text}.alpha": np.array(3, np.float32),
    }
    save_file(lora, folder / "style.safetensors")
    return lora


def test_kohya_to_diffusers_and_back_keeps_every_number(tmp_path):
    pipeline(tmp_path / "base")
    lora = adapter_of_pipeline(tmp_path)
    for arguments in (
        ("convert", tmp_path / "style.safetensors", tmp_path / "diffusers", "--adapter", "diffusers", "--base", tmp_path / "base"),
        ("convert", tmp_path / "diffusers", tmp_path / "again.safetensors", "--adapter", "kohya"),
    ):
        run = tmpack(*arguments)
        assert run.returncode == 0, run.stderr
    again = load_file(tmp_path / "again.safetensors")
    assert sorted(again) == sorted(lora)
    for name, tensor in lora.items():
        assert np.array_equal(again[name], tensor), name
    # One component of it is an adapter of peft.
    run = tmpack("convert", tmp_path / "diffusers", tmp_path / "peft", "--adapter", "peft")
    assert run.returncode == 3 and "text_encoder" in run.stderr, run.stderr
    run = tmpack("convert", tmp_path / "diffusers", tmp_path / "peft", "--adapter", "peft", "--tensors", "unet/*")
    assert run.returncode == 0, run.stderr
    config = json.loads((tmp_path / "peft/adapter_config.json").read_text())
    assert sorted(config["target_modules"]) == ["conv_in", "down_blocks.0.attentions.0.to_q"] and config["r"] == 2


def test_words_need_a_base(tmp_path):
    pipeline(tmp_path / "base")
    adapter_of_pipeline(tmp_path)
    run = tmpack("convert", tmp_path / "style.safetensors", tmp_path / "out", "--adapter", "diffusers")
    assert run.returncode == 1 and "--base" in run.stderr
    save_file({"transformer.h.0.mlp.weight": random(4, 4)}, tmp_path / "other.safetensors")
    run = tmpack("convert", tmp_path / "style.safetensors", tmp_path / "out", "--adapter", "diffusers", "--base", tmp_path / "other.safetensors")
    assert run.returncode == 1 and "is no module of" in run.stderr
    run = tmpack("convert", tmp_path / "style.safetensors", tmp_path / "out", "--adapter", "mlx")
    assert run.returncode != 0 and not (tmp_path / "out").exists()


@pytest.mark.parametrize("layout", ["kohya", "diffusers"])
def test_an_expert_of_a_pipeline_is_what_diffusers_loads(layout, tmp_path):
    diffusers = pytest.importorskip("diffusers")
    import torch

    torch.manual_seed(0)
    settings = dict(sample_size=8, block_out_channels=(8, 16), layers_per_block=1, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
                    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=8, norm_num_groups=2, attention_head_dim=2)
    unet = diffusers.UNet2DConditionModel(**settings)
    (tmp_path / "base").mkdir()
    unet.save_pretrained(tmp_path / "base/unet")
    (tmp_path / "base/model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}))
    expert = {k: v.clone() for k, v in unet.state_dict().items()}
    for name in expert:
        if name.endswith(("to_q.weight", "to_v.weight")):
            rank = 2 if "to_q" in name else 3
            expert[name] += 0.1 * torch.randn(expert[name].shape[0], rank) @ torch.randn(rank, expert[name].shape[1])
    tuned = diffusers.UNet2DConditionModel(**settings)
    tuned.load_state_dict(expert)
    (tmp_path / "tuned").mkdir()
    tuned.save_pretrained(tmp_path / "tuned/unet")
    (tmp_path / "tuned/model_index.json").write_text((tmp_path / "base/model_index.json").read_text())
    out = tmp_path / ("style.safetensors" if layout == "kohya" else "style")
    for arguments in (
        ("pack", "--base", tmp_path / "base", "--expert", f"x={tmp_path / 'tuned'}", "--shared", "base", "--rank", "3", "--factor-dtype", "f32",
         "-o", tmp_path / "x.tmpack"),
        ("export", f"--{layout}", f"{tmp_path / 'x.tmpack'}#x", "-o", out),
    ):
        run = tmpack(*arguments)
        assert run.returncode == 0, run.stderr
    mixin = diffusers.loaders.StableDiffusionLoraLoaderMixin
    state, alphas, metadata = mixin.lora_state_dict(
        out if layout == "kohya" else str(out), unet_config=unet.config, return_lora_metadata=True)
    mixin.load_lora_into_unet(state, network_alphas=alphas, unet=unet, metadata=metadata)
    inputs = dict(sample=torch.randn(1, 4, 8, 8), timestep=torch.tensor(3), encoder_hidden_states=torch.randn(1, 4, 8))
    with torch.no_grad():
        got, want = unet(**inputs).sample, tuned(**inputs).sample
    assert (got - want).norm() <= 1e-4 * want.norm()


@pytest.mark.parametrize("kind, sources", [("llama", "archive"), ("qwen3_moe", "archive"), ("llama", "peft"), ("llama", "dora")])
def test_mlx_loads_what_is_written(kind, sources, tmp_path):
    model = mlx_model(tmp_path / "base", kind)
    from mlx.utils import tree_flatten, tree_unflatten
    from mlx_lm.tuner.utils import load_adapters

    base = load_file(tmp_path / "base/model.safetensors")
    layer = "model.layers.1"
    names = [f"{layer}.self_attn.q_proj", f"{layer}.mlp.experts.1.down_proj" if kind == "qwen3_moe" else "model.layers.0.mlp.up_proj"]
    ranks = {names[0]: 2, names[1]: 3}
    sides = {n: (random(ranks[n], base[f"{n}.weight"].shape[1]), random(base[f"{n}.weight"].shape[0], ranks[n])) for n in names}
    if sources == "archive":
        tuned = base | {f"{n}.weight": base[f"{n}.weight"] + b @ a for n, (a, b) in sides.items()}
        save_file(tuned, tmp_path / "tuned.safetensors", metadata={"format": "pt"})
        arguments = [
            ("pack", "--base", tmp_path / "base", "--expert", f"x={tmp_path / 'tuned.safetensors'}", "--shared", "base", "--rank", "3",
             "--factor-dtype", "f32", "-o", tmp_path / "x.tmpack"),
            ("export", "--mlx", f"{tmp_path / 'x.tmpack'}#x", "-o", tmp_path / "adapter"),
        ]
    else:
        (tmp_path / "peft").mkdir()
        tensors = {f"base_model.model.{n}.{side}.weight": t for n, pair in sides.items() for side, t in zip(("lora_A", "lora_B"), pair)}
        if sources == "dora":
            tensors |= {f"base_model.model.{n}.lora_magnitude_vector": 1 + np.abs(random(len(sides[n][1]))) for n in names}
        save_file(tensors, tmp_path / "peft/adapter_model.safetensors")
        (tmp_path / "peft/adapter_config.json").write_text(json.dumps({
            "peft_type": "LORA", "r": 2, "lora_alpha": 4, "rank_pattern": {names[1]: 3}, "target_modules": names,
            "use_dora": sources == "dora"}))
        arguments = [
            ("convert", tmp_path / "peft", tmp_path / "adapter", "--adapter", "mlx"),
            # And back: as it was, but for one rank and one scale for all.
            ("convert", tmp_path / "adapter", tmp_path / "again", "--adapter", "peft"),
        ]
    for command in arguments:
        run = tmpack(*command)
        assert run.returncode == 0, run.stderr
    load_adapters(model, tmp_path / "adapter")
    model.update_modules(tree_unflatten([(n, m.fuse()) for n, m in model.named_modules() if hasattr(m, "fuse")]))
    right = {k: np.array(v) for k, v in tree_flatten(model.parameters())}
    if sources == "archive":
        run = tmpack("unpack", tmp_path / "x.tmpack", "--expert", "x", "-o", tmp_path / "out")
        assert run.returncode == 0, run.stderr
        outs = [load_file(tmp_path / "out/model.safetensors")]
    else:
        outs = [load_file(unpacked(tmp_path / name, tmp_path / "base", tmp_path / name) / "model.safetensors") for name in ("peft", "again")]
    for out in outs:
        for name, tensor in right.items():
            if ".switch_mlp." in name:
                for expert, matrix in enumerate(tensor):
                    close(out[name.replace(".switch_mlp.", f".experts.{expert}.")], matrix, 1e-5)
            else:
                close(out[name], tensor, 1e-5)


def test_whole_differences_of_comfyui(tmp_path):
    """`diff` of a weight and `diff_b` of a bias, as ComfyUI adds them: weight += diff, whatever alpha is."""
    base = {"blocks.0.q.weight": random(6, 4), "blocks.0.q.bias": random(6), "blocks.0.norm.weight": random(4)}
    save_file(base, tmp_path / "base.safetensors")
    adapter = {
        "diffusion_model.blocks.0.q.lora_down.weight": random(2, 4), "diffusion_model.blocks.0.q.lora_up.weight": random(6, 2),
        "diffusion_model.blocks.0.q.alpha": np.array(1, np.float32), "diffusion_model.blocks.0.q.diff_b": random(6),
        "diffusion_model.blocks.0.norm.diff": random(4),
    }
    save_file(adapter, tmp_path / "wan.safetensors")
    out = load_file(unpacked(tmp_path, tmp_path / "base.safetensors", tmp_path / "wan.safetensors") / "model.safetensors")
    part = {name.removeprefix("diffusion_model.blocks.0."): tensor for name, tensor in adapter.items()}
    close(out["blocks.0.q.weight"], base["blocks.0.q.weight"] + 0.5 * part["q.lora_up.weight"] @ part["q.lora_down.weight"])
    close(out["blocks.0.q.bias"], base["blocks.0.q.bias"] + part["q.diff_b"])
    close(out["blocks.0.norm.weight"], base["blocks.0.norm.weight"] + part["norm.diff"])
    run = tmpack("convert", "--adapter", "peft", tmp_path / "wan.safetensors", tmp_path / "peft")
    assert run.returncode == 3 and "whole difference" in run.stderr


def test_whole_differences_in_words(tmp_path):
    """The same under kohya's names, where a bias is found by its module; and one of another shape is refused."""
    base = {"conv.a_b.weight": random(3, 4), "conv.a_b.bias": random(3)}
    save_file(base, tmp_path / "base.safetensors")
    adapter = {"lora_unet_conv_a_b.diff": random(3, 4), "lora_unet_conv_a_b.diff_b": random(3)}
    save_file(adapter, tmp_path / "x.safetensors")
    out = load_file(unpacked(tmp_path, tmp_path / "base.safetensors", tmp_path / "x.safetensors") / "model.safetensors")
    close(out["conv.a_b.weight"], base["conv.a_b.weight"] + adapter["lora_unet_conv_a_b.diff"])
    close(out["conv.a_b.bias"], base["conv.a_b.bias"] + adapter["lora_unet_conv_a_b.diff_b"])
    save_file({"lora_unet_conv_a_b.diff": random(3, 5)}, tmp_path / "wide.safetensors")
    run = tmpack("pack", "--base", tmp_path / "base.safetensors", "--expert", tmp_path / "wide.safetensors", "-o", tmp_path / "y")
    assert run.returncode == 1 and "[3, 5]" in run.stderr
