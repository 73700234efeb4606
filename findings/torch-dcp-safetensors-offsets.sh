#!/bin/sh
# torch 2.15.0: a distributed checkpoint written with SerializationFormat.SAFETENSORS says in its .metadata that every tensor of a file lies at
# one offset, 0. The file is one safetensors file whose tensors lie behind each other, behind a header; offsets are taken before anything
# is written. Only the lengths are right. FileSystemReader, the writer's counterpart, cannot load it. Who reads such a checkpoint must
# take places from the safetensors header, by name, and not from .metadata.
#
# Seen: "a: offset 0, length 16; in the file at 352, length 16", b at 368, c at 384, and "dcp.load fails: CheckpointException". It installs
# about 6 GB.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.15.0 numpy==2.4.6 safetensors==0.8.0
"$folder/venv/bin/python3" - "$folder/checkpoint" <<'PYTHON'
import json
import pathlib
import struct
import sys
import warnings

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter, SerializationFormat

warnings.simplefilter("ignore")
folder = pathlib.Path(sys.argv[1])
state = {name: torch.arange(4.0) + place for place, name in enumerate("abc")}
dcp.save(state, storage_writer=FileSystemWriter(folder, serialization_format=SerializationFormat.SAFETENSORS), no_dist=True)

seen = True
for index, place in FileSystemReader(folder).read_metadata().storage_data.items():
    file = (folder / place.relative_path).read_bytes()
    size = struct.unpack_from("<Q", file)[0]
    first, last = json.loads(file[8:8 + size])[index.fqn]["data_offsets"]
    data = file[8 + size + first:8 + size + last]
    print(f"{index.fqn}: offset {place.offset}, length {place.length}; in the file at {8 + size + first}, length {last - first}")
    seen = seen and place.offset == 0 and place.length == last - first == 16
    seen = seen and torch.equal(torch.frombuffer(bytearray(data), dtype=torch.float32), state[index.fqn])
try:
    dcp.load({name: torch.zeros(4) for name in state}, storage_reader=FileSystemReader(folder), no_dist=True)
    print("dcp.load reads it")
    seen = False
except CheckpointException as fault:
    print(f"dcp.load fails: {type(fault).__name__}")
sys.exit(0 if seen else 1)
PYTHON
