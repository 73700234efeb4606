"""Models of transformers, converted to GGUF, in llama.cpp itself (the package xllamacpp), beside transformers."""
import json
import os
import subprocess
import sys

import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig, BertModel, Gemma3ForCausalLM, Gemma3TextConfig, GPT2Config, GPT2LMHeadModel, LlamaConfig,
    LlamaForCausalLM, MistralConfig, MistralForCausalLM, MixtralConfig, MixtralForCausalLM, Phi3Config, Phi3ForCausalLM,
    PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig,
    Qwen3MoeForCausalLM)

pytest.importorskip("xllamacpp")
TOOL = os.environ["TMPACK"]
TEXTS = [
    "the quick brown fox jumps over the lazy dog", "hello world, it's 1234 o'clock", "she sells sea shells by the sea",
    "numbers 12 345 6789 and punctuation!? yes...", "größe naïve café 你好 world", "  indented\n\tdef f(x): return x+1\n",
] * 20
PROMPTS = ["the quick brown", "hello world, it's 12345 o'clock", "  größe naïve 你好 x\n\tdef f(x):"]
TOKENS = 64
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
# Each file in a process of its own: llama.cpp ends the process for what it does not like.
SERVER = """
import json, sys
import xllamacpp as x
request = json.loads(sys.argv[1])
p = x.CommonParams()
p.model.path = request["model"]
p.n_gpu_layers, p.warmup, p.n_ctx, p.verbosity, p.n_parallel = 0, False, 256, 0, 1
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
p.cache_type_k = p.cache_type_v = x.ggml_type.GGML_TYPE_F32
p.flash_attn_type = x.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
if request.get("lora"):
    p.lora_adapters = [x.CommonAdapterLoraInfo(request["lora"], 1.0)]
if request["embedding"]:
    p.embedding, p.embd_normalize = True, -1
    p.pooling_type = x.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
server = x.Server(p)
answers = []
for prompt in request["prompts"]:
    if request["embedding"]:
        answers.append(server.handle_embeddings({"input": prompt})["data"][0]["embedding"])
    else:
        answers.append(server.handle_completions({
            "prompt": prompt, "max_tokens": request["tokens"], "temperature": 0.0, "top_k": 1, "logprobs": 1,
            "cache_prompt": False}))
print("\\nANSWERS" + json.dumps(answers))
"""


def answers(model, prompts=PROMPTS, embedding=False, tokens=TOKENS, lora=None):
    request = {"model": str(model), "prompts": prompts, "embedding": embedding, "tokens": tokens,
               "lora": lora and str(lora)}
    run = subprocess.run([sys.executable, "-c", SERVER, json.dumps(request)], capture_output=True, text=True)
    assert "ANSWERS" in run.stdout, run.stdout + run.stderr
    return json.loads(run.stdout.split("ANSWERS")[1])


def byte_level(pattern=None, ignore_merges=False, begin=None):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    tokenizer.pre_tokenizer = bytes_only if pattern is None else pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), "isolated"), bytes_only])
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>"] + ([begin] if begin else [])
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False))
    if begin:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", special_tokens=[(begin, tokenizer.token_to_id(begin))])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=begin, eos_token="<|endoftext|>")


