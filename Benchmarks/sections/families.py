"""Whole commands on families of real fine-tunes: sizes, errors, CPU time, wall time, peak memory."""
import pathlib, sys, tempfile
import paths  # noqa: F401, before what it makes findable
from measure import DATA, minilm, table, tool


def families(work):
    """(name, base, {expert: path}, input options)"""
    for name, expert_filter in (("mhcnuggets", None), ("glyphive-ocr", lambda n: not n.startswith("base")),
                                ("testbed", lambda n: n in ("cities", "gloss", "langid", "syllables"))):
        folder = DATA / name
        if not folder.is_dir():
            print(f"skipping {name}: {folder} is absent", file=sys.stderr)
            continue
        experts = {p.stem: p for p in sorted(folder.glob("*.safetensors")) if p.stem != "base" and (expert_filter is None or expert_filter(p.stem))}
        yield name, folder / "base.safetensors", experts
    folder = minilm(work / "minilm")
    if folder:
        yield "MiniLM", folder / "base", {"base": folder / "base", "sre": folder / "sre", "npm": folder / "npm"}


def main():
    settings = (("rank 16, int8", []), ("rank 16, f16", ["--factor-dtype", "f16"]), ("lossless, shared = base", ["--lossless", "--shared", "base"]))
    packed, commands = [], []
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        for name, base, experts in families(work):
            for setting, options in settings:
                archive = work / "a.tmpack"
                names = [f"--expert={n}={p}" for n, p in experts.items()]
                result, pack = tool("pack", "--base", base, *names, *options, "--force", "-o", archive, runs=3)
                exclusive = sum(e["bytes"] for e in result["experts"])
                errors = [e["error"] for e in result["experts"] if "error" in e]
                packed.append((name, len(experts), setting, f"{result['input_bytes'] / 1e6:.2f}", f"{result['bytes'] / 1e6:.2f}",
                               f"{exclusive / len(experts) / 1e3:.1f}", f"{result['ratio']:.2f}",
                               f"{sum(errors) / len(errors):.3f}" if errors else "exact"))
                _, unpack = tool("unpack", archive, "--expert", next(iter(experts)), "--force", "-o", work / "out", runs=3)
                _, verify = tool("verify", archive, runs=3)
                _, deep = tool("verify", "--deep", archive, runs=3)
                _, inspect = tool("inspect", archive, runs=3)
                for command, cost in (("pack", pack), ("unpack one", unpack), ("verify", verify), ("verify --deep", deep), ("inspect", inspect)):
                    commands.append((name, setting, command, cost))
    print("### Sizes and errors\n")
    print("MB are 10⁶ bytes; *exclusive* is the mean stored size of one expert beside the shared model; *error* is the mean relative error of the exclusive vectors.\n")
    print(table(("family", "experts", "setting", "checkpoints, MB", "archive, MB", "exclusive, kB", "ratio", "error"), packed))
    print("\n### Commands\n")
    print("Medians of three runs.\n")
    print(table(("family", "setting", "command", "CPU s", "wall s", "peak MB"), [(f, s, c, str(cost)) for f, s, c, cost in commands]))


if __name__ == "__main__":
    main()
