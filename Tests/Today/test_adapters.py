"""LoRA adapters of today's peft on models of today's transformers: what tmpack makes of them is what `merge_and_unload`
makes, tensor by tensor, with a configuration that transformers loads to the same logits; what cannot be merged is refused.

Environment: TMPACK, the path of the tool (default: the debug build).
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")
pytest = __import__("pytest")
torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = os.environ.get("TMPACK", str(ROOT / ".build/debug/tmpack"))
IDS = torch.arange(12)[None]


def tmpack(*arguments):
    return subprocess.run([TOOL, *map(str, arguments)], capture_output=True, text=True)


def done(*arguments):
    run = tmpack(*arguments)
    assert run.returncode == 0, run.stderr
    return run


def llama(**options):
    torch.manual_seed(0)
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**{**dict(
        vocab_size=24, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=4, tie_word_embeddings=False), **options}))


def tied(**options):
    return llama(tie_word_embeddings=True, **options)


def gpt2():
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(
        vocab_size=24, n_positions=16, n_embd=16, n_layer=2, n_head=2))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.data.normal_(std=0.1)
    return model


def qwen2():
    """Its attention has biases, which `lora_bias` needs."""
    torch.manual_seed(0)
    return transformers.Qwen2ForCausalLM(transformers.Qwen2Config(
        vocab_size=24, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, tie_word_embeddings=False))


def mixtral():
    torch.manual_seed(0)
    return transformers.MixtralForCausalLM(transformers.MixtralConfig(
        vocab_size=24, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=4, num_local_experts=3, num_experts_per_tok=2))


def qwen3_moe():
    torch.manual_seed(0)
    return transformers.Qwen3MoeForCausalLM(transformers.Qwen3MoeConfig(
        vocab_size=24, hidden_size=16, intermediate_size=24, moe_intermediate_size=8, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=4, num_experts=3, num_experts_per_tok=2, head_dim=4))


def gpt_oss():
    """Its experts' matrices are [inputs, outputs], and `down_proj` is square."""
    torch.manual_seed(0)
    return transformers.GptOssForCausalLM(transformers.GptOssConfig(
        vocab_size=24, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=4, num_local_experts=3, num_experts_per_tok=2, head_dim=4,
        layer_types=["full_attention"]))


def train(model, seed=5):
    """A step that changes all that can be trained."""
    torch.manual_seed(seed)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def resized(model, rows):
    torch.manual_seed(9)
    model.resize_token_embeddings(rows)
    return model


def make(folder, build, resize=None, save={}, **config):
    """base/, adapter/ as peft saves it, merged/ as its `merge_and_unload` makes it of both after loading."""
    build().save_pretrained(folder / "base")
    begin = lambda: resized(build(), resize) if resize else build()
    model = train(get_peft_model(begin(), LoraConfig(**{**dict(r=4, lora_alpha=6), **config})))
    model.save_pretrained(folder / "adapter", **save)
    loaded = PeftModel.from_pretrained(begin(), folder / "adapter").eval()
    loaded.merge_and_unload().save_pretrained(folder / "merged")


def unpacked(folder, *options):
    """What is rebuilt from an archive with the adapter as an expert."""
    done("pack", "--base", folder / "base", "--expert", f"x={folder / 'adapter'}", "--shared", "base",
         *(options or ["--lossless"]), "-o", folder / "x.tmpack", "--force")
    done("unpack", folder / "x.tmpack", "--expert", "x", "-o", folder / "out")
    return folder / "out"


def merged(folder):
    done("merge", "task-arithmetic", "--lambda", "1", "--base", folder / "base",
         "--expert", f"x={folder / 'adapter'}", "-o", folder / "out-merge")
    return folder / "out-merge"


