"""Recipes mean what mergekit makes them mean: the same files through mergekit itself and through tmpack.

mergekit's pins are its own, so it may want an environment of its own: `pip install mergekit==0.1.5` in one, then this
file by that environment's Python, with the tool's path in TMPACK. Skipped where mergekit is not there.
"""

import os
import random
import subprocess
import tempfile
from pathlib import Path

import pytest

pytest.importorskip("mergekit", reason="mergekit 0.1.5 is not installed: see the head of this file")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
import transformers
import yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import MergeOptions, run_merge
from safetensors.torch import load_file

torch.set_num_threads(1)
TMPACK = os.environ.get("TMPACK", "tmpack")
# Of 8 layers, so that gradients have something between their ends.
SIZES = dict(
    vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=8, num_attention_heads=4,
    num_key_value_heads=2, tie_word_embeddings=False,
)


@pytest.fixture(scope="session")
def models():
    """A base and three fine-tunes as a hub's cache has them, where `toy/base` finds them."""
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES))
        start = {name: value.clone() for name, value in model.state_dict().items()}
        for name, change in [("base", 0), ("a", 0.02), ("b", 0.03), ("c", 0.01)]:
            state = {k: v + change * torch.randn(v.shape) for k, v in start.items()}
            model.load_state_dict(state)
            model.save_pretrained(Path(folder, name))
        yield folder


def mergekit(recipe, folder, lora_cache=None):
    config = MergeConfiguration.model_validate(yaml.safe_load(recipe))
    run_merge(config, folder, MergeOptions(quiet=True, copy_tokenizer=False, write_model_card=False, lora_merge_cache=lora_cache))
    return load_all(folder)


def load_all(folder):
    tensors = {}
    for file in sorted(Path(folder).glob("*.safetensors")):
        tensors |= load_file(file)
    return tensors


def tmpack(recipe, folder, *options, cwd=None):
    Path(folder).mkdir()
    Path(folder, "recipe.yaml").write_text(recipe)
    return subprocess.run(
        [TMPACK, "merge", "--recipe", f"{folder}/recipe.yaml", "-o", f"{folder}/merged", *options],
        capture_output=True, text=True, cwd=cwd,
    )


def both(recipe, folder, cwd=None):
    os.chdir(cwd or folder)
    run = tmpack(recipe, f"{folder}/ours", cwd=cwd)
    assert run.returncode == 0, run.stderr
    return mergekit(recipe, f"{folder}/theirs"), load_all(f"{folder}/ours/merged"), run.stderr


def differ(theirs, ours):
    """The largest error of a tensor, relative to its norm."""
    assert theirs.keys() == ours.keys()
    assert all(theirs[k].dtype == ours[k].dtype for k in theirs)
    return max(float((theirs[k].double() - ours[k].double()).norm() / theirs[k].double().norm()) for k in theirs)


# mergekit's own examples, by the models' places here. Their dtype is float16, in which mergekit computes: what is compared
# to a part in a million is that computed in float32, as tmpack computes; below they are run as they are, too.
EXAMPLES = {
    "bio-merge": """
models:
  - model: a
    parameters: {density: 0.5, weight: 0.5}
  - model: b
    parameters: {density: 0.5, weight: 0.5}
merge_method: ties
base_model: base
parameters: {normalize: false, int8_mask: true}
dtype: float16
""",
    "gradient-slerp": """
slices:
  - sources:
      - {model: a, layer_range: [0, 8]}
      - {model: b, layer_range: [0, 8]}
merge_method: slerp
base_model: a
parameters:
  t:
    - filter: self_attn
      value: [0, 0.5, 0.3, 0.7, 1]
    - filter: mlp
      value: [1, 0.5, 0.7, 0.3, 0]
    - value: 0.5 # fallback for rest of tensors
dtype: float16
""",
    "linear": """
models:
  - model: a
    parameters: {weight: 1.0}
  - model: b
    parameters: {weight: 0.3}
  - model: c
    parameters: {weight: 0.5}
merge_method: linear
dtype: float16
""",
    "ties": """
models:
  - model: a
    parameters:
      density: [1, 0.7, 0.1] # density gradient
      weight: 1.0
  - model: b
    parameters:
      density: 0.5
      weight: [0, 0.3, 0.7, 1] # weight gradient
  - model: c
    parameters:
      density: 0.33
      weight:
        - filter: mlp
          value: 0.5
        - value: 0
merge_method: ties
base_model: base
parameters: {normalize: true, int8_mask: true}
dtype: float16
""",
}
# Of the two documents of mega.yml, the first is gradient-slerp and the second this.
EXAMPLES["mega"] = EXAMPLES["ties"].replace("  - model: b\n    parameters:\n      density: 0.5\n      weight: [0, 0.3, 0.7, 1] # weight gradient\n", "")