def pieces(gemma=False):
    """As SentencePiece's byte pairs come out of transformers."""
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    words = [word for text in TEXTS for word in ("▁" + text.replace(" ", " ▁")).split(" ")]
    trained.train_from_iterator(
        words, trainers.BpeTrainer(vocab_size=420, special_tokens=special, show_progress=False))
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    replace = normalizers.Replace(" ", "▁")
    if gemma:
        tokenizer.normalizer = replace
        tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    else:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), replace])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    state, source = json.loads(tokenizer.to_str()), json.loads(trained.to_str())
    for name in ("vocab", "merges"):
        state["model"][name] = source["model"][name]
    state["added_tokens"] = [token for token in source["added_tokens"] if not token["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def word_pieces():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        TEXTS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]", pad_token="[PAD]")


SIZES = dict(
    hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
    max_position_embeddings=256, bos_token_id=None, eos_token_id=0, pad_token_id=None)
QWEN = LLAMA3.replace("{1,3}", "")
LLAMA3_ROTATION = dict(
    rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
    original_max_position_embeddings=64)
LONG_ROTATION = dict(
    rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=0.75, original_max_position_embeddings=256,
    short_factor=[1 + 0.1 * i for i in range(6)], long_factor=[2 + 0.3 * i for i in range(6)])
GEMMA = dict(SIZES, num_hidden_layers=8, head_dim=32, query_pre_attn_scalar=32, sliding_window=16)
EXPERTS = dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32, head_dim=16)
# name: class, configuration, its sizes, tokenizer
MODELS = {
    "llama": (LlamaForCausalLM, LlamaConfig, SIZES, pieces),
    "llama with biases": (LlamaForCausalLM, LlamaConfig, dict(SIZES, attention_bias=True, mlp_bias=True, head_dim=32), pieces),
    "llama 3": (LlamaForCausalLM, LlamaConfig, dict(SIZES, rope_parameters=LLAMA3_ROTATION, tie_word_embeddings=True),
                lambda: byte_level(LLAMA3, True, "<|begin_of_text|>")),
    "llama, linear": (LlamaForCausalLM, LlamaConfig, dict(
        SIZES, rope_parameters=dict(rope_type="linear", factor=4.0, rope_theta=10000.0)), pieces),
    "llama, yarn": (LlamaForCausalLM, LlamaConfig, dict(SIZES, rope_parameters=dict(
        rope_type="yarn", factor=4.0, rope_theta=10000.0, original_max_position_embeddings=64)), pieces),
    "mistral": (MistralForCausalLM, MistralConfig, dict(SIZES, head_dim=24, sliding_window=None), pieces),
    "mixtral": (MixtralForCausalLM, MixtralConfig, dict(SIZES, num_local_experts=4, num_experts_per_tok=2), pieces),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, dict(SIZES, tie_word_embeddings=True), lambda: byte_level(QWEN)),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config, dict(SIZES, head_dim=32), lambda: byte_level(QWEN)),
    "qwen3_moe": (Qwen3MoeForCausalLM, Qwen3MoeConfig, dict(SIZES, norm_topk_prob=True, mlp_only_layers=[], **EXPERTS),
                  lambda: byte_level(QWEN)),
    "gemma3": (Gemma3ForCausalLM, Gemma3TextConfig, GEMMA, lambda: pieces(gemma=True)),
    "gemma3 with another scale": (Gemma3ForCausalLM, Gemma3TextConfig, dict(GEMMA, query_pre_attn_scalar=50),
                                  lambda: pieces(gemma=True)),
    "gemma3 with other windows": (Gemma3ForCausalLM, Gemma3TextConfig, dict(
        GEMMA, layer_types=["sliding_attention", "full_attention"] * 4), lambda: pieces(gemma=True)),
    "phi3": (Phi3ForCausalLM, Phi3Config, dict(SIZES, sliding_window=None), lambda: byte_level(LLAMA3)),
    "phi3 with long factors": (Phi3ForCausalLM, Phi3Config, dict(
        SIZES, max_position_embeddings=1024, original_max_position_embeddings=256, rope_parameters=LONG_ROTATION),
        byte_level),
    "gpt2": (GPT2LMHeadModel, GPT2Config, dict(
        n_embd=64, n_layer=3, n_head=4, n_positions=256, bos_token_id=0, eos_token_id=0), byte_level),
}


def randomised(model, tokenizer):
    """Random, but so that every token that it says is made of whole characters: of others llama.cpp tells no ids."""
    random = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = torch.randn(parameter.shape, generator=random)
            if parameter.ndim >= 2:
                parameter.copy_(0.15 * values if "embed" in name else 0.4 * values / parameter.shape[-1] ** 0.5)
            elif "norm" in name.lower() or "ln_" in name:
                parameter.add_(0.2 * values)
            else:
                parameter.copy_(0.1 * values)
        if head := model.get_output_embeddings():
            for token in range(len(head.weight)):
                text = tokenizer.decode([token], skip_special_tokens=True) if token < len(tokenizer) else ""
                if not text.strip() or "\ufffd" in text:
                    head.weight[token] = 0
    return model.eval()


