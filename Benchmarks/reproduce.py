#!/usr/bin/env python3
"""The experiment of Twin-Merging on the testbed, by the command-line tool: static merges, factors of every rank, byte budgets, and the router.

    Benchmarks/reproduce.py [--work FOLDER] [--quick]        writes REPRODUCTION.md and reproduction.svg beside itself
    Benchmarks/reproduce.py --score CHECKPOINT [--limit N]   prints the mean share of the experts' scores on the validation split

Needs python3 with numpy. Ends with a message where the testbed is missing.
"""
import argparse, json, pathlib, sys, tempfile

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path[1:1] = [str(HERE / "lib"), str(HERE / "peers")]
from measure import DATA, TOOL, machine, run, table, tool  # noqa: E402
from plot import Chart  # noqa: E402
import tensors  # noqa: E402

TESTBED = DATA / "testbed"
TASKS = ("syllables", "cities", "gloss", "langid")
LAMBDA = 0.2
# What is tried on the validation split for each method; the best is then scored on the test split. Without a grid: its defaults.
GRIDS = {
    "average": [],
    "task-arithmetic": [["lambda=0.2,0.3,0.4"], ["lambda=0.3", "lines_alpha=0.5,1", "lines_beta=0.5,1"]],
    "ties": [["lambda=0.6,1,1.5"]],
    "dare-linear": [["lambda=0.2,0.3,0.4"]],
    "dare-ties": [["lambda=0.6,1,1.5"]],
    "della": [["lambda=0.6,0.8,1.1"]],
    "della-linear": [["lambda=0.2,0.3,0.4"]],
    "breadcrumbs": [["lambda=0.3,0.4", "density=0.3,0.9"]],
    "breadcrumbs-ties": [["lambda=0.3,0.5", "density=0.3,0.9"]],
    "magmax": [["lambda=0.5,0.7,0.9"]],
    "consensus": [["lambda=0.3,0.4,0.5"]],
    "pcb": [["lambda=0.7,1,1.3"]],
    "cabs": [["lambda=0.4,0.8,1.2"]],
    "multislerp": [],
    "model-stock": [],
    "karcher": [],
    "iso-c": [["lambda=1,1.3,1.6,1.9"]],
    "iso-cts": [["lambda=1,1.5,2"]],
    "opcm": [["alpha=0.2,0.5,0.8"]],
}
EVALUATION_LIMIT = 100


class Testbed:
    """The experts' scores, and what scores a checkpoint."""

    def __init__(self):
        sys.path.insert(0, str(TESTBED))
        import evaluate
        import model_np
        self.evaluate, self.model = evaluate, model_np
        self.heads = evaluate.heads()
        self.own = {}

    def read(self, path):
        return self.evaluate.read_safetensors(path)

    def experts(self, split="test", limit=None):
        key = (split, limit)
        if key not in self.own:
            self.own[key] = {t: self.evaluate.score(self.read(TESTBED / f"{t}.safetensors"), t, split, limit) for t in TASKS}
        return self.own[key]

    def scores(self, models, split="test", limit=None):
        """Accuracy in % of each task's model."""
        return {t: self.evaluate.score(models[t], t, split, limit) for t in TASKS}

    def share(self, scores, split="test", limit=None):
        """The mean over the tasks of the share of the expert's score, in %."""
        own = self.experts(split, limit)
        return 100 * float(np.mean([scores[t] / own[t] for t in TASKS]))


class Results:
    def __init__(self, testbed):
        self.testbed = testbed
        self.rows = []

    def add(self, name, stored, scores, remark=""):
        share = self.testbed.share(scores)
        kilobytes = "" if stored is None else f"{stored / 1e3:.1f}"
        self.rows.append((name, kilobytes, *(f"{scores[t]:.2f}" for t in TASKS), f"{share:.2f}", remark))
        print(*self.rows[-1], sep=" | ", file=sys.stderr, flush=True)
        return share


def expert_options():
    return [f"--expert={t}={TESTBED / t}.safetensors" for t in TASKS]


