"""What a stored byte buys: task scores on the testbed, and errors on MiniLM, beside BitDelta and ternary in the same run."""
import pathlib, sys, tempfile
import numpy as np
import paths  # noqa: F401, before what it makes findable
from measure import DATA, minilm, table, tool
from coarse import bitdelta, ternary

TESTBED = DATA / "testbed"
TASKS = ("syllables", "cities", "gloss", "langid")
LAMBDA = 0.2
DETACHED = ["--shared", "base", "--detached"]


def scores(work):
    sys.path.insert(0, str(TESTBED))
    import evaluate
    read = evaluate.read_safetensors
    experts = {t: read(TESTBED / f"{t}.safetensors") for t in TASKS}
    own = {t: evaluate.score(experts[t], t) for t in TASKS}
    base = TESTBED / "base.safetensors"
    names = [f"--expert={t}={TESTBED / t}.safetensors" for t in TASKS]
    # Heads are each expert's own and are evaluated apart; they count for nobody.
    heads = sum(v.nbytes for t in TASKS for k, v in experts[t].items() if k.startswith("classifier.")) / len(TASKS)
    rows = []

    def add(name, stored, models, total=None):
        share = np.mean([evaluate.score(models[t], t) / own[t] for t in TASKS])
        rows.append((name, f"{stored / 1e3:.1f}", "" if total is None else f"{total / 1e6:.2f}", f"{100 * share:.2f}"))
        print(rows[-1], file=sys.stderr, flush=True)

    archive = work / "a.tmpack"
    for name, options in (
        ("rank 16, f16", ["--rank", 16, "--factor-dtype", "f16"]), ("rank 32, f16", ["--rank", 32, "--factor-dtype", "f16"]),
        ("rank 16, int8", ["--rank", 16]), ("--quality low", ["--quality", "low"]), ("--quality medium", ["--quality", "medium"]),
        ("--quality high", ["--quality", "high"]), ("--budget-per-expert 83kB", ["--budget-per-expert", "83kB"]), ("--budget-per-expert 112kB", ["--budget-per-expert", "112kB"]),
        ("--budget-per-expert 127kB", ["--budget-per-expert", "127kB"]), ("--budget-per-expert 140kB", ["--budget-per-expert", "140kB"]),
        ("--budget-per-expert 219kB", ["--budget-per-expert", "219kB"]), ("--budget-per-expert 250kB", ["--budget-per-expert", "250kB"]), ("--quality near-lossless", ["--quality", "near-lossless"]),
        ("--quality high --shared base --detached", ["--quality", "high", *DETACHED]), ("--tall-masks 0.6 --shared base --detached", ["--tall-masks=0.6", *DETACHED]),
    ):
        result, _ = tool("pack", "--base", base, *names, *options, *([] if "--detached" in options else ["--lambda", LAMBDA]), "--force", "-o", archive)
        models = {}
        for task in TASKS:
            tool("unpack", archive, "--expert", task, *(["--shared-from", base] if "--detached" in options else []), "--force", "-o", work / "x.safetensors")
            models[task] = read(work / "x.safetensors")
        add(f"tmpack, {name}", np.mean([e["bytes"] for e in result["experts"]]), models, result["bytes"])
    tool("merge", "task-arithmetic", "--base", base, *names, "--lambda", LAMBDA, "--force", "-o", work / "s.safetensors")
    shared = read(work / "s.safetensors")
    for name, encode in (("BitDelta", bitdelta), ("ternary, top 10 %", lambda v: ternary(v, 0.1))):
        models, stored = {}, heads
        for task in TASKS:
            models[task] = dict(experts[task])
            for k in shared:
                approximation, size = encode(experts[task][k] - shared[k])
                models[task][k] = shared[k] + approximation
                stored += size / len(TASKS)
        add(name, stored, models)
    return table(("exclusive part", "kB an expert", "archive, MB", "score, % of the experts'"), rows)


def settings(folder, work):
    rows = []
    for options in ([], DETACHED, ["--quality", "medium"], ["--quality", "medium", *DETACHED], ["--quality", "medium", "--exact", *DETACHED], ["--lossless", *DETACHED]):
        result, cost = tool("pack", "--base", folder / "base", f"--expert=sre={folder / 'sre'}", f"--expert=npm={folder / 'npm'}", *options, "--force", "-o", work / "m.tmpack")
        rows.append((" ".join(options) or "none", *(f"{e['bytes'] / 1e3:.0f} ({e.get('error', 0):.3f})" for e in result["experts"]),
                     f"{result['bytes'] / 1e6:.2f}", f"{result['ratio']:.1f}", f"{cost.cpu:.1f}"))
    return table(("options", "sre, kB (error)", "npm, kB (error)", "archive, MB", "ratio", "CPU s"), rows)


def errors(folder, work):
    rows = []
    for expert, targets in (("sre", (0.75, 0.60, 0.35)), ("npm", (0.05,))):
        for target in targets:
            result, cost = tool("pack", "--base", folder / "base/model.safetensors", f"--expert={expert}={folder / expert}/model.safetensors",
                                "--shared", "base", "--error", target, "--force", "-o", work / "m.tmpack")
            entry = result["experts"][0]
            rows.append((expert, target, f"{entry['error']:.4f}", entry["bytes"], f"{8 * entry['bytes'] / entry['parameters']:.4f}", f"{cost.cpu:.1f}"))
    return table(("expert", "asked for", "error", "stored bytes", "bits a parameter", "CPU s"), rows)


def main():
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        if TESTBED.is_dir():
            print("### Task scores\n")
            print("Testbed, four experts, λ = 0.2, every expert with its own weight 1; mean over the tasks. Stored bytes of an exclusive part are all of "
                  "it: heads, index and digests too. Peers: numpy, sizes by entropy, in the same run.\n")
            print(scores(work))
        folder = minilm(work / "minilm")
        if folder:
            print("\n### Settings\n")
            print("MiniLM (22.7 M parameters, F32, 90.9 MB): `sre` is a full fine-tune, `npm` a merged LoRA of rank 8. Sizes are what an expert takes in the archive; "
                  "the ratio is of the two checkpoints to it.\n")
            print(settings(folder, work))
            print("\n### Errors\n")
            print("MiniLM fine-tunes against their base; stored bytes are the whole exclusive part, parameters all of the model's.\n")
            print(errors(folder, work))


if __name__ == "__main__":
    main()
