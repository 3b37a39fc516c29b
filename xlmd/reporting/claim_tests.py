"""How each claim of the paper is tested on what was measured: comparisons of results, which say for or against."""

from collections import defaultdict
from collections.abc import Callable, Iterator

from xlmd.data.text import read_lines
from xlmd.experiment.grid import BASELINE, OURS, implied
from xlmd.files import read_json
from xlmd.reporting.bleu import length_buckets
from xlmd.reporting.evidence import (
    AGAINST,
    FOR,
    Comparison,
    Condition,
    Evidence,
    Shown,
    at_least,
    one_of,
    other_than,
    where,
)
from xlmd.reporting.results import Result

# BLEU points within which the paper calls two figures comparable: so far apart, 33.08 and 34.28, are CMLM and the
# Transformer on En-Ro in Table 1, the widest of the pairs that it calls so.
MARGIN = 1.2
# The fewest sentences that are resampled: a bootstrap of n underestimates a score's variance by one part in n.
ENOUGH_SENTENCES = 50
# The paper's own least ratio of a large corpus to a small one: 16.8M pairs of Ja-En, 0.23M of Ko-En and Ar-En.
LARGE = 16.8 / 0.23
# Rounding of float32, 6e-8 of the largest term of a sum, through sums of hundreds of terms in each of several layers.
ROUNDING = 1e-4
SPEEDUP = 19.9

CMLM, ABNET = "cmlm", "abnet"

Test = Callable[[Evidence], Iterator[Comparison | None]]


def ours(**wanted: object) -> Condition:
    """For results of XLM-D with add and scale, the iterative system."""
    return where(system=OURS, add_and_scale=True, **wanted)


def _at_half_depth(shown: Shown) -> bool:
    """XLM-D at the paper's M = 6 of 12 layers."""
    return ours()(shown) and 2 * shown.facts["M"] == shown.facts["layers"]


_TRANSFORMER = where(system=BASELINE)
_RIVAL = where(system=other_than(BASELINE, OURS))
_SINGLE_STEP = where(system=OURS, iterations=1)
_TRANSFORM_ONLY = where(system=OURS, add_and_scale=False)


def _last(evidence: Evidence) -> int:
    return max(evidence.config["grid"]["iterations"])


def one_parameter(evidence: Evidence) -> Iterator[Comparison]:
    """Counted in the trained models of Table 10, against the masked language model that they came from."""
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

    from xlmd.method.model import XLMDConfig, XLMDForTranslation

    for run in dict.fromkeys(str(shown.result.run) for shown in evidence.results("table10", ours())):
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
            yield Comparison(text, FOR if error < ROUNDING * scale else AGAINST)


# ---- Against other systems


def _best_cmlm(evidence: Evidence, table: str, data: str) -> Condition:
    """CMLM of the most iterations in a table, trained on one kind of data."""
    shown = evidence.results(table, where(system=CMLM, data=data, iterations=at_least(1)))
    most = max((cmlm.facts["iterations"] for cmlm in shown), default=None)
    return where(system=CMLM, data=data, iterations=most)


def _against_cmlm(evidence: Evidence, data: str, *tables: str) -> Iterator[tuple[Result, Result]]:
    """XLM-D (M = 0) of the most iterations and CMLM of the most, both on the same data, in every column of tables."""
    for table in tables:
        own = ours(M=0, data=data, iterations=_last(evidence))
        yield from evidence.pairs(table, own, _best_cmlm(evidence, table, data), same=["column"])


def better_than_cmlm(evidence: Evidence) -> Iterator[Comparison]:
    for a, b in _against_cmlm(evidence, "distilled", "table1", "table4"):
        yield evidence.better(a, b)


def better_than_cmlm_on_original_data(evidence: Evidence) -> Iterator[Comparison]:
    for a, b in _against_cmlm(evidence, "original", "table4"):
        yield evidence.better(a, b)


def better_than_cmlm_in_other_languages(evidence: Evidence) -> Iterator[Comparison]:
    for a, b in _against_cmlm(evidence, "distilled", "table3"):
        yield evidence.better(a, b)


