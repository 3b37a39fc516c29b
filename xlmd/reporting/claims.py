"""The paper's claims as predicates over result files: each is tested on what was measured, and gets a verdict."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from xlmd.reporting import claim_tests as tests
from xlmd.reporting.evidence import AGAINST, FOR, Comparison, Evidence

# How a verdict is reached, as the audit prints it.
RULE = f"""\
A comparison of scores is of those that the tables show, and is decided by resampling the test sentences (a paired
bootstrap): *for* the claim if the difference has the claimed sign and p < 0.05, *against* it if it has the other sign
and p < 0.05, *open* otherwise. p is two-sided, but for claims that two systems are comparable: such a one is decided,
one-sided as tests of equivalence are, by whether the difference stays within {tests.MARGIN:g} BLEU, the widest one
that the paper itself calls comparable. A comparison of two times is decided by their runs: for or against if the
slowest run of one is faster than the fastest of the other. What is counted, or is the same by construction, needs no
test.

p speaks of other test sentences, not of other trainings: with one seed a run, a difference may be for or against a
claim that another seed would turn round. Where the noise of trainings is known (`scale.noise`, of seeds and types of
CPU), a smaller difference between models that were trained apart is open. Nor are comparisons of several decodings of
one run independent. And the systems are trained for as long as the configuration says, which the tables' captions give:
at a small scale not equally long, and not until they stop getting better.

A claim is **reproduced** if more comparisons are for it than against it and at least half are for it (all of them, if
it speaks of every case), **contradicted** if more are against it than for it and at least half are against it,
**inconclusive** otherwise, and **not tested** without any comparison.
"""


@dataclass(frozen=True)
class Claim:
    """section: of the paper. tables: whose results it is tested on. every: whether it speaks of every case."""

    section: str
    text: str
    tables: tuple[str, ...]
    test: tests.Test
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


CLAIMS = [
    Claim("2.2", "The decorator adds one trainable parameter", ("table10",), tests.one_parameter),
    Claim("2.2", "The pre-trained representation stays consistent: s = 1, σ → 0 gives its own logits", ("table10",),
          tests.representation_consistency),
    Claim("3.2", "CMLM is comparable with the Transformer", ("table1", "table4"),
          tests.cmlm_comparable_with_transformer),
    Claim("3.2", "XLM-D is better than CMLM", ("table1", "table4"), tests.better_than_cmlm),
    Claim("3.2", "XLM-D is faster than CMLM", ("table1", "table4"), tests.faster_than_cmlm),
    Claim("3.2", "Iterative XLM-D is better than every other iterative system", ("table1",), tests.best_iterative,
          every=True),
    Claim("3.2", "Iterative XLM-D is better than the Transformer", ("table1",), tests.over_transformer),
    Claim("3.2", "Single-step XLM-D is better than every other single-step system", ("table2",),
          tests.best_single_step, every=True),
    Claim("3.2", "Single-step XLM-D is better than the Transformer on English–Romanian", ("table2",),
          tests.single_step_over_transformer),
    Claim("3.2", "Single-step XLM-D is faster than every other single-step system", ("table2",),
          tests.fastest_single_step, every=True),
    Claim("3.2", "Single-step XLM-D is 19.9 times as fast as the Transformer", ("table8",), tests.single_step_is_fast),
    Claim("3.2", "XLM-D with its latent transform only is the fastest XLM-D", ("table8",),
          tests.transform_alone_is_fastest),
    Claim("3.2", "In other language pairs too XLM-D is better than CMLM", ("table3",),
          tests.better_than_cmlm_in_other_languages, every=True),
    Claim("3.2", "In other language pairs too XLM-D is better than the Transformer", ("table3",),
          tests.over_transformer_in_other_languages, every=True),
    Claim("3.2", "Gains over the Transformer are larger on small corpora", ("table3",), tests.small_corpora_gain_more),
    Claim("3.3", "On original data too XLM-D is better than CMLM", ("table4",),
          tests.better_than_cmlm_on_original_data),
    Claim("3.3", "On original data XLM-D is comparable with the Transformer", ("table4",),
          tests.comparable_on_original_data),
    Claim("3.3", "Distilled data are better than original data", ("table4",), tests.distilled_over_original),
    Claim("3.3", "The gap of distillation shrinks with more iterations (a pattern of Table 4, not a sentence)",
          ("table4",), tests.distillation_gap_shrinks, every=True),
    Claim("3.3", "A larger s helps a single iteration", ("table5",), tests.larger_s_helps_one_iteration),
    Claim("3.3", "With more iterations s hardly matters", ("table5",), tests.s_hardly_matters_later),
    Claim("3.3", "More iterations are better", ("figure2",), tests.more_iterations),
    Claim("3.3", "Speed falls with the number of iterations", ("figure2",), tests.fewer_iterations_are_faster),
    Claim("3.3", "A larger M is faster from 2 iterations on", ("figure2",), tests.larger_m_is_faster),
    Claim("3.3", "Half the depth as M gives much the same BLEU as M = 0", ("table1",), tests.m_costs_little),
    Claim("3.3", "Pre-trained parameters are better than reset ones, at every T", ("table6",),
          tests.pretrained_over_reset, every=True),
    Claim("3.3", "Sentences of all lengths gain from a second iteration", ("table7",), tests.all_lengths_gain,
          every=True),
    Claim("3.3", "Short sentences gain least from iterations", ("table7",), tests.short_sentences),
    Claim("3.3", "Long sentences gain most from iterations", ("table7",), tests.long_sentences, every=True),
    Claim("A.3", "Dynamic blocks are better than static ones where they differ", ("table9",),
          tests.dynamic_over_static),
    Claim("A.3", "Dynamic and static blocks are the same where both have one size, in the paper 8 (by construction)",
          ("table9",), tests.dynamic_is_static_at_its_size),
    Claim("A.3", "XLM-D is better and faster than AB-Net", ("table10",), tests.better_than_abnet, every=True),
]  # fmt: skip


def judge(evidence: Evidence) -> Iterator[Verdict]:
    """Each claim's verdict."""
    for claim in CLAIMS:
        yield Verdict(claim, [comparison for comparison in claim.test(evidence) if comparison is not None])