def compare(out, expected, tolerance=1e-6):
    actual, right = load_file(out / "model.safetensors"), load_file(expected / "model.safetensors")
    assert sorted(actual) == sorted(right)
    for name, tensor in right.items():
        assert actual[name].shape == tensor.shape and actual[name].dtype == tensor.dtype, name
        scale = tensor.float().abs().max().clamp(min=1e-3)
        assert (actual[name].float() - tensor.float()).abs().max() <= tolerance * scale, name
    ours, theirs = (json.loads((f / "config.json").read_text()) for f in (out, expected))
    for key in ("tie_word_embeddings", "vocab_size"):
        assert ours.get(key) == theirs.get(key), key
    kind = transformers.AutoModelForCausalLM
    with torch.no_grad():
        a, b = (kind.from_pretrained(f).eval()(IDS).logits for f in (out, expected))
    assert (a - b).abs().max() <= 1e-5 * b.abs().max()


ATTENTION = dict(target_modules=["q_proj", "v_proj"])
CASES = {
    "plain": (llama, ATTENTION),
    "patterns": (llama, dict(target_modules=["q_proj", "down_proj"], rank_pattern={"layers.0.self_attn.q_proj": 2},
                             alpha_pattern={"down_proj": 9})),
    "rslora": (llama, dict(**ATTENTION, use_rslora=True)),
    "dora": (llama, dict(target_modules=["q_proj", "down_proj"], use_dora=True)),
    "dora on an embedding": (llama, dict(target_modules=["q_proj", "embed_tokens"], use_dora=True)),
    "biases of LoRA's own": (qwen2, dict(**ATTENTION, lora_bias=True)),
    "all biases": (qwen2, dict(**ATTENTION, bias="all")),
    "biases of adapted modules": (qwen2, dict(**ATTENTION, bias="lora_only")),
    "no initialisation": (llama, dict(**ATTENTION, init_lora_weights=False)),
    "gaussian": (llama, dict(**ATTENTION, init_lora_weights="gaussian")),
    "orthogonal": (llama, dict(**ATTENTION, init_lora_weights="orthogonal")),
    "eva": (llama, dict(**ATTENTION, init_lora_weights="eva")),
    "mica": (llama, dict(**ATTENTION, init_lora_weights="mica")),
    "velora": (llama, dict(**ATTENTION, velora_config=peft.VeloraConfig(num_groups=4))),
    "monteclora": (llama, dict(**ATTENTION, monteclora_config=peft.MontecloraConfig())),
    "qalora without codes": (llama, dict(**ATTENTION, use_qalora=True)),
    "single tokens": (llama, dict(**ATTENTION, trainable_token_indices=[3, 7])),
    "single tokens of both": (llama, dict(
        **ATTENTION, trainable_token_indices={"embed_tokens": [3, 7], "lm_head": [3, 8]})),
    "tied, single tokens": (tied, dict(**ATTENTION, trainable_token_indices=[3, 7])),
    "tied, single tokens that differ": (tied, dict(
        **ATTENTION, trainable_token_indices={"embed_tokens": [3, 7], "lm_head": [3, 8]})),
    "tied, whole embedding": (tied, dict(**ATTENTION, modules_to_save=["embed_tokens"])),
    "tied, whole head": (tied, dict(**ATTENTION, modules_to_save=["lm_head"])),
    "tied, both whole": (tied, dict(**ATTENTION, modules_to_save=["embed_tokens", "lm_head"])),
    "tied, both the same": (tied, dict(**ATTENTION, modules_to_save=["embed_tokens"], ensure_weight_tying=True)),
    "tied, LoRA on the embedding": (tied, dict(target_modules=["q_proj", "embed_tokens"])),
    "tied, LoRA on the head": (tied, dict(target_modules=["q_proj", "lm_head"])),
    "tied, LoRA on both": (tied, dict(target_modules=["q_proj", "embed_tokens", "lm_head"])),
    "tied, one LoRA for both": (tied, dict(target_modules=["q_proj", "embed_tokens"], ensure_weight_tying=True)),
    "tied, whole embedding, LoRA on the head": (tied, dict(
        target_modules=["q_proj", "lm_head"], modules_to_save=["embed_tokens"])),
    "conv1d": (gpt2, dict(target_modules=["c_attn", "c_proj"], fan_in_fan_out=True)),
    "conv1d beside a linear": (gpt2, dict(target_modules=["c_proj", "lm_head"])),
    "square conv1d": (gpt2, dict(target_modules=["attn.c_proj"])),
    "dora on a conv1d": (gpt2, dict(target_modules=["attn.c_proj", "c_fc"], use_dora=True)),
    "gpt2, whole embedding": (gpt2, dict(target_modules=["c_attn"], modules_to_save=["wte"])),
}


