"""The times of trained runs, side by side (Appendix A.2; docs/readings.md, row 24)."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from xlmd.data.encoded import EncodedText, decode_ids
from xlmd.data.preprocess import Tokenization, detokenize, tokenize_lines
from xlmd.data.romanian import Letters
from xlmd.data.text import read_lines
from xlmd.data.tokenizer import load_tokenizer, subword_encoder
from xlmd.devices import gpu_name, pick_device
from xlmd.experiment.names import parse_decoding
from xlmd.files import write_json
from xlmd.record import hardware
from xlmd.systems import System, Translator
from xlmd.systems.transformer import TransformerDecoding
from xlmd.translate import ctranslate
from xlmd.translate.decodings import ENGINE, decoding_options, describe
from xlmd.translate.engines import RUNS_IN_ONNX, load_engine
from xlmd.translate.load import RunTranslator
from xlmd.translate.timing import measure


def latency(
    cells: Sequence[str],
    *,
    runs_folder: str,
    tokenizer: str,
    source: str,
    text: str,
    direction: str,
    defaults: dict[str, dict[str, Any]],
    sentences: int | None,
    warmup: int,
    runs: int,
    batch_sizes: Sequence[int],
    device: str,
    threads: int,
    out: str,
    engine: str = "torch",
    tokenize: Tokenization = "moses",
    romanian: Letters = "comma",
) -> None:
    """Time trained runs in turn, at batch 1, and write it all to `out`.

    cells: RUN/decodes/NAME of each, below runs_folder. A NAME of "engine=ctranslate2" times a Transformer in
    CTranslate2, one that ends in "-engine=onnx" an XLM-D in ONNX Runtime (`xlmd.translate.engines.ENGINES`); an XLM-D
    whose NAME has no engine is timed in `engine`. source: encoded test set of `direction`; text: the same, raw: the
    text-to-text figure includes tokenisation both ways, `tokenize` and `romanian` as of the corpora, and subwords.
    sentences: how many, spread over the file; None: all. batch_sizes: further batch sizes, for the throughput.
    """
    torch.set_num_threads(threads)
    encoded, lines = EncodedText(source), read_lines(text)
    count = min(sentences or len(encoded), len(encoded))
    chosen = [index * len(encoded) // count for index in range(count)]
    where = pick_device(device)
    tok, encoder = load_tokenizer(tokenizer), subword_encoder(tokenizer)
    source_language, target_language = direction.split("-")
    translators = _translators(cells, runs_folder, tokenizer, defaults, where, threads, engine)
    times = measure(
        translators,
        [encoded[index].tolist() for index in chosen],
        warmup=warmup,
        runs=runs,
        synchronize=partial(torch.cuda.synchronize, where) if where.type == "cuda" else None,
        batch_sizes=batch_sizes,
        texts=[lines[index] for index in chosen],
        encode=lambda line: encoder(tokenize_lines([line], source_language, tokenize, romanian))[0],
        decode=lambda ids: detokenize([decode_ids(tok, ids)], target_language, tokenize)[0],
    )
    protocol = {
        "direction": direction,
        "sentences": count,
        "runs": runs,
        "warmup_sentences": warmup,
        "batch_sizes": list(batch_sizes),
        "hardware": hardware(threads, gpu_name(where)),
    }
    labels = {cell: {"iterations_label": translator.iterations_label} for cell, translator in translators.items()}
    write_json(out, protocol | {"cells": {cell: labels[cell] | times[cell] for cell in times}})


def _translators(
    cells: Sequence[str],
    runs_folder: str,
    tokenizer: str,
    defaults: dict[str, dict[str, Any]],
    device: torch.device,
    threads: int,
    engine: str,
) -> dict[str, Translator]:
    """What translates each cell; a run's model is loaded once."""
    loaded: dict[tuple[str, str], tuple[System, Any]] = {}
    translators: dict[str, Translator] = {}
    for cell in cells:
        run, name = f"{runs_folder}/{cell}".split("/decodes/")
        options = decoding_options(run, name, defaults)
        default = engine if describe(run, options)["system"] == RUNS_IN_ONNX else "torch"
        by = parse_decoding(name).get(ENGINE, default)
        if by == "ctranslate2":
            decoding = TransformerDecoding(**options)
            folder = Path(run) / "model"
            translators[cell] = ctranslate.Translator(folder, decoding, device=str(device), intra_threads=threads)
        else:
            if (run, by) not in loaded:
                loaded[run, by] = load_engine(run, tokenizer, str(device), by, threads)
            translators[cell] = RunTranslator(*loaded[run, by], options)
    return translators
