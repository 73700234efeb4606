#!/usr/bin/env python3
"""A checkpoint that is larger than the memory it is packed in: peak memory and speed of whole commands.

    Benchmarks/large.py [--gigabytes 8] [--threads 1 2] [--work FOLDER]

Makes a base and a fine-tune of it in bf16, sharded, of matrices of 4096 × 11008, packs, verifies and unpacks. Files are read with --io read, so that
peak memory is what the process holds, without the pages of mapped files. Needs numpy and three times the size on disk.
"""
import argparse, json, pathlib, struct, tempfile
import numpy as np

from measure import table, tool

ROWS, COLUMNS = 4096, 11008
TENSOR = 2 * ROWS * COLUMNS
SHARD = 12  # tensors


def write_model(folder, tensors, change, seed):
    """bf16 numbers of some 1e-2; those of a fine-tune differ in their last bits."""
    folder.mkdir()
    index = {}
    for start in range(0, tensors, SHARD):
        names = [f"layers.{i:03}.weight" for i in range(start, min(start + SHARD, tensors))]
        name = f"model-{start // SHARD + 1:05}-of-{-(-tensors // SHARD):05}.safetensors"
        header = {n: {"dtype": "BF16", "shape": [ROWS, COLUMNS], "data_offsets": [k * TENSOR, (k + 1) * TENSOR]} for k, n in enumerate(names)}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(folder / name, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for n in names:
                number = int(n.split(".")[1])
                lanes = np.random.default_rng(number).integers(0x3B80, 0x3C80, ROWS * COLUMNS, "<u2")
                lanes |= np.random.default_rng(number + 1000).integers(0, 2, ROWS * COLUMNS, "<u2") << np.uint16(15)
                if change:
                    lanes += np.random.default_rng(number + seed).integers(0, change, ROWS * COLUMNS, "<u2")
                file.write(lanes.tobytes())
                index[n] = name
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": tensors * TENSOR}, "weight_map": index}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gigabytes", type=float, default=8)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--work")
    options = parser.parse_args()
    tensors = max(2, round(options.gigabytes * 1e9 / TENSOR))
    with tempfile.TemporaryDirectory(dir=options.work) as temporary:
        work = pathlib.Path(temporary)
        write_model(work / "base", tensors, 0, 0)
        write_model(work / "expert", tensors, 4, 5000)
        rows = []
        for threads in options.threads:
            how = ("--io", "read", "--threads", threads)
            bound = (threads + 2) * 2 * TENSOR / 1e6 + 300
            archive = work / "zoo.tmpack"
            commands = (
                ("pack, rank 16", ("pack", "--base", work / "base", "--expert", f"e={work / 'expert'}", "--shared", "base", "--detached", "--rank", 16, *how, "--force", "-o", archive)),
                ("unpack", ("unpack", archive, "--shared-from", work / "base", "--expert", "e", *how, "--force", "-o", work / "out")),
                ("verify", ("verify", archive, "--shared-from", work / "base", *how)))
            for name, command in commands:
                _, cost = tool(*command)
                rows.append((name, threads, f"{cost.cpu:.1f}", f"{cost.wall:.1f}", f"{cost.memory:.0f}", f"{bound:.0f}"))
        print(f"{tensors} matrices of {ROWS} × {COLUMNS} in bf16, {tensors * TENSOR / 1e9:.1f} GB a checkpoint, in {-(-tensors // SHARD)} shards; the largest tensor takes "
              f"{2 * TENSOR / 1e6:.0f} MB in binary32. The bound is (threads + 2) times that, and 300 MB.\n")
        print(table(("command", "threads", "CPU s", "wall s", "peak MB", "bound MB"), rows))


if __name__ == "__main__":
    main()
