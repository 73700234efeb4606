"""What transformers, peft and vLLM's interface make of an archive. Skipped where they are not."""

import asyncio
import json
import logging
import sys
import types

import numpy as np
import pytest

import tmpack

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
import tmpack.transformers  # noqa: E402


def tiny(kind):
    torch.manual_seed(0)
    common = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4)
    if kind == "llama":
        return transformers.LlamaForCausalLM(transformers.LlamaConfig(**common, num_key_value_heads=2))
    if kind == "qwen2-tied":
        return transformers.Qwen2ForCausalLM(
            transformers.Qwen2Config(**common, num_key_value_heads=2, tie_word_embeddings=True)
        )
    if kind == "gpt2":
        return transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=4))
    if kind == "mixtral":
        return transformers.MixtralForCausalLM(
            transformers.MixtralConfig(**common, num_key_value_heads=2, num_local_experts=4)
        )
    return transformers.BertModel(transformers.BertConfig(**common))


def family(kind, folder):
    """A base and two experts as transformers saves them, packed."""
    base = tiny(kind)
    base.save_pretrained(folder / "base")
    (folder / "base" / "generation_config.json").write_text(json.dumps({"max_new_tokens": 7, "bos_token_id": 1}))
    for seed, name in enumerate(("math", "code")):
        expert = tiny(kind)
        torch.manual_seed(seed + 1)
        with torch.no_grad():
            for parameter in expert.parameters():
                if parameter.ndim == 2 and kind != "mixtral":
                    parameter += 0.02 * torch.randn(len(parameter), 2) @ torch.randn(2, parameter.shape[1])
                else:
                    parameter += 0.01 * torch.randn_like(parameter)
        expert.save_pretrained(folder / name)
        (folder / name / "generation_config.json").write_text(json.dumps({"max_new_tokens": 7, "bos_token_id": 1}))
    experts = {name: folder / name for name in ("math", "code")}
    tmpack.pack(folder / "base", experts, folder / "zoo.tmpack", shared="base", rank=4)
    return folder / "zoo.tmpack"


@pytest.mark.parametrize("kind", ["llama", "qwen2-tied", "gpt2", "mixtral", "bert"])
def test_models_of_transformers(kind, tmp_path, tool):
    path = family(kind, tmp_path)
    with tmpack.open(path) as archive:
        for number, weights in enumerate(("math", {"math": 0.7, "code": 0.3})):
            arguments = {"expert": "math"} if weights == "math" else {"weights": "math=0.7,code=0.3"}
            tmpack.unpack(path, tmp_path / f"out{number}", **arguments)
            expected = type(tiny(kind)).from_pretrained(tmp_path / f"out{number}")
            options = {"expert": "math"} if weights == "math" else {"weights": weights}
            model = tmpack.transformers.from_pretrained(archive, **options)
            assert type(model) is type(expected)
            same_state(model, expected)
            ids = torch.arange(6)[None]
            with torch.no_grad():
                assert torch.equal(model.eval()(ids)[0], expected.eval()(ids)[0])
            if kind != "bert":
                assert model.generation_config.max_new_tokens == 7
            # In the memory of a model that is there.
            other = tiny(kind)
            tmpack.torch.load_into(other, archive, weights)
            same_state(other, expected)
        assert tmpack.transformers.config(archive, "math").to_dict()["vocab_size"] == 64


def same_state(model, expected):
    own, other = model.state_dict(), expected.state_dict()
    assert own.keys() == other.keys()
    for name in own:
        assert torch.equal(own[name], other[name]), name


def test_an_adapter_for_peft(tmp_path, tool):
    peft = pytest.importorskip("peft")
    import tmpack.peft

    path = family("llama", tmp_path)
    state, config = tmpack.peft.adapter(path, "math")
    assert isinstance(config, peft.LoraConfig)
    base = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "base")
    model = peft.get_peft_model(base, config)
    result = peft.set_peft_model_state_dict(model, state)
    assert not result.unexpected_keys
    merged = model.merge_and_unload().state_dict()
    with tmpack.open(path) as archive:
        expected = archive["math"].load("pt")
    held = [name for name in expected if name.endswith("proj.weight")]
    assert held
    for name in held:
        assert torch.allclose(merged[name], expected[name], atol=1e-5), name


