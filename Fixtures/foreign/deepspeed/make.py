#!/usr/bin/env python3
"""Makes folders as DeepSpeed 0.19 leaves them (stages 1, 2 and 3 of ZeRO, two processes), and what its zero_to_fp32 makes of
them.

DeepSpeed itself does not run everywhere: the files are written here with PyTorch, in the layout that it was seen to write;
classes of DeepSpeed are stood in for by classes of the same names.
"""
import collections, enum, os, sys, types
import torch
from safetensors.torch import save_file

WORLD = 2


def stand_in(module, name, *bases, **members):
    for part in ["deepspeed", "deepspeed.runtime", "deepspeed.runtime.fp16", "deepspeed.runtime.zero", "deepspeed.utils", module]:
        sys.modules.setdefault(part, types.ModuleType(part))
    kind = enum.Enum(name, members) if members else type(name, bases, {})
    kind.__module__, kind.__qualname__ = module, name
    setattr(sys.modules[module], name, kind)
    return kind


LossScaler = stand_in("deepspeed.runtime.fp16.loss_scaler", "LossScaler")
Stage = stand_in("deepspeed.runtime.zero.config", "ZeroStageEnum", gradients=2, weights=3, optimizer_states=1)


def make(folder, stage, world=WORLD):
    tag = os.path.join(folder, "global_step2")
    os.makedirs(tag)
    open(os.path.join(folder, "latest"), "w").write("global_step2")
    random = torch.Generator().manual_seed(stage)
    shapes = [{"emb.weight": (7, 3), "a.bias": (5,)}, {"a.weight": (5, 3), "scale": ()}]
    frozen = {"frozen.weight": (3, 3)}
    weights = {name: torch.randn(shape, generator=random) for group in shapes for name, shape in group.items()}
    held = {name: torch.randn(shape, generator=random).bfloat16() for name, shape in frozen.items()}
    buffers = {"norm.mean": torch.randn(4, generator=random).bfloat16(), "norm.count": torch.tensor(9)}
    expected = {**weights, **held, "norm.mean": buffers["norm.mean"].float(), "norm.count": buffers["norm.count"]}
    expected["head.weight"] = expected["emb.weight"].clone()
    sizes = [collections.OrderedDict((n, torch.Size(s)) for n, s in group.items()) for group in shapes]
    module = collections.OrderedDict((n, w.bfloat16()) for n, w in weights.items())
    module.update(held)
    module["head.weight"] = module["emb.weight"]
    if stage == 3:
        module = collections.OrderedDict((n, torch.empty(0, dtype=torch.bfloat16)) for n in module)
    module.update(buffers)

    def part(tensor, rank):
        """Of stage 3: equal parts, the last filled up with anything."""
        flat = tensor.flatten()
        share = -(-flat.numel() // world)
        return torch.cat([flat, torch.full((share * world - flat.numel(),), -3.7e24).to(flat.dtype)])[rank * share:(rank + 1) * share]

    def states(rank):
        fragments = None if stage == 1 else {n: part(h, rank) if stage == 3 else h for n, h in held.items()}
        return {
            "module": module, "buffer_names": list(buffers), "optimizer": None, "param_shapes": sizes,
            "frozen_param_shapes": None if stage == 1 else collections.OrderedDict((n, torch.Size(s)) for n, s in frozen.items()),
            "frozen_param_fragments": fragments, "shared_params": {"head.weight": "emb.weight"} if rank == 0 else {},
            "ds_config": {"zero_optimization": {"stage": stage}}, "ds_version": "0.19.8", "dp_world_size": world,
        }

    for rank in range(world):
        state = {"loss_scaler": LossScaler(), "zero_stage": Stage(stage) if stage > 1 else 1, "overflow": False}
        if stage == 3:
            state |= {
                "partition_count": world,
                "fp32_flat_groups": [torch.cat([part(weights[n], rank) for n in group]) for group in sizes],
            }
            torch.save(states(rank), f"{tag}/zero_pp_rank_{rank}_mp_rank_00_model_states.pt")
        else:
            flats = []
            for group in sizes:
                flat = torch.cat([weights[n].flatten() for n in group])
                share = -(-flat.numel() // (2 * world)) * 2
                flats.append(flat[rank * share:(rank + 1) * share].clone())
            state |= {"partition_count": [world] * len(sizes), "single_partition_of_fp32_groups": flats, "group_paddings": [0, 0]}
        prefix = "bf16_" if stage == 2 else ""
        torch.save({"optimizer_state_dict": state, "ds_version": "0.19.8"}, f"{tag}/{prefix}zero_pp_rank_{rank}_mp_rank_00_optim_states.pt")
    if stage < 3:
        torch.save(states(0), f"{tag}/mp_rank_00_model_states.pt")
    save_file(expected, folder + ".safetensors")


if __name__ == "__main__":
    where = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    for stage in (1, 2, 3):
        make(os.path.join(where, f"zero{stage}"), stage)
