#!/usr/bin/env python3
"""Makes the inputs that a campaign begins with, of the fixtures: a folder of files for each target.

  corpus.py FOLDER

A target that takes several files has them in one input, with a mark between; an archive comes without what holds it together
(Tests/Fuzz/Targets/LooseArchive.swift). Needs the second reader's packages, zstandard and numpy, for the archives.
"""
import glob
import json
import os
import struct
import sys
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOREIGN = f"{ROOT}/Fixtures/foreign"
LARGEST = 1 << 16
PARTS, FRAMES = b"\n====\n", b"\n----\n"


def read(path):
    with open(path, "rb") as file:
        return file.read()


def files(*patterns):
    for pattern in patterns:
        for path in sorted(glob.glob(f"{ROOT}/Fixtures/{pattern}", recursive=True)):
            if os.path.isfile(path):
                yield path


def folder(path, names):
    return PARTS.join(read(f"{path}/{name}") if os.path.exists(f"{path}/{name}") else b"" for name in names)


def adapters():
    for path in files("foreign/**/adapter_config.json"):
        yield folder(os.path.dirname(path), ["adapter_config.json", "adapter_model.safetensors"])


def quantized():
    for path in files("foreign/quantized/*/config.json"):
        yield folder(os.path.dirname(path), ["config.json", "model.safetensors"])


def distributed():
    for path in files("foreign/distributed/*/.metadata"):
        yield folder(os.path.dirname(path), [".metadata", "__0_0.distcp"])


def members(pattern, suffix):
    for path in files(pattern):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(suffix):
                    yield archive.read(name)


def deflated():
    import zlib
    for bytes in members("foreign/arrays.npz", ".npy"):
        for level in (1, 9):
            coder = zlib.compressobj(level, zlib.DEFLATED, -15)
            yield coder.compress(bytes) + coder.flush()


def loose_archives():
    sys.dont_write_bytecode = True
    sys.path.insert(0, f"{ROOT}/Spec/reader")
    import tmpack_reader as reader

    def section(one):
        data = one.index.extent(one.ref, "", "")
        size = struct.unpack_from("<I", data)[0]
        pieces = [data[8:8 + size]]
        for number, record in enumerate(one.records):
            codec, transform, width = record[3:6]
            kind = codec | {0: 0, 2: 1, 4: 2, 8: 3}[width] << 1 | max(0, transform - 1) << 3
            raw = one.frame(number)
            if transform > 1:  # Made anew by no writer of the harness.
                kind &= 7
            pieces.append(bytes([kind]) + raw)
        return FRAMES.join(pieces)

    for path in files("golden/**/*.tmpack"):
        index = reader.Index(read(path))
        if not index.embedded:
            continue
        shared = reader.Section(index, index.shared["section"], "shared")
        experts = [reader.Section(index, expert["section"], name, shared) for name, expert in index.experts.items()]
        ref = index.slot["index"]
        parts = [reader.zstd_frame(index.file[ref["offset"]:ref["offset"] + ref["stored"]], ref["raw"], "")]
        parts += [section(one) for one in [shared, *experts]]
        if index.router:
            parts.append(section(reader.Router(index)))
        yield PARTS.join(parts)


def safetensors(tensors, metadata=None):
    header, data = ({"__metadata__": metadata} if metadata else {}), b""
    for name, (dtype, shape, bytes) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(bytes)]}
        data += bytes
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def shards():
    one = safetensors({"a": ("F32", [2, 2], bytes(16))}, {"format": "pt"})
    two = safetensors({"b": ("BF16", [3], bytes(6))})
    index = {"metadata": {"total_size": 22}, "weight_map": {"a": "a.safetensors", "b": "b.safetensors"}}
    yield PARTS.join([json.dumps(index).encode(), one, two])