def faster_than_cmlm(evidence: Evidence) -> Iterator[Comparison | None]:
    for a, b in _against_cmlm(evidence, "distilled", "table1", "table4"):
        yield evidence.faster(a, b)


def cmlm_comparable_with_transformer(evidence: Evidence) -> Iterator[Comparison]:
    """CMLM on distilled data, the Transformer on original data, as in the paper's Table 1."""
    baseline = where(system=BASELINE, data="original")
    for table, same in (("table1", ["column"]), ("table4", [])):
        for a, b in evidence.pairs(table, _best_cmlm(evidence, table, "distilled"), baseline, same=same):
            yield evidence.within(MARGIN, a, b)


def best_iterative(evidence: Evidence) -> Iterator[Comparison]:
    """Every XLM-D of the most iterations against every other non-autoregressive system that Table 1 measures."""
    for a, b in evidence.pairs("table1", ours(iterations=_last(evidence)), _RIVAL, same=["column"]):
        yield evidence.better(a, b)


def best_single_step(evidence: Evidence) -> Iterator[Comparison]:
    """Every single-step XLM-D against every other single-step system that Table 2 measures."""
    for a, b in evidence.pairs("table2", _SINGLE_STEP, _RIVAL, same=["column"]):
        yield evidence.better(a, b)


def fastest_single_step(evidence: Evidence) -> Iterator[Comparison | None]:
    for a, b in evidence.pairs("table2", _SINGLE_STEP, _RIVAL, same=["column"]):
        yield evidence.faster(a, b)


def over_transformer(evidence: Evidence) -> Iterator[Comparison]:
    for a, b in evidence.pairs("table1", ours(), _TRANSFORMER, same=["column"]):
        yield evidence.better(a, b)


def over_transformer_in_other_languages(evidence: Evidence) -> Iterator[Comparison]:
    for a, b in evidence.pairs("table3", ours(iterations=_last(evidence)), _TRANSFORMER, same=["column"]):
        yield evidence.better(a, b)


def single_step_over_transformer(evidence: Evidence) -> Iterator[Comparison]:
    """In English–Romanian, of which the paper says so; in English–German its own figures say the contrary."""
    own = where(system=OURS, iterations=1, column=one_of("en-ro", "ro-en"))
    for a, b in evidence.pairs("table2", own, _TRANSFORMER, same=["column"]):
        yield evidence.better(a, b)


def comparable_on_original_data(evidence: Evidence) -> Iterator[Comparison]:
    own = ours(M=0, data="original", iterations=_last(evidence))
    for a, b in evidence.pairs("table4", own, _TRANSFORMER, same=["column"]):
        yield evidence.within(MARGIN, a, b)


def better_than_abnet(evidence: Evidence) -> Iterator[Comparison | None]:
    for a, b in evidence.pairs("table10", ours(iterations=_last(evidence)), where(system=ABNET), same=["column"]):
        yield evidence.better(a, b)
        yield evidence.faster(a, b)


def small_corpora_gain_more(evidence: Evidence) -> Iterator[Comparison]:
    """The smallest corpus of Table 3 against the largest, where they differ in size as the paper's do."""
    pairs = evidence.pairs("table3", ours(iterations=_last(evidence)), _TRANSFORMER, same=["column"])
    gains = {a.point.direction: (a, b) for a, b in pairs}
    sizes = {direction: read_json(evidence.layout.counts(direction, "train"))["kept"] for direction in gains}
    by_size = sorted(sizes, key=lambda direction: sizes[direction])
    if by_size and sizes[by_size[-1]] >= LARGE * sizes[by_size[0]]:
        small, large = by_size[0], by_size[-1]
        text = f"gain over the Transformer on {small} ({sizes[small]:,} pairs) above that on {large} ({sizes[large]:,})"
        (a, b), (c, d) = gains[small], gains[large]
        yield evidence.difference(text, [(1, a, None), (-1, b, None), (-1, c, None), (1, d, None)])


