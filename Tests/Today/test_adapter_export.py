"""`export --peft` beside peft 0.21.2: the adapter, loaded on the base, computes what the unpacked expert does, or says what it leaves out."""

import subprocess

import pytest
import torch
import transformers as hf
from peft import LoraConfig, PeftModel, get_peft_model

from test_adapter_families import IDS, TEXT, TOOL, bart, bert, gemma3, gpt2, mistral, outputs, seeded, smollm3, t5, train


def opt():
    """Its positions are embeddings whose class peft's updates do not fit."""
    return seeded(hf.OPTForCausalLM, hf.OPTConfig(
        vocab_size=64, hidden_size=32, ffn_dim=64, num_hidden_layers=1, num_attention_heads=4, word_embed_proj_dim=32,
        max_position_embeddings=64))


def mamba():
    return seeded(hf.MambaForCausalLM, hf.MambaConfig(
        vocab_size=64, hidden_size=32, state_size=4, num_hidden_layers=1))


def mixtral():
    return seeded(hf.MixtralForCausalLM, hf.MixtralConfig(**TEXT, num_local_experts=3, num_experts_per_tok=2))


def bert_classifier():
    return seeded(hf.BertForSequenceClassification, hf.BertConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
        max_position_embeddings=64, num_labels=3))


def roberta_classifier():
    """Its head has modules within."""
    return seeded(hf.RobertaForSequenceClassification, hf.RobertaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
        max_position_embeddings=64, num_labels=3))


def llama_classifier():
    return seeded(hf.LlamaForSequenceClassification, hf.LlamaConfig(**TEXT, num_labels=3, pad_token_id=0))


def llama_tagger():
    return seeded(hf.LlamaForTokenClassification, hf.LlamaConfig(**TEXT, num_labels=3, pad_token_id=0))


def tmpack(*arguments):
    return subprocess.run([TOOL, *map(str, arguments)], capture_output=True, text=True)


def packed(folder, build, config):
    """x.tmpack and what it unpacks to; of an expert that is changed everywhere without `config`."""
    build().save_pretrained(folder / "base")
    expert = train(get_peft_model(build(), LoraConfig(r=4, lora_alpha=6, **config)) if config else build())
    expert.save_pretrained(folder / "expert")
    for arguments in [
        ("pack", "--base", folder / "base", "--expert", f"x={folder / 'expert'}", "--shared", "base", "--factor-dtype", "f32",
         "-o", folder / "x.tmpack"),
        ("unpack", folder / "x.tmpack", "--expert", "x", "-o", folder / "out"),
    ]:
        run = tmpack(*arguments)
        assert run.returncode == 0, run.stderr


def adapter(folder, build, *options):
    run = tmpack("export", "--peft", folder / "x.tmpack#x", "-o", folder / "adapter", *options)
    assert run.returncode == 0, run.stderr
    return run.stderr


def assert_same(folder, build):
    base = type(build()).from_pretrained(folder / "base")
    got = outputs(PeftModel.from_pretrained(base, folder / "adapter"))
    want = outputs(type(build()).from_pretrained(folder / "out"))
    assert (got - want).norm() <= 1e-5 * want.norm()
    merged = PeftModel.from_pretrained(type(build()).from_pretrained(folder / "base"), folder / "adapter").merge_and_unload()
    assert (outputs(merged) - want).norm() <= 1e-5 * want.norm()


