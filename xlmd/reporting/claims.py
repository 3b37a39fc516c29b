"""The paper's claims as predicates over result files: each is tested on what was measured, and gets a verdict."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sacrebleu.metrics import BLEU
from sacrebleu.significance import PairedTest

from xlmd.data.text import read_lines
from xlmd.experiment.layout import Layout
from xlmd.experiment.points import BASELINE, OURS, RIVAL, TIMED_IN, Cell, cells
from xlmd.files import read_json
from xlmd.reporting.bleu import length_buckets
from xlmd.reporting.results import Result, Results

FOR, AGAINST, OPEN = "for", "against", "open"
SAMPLES, LEVEL = 1000, 0.05

# How a verdict is reached, as the audit prints it.
RULE = """\
A comparison of two outputs is decided by sacreBLEU's paired bootstrap: *for* the claim if the difference has the
claimed sign and p < 0.05, *against* it if it has the other sign and p < 0.05, *open* otherwise. What a claim says of
the size of differences is decided in the same way, by resampling sentences. A comparison of two times is decided by
their runs: for or against if the slowest run of one is faster than the fastest of the other.

p speaks of other test sentences, not of other trainings: with one seed a run, a difference may be for or against a
claim that another seed would turn round. Nor are comparisons of several decodings of one run independent. And the
systems are trained for as long as the configuration says, which the tables' captions give: at a small scale not
equally long, and not until they stop getting better.

A claim is **reproduced** if more comparisons are for it than against it and at least half are for it (all of them, if
it speaks of every case), **contradicted** if more are against it than for it and at least half are against it,
**inconclusive** otherwise, and **not tested** without any comparison.
"""

# BLEU points within which the paper calls two figures much the same.
MARGIN = 1.0
# A sentence of so many tokens is long; the fewest sentences whose BLEU says something.
LONG, ENOUGH_SENTENCES = 20, 50

_METRIC = BLEU(tokenize="none", force=True)


@dataclass(frozen=True)
class Comparison:
    """One piece of evidence: what was compared, with its figures, and which way it points."""

    text: str
    outcome: str


@dataclass
class Verdict:
    """A claim's verdict with all its evidence."""

    claim: "Claim"
    comparisons: list[Comparison] = field(default_factory=list)

    @property
    def name(self) -> str:
        if not self.comparisons:
            return "not tested"
        pro, contra = (sum(c.outcome == side for c in self.comparisons) for side in (FOR, AGAINST))
        enough = pro == len(self.comparisons) if self.claim.every else 2 * pro >= len(self.comparisons)
        if pro > contra and enough:
            return "reproduced"
        if contra > pro and 2 * contra >= len(self.comparisons):
            return "contradicted"
        return "inconclusive"