# ---- Speed


def single_step_is_fast(evidence: Evidence) -> Iterator[Comparison | None]:
    for a, b in evidence.pairs("table8", _TRANSFORM_ONLY, _TRANSFORMER, same=["column"]):
        yield evidence.times_as_fast(SPEEDUP, a, b)


def transform_alone_is_fastest(evidence: Evidence) -> Iterator[Comparison | None]:
    for a, b in evidence.pairs("table8", _TRANSFORM_ONLY, ours(), same=["column"]):
        yield evidence.faster(a, b)


def fewer_iterations_are_faster(evidence: Evidence) -> Iterator[Comparison | None]:
    """Each number of iterations of Figure 2 against the next larger one."""
    for fewer, more in evidence.neighbours("figure2", ours(), along="iterations", same=["run"]):
        yield evidence.faster(fewer, more)


def larger_m_is_faster(evidence: Evidence) -> Iterator[Comparison | None]:
    """Each M of Figure 2 against the next smaller one, from T = 2 on: M is what further iterations spare."""
    for low, high in evidence.neighbours("figure2", ours(iterations=at_least(2)), along="M", same=["iterations"]):
        yield evidence.faster(high, low)


# ---- Iterations, M, s, data, pre-training


def more_iterations(evidence: Evidence) -> Iterator[Comparison]:
    """Each number of iterations of Figure 2 over the next smaller one, for every M."""
    for fewer, more in evidence.neighbours("figure2", ours(), along="iterations", same=["run"]):
        yield evidence.better(more, fewer)


def _by_length(evidence: Evidence, more: int) -> Iterator[tuple[Result, Result, dict[int, list[int]]]]:
    """XLM-D of `more` iterations of Table 7 and of one, and the lines of each range of lengths with enough of them."""
    for a, b in evidence.pairs("table7", ours(iterations=more), ours(iterations=1), same=["run"]):
        buckets = length_buckets(evidence.references(a))
        yield a, b, {low: lines for low, lines in buckets.items() if len(lines) >= ENOUGH_SENTENCES}


def _gain(evidence: Evidence, a: Result, b: Result, lines: list[int], above: list[int], text: str) -> Comparison:
    """The gain of a over b on some lines, less that on others, in BLEU of Moses tokens, as Table 7 has it."""
    terms = [(1, a, lines), (-1, b, lines)] + ([(-1, a, above), (1, b, above)] if above else [])
    return evidence.difference(f"gain of T = {a.iterations} over T = 1 {text}", terms, "bleu")


def all_lengths_gain(evidence: Evidence) -> Iterator[Comparison]:
    """T = 2 over T = 1 in every range of lengths that has sentences enough."""
    for a, b, buckets in _by_length(evidence, 2):
        for low, lines in buckets.items():
            yield _gain(evidence, a, b, lines, [], f"from {low} tokens on ({len(lines)} sentences)")


def long_sentences(evidence: Evidence) -> Iterator[Comparison]:
    """The longest range of Table 7 must gain from the most iterations, and more than the other sentences do."""
    for a, b, buckets in _by_length(evidence, _most_of_table7(evidence)):
        if len(buckets) > 1:
            low, lines = max(buckets.items())
            others = sorted(line for other, found in buckets.items() if other != low for line in found)
            text = f"from {low} tokens on ({len(lines)} sentences)"
            yield _gain(evidence, a, b, lines, [], text)
            yield _gain(evidence, a, b, lines, others, f"{text} above that of shorter ones ({len(others)})")


def short_sentences(evidence: Evidence) -> Iterator[Comparison]:
    """The other sentences must gain more from the most iterations than the shortest range of Table 7."""
    for a, b, buckets in _by_length(evidence, _most_of_table7(evidence)):
        if len(buckets) > 1:
            low, lines = min(buckets.items())
            others = sorted(line for other, found in buckets.items() if other != low for line in found)
            text = f"of the others ({len(others)} sentences) above that of those from {low} tokens on ({len(lines)})"
            yield _gain(evidence, a, b, others, lines, text)


