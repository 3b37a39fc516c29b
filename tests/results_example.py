"""A results index with its score, latency and run files, as the workflow leaves them, with invented figures."""

from pathlib import Path

from xlmd.files import write_json

PAPER = Path(__file__).parents[1] / "resources" / "paper" / "table1.csv"


def metric(score, signature="nrefs:1|case:mixed|eff:no|tok:none|smooth:exp|version:2.6.0"):
    return {"score": score, "signature": signature}


def add_result(folder, system, direction, settings, decoding, *, bleu=None, milliseconds=None, seed=1):
    """Write the files of one result below `folder` and return its entry of the index."""
    name = "-".join([system, *(f"{key}{value}" for key, value in (settings | {"seed": seed}).items())])
    run = folder / "runs" / direction / name
    label = "-".join(f"{key}{value}" for key, value in decoding.items())
    record = {"seed": seed, "started": "2024-01-01T00:00:00+00:00", "finished": "2024-01-01T01:00:00+00:00"}
    write_json(run / "run.json", {"settings": settings, **record})
    entry = {
        "system": system,
        "direction": direction,
        "settings": settings,
        "decoding": decoding,
        "seed": seed,
        "run": str(run),
        "score_json": None,
        "latency_json": None,
    }
    if bleu is not None:
        entry["score_json"] = str(run / "decodes" / label / "test.score.json")
        variants = {"bleu": bleu, "bleu_compound_split": bleu + 1, "sacrebleu": bleu - 1, "chrf": bleu + 20}
        scores = {variant: metric(value) for variant, value in variants.items()}
        write_json(entry["score_json"], scores | {"copy_bleu": metric(3.21)})
    if milliseconds is not None:
        entry["latency_json"] = str(run / "latency" / f"{label}.json")
        statistics = {"mean": milliseconds, "median": milliseconds - 1, "p95": milliseconds + 9, "spread": 0.25}
        write_json(
            entry["latency_json"],
            {
                "sentences": 500,
                "runs": 5,
                "warmup_sentences": 10,
                "translation": statistics,
                "text_to_text": {"mean": milliseconds + 2},
                "hardware": {"cpu": "Example CPU", "threads": 2, "gpu": None},
            },
        )
    return entry


def transformer(folder, direction="en-de", bleu=30.0, milliseconds=40.0, engine="transformers", seed=1):
    settings, decoding = {"encoder_layers": 2, "decoder_layers": 2}, {"engine": engine, "beam": 5}
    return add_result(
        folder, "transformer", direction, settings, decoding, bleu=bleu, milliseconds=milliseconds, seed=seed
    )


def xlmd(folder, m, iterations, direction="en-de", layers=6, bleu=25.0, milliseconds=None, seed=1):
    settings, decoding = {"M": m, "layers": layers}, {"iterations": iterations}
    return add_result(folder, "xlmd", direction, settings, decoding, bleu=bleu, milliseconds=milliseconds, seed=seed)


def write_index(folder, results, **facts):
    """Write an index of `results` and a resolved configuration; return the arguments of `table1`."""
    sizes = {"train": 12000, "dev": 500, "test": 500}
    corpora = [{"corpus": "phrasebook", "pair": "de-en", "split": split, "kept": kept} for split, kept in sizes.items()]
    index = {
        "scale": {"name": "embedded", "description": "Tiny models on generated text."},
        "latency_direction": "en-de",
        "corpora": corpora,
        "results": results,
    } | facts
    write_json(folder / "index.json", index)
    (folder / "config.yaml").write_text("scale: embedded\nseed: 1\n", encoding="utf-8")
    return {
        "index": folder / "index.json",
        "paper": PAPER,
        "config": folder / "config.yaml",
        "out_csv": folder / "table1.csv",
        "out_md": folder / "table1.md",
        "out_provenance": folder / "provenance.json",
    }