class Evidence:
    """The results that claims are tested on."""

    def __init__(self, config: dict[str, Any], tables: set[str]) -> None:
        """tables: those whose results are there."""
        self.config, self.tables, self.layout = config, tables, Layout(config)
        self.root = config["results"]

    def results(self, table: str) -> list[tuple[Cell, Result]]:
        """The cells of a table with their results, timed ones with times; none if the table was not made."""
        if table not in self.tables:
            return []
        latency = f"{self.root}/latency/{TIMED_IN[table]}.json" if table in TIMED_IN else None
        results = Results(self.root, latency)
        return [(cell, results[cell.point]) for cell in cells(self.config, table)]

    def pairs(
        self, table: str, first: Callable[[Cell, Result], Any], second: Callable[[Cell, Result], Any]
    ) -> Iterator:
        """(a, b) of the results of a table for which first(a) == second(b), where both are not None."""
        found = self.results(table)
        for cell_a, a in found:
            key = first(cell_a, a)
            for cell_b, b in found:
                if key is not None and a is not b and key == second(cell_b, b) and a.record["seed"] == b.record["seed"]:
                    yield a, b

    def better(self, a: Result, b: Result) -> Comparison:
        """Whether a's translations are better than b's (BLEU of Moses tokens, paired bootstrap)."""
        scores = [result.score["bleu"]["score"] for result in (a, b)]
        p = self._bootstrap(a, b) if a.translations != b.translations else 1.0
        own, other = _names(a, b)
        text = f"{a.point.direction}: {own} {scores[0]:.2f}, {other} {scores[1]:.2f} ({_spelt(p)})"
        return Comparison(text, _outcome(scores[0] - scores[1], p < LEVEL))

    def faster(self, a: Result, b: Result) -> Comparison | None:
        """Whether a is faster than b, by every run of the timing."""
        if not a.latency or not b.latency:
            return None
        times = [result.latency["translation"]["run_means"] for result in (a, b)]
        means = [result.latency["translation"]["mean"] for result in (a, b)]
        apart = max(times[0]) < min(times[1]) or max(times[1]) < min(times[0])
        own, other = _names(a, b)
        text = f"{own} {means[0]:.1f} ms, {other} {means[1]:.1f} ms"
        return Comparison(text, _outcome(means[1] - means[0], apart))

    def above_zero(self, text: str, terms: Sequence[tuple[float, Result, Sequence[int] | None]]) -> Comparison:
        """Whether a weighted sum of BLEU scores is above zero; p is the share of samples with the other sign.

        terms: (weight, result, which of its sentences; None: all).
        """
        observed, sampled = self._resampled(terms)
        p = float(np.mean(sampled <= 0 if observed > 0 else sampled >= 0))
        return Comparison(f"{text} ({_spelt(p)})", _outcome(observed, p < LEVEL))

    def within(self, margin: float, a: Result, b: Result) -> Comparison:
        """Whether a's BLEU is within `margin` of b's; p is the share of samples on the other side of the margin."""
        observed, sampled = self._resampled([(1, a, None), (-1, b, None)])
        inside = np.abs(sampled) < margin
        p = float(np.mean(~inside if abs(observed) < margin else inside))
        own, other = _names(a, b)
        text = f"{a.point.direction}: {own} {observed:+.2f} BLEU against {other}, margin {margin:g} ({_spelt(p)})"
        return Comparison(text, _outcome(margin - abs(observed), p < LEVEL))

    def _resampled(self, terms: Sequence[tuple[float, Result, Sequence[int] | None]]) -> tuple[float, np.ndarray]:
        """A weighted sum of BLEU scores, and the same of resampled sentences, (SAMPLES,).

        The same sentences are drawn for results of the same sentences of a direction.
        """
        random = np.random.default_rng(12345)
        drawn: dict[tuple, np.ndarray] = {}
        observed, sampled = 0.0, np.zeros(SAMPLES)
        for weight, result, lines in terms:
            statistics = self._statistics(result)[slice(None) if lines is None else list(lines)]
            key = (result.point.direction, None if lines is None else tuple(lines))
            if key not in drawn:
                drawn[key] = random.integers(len(statistics), size=(SAMPLES, len(statistics)))
            observed += weight * _bleu(statistics.sum(0))
            sampled += weight * np.array([_bleu(statistics[draw].sum(0)) for draw in drawn[key]])
        return observed, sampled

    def _statistics(self, result: Result) -> np.ndarray:
        """What sacreBLEU counts in each sentence, (sentences, counts)."""
        references = self.references(result)
        # sacreBLEU's own bootstrap resamples these too.
        counts = _METRIC._extract_corpus_statistics(result.translations, [references])
        return np.array(counts)

    def references(self, result: Result) -> list[str]:
        return read_lines(self.layout.text(result.point.direction, "test", 1))

    def _bootstrap(self, a: Result, b: Result) -> float:
        references = self.references(a)
        test = PairedTest(
            [("b", b.translations), ("a", a.translations)],
            {"BLEU": _METRIC},
            references=[references],
            test_type="bs",
            n_samples=SAMPLES,
        )
        return test()[1]["BLEU"][1].p_value


def _names(a: Result, b: Result) -> tuple[str, str]:
    """What two results are called: as in the tables, or, where that is the same, by their runs and decodings."""
    if a.name != b.name:
        return a.name, b.name
    return tuple(result.point.path.split("/", 1)[1].replace("/decodes/", ", ") for result in (a, b))


def _spelt(p: float) -> str:
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def _bleu(counts: np.ndarray) -> float:
    return _METRIC._compute_score_from_stats(list(counts)).score


def _outcome(difference: float, significant: bool) -> str:
    if not significant or difference == 0:
        return OPEN
    return FOR if difference > 0 else AGAINST


Test = Callable[[Evidence], Iterator[Comparison | None]]


@dataclass(frozen=True)
class Claim:
    """section: of the paper. tables: whose results it is tested on. every: whether it speaks of every case."""

    section: str
    text: str
    tables: tuple[str, ...]
    test: Test
    every: bool = False


def _iterations(result: Result) -> int | None:
    return None if result.iterations == "N" else int(result.iterations)


