"""The examples of docs/python.md, in their order, in one namespace."""

import re

import pytest
from conftest import ROOT

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


def test_examples_of_the_page(tmp_path, monkeypatch, tool):
    pytest.importorskip("peft")
    pytest.importorskip("fsspec")
    settings = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4)
    for seed, name in enumerate(("base", "math", "code")):
        torch.manual_seed(0)
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**settings, num_key_value_heads=2))
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters() if seed else ():
                parameter += 0.01 * torch.randn_like(parameter)
        model.save_pretrained(tmp_path / name)
    page = (ROOT / "docs" / "python.md").read_text()
    examples = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    assert len(examples) >= 8
    monkeypatch.chdir(tmp_path)
    names = {}
    for example in examples:
        exec(compile(example, "docs/python.md", "exec"), names)
    assert names["state"] and torch.equal(names["switcher"]._model.lm_head.weight, names["model"].lm_head.weight)