def static_merges(results, testbed, work, methods):
    """Every merging method at the best of its grids by the validation split."""
    shares = {}
    own = work / "validation.json"
    own.write_text(json.dumps(testbed.experts("val", EVALUATION_LIMIT)))
    score_command = f"{sys.executable} {HERE / 'reproduce.py'} --score {{checkpoint}} --limit {EVALUATION_LIMIT} --own {own}"
    for method in methods:
        merged = work / "merged.safetensors"
        common = ["merge", method, "--base", TESTBED / "base.safetensors", *expert_options(), "--force", "-o", merged]
        shares[method] = 0
        if not GRIDS[method]:
            tool(*common)
            model = testbed.read(merged)
            shares[method] = results.add(method, 0, testbed.scores(dict.fromkeys(TASKS, model)), "defaults")
        for grid in GRIDS[method]:
            found, _ = tool(*common, *(f"--search={values}" for values in grid), "--eval", score_command)
            settings = " ".join(f"{k}={v}" for k, v in found["search"]["best"]["settings"].items())
            model = testbed.read(merged)
            share = results.add(method, 0, testbed.scores(dict.fromkeys(TASKS, model)), settings)
            shares[method] = max(shares[method], share)
    return shares


def pack(archive, *options):
    result, _ = tool("pack", "--base", TESTBED / "base.safetensors", *expert_options(), "--lambda", LAMBDA, *options, "--force", "-o", archive)
    return float(np.mean([e["bytes"] for e in result["experts"]]))


def unpack(testbed, archive, work, *selection):
    tool("unpack", archive, *selection, "--force", "-o", work / "unpacked.safetensors")
    return testbed.read(work / "unpacked.safetensors")


def oracle(results, testbed, archive, work, name, stored, remark="oracle weights"):
    models = {t: unpack(testbed, archive, work, "--expert", t) for t in TASKS}
    return results.add(name, stored, testbed.scores(models), remark)


def embeddings(testbed, shared, path, split, count):
    """Embeddings by the shared model, with their tasks; returns the inputs of each task."""
    inputs, values, labels = {}, [], []
    for index, task in enumerate(TASKS):
        x, y = testbed.model.load_split(task, split)
        inputs[task] = (x[:count], y[:count])
        values.append(testbed.model.embed(shared, x[:count]))
        labels.append(np.full(len(x[:count]), index, "<i8"))
    values, labels = np.concatenate(values).astype("<f4"), np.concatenate(labels)
    tensors.write(path, {"embeddings": ("F32", values.shape, values.ravel()), "labels": ("I64", labels.shape, labels)})
    return inputs, values


def routed(testbed, archive, work, inputs, values, group):
    """Scores with the router's weights, one mix for each group of inputs of a task. Weights are rounded to sixteenths, so that equal mixes are made once."""
    jobs, start = {}, 0
    correct = {t: 0 for t in TASKS}
    chosen = {t: 0 for t in TASKS}
    groups = {t: 0 for t in TASKS}
    for task in TASKS:
        count = len(inputs[task][0])
        path = work / "queries.safetensors"
        rows = np.ascontiguousarray(values[start:start + count])
        tensors.write(path, {"embeddings": ("F32", rows.shape, rows.ravel())})
        start += count
        answer, _ = tool("route", archive, "--embedding", path, "--group-size", group)
        for number, weights in enumerate(weights_of(answer)):
            key = tuple(round(16 * weights.get(t, 0)) / 16 for t in TASKS)
            members = np.arange(number * group, min((number + 1) * group, count))
            jobs.setdefault(key, []).append((task, members))
            groups[task] += 1
            chosen[task] += max(TASKS, key=lambda t: weights.get(t, 0)) == task
    for key, members in jobs.items():
        weights = ",".join(f"{t}={w}" for t, w in zip(TASKS, key) if w)
        model = unpack(testbed, archive, work, *(["--weights", weights] if weights else ["--shared"]))
        for task in TASKS:
            own = np.concatenate([m for t, m in members if t == task] or [np.zeros(0, int)]).astype(int)
            if len(own):
                x, y = inputs[task][0][own], inputs[task][1][own]
                correct[task] += int((testbed.model.predict(model, testbed.heads[task], x) == y).sum())
    accuracy = {t: 100 * correct[t] / len(inputs[t][0]) for t in TASKS}
    return accuracy, 100 * sum(chosen.values()) / sum(groups.values()), len(jobs)


