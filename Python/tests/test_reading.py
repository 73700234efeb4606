"""What comes out of archives, bit for bit, and how it is asked for."""

import json
import pathlib
import subprocess

import ml_dtypes
import numpy as np
import pytest
from conftest import ALL_GOLDEN, GOLDEN, digests, parsed

import tmpack


@pytest.mark.parametrize("golden", ALL_GOLDEN, ids=repr)
@pytest.mark.parametrize("keep", [False, 2000, True])
def test_golden_archives_read_to_the_same_bits(golden, keep):
    with golden.open(keep=keep) as archive:
        assert archive.info["root_digest"] == golden.root
        for weights, expected in golden.mixes:
            mix = archive.mix(parsed(weights), names="base")
            assert digests(mix) == expected, weights
            # One tensor after another, and all at once.
            assert digests(mix, {name: mix[name] for name in mix}) == expected
        for expert, expected in golden.exact:
            assert digests(archive.mix(expert, exact=True, names="base")) == expected


@pytest.mark.parametrize("golden", ALL_GOLDEN, ids=repr)
def test_equal_to_unpack_in_every_dtype(golden, tool, tmp_path):
    with golden.open() as archive:
        experts = archive.experts
        choices = [(["--shared"], None)] + [(["--expert", each], each) for each in experts]
        choices.append((["--weights", f"{experts[0]}=0.25"], {experts[0]: 0.25}))
        if len(experts) > 1:
            choices.append((["--weights", f"{experts[0]}=0.25,{experts[1]}=-1.5"], {experts[0]: 0.25, experts[1]: -1.5}))
        base = ["--shared-from", str(golden.base)] if golden.base else []
        for number, (arguments, weights) in enumerate(choices):
            for dtype in (None, "f32", "bf16"):
                output = tmp_path / f"{number}-{dtype}.safetensors"
                command = [tool, "unpack", str(golden.path), *arguments, *base, "-o", str(output), "-q"]
                done = subprocess.run(command + (["--dtype", dtype] if dtype else []), capture_output=True, text=True)
                try:
                    own = archive.mix(weights, dtype=dtype).load("np")
                except tmpack.TmpackError:
                    assert done.returncode != 0
                    continue
                assert done.returncode == 0, done.stderr
                other = raw_tensors(output)
                assert {name: (dtype_name(each), each.shape, each.tobytes()) for name, each in own.items()} == other


def raw_tensors(path):
    content = pathlib.Path(path).read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    data = content[8 + length :]
    return {
        name: (each["dtype"], tuple(each["shape"]), data[each["data_offsets"][0] : each["data_offsets"][1]])
        for name, each in header.items()
    }


def dtype_name(array):
    from tmpack._dtypes import name_of

    return name_of(array.dtype)


@pytest.mark.parametrize("golden", [each for each in ALL_GOLDEN if each.routes], ids=repr)
def test_routes_alike(golden):
    with golden.open() as archive:
        dimension = archive.router["dimension"]
        for inputs, weights, entropy in golden.routes:
            routing = archive.route(np.reshape(inputs, (-1, dimension)), group="all")
            assert routing == pytest.approx(weights, abs=1e-6)
            assert routing.entropy == pytest.approx(entropy, abs=1e-6)
        each = archive.route(np.zeros((3, dimension), np.float32))
        assert len(each) == 3 and each[0].rows == (0, 1)
        single = archive.route(np.zeros(dimension), top=1, threshold=0.0, fallback="never")
        assert sorted(single.values())[-1] == 1.0
        with pytest.raises(tmpack.UsageError):
            archive.route(np.zeros(dimension + 1))
        with pytest.raises(tmpack.UsageError):
            archive.route(np.full(dimension, np.nan))
        assert archive.mix(single).byte_count > 0


def test_slices(zoo):
    with tmpack.open(zoo / "embedded.tmpack") as archive:
        for name, tensor in archive["math"].load().items():
            part = archive["math"].get_slice(name)
            assert part.get_shape() == list(tensor.shape) and part.get_dtype() in ("F32", "I64")
            for key in (slice(None), slice(2, 7), slice(-3, None), slice(9, 2, -2), slice(5, 5), 3, -1, ...):
                assert np.array_equal(part[key], tensor[key]), (name, key)
            if tensor.ndim == 2:
                assert np.array_equal(part[1000:1003, 5:9], tensor[1000:1003, 5:9])
                assert np.array_equal(part[:, 3], tensor[:, 3])
            with pytest.raises(IndexError):
                part[tensor.shape[0]]


def test_names_and_files_and_infos():
    golden = next(each for each in ALL_GOLDEN if each.name == "files")
    with golden.open() as archive:
        expert = archive[archive.experts[0]]
        assert expert.files and all(isinstance(expert.files[name], bytes) for name in expert.files)
        with pytest.raises(KeyError):
            expert.files["none"]
        info = expert.tensors[next(iter(expert))]
        assert info.name in expert and info.byte_count == expert[info.name].nbytes
        assert archive.info["experts"][0]["name"] in repr(archive)
        assert "tensor_list" in archive.describe()["experts"][0]
        assert {each.origin for each in archive.shared.tensors.values()} == {"shared"}


def test_dtypes_of_numpy(zoo):
    with tmpack.open(zoo / "embedded.tmpack") as archive:
        own = archive["math"].load()
        half = archive["math"].load(dtype="bf16")
        assert half["large.weight"].dtype == ml_dtypes.bfloat16 and half["ids"].dtype == np.int64
        assert np.array_equal(half["large.weight"], own["large.weight"].astype(ml_dtypes.bfloat16))
        eighth = archive["math"].load(dtype=ml_dtypes.float8_e4m3fn)
        assert np.array_equal(
            eighth["emb.weight"].view(np.uint8), own["emb.weight"].astype(ml_dtypes.float8_e4m3fn).view(np.uint8)
        )
        with pytest.raises(tmpack.UsageError):
            archive["math"].load(dtype="int3")