def _system(cell: Cell, result: Result) -> tuple:
    """What stays the same when only the number of iterations changes."""
    return cell.column, result.row, result.point.direction, result.point.settings, result.point.data


def _ours(result: Result) -> bool:
    return result.point.system == OURS and result.settings["add_and_scale"]


def one_parameter(evidence: Evidence) -> Iterator[Comparison]:
    """Counted in the trained models of Table 10, against the masked language model that they came from."""
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

    from xlmd.method.model import XLMDConfig, XLMDForTranslation

    for run in dict.fromkeys(str(r.run) for _, r in evidence.results("table10") if _ours(r)):
        config = XLMDConfig.from_pretrained(f"{run}/model")
        with torch.device("meta"):
            own = {name: p.numel() for name, p in XLMDForTranslation(config).named_parameters()}
            base = dict(XLMRobertaForMaskedLM(XLMRobertaConfig(**config.to_dict())).named_parameters())
        new = {name: number for name, number in own.items() if name not in base}
        text = f"{run}: new parameters {new}, of {sum(own.values()):,}"
        yield Comparison(text, FOR if sum(new.values()) == 1 else AGAINST)


def representation_consistency(evidence: Evidence) -> Iterator[Comparison]:
    """With s = 1, σ → 0 and no add-and-scale, the decorated model must give the masked language model's own logits."""
    import torch
    from transformers import AutoTokenizer, XLMRobertaForMaskedLM

    from xlmd.method.model import decorate

    if "table10" not in evidence.tables:
        return
    direction = evidence.config["grid"]["analysis"]
    base = evidence.layout.base(direction)
    mlm, name = evidence.layout.mlm(base), evidence.layout.tokenizer(base)
    tokenizer = AutoTokenizer.from_pretrained(name)
    sentences = read_lines(evidence.layout.text(direction, "test", 0))[:8]
    batch = tokenizer(sentences, return_tensors="pt", padding=True)
    lengths = batch["attention_mask"].sum(1)
    plain = XLMRobertaForMaskedLM.from_pretrained(mlm, use_safetensors=True).eval()
    with torch.no_grad():
        expected = plain(**batch).logits
        for m in range(plain.config.num_hidden_layers + 1):
            model = decorate(
                mlm, mask_token_id=tokenizer.mask_token_id, insertion_layer=m, upsampling_ratio=1.0,
                add_and_scale=False, initial_sigma=1e-3,
            ).eval()  # fmt: skip
            refined, _ = model(batch["input_ids"], lengths)
            inside = batch["attention_mask"].bool()
            error = (model.logits(refined) - expected)[inside].abs().max().item()
            scale = expected[inside].abs().max().item()
            text = f"M = {m}: largest difference of logits {error:.1e}, largest logit {scale:.1f}"
            yield Comparison(text, FOR if error < 1e-4 * scale else AGAINST)


def more_iterations(evidence: Evidence) -> Iterator[Comparison]:
    """T = 2 over 1 and 4 over 2, for every M of Figure 2."""
    for more, fewer in ((2, 1), (4, 2)):
        for a, b in evidence.pairs(
            "figure2",
            lambda cell, r, more=more: _system(cell, r) if _iterations(r) == more else None,
            lambda cell, r, fewer=fewer: _system(cell, r) if _iterations(r) == fewer else None,
        ):
            yield evidence.better(a, b)


def _by_length(evidence: Evidence, more: int, fewer: int) -> Iterator[tuple[Result, Result, dict[int, list[int]]]]:
    """Two numbers of iterations of Table 7, and the lines of each range of lengths that has sentences enough."""
    for a, b in evidence.pairs(
        "table7",
        lambda cell, r: 1 if _iterations(r) == more else None,
        lambda cell, r: 1 if _iterations(r) == fewer else None,
    ):
        buckets = length_buckets(evidence.references(a))
        yield a, b, {low: lines for low, lines in buckets.items() if len(lines) >= ENOUGH_SENTENCES}


def all_lengths_gain(evidence: Evidence) -> Iterator[Comparison]:
    """T = 2 over T = 1 in every range of lengths that has sentences enough."""
    for a, b, buckets in _by_length(evidence, 2, 1):
        for low, lines in buckets.items():
            text = f"gain of T = 2 over T = 1 from {low} tokens on ({len(lines)} sentences)"
            yield evidence.above_zero(text, [(1, a, lines), (-1, b, lines)])


