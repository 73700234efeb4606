"""Packing by a cluster gives the bytes of ``pack``, whatever happens to workers."""

import os
import sys
import threading
import time

import numpy as np
import pytest

import tmpack

def models(folder):
    random = np.random.default_rng(1)
    base = {f"{index}.weight": random.standard_normal((200, 160), dtype=np.float32) for index in range(12)}
    tmpack.save(base, folder / "base.safetensors")
    for name in "ab":
        other = {key: value + 0.01 * random.standard_normal(value.shape, dtype=np.float32) for key, value in base.items()}
        tmpack.save(other, folder / f"{name}.safetensors")
    return folder / "base.safetensors", {name: folder / f"{name}.safetensors" for name in "ab"}


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed", reason="needs the package distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        with distributed.Client(cluster) as client:
            yield client


def test_dask_gives_the_same_bytes(client, tmp_path):
    base, experts = models(tmp_path)
    tmpack.pack(base, experts, tmp_path / "one.tmpack", rank=4)
    tmpack.distributed.pack(base, experts, tmp_path / "two.tmpack", engine="dask", client=client, shares=4, threads=1, rank=4)
    assert (tmp_path / "one.tmpack").read_bytes() == (tmp_path / "two.tmpack").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors", "base.safetensors", "one.tmpack", "two.tmpack"]


def test_a_killed_worker_is_made_up_for(client, tmp_path):
    base, experts = models(tmp_path)
    tmpack.pack(base, experts, tmp_path / "one.tmpack", rank=4)
    killed = []

    def kill():
        # As soon as a share is being worked on.
        while not killed:
            busy = [worker for worker, keys in client.processing().items() if keys]
            if busy:
                process = client.run(os.getpid, workers=busy[:1])[busy[0]]
                os.kill(process, 9)
                killed.append(process)
            time.sleep(0.01)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    tmpack.distributed.pack(
        base, experts, tmp_path / "two.tmpack", engine="dask", client=client, shares=6, threads=1, retries=5, rank=4)
    killed.append(None)
    killer.join()
    assert killed[0] is not None, "no worker was busy"
    assert (tmp_path / "one.tmpack").read_bytes() == (tmp_path / "two.tmpack").read_bytes()


def test_errors_of_the_request_end_it(client, tmp_path):
    base, experts = models(tmp_path)
    with pytest.raises(tmpack.UsageError):
        tmpack.distributed.pack(base, {"a": {}}, tmp_path / "x", engine="dask", client=client, shares=2)
    with pytest.raises(tmpack.UsageError):
        tmpack.distributed.pack(base, experts, tmp_path / "x", engine="slurm", shares=2)
    with pytest.raises(tmpack.NotFound):
        tmpack.distributed.pack(base, {"a": tmp_path / "none"}, tmp_path / "x", engine="dask", client=client, shares=2)


def test_ray_gives_the_same_bytes_when_every_worker_is_killed_once(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    ray = pytest.importorskip("ray", reason="needs the package ray")
    base, experts = models(tmp_path)
    tmpack.pack(base, experts, tmp_path / "one.tmpack", rank=4)

    def share(tasks, number, part, *others):
        import os

        import tmpack.distributed

        if not os.path.exists(part + ".tried"):
            open(part + ".tried", "w").close()
            os.kill(os.getpid(), 9)
        tmpack.distributed._share(tasks, number, part, *others)

    monkeypatch.setattr(tmpack.distributed, "_share", share)
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "TMPACK": tmpack._tool.tool_path()}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": environment})
    try:
        tmpack.distributed.pack(
            base, experts, tmp_path / "two.tmpack", engine="ray", shares=3, threads=1, rank=4, folder=tmp_path / "parts")
    finally:
        ray.shutdown()
    assert (tmp_path / "one.tmpack").read_bytes() == (tmp_path / "two.tmpack").read_bytes()
    assert len(list((tmp_path / "parts").glob("*.tried"))) == 3