ATTENTION = dict(target_modules=["q_proj", "v_proj"])
CASES = {
    "gpt2, whole": (gpt2, None),
    "smollm3, whole": (smollm3, None),
    "opt, whole": (opt, None),
    "bert, whole": (bert, None),
    "tied, LoRA on the embedding": (smollm3, dict(target_modules=["q_proj", "embed_tokens"])),
    "tied, LoRA on the output layer": (gpt2, dict(target_modules=["c_attn", "lm_head"])),
    "tied, single tokens": (smollm3, dict(**ATTENTION, trainable_token_indices=[3, 7])),
    "tied, whole embedding": (smollm3, dict(**ATTENTION, modules_to_save=["embed_tokens"])),
    "gemma3, LoRA on the embedding": (gemma3, dict(target_modules=["q_proj", "embed_tokens"])),
    "bert, whole embedding": (bert, dict(target_modules=["query"], modules_to_save=["word_embeddings"])),
    "untied, whole embedding": (mistral, dict(**ATTENTION, modules_to_save=["embed_tokens"])),
    "all biases": (bert, dict(target_modules=["query"], bias="all")),
    "bert, classifier": (bert_classifier, dict(target_modules=["query"], task_type="SEQ_CLS")),
    "roberta, classifier": (roberta_classifier, dict(target_modules=["query"], task_type="SEQ_CLS")),
    "llama, classifier": (llama_classifier, dict(**ATTENTION, task_type="SEQ_CLS")),
    "llama, tagger": (llama_tagger, dict(**ATTENTION, task_type="TOKEN_CLS")),
}


@pytest.mark.parametrize("name", CASES)
def test_computes_what_the_expert_does(name, tmp_path):
    build, config = CASES[name]
    packed(tmp_path, build, config)
    said = adapter(tmp_path, build, "--modules-to-save", "--rank", "32")
    assert "not in the adapter" not in said, said
    assert_same(tmp_path, build)


@pytest.mark.parametrize("name", ["tied, LoRA on the embedding", "tied, LoRA on the output layer"])
def test_an_update_of_one_tied_module_is_no_update_of_both(name, tmp_path):
    build, config = CASES[name]
    packed(tmp_path, build, config)
    assert "tied to another" in adapter(tmp_path, build)
    run = tmpack("export", "--peft", tmp_path / "x.tmpack#x", "-o", tmp_path / "strict", "--strict")
    assert run.returncode == 3 and "tied" in run.stderr, run.stderr


@pytest.mark.parametrize("build", [t5, bart])
def test_what_is_tied_thrice_has_no_place(build, tmp_path):
    target = "q" if build is t5 else "q_proj"
    packed(tmp_path, build, dict(target_modules=[target, "lm_head"]))
    assert "shared.weight" in adapter(tmp_path, build, "--modules-to-save")


@pytest.mark.parametrize("build", [mamba, mixtral])
def test_what_is_left_out_is_said_and_the_rest_loads(build, tmp_path):
    """Of Mamba peft refuses some modules; of today's experts none is a module; patterns do not reach routers."""
    packed(tmp_path, build, None)
    assert "not in the adapter" in adapter(tmp_path, build, "--rank", "32")
    base = build()
    base.load_state_dict(type(base).from_pretrained(tmp_path / "base").state_dict())
    assert torch.isfinite(outputs(PeftModel.from_pretrained(base, tmp_path / "adapter"))).all()


def test_more_tokens_ask_for_their_rows(tmp_path):
    mistral().save_pretrained(tmp_path / "base")
    resized = mistral()
    resized.resize_token_embeddings(70)
    model = train(get_peft_model(resized, LoraConfig(r=4, **ATTENTION)))
    model.save_pretrained(tmp_path / "expert", save_embedding_layers=True)
    for arguments in [
        ("pack", "--base", tmp_path / "base", "--expert", f"x={tmp_path / 'expert'}", "--shared", "base", "--factor-dtype",
         "f32", "-o", tmp_path / "x.tmpack"),
        ("unpack", tmp_path / "x.tmpack", "--expert", "x", "-o", tmp_path / "out"),
    ]:
        assert tmpack(*arguments).returncode == 0
    assert "resize_token_embeddings(70)" in adapter(tmp_path, mistral, "--modules-to-save")
    base = mistral()
    base.resize_token_embeddings(70)
    got = outputs(PeftModel.from_pretrained(base, tmp_path / "adapter"))
    want = outputs(type(base).from_pretrained(tmp_path / "out"))
    assert got.shape[-1] == 70 and (got - want).norm() <= 1e-5 * want.norm()