def saved(name, folder):
    make, configuration, sizes, tokenizer = MODELS[name]
    tokenizer = tokenizer()
    model = randomised(make(configuration(vocab_size=len(tokenizer) + 3, **sizes)), tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


def convert(source, target, *options):
    run = subprocess.run(
        [TOOL, "convert", str(source), str(target), "--force", *options], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stderr


def distributions(model, tokenizer, prompt):
    """What a model says, token by token: each with how sure it is, and by how much more than of any other."""
    ids = tokenizer(prompt)["input_ids"]
    said = []
    with torch.no_grad():
        for _ in range(TOKENS):
            values = torch.log_softmax(model(torch.tensor([ids])).logits[0, -1].float(), -1)
            (best, next_best), (token, _) = values.topk(2)
            ids.append(token.item())
            said.append((token.item(), best.item(), (best - next_best).item()))
    return len(ids) - TOKENS, said


def compare(model, tokenizer, file, tolerance, **options):
    for prompt, answer in zip(PROMPTS, answers(file, **options)):
        count, expected = distributions(model, tokenizer, prompt)
        said = [(entry["id"], entry["logprob"]) for entry in answer["choices"][0]["logprobs"]["content"]]
        assert answer["usage"]["prompt_tokens"] == count, prompt
        assert len(said) == TOKENS
        for place, ((token, certainty), (best, expectation, lead)) in enumerate(zip(said, expected)):
            if token != best and lead < tolerance and place > TOKENS // 2:
                break  # A tie, after which both go on differently.
            assert token == best, (prompt, place, lead)
            assert abs(certainty - expectation) < tolerance, (prompt, place)


# llama.cpp takes gelu from a table of half precision.
def tolerance(name):
    return 5e-3 if name.startswith(("gemma3", "gpt2")) else 1e-4


@pytest.mark.parametrize("name", MODELS)
def test_greedy_tokens_are_those_of_transformers(name, tmp_path):
    model, tokenizer = saved(name, tmp_path / "model")
    notes = convert(tmp_path / "model", tmp_path / "model.gguf")
    assert "tokenizer" not in notes and "left out" not in notes
    compare(model, tokenizer, tmp_path / "model.gguf", tolerance(name))


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_half_precision(name, tmp_path):
    model, tokenizer = saved(name, tmp_path / "model")
    convert(tmp_path / "model", tmp_path / "model.gguf", "--dtype", "f16")
    compare(model, tokenizer, tmp_path / "model.gguf", 1e-2)


@pytest.mark.parametrize("type, error", [
    ("q8_0", 0.1), ("q4_0", 0.6), ("q4_1", 0.6), ("q5_0", 0.4), ("q5_1", 0.4), ("q4_k", 0.6), ("q5_k", 0.4),
    ("q6_k", 0.2), ("mxfp4", 1.0)])
def test_quantised_models_say_what_their_numbers_say(type, error, tmp_path):
    """llama.cpp quantises what it multiplies with, too: near, not equal."""
    MODELS["wide"] = LlamaForCausalLM, LlamaConfig, dict(
        SIZES, hidden_size=256, intermediate_size=256, num_hidden_layers=2), pieces
    model, tokenizer = saved("wide", tmp_path / "model")
    notes = convert(tmp_path / "model", tmp_path / "model.gguf", "--quantize", type)
    assert f"quantised to {type.upper()};" in notes
    for prompt, answer in zip(PROMPTS, answers(tmp_path / "model.gguf", tokens=1)):
        entry = answer["choices"][0]["logprobs"]["content"][0]
        ids = torch.tensor([tokenizer(prompt)["input_ids"]])
        with torch.no_grad():
            values = torch.log_softmax(model(ids).logits[0, -1].float(), -1)
        assert abs(values[entry["id"]].item() - entry["logprob"]) < error


def test_vectors_of_bert(tmp_path):
    tokenizer = word_pieces()
    sizes = {name: value for name, value in SIZES.items() if name != "num_key_value_heads"}
    model = randomised(BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)), tokenizer)
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    assert "pooler" in convert(tmp_path / "model", tmp_path / "model.gguf")
    for prompt, vector in zip(PROMPTS, answers(tmp_path / "model.gguf", embedding=True)):
        with torch.no_grad():
            expected = model(**tokenizer(prompt, return_tensors="pt")).last_hidden_state[0].mean(0)
        assert torch.nn.functional.cosine_similarity(torch.tensor(vector), expected, dim=0) > 1 - 1e-5
        assert torch.allclose(torch.tensor(vector), expected, atol=1e-2)