def test_float8_tensors_keep_their_bytes():
    golden = next(each for each in ALL_GOLDEN if each.name == "difference-f8_e4m3")
    with golden.open() as archive:
        kinds = {each.dtype for each in archive[archive.experts[0]].load().values()}
    assert np.dtype(ml_dtypes.float8_e4m3fn) in kinds


def test_buffers_of_the_caller(zoo):
    with tmpack.open(zoo / "embedded.tmpack") as archive:
        mix = archive.mix({"math": 0.5, "code": 0.5})
        expected = mix.load()
        room = {name: bytearray(mix.tensors[name].byte_count) for name in mix}
        mix.read_into(room)
        assert all(bytes(room[name]) == expected[name].tobytes() for name in mix)
        unaligned = np.zeros(mix.tensors["large.weight"].byte_count + 1, np.uint8)[1:]
        mix.read_into({"large.weight": unaligned}, threads=1)
        assert unaligned.tobytes() == expected["large.weight"].tobytes()
        with pytest.raises(tmpack.UsageError):
            mix.read_into({"large.weight": np.zeros(3)})
        with pytest.raises(tmpack.UsageError):
            mix.read_into({"large.weight": expected["large.weight"].T})
        with pytest.raises(tmpack.UsageError):
            mix.read_into({"large.weight": bytes(mix.tensors["large.weight"].byte_count)})
        both = np.zeros(mix.tensors["emb.weight"].byte_count, np.uint8)
        address = (both.ctypes.data, both.nbytes)
        with pytest.raises(tmpack.UsageError, match="overlaps"):
            mix.read_into({"emb.weight": address, "head.bias": (both.ctypes.data + 8, mix.tensors["head.bias"].byte_count)})


def test_verification(zoo, tmp_path):
    with tmpack.open(zoo / "embedded.tmpack") as archive:
        for level in ("quick", "full", "deep"):
            assert archive.verify(level).usable_experts == ["math", "code"]
        with pytest.raises(tmpack.UsageError):
            archive.verify("thorough")
    damaged = bytearray((zoo / "embedded.tmpack").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "damaged.tmpack").write_bytes(damaged)
    report = tmpack.open(tmp_path / "damaged.tmpack").verify()
    assert not report and report.faults and report.faults[0].code == "digest-mismatch"
    assert report.faults[0].file == str(tmp_path / "damaged.tmpack")


def test_safe_open_as_that_of_safetensors(zoo):
    with tmpack.safe_open(zoo / "embedded.tmpack", framework="np", expert="math") as file:
        names = file.keys()
        assert "large.weight" in names
        assert np.array_equal(file.get_tensor("ids"), np.arange(12))
        assert file.get_slice("large.weight")[:2].shape == (2, 512)
        assert file.get_tensors(["ids"]).keys() == {"ids"}
        with pytest.raises(tmpack.UnknownName):
            file.get_tensor("none")
    with pytest.raises(tmpack.UsageError, match="math, code"):
        tmpack.safe_open(zoo / "embedded.tmpack", framework="np")


def test_detached_archives(zoo):
    with tmpack.open(zoo / "detached.tmpack", zoo / "base.safetensors") as archive:
        assert archive.is_detached
        with tmpack.open(zoo / "detached.tmpack") as alone:
            assert alone.experts == archive.experts
            with pytest.raises(tmpack.UsageError, match="detached"):
                alone["math"].load()
        assert archive["math"].load().keys() == raw_tensors(zoo / "math.safetensors").keys()
    with pytest.raises(tmpack.BaseMismatch):
        tmpack.open(GOLDEN / "detached.tmpack", zoo / "base.safetensors")
    with pytest.raises(tmpack.UsageError, match="holds its shared model itself"):
        tmpack.open(zoo / "embedded.tmpack", zoo / "base.safetensors")


def test_a_wrong_base_is_found_when_it_is_read(zoo, tmp_path):
    wrong = bytearray((zoo / "base.safetensors").read_bytes())
    wrong[-1] ^= 1
    (tmp_path / "wrong.safetensors").write_bytes(wrong)
    with tmpack.open(zoo / "detached.tmpack", tmp_path / "wrong.safetensors") as archive:
        with pytest.raises(tmpack.BaseMismatch) as caught:
            archive["math"].load()
        assert caught.value.tensor and caught.value.file


def test_errors_say_what_and_where(zoo, tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        tmpack.open(tmp_path / "none.tmpack")
    assert caught.value.code == "not-found" and caught.value.file == str(tmp_path / "none.tmpack")
    with pytest.raises(tmpack.UnknownName, match="it has: math, code"):
        tmpack.open(zoo / "embedded.tmpack")["none"]
    with pytest.raises(tmpack.FormatError):
        tmpack.open(zoo / "base.safetensors")
    with pytest.raises(tmpack.UsageError):
        tmpack.open(zoo / "embedded.tmpack").mix({"math": float("nan")})
    with pytest.raises(ValueError):
        tmpack.open("a\0b")
    with pytest.raises(KeyError):
        tmpack.open(zoo / "embedded.tmpack")["math"]["none"]
    archive = tmpack.open(zoo / "embedded.tmpack")
    mix = archive["math"]
    archive.close()
    with pytest.raises(tmpack.UsageError, match="handle"):
        archive.mix()
    assert mix["ids"].shape == (12,)
    mix.close()
    with pytest.raises(tmpack.UsageError, match="handle"):
        mix["ids"]
