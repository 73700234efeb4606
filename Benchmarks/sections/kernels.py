#!/usr/bin/env python3
"""The inner loops beside what bounds them: reconstruction against memcpy and sgemm, truncated SVD against LAPACK and scikit-learn.

CPU seconds of one thread, the best of some rounds; wall seconds where several take part. Needs numpy; scipy and scikit-learn for the peers.
"""
import json, os, pathlib, subprocess, sys, tempfile, time

# Before numpy: one thread, and kernels for this processor.
os.environ.update({"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})
import numpy as np
import paths  # noqa: F401, before what it makes findable
from measure import TOOL, run, table

RANK = 64
# Excess error, in hundredths of a per cent, that counts as none.
NEAR = 2


def seconds(work, rounds):
    best = float("inf")
    for _ in range(rounds):
        start = time.thread_time()
        result = work()
        best = min(best, time.thread_time() - start)
    return best, result


def excess(matrix, singular_values, best):
    """Relative error of the truncated matrix, and by how much it is above the least possible, in %."""
    energy = float(np.sum(matrix.astype(np.float64) ** 2))
    error = np.sqrt(max(0, energy - float(np.sum(singular_values.astype(np.float64) ** 2))) / energy)
    return error, None if best is None else 100 * (error / best - 1)


def peers(folder, rows, columns, ours):
    matrix = np.fromfile(folder / f"matrix-{rows}x{columns}.f32", "<f4").reshape(rows, columns)
    entries = []
    optimum = None
    # The full decomposition takes half a minute for the largest.
    from scipy.linalg import lapack
    cost, (_, values, _, info) = seconds(lambda: lapack.sgesdd(matrix.T if rows > columns else matrix, full_matrices=0), 1)
    assert info == 0
    energy = float(np.sum(matrix.astype(np.float64) ** 2))
    optimum = np.sqrt(max(0, energy - float(np.sum(values[:RANK].astype(np.float64) ** 2))) / energy)
    entries.append(("sgesdd, all triplets", cost, optimum))
    try:
        from sklearn.utils.extmath import randomized_svd
    except ImportError:
        randomized_svd = None
    # At its default settings, and at the cheapest ones that are as good: for each oversampling the fewest passes.
    wanted = max(1e-4 * NEAR, ours["error"] / optimum - 1)
    equal = None
    for more in (10, 32, 64, 96) if randomized_svd else ():
        for passes in range(1, 20):
            cost, (_, values, _) = seconds(lambda: randomized_svd(matrix, RANK, n_oversamples=more, n_iter=passes, random_state=0), 3)
            error = excess(matrix, values, None)[0]
            if more == 10 and passes in (2, 4):
                entries.append((f"scikit-learn, n_iter {passes}", cost, error))
            if error / optimum - 1 <= wanted:
                if equal is None or cost < equal[1]:
                    equal = (f"scikit-learn, as good: n_oversamples {more}, n_iter {passes}", cost, error)
                break
            if equal is not None and cost > equal[1]:
                break
    if equal:
        entries.append(equal)
    rows_of_table = []
    for name, cost, error in [("tmpack", ours["s"], ours["error"])] + entries:
        rows_of_table.append((f"{rows} × {columns}", name, f"{1e3 * cost:.0f}", f"{cost / ours['s']:.2f}", f"{100 * (error / optimum - 1):.3f} %"))
    return rows_of_table


def main():
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        facts = json.loads(run(TOOL.parent / "kernel-benchmark", folder)[0])
        copy = facts["memcpy_wall_s"]
        print("### Reconstruction\n")
        print(f"One tensor of 4096 × 4096 in bf16, factors decoded, other weights: shared model and bf16 factors to bf16; wall time on one thread and on {facts['threads']}. "
              f"memcpy of the tensor, on one thread, takes {1e3 * copy:.2f} ms; sgemm reaches {facts['sgemm_gflops']:.0f} GFLOP/s.\n")
        print(table(("rank", "one thread, ms", "of memcpy", "GFLOP/s", f"{facts['threads']} threads, ms", "of memcpy"), [
            (r["rank"], f"{1e3 * r['s']:.1f}", f"{r['s'] / copy:.1f} ×", f"{r['gflops']:.0f}", f"{1e3 * r['all_s']:.1f}", f"{r['all_s'] / copy:.1f} ×")
            for r in facts["reconstruct"]]))
        print(f"\n### Truncated SVD, rank {RANK}\n")
        print(f"CPU time of one thread; excess is the relative error over that of the best approximation of that rank. The peers use the same matrices, and numpy's own OpenBLAS; *as good* are the cheapest settings whose excess is at most tmpack's, or {NEAR / 100} %.\n")
        rows = []
        for entry in facts["svd"]:
            rows += peers(folder, entry["rows"], entry["columns"], entry)
        print(table(("matrix", "by", "CPU ms", "of tmpack", "excess error"), rows))


if __name__ == "__main__":
    main()
