"""Parity with the paper: decoded experts and their task scores against a float64 SVD oracle, on the testbed.

Shared model: task arithmetic over the four experts, lambda 0.2, rounded to float32. Factors: float32. 1-D tensors: dense.
"""
import pathlib, sys, tempfile
import numpy as np
import paths  # noqa: F401, before what it makes findable
from measure import DATA, table, tool

TESTBED = DATA / "testbed"
TASKS = ("syllables", "cities", "gloss", "langid")
LAMBDA = 0.2
RANKS = (4, 16, 32, None)  # None: full


def relative_error(exact, approximation, shared):
    """Of the exclusive vector, over the base's tensors."""
    lost = sum(((exact[k].astype(np.float64) - approximation[k]) ** 2).sum() for k in shared)
    whole = sum(((exact[k].astype(np.float64) - shared[k]) ** 2).sum() for k in shared)
    return (lost / whole) ** 0.5


def main():
    if not TESTBED.is_dir():
        sys.exit(f"skipping parity: {TESTBED} is absent")
    sys.path.insert(0, str(TESTBED))
    import evaluate
    read = lambda name: evaluate.read_safetensors(TESTBED / f"{name}.safetensors")
    base, experts = read("base"), {t: read(t) for t in TASKS}
    shared = {k: (b.astype(np.float64) + LAMBDA * sum(experts[t][k].astype(np.float64) - b for t in TASKS)).astype(np.float32)
              for k, b in base.items()}
    svd = {(t, k): np.linalg.svd(experts[t][k].astype(np.float64) - shared[k], full_matrices=False)
           for t in TASKS for k in base if base[k].ndim == 2}

    def oracle(task, rank):
        model = dict(experts[task])
        for k in base:
            if base[k].ndim == 2:
                u, s, v = svd[task, k]
                model[k] = (shared[k] + (u[:, :rank] * s[:rank]) @ v[:rank]).astype(np.float32)
        return model

    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        names = [f"--expert={t}={TESTBED / t}.safetensors" for t in TASKS]
        for rank in RANKS:
            size = ["--rank-ratio", "1"] if rank is None else ["--rank", rank]
            result, _ = tool("pack", "--base", TESTBED / "base.safetensors", *names, "--lambda", LAMBDA, *size,
                             "--factor-dtype", "f32", "--force", "-o", work / "a.tmpack")
            stored = {e["name"]: e["bytes"] for e in result["experts"]}
            for task in TASKS:
                tool("unpack", work / "a.tmpack", "--expert", task, "--force", "-o", work / "x.safetensors")
                decoded = evaluate.read_safetensors(work / "x.safetensors")
                reference = oracle(task, rank)
                ours, best = (relative_error(experts[task], m, shared) for m in (decoded, reference))
                scores = [evaluate.score(m, task) for m in (experts[task], reference, decoded)]
                rows.append((rank or "full", task, f"{best:.6f}", f"{ours - best:+.1e}", *(f"{s:.2f}" for s in scores),
                             f"{scores[2] - scores[1]:+.2f}", f"{stored[task] / 1e3:.0f}"))
    print(table(("rank", "task", "optimal error", "excess", "expert", "oracle", "tmpack", "difference", "stored, kB"), rows))


if __name__ == "__main__":
    main()
