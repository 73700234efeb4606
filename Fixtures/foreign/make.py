#!/usr/bin/python3
"""Makes the files of this folder with the libraries whose formats they are, and expected.json, what is in them.

Debian's python3-torch and python3-numpy do, and the PyPI package safetensors. The files are committed, so that the tests
need no Python.
"""
import collections, json, os, zipfile
import numpy as np
import safetensors.numpy
import torch

os.chdir(os.path.dirname(os.path.abspath(__file__)))
expected = {"made_by": {"torch": torch.__version__, "numpy": np.__version__}, "files": {}, "refused": {}}
NAMES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32",
    "int16": "I16", "int8": "I8", "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64", "bool": "BOOL",
    "complex64": "C64",
}


def torch_bytes(t):
    t = t.detach().contiguous()
    if t.dtype == torch.bfloat16:
        return t.view(torch.int16).numpy().tobytes()
    return t.numpy().tobytes()


def entry(dtype, shape, data):
    return {"dtype": NAMES[dtype], "shape": list(shape), "hex": data.hex()}


def describe(path, tensors, ties={}):
    entries = {}
    for name, t in tensors.items():
        if isinstance(t, torch.Tensor):
            entries[name] = entry(str(t.dtype).split(".")[1], t.shape, torch_bytes(t))
        else:
            t = np.asarray(t)
            entries[name] = entry(t.dtype.name, t.shape, t.astype(t.dtype.newbyteorder("<")).tobytes(order="C"))
    expected["files"][path] = {"tensors": entries, "ties": ties}


def save(path, obj, tensors, ties={}, **options):
    torch.save(obj, path, **options)
    describe(path, tensors, ties)


torch.manual_seed(1)
kinds = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64]
whole = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8]
state = collections.OrderedDict()
for k in kinds:
    state["float." + str(k)[6:]] = torch.randn(2, 3, dtype=torch.float32).to(k)
for k in whole:
    state["int." + str(k)[6:]] = torch.randint(0, 100, (5,)).to(k)
state["bool"] = torch.tensor([True, False, True])
state["scalar"] = torch.tensor(2.5)
state["empty"] = torch.zeros(0, 4)
state["é😀"] = torch.tensor([1.0, -0.0, float("inf"), float("nan")])
base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
state["strided.transposed"] = base.t()
state["strided.columns"] = base[:, 1:5:2]
state["strided.row"] = base[2]
state["strided.expanded"] = torch.tensor([7.0]).expand(3)
state["strided.permuted"] = torch.arange(24).reshape(2, 3, 4).permute(2, 0, 1)
tied = torch.randn(3, 2)
state["tied.embed"] = tied
state["tied.head"] = tied
state["tied.parameter"] = torch.nn.Parameter(tied, requires_grad=True)
ties = {"tied.head": "tied.embed", "tied.parameter": "tied.embed"}
save("state.bin", state, state, ties)
save("state-legacy.bin", state, state, ties, _use_new_zipfile_serialization=False)
save("state-protocol4.pt", dict(state), state, ties, pickle_protocol=4)

model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
optimizer = torch.optim.Adam(model.parameters())
model(torch.randn(4, 3)).sum().backward()
optimizer.step()
training = {
    "epoch": 3, "state_dict": {"module." + k: v for k, v in model.state_dict().items()},
    "optimizer": optimizer.state_dict(), "best": 0.5, "name": "x", "nothing": None, "big": 1 << 80,
}
save("training.ckpt", training, {"module." + k: v for k, v in model.state_dict().items()})
nested = {"a": {"b": torch.ones(2), "c": [torch.zeros(1), torch.ones(1)]}, "n": 1, "numbers": [1, 2]}
save("nested.pth", nested, {"a.b": torch.ones(2), "a.c.0": torch.zeros(1), "a.c.1": torch.ones(1)})
save("tensor.pt", torch.arange(3), {"tensor": torch.arange(3)})
save("nothing.pt", {}, {})

arrays = {k: np.arange(6).reshape(2, 3).astype(k) for k in "u1 i1 u2 i2 f2 u4 i4 f4 c8 u8 i8 f8".split()}
arrays |= {
    "bool": np.array([True, False]), "scalar": np.array(2.5), "empty": np.zeros((0, 4), "f4"),
    "fortran": np.asfortranarray(np.arange(24, dtype="f4").reshape(2, 3, 4)), "big": np.arange(5, dtype=">i4"),
    "big.fortran": np.asfortranarray(np.arange(6, dtype=">f8").reshape(2, 3)), "a/b": np.ones(1), "é": np.ones(2, "f4"),
    "runs": np.zeros(600, "u1"), "noise": np.random.default_rng(1).integers(0, 256, 399, "u1"),
}
np.savez("arrays.npz", **arrays)
np.savez_compressed("arrays-deflated.npz", **arrays)
describe("arrays.npz", arrays)
describe("arrays-deflated.npz", arrays)
np.savez("nothing.npz")
describe("nothing.npz", {})
np.save("big.npy", arrays["big.fortran"])
describe("big.npy", {"arr_0": arrays["big.fortran"]})
safetensors.numpy.save_file(
    {k: np.array(v, order="C") for k, v in arrays.items() if v.dtype.isnative}, "arrays.safetensors", {"format": "np"})
