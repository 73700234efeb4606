#!/bin/sh
# bitsandbytes 0.50.2 with torch 2.15.0, on the CPU: 4-bit weights are quantised in blocks of 64 numbers, in the order of memory, so a block may begin in
# one row and end in the next. On a processor with AVX-512 and its bfloat16 instructions dequantize_4bit of such a matrix gives wrong numbers without a word.
# Decoding by the layout is right, and so is dequantize_4bit where rows are whole blocks. Who converts such models should decode by the
# layout, and not take the library for the truth on such a processor.
#
# Seen on one with these instructions: "64 x 160: 0.26 by the library, 0.09 by the layout", "64 x 128: 0.09 by the library, 0.09 by the layout". On others
# the numbers of the library are expected to be right, and the script says that there is nothing to see. It installs about 6 GB.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.15.0 numpy==2.4.6 bitsandbytes==0.50.2
"$folder/venv/bin/python3" - <<'PYTHON'
import pathlib
import sys

import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit

flags = pathlib.Path("/proc/cpuinfo").read_text()
if "avx512_bf16" not in flags:
    print("this processor has no AVX-512 with bfloat16: nothing to see")
    sys.exit(0)
torch.manual_seed(0)
seen = {}
for columns in (160, 128):
    matrix = torch.randn(64, columns, dtype=torch.bfloat16)
    packed, state = quantize_4bit(matrix, blocksize=64, quant_type="nf4")
    library = dequantize_4bit(packed, state).float()
    codes = torch.stack([packed.flatten() >> 4, packed.flatten() & 15], 1).flatten().long()
    layout = (state.code[codes].reshape(-1, 64) * state.absmax[:, None]).reshape(64, columns)
    errors = [float((each - matrix.float()).norm() / matrix.float().norm()) for each in (library, layout)]
    print(f"64 x {columns}: {errors[0]:.2f} by the library, {errors[1]:.2f} by the layout")
    seen[columns] = errors
right = seen[160][0] > 0.2 and max(seen[160][1], *seen[128]) < 0.1
sys.exit(0 if right else 1)
PYTHON
