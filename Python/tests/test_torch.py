"""Experts in torch: loading, loading in place, switching."""

import numpy as np
import pytest

import tmpack

torch = pytest.importorskip("torch")
import tmpack.torch  # noqa: E402


def model_like(tensors, dtype=None):
    module = torch.nn.Module()
    for name, tensor in tensors.items():
        *path, leaf = name.split(".")
        parent = module
        for part in path:
            if not hasattr(parent, part):
                parent.add_module(part, torch.nn.Module())
            parent = getattr(parent, part)
        tensor = torch.zeros_like(tensor)
        if tensor.is_floating_point():
            parent.register_parameter(leaf, torch.nn.Parameter(tensor.to(dtype or tensor.dtype)))
        else:
            parent.register_buffer(leaf, tensor)
    return module


def equal(state, expected):
    return state.keys() == expected.keys() and all(
        torch.equal(state[name].detach().contiguous().view(torch.uint8), expected[name].contiguous().view(torch.uint8))
        for name in expected
    )


def test_load_file(zoo):
    own = tmpack.torch.load_file(zoo / "embedded.tmpack", expert="math")
    with tmpack.open(zoo / "embedded.tmpack") as archive:
        for name, array in archive["math"].load("np").items():
            assert np.array_equal(own[name].numpy(), array)
        half = tmpack.torch.load_file(zoo / "embedded.tmpack", expert="math", dtype=torch.bfloat16)
        assert half["large.weight"].dtype == torch.bfloat16 and half["ids"].dtype == torch.int64
        assert torch.equal(half["large.weight"], own["large.weight"].bfloat16())
        eighth = archive["math"].load("pt", dtype=torch.float8_e4m3fn)
        assert eighth["emb.weight"].dtype == torch.float8_e4m3fn
    with tmpack.torch.safe_open(zoo / "embedded.tmpack", framework="pt", weights={"math": 1, "code": 1}) as file:
        assert file.get_slice("large.weight")[3:5].shape == (2, 512)


@pytest.mark.parametrize("name, base", [("embedded", None), ("detached", "base.safetensors")])
def test_load_into_a_model(zoo, name, base):
    with tmpack.open(zoo / f"{name}.tmpack", base and zoo / base) as archive:
        weights = {"math": 0.7, "code": 0.3}
        expected = archive.mix(weights).load("pt")
        model = model_like(expected)
        places = {key: tensor.data_ptr() for key, tensor in model.state_dict().items()}
        assert tmpack.torch.load_into(model, archive, weights) == ([], [])
        assert equal(model.state_dict(), expected)
        assert places == {key: tensor.data_ptr() for key, tensor in model.state_dict().items()}
        half = model_like(expected, torch.bfloat16)
        tmpack.torch.load_into(half, archive, weights)
        assert equal(half.state_dict(), archive.mix(weights, dtype="bf16").load("pt"))
        # What neither has the archive's dtype nor one dtype, and what is not contiguous, is copied.
        mixed = {key: tensor.clone() for key, tensor in expected.items()}
        mixed["emb.weight"] = torch.zeros(400, 96, dtype=torch.float64)
        mixed["large.weight"] = torch.zeros(512, 1536).T
        tmpack.torch.load_into(mixed, archive, weights)
        assert torch.equal(mixed["emb.weight"], expected["emb.weight"].double())
        assert torch.equal(mixed["large.weight"], expected["large.weight"])


def test_load_into_other_models(zoo):
    with tmpack.open(zoo / "embedded.tmpack") as archive:
        expected = archive["math"].load("pt")
        fewer = {key: tensor for key, tensor in expected.items() if key != "ids"}
        with pytest.raises(tmpack.UsageError, match="unexpected are ids"):
            tmpack.torch.load_into(model_like(fewer), archive, "math")
        assert tmpack.torch.load_into(model_like(fewer), archive, "math", strict=False).unexpected_keys == ["ids"]
        more = dict(expected, more=torch.zeros(2))
        with pytest.raises(tmpack.UsageError, match="missing are more"):
            tmpack.torch.load_into(model_like(more), archive, "math")
        # What transformers never saves.
        own = model_like(more)
        own._keys_to_ignore_on_save = {"more"}
        assert tmpack.torch.load_into(own, archive, "math").missing_keys == []
        assert torch.equal(own.state_dict()["emb.weight"], expected["emb.weight"])
        other = dict(expected, **{"head.bias": torch.zeros(3)})
        with pytest.raises(tmpack.UsageError, match="in the model"):
            tmpack.torch.load_into(other, archive, "math", strict=False)
        with torch.device("meta"):
            meta = {key: torch.empty_like(tensor) for key, tensor in expected.items()}
            meta = {key: tensor.to("meta") for key, tensor in meta.items()}
        with pytest.raises(tmpack.UsageError, match="meta"):
            tmpack.torch.load_into(meta, archive, "math")