def long_sentences(evidence: Evidence) -> Iterator[Comparison]:
    """Sentences of LONG tokens and more must gain from T = 4 over T = 1, and more than shorter ones do."""
    for a, b, _ in _by_length(evidence, 4, 1):
        buckets = length_buckets(evidence.references(a))
        short, long = (
            sorted(line for low, lines in buckets.items() if (low >= LONG) == side for line in lines)
            for side in (False, True)
        )
        if min(len(short), len(long)) < ENOUGH_SENTENCES:
            continue
        text = f"gain of T = 4 over T = 1 from {LONG} tokens on ({len(long)} sentences)"
        yield evidence.above_zero(text, [(1, a, long), (-1, b, long)])
        terms = [(1, a, long), (-1, b, long), (-1, a, short), (1, b, short)]
        yield evidence.above_zero(f"{text} above that of shorter ones ({len(short)})", terms)


def _against_cmlm(evidence: Evidence, data: str = "distilled") -> Iterator[tuple[Result, Result]]:
    """XLM-D (M = 0) of the most iterations and CMLM of the most, both on the same data."""
    last = max(evidence.config["grid"]["iterations"])
    return evidence.pairs(
        "table4",
        lambda cell, r: cell.column if _ours(r) and _iterations(r) == last and cell.column == data else None,
        lambda cell, r: cell.column if r.point.system == RIVAL else None,
    )


def better_than_cmlm(evidence: Evidence) -> Iterator[Comparison]:
    for a, b in _against_cmlm(evidence):
        yield evidence.better(a, b)


def better_than_cmlm_on_original_data(evidence: Evidence) -> Iterator[Comparison]:
    for a, b in _against_cmlm(evidence, "original"):
        yield evidence.better(a, b)


def better_than_cmlm_in_other_languages(evidence: Evidence) -> Iterator[Comparison]:
    """The most iterations of each, in every direction of Table 3."""
    last, most = (max(evidence.config["grid"][key]) for key in ("iterations", "cmlm_iterations"))
    for a, b in evidence.pairs(
        "table3",
        lambda cell, r: cell.column if _ours(r) and _iterations(r) == last else None,
        lambda cell, r: cell.column if r.point.system == RIVAL and _iterations(r) == most else None,
    ):
        yield evidence.better(a, b)


def faster_than_cmlm(evidence: Evidence) -> Iterator[Comparison | None]:
    for a, b in _against_cmlm(evidence):
        yield evidence.faster(a, b)


def over_transformer(evidence: Evidence) -> Iterator[Comparison]:
    for a, b in evidence.pairs(
        "table1",
        lambda cell, r: cell.column if _ours(r) and (_iterations(r) or 0) >= 4 else None,
        lambda cell, r: cell.column if r.point.system == BASELINE else None,
    ):
        yield evidence.better(a, b)


