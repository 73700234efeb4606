"""Hostile input, forks, files that shrink, threads, Ctrl-C, leaks."""

import gc
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from conftest import ALL_GOLDEN, digests

import tmpack

def read_all(path, base=None):
    """Everything that the binding can do with a file; what it raises must be of ours."""
    try:
        with tmpack.open(path, base) as archive:
            archive.describe()
            archive.verify("deep")
            for weights in [None, *archive.experts, dict.fromkeys(archive.experts, 0.5)]:
                try:
                    mix = archive.mix(weights)
                    mix.load("np")
                    for name in mix.files:
                        mix.files[name]
                except tmpack.TmpackError:
                    continue
            if archive.router:
                archive.route(np.zeros(archive.router["dimension"], np.float32))
        return "read"
    except tmpack.TmpackError as error:
        assert str(error) and error.code
        return error.code


@pytest.mark.parametrize("golden", ALL_GOLDEN, ids=repr)
def test_damaged_archives_raise(golden, tmp_path):
    content = golden.path.read_bytes()
    path = tmp_path / "damaged.tmpack"
    chance = random.Random(golden.name)
    places = [*range(0, 64), *(chance.randrange(8192, len(content)) for _ in range(120))]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        read_all(path, golden.base)
    for length in [0, 1, 7, 4096, 8191, 8192, *(chance.randrange(8192, len(content)) for _ in range(40))]:
        path.write_bytes(content[:length])
        assert read_all(path, golden.base) != "read"


def test_malformed_corpus_raises():
    """What the attack tests of the format make, where they were told to leave it: TMPACK_CORPUS=FOLDER swift test --filter AttackTests."""
    folder = os.environ.get("TMPACK_CORPUS")
    if not folder:
        pytest.skip("TMPACK_CORPUS is not set")
    files = sorted(os.listdir(folder))
    assert len(files) > 100
    outcomes = {name: read_all(os.path.join(folder, name)) for name in files}
    refused = [name for name, outcome in outcomes.items() if outcome != "read"]
    assert len(refused) > len(files) // 2


def test_random_bytes_are_no_archive(tmp_path):
    chance = np.random.default_rng(3)
    for size in (0, 10, 9000, 100_000):
        (tmp_path / "noise").write_bytes(chance.bytes(size))
        assert read_all(tmp_path / "noise") == "unknown-format"
    with pytest.raises(tmpack.TmpackError):
        tmpack.open(tmp_path)


def run_child(code, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=120, **options
    )


def test_fork_after_use(zoo):
    """A child reads what the parent has opened, after the parent's threads have worked."""
    archive = tmpack.open(zoo / "embedded.tmpack")
    expected = digests(archive.mix({"math": 0.5, "code": 0.5}))
    for _ in range(6):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                own = digests(archive.mix({"math": 0.5, "code": 0.5})) == expected
                with tmpack.open(zoo / "embedded.tmpack", keep=True) as other:
                    own = own and digests(other.mix({"math": 0.5, "code": 0.5})) == expected and bool(other.verify("deep"))
                code = 0 if own else 2
            finally:
                os._exit(code)
        deadline = time.monotonic() + 60
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                break
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                pytest.fail("the child hangs")
            time.sleep(0.01)
        assert os.waitstatus_to_exitcode(status) == 0


def test_fork_while_another_thread_reads(zoo):
    """Whatever the child gets, it neither hangs nor crashes."""
    archive = tmpack.open(zoo / "embedded.tmpack")
    mix = archive["math"]
    stop = threading.Event()

    def read():
        while not stop.is_set():
            mix.load()

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    try:
                        mix["head.bias"]
                        code = 0
                    except tmpack.UsageError as error:
                        code = 0 if "forked" in str(error) else 3
                    with tmpack.open(zoo / "embedded.tmpack") as own:
                        own["code"]["head.bias"]
                finally:
                    os._exit(code)
            for _ in range(6000):
                done, status = os.waitpid(child, os.WNOHANG)
                if done:
                    break
                time.sleep(0.01)
            else:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                pytest.fail("the child hangs")
            assert os.waitstatus_to_exitcode(status) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_data_loader_of_four_workers(zoo):
    torch = pytest.importorskip("torch")
    archive = tmpack.open(zoo / "embedded.tmpack", framework="pt")
    expected = archive["math"].load()

    class Rows(torch.utils.data.Dataset):
        def __len__(self):
            return 32

        def __getitem__(self, index):
            return archive["math"].get_slice("emb.weight")[index]

    loader = torch.utils.data.DataLoader(Rows(), batch_size=4, num_workers=4, multiprocessing_context="fork")
    rows = torch.cat(list(loader))
    assert torch.equal(rows, expected["emb.weight"][:32])


