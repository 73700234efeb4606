"""What `pack` options give on the testbed: stored bytes an expert, task scores, and how far the rebuilt experts' answers are from the experts'.

    python3 Benchmarks/sections/rates.py                                    the presets
    python3 Benchmarks/sections/rates.py -- --quality medium --lambda 0.2   these options; `--` before each set of options
    python3 Benchmarks/sections/rates.py --statistics FOLDER -- ...         FOLDER/TASK.safetensors as each expert's --statistics

KL(expert ‖ rebuilt) is the mean over the test inputs, in nats, each model with its own head; it is by far less noisy than scores, so sizes
are compared at equal KL. Needs numpy.
"""
import pathlib, sys, tempfile
import numpy as np

import paths  # noqa: F401, before what it makes findable
from measure import DATA, table, tool

TESTBED = DATA / "testbed"
TASKS = ("syllables", "cities", "gloss", "langid")
LAMBDA = 0.2
PRESETS = ("low", "medium", "high")


class Testbed:
    """The four experts, their inputs, and their own answers."""

    def __init__(self):
        sys.path.insert(0, str(TESTBED))
        import evaluate, model_np
        self.read, self.model = evaluate.read_safetensors, model_np
        self.inputs = {t: model_np.load_split(t, "test") for t in TASKS}
        self.own = {t: self.answers(self.read(TESTBED / f"{t}.safetensors"), t) for t in TASKS}

    def answers(self, model, task):
        """Logarithms of the probabilities of the classes, by the model's own head."""
        logits = self.model.embed(model, self.inputs[task][0]) @ model["classifier.weight"].T + model["classifier.bias"]
        logits = logits.astype(np.float64) - logits.max(1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(1, keepdims=True))

    def judged(self, model, task):
        """(share of the expert's score, KL) of what was rebuilt of it."""
        labels, own, rebuilt = self.inputs[task][1], self.own[task], self.answers(model, task)
        share = (rebuilt.argmax(1) == labels).mean() / (own.argmax(1) == labels).mean()
        return share, (np.exp(own) * (own - rebuilt)).sum(1).mean()


def measured(testbed, options, work):
    """(bytes an expert, share of the scores, KL, error, CPU s) with these options of `pack`."""
    archive = work / "a.tmpack"
    experts = [f"--expert={t}={TESTBED / t}.safetensors" for t in TASKS]
    result, cost = tool("pack", "--base", TESTBED / "base.safetensors", *experts, "--lambda", LAMBDA, *options, "--force", "-o", archive)
    rows = []
    for task in TASKS:
        tool("unpack", archive, "--expert", task, "--force", "-o", work / "x.safetensors")
        rows.append(testbed.judged(testbed.read(work / "x.safetensors"), task))
    share, kl = np.mean(rows, axis=0)
    bytes_ = np.mean([e["bytes"] for e in result["experts"]])
    error = np.mean([e["error"] for e in result["experts"]])
    return bytes_, share, kl, error, cost.cpu


def main(arguments):
    sets = [[]]
    for argument in arguments:
        if argument == "--":
            sets.append([])
        else:
            sets[-1].append(argument)
    own, sets = sets[0], sets[1:] or [["--quality", preset] for preset in PRESETS]
    statistics = []
    if own:
        if len(own) != 2 or own[0] != "--statistics":
            sys.exit(__doc__)
        statistics = [f"--statistics={t}={pathlib.Path(own[1]) / t}.safetensors" for t in TASKS]
    testbed = Testbed()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for options in sets:
            size, share, kl, error, cpu = measured(testbed, options + statistics, pathlib.Path(temporary))
            rows.append((" ".join(options), f"{size / 1e3:.1f}", f"{100 * share:.2f}", f"{kl:.5f}", f"{error:.3f}", f"{cpu:.1f}"))
            print(rows[-1], file=sys.stderr, flush=True)
    print(table(("options", "kB an expert", "score, % of the experts'", "KL(expert ‖ rebuilt)", "error", "CPU s"), rows))


if __name__ == "__main__":
    main(sys.argv[1:])
