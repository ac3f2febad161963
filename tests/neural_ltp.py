"""A neural LTP folder in its real format, with random weights, small enough for a test."""

import json
from pathlib import Path

import torch
from transformers import BertTokenizer

MODULES = "ltp_core.models"


def config(vocabulary: int) -> dict:
    """LTP's ``config.json``, of a model two layers deep and sixteen wide."""
    electra = {
        "model_type": "electra", "vocab_size": vocabulary, "embedding_size": 16, "hidden_size": 16,
        "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    }  # fmt: skip
    head = {"_ltp_target_": f"{MODULES}.components.token.MLPTokenClassifier", "input_size": 16, "num_labels": 2}
    return {
        "nerual": True,  # spelt so
        "vocabs": {"cws": ["I-W", "B-W"]},
        "model": {
            "_ltp_target_": f"{MODULES}.ltp_model.LTPModule",
            "backbone": {"_ltp_target_": f"{MODULES}.utils.transformer.load_transformers", "config": electra},
            "processor": {"cws": {"_ltp_target_": f"{MODULES}.processor.TokenOnly"}},
            "heads": {"cws": head | {"dropout": 0.1}},
        },
    }


def make_neural_ltp(folder: Path, tokenizer: BertTokenizer, seed: int = 0) -> Path:
    """Write the folder: ``config.json``, ``pytorch_model.bin`` and the tokenizer's files."""
    from ltp_core.models.utils import instantiate

    torch.manual_seed(seed)
    tokenizer.save_pretrained(folder)
    settings = config(len(tokenizer))
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    model = instantiate(settings["model"])
    for weight in model.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=1.0)  # so that cuts depend on the text
    with torch.no_grad():  # and half of the characters begin a word, whatever the vocabulary
        ids = torch.randint(5, len(tokenizer), (8, 64))
        logits = model.eval()("cws", ids, torch.ones_like(ids)).logits  # [texts, characters, I-W and B-W]
        model.task_heads["cws"].classifier[0].bias[1] -= (logits[..., 1] - logits[..., 0]).median()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder
