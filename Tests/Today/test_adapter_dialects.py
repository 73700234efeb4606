"""LoRA in the layouts of other libraries: what tmpack makes of them is what mlx-lm fuses, and for kohya's and diffusers'
files what their definition says, written out here with NumPy.

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
        ({"hada_w1_a": random(8, 2), "hada_w1_b": random(2, 6), "hada_w2_a": random(8, 2), "hada_w2_b": random(2, 6)}, 3, "LoHa"),
        ({"lokr_w1": random(2, 2), "lokr_w2": random(4, 3)}, 3, "LoKr"),
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
