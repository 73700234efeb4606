#!/usr/bin/env python3
"""Makes the files here with PyTorch: checkpoints with objects beside, or instead of, plain tensors.

Needs PyTorch 2.15, numpy and torchao 0.18. The files are committed, so that the tests need no Python.
"""
import argparse, collections, enum, functools, os, sys, types
import numpy as np
import torch
import torch.distributed as dist

os.chdir(os.path.dirname(os.path.abspath(__file__)))
torch.set_num_threads(1)

# Classes of packages that whoever reads the file need not have.
package = types.ModuleType("unknown_package")
sys.modules["unknown_package"] = package


def public(thing):
    thing.__module__ = "unknown_package"
    thing.__qualname__ = thing.__name__
    setattr(package, thing.__name__, thing)
    return thing


@public
class Settings(dict):
    """As yacs' CfgNode: a dictionary with attributes."""


@public
class Node:
    """As OmegaConf's: attributes that lead around in a circle."""


@public
class Stage(enum.Enum):
    FIT = "fit"


class Python2:
    """Pickled as a call of a built-in type, by its name of Python 2."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


parent, child = Node(), Node()
parent.children, child.parent, child.weight = [child], parent, torch.ones(3)
settings = Settings(rate=0.5)
settings.frozen = True
objects = {
    "namespace": argparse.Namespace(rate=0.1), "partial": functools.partial(max, 1), "node": parent,
    "settings": settings, "stage": Stage.FIT, "array": np.arange(3), "scalar": np.float32(1.5), "counts": collections.Counter("aab"),
    "long": Python2(int, "5"), "unicode": Python2(str, "é"), "range": range(3), "slice": slice(1, 2), "bytes": bytearray(b"x"),
    "complex": 1j, "set": {1}, "huge": -(1 << 90), "bound": "a".upper,
}
state = collections.OrderedDict(w=torch.arange(6.0).reshape(2, 3), b=torch.ones(2))
for protocol in (2, 4):
    torch.save({"state_dict": state, "epoch": 1, **objects}, f"beside-{protocol}.ckpt", pickle_protocol=protocol)
    torch.save({**state, **objects}, f"among-{protocol}.pt", pickle_protocol=protocol)
torch.save({**state, **objects}, "among-legacy.pt", _use_new_zipfile_serialization=False)
torch.save(collections.defaultdict(list, state), "default.pt")
torch.save({"model": torch.nn.Linear(1, 1), "epoch": 1}, "refused-model.pt")
torch.save(torch.nn.Linear(1, 1), "refused-module.pt")
torch.save({"nets": [parent]}, "refused-objects.pt")


@public
class Named(torch.Tensor):
    """Adds behaviour, no elements."""


torch.save({"t": torch.arange(4.0).as_subclass(Named), "p": torch.nn.Parameter(torch.ones(2))}, "subclass.pt")
torch.save({"f4": torch.arange(32, dtype=torch.uint8).reshape(4, 8).view(torch.float4_e2m1fn_x2)}, "f4.pt")

os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29781", RANK="0", WORLD_SIZE="1")
dist.init_process_group("gloo")
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor, init_device_mesh

mesh = init_device_mesh("cpu", (1,))
values = torch.arange(24.0).reshape(6, 4)
torch.save({name: distribute_tensor(values, mesh, [p]) for name, p in [("s", Shard(0)), ("r", Replicate())]}, "dtensor.pt")
part = DTensor.from_local(values, mesh, [Shard(0)], shape=torch.Size([12, 4]), stride=(4, 1), run_check=False)
torch.save({"t": part}, "refused-dtensor.pt")
torch.save({"t": DTensor.from_local(values, mesh, [Partial()])}, "refused-partial.pt")
dist.destroy_process_group()

torch.save({"t": torch.eye(2).to_sparse()}, "refused-sparse.pt")
torch.save({"t": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)}, "refused-quantized.pt")
torch.save({"t": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged)}, "refused-nested.pt")
torch.save({"t": torch.ones(3, device="meta")}, "refused-meta.pt")

from torchao.quantization import Int8WeightOnlyConfig, quantize_

net = torch.nn.Sequential(torch.nn.Linear(8, 4, bias=False))
quantize_(net, Int8WeightOnlyConfig())
torch.save(net.state_dict(), "refused-torchao.pt")
