#!/usr/bin/env python3
"""Embeddings of the testbed's inputs by a shared model, for fitting and measuring routers.

    Benchmarks/lib/embeddings.py SHARED.safetensors FOLDER [--limit N]

Writes FOLDER/{train,val,test}.safetensors: `embeddings` F32 [N, 256], `labels` I64 [N], and the tasks' names in the metadata.
The testbed is that of TMPACK_DATA and stays where it is.
"""
import argparse, json, pathlib, struct, sys
import numpy as np

sys.dont_write_bytecode = True
from measure import DATA

TASKS = ("syllables", "cities", "gloss", "langid")


def write(path, embeddings, labels, classes):
    embeddings, labels = np.ascontiguousarray(embeddings, "<f4"), np.ascontiguousarray(labels, "<i8")
    header, offset = {"__metadata__": {"classes": json.dumps(classes)}}, 0
    for name, dtype, array in ("labels", "I64", labels), ("embeddings", "F32", embeddings):
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + labels.tobytes() + embeddings.tobytes())


def make(shared, folder, limit=None):
    sys.path.insert(0, str(DATA / "testbed"))
    import evaluate, model_np
    parameters = evaluate.read_safetensors(shared)
    random = np.random.default_rng(1)
    for split, count in ("train", limit), ("val", None), ("test", None):
        rows, labels = [], []
        for number, task in enumerate(TASKS):
            x, _ = model_np.load_split(task, split)
            if count and len(x) > count:
                x = x[np.sort(random.choice(len(x), count, replace=False))]
            rows.append(model_np.embed(parameters, x))
            labels += [number] * len(x)
        write(folder / f"{split}.safetensors", np.concatenate(rows), labels, TASKS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("shared")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--limit", type=int, default=3000, help="training inputs of each task")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    make(arguments.shared, arguments.folder, arguments.limit)
