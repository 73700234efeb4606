#!/usr/bin/env python3
"""Statistics for `pack --statistics`: of the testbed's experts by some of their training inputs, of MiniLM's by sentences.

    Benchmarks/lib/calibration.py testbed FOLDER [--count 256]
    Benchmarks/lib/calibration.py minilm MODELS FOLDER [--count 256]

Writes FOLDER/EXPERT.safetensors with everything that `tmpack.calibrate` measures, and FOLDER/gram/EXPERT.safetensors with the moments of inputs
alone. Needs torch, for MiniLM transformers, and the `tmpack` package.
"""
import argparse, pathlib, re, sys
import torch

sys.dont_write_bytecode = True
from measure import DATA, ROOT

TASKS = ("syllables", "cities", "gloss", "langid")


class Block(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.attn_norm, self.mlp_norm = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
        self.attn = torch.nn.ModuleDict({f"{k}_proj": torch.nn.Linear(width, width, bias=False) for k in "qkvo"})
        self.mlp = torch.nn.ModuleDict({"up_proj": torch.nn.Linear(width, 4 * width), "down_proj": torch.nn.Linear(4 * width, width)})

    def forward(self, h, heads):
        batch, length, width = h.shape
        z = self.attn_norm(h)
        q, k, v = (self.attn[f"{n}_proj"](z).reshape(batch, length, heads, -1).transpose(1, 2) for n in "qkv")
        mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        h = h + self.attn["o_proj"](mixed.transpose(1, 2).reshape(batch, length, width))
        up = torch.nn.functional.gelu(self.mlp["up_proj"](self.mlp_norm(h)), approximate="tanh")
        return h + self.mlp["down_proj"](up)


class Testbed(torch.nn.Module):
    """The network of the testbed's model_np.py; 0 is padding, on the right."""

    def __init__(self, tensors, heads=4):
        super().__init__()
        (rows, width), (length, _) = tensors["tok_embeddings.weight"].shape, tensors["pos_embeddings.weight"].shape
        self.heads = heads
        self.tok_embeddings, self.pos_embeddings = torch.nn.Embedding(rows, width), torch.nn.Embedding(length, width)
        self.layers = torch.nn.ModuleList(Block(width) for name in tensors if name.endswith("attn_norm.bias"))
        self.final_norm = torch.nn.LayerNorm(width)
        self.classifier = torch.nn.Linear(width, len(tensors["classifier.weight"]))
        self.load_state_dict({name: torch.tensor(value) for name, value in tensors.items()})

    def forward(self, ids):
        h = self.tok_embeddings(ids) + self.pos_embeddings(torch.arange(ids.shape[1]))
        for layer in self.layers:
            h = layer(h, self.heads)
        inputs = (ids > 0).unsqueeze(-1)
        return self.classifier((self.final_norm(h) * inputs).sum(1) / inputs.sum(1))


def testbed(count):
    """(name, model, inputs, loss) of each expert; the loss is that of an answer drawn from the expert's own."""
    sys.path.insert(0, str(DATA / "testbed"))
    import evaluate, model_np
    for task in TASKS:
        inputs, _ = model_np.load_split(task, "train")
        chosen = torch.randperm(len(inputs))[:count]
        rows = [torch.tensor(inputs[i][inputs[i] > 0])[None] for i in chosen]

        def loss(logits, _):
            return torch.nn.functional.cross_entropy(logits, torch.multinomial(logits.detach().softmax(1), 1)[0])
        yield task, Testbed(evaluate.read_safetensors(DATA / "testbed" / f"{task}.safetensors")), rows, loss


def sentences():
    """Of the decisions before the thirtieth, which stay as they are: the even ones to calibrate with, the odd ones to judge by."""
    text = "\n\n".join(p.read_text() for p in sorted((ROOT / "Spec/decisions").glob("00[0-2]*.md")))
    found = re.findall(r"[A-Z`][^|.;\n]{30,300}[.;](?=\s)", text)
    return found[0::2], found[1::2]


class Encoder:
    """A checkpoint of MiniLM with the base's configuration and tokenizer."""

    def __init__(self, base, weights):
        from safetensors.torch import load_file
        from transformers import AutoConfig, AutoTokenizer, BertModel
        self.tokenizer = AutoTokenizer.from_pretrained(base)
        self.model = BertModel(AutoConfig.from_pretrained(base), add_pooling_layer=False).eval()
        absent, _ = self.model.load_state_dict(load_file(weights), strict=False)
        if any(name.endswith("weight") for name in absent):
            sys.exit(f"{weights} lacks {absent}")

    def inputs(self, text):
        return dict(self.tokenizer(text, return_tensors="pt"))

    @staticmethod
    def pooled(result):
        return torch.nn.functional.normalize(result.last_hidden_state.mean(1), dim=1)

    @torch.no_grad()
    def embeddings(self, texts):
        """Normalised means of what comes out at the tokens, one a row."""
        return torch.cat([self.pooled(self.model(**self.inputs(text))) for text in texts])


def minilm(models, count):
    """The same; the loss is the embedding along a random direction, whose squared gradients are the squared error of all of it."""
    for expert in ("sre", "npm"):
        encoder = Encoder(models / "base", models / expert / "model.safetensors")
        rows = [encoder.inputs(text) for text in sentences()[0][:count]]

        def loss(result, _):
            embedding = encoder.pooled(result)
            return (embedding * torch.randn_like(embedding)).sum()
        yield expert, encoder.model, rows, loss


def main():
    from safetensors.torch import save_file
    from tmpack import calibrate
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("testbed", "minilm"))
    parser.add_argument("folders", type=pathlib.Path, nargs="+")
    parser.add_argument("--count", type=int, default=256)
    arguments = parser.parse_args()
    torch.manual_seed(1)
    folder = arguments.folders[-1]
    (folder / "gram").mkdir(parents=True, exist_ok=True)
    experts = testbed(arguments.count) if arguments.what == "testbed" else minilm(arguments.folders[0], arguments.count)
    for name, model, rows, loss in experts:
        statistics = calibrate(model, rows, loss=loss)
        save_file(statistics, folder / f"{name}.safetensors")
        inputs = {key: value for key, value in statistics.items() if key.endswith((".gram", ".counts"))}
        save_file(inputs, folder / "gram" / f"{name}.safetensors")
        print(name, len(rows), len(statistics), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
