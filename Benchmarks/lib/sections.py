"""The sections of RESULTS.md: runs them, and puts what they print into the file."""
import pathlib, re, subprocess, sys, time

from measure import ROOT, machine

RESULTS = ROOT / "Benchmarks/RESULTS.md"
# In the order of the file and of the run. By name: title, script in sections/ with its arguments, and what to say before.
SECTIONS = {
    "kernels": ("Kernels", "kernels.py", ""),
    "codecs": ("Codecs of frames and factors", "codecs.py", ""),
    "lossless": ("Lossless", "lossless.py", ""),
    "families": ("Families of fine-tunes", "families.py", ""),
    "unpack": ("Unpacking against `cp`", "unpack.py", ""),
    "convert": ("Conversion", "convert.py", ""),
    "speed": ("What answers cost", "speed.py",
              "CPU seconds of one thread, user and system. *Before* is the tool of another commit: `Benchmarks/run --against COMMIT`.\n\n"),
    "large": ("A large checkpoint", "large.py", ""),
    "larger": ("A larger checkpoint, on two threads", "large.py --gigabytes 8 --lossless 0.2 --threads 2", ""),
    "scaling": ("Scaling", "scaling.py --plot scaling.svg", ""),
    "scale": ("Many experts", "scale.py", ""),
    "zoo": ("A hundred real experts", "zoo.py --plot experts.svg", ""),
    "compression": ("Compression", "compression.py", ""),
    "plan": ("Predictions of `plan`", "plan.py", ""),
    "router": ("Routers", "router.py", ""),
    "parity": ("Parity with the paper", "parity.py",
               "Decoded experts and their scores (accuracy, %) against a float64 SVD oracle; shared model: task arithmetic, λ = 0.2; f32 factors.\n\n"),
    "profile": ("Profiles", "profiles.py", ""),
    "stacks": ("Stacks of matrices", "stacks.py", ""),
    "moe": ("A small mixture of experts", "stacks.py --trained", ""),
    "rates": ("Presets on the testbed", "rates.py", ""),
}


def read():
    """Title to text, of the sections that are there."""
    text = RESULTS.read_text() if RESULTS.exists() else ""
    return dict(re.findall(r"^## (.*)\n((?:(?!## ).*\n)*)", text, re.M))


def write(kept):
    titles = [title for title, _, _ in SECTIONS.values()]
    # What no section makes, such as what needs the wheel, comes last.
    titles += [title for title in kept if title not in titles]
    parts = [(title, kept[title].strip()) for title in titles if title in kept]
    times = [int(found[1]) for _, text in parts if (found := re.search(r"^On .* Took (\d+) s\.$", text, re.M))]
    head = ("# Results\n\nMade by `make bench`; each section says on what, from which commit, and how long it took: "
            f"{sum(times) / 60:.0f} minutes for {len(times)} of {len(SECTIONS)} sections.\n\n")
    RESULTS.write_text(head + "\n\n".join(f"## {title}\n\n{text}" for title, text in parts) + "\n")


def main():
    wanted = sys.argv[1:] or list(SECTIONS)
    unknown = set(wanted) - set(SECTIONS)
    if unknown:
        sys.exit(f"there are no sections {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    # Once: what is written below changes the working tree.
    here = machine()
    failed, start = [], time.monotonic()
    for name in (n for n in SECTIONS if n in wanted):
        title, command, introduction = SECTIONS[name]
        script, *options = command.split()
        print(f"{title} …", file=sys.stderr, flush=True)
        begin = time.monotonic()
        made = subprocess.run([sys.executable, f"sections/{script}", *options], stdout=subprocess.PIPE, text=True, cwd=RESULTS.parent)
        took = time.monotonic() - begin
        if made.returncode != 0:
            failed.append(name)
            print(f"{name}: exit code {made.returncode} after {took:.0f} s; the file keeps what it had", file=sys.stderr, flush=True)
            continue
        # Read again and written after each: an interrupt loses one.
        kept = read()
        kept[title] = f"On {here}. Took {took:.0f} s.\n\n{introduction}{made.stdout.strip()}"
        write(kept)
        print(f"wrote Benchmarks/RESULTS.md after {took:.0f} s", file=sys.stderr, flush=True)
    print(f"{len(wanted)} sections in {(time.monotonic() - start) / 60:.1f} minutes", file=sys.stderr)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