@pytest.mark.parametrize("name", CASES)
def test_is_what_peft_merges(name, tmp_path):
    build, config = CASES[name]
    make(tmp_path, build, **config)
    compare(unpacked(tmp_path), tmp_path / "merged")


BOTH = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
EXPERTS = {
    "mixtral, all": (mixtral, dict(target_modules="all-linear")),
    "mixtral, by old names": (mixtral, dict(target_modules=["q_proj", "w1", "w2", "w3"], use_rslora=True)),
    "mixtral, one parameter": (mixtral, dict(target_modules=[], target_parameters=["experts.down_proj"])),
    "qwen3, all": (qwen3_moe, dict(target_modules="all-linear")),
    "qwen3, other ranks": (qwen3_moe, dict(
        target_modules=["q_proj"], target_parameters=BOTH, rank_pattern={"model.layers.0.mlp.experts.down_proj": 3},
        alpha_pattern={".*gate_up_proj": 5})),
    "gpt-oss": (gpt_oss, dict(target_modules=["q_proj"], target_parameters=BOTH)),
    "gpt-oss, square only": (gpt_oss, dict(target_modules=[], target_parameters=BOTH[1:])),
}


@pytest.mark.parametrize("layout", ["fused", "as saved"])
@pytest.mark.parametrize("name", EXPERTS)
def test_experts_are_what_peft_merges(name, layout, tmp_path):
    """On a base with stacks as in memory, and as the model is saved by default: a matrix for each expert of most."""
    build, config = EXPERTS[name]
    make(tmp_path, build, **config)
    if layout == "fused":
        for folder in ("base", "merged"):
            model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / folder)
            model.save_pretrained(tmp_path / f"fused-{folder}", save_original_format=False)
            shutil.rmtree(tmp_path / folder)
            (tmp_path / f"fused-{folder}").rename(tmp_path / folder)
    compare(unpacked(tmp_path), tmp_path / "merged")


@pytest.mark.parametrize("name", ["plain", "tied, whole embedding", "tied, whole head", "conv1d beside a linear"])
def test_merge_is_what_peft_merges(name, tmp_path):
    build, config = CASES[name]
    make(tmp_path, build, **config)
    compare(merged(tmp_path), tmp_path / "merged")


@pytest.mark.parametrize("name", ["single tokens", "tied, LoRA on the head", "square conv1d"])
def test_factors_are_what_peft_merges(name, tmp_path):
    build, config = CASES[name]
    make(tmp_path, build, **config)
    compare(unpacked(tmp_path, "--rank", "8", "--factor-dtype", "f32"), tmp_path / "merged", 4e-6)


def test_a_linear_beside_a_conv1d_makes_peft_write_false(tmp_path):
    """What the case above is about; a release that no longer does so needs it no more."""
    make(tmp_path, gpt2, target_modules=["c_proj", "lm_head"], fan_in_fan_out=True)
    assert json.loads((tmp_path / "adapter/adapter_config.json").read_text())["fan_in_fan_out"] is False
    compare(unpacked(tmp_path), tmp_path / "merged")


