#!/usr/bin/env python3
"""Makes the adapters in peft/ with the real library, each with its base and what `merge_and_unload` makes of both.

Needs PyTorch, and `pip install peft==0.10.0 transformers==4.40.2 accelerate==0.29.3 jinja2`. Run it anywhere; the files are
committed, so that the tests need no Python. A case is a folder: base/ (a model), adapter/ (as `save_pretrained` writes
it) and merged.safetensors (the names of base/).
"""
import json, os, shutil, sys
import torch
from torch import nn
import peft, transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peft")
transformers.logging.set_verbosity_error()


class Convolutions(nn.Module):
    """What a UNet has: convolutions of 1 × 1 and 3 × 3, and a linear layer."""

    def __init__(self):
        super().__init__()
        self.conv_in = nn.Conv2d(3, 8, 3, padding=1)
        self.shortcut = nn.Conv2d(8, 6, 1)
        self.proj = nn.Linear(6, 5)

    def forward(self, x):
        return self.proj(self.shortcut(torch.tanh(self.conv_in(x))).mean((2, 3)))


def llama(**options):
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(
        vocab_size=20, hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=32, **options))


def gpt2():
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(
        vocab_size=20, n_positions=16, n_embd=8, n_layer=2, n_head=2))


def bert():
    return transformers.BertForSequenceClassification(transformers.BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=12,
        max_position_embeddings=16, num_labels=3))


def state(model, strip=""):
    """The tensors as a hub has them: the second of tied ones left out, a prefix taken away."""
    seen, tensors = set(), {}
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() in seen:
            continue
        seen.add(tensor.data_ptr())
        name = name[len(strip):] if name.startswith(strip) else name
        tensors[name] = tensor.detach().clone().contiguous()
    return tensors


def make(name, model, config, strip="", safe=True, dtype=None, rename=None):
    folder = os.path.join(FOLDER, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.join(folder, "base"))
    model = model.eval()
    if dtype:
        model = model.to(dtype)
    save_file(state(model, strip), os.path.join(folder, "base", "model.safetensors"), metadata={"format": "pt"})
    if hasattr(model, "config"):
        with open(os.path.join(folder, "base", "config.json"), "w") as file:
            values = model.config.to_dict()
            keep = ("architectures", "model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                    "num_attention_heads", "num_key_value_heads", "max_position_embeddings", "n_positions", "n_embd",
                    "n_layer", "n_head", "torch_dtype", "id2label", "label2id")
            values["architectures"] = [type(model).__name__]
            json.dump({k: values[k] for k in keep if k in values}, file, indent=1, default=str)
            file.write("\n")
    wrapped = get_peft_model(model, config)
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            with torch.no_grad():
                parameter.add_(torch.randn_like(parameter) * 0.1)
    adapter = os.path.join(folder, "adapter")
    wrapped.peft_config["default"].base_model_name_or_path = "tiny/" + name
    wrapped.save_pretrained(adapter, safe_serialization=safe)
    os.remove(os.path.join(adapter, "README.md"))
    if rename:
        rename(adapter)
    merged = wrapped.merge_and_unload()
    save_file(state(merged, strip), os.path.join(folder, "merged.safetensors"), metadata={"format": "pt"})


def seeded(make_model, seed):
    torch.manual_seed(seed)
    return make_model()


def with_adapter_names(adapter):
    """As checkpoints of trainers have it: the adapter's name in the tensors' names."""
    from safetensors.torch import load_file
    path = os.path.join(adapter, "adapter_model.safetensors")
    save_file({k.replace(".weight", ".default.weight"): v for k, v in load_file(path).items()}, path)


def main():
    assert peft.__version__ == "0.10.0" and transformers.__version__ == "4.40.2", "the versions of the fixtures"
    make("llama", seeded(llama, 1), LoraConfig(
        r=4, lora_alpha=6, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM",
        rank_pattern={"layers.0.self_attn.q_proj": 2, "model.layers.1.mlp.down_proj": 3},
        alpha_pattern={"layers.0.self_attn.q_proj": 5, "model.layers.1.mlp.down_proj": 16}))
    make("rslora-embeddings", seeded(llama, 2), LoraConfig(
        r=3, lora_alpha=4, use_rslora=True, target_modules=["embed_tokens", "o_proj", "lm_head"]))
    make("gpt2", seeded(gpt2, 3), LoraConfig(
        r=2, lora_alpha=4, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True, task_type="CAUSAL_LM"),
        strip="transformer.")
    make("bert", seeded(bert, 4), LoraConfig(
        r=2, lora_alpha=8, target_modules=["query", "value"], modules_to_save=["classifier"], bias="all",
        task_type="SEQ_CLS"), safe=False)
    make("convolutions", seeded(Convolutions, 5), LoraConfig(
        r=2, lora_alpha=3, target_modules=["conv_in", "shortcut", "proj"]), rename=with_adapter_names)
    make("dora", seeded(llama, 6), LoraConfig(r=2, lora_alpha=2, use_dora=True, target_modules=["k_proj", "gate_proj"]))
    make("bf16", seeded(llama, 7), LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "up_proj"]),
         dtype=torch.bfloat16)


if __name__ == "__main__":
    main()