@pytest.mark.parametrize("name, base", [("embedded", None), ("detached", "base.safetensors")])
@pytest.mark.parametrize("what", ["archive", "base"])
def test_truncation_while_open(zoo, tmp_path, name, base, what):
    if what == "base" and base is None:
        pytest.skip("it has none")
    paths = {"archive": tmp_path / "a.tmpack", "base": tmp_path / "b.safetensors"}
    paths["archive"].write_bytes((zoo / f"{name}.tmpack").read_bytes())
    if base:
        paths["base"].write_bytes((zoo / base).read_bytes())
    archive = tmpack.open(paths["archive"], paths["base"] if base else None)
    mix = archive["math"]
    os.truncate(paths[what], 9000)
    with pytest.raises(tmpack.TmpackError) as caught:
        mix.load()
    assert caught.value.code in ("truncated", "input-output")
    if what == "archive":
        with pytest.raises(tmpack.InputOutputError):
            archive.verify()


def test_threads(zoo):
    """Several threads on one archive, one mix, and archives that others close."""
    archive = tmpack.open(zoo / "detached.tmpack", zoo / "base.safetensors", keep=1 << 20)
    expected = {name: digests(archive[name]) for name in archive.experts}
    shared = archive["math"]
    failures = []

    def work(number):
        try:
            for _ in range(5):
                name = archive.experts[number % 2]
                assert digests(archive[name]) == expected[name]
                assert digests(shared) == expected["math"]
                with tmpack.open(zoo / "embedded.tmpack") as own:
                    own[name]["head.bias"]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def test_closing_while_others_read(zoo):
    archive = tmpack.open(zoo / "embedded.tmpack")
    mix = archive["math"]
    outcomes = []

    def read():
        for _ in range(50):
            try:
                mix.load()
                outcomes.append("read")
            except tmpack.UsageError:
                outcomes.append("closed")

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    mix.close()
    archive.close()
    for thread in threads:
        thread.join()
    assert set(outcomes) <= {"read", "closed"} and "closed" in outcomes


INTERRUPTED = """
import os, signal, sys, threading, time, numpy, tmpack
# A shell without job control has what it runs in the background ignore interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
handler = signal.getsignal(signal.SIGINT)
archive = tmpack.open(sys.argv[1])
mix = archive.mix({"a": 0.5, "b": 0.5})
threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
begun = time.monotonic()
try:
    while True:
        mix.load()
except KeyboardInterrupt:
    assert time.monotonic() - begun < 30
    assert signal.getsignal(signal.SIGINT) is handler
    assert len(mix.load(names=["w0"])) == 1
    print("interrupted")
"""


def test_ctrl_c(tmp_path, tool):
    chance = np.random.default_rng(1)
    base = {f"w{number}": chance.standard_normal((1024, 1024)).astype(np.float32) for number in range(16)}
    experts = {
        name: {key: value + np.float32(0.01) * chance.standard_normal(value.shape).astype(np.float32) for key, value in base.items()}
        for name in "ab"
    }
    tmpack.pack(base, experts, tmp_path / "zoo.tmpack", rank=16, shared="base")
    done = run_child(INTERRUPTED, tmp_path / "zoo.tmpack")
    assert done.returncode == 0 and "interrupted" in done.stdout, done.stderr


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def test_a_thousand_opens_leak_nothing(zoo):
    def once():
        with tmpack.open(zoo / "embedded.tmpack", keep=1 << 20) as archive:
            for weights in ("math", {"math": 0.3, "code": 0.7}):
                with archive.mix(weights) as mix:
                    mix["head.bias"]
                    mix.load(names=["emb.weight"])
            archive.info
        with pytest.raises(tmpack.TmpackError):
            tmpack.open(zoo / "base.safetensors")

    for _ in range(200):
        once()
    gc.collect()
    before, descriptors = resident(), len(os.listdir("/proc/self/fd"))
    for _ in range(1000):
        once()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert resident() - before < 4 << 20


def test_the_library_exports_its_interface_only():
    from tmpack import _native

    done = subprocess.run(["nm", "-D", "--defined-only", _native.library._name], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip("there is no nm")
    names = {line.split()[2].partition("@")[0] for line in done.stdout.splitlines() if len(line.split()) == 3 and line.split()[1].isupper()}
    assert names - {"TMPACK"} == {name for name in names if name.startswith("tmpk_")}
    assert {"tmpk_open", "tmpk_mix_read", "tmpk_close"} <= names