def _most_of_table7(evidence: Evidence) -> int:
    return max(evidence.config["grid"]["table7_iterations"])


def m_costs_little(evidence: Evidence) -> Iterator[Comparison]:
    """Half the depth is within the margin of M = 0, at every number of iterations of Table 1."""
    for a, b in evidence.pairs("table1", _at_half_depth, ours(M=0), same=["column", "iterations"]):
        yield evidence.within(MARGIN, a, b)


def distilled_over_original(evidence: Evidence) -> Iterator[Comparison]:
    for a, b in _kinds_of_data(evidence):
        yield evidence.better(a, b)


def _kinds_of_data(evidence: Evidence) -> Iterator[tuple[Result, Result]]:
    return evidence.pairs("table4", ours(data="distilled"), ours(data="original"), same=["iterations"])


def distillation_gap_shrinks(evidence: Evidence) -> Iterator[Comparison]:
    """The gap at the most iterations against that at one, and because original data catch up."""
    seeds: dict[int, dict[int, tuple[Result, Result]]] = defaultdict(dict)
    for a, b in _kinds_of_data(evidence):
        seeds[a.record["seed"]][int(a.iterations)] = (a, b)
    for pairs in seeds.values():
        (a1, b1), (a8, b8) = pairs[min(pairs)], pairs[max(pairs)]
        gaps = {t: a.shown_score - b.shown_score for t, (a, b) in sorted(pairs.items())}
        listed = ", ".join(f"T = {t}: {gap:+.2f}" for t, gap in gaps.items())
        text = f"distilled minus original: {listed}; the first above the last"
        yield evidence.difference(text, [(1, a1, None), (-1, b1, None), (-1, a8, None), (1, b8, None)])
        yield evidence.better(b8, b1)


def larger_s_helps_one_iteration(evidence: Evidence) -> Iterator[Comparison]:
    """Each s of Table 5 over the next smaller one."""
    for low, high in evidence.neighbours("table5", ours(iterations=1), along="s", same=[]):
        yield evidence.better(high, low)


def s_hardly_matters_later(evidence: Evidence) -> Iterator[Comparison]:
    """From T = 2 on each s is within the margin of the configuration's own."""
    s = float(evidence.config["grid"]["s"])
    others, own = ours(s=other_than(s), iterations=at_least(2)), ours(s=s)
    for a, b in evidence.pairs("table5", others, own, same=["iterations"]):
        yield evidence.within(MARGIN, a, b)


def pretrained_over_reset(evidence: Evidence) -> Iterator[Comparison]:
    pretrained, reset = where(column="pretrained"), where(column="reset")
    for a, b in evidence.pairs("table6", pretrained, reset, same=["M", "add_and_scale", "iterations"]):
        yield evidence.better(a, b)


# ---- Strategies of decoding


def _dynamic_and_static(evidence: Evidence, **wanted: object) -> Iterator[tuple[Result, Result]]:
    """The results of both strategies, in this order, whose dynamic ones are as wanted."""
    dynamic, static = (ours(column=lambda name, s=s: name.endswith(f"_{s}"), **wanted) for s in ("dynamic", "static"))
    return evidence.pairs("table9", dynamic, static, same=["direction", "M", "iterations"])


def dynamic_over_static(evidence: Evidence) -> Iterator[Comparison]:
    """Where the two differ: blocks of T positions are static blocks where T is their size."""
    size = implied(evidence.config)["static_block"]
    for a, b in _dynamic_and_static(evidence, iterations=other_than(size)):
        yield evidence.better(a, b)


def dynamic_is_static_at_its_size(evidence: Evidence) -> Iterator[Comparison]:
    size = implied(evidence.config)["static_block"]
    for a, b in _dynamic_and_static(evidence, iterations=size):
        same = a.translations == b.translations
        yield Comparison(f"{a.point.direction}: {a.name}, same translations: {same}", FOR if same else AGAINST)
