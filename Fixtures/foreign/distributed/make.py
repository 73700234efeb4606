#!/usr/bin/env python3
"""Makes the folders here with torch.distributed.checkpoint, two processes on one machine, and full.safetensors, which has
the tensors that they hold.

Needs PyTorch 2.15, zstandard and safetensors. The files are committed, so that the tests need no Python.
"""
import os, shutil
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.multiprocessing as mp
from safetensors.torch import save_file
from torch.distributed.checkpoint import FileSystemWriter, HuggingFaceStorageWriter
from torch.distributed.checkpoint._extension import ZStandard
from torch.distributed.checkpoint.filesystem import SerializationFormat
from torch.distributed.tensor import Replicate, Shard, distribute_tensor, init_device_mesh

FOLDER = os.path.dirname(os.path.abspath(__file__))


def run(rank, world):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29931", RANK=str(rank), WORLD_SIZE=str(world))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=world)
    mesh = init_device_mesh("cpu", (world,))
    random = torch.Generator().manual_seed(7)
    full = {
        "a": torch.randn(5, 4, generator=random), "b.c": torch.randn(6, 4, generator=random).bfloat16(),
        "col": torch.randn(4, 6, generator=random), "rep": torch.randn(2, 2, generator=random), "s": torch.tensor(3),
        "e": torch.zeros(0, 3),
    }
    sharded = dict(full)
    for name, placement in [("a", Shard(0)), ("b.c", Shard(0)), ("col", Shard(1)), ("rep", Replicate())]:
        sharded[name] = distribute_tensor(full[name], mesh, [placement])
    state = {"model": sharded, "optimizer": {"state": {0: {"m": torch.ones(2)}}, "lr": 0.5}, "step": 3}
    state["model"]["pair"] = (torch.ones(2), 1)
    dcp.save(state, storage_writer=FileSystemWriter("plain"))
    dcp.save(state, storage_writer=FileSystemWriter("zstd", _extensions=[ZStandard()]))
    dcp.save(state, storage_writer=FileSystemWriter("raw", serialization_format=SerializationFormat.SAFETENSORS))
    # The writer of safetensors knows no integers and no empty tensors.
    floats = {name: sharded[name] for name in ["a", "b.c", "col", "rep"]}
    dcp.save(floats, storage_writer=HuggingFaceStorageWriter("pieces", save_distributed=True))
    if rank == 0:
        save_file(full, "full.safetensors")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    os.chdir(FOLDER)
    for name in ["plain", "zstd", "raw", "pieces"]:
        shutil.rmtree(name, ignore_errors=True)
    mp.spawn(run, args=(2,), nprocs=2)
