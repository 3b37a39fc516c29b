"""What a sentence takes at full size: XLM-R base, decorated, beside an autoregressive Transformer-base; on one core.

    python -m benchmarks.latency

Weights are random: with the number of iterations and the lengths fixed, times do not depend on training. XLM-D has 12
layers of 768, XLM-R's vocabulary of 250,002 pieces or one cut to 58,000 or 32,000, and M = 0 or 6; it runs in torch and
in ONNX Runtime, float32 and int8 (with M = 0 in torch alone: to make graphs takes up to four minutes). The
Transformers have 6+6 or 12+1 layers of 512 and the same vocabularies; they run in transformers and in CTranslate2,
float32 and int8, and are made to write as many pieces as they read.

One model is in memory at a time. Each figure is written when it is measured, and a second call measures those that are
missing, so it can be interrupted. Writes latency-full-size.csv, .md and .png under --output.
"""

import argparse
import gc
import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import ctranslate2
import matplotlib.pyplot as plt
import pandas as pd
import torch
from transformers import GenerationConfig

from xlmd.files import atomic_write
from xlmd.method.decoding import XLMDDecoding, iterative_refinement
from xlmd.method.model import XLMDConfig, XLMDForTranslation
from xlmd.onnx.engine import OnnxEngine
from xlmd.onnx.graphs import quantise, write_graphs
from xlmd.progress import progress
from xlmd.record import hardware
from xlmd.reporting.figures import STYLES, save
from xlmd.systems.transformer import Transformer, TransformerSettings
from xlmd.translate.ctranslate import convert

VOCABULARIES = (250_002, 58_000, 32_000)
LENGTH = 25  # pieces of a source and of its translation, about those of a sentence of news
ITERATIONS = {1: (1, 2, 4, 8), 8: (1, 4), 32: (1,)}  # at each batch size
RUNS = {1: 3, 8: 1, 32: 1}  # timed runs at each batch size
BEAMS = {"greedy": 1, "beam 5": 5}
LAYERS = {"6+6": (6, 6), "12+1": (12, 1)}
# The paper's kind of comparison is with this, at batch 1.
FRAMEWORK = ("Transformer 6+6", "transformers", "beam 5")
CTRANSLATE = ("ctranslate2", "ctranslate2_int8")
ONNX_ENGINES = {"onnx": "ONNX Runtime", "onnx_int8": "ONNX Runtime, int8"}


@dataclass(frozen=True)
class Setting:
    """One figure: what is timed. search: how it decodes."""

    vocabulary: int
    model: str
    engine: str
    search: str
    batch: int


def settings() -> Iterator[Setting]:
    """All figures, those of one model and engine together: a quarter of an hour of them.

    Larger batches are for the smallest and the largest vocabulary, and for the searches and engines that gain from
    them.
    """
    for vocabulary in VOCABULARIES:
        batches = (1,) if vocabulary == 58_000 else tuple(RUNS)
        for layers in LAYERS:
            for engine in ("transformers", *CTRANSLATE) if layers == "6+6" else CTRANSLATE:
                for batch, search in itertools.product(batches, BEAMS):
                    if batch == 1 or (engine in CTRANSLATE and search == "greedy"):
                        yield Setting(vocabulary, f"Transformer {layers}", engine, search, batch)
        for iterations in (1, 4):
            yield Setting(vocabulary, "XLM-D, M = 0", "torch", f"T = {iterations}", 1)
        for engine, batch in itertools.product(("torch", *ONNX_ENGINES), batches):
            for iterations in ITERATIONS[batch]:
                yield Setting(vocabulary, "XLM-D, M = 6", engine, f"T = {iterations}", batch)


Call = Callable[[str, torch.Tensor], object]  # search, source (B, I) with its specials


class AutoregressiveModel:
    """A Transformer-base of random weights and its engines. folder: where to put what they read."""

    def __init__(self, setting: Setting, folder: Path) -> None:
        encoder, decoder = LAYERS[setting.model.split()[1]]
        tokenizer = _Vocabulary(setting.vocabulary)
        shape = TransformerSettings(encoder_layers=encoder, decoder_layers=decoder)
        self.model, self.folder = Transformer(shape, tokenizer).build().eval(), folder

    def engine(self, name: str) -> Call:
        if name == "transformers":
            return self._generate
        if not (self.folder / "converted").exists():
            self.model.save_pretrained(self.folder / "model")
            convert(self.folder / "model", self.folder / "converted")
            del self.model
        kind = "int8" if name.endswith("int8") else "float32"
        engine = ctranslate2.Translator(str(self.folder / "converted"), compute_type=kind, intra_threads=1)
        return lambda search, source: engine.translate_batch(
            [list(map(str, row)) for row in source.tolist()],
            beam_size=BEAMS[search],
            min_decoding_length=LENGTH,
            max_decoding_length=LENGTH,
        )

    def _generate(self, search: str, source: torch.Tensor) -> None:
        self.model.generate(
            source,
            generation_config=GenerationConfig(
                num_beams=BEAMS[search], min_new_tokens=LENGTH, max_new_tokens=LENGTH, do_sample=False,
                pad_token_id=_Vocabulary.pad_token_id, eos_token_id=_Vocabulary.eos_token_id,
                decoder_start_token_id=_Vocabulary.pad_token_id,
            ),
        )  # fmt: skip