def of(method, *models, base="base", **parameters):
    """A recipe: `models` are names, or names with parameters."""
    entries = [m if isinstance(m, dict) else {"model": m} for m in models]
    recipe = dict(merge_method=method, models=entries, dtype="float32")
    if base:
        recipe["base_model"] = base
    if parameters:
        recipe["parameters"] = parameters
    return yaml.safe_dump(recipe)


def m(model, **parameters):
    return dict(model=model, parameters=parameters)


WEIGHED = [m("a", weight=0.6), m("b", weight=0.3)]
RECIPES = {
    "task_arithmetic": of("task_arithmetic", *WEIGHED),
    "task_arithmetic, lambda": of("task_arithmetic", *WEIGHED, "base", **{"lambda": 0.4}),
    "task_arithmetic, normalize": of("task_arithmetic", *WEIGHED, normalize=True),
    "task_arithmetic, gradient": of("task_arithmetic", m("a", weight=[0, 0.3, 1]), m("b", weight=0.5)),
    "task_arithmetic, one filter": of(
        "task_arithmetic", m("a", weight=[dict(filter="mlp", value=2)]), m("b", weight=0.5), weight=0.1
    ),
    "task_arithmetic, empty weights below": of("task_arithmetic", "a", m("b", weight=0.5), weight=0.25),
    "the base has parameters": of("task_arithmetic", *WEIGHED, m("base", weight=5)),
    "ties": of("ties", *WEIGHED, m("c", weight=0.2)),
    "ties, density": of("ties", m("a", weight=1, density=0.3), m("b", weight=0.5, density=0.6)),
    "ties, density of next to nothing": of("ties", m("a", weight=1, density=0.001), m("b", weight=1, density=0.2)),
    "ties, not normalized": of("ties", *WEIGHED, density=0.4, normalize=False, **{"lambda": 0.7}),
    "ties, rescaled": of("ties", *WEIGHED, density=0.4, rescale=True),
    "ties, yes and no": of("ties", *WEIGHED, density=0.4).replace("density: 0.4", "density: 0.4\n  normalize: no"),
    "dare_ties, nothing dropped": of("dare_ties", *WEIGHED, m("c", weight=0.9)),
    "dare_linear, nothing dropped": of("dare_linear", *WEIGHED),
    "dare_linear, normalized": of("dare_linear", *WEIGHED, normalize=True),
    "breadcrumbs": of("breadcrumbs", *WEIGHED, density=0.6),
    "breadcrumbs, gamma": of("breadcrumbs", *WEIGHED, density=0.9, gamma=0.05, rescale=True),
    "breadcrumbs_ties": of("breadcrumbs_ties", *WEIGHED, density=0.5),
    "breadcrumbs_ties, nothing dropped": of("breadcrumbs_ties", *WEIGHED),
    "della, nothing dropped": of("della", *WEIGHED, m("c", weight=0.4)),
    "della_linear, nothing dropped": of("della_linear", *WEIGHED),
    "linear": of("linear", *WEIGHED, base=None),
    "linear, not normalized": of("linear", *WEIGHED, base=None, normalize=False),
    "linear, the base counts": of("linear", "a", "b", weight=1),
    "linear, the base is listed": of("linear", m("base", weight=0.2), m("a", weight=0.6)),
    "slerp": of("slerp", "base", "a", t=0.3),
    "slerp, the base comes last": of("slerp", "a", "base", t=0.3),
    "slerp, gradient": of("slerp", "base", "a", t=[0, 1, 0.5]),
    "karcher": of("karcher", "a", "b", "c", base=None),
    "karcher, the base counts": of("karcher", "a", "b"),
    "multislerp": of("multislerp", *WEIGHED, m("c", weight=1), base=None),
    "multislerp, from the base": of("multislerp", *WEIGHED),
    "model_stock": of("model_stock", "a", "b", "c"),
    "model_stock, by row": of("model_stock", "a", "b", "c", filter_wise=True),
    "another method's parameters": of("linear", *WEIGHED, base=None, density=0.5, int8_mask=True),
    "slices with settings of their own": """
merge_method: task_arithmetic
base_model: base
dtype: float32
parameters: {weight: 0.5}
slices:
  - sources:
      - {model: base, layer_range: [0, 3]}
      - {model: a, layer_range: [0, 3], parameters: {weight: [0, 1]}}
      - {model: b, layer_range: [0, 3]}
    parameters: {lambda: 0.7}
  - sources:
      - {model: base, layer_range: [3, 4]}
      - {model: a, layer_range: [3, 4], parameters: {weight: [0, 1]}}
      - {model: b, layer_range: [3, 4]}
  - sources:
      - {model: base, layer_range: [4, 8]}
      - {model: a, layer_range: [4, 8]}
      - {model: b, layer_range: [4, 8], parameters: {weight: [1, 0.2]}}
""",
    "hints at the top": of("linear", *WEIGHED, base=None) + "lazy_unpickle: true\nout_shard_size: 1B\n",
    "out_dtype": of("task_arithmetic", *WEIGHED) + "out_dtype: bfloat16\n",
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_of_mergekit(models, tmp_path, name):
    recipe = EXAMPLES[name].replace("dtype: float16", "dtype: float32")
    theirs, ours, _ = both(recipe, tmp_path, cwd=models)
    assert differ(theirs, ours) < 1e-6


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_as_it_is_to_the_rounding_of_mergekit(models, tmp_path, name):
    """In float16 mergekit is as far from tmpack as from itself in float32: signs and trims turn on the last bits."""
    theirs, ours, notes = both(EXAMPLES[name], tmp_path, cwd=models)
    exact = mergekit(EXAMPLES[name].replace("dtype: float16", "dtype: float32\nout_dtype: float16"), f"{tmp_path}/exact")
    assert differ(exact, ours) < 1e-3
    assert differ(theirs, ours) < 1.01 * differ(theirs, exact) + 1e-3
    assert "rounded once" in notes


def test_stacked_layers_are_refused_by_name(models, tmp_path):
    recipe = """
slices:
  - sources: [{model: a, layer_range: [0, 5]}]
  - sources: [{model: b, layer_range: [3, 8]}]
merge_method: passthrough
dtype: float16
"""
    run = tmpack(recipe, tmp_path / "ours", cwd=models)
    assert run.returncode == 3 and "passthrough" in run.stderr
    run = tmpack(recipe.replace("passthrough", "linear"), tmp_path / "again", cwd=models)
    assert run.returncode == 3 and "layers 3 to 8 come where layer 5 is due" in run.stderr


@pytest.mark.parametrize("name", RECIPES)
def test_the_same_numbers(models, tmp_path, name):
    theirs, ours, _ = both(RECIPES[name], tmp_path, cwd=models)
    # In float32 first, mergekit rounds twice to bfloat16: an element in thousands then is the neighbour.
    assert differ(theirs, ours) < (1e-6 if "out_dtype" not in RECIPES[name] else 1e-4)


@pytest.mark.parametrize("method", ["dare_linear", "dare_ties", "della", "della_linear"])
def test_what_is_dropped_at_random_is_made_up_for_alike(models, tmp_path, method):
    """Other random numbers, the same distribution: what stays is scaled to the sum of all magnitudes."""
    recipe = of(method, m("a", weight=1), density=0.5)
    theirs, ours, _ = both(recipe, tmp_path, cwd=models)
    base, a = load_all(f"{models}/base"), load_all(f"{models}/a")
    for name in [n for n in base if base[n].numel() > 1000]:
        change = (a[name] - base[name]).abs().sum()
        for merged in (theirs, ours):
            assert abs(float((merged[name] - base[name]).abs().sum() / change) - 1) < 1e-4
        kept = [float(((t[name] - base[name]).abs() > 0).float().mean()) for t in (theirs, ours)]
        assert abs(kept[0] - kept[1]) < 0.1


def test_every_default_that_was_filled_in_is_said(models, tmp_path):
    run = tmpack(of("dare_ties", "a", m("b", weight=1), density=0.9), tmp_path / "x", cwd=models)
    assert run.returncode == 0
    for text in ["lambda = 1.0", "normalize = false", "rescale = true", "normalize = true", "weight, taken as 1 of a"]:
        assert text in run.stderr, run.stderr
    assert "density =" not in run.stderr.split("on the command line")[0]


def test_the_command_line_has_our_defaults(models, tmp_path):
    subprocess.run(
        [TMPACK, "merge", "linear", "--expert", "a", "--expert", "b", "-o", tmp_path / "linear"], cwd=models, check=True,
        capture_output=True,
    )
    a, b = load_all(f"{models}/a"), load_all(f"{models}/b")
    for name, tensor in load_all(tmp_path / "linear").items():
        assert torch.allclose(tensor, (a[name] + b[name]) / 2)


def test_an_adapter_on_a_base(models, tmp_path):
    import peft

    model = transformers.LlamaForCausalLM.from_pretrained(f"{models}/a")
    adapted = peft.get_peft_model(
        model, peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    )
    adapted.save_pretrained(tmp_path / "lora")
    recipe = of("linear", m(f"{models}/a+{tmp_path}/lora", weight=1), m(f"{models}/b", weight=1), base=None)
    run = tmpack(recipe, tmp_path / "ours")
    assert run.returncode == 0, run.stderr
    theirs = mergekit(recipe, f"{tmp_path}/theirs", lora_cache=f"{tmp_path}/cache")
    assert differ(theirs, load_all(tmp_path / "ours/merged")) < 1e-6


def test_names_in_the_cache(models, tmp_path, monkeypatch):
    for name in ["base", "a"]:
        model = tmp_path / f"hub/models--toy--{name}"
        (model / "refs").mkdir(parents=True)
        (model / "refs/main").write_text("0123abcd")
        (model / "snapshots").mkdir()
        (model / "snapshots/0123abcd").symlink_to(Path(models, name))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    recipe = of("task_arithmetic", m("toy/a", weight=0.5), base="toy/base")
    run = tmpack(recipe, tmp_path / "ours", "--json")
    assert run.returncode == 0 and '"experts":["a"]' in "".join(run.stdout.split()), run.stderr
    here = tmpack(recipe.replace("toy/", ""), tmp_path / "here", cwd=models)
    assert here.returncode == 0
    assert differ(load_all(tmp_path / "here/merged"), load_all(tmp_path / "ours/merged")) == 0
    gone = tmpack(recipe.replace("toy/a", "toy/b"), tmp_path / "gone")
    assert gone.returncode == 4 and "hf download toy/b" in gone.stderr


def test_models_of_several_dtypes(models, tmp_path):
    half = transformers.LlamaForCausalLM.from_pretrained(f"{models}/b", dtype=torch.bfloat16)
    half.save_pretrained(tmp_path / "half")
    recipe = of("task_arithmetic", m(f"{models}/a", weight=0.5), m(f"{tmp_path}/half", weight=0.5), base=f"{models}/base")
    theirs, ours, _ = both(recipe, tmp_path)
    assert differ(theirs, ours) < 1e-6
    run = tmpack(recipe.replace("dtype: float32", ""), tmp_path / "none")
    assert run.returncode == 1 and "dtype:" in run.stderr


@pytest.mark.parametrize(
    "method", ["nuslerp", "nearswap", "sce", "arcee_fusion", "ram", "ramplus_tl", "passthrough"]
)
def test_methods_that_are_not_there_are_named(models, tmp_path, method):
    run = tmpack(of(method, "a"), tmp_path / "x", cwd=models)
    assert run.returncode == 3 and f"'{method}' is not supported" in run.stderr, run.stderr


@pytest.mark.parametrize(
    "text", ["tokenizer_source: union", "tokenizer: {source: a}", "modules: {}", "chat_template: chatml"]
)
def test_what_would_change_more_than_numbers_is_named(models, tmp_path, text):
    run = tmpack(of("linear", *WEIGHED, base=None) + text + "\n", tmp_path / "x", cwd=models)
    assert run.returncode == 3 and text.split(":")[0] in run.stderr, run.stderr


def test_one_tokenizer(models, tmp_path):
    recipe = of("task_arithmetic", *WEIGHED) + "tokenizer_source: base\n"
    assert tmpack(recipe, tmp_path / "same", cwd=models).returncode == 0
