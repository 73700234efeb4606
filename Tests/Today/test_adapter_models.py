"""What adapters make of models: another head, and experts' matrices under the names of another version."""

import json

import pytest
import torch
import transformers as hf
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

from test_adapter_families import pack, seeded, tmpack, train

SMALL = dict(vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, pad_token_id=0)


@pytest.mark.parametrize("task, automatic", [("SEQ_CLS", hf.AutoModelForSequenceClassification), ("TOKEN_CLS", hf.AutoModelForTokenClassification)])
def test_a_head_for_labels_is_in_the_configuration(tmp_path, task, automatic):
    """The base is a language model, and peft was given it with a head for three labels."""
    seeded(hf.LlamaForCausalLM, hf.LlamaConfig(**SMALL)).save_pretrained(tmp_path / "base")
    build = lambda: automatic.from_pretrained(tmp_path / "base", num_labels=3)
    train(get_peft_model(build(), LoraConfig(r=4, task_type=task, target_modules=["q_proj", "v_proj"]))).save_pretrained(tmp_path / "adapter")
    merged = PeftModel.from_pretrained(build(), tmp_path / "adapter").merge_and_unload()
    run = pack(tmp_path)
    assert run.returncode == 0, run.stderr
    run = tmpack("unpack", tmp_path / "x.tmpack", "--expert", "x", "-o", tmp_path / "out")
    assert run.returncode == 0, run.stderr
    ours = automatic.from_pretrained(tmp_path / "out")
    tokens = torch.arange(8)[None]
    with torch.no_grad():
        assert torch.allclose(ours(tokens).logits, merged.eval()(tokens).logits, rtol=1e-5, atol=1e-6)
    said = json.loads((tmp_path / "out/config.json").read_text())
    assert said["architectures"] == [type(merged).__name__] and len(said["id2label"]) == 3


@pytest.mark.parametrize("partial", [False, True])
def test_updates_of_single_experts_on_a_base_that_stacks_them(tmp_path, partial):
    """Names of transformers 4, one module an expert and matrix; of some experts and matrices only, if `partial`."""
    config = hf.Qwen3MoeConfig(**SMALL | dict(
        head_dim=8, moe_intermediate_size=16, num_experts=4, num_experts_per_tok=2, tie_word_embeddings=False, decoder_sparse_step=1))
    seeded(hf.Qwen3MoeForCausalLM, config).save_pretrained(tmp_path / "disk")
    disk = load_file(tmp_path / "disk/model.safetensors")
    (tmp_path / "adapter").mkdir()
    (tmp_path / "base").mkdir()
    random = torch.Generator().manual_seed(5)
    updates, merged = {}, dict(disk)
    for name, weight in disk.items():
        if ".experts." not in name or partial and (".experts.2." in name or "up_proj" in name):
            continue
        module = name.removesuffix(".weight")
        a, b = torch.randn(3, weight.shape[1], generator=random), torch.randn(weight.shape[0], 3, generator=random)
        updates[f"base_model.model.{module}.lora_A.weight"], updates[f"base_model.model.{module}.lora_B.weight"] = a, b
        merged[name] = weight + 2 * (b @ a)
    assert updates
    save_file(updates, tmp_path / "adapter/adapter_model.safetensors")
    (tmp_path / "adapter/adapter_config.json").write_text(json.dumps(
        {"peft_type": "LORA", "r": 3, "lora_alpha": 6, "target_modules": ["gate_proj", "up_proj", "down_proj"]}))
    # As the model has it in memory.
    stacked = {name: tensor for name, tensor in disk.items() if ".experts." not in name}
    for layer in range(2):
        experts = [f"model.layers.{layer}.mlp.experts.{i}." for i in range(4)]
        stem = f"model.layers.{layer}.mlp.experts."
        stacked[stem + "gate_up_proj"] = torch.stack([torch.cat([disk[e + "gate_proj.weight"], disk[e + "up_proj.weight"]]) for e in experts])
        stacked[stem + "down_proj"] = torch.stack([disk[e + "down_proj.weight"] for e in experts])
    save_file(stacked, tmp_path / "base/model.safetensors", metadata={"format": "pt"})
    (tmp_path / "base/config.json").write_text((tmp_path / "disk/config.json").read_text())
    run = tmpack("merge", "task-arithmetic", "--lambda", "1", "--base", tmp_path / "base", "--expert", f"x={tmp_path / 'adapter'}", "-o", tmp_path / "out")
    assert run.returncode == 0, run.stderr
    ours = load_file(tmp_path / "out/model.safetensors")
    assert sorted(ours) == sorted(stacked)
    for layer in range(2):
        for i in range(4):
            expert, stem = f"model.layers.{layer}.mlp.experts.{i}.", f"model.layers.{layer}.mlp.experts."
            gate, up = ours[stem + "gate_up_proj"][i].chunk(2)
            for tensor, part in ((gate, "gate_proj"), (up, "up_proj"), (ours[stem + "down_proj"][i], "down_proj")):
                assert torch.allclose(tensor, merged[f"{expert}{part}.weight"], rtol=1e-5, atol=1e-6), (expert, part)


def test_a_head_for_other_labels_is_in_the_configuration(tmp_path):
    build = lambda labels: seeded(hf.ViTForImageClassification, hf.ViTConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4, image_size=16, patch_size=8, num_labels=labels))
    build(5).save_pretrained(tmp_path / "base")
    fresh = lambda: hf.ViTForImageClassification.from_pretrained(tmp_path / "base", num_labels=3, ignore_mismatched_sizes=True)
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], modules_to_save=["classifier"])
    train(get_peft_model(fresh(), config)).save_pretrained(tmp_path / "adapter")
    merged = PeftModel.from_pretrained(fresh(), tmp_path / "adapter").merge_and_unload()
    assert pack(tmp_path).returncode == 0
    assert tmpack("unpack", tmp_path / "x.tmpack", "--expert", "x", "-o", tmp_path / "out").returncode == 0
    ours = hf.ViTForImageClassification.from_pretrained(tmp_path / "out")
    pixels = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(ours(pixels).logits, merged.eval()(pixels).logits, rtol=1e-5, atol=1e-6)
