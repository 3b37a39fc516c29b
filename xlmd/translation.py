"""Using a trained run: decode a file, time it, or translate text."""

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from xlmd.data.encoded import EncodedText, decode_ids
from xlmd.data.preprocess import detokenize, tokenize_lines
from xlmd.data.tokenizer import load_tokenizer, subword_encoder
from xlmd.errors import UserError
from xlmd.evaluation.latency import hardware, measure
from xlmd.files import read_json, read_lines, write_json, write_lines
from xlmd.runs import load_run, translate_all

logger = logging.getLogger(__name__)


def pick_device(device: str) -> torch.device:
    """ "auto": the GPU if there is one, else the CPU."""
    return torch.device("cuda" if device == "auto" and torch.cuda.is_available() else "cpu")


class RunTranslator:
    """A trained run with its decoding options, as a `Translator`."""

    def __init__(self, run: str | Path, tokenizer: str, decoding: dict[str, Any], device: str = "auto") -> None:
        self.device = pick_device(device)
        self.system, self.model = load_run(run, tokenizer, self.device)
        self.decoding = self.system.Decoding(**decoding)

    def translate(self, sources: Sequence[Sequence[int]]) -> list[list[int]]:
        """See `xlmd.systems.Translator`."""
        return self.system.translate(self.model, sources, self.decoding)


def decode(
    *,
    run: str,
    tokenizer: str,
    source: str,
    out: str,
    decoding: dict[str, Any],
    max_tokens: int,
    device: str,
    threads: int,
) -> None:
    """Translate an encoded file with a trained run.

    Writes `out`.txt, Moses-tokenised translations one a line in the order of the file, and `out`.json, which says what
    they are: run, system, direction, seed, settings, decoding, seconds.
    """
    torch.set_num_threads(threads)
    translator = RunTranslator(run, tokenizer, decoding, device)
    sources = EncodedText(source)
    started = time.perf_counter()
    ids = translate_all(translator.system, translator.model, sources, translator.decoding, max_tokens)
    seconds = time.perf_counter() - started
    tok = translator.system.tokenizer
    write_lines(f"{out}.txt", [decode_ids(tok, sentence) for sentence in ids])
    write_json(f"{out}.json", describe(run, asdict(translator.decoding)) | {"seconds": round(seconds, 3)})


def describe(run: str, decoding: dict[str, Any]) -> dict[str, Any]:
    """What a decoded or timed file is: the run's own description with the decoding options."""
    record = read_json(Path(run) / "run.json")
    return record["description"] | {"run": run, "seed": record["seed"], "decoding": decoding}


def latency(
    *,
    run: str,
    tokenizer: str,
    source: str,
    text: str,
    out: str,
    decoding: dict[str, Any],
    engine: str,
    sentences: int | None,
    warmup: int,
    runs: int,
    device: str,
    threads: int,
) -> None:
    """Time a trained run at batch 1 (Appendix A.2; docs/readings.md, row 24) and write the statistics to `out`.

    engine: "torch", or "ctranslate2" for a Transformer. source: encoded test set; text: the same, raw: the text-to-text
    figure includes Moses and subword tokenisation both ways. sentences: how many, spread evenly over the file; None: all.
    """
    torch.set_num_threads(threads)
    encoded, lines = EncodedText(source), read_lines(text)
    count = min(sentences or len(encoded), len(encoded))
    chosen = [index * len(encoded) // count for index in range(count)]
    source_language, target_language = describe(run, {})["direction"].split("-")
    tok = load_tokenizer(tokenizer)
    encoder = subword_encoder(tokenizer)
    where = pick_device(device)
    if engine == "ctranslate2":
        from xlmd.engines.ctranslate import Translator
        from xlmd.systems.transformer import TransformerDecoding

        options = TransformerDecoding(**decoding)
        translator = Translator(Path(run) / "model", options, device=where.type, intra_threads=threads)
    else:
        translator = RunTranslator(run, tokenizer, decoding, device)
        options = translator.decoding
    result = measure(
        translator,
        [encoded[index].tolist() for index in chosen],
        warmup=warmup,
        runs=runs,
        synchronize=torch.cuda.synchronize if where.type == "cuda" else None,
        texts=[lines[index] for index in chosen],
        encode=lambda line: encoder(tokenize_lines([line], source_language))[0],
        decode=lambda ids: detokenize([decode_ids(tok, ids)], target_language)[0],
    )
    name = {"torch": "transformers", "ctranslate2": "ctranslate2"}[engine]
    gpu = torch.cuda.get_device_name() if where.type == "cuda" else None
    write_json(out, describe(run, asdict(options) | {"engine": name}) | result | {"hardware": hardware(threads, gpu)})


def translate_text(
    lines: Iterable[str], *, run: str, tokenizer: str, decoding: dict[str, Any], device: str, max_tokens: int = 4000
) -> list[str]:
    """Translate plain text, one sentence a line, from raw text to raw text. An empty line gives an empty translation."""
    direction = read_json(Path(run) / "run.json")["description"]["direction"]
    source_language, target_language = direction.split("-")
    translator = RunTranslator(run, tokenizer, decoding, device)
    encoder = subword_encoder(tokenizer)
    sources = encoder(tokenize_lines(lines, source_language))
    limit = max_tokens // 4
    for number, source in enumerate(sources, 1):
        if len(source) > limit:
            raise UserError(f"line {number} has {len(source)} subwords; at most {limit} can be translated")
    filled = [index for index, source in enumerate(sources) if source]
    translations = [""] * len(sources)
    for start in range(0, len(filled), 16):
        batch = filled[start : start + 16]
        ids = translator.translate([sources[index] for index in batch])
        texts = detokenize([decode_ids(translator.system.tokenizer, sentence) for sentence in ids], target_language)
        for index, text in zip(batch, texts, strict=True):
            translations[index] = text
    return translations
