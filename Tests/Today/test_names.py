"""One model, whatever its tensors are called: names in memory and on disk, stacks of experts, wrappers, adapters in and out."""

import json
import os
import pathlib
import subprocess
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")

import pytest
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()

TOOL = os.environ["TMPACK"]
TEXT = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, head_dim=8, max_position_embeddings=64)
VISION = dict(hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=16,
              patch_size=8)


def text_of(cls, **more):
    return cls(**{**TEXT, **more})


def model(name, seed=0):
    """A model of an architecture with random weights, all of them other than at its making."""
    t = transformers
    torch.manual_seed(seed)
    if name == "llama":
        built = t.LlamaForCausalLM(text_of(t.LlamaConfig))
    elif name == "mistral":
        built = t.MistralForCausalLM(text_of(t.MistralConfig))
    elif name == "qwen2":
        built = t.Qwen2ForCausalLM(text_of(t.Qwen2Config))
    elif name == "qwen3":
        built = t.Qwen3ForCausalLM(text_of(t.Qwen3Config))
    elif name == "qwen3_moe":
        built = t.Qwen3MoeForCausalLM(text_of(t.Qwen3MoeConfig, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16))
    elif name == "mixtral":
        built = t.MixtralForCausalLM(text_of(t.MixtralConfig, num_local_experts=3, num_experts_per_tok=2))
    elif name == "gpt_oss":
        built = t.GptOssForCausalLM(text_of(t.GptOssConfig, num_local_experts=4, num_experts_per_tok=2))
    elif name == "deepseek_v3":
        built = t.DeepseekV3ForCausalLM(t.DeepseekV3Config(
            vocab_size=64, hidden_size=32, intermediate_size=48, moe_intermediate_size=16, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=4, n_routed_experts=4, num_experts_per_tok=2, n_group=2, topk_group=1,
            first_k_dense_replace=1, kv_lora_rank=8, q_lora_rank=8, qk_rope_head_dim=8, qk_nope_head_dim=8, v_head_dim=8))
    elif name == "gemma3_text":
        built = t.Gemma3ForCausalLM(text_of(t.Gemma3TextConfig))
    elif name == "gemma3":
        built = t.Gemma3ForConditionalGeneration(t.Gemma3Config(
            text_config=TEXT, vision_config=dict(VISION, model_type="siglip_vision_model"), mm_tokens_per_image=4))
    elif name == "phi3":
        built = t.Phi3ForCausalLM(text_of(t.Phi3Config, pad_token_id=0))
    elif name == "qwen2_vl":
        built = t.Qwen2VLForConditionalGeneration(t.Qwen2VLConfig(
            text_config=dict(TEXT, rope_parameters={"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}),
            vision_config=dict(depth=2, embed_dim=32, hidden_size=32, num_heads=2, mlp_ratio=2)))
    elif name == "qwen2_5_vl":
        built = t.Qwen2_5_VLForConditionalGeneration(t.Qwen2_5_VLConfig(
            text_config=dict(TEXT, rope_parameters={"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}),
            vision_config=dict(depth=2, hidden_size=32, intermediate_size=48, num_heads=2, out_hidden_size=32)))
    elif name == "llava":
        built = t.LlavaForConditionalGeneration(t.LlavaConfig(
            vision_config=t.CLIPVisionConfig(**VISION, projection_dim=16), text_config=text_of(t.LlamaConfig)))
    elif name == "vit":
        built = t.ViTForImageClassification(t.ViTConfig(**VISION, num_labels=5))
    elif name == "clip":
        built = t.CLIPModel(t.CLIPConfig(
            text_config=dict(vocab_size=64, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2),
            vision_config=VISION, projection_dim=16))
    elif name == "siglip":
        built = t.SiglipModel(t.SiglipConfig(
            text_config=dict(vocab_size=64, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2),
            vision_config=VISION))
    elif name == "whisper":
        built = t.WhisperForConditionalGeneration(t.WhisperConfig(
            vocab_size=64, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=48, decoder_ffn_dim=48, pad_token_id=0, bos_token_id=1, eos_token_id=2,
            decoder_start_token_id=1))
    elif name == "t5":
        built = t.T5ForConditionalGeneration(t.T5Config(
            vocab_size=64, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, decoder_start_token_id=0))
    elif name == "bert":
        built = t.BertForSequenceClassification(t.BertConfig(
            vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48))
    elif name == "gpt2":
        built = t.GPT2LMHeadModel(t.GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=2, n_positions=64))
    elif name == "gpt_neox":
        built = t.GPTNeoXForCausalLM(t.GPTNeoXConfig(
            vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4))
    elif name == "granitemoe":
        built = t.GraniteMoeForCausalLM(text_of(t.GraniteMoeConfig, num_local_experts=4, num_experts_per_tok=2))
    else:
        raise KeyError(name)
    return built.eval()


def tuned(name, seed):
    """The base, of which some matrices are changed."""
    built = model(name)
    torch.manual_seed(100 + seed)
    with torch.no_grad():
        for key, value in built.named_parameters():
            if value.dim() >= 2 and ("1" in key or "layer" not in key):
                value.add_(0.02 * torch.randn_like(value))
    return built


def run(*arguments, code=0):
    done = subprocess.run([TOOL, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def tensors(folder):
    found = {}
    for path in sorted(pathlib.Path(folder).glob("*.safetensors")):
        found.update(load_file(path))
    return found


def assert_same(left, right, tolerance=0.0):
    left, right = (tensors(x) if not isinstance(x, dict) else x for x in (left, right))
    assert left.keys() == right.keys(), sorted(left.keys() ^ right.keys())[:4]
    for name, value in left.items():
        assert value.dtype == right[name].dtype and value.shape == right[name].shape, name
        if tolerance:
            error = (value.float() - right[name].float()).norm() / (value.float().norm() + 1e-30)
            assert error <= tolerance, (name, float(error))
        else:
            assert torch.equal(value, right[name]), name


ALL = ["llama", "mistral", "qwen2", "qwen3", "qwen3_moe", "mixtral", "gpt_oss", "deepseek_v3", "gemma3_text", "gemma3", "phi3",
       "qwen2_vl", "qwen2_5_vl", "llava", "vit", "clip", "siglip", "whisper", "t5", "bert", "gpt2", "gpt_neox", "granitemoe"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folders of a base and two experts, under the names on disk and those in memory."""
    known = {}

    def make(name):
        if name not in known:
            folder = tmp_path_factory.mktemp(name)
            for kind, built in (("base", model(name)), ("one", tuned(name, 1)), ("two", tuned(name, 2))):
                built.save_pretrained(folder / f"{kind}-disk")
                built.save_pretrained(folder / f"{kind}-memory", save_original_format=False)
            known[name] = folder
        return known[name]

    return make


@pytest.mark.parametrize("name", ALL)
def test_both_namings_compare_equal(made, name):
    folder = made(name)
    for a, b in (("disk", "memory"), ("memory", "disk")):
        run("compare", folder / f"one-{a}", folder / f"one-{b}", "--require-equal")
    assert "equal bit for bit" not in run("compare", folder / "base-disk", folder / "one-memory")


@pytest.mark.parametrize("name", ALL)
def test_packing_across_namings_is_exact_and_small(made, name, tmp_path):
    folder = made(name)
    for a, b in (("disk", "memory"), ("memory", "disk")):
        run("pack", "--base", folder / f"base-{a}", "--expert", f"one={folder}/one-{b}", "--expert", f"same={folder}/base-{b}",
            "--shared", "base", "--lossless", "-o", tmp_path / f"{a}.tmpack")
        inspected = json.loads(run("inspect", tmp_path / f"{a}.tmpack", "--json"))
        assert inspected["experts"][1]["factors"] == {}, inspected["experts"][1]
        run("compare", f"{tmp_path}/{a}.tmpack#one", folder / f"one-{b}", "--require-equal")
        run("verify", tmp_path / f"{a}.tmpack", "--source", f"one={folder}/one-{b}")
        run("verify", tmp_path / f"{a}.tmpack", "--source", f"one={folder}/one-{a}")


@pytest.mark.parametrize("name", ALL)
def test_merging_across_namings_is_that_of_one_naming(made, name, tmp_path):
    folder = made(name)
    for a, b in (("disk", "memory"), ("memory", "disk")):
        experts = [("--expert", f"one={folder}/one-{x}", "--expert", f"two={folder}/two-{y}") for x, y in ((a, a), (b, a), (b, b))]
        for number, given in enumerate(experts):
            run("merge", "task-arithmetic", "--base", folder / f"base-{a}", *given, "-o", tmp_path / f"{a}{number}")
        assert_same(tmp_path / f"{a}0", tmp_path / f"{a}1")
        assert_same(tmp_path / f"{a}0", tmp_path / f"{a}2")
    merged = {x: type(model(name)).from_pretrained(tmp_path / f"{x}0").state_dict() for x in ("disk", "memory")}
    assert_same(merged["disk"], merged["memory"])


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod.", "module._orig_mod.", "base_model.model.", "bare"])
@pytest.mark.parametrize("name", ["llama", "bert", "mixtral"])
def test_wrappers(made, name, wrapper, tmp_path):
    folder = made(name)
    own = tensors(folder / "one-disk")
    prefix = {"llama": "model.", "bert": "bert.", "mixtral": "model."}[name]
    names = {k: k.removeprefix(prefix) if wrapper == "bare" else wrapper + k for k in own}
    save_file({names[k]: v for k, v in own.items()}, tmp_path / "wrapped.safetensors")
    run("compare", folder / "one-disk", tmp_path / "wrapped.safetensors", "--require-equal")
    run("compare", tmp_path / "wrapped.safetensors", folder / "one-memory", "--require-equal")


MODULES = {"llava": ["q_proj", "v_proj"], "gemma3": ["q_proj", "v_proj"], "qwen2_vl": ["q_proj", "v_proj"], "qwen2_5_vl": ["q_proj", "v_proj"],
           "vit": ["q_proj", "v_proj"], "llama": ["q_proj", "v_proj"], "mixtral": ["q_proj", "v_proj"],
           "gpt_neox": ["query_key_value"], "qwen3_moe": ["q_proj"]}


def adapted(name, folder):
    """An adapter as peft saves it, and the model that it makes."""
    base = type(model(name)).from_pretrained(folder / "base-disk")
    peft = get_peft_model(base, LoraConfig(r=2, lora_alpha=4, target_modules=MODULES[name]))
    torch.manual_seed(5)
    for parameter in peft.parameters():
        if parameter.requires_grad:
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    peft.save_pretrained(folder / "lora")
    return peft.merge_and_unload()


@pytest.mark.parametrize("name", list(MODULES))
def test_adapters_in_and_out(made, name, tmp_path):
    folder = made(name)
    merged = adapted(name, folder)
    want = {k: v.detach() for k, v in merged.state_dict().items()}
    for form in ("disk", "memory"):
        run("pack", "--base", folder / f"base-{form}", "--expert", f"x={folder}/lora", "--shared", "base",
            "--rank", 2, "--factor-dtype", "f32", "-o",
            tmp_path / f"{form}.tmpack")
        run("unpack", tmp_path / f"{form}.tmpack", "--expert", "x", "-o", tmp_path / f"{form}-x")
        got = type(model(name)).from_pretrained(tmp_path / f"{form}-x").state_dict()
        assert_same(want, {k: got[k] for k in want}, 1e-6)
        run("merge", "task-arithmetic", "--lambda", "1", "--base", folder / f"base-{form}", "--expert", f"x={folder}/lora", "-o",
            tmp_path / f"{form}-merged")
        got = type(model(name)).from_pretrained(tmp_path / f"{form}-merged").state_dict()
        assert_same(want, {k: got[k] for k in want}, 1e-6)
        run("export", "--peft", f"{tmp_path}/{form}.tmpack#x", "-o", tmp_path / f"{form}-lora", "--shared-out", tmp_path / f"{form}-shared")
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            base = type(model(name)).from_pretrained(tmp_path / f"{form}-shared")
            again = PeftModel.from_pretrained(base, tmp_path / f"{form}-lora").merge_and_unload().state_dict()
        assert not [w for w in said if "adapter keys" in str(w.message)], [str(w.message)[:200] for w in said]
        assert_same(want, {k: again[k] for k in want}, 1e-6)
