#!/bin/sh
# transformers 5.24: a folder that holds model.safetensors and beside it shards with their index, as a copy of a later save into the folder of an earlier one
# leaves it, is loaded from the single file. Nothing tells that the shards are not looked at: who reads such a folder has to refuse it, or ask.
#
# Seen: "loaded: the single file". It installs about 6 GB.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.15.0 numpy==2.4.6 safetensors==0.8.0 transformers==5.24.0
HF_HUB_OFFLINE=1 "$folder/venv/bin/python3" - "$folder/model" <<'PYTHON'
import json
import sys
import warnings

import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM, logging

warnings.simplefilter("ignore")
logging.set_verbosity_error()
folder = sys.argv[1]
model = LlamaForCausalLM(LlamaConfig(
    vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2))
model.save_pretrained(folder)
old = load_file(f"{folder}/model.safetensors")
# A later save in shards, into the same folder by hand, as a download or a copy leaves it.
new = {name: tensor + 1 for name, tensor in old.items()}
names = sorted(new)
parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
for file, part in parts.items():
    save_file({name: new[name] for name in part}, f"{folder}/{file}", metadata={"format": "pt"})
with open(f"{folder}/model.safetensors.index.json", "w") as file:
    json.dump({"metadata": {}, "weight_map": {name: file for file, part in parts.items() for name in part}}, file)
loaded = LlamaForCausalLM.from_pretrained(folder).state_dict()
kinds = {kind for kind, tensors in (("the single file", old), ("the index", new)) if all(torch.equal(loaded[n], tensors[n]) for n in names)}
print("loaded:", ", ".join(sorted(kinds)) or "neither")
sys.exit(0 if kinds == {"the single file"} else 1)
PYTHON