def test_a_square_conv1d_is_told_by_its_namesakes_without_a_configuration(tmp_path):
    make(tmp_path, gpt2, target_modules=["attn.c_proj", "lm_head"])
    (tmp_path / "base/config.json").unlink()
    adapter = tmp_path / "adapter"
    weights = {k: v for k, v in load_file(adapter / "adapter_model.safetensors").items() if "lm_head" not in k}
    save_file(weights, adapter / "adapter_model.safetensors")
    done("pack", "--base", tmp_path / "base", "--expert", f"x={adapter}", "--shared", "base", "--lossless", "-o",
         tmp_path / "x.tmpack")
    done("unpack", tmp_path / "x.tmpack", "--expert", "x", "-o", tmp_path / "out.safetensors")
    name = "transformer.h.0.attn.c_proj.weight"
    out, base = load_file(tmp_path / "out.safetensors"), load_file(tmp_path / "base/model.safetensors")
    a, b = (weights[f"base_model.model.transformer.h.0.attn.c_proj.lora_{s}.weight"] for s in "AB")
    right = base[name] + 1.5 * (b @ a).T
    assert (out[name] - right).abs().max() <= 1e-6


@pytest.mark.parametrize("kind", ["untied", "tied"])
@pytest.mark.parametrize("rows", [20, 30])
def test_resized_vocabulary(kind, rows, tmp_path):
    make(tmp_path, llama if kind == "untied" else tied, resize=rows, save=dict(save_embedding_layers=True), **ATTENTION)
    compare(unpacked(tmp_path), tmp_path / "merged")


REFUSED = {
    "pissa": dict(init_lora_weights="pissa"),
    "pissa with iterations": dict(init_lora_weights="pissa_niter_4"),
    "olora": dict(init_lora_weights="OLORA"),
    "kasa": dict(kasa_config=peft.KasaConfig()),
    "alora": dict(alora_invocation_tokens=[1, 2]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name, tmp_path):
    llama().save_pretrained(tmp_path / "base")
    train(get_peft_model(llama(), LoraConfig(r=4, **ATTENTION, **REFUSED[name]))).save_pretrained(tmp_path / "adapter")
    run = tmpack("pack", "--base", tmp_path / "base", "--expert", f"x={tmp_path / 'adapter'}", "--shared", "base",
                 "--lossless", "-o", tmp_path / "x.tmpack")
    assert run.returncode == 3 and "adapter_config.json" in run.stderr, run.stderr
    assert not (tmp_path / "x.tmpack").exists()


def test_lora_ga(tmp_path):
    """As it is saved, it fits another base than the one it began with; converted, it is any LoRA."""
    from peft.tuners.lora import LoraGAConfig, preprocess_loraga
    model = llama()
    model.save_pretrained(tmp_path / "base")
    config = LoraConfig(r=4, **ATTENTION, init_lora_weights="lora_ga", lora_ga_config=LoraGAConfig())
    preprocess_loraga(model, config, lambda: model(IDS, labels=IDS).loss.backward())
    adapted = get_peft_model(model, config)
    adapted.save_pretrained(tmp_path / "initial")
    train(adapted)
    with torch.no_grad():
        logits = adapted(IDS).logits
    adapted.save_pretrained(tmp_path / "raw")
    adapted.save_pretrained(tmp_path / "adapter", path_initial_model_for_weight_conversion=str(tmp_path / "initial"))
    run = tmpack("pack", "--base", tmp_path / "base", "--expert", f"x={tmp_path / 'raw'}", "--shared", "base",
                 "--lossless", "-o", tmp_path / "raw.tmpack")
    assert run.returncode == 3 and "lora_ga" in run.stderr and "path_initial_model" in run.stderr
    with torch.no_grad():
        out = transformers.AutoModelForCausalLM.from_pretrained(unpacked(tmp_path)).eval()(IDS).logits
    assert (out - logits).abs().max() <= 1e-5 * logits.abs().max()


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", *sys.argv[1:]]))
