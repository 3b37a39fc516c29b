"""Iter-NAT: a translation refined as a whole, again and again (Lee et al., 2018; its authors' code, dl4mt-nonauto).

A first decoder reads a copy of the source. A second one, the same in all further passes, reads the embeddings of the
tokens that the pass before predicted, plus its states. In training some passes read a corrupted target in the place of
these tokens, as a denoising autoencoder does.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase
from transformers.models.marian.modeling_marian import MarianDecoderLayer

from xlmd.data.batching import ParallelBatch
from xlmd.data.tokenizer import FIRST_PIECE
from xlmd.errors import UserError
from xlmd.nat.inputs import uniform_copy
from xlmd.nat.lengths import LengthBeamDecoding
from xlmd.nat.model import NATConfig, NATForTranslation
from xlmd.nat.objective import smoothed_cross_entropy
from xlmd.nat.settings import NATSettings
from xlmd.nat.system import NATSystem, merge_repeats
from xlmd.options import option
from xlmd.tensors import inside, where_true


@dataclass
class IterNATSettings(NATSettings):
    """Architecture and objective; the defaults are those of the authors' recipe for WMT."""

    system: ClassVar[str] = "iter_nat"

    ffn: int = option(512, "inner width of the feed-forward layers", 1)
    activation: Literal["relu", "gelu", "swish"] = option("relu", "activation of the feed-forward layers")
    label_smoothing: float = option(0.0, "probability that the training target spreads over all tokens")
    length: Literal["absolute", "offset"] = option("offset", "predict the target's length or its difference to I")
    length_range: int = option(20, "the largest difference to I that is predicted, either way, if length is offset", 1)
    length_detached: bool = option(True, "the length loss does not train the encoder")
    passes: int = option(4, "passes of an update", 2)
    denoising: float = option(0.5, "probability that a pass after the first reads a corrupted target", 0)
    corruption_start: float = option(0.9, "share of the target that were corrupted before the first pass", 0)
    corruption_end: float = option(0.1, "share before the last one; it falls linearly", 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("denoising", "corruption_start", "corruption_end"):
            if not getattr(self, name) <= 1:
                raise UserError(f"{self.system}: {name} must be in [0, 1], not {getattr(self, name)}")

    def corruption(self, number: int) -> float:
        """The share of the target that is corrupted before pass `number`, from 1."""
        done = (number - 1) / (self.passes - 1)
        return self.corruption_start + (self.corruption_end - self.corruption_start) * done


@dataclass
class IterNATDecoding(LengthBeamDecoding):
    """Options of iterative refinement (§3 of the Iter-NAT paper)."""

    iterations: int = option(10, "the number of passes, or the most of them if adaptive", 1)
    adaptive: bool = option(False, "a sentence ends when a pass predicts the tokens that it has read")
    merge_repeats: bool = option(True, "of equal neighbours in a translation one is left")


class IterNATForTranslation(NATForTranslation):
    """The model: one encoder, two decoders."""

    def __init__(self, config: NATConfig) -> None:
        super().__init__(config)
        layers = [MarianDecoderLayer(config, layer_idx=number) for number in range(config.decoder_layers)]
        for layer in layers:
            layer.self_attn.is_causal = False  # as in the first decoder
        self.refiner = nn.ModuleList(layers)
        self.post_init()

    def first(
        self,
        source: torch.Tensor,
        lengths: torch.Tensor,
        visible: torch.Tensor,
        encoded: torch.Tensor,
        source_mask: torch.Tensor,
    ) -> torch.Tensor:
        """The states (B, J, d) of the first pass. source: (B, I) int64 with specials; lengths: (B,) int64."""
        copied = uniform_copy(self.embed(source), lengths, visible.sum(dim=1), visible.shape[1])
        return self.decode(copied, visible, encoded, source_mask)

    def refine(
        self,
        tokens: torch.Tensor,
        hidden: torch.Tensor,
        visible: torch.Tensor,
        encoded: torch.Tensor,
        source_mask: torch.Tensor,
    ) -> torch.Tensor:
        """The states (B, J, d) of a further pass, from tokens (B, J) int64 and the states of the pass before."""
        return self.decode(self.embed(tokens) + hidden, visible, encoded, source_mask, self.refiner)


def disturbed(
    tokens: torch.Tensor, lengths: torch.Tensor, share: float, pieces: range, generator: torch.Generator
) -> torch.Tensor:
    """Targets in which max(1, ⌊share · J⌋) random positions, all but the last one, are disturbed one after the other.

    Each is repeated in the place of the next one, becomes a random one of `pieces`, or changes places with the next
    one, with equal probability. tokens: (B, J) int64; lengths: (B,) int64; one token alone stays as it is. The draws
    are made on the CPU, so that every device corrupts alike.
    """
    batch, width = tokens.shape
    steps = max(1, math.floor(share * width))
    noise = torch.rand(batch, width, generator=generator).to(tokens.device, non_blocking=True)
    fates = torch.randint(3, (batch, steps), generator=generator).to(tokens.device, non_blocking=True)
    drawn = torch.randint(pieces.start, pieces.stop, (batch, steps), generator=generator)
    drawn = drawn.to(tokens.device, non_blocking=True)
    has_next = torch.arange(width, device=tokens.device) < lengths.unsqueeze(1) - 1
    order = noise.masked_fill(~has_next, -1).argsort(dim=1, descending=True)
    count = (lengths.double() * share).long().clamp(min=1).minimum(lengths - 1)
    result = tokens.clone()
    for step in range(min(steps, width - 1)):
        place = torch.cat([order[:, step : step + 1], (order[:, step : step + 1] + 1).clamp(max=width - 1)], dim=1)
        this, following = old = result.gather(1, place).unbind(1)
        fate, active = fates[:, step], step < count
        first = torch.where(fate == 0, this, torch.where(fate == 1, drawn[:, step], following))
        second = torch.where(fate == 1, following, this)
        new = torch.where(active.unsqueeze(1), torch.stack([first, second], dim=1), torch.stack(old, dim=1))
        result.scatter_(1, place, new)
    return result


class IterNAT(NATSystem):
    """Iterative refinement of a whole translation."""

    name: ClassVar[str] = "iter_nat"
    printed: ClassVar[str] = "Iter-NAT"
    Settings: ClassVar[type] = IterNATSettings
    Decoding: ClassVar[type] = IterNATDecoding
    Model: ClassVar[type] = IterNATForTranslation
    settings: IterNATSettings

    def __init__(self, settings: IterNATSettings, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(settings, tokenizer)
        self._iterations: list[int] = []  # of every sentence decoded adaptively since `effort` was last asked

    def validation_decoding(self) -> IterNATDecoding:
        """As many passes as in training."""
        return IterNATDecoding(iterations=self.settings.passes)

    def iterations_label(self, decoding: IterNATDecoding) -> str:
        return "Adv." if decoding.adaptive else str(decoding.iterations)

    def effort(self) -> dict[str, float]:
        taken, self._iterations = self._iterations, []
        mean = sum(taken) / max(1, len(taken))
        return {"mean_iterations": mean, "mean_passes": mean} if taken else {}

    def loss(
        self, model: IterNATForTranslation, batch: ParallelBatch, progress: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The sum over passes of the tokens' mean label-smoothed cross entropy + the lengths' mean, weighted.

        Gradients flow from a pass to the one before through its states, not through its tokens. Whether a pass reads a
        corrupted target is drawn once per batch. Figures: `nll`, the last pass's mean without smoothing; `first_nll`,
        the first one's; `length_nll`.
        """
        settings, target, lengths = self.settings, batch.target, batch.target_lengths
        source, source_lengths = self.with_specials(batch.source, batch.source_lengths)
        source_mask, visible = inside(source_lengths, source.shape[1]), inside(lengths, target.shape[1])
        encoded = model.encode(source, source_mask)
        pieces = range(FIRST_PIECE, self.tokenizer.mask_token_id)
        asked = where_true(visible)
        tokens = target.flatten()[asked]

        hidden = model.first(source, source_lengths, visible, encoded, source_mask)
        losses, nlls = [], []
        for number, denoises in enumerate([*self._denoising(generator), None], start=1):
            logits = model.logits(hidden.flatten(0, 1)[asked])
            loss, nll = smoothed_cross_entropy(logits, tokens, settings.label_smoothing)
            losses.append(loss)
            nlls.append(nll)
            if denoises is None:
                break
            if denoises:
                read = disturbed(target, lengths, settings.corruption(number + 1), pieces, generator)
            else:
                read = target.flatten().scatter(0, asked, logits.detach().argmax(dim=1)).view_as(target)
            hidden = model.refine(read, hidden, visible, encoded, source_mask)
        length_nll = model.length_head.loss(model.length_head(encoded, source_mask), lengths, batch.source_lengths)
        return torch.stack(losses).sum() + settings.length_weight * length_nll, {
            "nll": nlls[-1].detach(),
            "first_nll": nlls[0].detach(),
            "length_nll": length_nll.detach(),
        }

    def _denoising(self, generator: torch.Generator) -> list[bool]:
        """Whether each pass after the first reads a corrupted target."""
        return (torch.rand(self.settings.passes - 1, generator=generator) < self.settings.denoising).tolist()

    def decode(
        self, model: IterNATForTranslation, source: torch.Tensor, lengths: torch.Tensor, decoding: IterNATDecoding
    ) -> list[list[int]]:
        """Pass after pass for each length that is tried: the candidate with the highest mean log-probability wins."""
        source_mask = inside(lengths, source.shape[1])
        encoded = model.encode(source, source_mask)
        beam = model.length_head.beam(model.length_head(encoded, source_mask), lengths - 2, decoding)
        encoded, source_mask, visible = beam.repeat(encoded), beam.repeat(source_mask), beam.visible
        hidden = model.first(beam.repeat(source), beam.repeat(lengths), visible, encoded, source_mask)
        tokens, log_probability = model.most_probable(hidden, self.never_targets)
        count = torch.ones_like(beam.lengths)
        going = torch.arange(len(visible), device=visible.device)  # the candidates that are not done, by number
        for _ in range(decoding.iterations - 1):
            seen = visible[going], encoded[going], source_mask[going]
            hidden = model.refine(tokens[going], hidden, *seen)
            read = tokens[going]
            tokens[going], log_probability[going] = model.most_probable(hidden, self.never_targets)
            count[going] += 1
            if decoding.adaptive:
                changed = ((tokens[going] != read) & seen[0]).any(dim=1)
                going, hidden = going[changed], hidden[changed]
                if not len(going):
                    break
        if decoding.adaptive:
            self._iterations += count.view(-1, beam.size).amax(dim=1).tolist()
        translations = beam.best(tokens, log_probability.masked_fill(~visible, 0))
        return [merge_repeats(row) for row in translations] if decoding.merge_repeats else translations