def test_a_resolver_for_vllm(tmp_path, tool, monkeypatch, caplog):
    """Against vLLM's interface as its 0.33.0 has it, or vLLM where it is installed."""
    try:
        import vllm  # noqa: F401
    except ImportError:
        registered = {}
        request = types.ModuleType("vllm.lora.request")
        request.LoRARequest = lambda lora_name, lora_int_id, lora_path: types.SimpleNamespace(
            lora_name=lora_name, lora_int_id=lora_int_id, lora_path=lora_path
        )
        resolver = types.ModuleType("vllm.lora.resolver")
        resolver.LoRAResolver = type("LoRAResolver", (), {})
        resolver.LoRAResolverRegistry = types.SimpleNamespace(register_resolver=registered.__setitem__)
        for name, module in (("vllm", types.ModuleType("vllm")), ("vllm.lora", types.ModuleType("vllm.lora"))):
            monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setitem(sys.modules, "vllm.lora.request", request)
        monkeypatch.setitem(sys.modules, "vllm.lora.resolver", resolver)
    import tmpack.vllm

    # Norms are no update of a matrix: an archive that has none of them changed is served.
    base = {f"model.layers.0.self_attn.{n}_proj.weight": np.eye(32, dtype=np.float32) for n in "qkvo"}
    chance = np.random.default_rng(2)
    expert = {
        name: (value + chance.standard_normal((32, 2)) @ chance.standard_normal((2, 32))).astype(np.float32)
        for name, value in base.items()
    }
    path = tmp_path / "lora.tmpack"
    tmpack.pack(base, {"math": expert}, path, shared="base", rank=2)
    found = tmpack.vllm.resolver(path, cache=str(tmp_path / "cache"))
    request = asyncio.run(found.resolve_lora("base", "math"))
    assert request.lora_name == "math" and request.lora_int_id >= 1
    settings = json.loads((tmp_path / "cache" / folder_of(request) / "adapter_config.json").read_text())
    assert settings["peft_type"] == "LORA" and not settings["modules_to_save"]
    assert asyncio.run(found.resolve_lora("base", "math")).lora_path == request.lora_path
    assert asyncio.run(found.resolve_lora("base", "none")) is None
    with caplog.at_level(logging.CRITICAL):
        assert asyncio.run(tmpack.vllm.resolver(tmp_path / "no.tmpack").resolve_lora("base", "math")) is None
    monkeypatch.setenv("TMPACK_VLLM_ARCHIVE", str(path))
    tmpack.vllm.register()


def folder_of(request):
    return "/".join(request.lora_path.split("/")[-2:])


def test_commands_say_what_is_wrong(tmp_path, tool):
    stages = []
    with pytest.raises(FileNotFoundError) as caught:
        tmpack.pack("none", {"a": "none"}, tmp_path / "z.tmpack", progress=lambda stage, share: stages.append(share))
    assert caught.value.code == "not-found"
    with pytest.raises(tmpack.UsageError):
        tmpack.run("pack", progress=False)
    base = {"w": np.ones((8, 8), np.float32)}
    report = tmpack.pack(base, {"a": base}, tmp_path / "z.tmpack", shared="average", set={"weight": 1.0}, lossless=True)
    assert report["experts"][0]["name"] == "a"
    assert tmpack.add(tmp_path / "z.tmpack", {"b": {"w": torch.full((8, 8), 2.0)}}, lossless=True)
    assert tmpack.open(tmp_path / "z.tmpack").experts == ["a", "b"]
    assert tmpack.compare(f"{tmp_path / 'z.tmpack'}#b", f"{tmp_path / 'z.tmpack'}#a")
    tmpack.remove(tmp_path / "z.tmpack", "a")
    assert tmpack.open(tmp_path / "z.tmpack").experts == ["b"]


def test_a_shared_model_that_is_stored_as_it_is(tmp_path, tool):
    chance = np.random.default_rng(5)
    base = {"w": chance.standard_normal((600, 500)).astype(np.float32)}
    expert = {"w": base["w"] + np.outer(np.ones(600), np.arange(500)).astype(np.float32)}
    paths = {is_mappable: tmp_path / f"{is_mappable}.tmpack" for is_mappable in (False, True)}
    for is_mappable, path in paths.items():
        tmpack.pack(base, {"a": expert}, path, shared="base", rank=2, mappable=is_mappable)
    with tmpack.open(paths[True]) as archive, tmpack.open(paths[False]) as other:
        assert archive.info["shared"]["mappable"] and "mappable" not in other.info["shared"]
        assert archive.verify()
        for weights in (None, "a", {"a": 0.5}):
            assert archive.mix(weights).load()["w"].tobytes() == other.mix(weights).load()["w"].tobytes()
        assert archive.shared["w"].tobytes() == base["w"].tobytes()
    assert base["w"].tobytes() in paths[True].read_bytes()
