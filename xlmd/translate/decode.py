"""Translations of an encoded test set, as files below a run folder."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from xlmd.data.encoded import EncodedText, decode_ids, encoded_paths
from xlmd.errors import UserError
from xlmd.experiment.names import parse_decoding
from xlmd.files import file_sha256, read_json, write_json, write_lines
from xlmd.translate.decodings import ENGINE, decoding_options, describe
from xlmd.translate.engines import load_engine
from xlmd.translate.load import translate_all

logger = logging.getLogger(__name__)


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
    engine: str = "torch",
) -> None:
    """Translate an encoded test set with a trained run, once for each of several decodings.

    names: what tells the decodings apart, as "iterations=4"; defaults: {system: options} for the rest. engine: of
    `xlmd.translate.engines.ENGINES`. Writes, below the run folder, decodes/<name>/test.txt, Moses-tokenised
    translations in the order of the file, and test.json, which says what they are. A decoding already made from the
    same run, source, options, engine and `code` is left as it is.
    """
    torch.set_num_threads(threads)
    sources_sha256 = [file_sha256(path) for path in encoded_paths(source)]
    inputs = {"run": file_sha256(f"{run}/run.json"), "source": sources_sha256, "code": code, "engine": engine}
    loaded = None
    for name in names:
        if ENGINE in parse_decoding(name):
            raise UserError(f"{name}: other engines are only timed; their translations are the same")
        options, out = decoding_options(run, name, defaults), Path(run) / "decodes" / name
        identity = inputs | {"options": options}
        if _is_made(out, identity):
            logger.info("%s is there already", out)
            continue
        loaded = loaded or (*load_engine(run, tokenizer, device, engine, threads), EncodedText(source))
        system, model, sources = loaded
        decoding = system.Decoding(**options)
        system.effort()  # what came before is not of this decoding
        started = time.perf_counter()
        ids = translate_all(system, model, sources, decoding, max_tokens)
        seconds = round(time.perf_counter() - started, 3)
        write_lines(out / "test.txt", [decode_ids(system.tokenizer, sentence) for sentence in ids])
        label = system.iterations_label(decoding)
        facts = {"iterations_label": label, "seconds": seconds, "identity": identity} | system.effort()
        write_json(out / "test.json", describe(run, asdict(decoding)) | facts)


def _is_made(out: Path, identity: dict[str, Any]) -> bool:
    """Whether a decoding of this identity is complete: its description is written last."""
    made = (out / "test.json").exists() and (out / "test.txt").exists()
    return made and read_json(out / "test.json").get("identity") == identity
