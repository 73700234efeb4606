#!/usr/bin/env python3
"""A checkpoint that is larger than the memory it is packed in: peak memory and speed of whole commands.

    Benchmarks/sections/large.py [--gigabytes 4] [--lossless 2] [--threads 1 2] [--work FOLDER]

Makes a base and a fine-tune of it in bf16, sharded, of matrices of 4096 × 11008; packs them with low-rank factors and inspects, verifies and
unpacks; so many GB of them also losslessly, and converts these. Files are read with --io read, so that peak memory is what the process holds, without the pages of mapped
files. Needs numpy and four times the size on disk.
"""
import argparse, pathlib, shutil, tempfile

import paths  # noqa: F401, before what it makes findable
from measure import table, tool
from synthetic import Model

ROWS, COLUMNS = 4096, 11008
HEADER = ("what", "command", "threads", "CPU s", "wall s", "GB/s wall", "peak MB", "bound MB")


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


class Measured:
    """Rows of the table: commands on checkpoints of one size, with so many threads."""

    def __init__(self, work, model, threads):
        self.work, self.model, self.threads, self.rows = work, model, threads, []

    @property
    def bound(self):
        """MB: some tensors in binary32, and what does not grow with them."""
        return (self.threads + 2) * 2 * self.model.tensor_size / 1e6 + 300

    def add(self, what, name, tensors, *command, reads=True):
        """`tensors`: how many a second are counted for the speed; none for what does not read them."""
        how = ("--io", "read", "--threads", self.threads) if reads else ()
        result, cost = tool(*command, *how)
        speed = f"{tensors * self.model.tensor_size / 1e9 / cost.wall:.2f}" if tensors else "–"
        threads, bound = (self.threads, f"{self.bound:.0f}") if reads else ("–", "–")
        self.rows.append((what, name, threads, f"{cost.cpu:.2f}", f"{cost.wall:.2f}", speed, f"{cost.memory:.0f}", bound))
        return result

    def archive(self, what, tensors, base, expert, *options):
        """Packs, looks at the archive in every way, and unpacks; returns the ratio of sizes."""
        archive, output = self.work / "zoo.tmpack", self.work / "out"
        shared = ("--shared-from", base)
        packed = self.add(what, "pack", tensors, "pack", "--base", base, "--expert", f"e={expert}", "--shared", "base", "--detached", *options, "-o", archive)
        self.add(what, "inspect --tensors", 0, "inspect", archive, "--tensors", reads=False)
        self.add(what, "verify", 0, "verify", archive, *shared)
        self.add(what, "verify --deep", 0, "verify", "--deep", archive, *shared)
        self.add(what, "unpack", tensors, "unpack", archive, *shared, "--expert", "e", "-o", output)
        remove(archive)
        remove(output)
        return packed["ratio"]

    def convert(self, tensors, base):
        for name, output, *options in (("to F16 safetensors", "out", "--dtype", "f16"), ("to GGUF", "out.gguf"), ("to GGUF, Q8_0", "out.gguf", "--quantize", "q8_0")):
            path = self.work / output
            self.add("conversion", f"convert {name}", tensors, "convert", base, path, *options)
            remove(path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gigabytes", type=float, default=4)
    parser.add_argument("--lossless", type=float, default=2)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--work")
    options = parser.parse_args()
    model = Model(ROWS, COLUMNS, 2)
    count, few = (max(2, round(size * 1e9 / model.tensor_size)) for size in (options.gigabytes, min(options.lossless, options.gigabytes)))
    model.tensors = count
    with tempfile.TemporaryDirectory(dir=options.work) as temporary:
        work = pathlib.Path(temporary)
        base, expert = model.write(work / "base"), model.write(work / "expert", 1)
        rows, ratios = [], {}
        for threads in options.threads:
            measured = Measured(work, model, threads)
            ratios["rank 16"] = measured.archive("rank 16", count, base, expert, "--rank", 16)
            rows += measured.rows
        remove(base)
        remove(expert)
        base, expert = model.write(work / "base", 0, few), model.write(work / "expert", 1, few)
        for threads in options.threads:
            measured = Measured(work, model, threads)
            measured.convert(few, base)
            ratios["lossless"] = measured.archive("lossless", few, base, expert, "--lossless")
            rows += measured.rows
    order = {what: i for i, what in enumerate(("rank 16", "lossless", "conversion"))}
    rows.sort(key=lambda row: order[row[0]])
    print(f"{count} matrices of {ROWS} × {COLUMNS} in bf16, {model.size / 1e9:.1f} GB a checkpoint, in {model.shards} shards; *lossless* and *conversion*: {few} of them, "
          f"{few * model.tensor_size / 1e9:.1f} GB. One expert, the shared model is the base and outside of the archive: {ratios['rank 16']:.0f}× smaller with rank 16, "
          f"{ratios['lossless']:.2f}× lossless. *GB/s* are of one checkpoint. The largest tensor takes {2 * model.tensor_size / 1e6:.0f} MB in binary32; the bound is "
          "(threads + 2) times that, and 300 MB.\n")
    print(table(HEADER, rows))


if __name__ == "__main__":
    main()