def test_ties(tmp_path, tool):
    base = {"emb.weight": np.ones((40, 8), np.float32), "w": np.ones((8, 8), np.float32)}
    expert = {name: value * np.float32(1.5) for name, value in base.items()}
    tmpack.pack(base, {"e": expert}, tmp_path / "tied.tmpack", shared="base", lossless=True)
    with tmpack.open(tmp_path / "tied.tmpack") as archive:
        model = model_like(archive["e"].load("pt"))
        model.head = torch.nn.Linear(8, 40, bias=False)
        model.head.weight = model.emb.weight
        tmpack.torch.load_into(model, archive, "e")
        assert torch.equal(model.head.weight, torch.full((40, 8), 1.5))
    # Both are in the archive, and differ: no tied model can hold that.
    both = dict(base, **{"head.weight": np.ones((40, 8), np.float32)})
    untied = dict(expert, **{"head.weight": np.full((40, 8), 9, np.float32)})
    tmpack.pack(both, {"e": untied}, tmp_path / "untied.tmpack", shared="base", lossless=True)
    with tmpack.open(tmp_path / "untied.tmpack") as archive:
        tmpack.torch.load_into(model, archive)
        with pytest.raises(tmpack.UsageError, match="untie"):
            tmpack.torch.load_into(model, archive, "e")


@pytest.mark.parametrize("keep", [False, True])
def test_switcher(zoo, keep):
    with tmpack.open(zoo / "detached.tmpack", zoo / "base.safetensors", keep=keep) as archive:
        model = model_like(archive.shared.load("pt"))
        switcher = tmpack.torch.Switcher(model, archive)
        assert switcher.switch("math") == 5
        assert equal(model.state_dict(), archive["math"].load("pt"))
        assert switcher.switch("math") == 0
        assert switcher.switch({"code": 1.0}) == 3  # two tensors are the shared model's in both
        assert equal(model.state_dict(), archive["code"].load("pt"))
        mix = {"math": 0.5, "code": 0.5}
        with switcher.using(mix) as used:
            assert used is model and switcher.current == mix
            assert equal(model.state_dict(), archive.mix(mix).load("pt"))
        assert equal(model.state_dict(), archive["code"].load("pt"))
        with pytest.raises(tmpack.UnknownName):
            switcher.switch("none")
        switcher.switch(None)
        assert equal(model.state_dict(), archive.shared.load("pt"))


def test_calibration(tmp_path):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Embedding(10, 6), torch.nn.Linear(6, 4), torch.nn.Linear(4, 3))
    batches = [torch.randint(10, (5, 7)) for _ in range(3)]
    statistics = tmpack.calibrate(model, batches, tmp_path / "s.safetensors")
    inputs = torch.cat([model[0](batch).reshape(-1, 6) for batch in batches]).detach()
    assert torch.allclose(statistics["1.weight.gram"], inputs.T @ inputs / len(inputs), atol=1e-5)
    assert statistics["0.weight.counts"].sum() == pytest.approx(1)
    assert (tmp_path / "s.safetensors").stat().st_size > 0
    assert set(statistics) == {"0.weight.counts", "1.weight.gram", "2.weight.gram"}
    with_loss = tmpack.calibrate(model, batches, loss=lambda output, batch: output.square().sum())
    outputs = model(torch.cat(batches)).detach().reshape(-1, 3) * 2
    assert torch.allclose(with_loss["2.weight.gram0"], outputs.T @ outputs / len(outputs), atol=1e-4)
    assert {"0.weight.gram1", "1.weight.gram0"} <= set(with_loss)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model[1]._forward_hooks and not model[1]._forward_pre_hooks
