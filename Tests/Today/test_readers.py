"""What today's libraries leave on the disk, read by tmpack (the path in TMPACK), against what the libraries themselves say."""
import argparse
import collections
import os
import subprocess

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.multiprocessing as mp
from safetensors import safe_open
from safetensors.torch import load_file, save_file

TOOL = os.environ["TMPACK"]


def tmpack(*arguments):
    return subprocess.run([TOOL, *map(str, arguments)], capture_output=True, text=True)


def converted(path, folder):
    out = folder / "converted.safetensors"
    run = tmpack("convert", path, out, "--force")
    assert run.returncode == 0, run.stderr
    return load_file(out), run.stderr


def same(read, expected):
    assert sorted(read) == sorted(expected)
    for name, tensor in expected.items():
        assert read[name].dtype == tensor.dtype and torch.equal(read[name], tensor), name


def state():
    random = torch.Generator().manual_seed(1)
    return {
        "rows": torch.randn(7, 4, generator=random), "columns": torch.randn(4, 7, generator=random).bfloat16(),
        "whole": torch.randn(3, generator=random), "scalar": torch.tensor(5),
    }


def write(rank, world, folder):
    from torch.distributed.checkpoint import FileSystemWriter, HuggingFaceStorageWriter
    from torch.distributed.checkpoint.filesystem import SerializationFormat
    from torch.distributed.tensor import Shard, distribute_tensor, init_device_mesh

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world)
    mesh = init_device_mesh("cpu", (world,))
    full = state()
    sharded = full | {
        "rows": distribute_tensor(full["rows"], mesh, [Shard(0)]),
        "columns": distribute_tensor(full["columns"], mesh, [Shard(1)]),
    }
    nested = {"model": sharded, "optimizer": {"state": {0: {"m": torch.ones(2)}}}, "step": 3}
    writers = {
        "plain": {}, "files": {"single_file_per_rank": False},
        "image": {"serialization_format": SerializationFormat.SAFETENSORS},
    }
    for name, options in writers.items():
        dcp.save(nested, storage_writer=FileSystemWriter(f"{folder}/{name}", **options))
    pieces = {name: sharded[name] for name in ["rows", "columns", "whole"]}
    dcp.save(pieces, storage_writer=HuggingFaceStorageWriter(f"{folder}/pieces", save_distributed=True))
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def distributed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("distributed")
    mp.spawn(write, args=(2, str(folder)), nprocs=2)
    return folder


@pytest.mark.parametrize("name", ["plain", "files", "image"])
def test_distributed_checkpoint(distributed, name, tmp_path):
    read, notes = converted(distributed / name, tmp_path)
    same(read, state())
    assert "optimizer (1 tensor)" in notes


def test_distributed_checkpoint_as_torch_joins_it(distributed, tmp_path):
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

    dcp_to_torch_save(distributed / "plain", tmp_path / "joined.pt")
    same(converted(tmp_path / "joined.pt", tmp_path)[0], converted(distributed / "plain", tmp_path)[0])


def test_pieces_in_safetensors(distributed, tmp_path):
    same(converted(distributed / "pieces", tmp_path)[0], {n: t for n, t in state().items() if n != "scalar"})
    one = next((distributed / "pieces").iterdir())
    run = tmpack("convert", one, tmp_path / "x.safetensors")
    assert run.returncode == 3 and "DCP_SHARDING_INFO" in run.stderr and not (tmp_path / "x.safetensors").exists()


def test_part_of_a_distributed_checkpoint(distributed, tmp_path):
    run = tmpack("convert", distributed / "plain/__0_0.distcp", tmp_path / "x.safetensors")
    assert run.returncode == 3 and "name its folder" in run.stderr


def test_objects_beside_the_state_dict(tmp_path):
    tensors = collections.OrderedDict(w=torch.arange(6.0).reshape(2, 3))
    beside = {"hyper_parameters": argparse.Namespace(a=1), "numbers": np.arange(3), "net": torch.nn.Linear(2, 2)}
    torch.save({"state_dict": tensors, "epoch": 1, **beside}, tmp_path / "a.ckpt")
    read, notes = converted(tmp_path / "a.ckpt", tmp_path)
    same(read, tensors)
    assert "net (2 tensors)" in notes
    torch.save({**tensors, **beside}, tmp_path / "b.pt")
    read, notes = converted(tmp_path / "b.pt", tmp_path)
    same(read, tensors)
    assert "net._parameters.weight" in notes


def test_pairs_of_four_bits(tmp_path):
    tensors = {"w": torch.arange(32, dtype=torch.uint8).reshape(4, 8).view(torch.float4_e2m1fn_x2)}
    torch.save(tensors, tmp_path / "a.pt")
    assert tmpack("convert", tmp_path / "a.pt", tmp_path / "a.safetensors").returncode == 0
    assert tmpack("convert", tmp_path / "a.safetensors", tmp_path / "b.pt").returncode == 0
    for read in [load_file(tmp_path / "a.safetensors")["w"], torch.load(tmp_path / "b.pt", weights_only=True)["w"]]:
        assert read.dtype == torch.float4_e2m1fn_x2 and torch.equal(read.view(torch.uint8), tensors["w"].view(torch.uint8))


