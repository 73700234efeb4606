"""What goes through the layers of a model, measured on data: the statistics that merging and packing weigh errors with."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Dict, Iterable, List, Optional

from . import _tool


def calibrate(
    model: Any,
    batches: Iterable,
    output: Any = None,
    *,
    loss: Optional[Callable[[Any, Any], Any]] = None,
    modules: Optional[Callable[[str, Any], bool]] = None,
) -> Dict[str, Any]:
    """Second moments of the inputs of linear layers and, with a loss, of the gradients of their outputs: sums in f32, batch by batch.

    batches: what the model takes: dictionaries as keywords, tuples and lists as arguments, anything else as the one argument.
    output: a safetensors file to write, for ``statistics={"math": …}`` of ``pack`` and ``merge``.
    loss: takes the model's output and the batch; its gradients go back, and the parameters get none.
    modules: which layers, by name and module; None for all.

    Of a weight W of a layer y = W x it gives ``W.gram``, the mean of x xᵀ over all positions (Spec/merging-statistics.md), and ``W.gram0``, that of the
    gradients g gᵀ of y, for W's first axis. Of a Conv1D, whose weight is [in, out], ``W.gram0`` is the inputs' and ``W.gram1`` the gradients'. Of an
    embedding, ``W.counts`` says how often each row was taken, as a share, and ``W.gram1`` is the gradients'.

    Memory: a square matrix for each side of each layer.
    """
    import torch

    sums: Dict[str, Any] = {}
    counts: Dict[str, int] = {}

    def add(name: str, rows: Any) -> None:
        rows = rows.detach().reshape(-1, rows.shape[-1]).float()
        if name in sums:
            sums[name].addmm_(rows.T, rows)
        else:
            sums[name] = rows.T @ rows
        counts[name] = counts.get(name, 0) + len(rows)

    def watch(name: str, module: Any, inputs: Optional[str], gradients: str) -> List[Any]:
        handles = []
        if inputs is not None:
            key = f"{name}.weight.{inputs}"
            handles.append(module.register_forward_pre_hook(lambda _, values: add(key, values[0])))
        else:

            def count(_: Any, values: Any) -> None:
                key = f"{name}.weight.counts"
                ids = values[0].detach().reshape(-1)
                found = torch.bincount(ids, minlength=module.num_embeddings).float()
                sums[key] = sums[key] + found if key in sums else found
                counts[key] = counts.get(key, 0) + len(ids)

            handles.append(module.register_forward_pre_hook(count))
        if loss is not None:

            def keep(_: Any, __: Any, result: Any) -> None:
                if result.requires_grad:
                    result.register_hook(lambda gradient: add(f"{name}.weight.{gradients}", gradient))

            handles.append(module.register_forward_hook(keep))
        return handles

    with contextlib.ExitStack() as stack:
        for name, module in model.named_modules():
            if modules is not None and not modules(name, module):
                continue
            if isinstance(module, torch.nn.Linear):
                handles = watch(name, module, "gram", "gram0")
            elif isinstance(module, torch.nn.Embedding):
                handles = watch(name, module, None, "gram1")
            elif type(module).__name__ == "Conv1D" and getattr(module, "weight", None) is not None and module.weight.ndim == 2:
                handles = watch(name, module, "gram0", "gram1")
            else:
                continue
            for handle in handles:
                stack.callback(handle.remove)
        for batch in batches:
            with torch.set_grad_enabled(loss is not None):
                if isinstance(batch, dict) or hasattr(batch, "keys"):
                    result = model(**batch)
                elif isinstance(batch, (tuple, list)):
                    result = model(*batch)
                else:
                    result = model(batch)
                if loss is not None:
                    # With respect to what the hooks are on; parameters keep the gradients that they have.
                    value = loss(result, batch)
                    kept = [parameter.grad for parameter in model.parameters()]
                    value.backward()
                    for parameter, gradient in zip(model.parameters(), kept):
                        parameter.grad = gradient
    statistics = {name: total / max(1, counts[name]) for name, total in sums.items()}
    if output is not None:
        _tool.save(statistics, output)
    return statistics
