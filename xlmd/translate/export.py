"""A trained XLM-D as a folder that others can use: in ONNX Runtime, or in transformers without this package."""

import json
import logging
from pathlib import Path
from typing import Any, Literal, get_args

import sacrebleu

from xlmd.data.encoded import EncodedText, decode_ids
from xlmd.data.preparation import Preparation, preparation_of
from xlmd.data.text import read_lines
from xlmd.data.tokenizer import copy_tokenizer
from xlmd.errors import UserError
from xlmd.files import atomic_folder, read_json, write_json
from xlmd.method.decoding import XLMDDecoding
from xlmd.method.generation import XLMDGenerationConfig
from xlmd.onnx.engine import OnnxEngine
from xlmd.onnx.graphs import ENCODE, REFINE, graph_file, quantise, write_graphs
from xlmd.systems.xlmd import XLMD
from xlmd.translate.decodings import chosen_options
from xlmd.translate.load import load_system, translate_all
from xlmd.translate.model_card import model_card
from xlmd.translate.own_code import write_own_code
from xlmd.translate.text import tokenizer_of
from xlmd.weights import weights_sha256

Format = Literal["onnx", "transformers"]
LOSS_OF_INT8 = 0.1  # dev BLEU that int8 may cost

_MAX_TOKENS = 4000

logger = logging.getLogger(__name__)


def export(
    run: str | Path,
    out: str | Path,
    *,
    format: str,
    int8: bool = False,
    tokenizer: str | None = None,
    dev_source: str | None = None,
    dev_reference: str | None = None,
) -> None:
    """Write a run's model with its tokenizer, generation settings, preparation of text and model card.

    out: folder, written whole or not at all; one that is there is replaced. format: "onnx", the two graphs of
    `xlmd.onnx.graphs`; or "transformers", weights and code for `AutoModelForSeq2SeqLM` with `trust_remote_code`. int8:
    quantised graphs too, kept if their BLEU on the dev set is within `LOSS_OF_INT8` of the others'. tokenizer: for a
    run folder without one. dev_source, dev_reference: an encoded source, without its suffixes, and its tokenised
    reference; by default the dev set that the run recorded. Raises UserError if the run is no XLM-D, if a file is
    missing, or if ONNX is not installed.
    """
    if format not in get_args(Format):
        raise UserError(f"format = {format!r}: expected one of {', '.join(get_args(Format))}")
    if int8 and format != "onnx":
        raise UserError("int8: only ONNX graphs are quantised")
    tokenizer = tokenizer or tokenizer_of(run)
    system = load_system(run, tokenizer)
    if not isinstance(system, XLMD):
        raise UserError(f"{run} is a {system.name}; only an XLM-D is exported")
    model_folder = Path(run) / "model"
    model = system.load(model_folder)
    settings = XLMDGenerationConfig(**chosen_options(run))
    model.generation_config = settings
    facts: dict[str, Any] = {}
    with atomic_folder(out) as folder:
        if format == "onnx":
            model.config.save_pretrained(folder)
            settings.save_pretrained(folder)
            write_graphs(model, folder, weights_sha256(model_folder))
            if int8:
                files = read_json(Path(run) / "run.json")["settings"]["files"]
                dev = dev_source or files["dev_source"], dev_reference or files["dev_reference"]
                facts["dev_bleu"] = _quantised(system, folder, settings.decoding(), *dev)
        else:
            model.save_pretrained(folder)
            classes = write_own_code(folder)
            write_json(folder / "config.json", read_json(folder / "config.json") | {"auto_map": classes})
        _with_text(folder, tokenizer, preparation_of(run))
        card = model_card(read_json(Path(run) / "run.json"), settings.decoding(), format, facts)
        (folder / "README.md").write_text(card, encoding="utf-8")
    logger.info("wrote %s", out)


def _with_text(folder: Path, tokenizer: str, preparation: Preparation) -> None:
    """Add the tokenizer's files and preparation.json to a model's folder."""
    copied = folder / "tokenizer"
    copy_tokenizer(tokenizer, copied)
    for path in copied.iterdir():
        path.rename(folder / path.name)
    copied.rmdir()
    preparation.save(folder)


def _quantised(system: XLMD, folder: Path, decoding: XLMDDecoding, source: str, reference: str) -> dict[str, float]:
    """Add int8 graphs to a folder, and take them away again if they are too bad; the dev BLEU of both kinds."""
    sources, references = EncodedText(source), read_lines(reference)
    if len(sources) != len(references):
        raise UserError(f"{source} has {len(sources)} sentences but {reference} {len(references)} lines")
    quantise(folder)
    bleu = {
        kind: _bleu(system, OnnxEngine(folder, int8=kind == "int8"), decoding, sources, references)
        for kind in ("float32", "int8")
    }
    logger.info("dev BLEU: %s", json.dumps(bleu))
    if bleu["int8"] < bleu["float32"] - LOSS_OF_INT8:
        logger.warning("int8 loses more than %s BLEU and is not kept", LOSS_OF_INT8)
        for name in (ENCODE, REFINE):
            (folder / graph_file(name, int8=True)).unlink()
    return bleu


def _bleu(
    system: XLMD, engine: OnnxEngine, decoding: XLMDDecoding, sources: EncodedText, references: list[str]
) -> float:
    ids = translate_all(system, engine, sources, decoding, _MAX_TOKENS)
    hypotheses = [decode_ids(system.tokenizer, sentence) for sentence in ids]
    return round(sacrebleu.corpus_bleu(hypotheses, [references], tokenize="none", force=True).score, 2)
