"""A run folder as training writes it, with an XLM-D of random weights."""

from pathlib import Path

import torch
from small_models import save_mlm
from text_example import sentences, write_text

from xlmd.data.encoded import encode
from xlmd.data.tokenizer import copy_tokenizer, load_tokenizer, train_tokenizer
from xlmd.files import write_json
from xlmd.systems.xlmd import XLMD, XLMDSettings


def write_run(folder: Path) -> Path:
    """Its text, tokenizer and pre-trained model lie beside it."""
    folder.mkdir(parents=True)
    text = write_text(folder.parent / "text", sentences(300))
    train_tokenizer([text], 120, folder.parent / "tokenizer")
    copy_tokenizer(folder.parent / "tokenizer", folder / "tokenizer")
    encode(text, folder / "tokenizer", folder.parent / "dev")
    tokenizer = load_tokenizer(folder / "tokenizer")
    mlm = save_mlm(folder.parent / "mlm", vocab_size=len(tokenizer), num_hidden_layers=2, max_position_embeddings=402)
    settings = XLMDSettings(mlm=str(mlm), M=1)
    torch.manual_seed(0)
    XLMD(settings, tokenizer).build().save_pretrained(folder / "model")
    files = {"dev_source": str(folder.parent / "dev"), "dev_reference": str(text), "tokenize": "none"}
    record = {
        "description": {"system": "xlmd", "direction": "en-de", "settings": {"M": 1}},
        "settings": {"system": "xlmd", "settings": vars(settings), "files": files},
        "seed": 1,
        "chosen": {"blank_penalty": 1.5},
    }
    write_json(folder / "run.json", record)
    return folder