class DecoratedModel:
    """An XLM-R base of random weights, decorated, and its engines."""

    def __init__(self, setting: Setting, folder: Path) -> None:
        config = XLMDConfig(
            vocab_size=setting.vocabulary, hidden_size=768, num_hidden_layers=12, num_attention_heads=12,
            intermediate_size=3072, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5,
            insertion_layer=int(setting.model.rpartition(" ")[2]), mask_token_id=setting.vocabulary - 1,
        )  # fmt: skip
        self.model, self.folder = XLMDForTranslation(config).eval(), folder

    def engine(self, name: str) -> Call:
        if name == "torch":
            return self._refine(self.model)
        if not list(self.folder.glob("*.onnx")):
            self.model.config.save_pretrained(self.folder)
            write_graphs(self.model, self.folder, weights_sha256="none: they are random")
            self.model = None
        if name == "onnx_int8":
            quantise(self.folder)
        return self._refine(OnnxEngine(self.folder, int8=name == "onnx_int8", threads=1))

    @staticmethod
    def _refine(engine: XLMDForTranslation | OnnxEngine) -> Call:
        def refine(search: str, source: torch.Tensor) -> None:
            lengths = torch.full((len(source),), source.shape[1])
            iterative_refinement(engine, source, lengths, XLMDDecoding(iterations=int(search.rpartition(" ")[2])))

        return refine


class _Vocabulary(SimpleNamespace):
    """What a model asks of a tokenizer."""

    bos_token_id, pad_token_id, eos_token_id, unk_token_id = 0, 1, 2, 3

    def __init__(self, size: int) -> None:
        super().__init__(mask_token_id=size - 1)

    def __len__(self) -> int:
        return self.mask_token_id + 1


def source(setting: Setting) -> torch.Tensor:
    """A batch as the model reads it, (B, I) int64."""
    random = torch.Generator().manual_seed(1)
    pieces = torch.randint(4, setting.vocabulary - 1, (setting.batch, LENGTH), generator=random)
    start, end = (torch.full((setting.batch, 1), token) for token in (_Vocabulary.bos_token_id, 2))
    return torch.cat([start, pieces, end] if setting.model.startswith("XLM-D") else [pieces, end], dim=1)


def measure(setting: Setting, call: Call) -> dict[str, float | int | None]:
    """Milliseconds per sentence: the mean over runs and their standard deviation."""
    batch, times = source(setting), []
    for _ in range(RUNS[setting.batch]):
        start = time.perf_counter()
        call(setting.search, batch)
        times.append(1e3 * (time.perf_counter() - start) / setting.batch)
    spread = statistics.stdev(times) if len(times) > 1 else None
    return {"ms": statistics.fmean(times), "spread": spread, "runs": len(times)}


def fill(path: Path, wanted: Sequence[Setting]) -> pd.DataFrame:
    """The figures of all settings, those that the file does not have measured now and written to it one by one."""
    cpu, rows = hardware(threads=1)["cpu"], []
    with suppress(FileNotFoundError):
        rows = [row for row in pd.read_csv(path).to_dict("records") if row["cpu"] == cpu]
    known = {Setting(**{item.name: row[item.name] for item in fields(Setting)}): row for row in rows}
    rows = [known[setting] for setting in wanted if setting in known]
    missing = [setting for setting in wanted if setting not in known]
    with progress(total=len(missing), desc="latency", unit="figure") as bar:
        for _, of_model in itertools.groupby(missing, key=lambda one: (one.vocabulary, one.model)):
            with TemporaryDirectory() as folder:
                of_model = list(of_model)
                kind = DecoratedModel if of_model[0].model.startswith("XLM-D") else AutoregressiveModel
                model = kind(of_model[0], Path(folder))
                for engine, own in itertools.groupby(of_model, key=lambda one: one.engine):
                    own = list(own)
                    gc.collect()
                    call = model.engine(engine)
                    call(own[0].search, source(own[0]))  # the first call of all prepares more than a translation
                    for setting in own:
                        rows.append(asdict(setting) | measure(setting, call) | {"cpu": cpu, "load": os.getloadavg()[0]})
                        with atomic_write(path) as file:
                            pd.DataFrame(rows).to_csv(file, index=False, float_format="%.4g")
                        bar.update()
                    del call
    return pd.DataFrame(rows)


