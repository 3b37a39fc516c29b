"""Using a trained run: decode a file, time it, or translate text."""

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from xlmd.data.encoded import EncodedText, decode_ids, encoded_paths
from xlmd.data.preprocess import detokenize, tokenize_lines
from xlmd.data.text import read_lines
from xlmd.data.tokenizer import load_tokenizer, subword_encoder
from xlmd.errors import UserError
from xlmd.files import file_sha256, read_json, write_json, write_lines
from xlmd.record import hardware
from xlmd.systems import System, find_system
from xlmd.systems.transformer import TransformerDecoding
from xlmd.train.run import load_run, translate_all
from xlmd.translate.ctranslate import Translator
from xlmd.translate.timing import measure

logger = logging.getLogger(__name__)


def pick_device(device: str) -> torch.device:
    """ "auto": the GPU if there is one, else the CPU."""
    return torch.device("cuda" if device == "auto" and torch.cuda.is_available() else "cpu")


class RunTranslator:
    """A loaded run (`load_run`) with its decoding options, as a `Translator`."""

    def __init__(self, system: System, model: torch.nn.Module, decoding: dict[str, Any]) -> None:
        self.system, self.model = system, model
        self.decoding = system.Decoding(**decoding)

    def translate(self, sources: Sequence[Sequence[int]]) -> list[list[int]]:
        """See `xlmd.systems.Translator`."""
        return self.system.translate(self.model, sources, self.decoding)


def parse_decoding(name: str) -> dict[str, str]:
    """The options that a decoding's name spells: "iterations=4-strategy=static" is {"iterations": "4", …}."""
    parts = name.split("-")
    if not all("=" in part for part in parts):
        raise UserError(f"{name!r} does not name a decoding: expected key=value, joined by -, as iterations=4")
    return dict(part.split("=", 1) for part in parts)


