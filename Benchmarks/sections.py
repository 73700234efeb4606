"""The sections of RESULTS.md: runs them, and puts what they print into the file."""
import pathlib, re, subprocess, sys

from measure import ROOT, machine

RESULTS = ROOT / "Benchmarks/RESULTS.md"
# Name of the script, with its arguments: title, and what to say before.
SECTIONS = {
    "families": ("Families of fine-tunes", ""),
    "compression": ("Compression", ""),
    "plan": ("Predictions of `plan`", ""),
    "lossless": ("Lossless", ""),
    "kernels": ("Kernels", ""),
    "convert": ("Conversion", ""),
    "parity": ("Parity with the paper", "Decoded experts and their scores (accuracy, %) against a float64 SVD oracle; shared model: task arithmetic, λ = 0.2; f32 factors.\n\n"),
    "router": ("Routers", ""),
    "scale": ("Many experts", ""),
    "zoo --plot experts.svg": ("A hundred real experts", ""),
    "large --threads 2": ("A large checkpoint", ""),
}


def name(section):
    return section.split()[0]


def main():
    wanted = sys.argv[1:] or [name(s) for s in SECTIONS]
    unknown = set(wanted) - {name(s) for s in SECTIONS}
    if unknown:
        sys.exit(f"there are no sections {', '.join(sorted(unknown))}; there are {', '.join(map(name, SECTIONS))}")
    old = RESULTS.read_text() if RESULTS.exists() else ""
    kept = dict(re.findall(r"^## (.*)\n((?:(?!## ).*\n)*)", old, re.M))
    for section, (title, introduction) in SECTIONS.items():
        if name(section) not in wanted:
            continue
        print(title, file=sys.stderr, flush=True)
        script, *arguments = section.split()
        made = subprocess.run([sys.executable, f"{script}.py", *arguments], stdout=subprocess.PIPE, text=True, check=True, cwd=RESULTS.parent)
        kept[title] = f"\nOn {machine()}.\n\n{introduction}{made.stdout.strip()}\n\n"
        # After each, so that an interrupt loses one.
        text = "".join(f"## {t}\n{kept[t].rstrip()}\n\n" for t, _ in SECTIONS.values() if t in kept)
        RESULTS.write_text("# Results\n\nMade by `make bench`; each section says on what, and from which commit.\n\n" + text.rstrip() + "\n")
        print("wrote Benchmarks/RESULTS.md", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
