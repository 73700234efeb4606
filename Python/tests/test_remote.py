"""Archives on a server: how many requests, how many bytes, and what is refused."""

import http.server
import io
import threading

import numpy as np
import pytest
from conftest import ALL_GOLDEN, digests, parsed

import tmpack
from tmpack import remote


class Server:
    """Serves bytes by ranges, counts, and misbehaves on demand."""

    def __init__(self, content):
        self.content, self.tag = content, '"1"'
        self.mode = "sound"
        self.requests, self.sent = [], 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/zoo.tmpack"

    def answer(self, handler):
        wanted = handler.headers.get("Range")
        self.requests.append(wanted)
        if self.mode == "missing":
            handler.send_error(404)
            return
        if wanted is None or self.mode == "no-ranges":
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(self.content)))
            handler.end_headers()
            handler.wfile.write(self.content)
            return
        first, last = (int(each) for each in wanted[len("bytes=") :].split("-"))
        last = min(last, len(self.content) - 1)
        part = self.content[first : last + 1]
        if self.mode == "wrong" and first >= 8192:
            part = bytes(each ^ 0x55 for each in part)
        length = len(part)
        if self.mode == "short":
            part = part[: len(part) // 2]
            handler.close_connection = True
        if self.mode == "other-range":
            first += 1
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {first}-{first + length - 1}/{len(self.content)}")
        handler.send_header("Content-Length", str(length))
        handler.send_header("ETag", self.tag)
        handler.end_headers()
        handler.wfile.write(part)
        self.sent += len(part)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize("golden", [each for each in ALL_GOLDEN if not each.base], ids=repr)
def test_golden_archives_over_http(golden):
    with Server(golden.path.read_bytes()) as server, tmpack.open(server.url) as archive:
        for weights, expected in golden.mixes:
            assert digests(archive.mix(parsed(weights), names="base")) == expected


@pytest.fixture(scope="module")
def hundred(tmp_path_factory, tool):
    """A detached archive of 100 experts."""
    folder = tmp_path_factory.mktemp("hundred")
    chance = np.random.default_rng(5)
    base = {f"layers.{number}.weight": chance.standard_normal((256, 192)).astype(np.float32) for number in range(12)}
    from tmpack import _tool

    _tool.save(base, folder / "base.safetensors")
    experts = {}
    for number in range(100):
        expert = {name: value + np.float32(0.01) * chance.standard_normal(value.shape).astype(np.float32) for name, value in base.items()}
        experts[f"e{number:02}"] = folder / f"e{number:02}.safetensors"
        _tool.save(expert, experts[f"e{number:02}"])
    tmpack.pack(folder / "base.safetensors", experts, folder / "zoo.tmpack", rank=16, shared="base", detached=True)
    return folder


def test_one_of_a_hundred_experts(hundred):
    local = tmpack.open(hundred / "zoo.tmpack", hundred / "base.safetensors")
    content = (hundred / "zoo.tmpack").read_bytes()
    with Server(content) as server:
        with tmpack.open(server.url, hundred / "base.safetensors") as archive:
            own = archive["e42"].load()
        stored = next(each["bytes"] for each in local.info["experts"] if each["name"] == "e42")
        metadata = index_bytes(content) + local.info["shared"]["bytes"]
        assert len(server.requests) <= 20
        assert server.sent <= 1.1 * (stored + metadata)
        print(f"{len(server.requests)} requests, {server.sent} bytes; stored {stored}, index and shared section {metadata}")
    expected = local["e42"].load()
    assert all(np.array_equal(own[name], expected[name]) for name in expected)


def index_bytes(content):
    """Header, and the index that the first slot names: generation 1."""
    return 8192 + int.from_bytes(content[40:48], "little")


def test_misbehaving_servers(zoo):
    content = (zoo / "embedded.tmpack").read_bytes()
    for mode, words in (
        ("no-ranges", "does not give ranges"),
        ("missing", "404"),
        ("short", "bytes"),
        ("other-range", "instead of"),
    ):
        with Server(content) as server:
            server.mode = mode
            with pytest.raises(tmpack.InputOutputError, match=words):
                tmpack.open(server.url)
    with Server(content) as server:
        archive = tmpack.open(server.url)
        mix = archive["math"]
        server.mode = "wrong"
        with pytest.raises(tmpack.FormatError):
            mix.load()
    for mode in ("short", "missing", "no-ranges"):
        with Server(content) as server:
            mix = tmpack.open(server.url)["math"]
            server.mode = mode
            with pytest.raises(tmpack.InputOutputError):
                mix.load()
            with pytest.raises(tmpack.InputOutputError):
                mix["large.weight"]


def test_a_file_that_changes(zoo):
    with Server((zoo / "embedded.tmpack").read_bytes()) as server:
        mix = tmpack.open(server.url)["math"]
        server.tag = '"2"'
        with pytest.raises(tmpack.InputOutputError, match="changed"):
            mix.load()
        server.tag, server.content = '"1"', server.content + b"\0"
        with pytest.raises(tmpack.InputOutputError, match="changed"):
            mix.load()


def test_file_objects_and_fsspec(zoo):
    fsspec = pytest.importorskip("fsspec")
    content = (zoo / "embedded.tmpack").read_bytes()
    expected = digests(tmpack.open(zoo / "embedded.tmpack")["math"])
    assert digests(tmpack.open(io.BytesIO(content))["math"]) == expected
    with open(zoo / "embedded.tmpack", "rb") as file:
        assert digests(tmpack.open(file)["math"]) == expected
    with fsspec.open("memory://zoo.tmpack", "wb") as file:
        file.write(content)
    archive = tmpack.open("memory://zoo.tmpack")
    assert digests(archive["math"]) == expected
    assert archive.verify()
    assert digests(tmpack.open(f"file://{zoo / 'embedded.tmpack'}")["math"]) == expected


def test_a_callback_that_raises():
    class Broken(io.BytesIO):
        def read(self, *_):
            raise RuntimeError("the disk is on fire")

    with pytest.raises(tmpack.InputOutputError) as caught:
        tmpack.open(Broken(b"x" * 10_000))
    assert "on fire" in str(caught.value.__cause__)


def test_a_bounded_cache(zoo):
    content = (zoo / "embedded.tmpack").read_bytes()
    expected = digests(tmpack.open(zoo / "embedded.tmpack")["code"])
    source = remote.Source(remote.ObjectFetcher(io.BytesIO(content)), cache_bytes=1 << 20)
    peak = 0
    fetch = source._fetch

    def watched(*arguments):
        nonlocal peak
        result = fetch(*arguments)
        peak = max(peak, source._held)
        return result

    source._fetch = watched
    from tmpack import _native
    from tmpack._archive import Archive

    described = _native.Source(byte_count=source.size, label=b"memory", read=source.callback)
    handle = _native.handle_of("tmpk_open_source", described, _native.OpenOptions())
    assert digests(Archive(handle, "np", source)["code"]) == expected
    assert 0 < peak <= 1 << 20


@pytest.mark.parametrize("overhead", [0.0, 0.04, 0.5])
def test_requests_that_lie_together(overhead):
    source = remote.Source(remote.ObjectFetcher(io.BytesIO(bytes(100_000))), overhead=overhead)
    ranges = [(0, 1000), (1000, 500), (1600, 400), (50_000, 100)]
    merged = source._requests(ranges)
    covered = sum(count for _, count in merged)
    assert covered - 2000 <= overhead * 2000
    for start, count in ranges:
        assert any(first <= start and start + count <= first + length for first, length in merged)
    assert merged[0][1] >= 1500
