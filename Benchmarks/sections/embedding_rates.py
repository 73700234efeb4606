"""What `pack` options give on MiniLM: stored bytes an expert, and how far the embeddings of sentences are from the expert's.

    python3 Benchmarks/sections/embedding_rates.py [--statistics FOLDER] [--rebuilt NAME=FILE ...] [-- OPTIONS ...]

FOLDER is of Benchmarks/lib/calibration.py minilm. The error is ‖E(rebuilt) − E(expert)‖² ÷ ‖E(shared) − E(expert)‖² over the embeddings of 128
sentences that no statistics are of. `--rebuilt sre=old.safetensors` also judges a file that another tool has rebuilt. Needs torch and
transformers.
"""
import pathlib, sys, tempfile

import paths  # noqa: F401, before what it makes findable
from calibration import Encoder, sentences
from measure import minilm, table, tool

EXPERTS = ("sre", "npm")
PRESETS = ("low", "medium", "high")


class Judge:
    """The experts' and the shared model's embeddings of the sentences."""

    def __init__(self, models, work):
        self.models, self.texts = models, sentences()[1][:128]
        self.paths = {name: models / name / "model.safetensors" for name in ("base", *EXPERTS)}
        experts = [f"--expert={name}={self.paths[name]}" for name in EXPERTS]
        tool("merge", "task-arithmetic", "--base", self.paths["base"], *experts, "--lambda", 0.3, "-o", work / "shared.safetensors")
        self.shared = self.embeddings(work / "shared.safetensors")
        self.own = {name: self.embeddings(self.paths[name]) for name in EXPERTS}

    def embeddings(self, weights):
        return Encoder(self.models / "base", weights).embeddings(self.texts)

    def error(self, name, weights):
        own = self.own[name]
        return (((self.embeddings(weights) - own) ** 2).sum() / ((self.shared - own) ** 2).sum()).item()


def rows_of(judge, options, work):
    experts = [f"--expert={name}={judge.models / name}" if (judge.models / name / "config.json").is_file() else f"--expert={name}={judge.paths[name]}"
               for name in EXPERTS]
    result, cost = tool("pack", "--base", judge.models / "base", *experts, *options, "--force", "-o", work / "m.tmpack")
    for name, entry in zip(EXPERTS, result["experts"]):
        tool("unpack", work / "m.tmpack", "--expert", name, "--force", "-o", work / "x.safetensors")
        yield name, entry["bytes"], judge.error(name, work / "x.safetensors"), cost.cpu


def main(arguments):
    sets, own = [], []
    for argument in arguments:
        if argument == "--":
            sets.append([])
        else:
            (sets[-1] if sets else own).append(argument)
    statistics, rebuilt = None, []
    while own:
        key, value, *own = own
        if key == "--statistics":
            statistics = pathlib.Path(value)
        else:
            rebuilt.append(value.split("=", 1))
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        models = minilm(work / "minilm")
        judge = Judge(models, work)
        for name, path in rebuilt:
            rows.append((pathlib.Path(path).stem, name, "", f"{judge.error(name, path):.5f}", ""))
            print(rows[-1], file=sys.stderr, flush=True)
        for options in sets or [["--quality", preset] for preset in PRESETS]:
            more = [f"--statistics={name}={statistics / name}.safetensors" for name in EXPERTS] if statistics else []
            for name, size, error, cpu in rows_of(judge, options + more, work):
                shown = " ".join(options) + (" --statistics" if statistics else "")
                rows.append((shown, name, f"{size / 1e3:.0f}", f"{error:.5f}", f"{cpu:.1f}"))
                print(rows[-1], file=sys.stderr, flush=True)
    print(table(("options", "expert", "kB", "error of embeddings", "CPU s of both"), rows))


if __name__ == "__main__":
    main(sys.argv[1:])
