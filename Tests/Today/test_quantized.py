"""Quantised models as today's libraries write them: decoded to the libraries' own numbers, merged as numbers, loaded again."""

import json
import os
import subprocess

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, GptOssConfig, GptOssForCausalLM, LlamaConfig
from transformers import LlamaForCausalLM

torch.set_num_threads(1)
TOOL = os.environ["TMPACK"]


def tmpack(*arguments, code=0):
    run = subprocess.run([TOOL, *map(str, arguments)], capture_output=True, text=True)
    assert run.returncode == code, run.stderr
    return run.stderr


def llama(seed):
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=96, hidden_size=64, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, tie_word_embeddings=False)
    return LlamaForCausalLM(config).to(torch.bfloat16)


def is_linear(name):
    return name.endswith("proj.weight")


def edit_config(folder, quantization):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["quantization_config"] = quantization
    path.write_text(json.dumps(config))


def fp8(folder, seed):
    """transformers quantises to FP8 on graphics cards only: by its layout, blocks of 32 × 32 (the library reads them)."""
    llama(seed).save_pretrained(folder)
    tensors = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        if is_linear(name):
            rows, columns = tensor.shape
            blocks = tensor.float().reshape(rows // 32, 32, columns // 32, 32)
            scale = blocks.abs().amax((1, 3)) / 448
            codes = (blocks / scale[:, None, :, None]).reshape(rows, columns).to(torch.float8_e4m3fn)
            tensors |= {name: codes, f"{name}_scale_inv": scale}
        else:
            tensors[name] = tensor
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    edit_config(folder, {"quant_method": "fp8", "weight_block_size": [32, 32], "activation_scheme": "dynamic"})


def bitsandbytes(folder, seed):
    plain = folder.parent / f"{folder.name}-unquantized"
    llama(seed).save_pretrained(plain)
    config = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16)
    AutoModelForCausalLM.from_pretrained(plain, quantization_config=config, dtype=torch.bfloat16).save_pretrained(folder)


