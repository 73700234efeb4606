#!/usr/bin/env python3
"""How near the sentence embeddings of two models are: demo-embeddings.py MODEL MODEL"""
import sys

import torch
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging

logging.disable_progress_bar()

SENTENCES = (
    "The disk of the database server is full.", "Latency of the checkout service has doubled since the deployment.",
    "A certificate expires tomorrow.", "The cat sat on the mat.",
)


def embeddings(folder):
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    inputs = tokenizer(list(SENTENCES), padding=True, return_tensors="pt")
    with torch.no_grad():
        states = model(**inputs).last_hidden_state
    mask = inputs["attention_mask"].unsqueeze(-1)
    return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)


a, b = embeddings(sys.argv[1]), embeddings(sys.argv[2])
cosines = (a * b).sum(1)
print(f"Embeddings of {len(SENTENCES)} sentences by the fine-tune and by what was rebuilt: cosine {cosines.min():.4f} at least.")
