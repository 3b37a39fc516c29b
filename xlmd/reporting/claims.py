"""The paper's claims as predicates over result files: each is tested on what was measured, and gets a verdict."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from xlmd.data.text import read_lines
from xlmd.experiment.grid import BASELINE, OURS, implied
from xlmd.files import read_json
from xlmd.reporting.bleu import length_buckets
from xlmd.reporting.evidence import AGAINST, FOR, Comparison, Condition, Evidence, at_least, other_than, where
from xlmd.reporting.results import Result

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

# The system that many of the claims measure XLM-D against.
CMLM = "cmlm"

Test = Callable[[Evidence], Iterator[Comparison | None]]


@dataclass(frozen=True)
class Claim:
    """section: of the paper. tables: whose results it is tested on. every: whether it speaks of every case."""

    section: str
    text: str
    tables: tuple[str, ...]
    test: Test
    every: bool = False


@dataclass
class Verdict:
    """A claim's verdict with all its evidence."""

    claim: Claim
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


def ours(**wanted: object) -> Condition:
    """For results of XLM-D with add and scale, the iterative system."""
    return where(system=OURS, add_and_scale=True, **wanted)


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
            yield Comparison(text, FOR if error < 1e-4 * scale else AGAINST)


def more_iterations(evidence: Evidence) -> Iterator[Comparison]:
    """T = 2 over 1 and 4 over 2, for every M of Figure 2."""
    for more, fewer in ((2, 1), (4, 2)):
        for a, b in evidence.pairs("figure2", ours(iterations=more), ours(iterations=fewer), same=["run"]):
            yield evidence.better(a, b)


def _by_length(evidence: Evidence, more: int, fewer: int) -> Iterator[tuple[Result, Result, dict[int, list[int]]]]:
    """Two numbers of iterations of Table 7, and the lines of each range of lengths that has sentences enough."""
    for a, b in evidence.pairs("table7", ours(iterations=more), ours(iterations=fewer), same=["run"]):
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


def _against_cmlm(evidence: Evidence, table: str, data: str) -> Iterator[tuple[Result, Result]]:
    """XLM-D (M = 0) of the most iterations and CMLM of the most, both on the same data, in every column of a table."""
    last = max(evidence.config["grid"]["iterations"])
    shown = evidence.results(table, where(system=CMLM, data=data, iterations=at_least(1)))
    most = max((cmlm.facts["iterations"] for cmlm in shown), default=None)
    own, theirs = ours(M=0, data=data, iterations=last), where(system=CMLM, data=data, iterations=most)
    return evidence.pairs(table, own, theirs, same=["column"])


def better_than_cmlm(evidence: Evidence) -> Iterator[Comparison]:
    for a, b in _against_cmlm(evidence, "table4", "distilled"):
        yield evidence.better(a, b)


def better_than_cmlm_on_original_data(evidence: Evidence) -> Iterator[Comparison]:
    for a, b in _against_cmlm(evidence, "table4", "original"):
        yield evidence.better(a, b)


def better_than_cmlm_in_other_languages(evidence: Evidence) -> Iterator[Comparison]:
    for a, b in _against_cmlm(evidence, "table3", "distilled"):
        yield evidence.better(a, b)


def faster_than_cmlm(evidence: Evidence) -> Iterator[Comparison | None]:
    for a, b in _against_cmlm(evidence, "table4", "distilled"):
        yield evidence.faster(a, b)


def over_transformer(evidence: Evidence) -> Iterator[Comparison]:
    for a, b in evidence.pairs("table1", ours(iterations=at_least(4)), where(system=BASELINE), same=["column"]):
        yield evidence.better(a, b)


def fewer_iterations_are_faster(evidence: Evidence) -> Iterator[Comparison | None]:
    """Each number of iterations of Figure 2 against the next larger one."""
    for fewer, more in evidence.neighbours("figure2", ours(), along="iterations", same=["run"]):
        yield evidence.faster(fewer, more)


def larger_m_is_faster(evidence: Evidence) -> Iterator[Comparison | None]:
    """Each M of Figure 2 against the next smaller one, from T = 2 on."""
    for low, high in evidence.neighbours("figure2", ours(iterations=at_least(2)), along="M", same=["iterations"]):
        yield evidence.faster(high, low)


def m_costs_little(evidence: Evidence) -> Iterator[Comparison]:
    """Half the depth is within a BLEU point of M = 0, as in the paper's tables."""
    half = evidence.config["grid"]["M"][-1]
    for a, b in evidence.pairs("table1", ours(M=half), ours(M=0), same=["column", "iterations"]):
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
        gaps = {t: a.score["bleu"]["score"] - b.score["bleu"]["score"] for t, (a, b) in sorted(pairs.items())}
        text = "distilled minus original: " + ", ".join(f"T = {t}: {gap:+.2f}" for t, gap in gaps.items())
        yield evidence.above_zero(text, [(1, a1, None), (-1, b1, None), (-1, a8, None), (1, b8, None)])
        yield evidence.better(b8, b1)


def larger_s_helps_one_iteration(evidence: Evidence) -> Iterator[Comparison]:
    """Each s of Table 5 over the next smaller one."""
    for low, high in evidence.neighbours("table5", ours(iterations=1), along="s", same=[]):
        yield evidence.better(high, low)


def s_hardly_matters_later(evidence: Evidence) -> Iterator[Comparison]:
    """From T = 4 on each s is within a BLEU point of the configuration's own."""
    s = float(evidence.config["grid"]["s"])
    others, own = ours(s=other_than(s), iterations=at_least(4)), ours(s=s)
    for a, b in evidence.pairs("table5", others, own, same=["iterations"]):
        yield evidence.within(MARGIN, a, b)


def pretrained_over_reset(evidence: Evidence) -> Iterator[Comparison]:
    pretrained, reset = where(column="pretrained"), where(column="reset")
    for a, b in evidence.pairs("table6", pretrained, reset, same=["M", "add_and_scale", "iterations"]):
        yield evidence.better(a, b)


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


def single_step_is_fast(evidence: Evidence) -> Iterator[Comparison]:
    """15 and not 19.9, for hardware differs."""
    transform_only = where(system=OURS, add_and_scale=False)
    for result, baseline in evidence.pairs("table8", transform_only, where(system=BASELINE), same=["column"]):
        times = [r.latency["translation"]["mean"] for r in (baseline, result)]
        ratio = f"{times[0] / times[1]:.1f}×"
        text = f"{baseline.name} {times[0]:.1f} ms, {result.name} {times[1]:.1f} ms: {ratio}"
        yield Comparison(text, FOR if times[0] / times[1] >= 15 else AGAINST)


def small_corpora_gain_more(evidence: Evidence) -> Iterator[Comparison]:
    """The smallest corpus of Table 3 against the largest, where they differ in size tenfold or more."""
    last = max(evidence.config["grid"]["iterations"])
    pairs = evidence.pairs("table3", ours(iterations=last), where(system=BASELINE), same=["column"])
    gains = {a.point.direction: (a, b) for a, b in pairs}
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
    Claim("A.3", "Dynamic blocks are better than static ones where they differ", ("table9",), dynamic_over_static),
    Claim("A.3", "Dynamic and static blocks are the same where both have one size, in the paper 8 (by construction)",
          ("table9",), dynamic_is_static_at_its_size),
    Claim("A.3", "XLM-D is better and faster than AB-Net", (), untested),
]  # fmt: skip


def judge(evidence: Evidence) -> Iterator[Verdict]:
    """Each claim's verdict."""
    for claim in CLAIMS:
        yield Verdict(claim, [comparison for comparison in claim.test(evidence) if comparison is not None])
