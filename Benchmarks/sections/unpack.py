#!/usr/bin/env python3
"""`unpack` against `cp` of what it makes, as Markdown tables.

    Benchmarks/sections/unpack.py [--work FOLDER] [--memory /dev/shm] [--runs 9] [--gigabytes 1]

Factors that are small and lossless ones; shared models inside of the archive and beside it; on a disk and in memory, with one thread and two. `tmpack`
waits until its output is on the disk, `cp` does not, so there is also `cp` followed by `sync` of the file. All runs of a model take turns, so that a
busy machine is as busy for each, and each output is removed at once, so that nobody waits for another's.
"""
import argparse, pathlib, shutil, statistics, subprocess, sys, tempfile

import paths  # noqa: F401, before what it makes findable
from measure import DATA, TOOL, Cost, minilm, run, table, tool
from synthetic import Model

# How the expert is packed, and whether the shared model is beside the archive.
SMALL = {
    "rank 16": (["--rank", 16], False), "rank 16, detached": (["--rank", 16], True),
    "quality low": (["--quality", "low"], False), "quality low, detached": (["--quality", "low"], True)}
LOSSLESS = {"lossless": (["--lossless"], False), "lossless, detached": (["--lossless"], True)}
HEADER = ("archive", "to", "threads", "CPU s", "wall s", "peak MB", "wall, of cp", "wall, of cp and sync", "CPU, of cp", "MB/CPU s")


class Family:
    """An expert, packed in several ways, and the file that they unpack to."""

    def __init__(self, base, expert, work, settings):
        self.work = work
        self.archives = {}
        for number, (setting, (options, detached)) in enumerate(settings.items()):
            archive = work / f"{number}.tmpack"
            tool("pack", "--base", base, "--expert", f"e={expert}", "--shared", "base", *options, *(["--detached"] if detached else []), "-o", archive)
            self.archives[setting] = (archive, ["--shared-from", base] if detached else [])
        self.original = work / "output.safetensors"
        self.unpack(next(iter(self.archives)), 2, self.original)
        self.size = self.original.stat().st_size

    def unpack(self, setting, threads, output):
        archive, shared = self.archives[setting]
        return run(TOOL, "unpack", archive, *shared, "--expert", "e", "--threads", threads, "--quiet", "-o", output)[1]

    def jobs(self, threads, syncs):
        """By name, what takes a path to write to and returns what it cost."""
        jobs = {("cp", ""): lambda output: run("cp", self.original, output)[1]}
        if syncs:
            jobs["cp and sync", ""] = lambda output: run("sh", "-c", 'cp "$1" "$2" && sync "$2"', "sh", self.original, output)[1]
        for setting in self.archives:
            for count in threads:
                jobs[setting, count] = lambda output, s=setting, n=count: self.unpack(s, n, output)
        return jobs

    def rows(self, where, folder, threads, runs, syncs=True):
        jobs = self.jobs(threads, syncs)
        costs = {name: [] for name in jobs}
        for turn in range(runs + 1):
            for name, job in jobs.items():
                output = folder / "made.safetensors"
                cost = job(output)
                output.unlink()
                if turn > 0:  # the first fills the page cache
                    costs[name].append(cost)
        return [self.row(name, where, costs) for name in jobs]

    def row(self, name, where, costs):
        mine, plain, synced = costs[name], costs["cp", ""], costs.get(("cp and sync", ""))

        def ratio(peer, kind):
            return f"{statistics.median(a[kind] / b[kind] for a, b in zip(mine, peer)):.2f}" if peer else "–"
        cost = Cost(mine)
        return (name[0], where, name[1], f"{cost.cpu:.3f}", f"{cost.wall:.3f}", f"{cost.memory:.0f}",
                ratio(plain, 1), ratio(synced, 1), ratio(plain, 0), f"{self.size / 1e6 / cost.cpu:.0f}")


def models(folder, gigabytes):
    found = minilm(folder / "minilm")
    if found:
        yield "MiniLM, F32", found / "base/model.safetensors", found / "sre/model.safetensors", SMALL | LOSSLESS
    testbed = DATA / "testbed"
    if testbed.is_dir():
        yield "testbed, F32", testbed / "base.safetensors", testbed / "cities.safetensors", SMALL | LOSSLESS
    model = Model(2048, 8192, max(1, round(gigabytes * 1e9 / 2 / 2048 / 8192)))
    base, expert = model.write(folder / "base"), model.write(folder / "expert", 1)
    yield "Synthetic, BF16", base, expert, {s: (SMALL | LOSSLESS)[s] for s in ("rank 16", "rank 16, detached", "lossless")}


def memory_folder(path, size):
    """Where outputs are made in memory; None where there is no such place or too little room."""
    if not path.is_dir() or shutil.disk_usage(path).free < 3 * size:
        return None
    return path


def kind(folder):
    """The file system's name."""
    if sys.platform != "linux":
        return "disk"
    return subprocess.run(["df", "--output=fstype", folder], capture_output=True, text=True).stdout.split()[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=pathlib.Path)
    parser.add_argument("--memory", type=pathlib.Path, default=pathlib.Path("/dev/shm"))
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--gigabytes", type=float, default=1)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    print(f"One expert as one safetensors file, against `cp` of that file from the page cache to the same place, and `cp` followed by `sync` of the copy. Medians of "
          f"{options.runs} runs, which take turns; a ratio is the median of the ratios of one turn. *MB/CPU s* is the size of the output by the processor time of the whole command. "
          "Archives and shared models are read from the page cache.")
    with tempfile.TemporaryDirectory(dir=options.work) as temporary:
        folder = pathlib.Path(temporary)
        for number, (name, base, expert, settings) in enumerate(models(folder, options.gigabytes)):
            work = folder / str(number)
            work.mkdir()
            family = Family(base, expert, work, settings)
            rows = family.rows(f"disk ({kind(folder)})", work, options.threads, options.runs)
            memory = memory_folder(options.memory, family.size)
            if memory:
                with tempfile.TemporaryDirectory(dir=memory) as outputs:
                    rows += family.rows("memory", pathlib.Path(outputs), options.threads, options.runs, syncs=False)
            shutil.rmtree(work)
            print(f"\n### {name}, {family.size / 1e6:.1f} MB\n")
            print(table(HEADER, rows), flush=True)
            if not memory:
                print(f"\n{options.memory} has no room for this one.")


if __name__ == "__main__":
    main()