describe("arrays.safetensors", {k: v for k, v in arrays.items() if v.dtype.isnative})
for name, version in [("v1.npy", (1, 0)), ("v2.npy", (2, 0)), ("v3.npy", (3, 0))]:
    with open(name, "wb") as f:
        np.lib.format.write_array(f, arrays["fortran"], version=version)
    describe(name, {"arr_0": arrays["fortran"]})


# ZIP64 fields and records for small entries: a limit of 4 GiB is only what everybody takes.
limit, zipfile.ZIP64_LIMIT = zipfile.ZIP64_LIMIT, 16
for name, method in [("zip64.npz", zipfile.ZIP_STORED), ("zip64-deflated.npz", zipfile.ZIP_DEFLATED)]:
    with zipfile.ZipFile(name, "w", method) as archive:
        for key in ["f4", "i8", "runs", "scalar"]:
            with archive.open(zipfile.ZipInfo(key + ".npy"), "w", force_zip64=True) as f:
                np.lib.format.write_array(f, arrays[key])
    describe(name, {k: arrays[k] for k in ["f4", "i8", "runs", "scalar"]})
zipfile.ZIP64_LIMIT = limit

# As a machine with the other order of bytes saves it: PyTorch says so in a record.
big = {"a": torch.arange(5.0), "b": torch.arange(3), "c": torch.ones(2).half(), "z": torch.tensor([1 + 2j, 3 - 4j])}
torch.save(big, "little.tmp")
with zipfile.ZipFile("little.tmp") as little, zipfile.ZipFile("big.pt", "w") as archive:
    widths = {f"data/{i}": width for i, width in enumerate([4, 8, 2, 4])}
    for item in little.infolist():
        data = little.read(item)
        width = widths.get(item.filename.split("/", 1)[1], 1)
        archive.writestr(zipfile.ZipInfo("big/" + item.filename.split("/", 1)[1]), np.frombuffer(data, f"u{width}").byteswap().tobytes())
    archive.writestr(zipfile.ZipInfo("big/byteorder"), "big")
os.remove("little.tmp")
describe("big.pt", big)


# What must be refused, with a word of the message.
class Call:
    def __init__(self, function, *arguments):
        self.parts = (function, arguments)

    def __reduce__(self):
        return self.parts


def refuse(path, word):
    expected["refused"][path] = word


for name, call, word in [
    ("system", Call(os.system, "true"), "posix.system"), ("eval", Call(eval, "1"), "builtins.eval"),
]:
    for version in (2, 4):
        path = f"refused-{name}-{version}.pt"
        torch.save({"a": torch.ones(1), "b": call}, path, pickle_protocol=version)
        word = word.replace("builtins", "__builtin__") if version == 2 else word.replace("__builtin__", "builtins")
        refuse(path, word)
# What is only left out.
for name, call in [("getattr", Call(getattr, "a", "upper")), ("module", torch.nn.Linear(1, 1))]:
    for version in (2, 4):
        save(f"object-{name}-{version}.pt", {"a": torch.ones(1), "b": call}, {"a": torch.ones(1)}, pickle_protocol=version)
torch.save({"a": torch.ones(2, 2).to_sparse()}, "refused-sparse.pt")
refuse("refused-sparse.pt", "_rebuild_sparse_tensor")
torch.save({"a": torch.ones(2, dtype=torch.complex128)}, "refused-complex128.pt")
refuse("refused-complex128.pt", "ComplexDouble")
lazy = torch.tensor([1 + 2j])
torch.save({"a": lazy.conj()}, "refused-conjugate.pt")
refuse("refused-conjugate.pt", "resolve_conj")
torch.save({"a": lazy.conj().imag}, "refused-negative.bin", _use_new_zipfile_serialization=False)
refuse("refused-negative.bin", "resolve_neg")
torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), "refused-torchscript.pt")
refuse("refused-torchscript.pt", "TorchScript")
np.save("refused-objects.npy", np.array([{}, None], dtype=object), allow_pickle=True)
refuse("refused-objects.npy", "objects")
np.save("refused-records.npy", np.zeros(2, dtype=[("a", "f4"), ("b", "i4")]))
refuse("refused-records.npy", "records")
np.save("refused-text.npy", np.array(["a"]))
refuse("refused-text.npy", "<U1")

with open("expected.json", "w") as f:
    json.dump(expected, f, indent=0, sort_keys=True, ensure_ascii=False)
    f.write("\n")
