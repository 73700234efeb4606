"""A model of any size that looks like a trained one, and fine-tunes of it, at the speed of the disk.

Weights are normal, in bf16; those of a fine-tune have moved by a normal amount. A pool of them is drawn once, and every tensor is the pool from another
place on: no two tensors have bytes in common where they are compressed or decomposed.
"""
import json, struct
import numpy as np

SPREAD = 0.02


def to_bf16(numbers):
    """Rounds binary32 numbers to bfloat16, to nearest even."""
    lanes = numbers.view("<u4")
    return ((lanes + np.uint32(0x7FFF) + (lanes >> np.uint32(16) & np.uint32(1))) >> np.uint32(16)).astype("<u2")


class Model:
    """A base of `tensors` matrices, and as many fine-tunes of it as wanted, whose weights moved by `change` of their spread."""

    SHARD = 12  # tensors

    def __init__(self, rows, columns, tensors, change=0.05):
        self.rows, self.columns, self.tensors, self.change = rows, columns, tensors, change
        self.weights = SPREAD * np.random.default_rng(1).standard_normal(rows * columns, "f4")

    @property
    def tensor_size(self):
        return 2 * self.rows * self.columns

    @property
    def size(self):
        return self.tensors * self.tensor_size

    @property
    def shards(self):
        return -(-self.tensors // self.SHARD)

    def pool(self, fine_tune):
        """The lanes that all tensors are made of; of the base for `fine_tune` 0."""
        if fine_tune == 0:
            return to_bf16(self.weights)
        moved = np.random.default_rng(1000 + fine_tune).standard_normal(self.weights.size, "f4")
        return to_bf16(self.weights + np.float32(self.change * SPREAD) * moved)

    def write(self, folder, fine_tune=0, tensors=None):
        """A model folder, in shards, of the first `tensors` tensors."""
        folder.mkdir()
        pool, index = self.pool(fine_tune), {}
        count = tensors or self.tensors
        shards = -(-count // self.SHARD)
        for shard in range(shards):
            numbers = range(shard * self.SHARD, min((shard + 1) * self.SHARD, count))
            name = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
            with open(folder / name, "wb") as file:
                file.write(self.header(numbers))
                for number in numbers:
                    start = number * 7919 * 97 % pool.size
                    file.write(pool[start:])
                    file.write(pool[:start])
                    index[self.name(number)] = name
        (folder / "model.safetensors.index.json").write_text(
            json.dumps({"metadata": {"total_size": count * self.tensor_size}, "weight_map": index}))
        return folder

    def header(self, numbers):
        size = self.tensor_size
        entries = {self.name(n): {"dtype": "BF16", "shape": [self.rows, self.columns], "data_offsets": [k * size, (k + 1) * size]}
                   for k, n in enumerate(numbers)}
        text = json.dumps(entries).encode()
        text += b" " * (-len(text) % 8)
        return struct.pack("<Q", len(text)) + text

    @staticmethod
    def name(number):
        return f"layers.{number:03}.weight"
