#!/bin/sh
# peft 0.21.2: of `alpha_pattern` (and `rank_pattern`) the first key that matches a module counts, in the order of the dictionary. `save_pretrained` writes
# the configuration with its keys sorted, in all depths. So an order of the special before the general is lost where the alphabet
# has it otherwise: the adapter that is loaded again has another scale than the one that was trained, without a word.
#
# Seen: "as trained: block.z 20.0, z 2.0" and "loaded again: block.z 2.0, z 2.0". It installs about 6 GB.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.15.0 numpy==2.4.6 transformers==5.24.0 peft==0.21.2
HF_HUB_OFFLINE=1 "$folder/venv/bin/python3" - "$folder/adapter" <<'PYTHON'
import copy
import sys
import warnings

import torch
from peft import LoraConfig, PeftModel, get_peft_model

warnings.simplefilter("ignore")


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.z = torch.nn.Linear(4, 4)
        self.block = torch.nn.ModuleDict({"z": torch.nn.Linear(4, 4)})

    def forward(self, x):
        return self.z(x) + self.block["z"](x)


def scales(model):
    layers = model.base_model.model
    return {"block.z": layers.block["z"].scaling["default"], "z": layers.z.scaling["default"]}


torch.manual_seed(0)
base = Model()
config = LoraConfig(r=2, lora_alpha=2, target_modules=["z"], init_lora_weights=False, alpha_pattern={"block.z": 40, ".*z": 4})
trained = get_peft_model(copy.deepcopy(base), config)
trained.save_pretrained(sys.argv[1])
loaded = PeftModel.from_pretrained(copy.deepcopy(base), sys.argv[1])
x = torch.ones(1, 4)
with torch.no_grad():
    apart = float((trained(x) - loaded(x)).abs().max())
for name, found in (("as trained", scales(trained)), ("loaded again", scales(loaded))):
    print(f"{name}: " + ", ".join(f"{module} {scale}" for module, scale in found.items()))
print(f"outputs differ by up to {apart:.1f}")
seen = scales(trained) == {"block.z": 20.0, "z": 2.0} and scales(loaded) == {"block.z": 2.0, "z": 2.0} and apart > 0.1
sys.exit(0 if seen else 1)
PYTHON
