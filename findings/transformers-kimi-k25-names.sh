#!/bin/sh
# transformers 5.24.0: `save_pretrained` of Kimi-K2.5 does not give back the names that the published checkpoint has. Its table of names has a rule for the layers of the
# vision tower, `blocks` on disk and `layers` in memory; written back, it also takes the text model's `layers`, which become `blocks` that no other library knows.
# And a name that is on disk and in memory means two tensors: the tower's `fc1` on disk is `fc2` in memory (`fc0` is `fc1`; norms likewise). An adapter that is
# named as in memory, merged by the names on disk, changes the wrong tensor.
#
# Seen: "text blocks: True, text layers: False, fc1 of the disk is fc2 in memory". It installs about 6 GB.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.15.0 numpy==2.4.6 transformers==5.24.0
HF_HUB_OFFLINE=1 "$folder/venv/bin/python3" - <<'PYTHON'
import sys
import tempfile

import torch
from safetensors.torch import load_file
from transformers import CONFIG_MAPPING, Kimi_K25ForConditionalGeneration

torch.manual_seed(0)
text = dict(
    model_type="deepseek_v3", vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4,
    moe_intermediate_size=16, n_routed_experts=4, num_experts_per_tok=2, n_group=1, topk_group=1, q_lora_rank=16, kv_lora_rank=16, qk_rope_head_dim=8,
    qk_nope_head_dim=8, v_head_dim=8, first_k_dense_replace=1)
vision = dict(model_type="kimi_k25_vision", hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4, patch_size=8)
config = CONFIG_MAPPING["kimi_k25"].from_dict(
    dict(text_config=text, vision_config=vision, image_token_id=5, video_token_id=6, vision_start_token_id=7, vision_end_token_id=8))
model = Kimi_K25ForConditionalGeneration(config)
memory = {name: torch.nn.init.normal_(tensor) for name, tensor in model.state_dict().items() if "mlp.fc" in name and name.endswith("weight")}
with tempfile.TemporaryDirectory() as folder:
    model.save_pretrained(folder)
    disk = load_file(f"{folder}/model.safetensors")
own = next(tensor for name, tensor in disk.items() if name.endswith("blocks.0.mlp.fc1.weight"))
twin = next(name for name, tensor in memory.items() if tensor.shape == own.shape and torch.equal(tensor, own))
text_names = [name for name in disk if name.startswith("language_model.model.")]
seen = "text blocks: %s, text layers: %s, fc1 of the disk is %s in memory" % (
    any(".blocks." in name for name in text_names), any(".layers." in name for name in text_names), twin.split(".")[-2])
print(seen)
sys.exit(0 if seen == "text blocks: True, text layers: False, fc1 of the disk is fc2 in memory" else 1)
PYTHON