def tokenizers():
    config = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_embd": 4, "n_head": 1, "n_layer": 1, "n_positions": 8,
              "vocab_size": 4, "layer_norm_epsilon": 1e-5}
    tokenizer = {"version": "1.0", "added_tokens": [{"id": 3, "content": "<|end|>", "special": True}],
                 "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
                 "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}}
    names = ["wte.weight", "wpe.weight", "ln_f.weight", "ln_f.bias"]
    shapes = [[4, 4], [8, 4], [4], [4]]
    for own, shape in [("ln_1.weight", [4]), ("ln_1.bias", [4]), ("attn.c_attn.weight", [4, 12]), ("attn.c_attn.bias", [12]),
                       ("attn.c_proj.weight", [4, 4]), ("attn.c_proj.bias", [4]), ("ln_2.weight", [4]), ("ln_2.bias", [4]),
                       ("mlp.c_fc.weight", [4, 16]), ("mlp.c_fc.bias", [16]), ("mlp.c_proj.weight", [16, 4]), ("mlp.c_proj.bias", [4])]:
        names.append(f"h.0.{own}")
        shapes.append(shape)
    tensors = {}
    for name, shape in zip(names, shapes):
        count = 4
        for side in shape:
            count *= side
        tensors[f"transformer.{name}"] = ("F32", shape, bytes(count))
    yield PARTS.join([json.dumps(config).encode(), json.dumps(tokenizer).encode(),
                      json.dumps({"eos_token": "<|end|>", "chat_template": "{{ x }}"}).encode(), safetensors(tensors)])


def texts(*values):
    return [value.encode() if isinstance(value, str) else value for value in values]


def split_gguf():
    yield PARTS.join([read(f"{FOREIGN}/gguf/plain.gguf"), read(f"{FOREIGN}/gguf/weights.gguf")])


RECIPE = """merge_method: ties
base_model: base
models:
  - model: a
    parameters: {weight: [0.5, 1.0], density: 0.3}
  - model: b
    parameters:
      weight:
        - filter: mlp
          value: 0.2
        - value: 1.0
parameters: {lambda: 1.0, normalize: true}
dtype: bfloat16
"""
SLICES = """slices:
- sources:
  - {model: "a", layer_range: [0, 4]}
  - model: 'b'
    layer_range: [2, 6]
merge_method: linear
# a comment
"""
DIGEST = "0" * 64

CORPORA = {
    "safetensors": lambda: map(read, files("foreign/arrays.safetensors", "foreign/distributed/full.safetensors")),
    "gguf": lambda: map(read, files("foreign/gguf/*.gguf")),
    "npy": lambda: map(read, files("foreign/v*.npy", "foreign/refused-*.npy")),
    "torch-legacy": lambda: map(read, files("foreign/state-legacy.bin", "foreign/object-*-2.pt")),
    "zip": lambda: map(read, files("foreign/*.npz", "foreign/state.bin", "foreign/tensor.pt")),
    "pickle": lambda: [*members("foreign/tensor.pt", "data.pkl"), *members("foreign/state.bin", "data.pkl"),
                       *members("foreign/training.ckpt", "data.pkl"), *members("foreign/nested.pth", "data.pkl")],
    "npz": lambda: [PARTS.join(members("foreign/arrays.npz", ".npy"))],
    "deflate": deflated,
    "adapter": adapters,
    "shards": shards,
    "split-gguf": split_gguf,
    "distributed": distributed,
    "quantized": quantized,
    "tokenizer": tokenizers,
    "archive": loose_archives,
    "header": lambda: map(read, files("golden/**/*.tmpack")),
    "journal": list,
    "json": lambda: texts('{"a":[1,2.5,true,null,"\\u00e9\\n"],"b":{}}', "[]", "-0.0e-7") + [
        read(path) for path in files("foreign/expected.json")],
    "yaml": lambda: texts(RECIPE, SLICES, "a: |\n  b\n  c\n", "[1, {a: b}, \"\\x41\"]", "- - 1\n  - ~\n"),
    "recipe": lambda: texts(RECIPE, SLICES),
    "receipt": list,
    "digests": list,
    "signatures": list,
    "keys": lambda: texts("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n",
                          "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBm/RAlphM3+hUG6wWfcO5bIUIaqMLa2ywxcOK1wMWbh me\n",
                          "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n"),
    "weights": lambda: texts("a=0.5,b=-1e3", "a=1"),
    "module-pattern": lambda: texts("(q|v)_proj\nq_proj", "^model\\.layers\\.[0-9]+\\.(?:a|b)$\nmodel.layers.1.a", "a{1,3}b*?\\d\naa1"),
    "glob": lambda: texts("*.weight\na.weight", "layer?[0-3]*[!x]\nlayer12a"),
    "factor": lambda: [bytes([kind, 3, 4, 1, 0, 2, 0, 63, 0, 0]) + bytes(range(64)) for kind in range(8)],
    "zstandard": lambda: [__import__("zstandard").ZstdCompressor(level=level, write_checksum=True).compress(bytes(range(200)) * 20)
                          for level in (1, 9)],
    "magnitudes": lambda: [bytes([1, 8]) + bytes(range(64))],
}


def main():
    target = sys.argv[1]
    for name, make in CORPORA.items():
        os.makedirs(f"{target}/{name}", exist_ok=True)
        known = f"{ROOT}/Fixtures/fuzz/{name}"
        inputs = list(make()) + [read(f"{known}/{own}") for own in (os.listdir(known) if os.path.isdir(known) else ())]
        for number, bytes in enumerate(bytes for bytes in inputs if len(bytes) <= LARGEST):
            with open(f"{target}/{name}/seed-{number}", "wb") as file:
                file.write(bytes)


if __name__ == "__main__":
    main()