def fewer_iterations_are_faster(evidence: Evidence) -> Iterator[Comparison | None]:
    for a, b in evidence.pairs(
        "figure2",
        lambda cell, r: (_system(cell, r), _iterations(r)),
        lambda cell, r: (_system(cell, r), _iterations(r) // 2) if _iterations(r) > 1 else None,
    ):
        yield evidence.faster(a, b)


def larger_m_is_faster(evidence: Evidence) -> Iterator[Comparison | None]:
    """Each M of Figure 2 against the next smaller one, from T = 2 on."""
    depths = sorted(evidence.config["grid"]["figure2_M"])
    next_smaller = dict(zip(depths[1:], depths, strict=False))
    for a, b in evidence.pairs(
        "figure2",
        lambda cell, r: (
            (next_smaller.get(r.settings["M"]), _iterations(r)) if r.settings["M"] in next_smaller else None
        ),
        lambda cell, r: (r.settings["M"], _iterations(r)) if _iterations(r) >= 2 else None,
    ):
        yield evidence.faster(a, b)


def m_costs_little(evidence: Evidence) -> Iterator[Comparison]:
    """Half the depth is within a BLEU point of M = 0, as in the paper's tables."""
    half = evidence.config["grid"]["M"][-1]
    for a, b in evidence.pairs(
        "table1",
        lambda cell, r: (cell.column, r.iterations) if _ours(r) and r.settings["M"] == half else None,
        lambda cell, r: (cell.column, r.iterations) if _ours(r) and r.settings["M"] == 0 else None,
    ):
        yield evidence.within(MARGIN, a, b)


def distilled_over_original(evidence: Evidence) -> Iterator[Comparison]:
    for a, b in _table4(evidence):
        yield evidence.better(a, b)


def _table4(evidence: Evidence) -> Iterator[tuple[Result, Result]]:
    return evidence.pairs(
        "table4",
        lambda cell, r: r.iterations if _ours(r) and cell.column == "distilled" else None,
        lambda cell, r: r.iterations if _ours(r) and cell.column == "original" else None,
    )


def distillation_gap_shrinks(evidence: Evidence) -> Iterator[Comparison]:
    """The gap at the most iterations against that at one, and because original data catch up."""
    seeds: dict[int, dict[int, tuple[Result, Result]]] = defaultdict(dict)
    for a, b in _table4(evidence):
        seeds[a.record["seed"]][_iterations(a)] = (a, b)
    for pairs in seeds.values():
        (a1, b1), (a8, b8) = pairs[min(pairs)], pairs[max(pairs)]
        gaps = {t: a.score["bleu"]["score"] - b.score["bleu"]["score"] for t, (a, b) in sorted(pairs.items())}
        text = "distilled minus original: " + ", ".join(f"T = {t}: {gap:+.2f}" for t, gap in gaps.items())
        yield evidence.above_zero(text, [(1, a1, None), (-1, b1, None), (-1, a8, None), (1, b8, None)])
        yield evidence.better(b8, b1)


def larger_s_helps_one_iteration(evidence: Evidence) -> Iterator[Comparison]:
    """Each s of Table 5 over the next smaller one."""
    ratios = sorted(map(float, evidence.config["grid"]["upsampling"]))
    next_smaller = {f"s={high}": f"s={low}" for low, high in zip(ratios, ratios[1:], strict=False)}
    for a, b in evidence.pairs(
        "table5",
        lambda cell, r: next_smaller.get(cell.column) if _iterations(r) == 1 else None,
        lambda cell, r: cell.column if _iterations(r) == 1 else None,
    ):
        yield evidence.better(a, b)


def s_hardly_matters_later(evidence: Evidence) -> Iterator[Comparison]:
    """From T = 4 on each s is within a BLEU point of the configuration's own."""
    own = f"s={float(evidence.config['grid']['s'])}"
    for a, b in evidence.pairs(
        "table5",
        lambda cell, r: r.iterations if cell.column != own and _iterations(r) >= 4 else None,
        lambda cell, r: r.iterations if cell.column == own else None,
    ):
        yield evidence.within(MARGIN, a, b)


def pretrained_over_reset(evidence: Evidence) -> Iterator[Comparison]:
    for a, b in evidence.pairs(
        "table6",
        lambda cell, r: (r.row, r.iterations) if cell.column == "pretrained" else None,
        lambda cell, r: (r.row, r.iterations) if cell.column == "reset" else None,
    ):
        yield evidence.better(a, b)


def _dynamic_and_static(evidence: Evidence) -> Iterator[tuple[Result, Result]]:
    return evidence.pairs(
        "table9",
        lambda cell, r: (r.row, r.iterations, r.point.direction) if cell.column.endswith("dynamic") else None,
        lambda cell, r: (r.row, r.iterations, r.point.direction) if cell.column.endswith("static") else None,
    )


def dynamic_over_static(evidence: Evidence) -> Iterator[Comparison]:
    """Where the two differ: blocks of T positions and of 8 are the same at T = 8."""
    for a, b in _dynamic_and_static(evidence):
        if _iterations(a) != 8:
            yield evidence.better(a, b)


def dynamic_is_static_at_8(evidence: Evidence) -> Iterator[Comparison]:
    for a, b in _dynamic_and_static(evidence):
        if _iterations(a) == 8:
            same = a.translations == b.translations
            yield Comparison(f"{a.point.direction}: {a.name}, same translations: {same}", FOR if same else AGAINST)


def single_step_is_fast(evidence: Evidence) -> Iterator[Comparison]:
    """15 and not 19.9, for hardware differs."""
    found = evidence.results("table8")
    baseline = next((r for _, r in found if r.point.system == BASELINE), None)
    for _, result in found:
        if baseline and result.point.system == OURS and not result.settings["add_and_scale"]:
            times = [r.latency["translation"]["mean"] for r in (baseline, result)]
            ratio = f"{times[0] / times[1]:.1f}×"
            text = f"{baseline.name} {times[0]:.1f} ms, {result.name} {times[1]:.1f} ms: {ratio}"
            yield Comparison(text, FOR if times[0] / times[1] >= 15 else AGAINST)


def small_corpora_gain_more(evidence: Evidence) -> Iterator[Comparison]:
    """The smallest corpus of Table 3 against the largest, where they differ in size tenfold or more."""
    last = max(evidence.config["grid"]["iterations"])
    gains = {
        a.point.direction: (a, b)
        for a, b in evidence.pairs(
            "table3",
            lambda cell, r: cell.column if _ours(r) and _iterations(r) == last else None,
            lambda cell, r: cell.column if r.point.system == BASELINE else None,
        )
    }
    sizes = {direction: read_json(evidence.layout.counts(direction, "train"))["kept"] for direction in gains}
    if sizes and max(sizes.values()) >= 10 * min(sizes.values()):
        small, large = min(sizes, key=sizes.get), max(sizes, key=sizes.get)
        text = f"gain over the Transformer on {small} ({sizes[small]:,} pairs) above that on {large} ({sizes[large]:,})"
        (a, b), (c, d) = gains[small], gains[large]
        yield evidence.above_zero(text, [(1, a, None), (-1, b, None), (-1, c, None), (1, d, None)])


def untested(_: Evidence) -> Iterator[Comparison]:
    """Systems that the paper only quotes and that are not trained here."""
    return iter(())


CLAIMS = [
    Claim("2.2", "The decorator adds one trainable parameter", ("table10",), one_parameter),
    Claim("2.2", "The pre-trained representation stays consistent: s = 1, σ → 0 gives its own logits", ("table10",),
          representation_consistency),
    Claim("3.2", "XLM-D is better than CMLM", ("table4",), better_than_cmlm),
    Claim("3.2", "In other language pairs too XLM-D is better than CMLM", ("table3",),
          better_than_cmlm_in_other_languages, every=True),
    Claim("3.3", "On original data too XLM-D is better than CMLM", ("table4",), better_than_cmlm_on_original_data),
    Claim("3.2", "XLM-D is faster than CMLM", ("table4",), faster_than_cmlm),
    Claim("3.2", "XLM-D is better than the Transformer from 4 iterations on", ("table1",), over_transformer),
    Claim("3.2", "Single-step XLM-D is better than every single-step baseline", (), untested),
    Claim("3.2", "Single-step XLM-D is at least 15 times as fast as the Transformer (the paper: 19.9)", ("table8",),
          single_step_is_fast),
    Claim("3.2", "Gains over the Transformer are larger on small corpora", ("table3",), small_corpora_gain_more),
    Claim("3.3", "More iterations are better: 1 < 2 < 4", ("figure2",), more_iterations),
    Claim("3.3", "Sentences of all lengths gain from a second iteration", ("table7",), all_lengths_gain, every=True),
    Claim("3.3", "Long sentences gain most from iterations", ("table7",), long_sentences, every=True),
    Claim("3.3", "Speed falls with the number of iterations", ("figure2",), fewer_iterations_are_faster),
    Claim("3.3", "A larger M is faster from 2 iterations on", ("figure2",), larger_m_is_faster),
    Claim("3.3", "Half the depth as M gives much the same BLEU as M = 0", ("table1",), m_costs_little),
    Claim("3.3", "Distilled data are better than original data", ("table4",), distilled_over_original),
    Claim("3.3", "The gap of distillation shrinks with more iterations (a pattern of Table 4, not a sentence)",
          ("table4",), distillation_gap_shrinks, every=True),
    Claim("3.3", "A larger s helps a single iteration", ("table5",), larger_s_helps_one_iteration),
    Claim("3.3", "With more iterations s hardly matters", ("table5",), s_hardly_matters_later),
    Claim("3.3", "Pre-trained parameters are better than reset ones, at every T", ("table6",), pretrained_over_reset,
          every=True),
    Claim("A.3", "Dynamic blocks are better than static ones below T = 8", ("table9",), dynamic_over_static),
    Claim("A.3", "Dynamic and static blocks are the same at T = 8 (by construction)", ("table9",),
          dynamic_is_static_at_8),
    Claim("A.3", "XLM-D is better and faster than AB-Net", (), untested),
]  # fmt: skip


def judge(evidence: Evidence) -> Iterator[Verdict]:
    """Each claim's verdict."""
    for claim in CLAIMS:
        yield Verdict(claim, [comparison for comparison in claim.test(evidence) if comparison is not None])
