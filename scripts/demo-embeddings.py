#!/usr/bin/env python3
"""How near the sentence embeddings of a fine-tune are to those of what was rebuilt, and to the base's: demo-embeddings.py MODEL REBUILT BASE"""
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


own, rebuilt, base = (embeddings(folder) for folder in sys.argv[1:4])
print(f"Embeddings of {len(SENTENCES)} sentences by the fine-tune: cosine {(own * rebuilt).sum(1).min():.4f} at least to what was rebuilt, "
      f"{(own * base).sum(1).min():.4f} to the base.")
