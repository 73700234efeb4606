#!/usr/bin/env python3
"""Makes the adapters in adapters/ with today's libraries, each with its base and what `merge_and_unload` makes of both.

Needs PyTorch, and `pip install peft==0.21.2 transformers==5.24.0`. Run it anywhere; the files are committed, so that the tests
need no Python. A case is a folder: base/ and merged/ (as `save_pretrained` writes models), adapter/ (as it writes adapters).
"""
import os, shutil, warnings
warnings.filterwarnings("ignore")
os.environ["HF_HUB_OFFLINE"] = "1"
import torch, transformers
import peft
from peft import LoraConfig, PeftModel, get_peft_model

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "adapters")
transformers.logging.set_verbosity_error()
SMALL = dict(vocab_size=12, hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2,
             num_key_value_heads=2, max_position_embeddings=16)


def llama(**options):
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**SMALL, **options))


def tied():
    return llama(tie_word_embeddings=True)


def qwen2():
    return transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**SMALL, tie_word_embeddings=False))


def gpt2():
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(
        vocab_size=12, n_positions=8, n_embd=8, n_layer=1, n_head=2))


def gpt_oss():
    return transformers.GptOssForCausalLM(transformers.GptOssConfig(**{
        **SMALL, "intermediate_size": 8, "num_local_experts": 2, "num_experts_per_tok": 1, "head_dim": 4,
        "layer_types": ["full_attention"]}))


def mixtral():
    return transformers.MixtralForCausalLM(transformers.MixtralConfig(
        **SMALL, num_local_experts=2, num_experts_per_tok=1))


def seeded(build):
    torch.manual_seed(1)
    return build()


def make(name, build, resize=None, saving={}, **config):
    folder = os.path.join(FOLDER, name)
    shutil.rmtree(folder, ignore_errors=True)
    seeded(build).save_pretrained(f"{folder}/base")

    def begin():
        model = seeded(build)
        if resize:
            model.resize_token_embeddings(resize)
        return model

    wrapped = get_peft_model(begin(), LoraConfig(r=2, lora_alpha=3, **config))
    torch.manual_seed(2)
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            parameter.data.add_(torch.randn_like(parameter) * 0.1)
    wrapped.save_pretrained(f"{folder}/adapter", **saving)
    os.remove(f"{folder}/adapter/README.md")
    torch.manual_seed(1)
    PeftModel.from_pretrained(begin(), f"{folder}/adapter").merge_and_unload().save_pretrained(f"{folder}/merged")
    for part in ("base", "merged"):
        if os.path.exists(f"{folder}/{part}/generation_config.json"):
            os.remove(f"{folder}/{part}/generation_config.json")


def main():
    assert peft.__version__ == "0.21.2" and transformers.__version__ == "5.24.0", "the versions of the fixtures"
    make("tied-whole-embedding", tied, target_modules=["q_proj"], modules_to_save=["embed_tokens"])
    make("tied-whole-head", tied, target_modules=["q_proj"], modules_to_save=["lm_head"])
    make("tied-head", tied, target_modules=["q_proj", "lm_head"])
    make("tied-one-for-both", tied, target_modules=["embed_tokens"], ensure_weight_tying=True)
    make("tokens", llama, target_modules=["q_proj"], trainable_token_indices={"embed_tokens": [3, 5], "lm_head": [4]})
    make("tied-tokens", tied, target_modules=["q_proj"], trainable_token_indices=[3, 5])
    make("more-tokens", llama, resize=14, saving=dict(save_embedding_layers=True), target_modules=["q_proj"])
    make("biases", qwen2, target_modules=["q_proj"], lora_bias=True)
    make("square-conv1d", gpt2, target_modules=["attn.c_proj", "lm_head"])
    make("dora-embedding", llama, target_modules=["embed_tokens"], use_dora=True)
    make("monteclora", llama, target_modules=["q_proj"], monteclora_config=peft.MontecloraConfig())
    make("transposed-experts", gpt_oss, target_modules=[],
         target_parameters=["experts.gate_up_proj", "experts.down_proj"])
    make("experts", mixtral, target_modules="all-linear")


if __name__ == "__main__":
    main()
