"""Results of the workflow with invented figures: the files that tables are made from, for any part of the grid."""

import zlib
from pathlib import Path

import yaml

from xlmd.experiment.tables import TABLES, points, timed
from xlmd.files import write_json, write_lines
from xlmd.reporting.bleu import BUCKETS
from xlmd.reporting.make import make

ROOT = Path(__file__).parents[1]
PAPER = ROOT / "xlmd/resources/paper"
SIGNATURE = "nrefs:1|case:mixed|eff:no|tok:none|smooth:exp|version:2.6.0"
SENTENCES = 16


def example_config(folder, **grid):
    """The embedded configuration with its results below `folder`; grid: changed keys of its grid."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    config["results"] = str(folder / "results")
    config["grid"] |= {"M": [0, 2], "iterations": [2, 4, 8], "seeds": [1]} | grid
    return config


def bleu(point):
    """An invented score, another one for every point."""
    return 10 + zlib.crc32(point.path.encode()) % 8000 / 100


def milliseconds(point):
    decoding = dict(point.decoding)
    if point.system == "transformer":
        return 6.0 if "engine" in decoding else 40.0
    return 5.0 * int(decoding.get("iterations", 1)) - dict(point.settings).get("M", 0)


def write_results(config, *tables, score=bleu, latency=milliseconds, translation=None):
    """Write what the workflow leaves behind for `tables`. translation(point, number): a translated sentence."""
    root = Path(config["results"])
    shown = points(config, *tables)
    for point in shown:
        write_json(root / "runs" / point.run / "run.json", run_record(config, point))
        folder, value = root / "runs" / point.path, score(point)
        metric = {"score": value, "signature": SIGNATURE}
        scores = {"bleu": metric, "bleu_compound_split": metric | {"score": value + 1}}
        scores |= {"sacrebleu": metric | {"score": value - 1}, "chrf": metric | {"score": value + 20}}
        romanian = {"bleu_without_diacritics": metric if point.direction.endswith("-ro") else None}
        buckets = {str(low): {"score": value - low / 10, "sentences": 2} for low in BUCKETS}
        write_json(
            folder / "test.score.json", scores | {"copy_bleu": metric | {"score": 3.21}, "buckets": buckets} | romanian
        )
        texts = [translation(point, n) if translation else f"translation {n} ." for n in range(SENTENCES)]
        write_lines(folder / "test.txt", texts)
        write_json(folder / "test.json", {"iterations_label": iterations_label(point)} | effort(point))
    for table in tables:
        for point in timed(config, table):
            write_json(root / "runs" / point.run / "run.json", run_record(config, point))
        if TABLES[table].timed_with:
            write_latency(config, table, latency)
    return shown


def labels(point, settings):
    """What `System.describe` says of a run for the tables."""
    if point.system != "xlmd":
        return {
            "label": {"transformer": "Transformer", "cmlm": "CMLM"}.get(point.system, point.system.upper()),
            "size": "2+2 layers",
        }
    m, depth = settings["M"], f" (M={settings['M'] * 12 / settings['layers']:.4g})"
    label = f"XLM-D{depth}" if settings["add_and_scale"] else "XLM-D with LT only" + (depth if m else "")
    return {"label": label, "size": f"M={m} of {settings['layers']} layers"}


def iterations_label(point):
    return str(dict(point.decoding).get("iterations", "1" if point.system == "glat" else "N"))


def effort(point):
    """What an adaptive system says of its decoding."""
    return {"mean_iterations": 2.5, "mean_passes": 6.25} if point.system == "levt" else {}


def run_record(config, point):
    settings = {"encoder_layers": 2, "decoder_layers": 2}
    if point.system == "xlmd":
        settings = {"M": 0, "layers": 4, "add_and_scale": True, "mlm": "results/mlm"} | dict(point.settings)
    trainer = {"steps": 700, "max_tokens": 450, "accumulation": 2, "processes": 1}
    seed = point.seed or config["seed"]
    described = {"system": point.system, "direction": point.direction, "settings": settings} | labels(point, settings)
    return {
        "settings": {"system": point.system, "settings": settings, "trainer": trainer},
        "description": described,
        "parameters": 552_273,
        "result": {"steps": 700, "best": [{"step": 700, "bleu": 38.4}, {"step": 600, "bleu": 37.0}]},
        "seed": seed,
        "command": f"xlmd train {point.system} --seed {seed}",
        "environment": {
            "git": {"commit": "0a1b2c", "dirty": False},
            "hardware": {"cpu": "Example CPU", "threads": 1, "gpu": None},
        },
        "inputs": {},
        "started": "2024-01-01T00:00:00+00:00",
        "finished": "2024-01-01T01:00:00+00:00",
    }


def latency_file(config, table):
    return Path(config["results"]) / "latency" / f"{TABLES[table].timed_with}.json"


def write_latency(config, table, latency):
    def times(value):
        return {"mean": value, "median": value - 1, "p95": value + 9, "spread": 0.25, "run_means": [value, value + 1]}

    found = {point.path: (iterations_label(point), latency(point)) for point in timed(config, table)}
    write_json(
        latency_file(config, table),
        {
            "direction": config["grid"]["analysis"],
            "sentences": 500,
            "runs": 5,
            "warmup_sentences": 10,
            "batch_sizes": [16],
            "hardware": {"cpu": "Example CPU", "threads": 2, "gpu": None},
            "cells": {
                path: {
                    "iterations_label": label,
                    "translation": times(value),
                    "text_to_text": times(value + 2),
                    "throughput": {"16": 1000 / value},
                }
                for path, (label, value) in found.items()
            },
        },
    )


def arguments(config, table):
    """What `make` is called with for a table of these results."""
    root = Path(config["results"])
    (root / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    counts = root / "corpora/phrasebook/de-en/train.json"
    write_json(counts, {"kept": 12000})
    return {
        "config": root / "config.yaml",
        "paper": PAPER / f"{table}.csv" if table != "table11" else None,
        "protocols": PAPER / "protocols.csv",
        "latency": latency_file(config, table),
        "corpora": [str(counts)],
        "out_csv": root / f"{table}.csv",
        "out_md": root / f"{table}.md",
        "out_tex": root / f"{table}.tex",
        "out_provenance": root / "provenance" / f"{table}.json",
    }


def make_table(config, table, **kinds):
    """Write the results of one table and make it."""
    write_results(config, table, **kinds)
    return make(table, **arguments(config, table))
