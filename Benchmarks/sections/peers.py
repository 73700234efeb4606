"""Other ways to keep a fine-tune's difference, on the testbed beside ours: stored bytes an expert, scores, and KL(expert ‖ rebuilt).

    python3 Benchmarks/sections/peers.py [--statistics FOLDER] [--plot FILE.svg] [--peers]

Peers are in Benchmarks/peers/deltas.py: their sizes are entropies, ours are all of what is stored. All get the difference to the same shared
model, and heads at what ours take. With torch, BitDelta's scales are also fitted to the experts' answers on 48 training inputs.
Needs numpy, and matplotlib for the plot.
"""
import argparse, pathlib, sys, tempfile
import numpy as np

import paths  # noqa: F401, before what it makes findable
import deltas
from measure import table, tool
from rates import LAMBDA, TASKS, TESTBED, Testbed, measured

# What a head takes as our quantiser stores it (Spec/decisions/0026).
HEAD = 1666


def distilled(expert, shared, inputs, steps=25):
    """BitDelta with data: the scales that bring the logits nearest to the expert's."""
    import torch
    from calibration import Testbed as Network
    network, ids = Network(expert), torch.tensor(inputs)
    base = {name: torch.tensor(shared.get(name, value)) for name, value in expert.items()}
    difference = {name: torch.tensor(value) - base[name] for name, value in expert.items()}
    matrices = [name for name, value in difference.items() if value.ndim == 2 and name in shared]
    signs = {name: torch.where(difference[name] < 0, -1.0, 1.0) for name in matrices}
    start = {name: difference[name].abs().mean() for name in matrices}
    factors = {name: torch.ones((), requires_grad=True) for name in matrices}
    own = network(ids).detach()
    optimizer = torch.optim.Adam(factors.values(), lr=0.05)
    for _ in range(steps):
        weights = {name: base[name] + factors[name] * start[name] * signs[name] for name in matrices}
        others = {name: torch.tensor(value) for name, value in expert.items() if name not in weights}
        loss = ((torch.func.functional_call(network, {**others, **weights}, (ids,)) - own) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    scale = {name: (factors[name] * start[name]).item() for name in matrices}
    return lambda differences: (
        {name: (scale[name] * np.where(v < 0, -1, 1)).astype(np.float32) if v.ndim == 2 else v.astype(np.float16).astype(np.float32)
         for name, v in differences.items()}, deltas.one_bit(differences)[1])


def peers(testbed, shared, experts):
    """(name, setting, encode) of each, where encode gives (approximations, bytes) of a task's differences."""
    differences = {t: {name: experts[t][name] - v for name, v in shared.items()} for t in TASKS}
    vectors = {t: deltas.SingularVectors(differences[t]) for t in TASKS}
    for bits in (0.15, 0.25, 0.4, 0.7):
        yield "PrinMix", f"{bits} bits an entry", lambda t, bits=bits: vectors[t].mixed(bits)
    for rank in (16, 32, 64, 128):
        yield "Delta-CoMe", f"rank {rank}", lambda t, rank=rank: vectors[t].grouped(rank)
    for rank in (4, 16, 48):
        yield "D-QRELO", f"rank {rank}, 4 bits", lambda t, rank=rank: deltas.one_bit_and_residual(differences[t], rank)
    for sparsity in (0.9, 0.75, 0.5):
        # The best factor, where the paper estimates one.
        for scale in (0.5, 0.75, 1.0):
            yield "UltraDelta", f"{sparsity} sparse, × {scale}", lambda t, sparsity=sparsity, scale=scale: deltas.sparse_levels(
                differences[t], sparsity, scale=scale)
    for density in (0.1, 0.2, 0.4):
        yield "T-Switch", f"{density:.0%}", lambda t, density=density: deltas.pulse(differences[t], density)
    yield "BitDelta", "", lambda t: deltas.one_bit(differences[t])
    try:
        import torch  # noqa: F401
    except ImportError:
        return
    chosen = np.random.default_rng(1)
    fitted = {}
    for t in TASKS:
        inputs, _ = testbed.model.load_split(t, "train")
        fitted[t] = distilled(experts[t], shared, inputs[chosen.permutation(len(inputs))[:48]])
    yield "BitDelta, distilled", "48 inputs", lambda t: fitted[t](differences[t])


def judged(testbed, shared, experts, encode):
    rows = []
    for task in TASKS:
        approximation, size = encode(task)
        model = dict(experts[task], **{name: v + approximation[name] for name, v in shared.items()})
        rows.append((size + HEAD, *testbed.judged(model, task)))
    return np.mean(rows, axis=0)


def plot(rows, path):
    from plot import Chart
    chart = Chart("Testbed, four experts of 3.2 M parameters", "stored bytes an expert", "KL(expert ‖ rebuilt), nats", logarithmic_y=True)
    for name in dict.fromkeys(row[0] for row in rows):
        chart.line(name, sorted((size, kl) for other, _, size, _, kl in rows if other == name))
    path.write_text(chart.svg())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--statistics", type=pathlib.Path)
    parser.add_argument("--plot", type=pathlib.Path)
    parser.add_argument("--peers", action="store_true", help="only these")
    arguments = parser.parse_args()
    testbed = Testbed()
    experts = {t: testbed.read(TESTBED / f"{t}.safetensors") for t in TASKS}
    rows = []

    def add(name, setting, size, share, kl):
        rows.append((name, setting, size, share, kl))
        print(*rows[-1], file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        statistics = [f"--statistics={t}={arguments.statistics / t}.safetensors" for t in TASKS] if arguments.statistics else []
        for name, options in ([] if arguments.peers else [("tmpack", []), ("tmpack --statistics", statistics)]):
            for quality in ("low", "medium", "high", "100") if options or name == "tmpack" else ():
                size, share, kl, _, _ = measured(testbed, ["--quality", quality, *options], work)
                add(name, f"--quality {quality}", size, share, kl)
        tool("merge", "task-arithmetic", "--base", TESTBED / "base.safetensors", *[f"--expert={t}={TESTBED / t}.safetensors" for t in TASKS],
             "--lambda", LAMBDA, "-o", work / "s.safetensors")
        shared = testbed.read(work / "s.safetensors")
    for name, setting, encode in peers(testbed, shared, experts):
        add(name, setting, *judged(testbed, shared, experts, encode))
    print(table(("", "setting", "kB an expert", "score, % of the experts'", "KL(expert ‖ rebuilt)"),
                [(name, setting, f"{size / 1e3:.1f}", f"{100 * share:.1f}", f"{kl:.4f}") for name, setting, size, share, kl in rows]))
    if arguments.plot:
        plot(rows, arguments.plot)


if __name__ == "__main__":
    main()
