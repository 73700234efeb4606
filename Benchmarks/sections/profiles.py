#!/usr/bin/env python3
"""Where the time goes: the functions that take most of it by themselves, of packing and unpacking.

    Benchmarks/sections/profiles.py [--top 10] [--with perf|callgrind]

Samples with perf, or counts instructions with valgrind's callgrind, which takes minutes, where there is no perf; says so and ends without an error where
there is neither. By hand, with the callers:

    perf record -g .build/release/tmpack unpack …; perf report --no-children | swift demangle --simplified
"""
import argparse, collections, pathlib, re, shutil, subprocess, sys, tempfile

import paths  # noqa: F401, before what it makes findable
from measure import TOOL, minilm, run, table

# What to profile: name, how often it is run (short ones are sampled several times), and what it does with the folder of models and one for outputs.
PACK = {"rank 16": ["--rank", "16"], "lossless": ["--lossless"]}


def commands(models, work):
    for mode, options in PACK.items():
        archive = work / f"{mode}.tmpack"
        yield f"pack, {mode}", 1, ["pack", "--base", models / "base", "--expert", f"sre={models / 'sre'}", "--expert", f"npm={models / 'npm'}",
                                   *options, "--force", "-o", archive]
        yield f"unpack, {mode}", 8, ["unpack", archive, "--expert", "sre", "--force", "-o", work / "out.safetensors"]


def perf(command, times, work):
    """(object, function) to its samples."""
    data = work / "perf.data"
    again = ["sh", "-c", f'i=0; while [ $i -lt {times} ]; do "$@" || exit 1; i=$((i+1)); done', "sh"]
    run("perf", "record", "-q", "-F", "4999", "-o", data, "--", *again, *command)
    text, _ = run("perf", "report", "-i", data, "--stdio", "--no-children", "-F", "sample,dso,sym", "-t", "|", "--comm", TOOL.name[:15])
    found = collections.Counter()
    for line in text.splitlines():
        parts = [part.strip() for part in line.split("|", 2)]
        if len(parts) == 3 and parts[0].isdigit():
            function = re.sub(r"^\[.\] ", "", parts[2])
            found[parts[1], "" if function.startswith("0x") else function] += int(parts[0])
    return found


def callgrind(command, times, work):
    """(object, function) to its instructions."""
    data, tool = work / "callgrind.out", work / TOOL.name
    # Valgrind gives up on the compiler's debugging information.
    run("strip", "-g", "-o", tool, command[0])
    run("valgrind", "--tool=callgrind", f"--callgrind-out-file={data}", tool, *command[1:])
    text, _ = run("callgrind_annotate", "--threshold=100", data)
    found = collections.Counter()
    for count, function, where in re.findall(r"^\s*([\d,]+) \([^)]*\)\s+\S*?:(.*?) \[(.*)\]$", text, re.M):
        found[pathlib.PurePath(where).name, "" if function.startswith("0x") else function] += int(count.replace(",", ""))
    return found


def readable(functions):
    """Names as in the sources, without their arguments and types; those of other languages as they are."""
    if not shutil.which("swift"):
        return functions
    plain = [re.sub(r"['\s].*$", "", f) for f in functions]
    made = subprocess.run(["swift", "demangle", "--simplified", "--compact"], input="\n".join(plain) + "\n", capture_output=True, text=True).stdout.splitlines()
    return [shortened(name) for name in made] if len(made) == len(functions) else functions


def shortened(name):
    if name == name.split(" ")[0] and "(" not in name:
        return name
    name = re.sub(r"^(generic |partial |function |protocol |witness |merged |specialized |closure |thunk |#\d+ |for |of |in |\(\d+\) )*", "", name)
    name = re.sub(r"\bspecialized |static ", "", name)
    while re.search(r"<[^<>]*>", name):
        name = re.sub(r"<[^<>]*>", "", name)
    name = re.sub(r"\(.*$", "", name)
    return name if len(name) <= 64 else name[:63] + "…"


def rows(name, found, top):
    total = sum(found.values())
    leading = found.most_common(top)
    names = readable([function for (_, function), _ in leading])
    for place, (((where, function), count), text) in enumerate(zip(leading, names)):
        yield (name if place == 0 else "", f"{100 * count / total:.1f}", f"`{text}`" if function else "without a name", where.replace("[kernel.kallsyms]", "kernel"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--top", type=int, default=10)
    parser.add_argument("--with", dest="how", choices=("perf", "callgrind"))
    options = parser.parse_args()
    how = options.how or ("perf" if works("perf", "record", "-o", "/dev/null", "true") else "callgrind" if works("valgrind", "true") else None)
    if how is None:
        return print("There is neither a perf that may sample nor valgrind here.")
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        models = minilm(work / "minilm")
        if not models:
            return print("MiniLM cannot be had here.")
        entries = []
        for name, times, command in commands(models, work):
            found = {"perf": perf, "callgrind": callgrind}[how]([TOOL, *command, "--threads", "1", "--quiet"], times, work)
            entries += rows(name, found, options.top)
            print(name, file=sys.stderr, flush=True)
    unit = "samples of perf at 5 kHz" if how == "perf" else "instructions that callgrind counted, with the kernels of the processor that it imitates and without the system's"
    print(f"MiniLM, two experts packed, one unpacked, on one thread. Shares in %, by {unit}, of what a function takes by itself, not in those that it calls. Libraries that are stripped have no names.\n")
    print(table(("command", "%", "function", "in"), entries))


def works(*command):
    return shutil.which(command[0]) is not None and subprocess.run(command, capture_output=True).returncode == 0


if __name__ == "__main__":
    main()
