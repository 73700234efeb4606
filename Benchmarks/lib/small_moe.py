"""A small Qwen3-MoE that learns sums modulo a prime, and a fine-tune of it that learns products. Needs torch and transformers 5."""
import pathlib
import torch
import transformers

PRIME = 31
PLUS, TIMES, EQUALS = PRIME, PRIME + 1, PRIME + 2
CONFIG = dict(vocab_size=PRIME + 3, hidden_size=64, intermediate_size=96, moe_intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
              num_key_value_heads=2, head_dim=16, num_experts=8, num_experts_per_tok=2, output_router_logits=True, router_aux_loss_coef=0.01,
              tie_word_embeddings=False)


def examples(sign):
    """All (a, sign, b, =), and what they are."""
    a, b = torch.meshgrid(torch.arange(PRIME), torch.arange(PRIME), indexing="ij")
    a, b = a.flatten(), b.flatten()
    mark = torch.full_like(a, sign)
    return torch.stack([a, mark, b, torch.full_like(a, EQUALS)], 1), ((a + b) if sign == PLUS else (a * b)) % PRIME


@torch.no_grad()
def answers(model, sign):
    """Logarithms of the probabilities of what follows."""
    return model.eval()(examples(sign)[0]).logits[:, -1].double().log_softmax(-1)


def share(model, sign):
    return (answers(model, sign).argmax(-1) == examples(sign)[1]).double().mean().item()


def train(model, signs, steps, rate, seed):
    random = torch.Generator().manual_seed(seed)
    inputs, targets = (torch.cat(parts) for parts in zip(*map(examples, signs)))
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(1, (s + 1) / 20) * (1 - s / steps))
    model.train()
    for _ in range(steps):
        rows = torch.randint(len(inputs), (192,), generator=random)
        out = model(inputs[rows])
        loss = torch.nn.functional.cross_entropy(out.logits[:, -1], targets[rows])
        loss = loss + 0.01 * transformers.models.qwen3_moe.modeling_qwen3_moe.load_balancing_loss_func(
            out.router_logits, CONFIG["num_experts"], CONFIG["num_experts_per_tok"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def save(model, folder):
    """With a tensor for all experts of a layer, and with one for each."""
    model.save_pretrained(folder + "-3d", save_original_format=False)
    model.save_pretrained(folder + "-2d")


def make(folder, steps=(1500, 700), seed=0):
    """FOLDER/base-3d, base-2d, tuned-3d, tuned-2d."""
    folder = pathlib.Path(folder)
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model = transformers.Qwen3MoeForCausalLM(transformers.Qwen3MoeConfig(**CONFIG))
    train(model, [PLUS], steps[0], 2e-3, seed)
    save(model, str(folder / "base"))
    train(model, [TIMES], steps[1], 1e-3, seed + 1)
    save(model, str(folder / "tuned"))


def load(folder):
    return transformers.Qwen3MoeForCausalLM.from_pretrained(folder).eval()
