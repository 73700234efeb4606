#!/bin/sh
# peft 0.21.2, transformers 5.24.0: a LoRA on a tied embedding with `ensure_weight_tying=True` is one update, which the embedding and the output
# layer share. `merge_and_unload` adds it once for each of the two, into the one tensor that both are: the merged model has
# W + 2 · s · B · A, and its logits are not those of the adapted model. Without `ensure_weight_tying` the update is added once; logits differ
# then because only the adapted side had it before merging.
#
# Seen: "ensure_weight_tying=True: the merged weight moved by 2.000000 updates". It installs about 6 GB.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.15.0 numpy==2.4.6 transformers==5.24.0 peft==0.21.2
HF_HUB_OFFLINE=1 "$folder/venv/bin/python3" - <<'PYTHON'
import copy
import sys
import warnings

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

warnings.simplefilter("ignore")
torch.manual_seed(0)
base = LlamaForCausalLM(LlamaConfig(
    vocab_size=16, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
    tie_word_embeddings=True)).eval()
own = base.lm_head.weight.detach().clone()
tokens = torch.arange(5)[None]
seen = True
for tying, expected in ((False, 1), (True, 2)):
    config = LoraConfig(r=2, lora_alpha=2, target_modules=["embed_tokens"], init_lora_weights=False, ensure_weight_tying=tying)
    model = get_peft_model(copy.deepcopy(base), config).eval()
    with torch.no_grad():
        adapted = model(tokens).logits
        update = model.base_model.model.model.embed_tokens.get_delta_weight("default").clone()
        merged = model.merge_and_unload()
        moved = merged.get_input_embeddings().weight - own
        apart = float((merged(tokens).logits - adapted).abs().max())
    tied = merged.lm_head.weight is merged.get_input_embeddings().weight
    times = float((moved * update).sum() / (update * update).sum())
    rest = float((moved - expected * update).norm() / update.norm())
    print(f"ensure_weight_tying={tying}: the merged weight moved by {times:.6f} updates; still tied: {tied}; logits differ by up to {apart:.1f}")
    seen = seen and tied and abs(times - expected) < 1e-5 and rest < 1e-5 and apart > 1
sys.exit(0 if seen else 1)
PYTHON
