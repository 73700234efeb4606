"""Experts' weights of MoE models, which are stacks of matrices in memory, and on disk or not: adapters by `target_parameters` come in
and go out with their factors, and a packed model computes what its tensors say."""

import json
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file

from test_names import run

torch.set_num_threads(1)
SIDES = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             vocab_size=64, pad_token_id=0)
MODELS = {
    "gpt_oss": lambda: transformers.GptOssForCausalLM(
        transformers.GptOssConfig(**SIDES, head_dim=8, num_local_experts=4, num_experts_per_tok=2)),
    "mixtral": lambda: transformers.MixtralForCausalLM(transformers.MixtralConfig(**SIDES, num_local_experts=4)),
    "qwen3_moe": lambda: transformers.Qwen3MoeForCausalLM(
        transformers.Qwen3MoeConfig(**SIDES, head_dim=8, moe_intermediate_size=24, num_experts=4, num_experts_per_tok=2)),
}
# On disk one tensor for all experts; else one for each of them.
STACKED = {"gpt_oss"}
IDS = torch.arange(12)[None] * 5 % 61
PARAMETERS = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]


def built(name):
    torch.manual_seed(0)
    return MODELS[name]().eval()


@torch.no_grad()
def logits(model):
    return model.eval()(IDS).logits


def distance(a, b):
    return ((a - b).norm() / b.norm()).item()


def adapted(name, folder, **options):
    """Saves a base and an adapter of it; the model that peft merges of both."""
    built(name).save_pretrained(folder / "base")
    model = get_peft_model(built(name), LoraConfig(r=3, lora_alpha=6, **options))
    torch.manual_seed(1)
    for key, value in model.named_parameters():
        if "lora_" in key:
            torch.nn.init.normal_(value, std=0.05)
    model.save_pretrained(folder / "lora")
    return model.merge_and_unload()


def factors(archive):
    listed = json.loads(run("inspect", archive, "--tensors", "--json"))["experts"][0]["tensor_list"]
    return {own["name"]: own for own in listed}


@pytest.mark.parametrize("parameters", [PARAMETERS, PARAMETERS[:1], PARAMETERS[1:]], ids=["both", "up", "down"])
@pytest.mark.parametrize("name", MODELS)
def test_factors_come_in_and_go_out(name, parameters, tmp_path):
    want = logits(adapted(name, tmp_path, target_modules=["q_proj"], target_parameters=parameters))
    archive = tmp_path / "zoo.tmpack"
    run("pack", "--base", tmp_path / "base", "--expert", f"x={tmp_path / 'lora'}", "--shared", "base", "--factor-dtype", "f32",
        "-o", archive)
    of_experts = [own for key, own in factors(archive).items() if "experts" in key]
    kinds = {(own["factor"], tuple(own.get("ranks", [own["rank"]]))) for own in of_experts}
    # Exactly the adapter's rank: nothing was decomposed.
    assert kinds == ({("low-rank-stack", (3, 3, 3, 3))} if name in STACKED else {("low-rank", (3,))})
    run("unpack", archive, "--expert", "x", "-o", tmp_path / "whole")
    assert distance(logits(type(built(name)).from_pretrained(tmp_path / "whole")), want) < 1e-6
    run("export", "--peft", f"{archive}#x", "-o", tmp_path / "export", "--strict")
    loaded = PeftModel.from_pretrained(built(name), tmp_path / "export")
    assert distance(logits(loaded), want) < 1e-6
    assert distance(logits(loaded.merge_and_unload()), want) < 1e-6


@pytest.mark.parametrize("name", MODELS)
def test_updates_by_the_names_on_disk(name, tmp_path):
    """As vLLM reads them: B·A of each tensor is what the expert adds to it."""
    adapted(name, tmp_path, target_modules=["q_proj"], target_parameters=PARAMETERS)
    archive, out = tmp_path / "zoo.tmpack", tmp_path / "export"
    run("pack", "--base", tmp_path / "base", "--expert", f"x={tmp_path / 'lora'}", "--shared", "base", "--factor-dtype", "f32",
        "-o", archive)
    run("export", "--peft", f"{archive}#x", "-o", out, "--strict", "--naming", "per-expert")
    saved = load_file(out / "adapter_model.safetensors")
    config = json.loads((out / "adapter_config.json").read_text())
    assert ("target_parameters" in config) == (name in STACKED)
    if name in STACKED:
        return
    run("unpack", archive, "--expert", "x", "-o", tmp_path / "whole")
    base, tuned = (load_file(tmp_path / folder / "model.safetensors") for folder in ("base", "whole"))
    changed = [key for key, value in base.items() if not torch.equal(value, tuned[key])]
    assert len(changed) == len(saved) // 2 and any(".experts.3." in key for key in changed)
    for key in changed:
        module = "base_model.model." + key.removesuffix(".weight")
        update = saved[module + ".lora_B.weight"] @ saved[module + ".lora_A.weight"]
        assert distance(update, tuned[key] - base[key]) < 1e-4, key


@pytest.mark.parametrize("options, kind", [(["--signs"], "quantized-stack"), (["--density", "0.1"], "sparse")], ids=["signs", "sparse"])
def test_what_goes_by_elements_asks_for_no_products(options, kind, tmp_path):
    """Signs have a scale for each matrix; sparse elements are those of the whole."""
    adapted("gpt_oss", tmp_path, target_modules=["q_proj"], target_parameters=PARAMETERS)
    archive = tmp_path / "zoo.tmpack"
    run("pack", "--base", tmp_path / "base", "--expert", f"x={tmp_path / 'lora'}", "--shared", "base", *options, "-o", archive)
    assert {own["factor"] for key, own in factors(archive).items() if "experts" in key} == {kind}


@pytest.mark.parametrize("name", MODELS)
def test_mixes_go_out_with_all_components(name, tmp_path):
    merged = adapted(name, tmp_path, target_modules=["q_proj"], target_parameters=PARAMETERS, use_rslora=True)
    other = tmp_path / "other"
    other.mkdir()
    second = adapted(name, other, target_modules=["v_proj"], target_parameters=PARAMETERS[1:])
    archive = tmp_path / "zoo.tmpack"
    run("pack", "--base", tmp_path / "base", "--expert", f"x={tmp_path / 'lora'}", "--expert", f"y={other / 'lora'}",
        "--shared", "base", "--factor-dtype", "f32", "-o", archive)
    want = built(name)
    sources = (merged.state_dict(), second.state_dict(), want.state_dict())
    want.load_state_dict({key: base + 0.5 * (sources[0][key] - base) - 0.25 * (sources[1][key] - base)
                          for key, base in sources[2].items()})
    run("export", "--peft", f"{archive}#x=0.5,y=-0.25", "-o", tmp_path / "export", "--strict")
    assert distance(logits(PeftModel.from_pretrained(built(name), tmp_path / "export")), logits(want)) < 1e-6


def test_a_trained_stack_is_packed_by_its_matrices(tmp_path):
    """Some steps of an optimiser, as fine-tuning has them; the stack against the same matrices one by one."""
    base = built("gpt_oss")
    base.save_pretrained(tmp_path / "base")
    tuned = built("gpt_oss").train()
    optimizer = torch.optim.AdamW(tuned.parameters(), lr=1e-3)
    torch.manual_seed(2)
    for _ in range(4):
        ids = torch.randint(0, 64, (8, 24))
        tuned(ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    tuned.save_pretrained(tmp_path / "tuned")
    archive = tmp_path / "zoo.tmpack"
    run("pack", "--base", tmp_path / "base", "--expert", f"x={tmp_path / 'tuned'}", "--shared", "base", "--quality", "high",
        "-o", archive)
    stacks = [own for key, own in factors(archive).items() if key.endswith(("gate_up_proj", "down_proj"))]
    assert len(stacks) == 4 and all(own["factor"] == "quantized-stack" for own in stacks)
    run("verify", "--deep", archive, "--source", f"x={tmp_path / 'tuned'}")
    run("unpack", archive, "--expert", "x", "-o", tmp_path / "whole")
    near = distance(logits(transformers.GptOssForCausalLM.from_pretrained(tmp_path / "whole")), logits(tuned))
    assert near < 0.2 * distance(logits(base), logits(tuned))
