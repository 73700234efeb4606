"""Names, ties and ways to save that only a few families have: adapters in and out as peft 0.21.2 has them, model files of Meta's layout."""

import json
import warnings

import pytest
import torch
import transformers as hf
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

from test_adapter_families import gemma3, seeded, tmpack, train

warnings.filterwarnings("ignore")
SMALL = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)


def llama():
    return seeded(hf.LlamaForCausalLM, hf.LlamaConfig(**SMALL))


def exaone():
    return seeded(hf.LlamaForCausalLM, hf.CONFIG_MAPPING["exaone"](**SMALL))


def olmoe():
    return seeded(hf.OlmoeForCausalLM, hf.OlmoeConfig(**SMALL, num_experts=4, num_experts_per_tok=2))


def prophetnet():
    return seeded(hf.ProphetNetForConditionalGeneration, hf.ProphetNetConfig(
        vocab_size=64, hidden_size=32, encoder_ffn_dim=48, decoder_ffn_dim=48, num_encoder_layers=1, num_decoder_layers=1,
        num_encoder_attention_heads=4, num_decoder_attention_heads=4, max_position_embeddings=64))


def marian():
    return seeded(hf.MarianMTModel, hf.MarianConfig(
        vocab_size=64, d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4, decoder_attention_heads=4,
        encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=32, pad_token_id=0, decoder_start_token_id=0))


def load(folder):
    return {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}


def assert_same(ours, theirs):
    assert sorted(ours) == sorted(theirs)
    for name, right in theirs.items():
        error = (ours[name].double() - right.double()).abs().max() / right.double().abs().max().clamp(min=1e-6)
        assert error < 1e-5, (name, error)


def adapted(folder, build, **config):
    build().save_pretrained(folder / "base")
    model = get_peft_model(build(), LoraConfig(**config))
    train(model)
    model.save_pretrained(folder / "adapter")
    PeftModel.from_pretrained(build(), folder / "adapter").merge_and_unload().save_pretrained(folder / "right")


def merged(folder):
    return tmpack(
        "merge", "task-arithmetic", "--lambda", "1", "--base", folder / "base", "--expert", f"x={folder / 'adapter'}",
        "-o", folder / "out")


@pytest.mark.parametrize("build,config", [
    (olmoe, dict(r=2, lora_alpha=3, target_modules="all-linear")),
    (exaone, dict(r=2, lora_alpha=3, target_modules="all-linear")),
    (prophetnet, dict(r=2, lora_alpha=3, target_modules=["relative_pos_embeddings", "query_proj"])),
], ids=["router", "names of another class", "linear called embedding"])
def test_exported_adapters_load(build, config, tmp_path):
    adapted(tmp_path, build, **config)
    for arguments in (
        ("pack", "--base", tmp_path / "base", "--expert", f"x={tmp_path / 'adapter'}", "--shared", "base", "--factor-dtype", "f32",
         "-o", tmp_path / "x.tmpack"),
        ("export", "--peft", tmp_path / "x.tmpack#x", "-o", tmp_path / "again"),
    ):
        run = tmpack(*arguments)
        assert run.returncode == 0, run.stderr
    PeftModel.from_pretrained(build(), tmp_path / "again").merge_and_unload().save_pretrained(tmp_path / "out")
    assert_same(load(tmp_path / "out"), load(tmp_path / "right"))


@pytest.mark.parametrize("build,targets", [(marian, ["q_proj", "lm_head"]), (gemma3, ["lm_head"])])
def test_updates_of_output_layers_that_the_file_lacks(build, targets, tmp_path):
    adapted(tmp_path, build, r=4, lora_alpha=6, target_modules=targets)
    run = merged(tmp_path)
    assert run.returncode == 0, run.stderr
    assert_same(load(tmp_path / "out"), load(tmp_path / "right"))


@pytest.mark.parametrize("change", [
    {"target_modules": ["q_proj"]}, {"target_modules": r".*\.0\.self_attn\.q_proj"}, {"exclude_modules": ["v_proj"]},
    {"layers_to_transform": [0]},
])
def test_updates_that_peft_passes_over_are_refused(change, tmp_path):
    adapted(tmp_path, llama, r=4, target_modules=["q_proj", "v_proj"])
    path = tmp_path / "adapter/adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    run = merged(tmp_path)
    assert run.returncode == 3 and next(iter(change)) in run.stderr, run.stderr


def meta(model):
    """As Meta publishes it: pairs that positions turn lie side by side (convert_llama_weights_to_hf.py of transformers 4)."""
    names = [
        ("model.embed_tokens", "tok_embeddings"), ("lm_head", "output"), ("model.norm", "norm"), ("model.layers", "layers"),
        ("self_attn.q_proj", "attention.wq"), ("self_attn.k_proj", "attention.wk"), ("self_attn.v_proj", "attention.wv"),
        ("self_attn.o_proj", "attention.wo"), ("mlp.gate_proj", "feed_forward.w1"), ("mlp.down_proj", "feed_forward.w2"),
        ("mlp.up_proj", "feed_forward.w3"), ("input_layernorm", "attention_norm"), ("post_attention_layernorm", "ffn_norm")]
    tensors = {}
    for name, tensor in model.state_dict().items():
        if "q_proj" in name or "k_proj" in name:
            heads = SMALL["num_attention_heads" if "q_proj" in name else "num_key_value_heads"]
            rows, columns = tensor.shape
            tensor = tensor.view(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(rows, columns)
        for ours, theirs in names:
            name = name.replace(ours, theirs)
        tensors[name] = tensor.clone()
    return tensors


def test_files_of_meta_are_the_same_model(tmp_path):
    adapted(tmp_path, llama, r=4, target_modules=["q_proj", "v_proj"])
    (tmp_path / "meta").mkdir()
    torch.save(meta(llama()), tmp_path / "meta/consolidated.00.pth")
    (tmp_path / "meta/params.json").write_text(json.dumps(dict(dim=32, n_layers=2, n_heads=4, n_kv_heads=2)))
    run = tmpack("compare", tmp_path / "base", tmp_path / "meta", "--require-equal")
    assert run.returncode == 0, run.stdout + run.stderr
    (tmp_path / "base").rename(tmp_path / "hf")
    (tmp_path / "meta").rename(tmp_path / "base")
    run = merged(tmp_path)
    assert run.returncode == 0, run.stderr
    right = llama()
    right.load_state_dict(load(tmp_path / "right"), strict=False)
    assert_same(load(tmp_path / "out"), meta(right))
    (tmp_path / "base/params.json").unlink()
    run = tmpack("compare", tmp_path / "base", tmp_path / "hf/model.safetensors")
    assert run.returncode == 3 and "params.json" in run.stderr, run.stderr


def test_dense_of_sentence_transformers_beside_an_adapter(tmp_path):
    build = lambda: seeded(hf.BertModel, hf.BertConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4, max_position_embeddings=32))
    adapted(tmp_path, build, r=4, target_modules=["query"])
    for name in ("base", "adapter"):
        (tmp_path / name / "2_Dense").mkdir()
        save_file({"linear.weight": torch.randn(16, 32)}, tmp_path / name / "2_Dense/model.safetensors")
        (tmp_path / name / "modules.json").write_text(json.dumps([
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}]))
    run = merged(tmp_path)
    assert run.returncode == 0, run.stderr
    assert_same(load(tmp_path / "out/2_Dense"), load(tmp_path / "adapter/2_Dense"))
