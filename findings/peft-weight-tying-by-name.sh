#!/bin/sh
# peft 0.21.2: `ensure_weight_tying=True` keeps a trained copy of the embeddings and the head tied only where the modules are called
# `embed_tokens` or `lm_head`. GPT-2's `wte` and GPT-NeoX's `embed_in`, in models whose configuration ties them, come out of `merge_and_unload` untied: the
# embeddings as they were trained, the head as it was before, without a word. transformers' own table of tied weights names them all.
#
# Seen: "embed_tokens 0.0, wte 1.0, embed_in 1.0": how far the head is from the embeddings after each element of these was moved by 1. It installs about 6 GB.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.15.0 numpy==2.4.6 transformers==5.24.0 peft==0.21.2
HF_HUB_OFFLINE=1 "$folder/venv/bin/python3" - <<'PYTHON'
import sys
import warnings

import torch
from peft import LoraConfig, get_peft_model
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM

warnings.simplefilter("ignore")
sides = dict(vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, tie_word_embeddings=True)
models = {
    "embed_tokens": lambda: LlamaForCausalLM(LlamaConfig(**sides)),
    "wte": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=32, n_embd=16, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0)),
    "embed_in": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**sides)),
}


def distance(name):
    config = LoraConfig(r=2, target_modules=["q_proj", "c_attn", "query_key_value"], modules_to_save=[name], ensure_weight_tying=True)
    model = get_peft_model(models[name](), config)
    with torch.no_grad():
        for key, value in model.named_parameters():
            if f"{name}.modules_to_save" in key:
                value.add_(1.0)
    merged = model.merge_and_unload()
    return float((merged.get_input_embeddings().weight - merged.get_output_embeddings().weight).abs().max())


seen = {name: round(distance(name), 3) for name in models}
print(", ".join(f"{name} {found}" for name, found in seen.items()))
sys.exit(0 if seen == {"embed_tokens": 0.0, "wte": 1.0, "embed_in": 1.0} else 1)
PYTHON
