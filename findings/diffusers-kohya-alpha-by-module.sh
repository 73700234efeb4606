#!/bin/sh
# diffusers 0.42.1: of a file of kohya's for a UNet in which modules have different alpha, some get the scaling of others, with no more than a
# warning of peft's. The names that diffusers makes of "alpha" for attention (processor.to_v_lora.down.weight) match no
# module, so that lora_alpha, the most common one, holds for them. Files of one alpha are loaded right: who writes such a file should give all
# modules one rank and one alpha, and the rest of the scale to B.
#
# Seen: "8 of 16 modules have another's scaling". It installs about 6 GB.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.15.0 numpy==2.4.6 diffusers==0.42.1 peft==0.21.2 transformers==5.24.0 safetensors==0.8.0
"$folder/venv/bin/python3" - <<'PYTHON'
import pathlib
import sys
import tempfile

import diffusers
import torch
from safetensors.torch import save_file

torch.manual_seed(0)
unet = diffusers.UNet2DConditionModel(
    sample_size=8, block_out_channels=(8, 16), layers_per_block=1, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=8, norm_num_groups=2, attention_head_dim=2)
modules = [name for name, _ in unet.named_modules() if name.endswith((".to_q", ".to_v"))]
alphas = {name: 2.0 if name.endswith("to_q") else 8.0 for name in modules}
tensors = {}
for name in modules:
    linear = unet.get_submodule(name)
    word = "lora_unet_" + name.replace(".", "_")
    tensors[f"{word}.lora_down.weight"] = torch.randn(4, linear.in_features)
    tensors[f"{word}.lora_up.weight"] = torch.randn(linear.out_features, 4)
    tensors[f"{word}.alpha"] = torch.tensor(alphas[name])
folder = pathlib.Path(tempfile.mkdtemp())
save_file(tensors, folder / "style.safetensors")
mixin = diffusers.loaders.StableDiffusionLoraLoaderMixin
state, network_alphas = mixin.lora_state_dict(folder / "style.safetensors", unet_config=unet.config)
mixin.load_lora_into_unet(state, network_alphas=network_alphas, unet=unet)
wrong = 0
for name, alpha in alphas.items():
    scaling = next(iter(unet.get_submodule(name).scaling.values()))
    wrong += scaling != alpha / 4
    print(f"{name}: α ÷ rank is {alpha / 4}, the loaded scaling {scaling}")
print(f"{wrong} of {len(alphas)} modules have another's scaling")
sys.exit(0 if wrong else "the surprise is gone")
PYTHON
