#!/bin/sh
# torch 2.15.0: torch.save without the zip format (`_use_new_zipfile_serialization=False`, files as before 1.6) writes tensors of uint16, uint32,
# uint64 and the eight-bit floats without complaint, and torch.load cannot read them, with weights_only or without: their storages are
# written as UntypedStorage, and the legacy reader asks the storage's class for its dtype. The file itself is whole: dtype, shape and bytes
# are in it. bfloat16 and int16 come back.
#
# Seen: "cannot be loaded: AttributeError" for uint16, uint32, uint64, float8_e4m3fn and float8_e5m2, "loads" for the other two. It
# installs about 6 GB.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.15.0 numpy==2.4.6
"$folder/venv/bin/python3" - <<'PYTHON'
import io
import sys

import torch

seen = True
for name in ("uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2", "bfloat16", "int16"):
    tensor = torch.arange(1, 5).to(getattr(torch, name))
    file = io.BytesIO()
    torch.save(tensor, file, _use_new_zipfile_serialization=False)
    whole = tensor.view(torch.uint8).numpy().tobytes() in file.getvalue()
    outcomes = set()
    for weights_only in (True, False):
        file.seek(0)
        try:
            torch.load(file, weights_only=weights_only)
            outcomes.add("loads")
        except Exception as fault:
            outcomes.add(f"cannot be loaded: {type(fault).__name__}")
    print(f"{name}: {', '.join(outcomes)}; its bytes are in the file: {whole}")
    seen = seen and whole and outcomes == {"loads" if name in ("bfloat16", "int16") else "cannot be loaded: AttributeError"}
sys.exit(0 if seen else 1)
PYTHON
