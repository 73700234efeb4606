"""Adapters of today's peft on models whose output layers, embeddings and biases are tied or named otherwise than Llama's: what tmpack
makes of them is what peft's merge saves, and transformers loads it to the same outputs; what the file does not hold is refused.
"""

import json
import os
import subprocess
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")

import pytest
import torch
import transformers as hf
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file

torch.set_num_threads(1)
hf.logging.set_verbosity_error()
TOOL = os.environ["TMPACK"]
IDS = (torch.arange(12)[None] * 5 + 3) % 56
TEXT = dict(vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
            num_key_value_heads=2)


def seeded(kind, config):
    """With biases and norms that are not as they begin."""
    torch.manual_seed(0)
    model = kind(config)
    done = set()
    for parameter in model.parameters():
        if parameter.data_ptr() not in done:
            done.add(parameter.data_ptr())
            parameter.data.add_(0.02 * torch.randn_like(parameter))
    return model.eval()


def mistral():
    return seeded(hf.MistralForCausalLM, hf.MistralConfig(**TEXT))


def smollm3():
    """Tied."""
    return seeded(hf.SmolLM3ForCausalLM, hf.SmolLM3Config(**TEXT, pad_token_id=0, bos_token_id=1, eos_token_id=2))


def gpt2():
    return seeded(hf.GPT2LMHeadModel, hf.GPT2Config(vocab_size=64, n_positions=32, n_embd=32, n_layer=1, n_head=4))


def gpt_neox():
    """Its output layer is `embed_out` on disk and `lm_head` in memory."""
    return seeded(hf.GPTNeoXForCausalLM, hf.GPTNeoXConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4))


def t5():
    """Three embeddings and an output layer are one."""
    return seeded(hf.T5ForConditionalGeneration, hf.T5Config(
        vocab_size=64, d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4, decoder_start_token_id=0))


def bart():
    return seeded(hf.BartForConditionalGeneration, hf.BartConfig(
        vocab_size=64, d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=64))


def bert():
    """The output layer's bias is tied, too."""
    return seeded(hf.BertForMaskedLM, hf.BertConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
        max_position_embeddings=64))


def gemma3():
    """On disk the output layer would be called `language_model.lm_head`."""
    return seeded(hf.Gemma3ForConditionalGeneration, hf.Gemma3Config(
        text_config=dict(**TEXT, head_dim=8),
        vision_config=dict(hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
                           image_size=16, patch_size=8),
        mm_tokens_per_image=4, image_token_index=60, boi_token_index=61, eoi_token_index=62))


def train(model):
    torch.manual_seed(5)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


@torch.no_grad()
def outputs(model):
    if model.config.is_encoder_decoder:
        return model.eval()(input_ids=IDS, decoder_input_ids=IDS).logits
    return model.eval()(input_ids=IDS).logits


def tmpack(*arguments):
    return subprocess.run([TOOL, *map(str, arguments)], capture_output=True, text=True)


def make(folder, build, rows=None, **config):
    """base/, adapter/ and what peft's merge saves of both, merged/."""
    build().save_pretrained(folder / "base")

    def begin():
        model = build()
        if rows:
            torch.manual_seed(9)
            model.resize_token_embeddings(rows)
        return model

    model = train(get_peft_model(begin(), LoraConfig(r=4, lora_alpha=6, **config)))
    model.save_pretrained(folder / "adapter", save_embedding_layers=rows is not None)
    merged = PeftModel.from_pretrained(begin(), folder / "adapter").eval().merge_and_unload()
    merged.save_pretrained(folder / "merged")
    return outputs(merged)


def pack(folder):
    return tmpack("pack", "--base", folder / "base", "--expert", f"x={folder / 'adapter'}", "--shared", "base",
                  "--lossless", "-o", folder / "x.tmpack")


def assert_same(out, right, build, want):
    ours, theirs = load_file(out / "model.safetensors"), load_file(right / "model.safetensors")
    # peft leaves out the copy of a tied bias that it has untied, and transformers does not find it again.
    assert set(ours) - set(theirs) <= {"cls.predictions.decoder.bias"} and set(theirs) <= set(ours)
    for name, tensor in theirs.items():
        assert ours[name].shape == tensor.shape, name
        assert (ours[name] - tensor).norm() <= 1e-6 * tensor.norm().clamp(min=1e-3), name
    for key in ("tie_word_embeddings", "vocab_size"):
        a, b = (json.loads((f / "config.json").read_text()) for f in (out, right))
        assert a.get(key) == b.get(key), key
    assert (outputs(type(build()).from_pretrained(out)) - want).norm() <= 1e-5 * want.norm()


