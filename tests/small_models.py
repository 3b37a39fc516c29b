"""Models small enough for a unit test, and the folders they live in."""

from pathlib import Path

import torch
from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

from xlmd.method.model import XLMDForTranslation, decorate

VOCABULARY = 40
MASK = VOCABULARY - 1
LAYERS = 3


def save_mlm(folder: Path, **changes: object) -> Path:
    """A masked language model with random weights everywhere, biases and token types included."""
    torch.manual_seed(0)
    shape = {
        "vocab_size": VOCABULARY,
        "hidden_size": 16,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 66,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,
        "initializer_range": 0.3,
    }
    model = XLMRobertaForMaskedLM(XLMRobertaConfig(**(shape | changes)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    return folder


def decorated(folder: Path, **options: object) -> XLMDForTranslation:
    return decorate(folder, mask_token_id=MASK, **options).eval()


def sources() -> tuple[torch.Tensor, torch.Tensor]:
    """Two sentences `<s> … </s>`, of 7 and 4 tokens, padded with <pad> = 1."""
    ids = torch.tensor([[0, 5, 6, 7, 8, 9, 2], [0, 10, 11, 2, 1, 1, 1]])
    return ids, torch.tensor([7, 4])
