#!/usr/bin/env python3
"""Checks with the real library what `tmpack export --peft` has written: check_peft.py CASE SHARED ADAPTER UNPACKED.

CASE names the architecture, a case of make_peft.py. The adapter is loaded on the shared model; its merged weights, and
what the model then computes, must be those of the unpacked expert, to float32's accuracy (bfloat16's for that base).
"""
import json, os, sys, warnings
warnings.simplefilter("ignore")
import torch
from peft import PeftModel
from safetensors.torch import load_file
import make_peft

case, shared, adapter, unpacked = sys.argv[1:]
models = {"gpt2": make_peft.gpt2, "bert": make_peft.bert, "convolutions": make_peft.Convolutions}
prefix = {"gpt2": "transformer."}.get(case, "")


def model(folder):
    torch.manual_seed(0)
    tensors = load_file(os.path.join(folder, "model.safetensors"))
    made = models.get(case, make_peft.llama)().eval()
    if case == "bf16":
        made = made.to(torch.bfloat16)
    left = made.load_state_dict({prefix + name: tensor for name, tensor in tensors.items()}, strict=False)
    assert not left.unexpected_keys and set(left.missing_keys) <= {"lm_head.weight"}, left
    made.tie_weights() if hasattr(made, "tie_weights") else None
    return made


def outputs(model):
    with torch.no_grad():
        if case == "convolutions":
            return model(torch.linspace(-1, 1, 3 * 25).reshape(1, 3, 5, 5))
        return model(torch.arange(12).reshape(1, 12)).logits.float()


wrapped = PeftModel.from_pretrained(model(shared), adapter)
names = set(wrapped.state_dict())
for name in load_file(os.path.join(adapter, "adapter_model.safetensors")):
    places = [name]
    for part in ("lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B"):
        places += [name.replace(part + ".", part + ".default."), name.replace(part, part + ".default")]
    saved = name.rsplit(".", 1)
    places.append(f"{saved[0]}.modules_to_save.default.{saved[1]}")
    assert any(place in names for place in places), f"peft has no place for {name}"

expected = model(unpacked)
tolerance = 1e-2 if case == "bf16" else 1e-6
adapted = outputs(wrapped.eval())
merged = wrapped.merge_and_unload()
for name, tensor in expected.state_dict().items():
    found = merged.state_dict()[name].float()
    scale = max(tensor.float().abs().max().item(), 1e-3)
    error = (tensor.float() - found).abs().max().item() / scale
    assert error <= tolerance, f"{name}: {error}"
for found in (adapted, outputs(merged)):
    wanted = outputs(expected)
    error = ((wanted - found).abs().max() / wanted.abs().max()).item()
    assert error <= 10 * tolerance, f"outputs: {error}"
with open(os.path.join(adapter, "adapter_config.json")) as file:
    assert json.load(file)["peft_type"] == "LORA"