CASES = {
    "neox, more tokens": (gpt_neox, dict(rows=70, target_modules=["query_key_value"])),
    "neox, whole output layer": (gpt_neox, dict(target_modules=["dense"], modules_to_save=["lm_head"])),
    "mistral, single tokens of more": (
        mistral, dict(rows=70, target_modules=["q_proj"], trainable_token_indices={"embed_tokens": [3, 66]})),
    "tied, single tokens of more": (
        smollm3, dict(rows=70, target_modules=["q_proj"], trainable_token_indices={"embed_tokens": [3, 66]})),
    # peft heeds the wish for modules called embed_tokens or lm_head only.
    "gpt2, tied on request": (
        gpt2, dict(target_modules=["c_attn"], modules_to_save=["wte"], ensure_weight_tying=True)),
    "smollm3, tied on request": (
        smollm3, dict(target_modules=["q_proj"], modules_to_save=["embed_tokens"], ensure_weight_tying=True)),
    "t5": (t5, dict(target_modules=["q", "v", "wi"])),
    "t5, LoRA on the output layer": (t5, dict(target_modules=["q", "lm_head"])),
    "t5, whole output layer": (t5, dict(target_modules=["q"], modules_to_save=["lm_head"])),
    "t5, more tokens": (t5, dict(rows=70, target_modules=["q"])),
    "bart, LoRA on the output layer": (bart, dict(target_modules=["q_proj", "lm_head"])),
    "bert, all biases": (bert, dict(target_modules=["query"], bias="all")),
    "bert, whole output layer": (bert, dict(target_modules=["query"], modules_to_save=["decoder"])),
    "bert, whole embedding": (bert, dict(target_modules=["query"], modules_to_save=["word_embeddings"])),
    "bert, more tokens": (bert, dict(rows=70, target_modules=["query"])),
    "gemma3, whole embedding": (gemma3, dict(target_modules=["q_proj"], modules_to_save=["embed_tokens"])),
    "gemma3, whole output layer": (gemma3, dict(target_modules=["q_proj"], modules_to_save=["lm_head"])),
    "gemma3, LoRA on the embedding": (gemma3, dict(target_modules=["q_proj", "embed_tokens"])),
}


@pytest.mark.parametrize("name", CASES)
def test_is_what_peft_saves(name, tmp_path):
    build, config = CASES[name]
    want = make(tmp_path, build, **config)
    run = pack(tmp_path)
    assert run.returncode == 0, run.stderr
    run = tmpack("unpack", tmp_path / "x.tmpack", "--expert", "x", "-o", tmp_path / "out")
    assert run.returncode == 0, run.stderr
    assert_same(tmp_path / "out", tmp_path / "merged", build, want)
    if "rows" in config:
        return  # merge leaves rows out that the base has not, and says so
    run = tmpack("merge", "task-arithmetic", "--lambda", "1", "--base", tmp_path / "base", "--expert",
                 f"x={tmp_path / 'adapter'}", "-o", tmp_path / "out-merge")
    assert run.returncode == 0, run.stderr
    assert_same(tmp_path / "out-merge", tmp_path / "merged", build, want)


REFUSED = {
    # peft saves the rows of the output layer alone, whose embedding has none for the new tokens then.
    "rows of the output layer alone": (mistral, dict(rows=70, target_modules=["lm_head"]), 1, "embed_tokens"),
    "more tokens than a bias": (bart, dict(rows=70, target_modules=["q_proj"]), 1, "final_logits_bias"),
    # What peft's merge saves of these, transformers 5.24 loads with random embeddings, or other ones.
    "shared embedding of T5": (t5, dict(target_modules=["q"], modules_to_save=["shared"]), 3, "shared.weight"),
    "output layer of BART": (bart, dict(target_modules=["q_proj"], modules_to_save=["lm_head"]), 3, "shared.weight"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_what_would_be_no_model(name, tmp_path):
    build, config, code, word = REFUSED[name]
    make(tmp_path, build, **config)
    run = pack(tmp_path)
    assert run.returncode == code and word in run.stderr, run.stderr
    assert not (tmp_path / "x.tmpack").exists()
