#!/usr/bin/env python3
"""The inner loops beside what bounds them: reconstruction against memcpy and sgemm, truncated SVD against LAPACK and scikit-learn.

CPU seconds of one thread, the best of some rounds. Needs numpy; scipy and scikit-learn for the peers.
"""
import json, os, pathlib, subprocess, sys, tempfile, time

# Before numpy: one thread, and kernels for this processor.
os.environ.update({"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})
import numpy as np
from measure import ROOT, run, table

RANK = 64


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
        for passes in (2, 4):
            cost, (_, values, _) = seconds(lambda: randomized_svd(matrix, RANK, n_iter=passes, random_state=0), 2)
            entries.append((f"scikit-learn, n_iter {passes}", cost, excess(matrix, values, None)[0]))
    except ImportError:
        pass
    rows_of_table = []
    for name, cost, error in [("tmpack", ours["s"], ours["error"])] + entries:
        rows_of_table.append((f"{rows} × {columns}", name, f"{1e3 * cost:.0f}", f"{cost / ours['s']:.2f}", f"{100 * (error / optimum - 1):.3f} %"))
    return rows_of_table


def main():
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        facts = json.loads(run(ROOT / ".build/release/kernel-benchmark", folder)[0])
        copy = facts["memcpy_s"]
        print("### Reconstruction\n")
        print(f"One tensor of 4096 × 4096 in bf16, factors decoded, other weights: shared model and bf16 factors to bf16, on one thread. memcpy of the tensor takes "
              f"{1e3 * copy:.2f} ms; sgemm reaches {facts['sgemm_gflops']:.0f} GFLOP/s.\n")
        print(table(("rank", "ms", "of memcpy", "GFLOP/s"), [
            (r["rank"], f"{1e3 * r['s']:.1f}", f"{r['s'] / copy:.1f} ×", f"{r['gflops']:.0f}") for r in facts["reconstruct"]]))
        print(f"\n### Truncated SVD, rank {RANK}\n")
        print("CPU time of one thread; excess is the relative error over that of the best approximation of that rank. The peers use the same matrices, and numpy's own OpenBLAS.\n")
        rows = []
        for entry in facts["svd"]:
            rows += peers(folder, entry["rows"], entry["columns"], entry)
        print(table(("matrix", "by", "CPU ms", "of tmpack", "excess error"), rows))


if __name__ == "__main__":
    main()