def with_ratios(figures: pd.DataFrame) -> pd.DataFrame:
    """The figures with what they are to the framework's Transformer, and to the fastest one, of the same vocabulary and
    batch."""
    autoregressive = figures[figures.model.str.startswith("Transformer")]
    framework = autoregressive[autoregressive[["model", "engine", "search"]].apply(tuple, axis=1) == FRAMEWORK]
    keys = ["vocabulary", "batch"]
    base = framework.set_index(keys).ms.rename("framework")
    best = autoregressive.groupby(keys).ms.min().rename("best")
    joined = figures.join(base, on=keys).join(best, on=keys)
    return joined.assign(over_framework=joined.framework / joined.ms, over_best=joined.best / joined.ms)


def page(figures: pd.DataFrame, png: Path) -> str:
    """The figures as Markdown."""
    first, loads = figures.iloc[0], figures.load
    text = [
        "# What a sentence takes at full size",
        f"Measured by `python -m benchmarks.latency`: milliseconds per sentence of {LENGTH} pieces that becomes "
        f"{LENGTH} pieces, on one core of {first.cpu}, random weights, subword ids in and out. The load of the "
        f"machine was {loads.min():.1f} to {loads.max():.1f} (1: nothing else ran). ± is the standard deviation of "
        f"{RUNS[1]} runs at batch 1; larger batches ran once. *Over framework*: how many times as fast as the "
        "Transformer 6+6 in transformers with beam 5; *over best*: as the fastest Transformer of the table; both at "
        "the same vocabulary and batch. Random models have no BLEU to lose: greedy, int8 and 12+1 count as they are.",
        f"![Milliseconds per sentence against iterations]({png.name})",
    ]
    for (vocabulary, batch), part in figures.groupby(["vocabulary", "batch"], sort=False):
        shown = pd.DataFrame(
            {
                "model": part.model,
                "engine": part.engine,
                "search": part.search,
                "ms per sentence": [
                    f"{row.ms:.1f}" + ("" if pd.isna(row.spread) else f" ± {row.spread:.1f}")
                    for row in part.itertuples()
                ],
                "over framework": part.over_framework.map(lambda ratio: "" if pd.isna(ratio) else f"{ratio:.2f}"),
                "over best": part.over_best.map("{:.2f}".format),
            }
        )
        text += [f"## {vocabulary:,} pieces, batch {batch}", shown.to_markdown(index=False, disable_numparse=True)]
    return "\n\n".join(text) + "\n"


def draw(figures: pd.DataFrame, png: Path) -> None:
    """Batch 1: XLM-D (M = 6) against the number of iterations, the Transformers as lines across."""
    figure, panels = plt.subplots(1, len(VOCABULARIES), figsize=(11, 3.8), sharey=True)
    alone = figures[figures.batch == 1]
    across = {
        "Transformer 6+6, transformers, beam 5": FRAMEWORK,
        "Transformer 6+6, CTranslate2, beam 5": ("Transformer 6+6", "ctranslate2", "beam 5"),
        "Transformer 6+6, CTranslate2 int8, greedy": ("Transformer 6+6", "ctranslate2_int8", "greedy"),
        "Transformer 12+1, CTranslate2 int8, greedy": ("Transformer 12+1", "ctranslate2_int8", "greedy"),
    }
    for axes, vocabulary in zip(panels, VOCABULARIES, strict=True):
        part = alone[alone.vocabulary == vocabulary]
        for style, engine in zip(STYLES, ("torch", *ONNX_ENGINES), strict=False):
            own = part[(part.model == "XLM-D, M = 6") & (part.engine == engine)]
            iterations = own.search.str.rpartition(" ")[2].astype(int)
            axes.plot(
                iterations, own.ms, **style, label=f"XLM-D (M = 6), {ONNX_ENGINES.get(engine, engine)}", markersize=5
            )
        for shade, (label, key) in zip(("0.0", "0.3", "0.5", "0.7"), across.items(), strict=True):
            for row in part[part[["model", "engine", "search"]].apply(tuple, axis=1) == key].itertuples():
                axes.axhline(row.ms, color=shade, linewidth=1, linestyle=(0, (4, 1 + 8 * float(shade))), label=label)
        axes.set_title(f"{vocabulary:,} pieces", fontsize=10)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(ITERATIONS[1], map(str, ITERATIONS[1]))
        axes.set_xlabel("iterations", fontsize=8)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("ms per sentence", fontsize=8)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=3, fontsize=8, bbox_to_anchor=(0.5, -0.16))
    figure.tight_layout()
    save(figure, png)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    csv, png = (options.output / f"latency-full-size.{kind}" for kind in ("csv", "png"))
    with torch.inference_mode():
        figures = with_ratios(fill(csv, list(settings())))
    draw(figures, png)
    with atomic_write(csv.with_suffix(".md")) as file:
        file.write(page(figures, png))


if __name__ == "__main__":
    main()