def decoding_options(run: str, name: str, defaults: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The options of decoding a run: its system's `defaults`, then what the decoding's name says.

    Raises UserError naming an option that the system does not have or a value of another type.
    """
    system = find_system(describe(run, {})["system"])
    given = {key: str(value) for key, value in defaults.get(system.name, {}).items()} | parse_decoding(name)
    kinds = {item.name: item.type for item in fields(system.Decoding)}
    options = {}
    for key, text in given.items():
        if key == "engine":
            continue
        if key not in kinds:
            raise UserError(f"{system.name} has no decoding option {key!r}; it has: {', '.join(kinds)}")
        try:
            options[key] = kinds[key](text) if kinds[key] in (int, float) else text
        except ValueError as error:
            raise UserError(f"decoding option {key}={text}: expected {kinds[key].__name__}") from error
    return options


def decode(
    names: Sequence[str],
    *,
    run: str,
    tokenizer: str,
    source: str,
    defaults: dict[str, dict[str, Any]],
    code: str,
    max_tokens: int,
    device: str,
    threads: int,
) -> None:
    """Translate an encoded test set with a trained run, once for each of several decodings.

    names: what tells the decodings apart, as "iterations=4"; defaults: {system: options} for the rest. Writes, below
    the run folder, decodes/<name>/test.txt, Moses-tokenised translations in the order of the file, and test.json, which
    says what they are. A decoding already made from the same run, source, options and `code` is left as it is.
    """
    torch.set_num_threads(threads)
    sources_sha256 = [file_sha256(path) for path in encoded_paths(source)]
    inputs = {"run": file_sha256(f"{run}/run.json"), "source": sources_sha256, "code": code}
    translator = None
    for name in names:
        if "engine" in parse_decoding(name):
            raise UserError(f"{name}: other engines are only timed; their translations are the same")
        options, out = decoding_options(run, name, defaults), Path(run) / "decodes" / name
        identity = inputs | {"options": options}
        if _is_made(out, identity):
            logger.info("%s is there already", out)
            continue
        if translator is None:
            translator = RunTranslator(*load_run(run, tokenizer, pick_device(device)), options)
            sources = EncodedText(source)
        translator.decoding = translator.system.Decoding(**options)
        started = time.perf_counter()
        decoded = translate_all(translator.system, translator.model, sources, translator.decoding, max_tokens)
        seconds = round(time.perf_counter() - started, 3)
        tok = translator.system.tokenizer
        write_lines(out / "test.txt", [decode_ids(tok, sentence) for sentence in decoded.ids])
        label = translator.system.iterations_label(translator.decoding)
        facts = {"iterations_label": label, "means": decoded.means(), "seconds": seconds, "identity": identity}
        write_json(out / "test.json", describe(run, asdict(translator.decoding)) | facts)


def _is_made(out: Path, identity: dict[str, Any]) -> bool:
    """Whether a decoding of this identity is complete: its description is written last."""
    made = (out / "test.json").exists() and (out / "test.txt").exists()
    return made and read_json(out / "test.json").get("identity") == identity


def describe(run: str, decoding: dict[str, Any]) -> dict[str, Any]:
    """What a decoded or timed file is: the run's own description with the decoding options."""
    record = read_json(Path(run) / "run.json")
    return record["description"] | {"run": run, "seed": record["seed"], "decoding": decoding}


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
    tokenize: str = "moses",
) -> None:
    """Time trained runs in turn, at batch 1 (Appendix A.2; docs/readings.md, row 24), and write it all to `out`.

    cells: RUN/decodes/NAME of each, below runs_folder. A NAME of "engine=ctranslate2" times a Transformer in
    CTranslate2. source: encoded test set of `direction`; text: the same, raw: the text-to-text figure includes
    tokenisation both ways, `tokenize` ("moses" or "none") and subwords. sentences: how many, spread evenly over the
    file; None: all. batch_sizes: further batch sizes, for the throughput.
    """
    torch.set_num_threads(threads)
    encoded, lines = EncodedText(source), read_lines(text)
    count = min(sentences or len(encoded), len(encoded))
    chosen = [index * len(encoded) // count for index in range(count)]
    where = pick_device(device)
    tok, encoder = load_tokenizer(tokenizer), subword_encoder(tokenizer)
    source_language, target_language = direction.split("-")
    loaded: dict[str, tuple[System, torch.nn.Module]] = {}
    translators = {}
    for cell in cells:
        run, name = f"{runs_folder}/{cell}".split("/decodes/")
        options = decoding_options(run, name, defaults)
        if parse_decoding(name).get("engine") == "ctranslate2":
            decoding = TransformerDecoding(**options)
            translators[cell] = Translator(Path(run) / "model", decoding, device=where.type, intra_threads=threads)
        else:
            if run not in loaded:
                loaded[run] = load_run(run, tokenizer, where)
            translators[cell] = RunTranslator(*loaded[run], options)
    times = measure(
        translators,
        [encoded[index].tolist() for index in chosen],
        warmup=warmup,
        runs=runs,
        synchronize=torch.cuda.synchronize if where.type == "cuda" else None,
        batch_sizes=batch_sizes,
        texts=[lines[index] for index in chosen],
        encode=lambda line: encoder(tokenize_lines([line], source_language, tokenize))[0],
        decode=lambda ids: detokenize([decode_ids(tok, ids)], target_language, tokenize)[0],
    )
    protocol = {
        "direction": direction,
        "sentences": count,
        "runs": runs,
        "warmup_sentences": warmup,
        "batch_sizes": list(batch_sizes),
        "hardware": hardware(threads, torch.cuda.get_device_name() if where.type == "cuda" else None),
    }
    write_json(out, protocol | {"cells": times})


def translate_text(
    lines: Iterable[str],
    *,
    run: str,
    tokenizer: str,
    decoding: dict[str, Any],
    device: str,
    tokenize: str = "moses",
    batch: int = 16,
) -> list[str]:
    """Translate raw text to raw text, one sentence a line. An empty line gives an empty translation.

    A line that is too long for the model is cut, with a warning: give it sentences.
    """
    source_language, target_language = describe(run, {})["direction"].split("-")
    translator = RunTranslator(*load_run(run, tokenizer, pick_device(device)), decoding)
    sources = subword_encoder(tokenizer)(tokenize_lines(lines, source_language, tokenize))
    filled = [index for index, source in enumerate(sources) if source]
    translations = [""] * len(sources)
    for start in range(0, len(filled), batch):
        chosen = filled[start : start + batch]
        ids = translator.translate([sources[index] for index in chosen])
        texts = [decode_ids(translator.system.tokenizer, sentence) for sentence in ids]
        for index, text in zip(chosen, detokenize(texts, target_language, tokenize), strict=True):
            translations[index] = text
    return translations
