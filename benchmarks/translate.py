"""What a sentence takes: eager torch, ONNX Runtime and CTranslate2 side by side, one sentence at a time on one thread.

    python -m benchmarks.translate --xlmd RUN --transformer RUN --source ENCODED --reference TEXT

RUN: folders of trained runs of one direction; ENCODED, TEXT: its test set, encoded (without the suffixes of its files)
and tokenised. All engines take their turn within each run over the sentences (`xlmd.translate.timing`), so that what
slows the machine for a while slows all of them. BLEU is of the translations timed. Prints a Markdown table.
"""

import argparse
import os

import sacrebleu
import torch

from xlmd.data.encoded import EncodedText, decode_ids
from xlmd.data.text import read_lines
from xlmd.record import hardware
from xlmd.systems import Translator
from xlmd.systems.transformer import TransformerDecoding
from xlmd.translate import ctranslate
from xlmd.translate.engines import ENGINES, load_engine
from xlmd.translate.load import RunTranslator
from xlmd.translate.text import tokenizer_of
from xlmd.translate.timing import measure

ITERATIONS = (1, 2, 4, 8)
BEAMS = (1, 5)


def translators(xlmd: str, transformer: str) -> dict[str, Translator]:
    """All that are timed, by their names in the table."""
    timed: dict[str, Translator] = {}
    for engine in ENGINES:
        loaded = load_engine(xlmd, tokenizer_of(xlmd), "cpu", engine)
        for iterations in ITERATIONS:
            timed[f"XLM-D, T = {iterations} | {engine}"] = RunTranslator(*loaded, {"iterations": iterations})
    loaded = load_engine(transformer, tokenizer_of(transformer), "cpu")
    for beam in BEAMS:
        timed[f"Transformer, beam {beam} | torch"] = RunTranslator(*loaded, {"beam": beam})
        timed[f"Transformer, beam {beam} | ctranslate2"] = ctranslate.Translator(
            f"{transformer}/model", TransformerDecoding(beam=beam)
        )
    return timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("xlmd", "transformer", "source", "reference"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--sentences", type=int, default=200, help="how many, spread over the file")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    source, references = EncodedText(args.source), read_lines(args.reference)
    count = min(args.sentences, len(source))
    chosen = [index * len(source) // count for index in range(count)]
    sentences = [source[index].tolist() for index in chosen]
    timed = translators(args.xlmd, args.transformer)
    tokenizer = timed[f"XLM-D, T = {ITERATIONS[0]} | torch"].system.tokenizer
    load = os.getloadavg()[0]
    times = {name: result["translation"] for name, result in measure(timed, sentences, runs=args.runs).items()}
    print(f"{count} sentences, {args.runs} runs, {hardware(threads=1)['cpu']}, one thread, load {load:.1f} before\n")
    print("| system | engine | ms per sentence | median | p95 | spread of runs | BLEU |\n|---|---|---|---|---|---|---|")
    for name, translator in timed.items():
        hypotheses = [decode_ids(tokenizer, translator.translate([sentence])[0]) for sentence in sentences]
        bleu = sacrebleu.corpus_bleu(
            hypotheses, [[references[index] for index in chosen]], tokenize="none", force=True
        ).score
        figures = " | ".join(f"{times[name][key] or 0:.2f}" for key in ("mean", "median", "p95", "spread"))
        print(f"| {name} | {figures} | {bleu:.2f} |")


if __name__ == "__main__":
    main()
