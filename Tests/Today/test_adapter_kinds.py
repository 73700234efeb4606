"""Adapters that are no plain LoRA: LoHa and LoKr of peft 0.21.2, whole tensors beside an adapter as LLaVA's training leaves them, and the types
that are refused by name.
"""

import peft
import pytest
import torch
import transformers as hf
from peft import LoHaConfig, LoKrConfig, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file

from test_adapter_families import outputs, pack, seeded, smollm3, tmpack, train

TEXT = dict(vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2)
LINEAR = ["q_proj", "v_proj", "down_proj"]


def llama():
    return seeded(hf.LlamaForCausalLM, hf.LlamaConfig(**TEXT))


def vit():
    return seeded(hf.ViTForImageClassification, hf.ViTConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4, image_size=16, patch_size=8,
        num_labels=3))


def llava():
    return seeded(hf.LlavaForConditionalGeneration, hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
                                          image_size=16, patch_size=8, projection_dim=16),
        text_config=hf.LlamaConfig(**TEXT)))


def make(folder, build, config):
    """base/, adapter/ and merged/, by peft."""
    build().save_pretrained(folder / "base")
    train(get_peft_model(build(), config)).save_pretrained(folder / "adapter")
    merged = PeftModel.from_pretrained(build(), folder / "adapter").merge_and_unload()
    merged.save_pretrained(folder / "merged")


def unpacked(folder):
    run = pack(folder)
    assert run.returncode == 0, run.stderr
    run = tmpack("unpack", folder / "x.tmpack", "--expert", "x", "-o", folder / "out")
    assert run.returncode == 0, run.stderr
    return load_file(folder / "out/model.safetensors")


def assert_same(ours, theirs):
    assert sorted(ours) == sorted(theirs)
    for name, tensor in theirs.items():
        assert (ours[name] - tensor).norm() <= 1e-6 * tensor.norm().clamp(min=1e-3), name


CASES = {
    "loha": (llama, LoHaConfig(r=4, alpha=6, target_modules=LINEAR)),
    "loha, patterns": (llama, LoHaConfig(
        r=4, alpha=6, target_modules=LINEAR, rank_pattern={"q_proj": 2}, alpha_pattern={"v_proj": 3})),
    "loha, whole output layer": (llama, LoHaConfig(r=4, alpha=6, target_modules=LINEAR, modules_to_save=["lm_head"])),
    "loha on a tied output layer": (smollm3, LoHaConfig(r=4, alpha=6, target_modules=["q_proj", "lm_head"])),
    "loha on a convolution": (vit, LoHaConfig(r=4, alpha=6, target_modules=["projection"])),
    "loha, a convolution's core": (vit, LoHaConfig(r=4, alpha=6, target_modules=["projection"], use_effective_conv2d=True)),
    "lokr on a convolution": (vit, LoKrConfig(r=2, alpha=6, target_modules=["projection"])),
    "lokr on a convolution, none factored": (vit, LoKrConfig(r=64, alpha=6, target_modules=["projection"])),
    "lokr, a convolution's core": (vit, LoKrConfig(r=2, alpha=6, target_modules=["projection"], use_effective_conv2d=True)),
    "loha by names in memory": (llava, LoHaConfig(r=4, alpha=6, target_modules=["q_proj"])),
    "lokr": (llama, LoKrConfig(r=4, alpha=6, target_modules=LINEAR)),
    "lokr, both factored": (llama, LoKrConfig(r=2, alpha=6, target_modules=LINEAR, decompose_both=True)),
    "lokr, factor": (llama, LoKrConfig(r=2, alpha=6, target_modules=LINEAR, decompose_factor=4)),
    "lokr, none factored": (llama, LoKrConfig(r=64, alpha=6, target_modules=LINEAR)),
    "lokr, as lycoris begins": (llama, LoKrConfig(r=4, alpha=6, target_modules=LINEAR, init_weights="lycoris")),
}


@pytest.mark.parametrize("name", CASES)
def test_is_what_peft_merges(name, tmp_path):
    make(tmp_path, *CASES[name])
    assert_same(unpacked(tmp_path), load_file(tmp_path / "merged/model.safetensors"))


REFUSED = {
    "BOFT": (llama, peft.BOFTConfig(target_modules=LINEAR), "BOFT"),
    "DELORA": (llama, peft.DeloraConfig(r=4, target_modules=LINEAR), "DELORA"),
    "GRALORA": (llama, peft.GraloraConfig(r=4, target_modules=LINEAR), "GRALORA"),
    "HIRA": (llama, peft.HiraConfig(r=4, target_modules=LINEAR), "HIRA"),
    "MISS": (llama, peft.MissConfig(r=4, target_modules=LINEAR), "MISS"),
    "RANDLORA": (llama, peft.RandLoraConfig(r=4, target_modules=["q_proj"]), "RANDLORA"),
    "SHIRA": (llama, peft.ShiraConfig(r=4, target_modules=["q_proj"]), "SHIRA"),
    "VERA": (llama, peft.VeraConfig(r=4, target_modules=["q_proj"]), "VERA"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_by_name(name, tmp_path):
    build, config, word = REFUSED[name]
    build().save_pretrained(tmp_path / "base")
    train(get_peft_model(build(), config)).save_pretrained(tmp_path / "adapter")
    run = pack(tmp_path)
    assert run.returncode == 3 and word in run.stderr, run.stderr
    assert not (tmp_path / "x.tmpack").exists()


def test_whole_tensors_beside_an_adapter(tmp_path):
    """LLaVA's training keeps the projector, under its names in peft's model, in `non_lora_trainables.bin`."""
    make(tmp_path, llava, LoraConfig(r=4, lora_alpha=6, target_modules=["q_proj"]))
    model = llava()
    prefix = "base_model.model.model.multi_modal_projector."
    projector = {f"{prefix}{k}": v + 0.1 for k, v in model.model.multi_modal_projector.state_dict().items()}
    torch.save(projector, tmp_path / "adapter/non_lora_trainables.bin")
    ours, right = unpacked(tmp_path), load_file(tmp_path / "merged/model.safetensors")
    for name, tensor in projector.items():
        right["multi_modal_projector." + name.removeprefix(prefix)] = tensor
    assert_same(ours, right)
    # Without it the projector is the base's, and nothing claims that the two are one.
    (tmp_path / "adapter/non_lora_trainables.bin").rename(tmp_path / "kept.bin")
    run = tmpack("verify", tmp_path / "x.tmpack", "--source", f"x={tmp_path / 'adapter'}", "--base", tmp_path / "base")
    assert run.returncode != 0, run.stdout + run.stderr
    run = tmpack("compare", tmp_path / "x.tmpack#x", tmp_path / "adapter", "--base", tmp_path / "base")
    assert "equal bit for bit" not in run.stdout + run.stderr