def test_names_that_stay(tmp_path):
    saved("llama", tmp_path / "model")
    notes = convert(tmp_path / "model", tmp_path / "model.gguf", "--gguf-names", "keep")
    assert "llama.cpp will not run" not in notes
    configuration = json.loads((tmp_path / "model/config.json").read_text())
    (tmp_path / "model/config.json").write_text(json.dumps(configuration | {"model_type": "mamba"}))
    assert "llama.cpp will not run" in convert(tmp_path / "model", tmp_path / "model.gguf")


def adapted(name, folder, **options):
    """A model with a LoRA adapter of random numbers, packed."""
    import peft
    model, tokenizer = saved(name, folder / "model")
    adapter = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, **options))
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter_name, parameter in adapter.named_parameters():
            if "lora_" in parameter_name:
                values = torch.randn(parameter.shape, generator=random)
                parameter.copy_(0.3 * values / parameter.shape[-1] ** 0.5)
    adapter.save_pretrained(folder / "adapter")
    pack(folder, folder / "adapter", "--factor-dtype", "f32")
    return adapter.eval(), tokenizer


def run(*arguments):
    done = subprocess.run([TOOL, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


def pack(folder, expert, *options):
    run("pack", "--base", folder / "model", "--shared", "base", "--expert", f"x={expert}", "-o", folder / "x.tmpack",
        *options)


def first_log_probability(answer):
    entry = answer["choices"][0]["logprobs"]["content"][0]
    return entry["id"], entry["logprob"]


@pytest.mark.parametrize("name, weight, options", [
    ("llama", None, dict(target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "down_proj"])),
    ("llama", 0.5, dict(
        target_modules=["q_proj", "k_proj", "down_proj", "embed_tokens", "lm_head"], use_rslora=True,
        rank_pattern={"down_proj": 2}, alpha_pattern={"q_proj": 3})),
    ("qwen3", None, dict(target_modules=["q_proj", "up_proj"])),
    ("phi3", None, dict(target_modules=["qkv_proj", "gate_up_proj"])),
    ("gpt2", None, dict(target_modules=["c_attn", "c_proj", "c_fc"])),
    ("gemma3", None, dict(target_modules=["q_proj", "o_proj"])),
])
def test_adapters(name, weight, options, tmp_path):
    """llama.cpp's own converter scales rsLoRA and patterns of alphas wrongly, and its adapters of GPT-2 are not loaded."""
    model, tokenizer = adapted(name, tmp_path, **options)
    selection = f"{tmp_path}/x.tmpack#x" + (f"={weight}" if weight else "")
    notes = run("export", "--gguf-lora", selection, "-o", tmp_path / "x.gguf", "--shared-out", tmp_path / "base.gguf")
    assert "not in the adapter" not in notes
    if weight:
        for module in model.modules():
            if isinstance(getattr(module, "scaling", None), dict):
                module.scaling = {key: weight * scale for key, scale in module.scaling.items()}
    effect = 0
    for prompt, answer in zip(PROMPTS, answers(tmp_path / "base.gguf", tokens=1, lora=tmp_path / "x.gguf")):
        ids = torch.tensor([tokenizer(prompt)["input_ids"]])
        with torch.no_grad():
            with_it = torch.log_softmax(model(ids).logits[0, -1], -1)
            with model.disable_adapter():
                without = torch.log_softmax(model(ids).logits[0, -1], -1)
        token, value = first_log_probability(answer)
        assert abs(with_it[token].item() - value) < tolerance(name)
        effect = max(effect, (with_it - without).abs().max().item())
    assert effect > 0.1


def test_adapters_of_experts_are_stacks(tmp_path):
    """A whole model, of which some experts' matrices differ by a low rank."""
    model, tokenizer = saved("qwen3_moe", tmp_path / "model")
    random = torch.Generator().manual_seed(5)
    from safetensors.torch import load_file, save_file
    tensors = load_file(tmp_path / "model/model.safetensors")
    for name in list(tensors):
        if ".experts.1." in name or ".experts.2.down_proj" in name or "v_proj" in name:
            rows, columns = tensors[name].shape
            tensors[name] = tensors[name] + 0.3 * torch.randn(rows, 2, generator=random) @ torch.randn(
                2, columns, generator=random) / columns ** 0.5
    import shutil
    shutil.copytree(tmp_path / "model", tmp_path / "tuned")
    save_file(tensors, tmp_path / "tuned/model.safetensors", metadata={"format": "pt"})
    pack(tmp_path, tmp_path / "tuned", "--factor-dtype", "f32", "--rank", "2")
    run("export", "--gguf-lora", f"{tmp_path}/x.tmpack#x", "-o", tmp_path / "x.gguf", "--shared-out",
        tmp_path / "base.gguf", "--strict")
    convert(tmp_path / "tuned", tmp_path / "tuned.gguf")
    alone = answers(tmp_path / "base.gguf", tokens=1)
    both = zip(answers(tmp_path / "base.gguf", tokens=8, lora=tmp_path / "x.gguf"),
               answers(tmp_path / "tuned.gguf", tokens=8), alone)
    for with_adapter, whole, without in both:
        said = [[(entry["id"], entry["logprob"]) for entry in answer["choices"][0]["logprobs"]["content"]]
                for answer in (with_adapter, whole, without)]
        assert [token for token, _ in said[0]] == [token for token, _ in said[1]]
        assert all(abs(ours[1] - theirs[1]) < 1e-3 for ours, theirs in zip(said[0], said[1]))
        assert abs(said[0][0][1] - said[2][0][1]) > 1e-3 or said[0][0][0] != said[2][0][0]


def test_unpacked_and_merged_models_run(tmp_path):
    model, tokenizer = adapted("llama", tmp_path, target_modules=["q_proj", "k_proj"])
    run("unpack", tmp_path / "x.tmpack", "--expert", "x", "-o", tmp_path / "x.gguf")
    merged = model.merge_and_unload()
    compare(merged, tokenizer, tmp_path / "x.gguf", 1e-3)
    run("merge", "average", "--base", tmp_path / "model", "--expert", tmp_path / "adapter", "-o", tmp_path / "m.gguf")
    compare(merged, tokenizer, tmp_path / "m.gguf", 1e-3)


def test_a_gguf_file_runs_after_an_archive(tmp_path):
    model, tokenizer = saved("llama", tmp_path / "model")
    convert(tmp_path / "model", tmp_path / "model.gguf")
    run("pack", "--base", tmp_path / "model.gguf", "--expert", f"x={tmp_path}/model.gguf", "--lossless", "-o",
        tmp_path / "x.tmpack")
    run("unpack", tmp_path / "x.tmpack", "--expert", "x", "-o", tmp_path / "x.gguf")
    compare(model, tokenizer, tmp_path / "x.gguf", 1e-4)
    convert(tmp_path / "x.gguf", tmp_path / "half.gguf", "--dtype", "f16")
    compare(model, tokenizer, tmp_path / "half.gguf", 1e-2)
