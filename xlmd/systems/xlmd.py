"""XLM-D as a system: the decorated model, Algorithm 1 and iterative refinement behind the common interface."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch

from xlmd.data.batching import ParallelBatch
from xlmd.errors import UserError
from xlmd.method import blank
from xlmd.method.algorithm1 import Objective, algorithm1, ctc_objective
from xlmd.method.decoding import Engine, XLMDDecoding, collapse, iterative_refinement
from xlmd.method.decorator import upsampled_lengths
from xlmd.method.depth import paper_depth
from xlmd.method.model import XLMDForTranslation, decorate
from xlmd.options import check, option
from xlmd.systems.base import System
from xlmd.weights import load_pretrained, read_base

# Below this share of blanks among decoded positions, or as far above the rest, a trained model is not a usual one.
_FEW_BLANKS = 0.02

# What `choose` tries for blank_penalty; of equally good ones it takes the first.
_PENALTIES = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)


@dataclass
class XLMDSettings:
    """The decorated model and its training objective; docs/readings.md tells where the paper leaves a choice."""

    mlm: str = option("xlm-roberta-base", "pre-trained masked language model: hub name or transformers folder")
    reset: bool = option(False, "keep the MLM's shape but draw random weights (Table 6, 'Reset')")
    M: int = option(0, "layer after which the decorator stands, 0..layers (§2.2)", 0)
    s: float = option(2.0, "upsampling ratio s >= 1 (§2.2)", 1)
    add_and_scale: bool = option(True, "False: latent transform only, a single-step model ('LT only', Table 2)")
    gamma: float = option(0.5, "scale of the sum in Eq. 4")
    initial_sigma: float = option(1.0, "initial σ of the latent transform")
    normalise_tokens: bool = option(False, "e and p through the embedding LayerNorm before Eq. 4 where M > 0")
    normalise_sum: bool = option(True, "embedding LayerNorm after Eq. 4 where M > 0")
    position_before_transform: bool = option(False, "h⁰ carries its position embedding where M = 0")
    dropout: float | None = option(None, "dropout rate; the MLM's own if not given")
    blank: str = option("<s>", "the token that serves as the CTC blank")
    calibrate_blank: bool = option(
        True, "set the blank's output bias before the first update (False: as the pre-trained model has it)"
    )
    blank_probability: float | None = option(
        None, "mean probability that the blank is given then, in the all-<mask> pass; 1 − J/T of the pairs if not given"
    )
    mask_block: int = option(8, "B, positions a block of the training mask (§2.3)", 1)
    mask_count_per: Literal["sentence", "block"] = option(
        "sentence", "whether k ~ U{1..B} is drawn a sentence or a block"
    )
    embed_observed_blank: bool = option(True, "show an observed blank as the blank (False: as <mask>)")
    alignment_dropout: bool = option(False, "dropout in the all-mask pass that the Viterbi alignment comes from")
    constraint: Literal["token", "state"] = option(
        "token", "what an observed position fixes: its token or its CTC state"
    )
    score_observed: bool = option(True, "whether observed positions' own probabilities stay in the loss")
    reduction: Literal["mean", "sum"] = option(
        "mean", "mean over sentences of loss / target length, or sum over tokens"
    )
    zero_infinity: bool = option(False, "give an infeasible pair loss 0 instead of leaving it out")
    all_mask_fraction: float = option(0.0, "share of training, at its start, with all-<mask> input and plain CTC", 0)

    def __post_init__(self) -> None:
        check(self)
        if self.blank_probability is not None and not 0 < self.blank_probability < 1:
            raise UserError(f"blank_probability = {self.blank_probability}: must lie between 0 and 1")


class XLMD(System[XLMDForTranslation]):
    name: ClassVar[str] = "xlmd"
    printed: ClassVar[str] = "XLM-D"
    pretrained: ClassVar[dict[str, str]] = {"mlm": "mlm"}
    Settings: ClassVar[type] = XLMDSettings
    Decoding: ClassVar[type] = XLMDDecoding

    def __init__(self, settings: XLMDSettings, tokenizer) -> None:
        super().__init__(settings, tokenizer)
        self.blank = tokenizer.convert_tokens_to_ids(settings.blank)
        if self.blank is None or (self.blank == tokenizer.unk_token_id and settings.blank != tokenizer.unk_token):
            raise UserError(f"blank = {settings.blank!r} is not a token of the tokenizer")

    def build(self) -> XLMDForTranslation:
        settings = self.settings
        model = decorate(
            settings.mlm,
            mask_token_id=self.tokenizer.mask_token_id,
            reset=settings.reset,
            dropout=settings.dropout,
            insertion_layer=settings.M,
            upsampling_ratio=settings.s,
            add_and_scale=settings.add_and_scale,
            gamma=settings.gamma,
            initial_sigma=settings.initial_sigma,
            normalise_tokens=settings.normalise_tokens,
            normalise_sum=settings.normalise_sum,
            position_before_transform=settings.position_before_transform,
            blank_token_id=self.blank,
        )
        if model.config.vocab_size != len(self.tokenizer):
            raise UserError(
                f"{settings.mlm} has {model.config.vocab_size} word embeddings,"
                f" but the tokenizer {len(self.tokenizer)} tokens"
            )
        return model

    def prepare(self, model: XLMDForTranslation, batches: Sequence[ParallelBatch]) -> dict:
        if not self.settings.calibrate_blank:
            return {}
        sources = [self.with_specials(batch.source, batch.source_lengths) for batch in batches]
        probability = self.settings.blank_probability
        if probability is None:
            tokens = sum(int(batch.target_lengths.sum()) for batch in batches)
            positions = sum(int(upsampled_lengths(lengths, self.settings.s).sum()) for _, lengths in sources)
            probability = 1 - tokens / positions
        return {"blank": blank.set_blank_probability(model, sources, probability)}

    def load(self, folder: str | Path) -> XLMDForTranslation:
        return load_pretrained(XLMDForTranslation, folder)

    def describe(self, model: XLMDForTranslation) -> dict[str, Any]:
        described = super().describe(model)
        described["settings"] |= {"layers": model.config.num_hidden_layers}
        return described

    def label(self, model: XLMDForTranslation) -> str:
        """The name with M as of the paper's 12 layers; LT only stands at M = 0 if nothing is said."""
        depth = f" (M={paper_depth(self.settings.M, model.config.num_hidden_layers)})"
        if self.settings.add_and_scale:
            return self.printed + depth
        return f"{self.printed} with LT only" + (depth if self.settings.M else "")

    def size(self, model: XLMDForTranslation) -> str:
        return f"M={self.settings.M} of {model.config.num_hidden_layers} layers"

    def usable(self, source_lengths: torch.Tensor, target_lengths: torch.Tensor, repeats: torch.Tensor) -> dict:
        longest = read_base(self.settings.mlm).max_position_embeddings - self.tokenizer.pad_token_id - 1
        alignment = upsampled_lengths(source_lengths + 2, self.settings.s)
        too_long = (alignment > longest) | (source_lengths + 2 > longest)
        infeasible = ~too_long & (alignment < target_lengths + repeats)
        return {
            f"alignment longer than {longest} positions": too_long,
            "infeasible for CTC": infeasible & (not self.settings.zero_infinity),
        }

    def loss(
        self, model: XLMDForTranslation, batch: ParallelBatch, progress: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        settings = self.settings
        source, lengths = self.with_specials(batch.source, batch.source_lengths)
        pair = (source, lengths, batch.target, batch.target_lengths)
        objective: Objective = {"reduction": settings.reduction, "zero_infinity": settings.zero_infinity}
        figures = {"sigma": model.latent_transform.sigma.detach().clone()}  # the update changes the parameter itself
        if not settings.add_and_scale or progress < settings.all_mask_fraction:
            loss = ctc_objective(model, *pair, **objective)
        else:
            objective |= {"constraint": settings.constraint, "score_observed": settings.score_observed}
            loss, alignment = algorithm1(
                model,
                *pair,
                block=settings.mask_block,
                generator=generator,
                count_per=settings.mask_count_per,
                embed_blank=settings.embed_observed_blank,
                alignment_dropout=settings.alignment_dropout,
                **objective,
            )
            shares = blank.alignment_shares(alignment, upsampled_lengths(lengths, settings.s), self.blank)
            figures |= {f"viterbi_{kind}": share for kind, share in shares.items()}
        return loss, figures

    def examine(self, model: XLMDForTranslation, sources: Sequence[Sequence[int]]) -> dict[str, float]:
        """The shares of blanks and of repeats in the alignments that the default decoding ends with."""
        alignment, lengths = self._align(model, *self.batch(model, sources), self.validation_decoding())
        shares = blank.alignment_shares(alignment, lengths, self.blank)
        return {f"decoded_{kind}": float(share) for kind, share in shares.items()}

    def warnings(self, figures: dict[str, float]) -> list[str]:
        share = figures["decoded_blank"]
        where = f"{100 * share:.1f}% of the decoded positions are blank"
        if share < _FEW_BLANKS:
            return [f"{where}: the model has not learnt to use the blank (docs/readings.md, row 35)"]
        if share > 1 - _FEW_BLANKS:
            return [f"{where}: the translations are all but empty"]
        return []

    def choose(self, model: XLMDForTranslation, bleu: Callable[[XLMDDecoding], float]) -> dict[str, float]:
        """blank_penalty: the best of a few for a single iteration, the cheapest; docs/embedded-scale.md says why."""
        return {"blank_penalty": max(_PENALTIES, key=lambda p: bleu(XLMDDecoding(iterations=1, blank_penalty=p)))}

    def iterations_label(self, decoding: XLMDDecoding) -> str:
        return str(decoding.iterations if self.settings.add_and_scale else 1)

    def longest_source(self, model: Engine) -> int:
        return model.config.longest_source - 2

    def decode(
        self, model: Engine, source: torch.Tensor, lengths: torch.Tensor, decoding: XLMDDecoding
    ) -> list[list[int]]:
        return collapse(*self._align(model, source, lengths, decoding), self.blank)

    def _align(
        self, model: Engine, source: torch.Tensor, lengths: torch.Tensor, decoding: XLMDDecoding
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The final alignments of a batch, (B, T) int64, and their lengths (B,)."""
        return iterative_refinement(model, source, lengths, decoding)
