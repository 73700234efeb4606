"""What `plan` predicts beside what `pack` then makes: sizes, errors, time and memory, for families of real fine-tunes."""
import pathlib, statistics, sys, tempfile
import paths  # noqa: F401, before what it makes findable
from families import families
from measure import table, tool

SETTINGS = (
    ("rank 16, int8", []), ("rank 32, f16", ["--rank", 32, "--factor-dtype", "f16"]), ("density 0.1", ["--density", 0.1]),
    ("lossless, shared = base", ["--lossless", "--shared", "base"]), ("--quality low", ["--quality", "low"]),
    ("--quality high", ["--quality", "high"]), ("--error 0.3", ["--error", 0.3]),
    ("budget: a tenth of lossless", None), ("--quality medium --exact", ["--quality", "medium", "--exact"]),
)


def within(estimate, actual, slack):
    """Whether the deviation holds; `slack` for what is rounded, as a share."""
    return abs(estimate["value"] - actual) <= estimate["deviation"] + slack * actual


def percent(estimate, actual):
    return f"{100 * (estimate['value'] / actual - 1):+.1f} ± {100 * estimate['deviation'] / actual:.1f}"


def main():
    rows, hits, times, memories = [], {"size": [], "error": []}, [], []
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        for family, base, experts in families(work):
            names = [f"--expert={n}={p}" for n, p in list(experts.items())[:4]]
            largest = None
            for setting, options in SETTINGS:
                if options is None:
                    options = ["--budget-per-expert", int(largest / 10)]
                archive = work / "a.tmpack"
                plan, planning = tool("plan", "--base", base, *names, *options, "-o", archive)
                pack, packing = tool("pack", "--base", base, *names, *options, "--force", "-o", archive)
                largest = largest or plan["experts"][0]["frontier"][-1]["bytes"]["value"]
                sizes, errors = [], []
                for expected, actual in zip(plan["experts"], pack["experts"]):
                    outcome = expected["outcome"]
                    sizes.append((outcome["bytes"], actual["bytes"]))
                    if "error" in actual:
                        errors.append((outcome["error"], actual["error"]))
                hits["size"] += [within(*pair, 0.002) for pair in sizes]
                hits["error"] += [within(*pair, 0.002) for pair in errors]
                times.append(plan["cost"]["seconds"] / packing.wall)
                memories.append(plan["cost"]["peak_memory"] / 1e6 / (packing.memory * 1.048576))
                rows.append((
                    family, setting, percent(plan["bytes"], pack["bytes"]),
                    percent(*max(sizes, key=lambda p: abs(p[0]["value"] / p[1] - 1))),
                    percent(*max(errors, key=lambda p: abs(p[0]["value"] / p[1] - 1))) if errors else "exact",
                    f"{plan['cost']['seconds']:.2f} / {packing.wall:.2f}", f"{memories[-1]:.2f}", f"{planning.cpu / packing.cpu:.2f}"))
                print(rows[-1], file=sys.stderr, flush=True)
    print("Deviations of the prediction from what was packed, in %, with the deviation that was stated; of the expert where they are greatest. "
          "*Memory* is predicted ÷ measured, *work* the processor time of plan ÷ that of pack.\n")
    print(table(("family", "setting", "archive", "expert's size", "error", "seconds, predicted / measured", "memory", "work"), rows))
    share = lambda found: f"{sum(found)} of {len(found)}"
    print(f"\nWithin the stated deviation: {share(hits['size'])} sizes, {share(hits['error'])} errors. Time, predicted ÷ measured: "
          f"{min(times):.2f} to {max(times):.2f}, median {statistics.median(times):.2f}. Memory: {min(memories):.2f} to {max(memories):.2f}.")


if __name__ == "__main__":
    main()
