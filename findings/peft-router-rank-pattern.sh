#!/bin/sh
# peft 0.21.2 with transformers 5.24: of a mixture of experts, the router (`gate`) is no Linear any more, and an adapter that targets it adapts its
# parameter. `rank_pattern` does not reach that: the router gets the rank `r`, other modules what the pattern says, and nothing tells.
#
# Seen: "gate 4, q_proj 3" with r=4 and rank_pattern={"gate": 2, "q_proj": 3}. It installs about 6 GB.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.15.0 numpy==2.4.6 safetensors==0.8.0 transformers==5.24.0 peft==0.21.2
HF_HUB_OFFLINE=1 "$folder/venv/bin/python3" - "$folder/adapter" <<'PYTHON'
import sys
import warnings

from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

warnings.simplefilter("ignore")
base = Qwen3MoeForCausalLM(Qwen3MoeConfig(
    vocab_size=32, hidden_size=16, intermediate_size=32, moe_intermediate_size=8, num_hidden_layers=1, num_attention_heads=2,
    num_key_value_heads=2, head_dim=8, num_experts=4, num_experts_per_tok=2))
config = LoraConfig(r=4, lora_alpha=4, target_modules=["q_proj", "gate"], rank_pattern={"gate": 2, "q_proj": 3})
get_peft_model(base, config).save_pretrained(sys.argv[1])
saved = load_file(sys.argv[1] + "/adapter_model.safetensors")
ranks = {name: value.shape[0] for key, value in saved.items() for name in ("gate", "q_proj") if key.endswith(f"{name}.lora_A.weight")}
print(", ".join(f"{name} {ranks[name]}" for name in sorted(ranks)))
sys.exit(0 if ranks == {"gate": 4, "q_proj": 3} else 1)
PYTHON