def test_no_metadata_as_mlx_writes_them(tmp_path):
    save_file({"w": torch.ones(2)}, tmp_path / "a.safetensors")
    bytes = (tmp_path / "a.safetensors").read_bytes()
    length = int.from_bytes(bytes[:8], "little")
    header = b'{"__metadata__":null,' + bytes[9:8 + length].rstrip()
    (tmp_path / "b.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes[8 + length:])
    with safe_open(tmp_path / "b.safetensors", "pt") as file:
        assert file.metadata() is None
    same(converted(tmp_path / "b.safetensors", tmp_path)[0], {"w": torch.ones(2)})


def test_modules_of_sentence_transformers(tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    from transformers import BertConfig, BertModel, BertTokenizerFast

    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghij"]))
    config = BertConfig(
        vocab_size=15, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32)
    from sentence_transformers import models

    for seed in (1, 2):
        torch.manual_seed(seed)
        BertModel(config).save_pretrained(tmp_path / "bert")
        BertTokenizerFast(vocab_file=str(tmp_path / "vocab.txt")).save_pretrained(tmp_path / "bert")
        modules = [models.Transformer(str(tmp_path / "bert")), models.Pooling(16), models.Dense(16, 8), models.LayerNorm(8)]
        sentence_transformers.SentenceTransformer(modules=modules).save(str(tmp_path / f"m{seed}"))
    a, b = tmp_path / "m1", tmp_path / "m2"
    assert tmpack("compare", a, b).stdout.count("2_Dense/linear.weight") == 1
    run = tmpack("merge", "average", "--expert", f"x={a}", "--expert", f"y={b}", "-o", tmp_path / "merged")
    assert run.returncode == 0, run.stderr
    dense = [load_file(m / "2_Dense/model.safetensors")["linear.weight"] for m in (a, b, tmp_path / "merged")]
    assert torch.allclose(dense[2], (dense[0] + dense[1]) / 2, atol=1e-7)
    assert tmpack("convert", a, tmp_path / "copy").returncode == 0
    original = sentence_transformers.SentenceTransformer(str(a), device="cpu").encode(["abc"])
    copy = sentence_transformers.SentenceTransformer(str(tmp_path / "copy"), device="cpu").encode(["abc"])
    assert np.array_equal(original, copy)
    sentence_transformers.SentenceTransformer(str(tmp_path / "merged"), device="cpu")


def test_what_modules_note_of_their_layout_stays(tmp_path):
    """`_metadata` of a state_dict, by which `load_state_dict` knows old layouts."""
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    torch.save({"state_dict": model.state_dict(), "epoch": 3}, tmp_path / "a.pt")
    for options in ([], ["--dtype", "f64"], ["--tensors", "*"]):
        run = tmpack("convert", tmp_path / "a.pt", tmp_path / "b.pt", "--force", *options)
        assert run.returncode == 0, run.stderr
        for weights_only in (True, False):
            state = torch.load(tmp_path / "b.pt", weights_only=weights_only)
            assert type(state._metadata) is collections.OrderedDict
            assert state._metadata == model.state_dict()._metadata
            assert list(state._metadata) == list(model.state_dict()._metadata)
            model.load_state_dict(state)
    # Under other names nobody knows whose it is.
    run = tmpack("convert", tmp_path / "a.pt", tmp_path / "c.pt", "--rename", "0.*=first.*")
    assert run.returncode == 0 and not hasattr(torch.load(tmp_path / "c.pt"), "_metadata")
    # What is no number is left out, and hostile values are no more than that.
    state = model.state_dict()
    state._metadata = collections.OrderedDict({"": {"version": 1, "text": "x", "list": [1], "flag": True, "none": None}, "deep": 5})
    torch.save(state, tmp_path / "d.pt")
    run = tmpack("convert", tmp_path / "d.pt", tmp_path / "e.pt")
    assert run.returncode == 0, run.stderr
    assert torch.load(tmp_path / "e.pt")._metadata == {"": {"version": 1, "flag": True, "none": None}}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_files_of_before_zip(protocol, tmp_path):
    torch.save(state(), tmp_path / "x.pt", _use_new_zipfile_serialization=False, pickle_protocol=protocol)
    same(converted(tmp_path / "x.pt", tmp_path)[0], state())


@pytest.mark.parametrize("beside,name", [
    (dict(epoch=1, arch="resnet18", best_acc1=torch.tensor(76.1)), "state_dict"),
    (dict(epoch=1, loss=torch.tensor(0.3)), "model_state_dict"), (dict(rng_state=torch.get_rng_state()), "model"),
])
def test_a_model_beside_a_tensor_of_its_training(beside, name, tmp_path):
    model = torch.nn.Linear(2, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    torch.save({name: model.state_dict(), "optimizer": optimizer.state_dict(), **beside}, tmp_path / "x.pt")
    read, said = converted(tmp_path / "x.pt", tmp_path)
    same(read, model.state_dict())
    assert f'those of "{name}"' in said and "optimizer" in said
    # Without an optimizer nothing tells that a module called "model" is the whole.
    torch.save({"model": {"weight": torch.ones(2)}, "scale": torch.ones(1)}, tmp_path / "y.pt")
    assert sorted(converted(tmp_path / "y.pt", tmp_path)[0]) == ["model.weight", "scale"]