def compressed_tensors(folder, seed):
    from compressed_tensors.compressors.base import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    llama(seed).save_pretrained(folder)
    weights = QuantizationArgs(num_bits=4, type="int", strategy="group", group_size=32, symmetric=True)
    scheme = QuantizationScheme(targets=["Linear"], weights=weights)
    compressor = BaseCompressor.get_value_from_registry("pack-quantized")
    tensors = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        if is_linear(name):
            groups = tensor.reshape(tensor.shape[0], -1, 32)
            state = {"weight": tensor, "weight_scale": groups.abs().amax(-1) / 7.5,
                     "weight_zero_point": torch.zeros(groups.shape[:2], dtype=torch.int8)}
            packed = compressor.compress(state, scheme)
            packed.pop("weight_zero_point", None)
            tensors |= {f"{name.removesuffix('weight')}{key}": value for key, value in packed.items()}
        else:
            tensors[name] = tensor
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    edit_config(folder, {
        "quant_method": "compressed-tensors", "format": "pack-quantized", "ignore": ["lm_head"],
        "quantization_status": "compressed",
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": json.loads(weights.model_dump_json())}}})


def gpt_oss(folder, seed):
    """Random codes and exponents, as no library here makes them on a CPU; transformers decodes them."""
    torch.manual_seed(seed)
    config = GptOssConfig(
        vocab_size=96, hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, num_local_experts=4, num_experts_per_tok=2, layer_types=["full_attention"])
    GptOssForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    for name in list(tensors):
        if name.endswith(("gate_up_proj", "down_proj")):
            experts, inputs, outputs = tensors.pop(name).shape
            tensors[f"{name}_blocks"] = torch.randint(0, 256, (experts, outputs, inputs // 32, 16), dtype=torch.uint8)
            tensors[f"{name}_scales"] = torch.randint(118, 123, (experts, outputs, inputs // 32), dtype=torch.uint8)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    edit_config(folder, {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head", "model.layers.*.self_attn"]})


MAKERS = {"fp8": fp8, "bitsandbytes": bitsandbytes, "compressed_tensors": compressed_tensors, "gpt_oss": gpt_oss}


@pytest.fixture(params=MAKERS)
def models(request, tmp_path):
    for seed, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        MAKERS[request.param](tmp_path / name, seed)
    return tmp_path


def library_model(folder):
    """As the library of the scheme decodes it."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    if not getattr(model, "is_loaded_in_4bit", False):
        return model
    for name, module in list(model.named_modules()):
        if type(module).__name__ == "Linear4bit":
            linear = torch.nn.Linear(module.in_features, module.out_features, bias=False, dtype=torch.bfloat16)
            linear.weight.data = four_bits(module.weight)
            model.set_submodule(name, linear)
    return model


def four_bits(weight):
    """As bitsandbytes dequantises: by itself where it can be trusted."""
    from bitsandbytes.functional import dequantize_4bit, dequantize_blockwise

    state = weight.quant_state
    if state.shape[1] % state.blocksize == 0:
        return dequantize_4bit(weight.data, state)
    # Version 0.50.2 gives wrong numbers on processors with AVX-512 where blocks go across the ends of rows.
    codes = torch.stack([weight.data.flatten() >> 4, weight.data.flatten() & 15], 1).flatten().long()
    scales = dequantize_blockwise(state.absmax, state.state2) + state.offset
    return (state.code[codes].reshape(-1, state.blocksize) * scales[:, None]).reshape(state.shape).to(state.dtype)


def logits(model):
    tokens = torch.arange(24).reshape(2, 12) % 96
    with torch.no_grad():
        return model(tokens).logits.float()


def test_the_decoded_model_is_the_librarys(models):
    said = tmpack("convert", models / "a", models / "plain", "--dtype", "bf16")
    assert "decoded" in said
    assert "quantization_config" not in json.loads((models / "plain" / "config.json").read_text())
    own = AutoModelForCausalLM.from_pretrained(models / "plain", dtype=torch.bfloat16)
    theirs = library_model(models / "a")
    assert all(parameter.dtype == torch.bfloat16 for parameter in own.parameters())
    assert torch.equal(logits(own), logits(theirs))


def test_what_is_merged_are_the_numbers(models):
    for name in "ab":
        tmpack("convert", models / name, models / f"{name}-plain", "--dtype", "bf16")
    tmpack("merge", "average", "--expert", models / "a", "--expert", models / "b", "-o", models / "merged")
    tmpack("merge", "average", "--expert", models / "a-plain", "--expert", models / "b-plain", "-o", models / "mean")
    merged, mean = (load_file(models / name / "model.safetensors") for name in ("merged", "mean"))
    a, b = (load_file(models / f"{name}-plain" / "model.safetensors") for name in "ab")
    assert set(merged) == set(mean) == set(a)
    for name, tensor in merged.items():
        assert torch.equal(tensor, mean[name]), name
        assert torch.equal(tensor, ((a[name].double() + b[name].double()) / 2).to(tensor.dtype)), name
    AutoModelForCausalLM.from_pretrained(models / "merged")


def test_packing_with_loss_is_of_the_numbers_and_without_of_the_codes(models):
    base, expert = models / "a", models / "b"
    tmpack("pack", "--base", base, "--expert", f"b={expert}", "--lossless", "-o", models / "exact.tmpack")
    tmpack("unpack", models / "exact.tmpack", "--expert", "b", "-o", models / "again")
    tmpack("compare", models / "again", expert, "--require-equal")
    assert (models / "again" / "config.json").read_bytes() == (expert / "config.json").read_bytes()
    tmpack("unpack", models / "exact.tmpack", "--weights", "b=0.5", "-o", models / "half")
    for name in ("a", "b"):
        tmpack("convert", models / name, models / f"{name}-numbers", "--dtype", "bf16")
    half, one, other = (load_file(models / name / "model.safetensors") for name in ("half", "a-numbers", "b-numbers"))
    assert "quantization_config" not in json.loads((models / "half" / "config.json").read_text())
    for name, tensor in half.items():
        # Codes are not merged: the shared model is the base.
        middle = (one[name].double() + other[name].double()) / 2
        assert (tensor.double() - middle).abs().max() <= 2 ** -8 * middle.abs().max(), name
    tmpack("pack", "--base", base, "--expert", f"b={expert}", "--rank", "64", "--factor-dtype", "f32", "-o",
           models / "zoo.tmpack")
    tmpack("unpack", models / "zoo.tmpack", "--weights", "b=1", "-o", models / "full")
    tmpack("verify", models / "zoo.tmpack", "--source", f"b={expert}")
    tmpack("convert", expert, models / "plain", "--dtype", "bf16")
    full, plain = (load_file(models / name / "model.safetensors") for name in ("full", "plain"))
    for name, tensor in plain.items():
        if tensor.dim() == 2:
            assert (full[name].float() - tensor.float()).norm() <= 0.01 * tensor.float().norm(), name
    AutoModelForCausalLM.from_pretrained(models / "full")


def test_what_is_merged_is_written_in_the_bases_codes(tmp_path):
    """--requantize: E4M3 with scales of blocks, which transformers decodes to the merged numbers but for what the codes lose."""
    for seed, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        fp8(tmp_path / name, seed)
    given = ["--base", tmp_path / "a", "--expert", f"a={tmp_path / 'a'}", "--expert", f"b={tmp_path / 'b'}"]
    tmpack("merge", "average", *given, "-o", tmp_path / "numbers")
    said = tmpack("merge", "average", *given, "--requantize", "-o", tmp_path / "codes")
    config, coded, numbers = (
        json.loads((tmp_path / "codes/config.json").read_text()), load_file(tmp_path / "codes/model.safetensors"),
        load_file(tmp_path / "numbers/model.safetensors"))
    source = load_file(tmp_path / "a/model.safetensors")
    assert config["quantization_config"] == json.loads((tmp_path / "a/config.json").read_text())["quantization_config"]
    assert {k: (v.dtype, v.shape) for k, v in coded.items()} == {k: (v.dtype, v.shape) for k, v in source.items()}
    energy = lost = 0.0
    for name, tensor in numbers.items():
        if not is_linear(name):
            assert torch.equal(coded[name], tensor), name
            continue
        scale = coded[f"{name}_scale_inv"].repeat_interleave(32, 0).repeat_interleave(32, 1)
        error = (coded[name].double() * scale.double() - tensor.double()).norm() / tensor.double().norm()
        # Codes of three bits of fraction: half a unit of the last place is a sixteenth at most.
        assert error < 1 / 32, name
        energy += float(tensor.double().pow(2).sum())
        lost += float((coded[name].double() * scale.double() - tensor.double()).pow(2).sum())
        rounded = (tensor.float() / scale).to(torch.float8_e4m3fn)
        assert torch.equal(rounded.float(), coded[name].float()), name
    assert f"relative error {(lost / energy) ** 0.5:.3g}"[:20] in said, said
    own, theirs = (logits(AutoModelForCausalLM.from_pretrained(tmp_path / n, dtype=torch.bfloat16)) for n in ("codes", "numbers"))
    assert (own - theirs).norm() <= 0.1 * theirs.norm()


def test_codes_of_other_schemes_are_not_written(tmp_path):
    for seed, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        gpt_oss(tmp_path / name, seed)
    said = tmpack("merge", "average", "--base", tmp_path / "a", "--expert", f"b={tmp_path / 'b'}", "--requantize", "-o",
                  tmp_path / "out", code=3)
    assert "MXFP4" in said and not (tmp_path / "out").exists()


@pytest.mark.parametrize("intermediate", [256, 200])
def test_fp8_with_scales_is_what_transformers_loads(intermediate, tmp_path):
    """Layers whose sides are no whole blocks stay as they are, since transformers 5.24 would read others than were written."""
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(
        vocab_size=96, hidden_size=128, intermediate_size=intermediate, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=4, tie_word_embeddings=False)).to(torch.bfloat16).save_pretrained(tmp_path / "plain")
    said = tmpack("convert", tmp_path / "plain", tmp_path / "fp8", "--quantize", "fp8")
    assert f"{14 if intermediate == 256 else 8} weights in FP8 with scales, relative error 0.02" in said, said
    config = json.loads((tmp_path / "fp8/config.json").read_text())["quantization_config"]
    assert "lm_head" in config["modules_to_not_convert"] and config["weight_block_size"] == [128, 128]
    assert ("model.layers.0.mlp.up_proj" in config["modules_to_not_convert"]) == (intermediate == 200)
    written = load_file(tmp_path / "fp8/model.safetensors")
    assert written["model.layers.0.self_attn.q_proj.weight"].dtype == torch.float8_e4m3fn
    assert written["model.layers.0.self_attn.q_proj.weight_scale_inv"].shape == (1, 1)
    tmpack("convert", tmp_path / "fp8", tmp_path / "decoded", "--dtype", "bf16")
    own = AutoModelForCausalLM.from_pretrained(tmp_path / "decoded", dtype=torch.bfloat16)
    theirs = library_model(tmp_path / "fp8")
    assert torch.equal(logits(own), logits(theirs))
    original = AutoModelForCausalLM.from_pretrained(tmp_path / "plain", dtype=torch.bfloat16)
    assert (logits(own) - logits(original)).norm() <= 0.1 * logits(original).norm()


def test_fp8_needs_a_configuration_and_blocks(tmp_path):
    llama(0).save_pretrained(tmp_path / "small")
    assert "whole blocks" in tmpack("convert", tmp_path / "small", tmp_path / "x", "--quantize", "fp8", code=1)
    (tmp_path / "small/config.json").unlink()
    assert "config.json" in tmpack("convert", tmp_path / "small", tmp_path / "x", "--quantize", "fp8", code=1)
    for options in (["x.safetensors"], ["x.gguf"], ["x", "--to", "gguf"]):
        tmpack("convert", tmp_path / "small", tmp_path / options[0], *options[1:], "--quantize", "fp8", code=1)
    assert not (tmp_path / "x").exists()


def test_a_mix_in_fp8_is_written_with_codes_again(tmp_path):
    for seed, name in enumerate("abc"):
        (tmp_path / name).mkdir()
        fp8(tmp_path / name, seed)
    tmpack("pack", "--base", tmp_path / "a", "--expert", f"b={tmp_path / 'b'}", "--expert", f"c={tmp_path / 'c'}", "--lossless",
           "-o", tmp_path / "zoo.tmpack")
    mix = ("unpack", tmp_path / "zoo.tmpack", "--weights", "b=0.5,c=0.25", "-o")
    tmpack(*mix, tmp_path / "numbers")
    said = tmpack(*mix, tmp_path / "codes", "--requantize")
    assert "written as FP8 with scales, relative error 0.0" in said, said
    original = json.loads((tmp_path / "a/config.json").read_text())["quantization_config"]
    assert json.loads((tmp_path / "codes/config.json").read_text())["quantization_config"] == original
    codes, base = load_file(tmp_path / "codes/model.safetensors"), load_file(tmp_path / "a/model.safetensors")
    assert {k: (v.dtype, v.shape) for k, v in codes.items()} == {k: (v.dtype, v.shape) for k, v in base.items()}
    tmpack("convert", tmp_path / "codes", tmp_path / "decoded", "--dtype", "bf16")
    decoded, numbers = (load_file(tmp_path / name / "model.safetensors") for name in ("decoded", "numbers"))
    for name, tensor in numbers.items():
        limit = 0.05 if is_linear(name) else 0
        assert (decoded[name].float() - tensor.float()).norm() <= limit * tensor.float().norm(), name
    # What is kept to the bit has its codes already, and what is no number has none.
    assert "no mix" in tmpack("unpack", tmp_path / "zoo.tmpack", "--expert", "b", "-o", tmp_path / "b2", "--requantize", code=1)
    tmpack(*mix, tmp_path / "x", "--requantize", "--dtype", "f32", code=1)


def test_scales_of_inputs_are_columns(tmp_path):
    """ModelOpt's `pre_quant_scale`, by its layout: the layer computes W · (x ∘ s)."""
    module = "model.layers.0.mlp.down_proj."
    codes, scale, inputs = torch.randint(-100, 100, (32, 64)).to(torch.int8), torch.rand(32) * 0.01 + 0.001, torch.rand(64) + 0.5
    tensors = {module + "weight": codes, module + "weight_scale": scale, module + "pre_quant_scale": inputs}
    (tmp_path / "model").mkdir()
    save_file(tensors, tmp_path / "model/model.safetensors")
    (tmp_path / "model/config.json").write_text(json.dumps({
        "dtype": "float32", "quantization_config": {"quant_method": "modelopt", "quant_algo": "INT8_SQ"}}))
    tmpack("convert", tmp_path / "model", tmp_path / "out", "--dtype", "f32")
    out = load_file(tmp_path / "out/model.safetensors")
    assert list(out) == [module + "weight"]
    assert torch.equal(out[module + "weight"], codes.float() * scale[:, None] * inputs)
    tensors[module + "pre_quant_scale"] = torch.rand(32)
    save_file(tensors, tmp_path / "model/model.safetensors")
    assert "pre_quant_scale" in tmpack("convert", tmp_path / "model", tmp_path / "other", "--dtype", "f32", code=2)


def test_codes_stay_with_their_scales(tmp_path):
    fp8(tmp_path / "model", 0)
    for number, arguments in enumerate([("--tensors", "*.down_proj.weight"), ("--rename", "model.layers.*.weight=L.*.w")]):
        said = tmpack("convert", tmp_path / "model", tmp_path / str(number), *arguments, code=3)
        assert "parted from their scales" in said
    tmpack("convert", tmp_path / "model", tmp_path / "both", "--tensors", "*.down_proj.*")
    tmpack("convert", tmp_path / "model", tmp_path / "norms", "--tensors", "*norm*")


def test_an_expert_in_codes_on_a_base_in_numbers(tmp_path):
    """Stored as it is, to the bit; in mixes it counts as its numbers."""
    fp8(tmp_path / "expert", 1)
    llama(0).save_pretrained(tmp_path / "base")
    llama(2).save_pretrained(tmp_path / "other")
    tmpack("pack", "--base", tmp_path / "base", "--expert", f"x={tmp_path / 'expert'}", "--expert", f"y={tmp_path / 'other'}",
           "--shared", "base", "--lossless", "-o", tmp_path / "z.tmpack")
    tmpack("unpack", tmp_path / "z.tmpack", "--expert", "x", "-o", tmp_path / "out")
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("out", "expert"))
    assert sorted(ours) == sorted(theirs)
    for name, tensor in theirs.items():
        assert torch.equal(ours[name].view(torch.uint8), tensor.view(torch.uint8)), name
    tmpack("convert", tmp_path / "expert", tmp_path / "numbers", "--dtype", "bf16")
    tmpack("unpack", tmp_path / "z.tmpack", "--weights", "x=0.5,y=0.5", "-o", tmp_path / "mix", "--dtype", "f32")
    mix, x, y, base = (
        load_file(tmp_path / name / "model.safetensors") for name in ("mix", "numbers", "other", "base"))
    for name, tensor in mix.items():
        right = base[name].float() + 0.5 * (x[name].float() - base[name].float()) + 0.5 * (y[name].float() - base[name].float())
        assert torch.allclose(tensor, right, rtol=1e-5, atol=1e-6), name
