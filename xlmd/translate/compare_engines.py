"""Systems in every engine that runs them, side by side: in batches, on one core and on several, with the BLEU of the
very translations that are timed."""

import copy
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory
from typing import Any

import sacrebleu
import torch

from xlmd.data.encoded import EncodedText, decode_ids
from xlmd.data.text import read_lines
from xlmd.data.tokenizer import load_tokenizer
from xlmd.errors import UserError
from xlmd.experiment.names import parse_decoding
from xlmd.files import write_json
from xlmd.onnx.engine import OnnxEngine
from xlmd.onnx.load import write_engine
from xlmd.progress import progress
from xlmd.record import hardware
from xlmd.systems import Translator
from xlmd.systems.transformer import TransformerDecoding
from xlmd.systems.xlmd import XLMD
from xlmd.translate import ctranslate
from xlmd.translate.decodings import ENGINE, decoding_options
from xlmd.translate.load import RunTranslator, load_run, load_system

Batches = list[list[list[int]]]


def compare_engines(
    cells: Sequence[str],
    *,
    runs_folder: str,
    tokenizer: str,
    source: str,
    reference: str,
    direction: str,
    defaults: dict[str, dict[str, Any]],
    sentences: int | None,
    warmup: int,
    runs: int,
    batch_sizes: Sequence[int],
    threads: Sequence[int],
    out: str,
) -> None:
    """Time trained runs on the CPU, by engine, size of batch and number of threads, and write it all to `out`.

    cells: RUN/decodes/NAME of each, below runs_folder; NAME ends in "-engine=ENGINE": torch, ctranslate2 or
    ctranslate2_int8 (a Transformer's), onnx or onnx_int8 (an XLM-D's). source, reference: the test set of `direction`,
    encoded, and tokenised. sentences: how many, spread over the file; None: all. They are translated from the shortest
    to the longest. warmup: batches before the clock starts; runs: times through all sentences, in each of which all
    cells take their turn, so that what slows the machine for a while slows all of them.

    Each of `timings` has cell, engine, batch and threads; `ms` per sentence, the mean over runs (`run_means`), `spread`
    their standard deviation (null for one run); and `bleu`, of Moses tokens. Raises UserError if a run or a file is
    missing, if source and reference differ in length, or if ONNX is not installed.
    """
    encoded, lines = EncodedText(source), read_lines(reference)
    if len(encoded) != len(lines):
        raise UserError(f"{source} has {len(encoded)} sentences but {reference} {len(lines)} lines")
    count = min(sentences or len(encoded), len(encoded))
    chosen = sorted((index * len(encoded) // count for index in range(count)), key=lambda index: encoded.lengths[index])
    ids, references = [encoded[index].tolist() for index in chosen], [lines[index] for index in chosen]
    decoder, timings = load_tokenizer(tokenizer), []
    numbers = list(dict.fromkeys(threads))
    bar = progress(total=len(numbers) * len(batch_sizes) * runs * len(cells), desc="engines", unit="pass")
    with TemporaryDirectory() as folder, bar:
        engines = _Engines(runs_folder, tokenizer, defaults, Path(folder))
        for number in numbers:
            torch.set_num_threads(number)
            translators = {cell: engines.translator(cell, number) for cell in cells}
            for size in batch_sizes:
                batches = [ids[start : start + size] for start in range(0, count, size)]
                for cell, (times, outputs) in _in_turn(translators, batches, warmup, runs, bar).items():
                    hypotheses = [decode_ids(decoder, output) for output in outputs]
                    score = sacrebleu.corpus_bleu(hypotheses, [references], tokenize="none", force=True).score
                    path, _, engine = cell.rpartition(f"-{ENGINE}=")
                    timings.append(
                        {"cell": path, "engine": engine, "batch": size, "threads": number, "bleu": score}
                        | {"ms": fmean(times), "spread": stdev(times) if runs > 1 else None, "run_means": times}
                    )
    protocol = {"direction": direction, "sentences": count, "runs": runs, "warmup_batches": warmup}
    write_json(out, protocol | {"hardware": hardware(max(numbers)), "timings": timings})


def _in_turn(
    translators: Mapping[str, Translator], batches: Batches, warmup: int, runs: int, bar: Any
) -> dict[str, tuple[list[float], list[list[int]]]]:
    """{name: milliseconds per sentence in each run, and the translations}."""
    for translator in translators.values():
        for batch in batches[:warmup]:
            translator.translate(batch)
    times: dict[str, list[float]] = {name: [] for name in translators}
    outputs: dict[str, list[list[int]]] = {}
    for _ in range(runs):
        for name, translator in translators.items():
            started = time.perf_counter()
            outputs[name] = [output for batch in batches for output in translator.translate(batch)]
            times[name].append(1e3 * (time.perf_counter() - started) / len(outputs[name]))
            bar.update()
    return {name: (times[name], outputs[name]) for name in translators}


class _Engines:
    """What translates each cell; models are loaded, and graphs made, once each. folder: where to put the graphs."""

    def __init__(self, runs_folder: str, tokenizer: str, defaults: dict[str, dict[str, Any]], folder: Path) -> None:
        self._runs_folder, self._tokenizer, self._defaults, self._folder = runs_folder, tokenizer, defaults, folder
        self._loaded: dict[tuple, Any] = {}

    def translator(self, cell: str, threads: int) -> Translator:
        run, name = f"{self._runs_folder}/{cell}".split("/decodes/")
        engine, options = parse_decoding(name)[ENGINE], decoding_options(run, name, self._defaults)
        if engine == "torch":
            system, model = self._once(load_run, run, self._tokenizer, "cpu")
            return RunTranslator(system, model, options)
        if engine in ("onnx", "onnx_int8"):
            system, model = self._once(self._onnx, run, engine, threads)
            return RunTranslator(system, model, options)
        translator = copy.copy(self._once(_ctranslate, run, engine, threads))
        translator.decoding = TransformerDecoding(**options)
        return translator

    def _once(self, load: Any, *arguments: Any) -> Any:
        key = (load.__name__, *arguments)
        if key not in self._loaded:
            self._loaded[key] = load(*arguments)
        return self._loaded[key]

    def _onnx(self, run: str, engine: str, threads: int) -> tuple[XLMD, OnnxEngine]:
        system, folder = self._once(self._graphs, run)
        return system, OnnxEngine(folder, int8=engine == "onnx_int8", threads=threads)

    def _graphs(self, run: str) -> tuple[XLMD, Path]:
        system = load_system(run, self._tokenizer)
        if not isinstance(system, XLMD):
            raise UserError(f"ONNX Runtime runs XLM-D only, and {run} is a {system.name}")
        folder = self._folder / str(len(self._loaded))
        folder.mkdir()
        write_engine(system, Path(run) / "model", folder, int8=True)
        return system, folder


def _ctranslate(run: str, engine: str, threads: int) -> ctranslate.Translator:
    kinds = {"ctranslate2": "float32", "ctranslate2_int8": "int8"}
    if engine not in kinds:
        raise UserError(f"engine = {engine!r}: expected one of torch, onnx, onnx_int8, {', '.join(kinds)}")
    model, decoding = Path(run) / "model", TransformerDecoding()
    return ctranslate.Translator(model, decoding, compute_type=kinds[engine], intra_threads=threads)
