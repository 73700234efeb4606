#!/bin/sh
# peft 0.21.2 with transformers 5.24.0, PI0 (a robot's policy): a LoRA on the layers that embed actions is saved, and not loaded again. Its table of names has rules without an
# anchor (`action_in_proj` on disk is `embed_action_time.action_in_proj` in memory); reading an adapter, they hit the names that are right already.
# `PeftModel.from_pretrained` gives a model whose update is zero, with a warning (`Found missing adapter keys`) and no error; other layers come back.
#
# Seen: "on disk: action_out_proj, embed_action_time.action_in_proj; loaded: action_out_proj". It installs about 6 GB.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.15.0 numpy==2.4.6 transformers==5.24.0 peft==0.21.2
HF_HUB_OFFLINE=1 "$folder/venv/bin/python3" - <<'PYTHON'
import sys
import tempfile
import warnings

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import CONFIG_MAPPING, PI0ForConditionalGeneration

warnings.simplefilter("ignore")
sides = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4)
text = dict(model_type="gemma", vocab_size=64, num_key_value_heads=2, head_dim=8, **sides)
vision = dict(model_type="siglip_vision_model", image_size=16, patch_size=8, vision_use_head=False, **sides)
config = dict(
    vlm_config=dict(model_type="paligemma", text_config=text, vision_config=vision, image_token_index=5, hidden_size=32, projection_dim=32),
    dit_config=text)


def made():
    torch.manual_seed(0)
    return PI0ForConditionalGeneration(CONFIG_MAPPING["pi0"].from_dict(config))


def modules(names):
    return sorted({name.split(".lora_B")[0].removeprefix("base_model.model.") for name in names if ".lora_B" in name})


adapted = get_peft_model(made(), LoraConfig(r=2, target_modules=["action_in_proj", "action_out_proj"]))
with torch.no_grad():
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.fill_(1.0)
with tempfile.TemporaryDirectory() as folder:
    adapted.save_pretrained(folder)
    disk = modules(load_file(f"{folder}/adapter_model.safetensors"))
    again = PeftModel.from_pretrained(made(), folder)
loaded = modules(name for name, parameter in again.named_parameters() if parameter.any())
seen = f"on disk: {', '.join(disk)}; loaded: {', '.join(loaded)}"
print(seen)
sys.exit(0 if seen == "on disk: action_out_proj, embed_action_time.action_in_proj; loaded: action_out_proj" else 1)
PYTHON