def weights_of(answer):
    return [dict(entry["weights"]) for entry in answer["groups"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work")
    parser.add_argument("--quick", action="store_true", help="few methods and ranks, to try the script")
    parser.add_argument("--score")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--own", type=pathlib.Path, help="with --score: the experts' scores, as JSON")
    options = parser.parse_args()
    if not TESTBED.is_dir():
        return print(f"There is no testbed at {TESTBED}; TMPACK_DATA names the folder that holds it.")
    testbed = Testbed()
    if options.score:
        model = testbed.read(options.score)
        if options.own:
            testbed.own[("val", options.limit)] = json.loads(options.own.read_text())
        scores = testbed.scores(dict.fromkeys(TASKS, model), "val", options.limit)
        return print(testbed.share(scores, "val", options.limit))

    results = Results(testbed)
    with tempfile.TemporaryDirectory(dir=options.work) as temporary:
        work = pathlib.Path(temporary)
        base = testbed.read(TESTBED / "base.safetensors")
        results.add("experts", None, testbed.experts(), "each by itself")
        results.add("base", 0, testbed.scores(dict.fromkeys(TASKS, base)))
        known = [kind["name"] for kind in json.loads(run(TOOL, "merge", "--list", "--json")[0])]
        methods = [m for m in known if m in GRIDS]
        if options.quick:
            methods = methods[:3]
        statics = static_merges(results, testbed, work, methods)

        archive, points = work / "zoo.tmpack", {"f32 factors": [], "coarse, by budget": []}
        for rank in (16,) if options.quick else (1, 2, 4, 8, 16, 32, 64):
            stored = pack(archive, "--rank", rank, "--factor-dtype", "f32")
            points["f32 factors"].append((stored, oracle(results, testbed, archive, work, f"Twin-Merging, rank {rank}, f32", stored)))
        budgets = [("--quality", "low"), ("--quality", "medium"), ("--quality", "high"), ("--budget-per-expert", "50kB"),
                   ("--budget-per-expert", "150kB"), ("--budget-per-expert", "250kB"), ("--quality", "near-lossless")]
        for budget in budgets[:1] if options.quick else budgets:
            stored = pack(archive, *budget)
            points["coarse, by budget"].append((stored, oracle(results, testbed, archive, work, "Twin-Merging, " + " ".join(budget), stored)))

        shared = unpack(testbed, archive, work, "--shared")
        train, queries = work / "train.safetensors", work / "test.safetensors"
        embeddings(testbed, shared, train, "train", 2000)
        inputs, values = embeddings(testbed, shared, queries, "test", None)
        router_notes = []
        for name, how in (("rank 16, f32", ("--rank", 16, "--factor-dtype", "f32")), ("--quality high", ("--quality", "high"))):
            stored = pack(archive, *how)
            fitted, cost = tool("router", "fit", archive, "--embeddings", train)
            router_notes.append(f"fitted in {cost.wall:.1f} s on 8,000 embeddings")
            for group in (1, 8):
                scores, chosen, mixes = routed(testbed, archive, work, inputs, values, group)
                label = "single inputs" if group == 1 else f"groups of {group}"
                results.add(f"Twin-Merging, {name}, router", stored, scores, f"{label}; {chosen:.1f} % routed to their task; {mixes} mixes")
        text = [
            "# The experiment of Twin-Merging", "", f"Made by `make reproduce` on {machine()}.", "",
            "Four full fine-tunes of one character transformer. Scores are accuracies in % on the test splits, the last the mean of the tasks' shares of their "
            f"expert's score. Twin-Merging: shared model by task arithmetic, λ = {LAMBDA}; kB are the mean stored bytes of an exclusive part, heads included. Settings of static "
            f"merges are chosen by `tmpack merge --search` on {EVALUATION_LIMIT} validation inputs of each task; the router sees embeddings of the shared model ({router_notes[0]}).", "",
            table(("model", "kB an expert", *TASKS, "% of the experts", ""), results.rows), "", "![Score against stored bytes](reproduction.svg)", ""]
        (HERE / "REPRODUCTION.md").write_text("\n".join(text))
        chart = Chart("Score against stored bytes of an expert", "kB an expert", "% of the experts' scores")
        for name, series in points.items():
            chart.line(name, [(stored / 1e3, share) for stored, share in sorted(series)])
        for name, share in (("base", testbed.share(testbed.scores(dict.fromkeys(TASKS, base)))), *sorted(statics.items(), key=lambda s: -s[1])[:1]):
            chart.level(name, share)
        (HERE / "reproduction.svg").write_text(chart.svg())
    print("wrote Benchmarks/REPRODUCTION.md and reproduction.svg", file=sys.stderr)


if __name__ == "__main__":
    main()
