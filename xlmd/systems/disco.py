"""DisCO: every target token from any subset of the others, decoded easy-first in parallel (Kasai et al., 2020).

Two streams: keys and values of every layer are the embeddings of tokens and their positions, never contextualised;
queries start from the positions alone. So one pass predicts all tokens, each from those that its row of a mask shows;
`</s>` stands after the target and is always shown. The recipe is that of its authors' code, facebookresearch/DisCo.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch.nn import functional as F
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from xlmd.data.batching import ParallelBatch
from xlmd.nat.lengths import LengthBeam, LengthBeamDecoding
from xlmd.nat.model import NATConfig, NATForTranslation
from xlmd.nat.objective import smoothed_cross_entropy
from xlmd.nat.settings import NATSettings
from xlmd.nat.system import NATSystem
from xlmd.options import option
from xlmd.tensors import inside, longest_of, rank_within_blocks, where_true


@dataclass
class DisCOSettings(NATSettings):
    """Architecture and objective; the defaults are those of the authors' recipe for WMT'14."""

    system: ClassVar[str] = "disco"

    dropout: float = option(0.2, "dropout rate")
    scale_embedding: bool = option(False, "multiply word embeddings by √d_model")
    positions: Literal["sinusoidal", "learned"] = option("learned", "position embeddings of encoder and decoder")
    length_pooling: Literal["first", "mean"] = option("first", "predict it from the state at <s> or the mean of all")
    length_weight: float = option(1.0, "weight of a sentence's length loss beside the loss of a token", 0)


@dataclass
class DisCODecoding(LengthBeamDecoding):
    """Options of parallel easy-first decoding (§4 of the DisCO paper)."""

    length_beam: int = option(5, "how many target lengths are tried; 1 is the most probable one", 1)
    iterations: int = option(10, "the most iterations; a sentence ends when one leaves it as it was", 1)


class DisCOForTranslation(NATForTranslation):
    """The model, whose decoder attends from positions to bare embeddings."""

    def __init__(self, config: NATConfig) -> None:
        super().__init__(config)
        self.length_head.longest -= 1  # `</s>` takes a position

    def attend(
        self,
        tokens: torch.Tensor,
        lengths: torch.Tensor,
        visible: torch.Tensor,
        encoded: torch.Tensor,
        source_mask: torch.Tensor,
    ) -> torch.Tensor:
        """The states (B, J, d) that predict each token from those that it sees, from `</s>` and from the source.

        tokens: (B, J) int64; what stands beyond lengths (B,) is of no meaning. visible: (B, J, J) bool, query by key.
        encoded: (B, I, d) from `encode`; source_mask: (B, I) bool.
        """
        decoder, longest = self.model.decoder, tokens.shape[1]
        end_id = self.config.eos_token_id
        assert isinstance(end_id, int)
        end = F.one_hot(lengths, longest + 1).bool()
        ended = torch.where(end, end_id, F.pad(tokens, (0, 1)))
        seen = self._attention_mask(F.pad(visible, (0, 1)) | end.unsqueeze(1))
        source_seen = self._attention_mask(source_mask)
        positions = self.positions(longest + 1)
        context = F.dropout(self.embed(ended) + positions, decoder.dropout, self.training)
        hidden = F.dropout(positions[:longest].expand(len(tokens), -1, -1), decoder.dropout, self.training)
        for layer in decoder.layers:
            attended, _ = layer.self_attn(hidden, key_value_states=context, attention_mask=seen)
            hidden = layer.self_attn_layer_norm(hidden + F.dropout(attended, layer.dropout, self.training))
            attended, _ = layer.encoder_attn(hidden, key_value_states=encoded, attention_mask=source_seen)
            hidden = layer.encoder_attn_layer_norm(hidden + F.dropout(attended, layer.dropout, self.training))
            inner = layer.fc2(layer.activation_fn(layer.fc1(hidden)))
            hidden = layer.final_layer_norm(hidden + F.dropout(inner, layer.dropout, self.training))
        return hidden


def random_subsets(lengths: torch.Tensor, generator: torch.Generator, width: int | None = None) -> torch.Tensor:
    """Which others each token sees in training: ⌊u·J⌋ random ones, u ~ U(0, 1) per token, never itself.

    lengths: (B,) int64, J of each sentence; width: the longest. Returns (B, J, J) bool, query by key, False at keys of
    padding. The draws are made on the CPU, so that every device draws alike.
    """
    batch, width = len(lengths), longest_of(lengths, width)
    share = torch.rand(batch, width, generator=generator, dtype=torch.float64).to(lengths.device, non_blocking=True)
    noise = torch.rand(batch, width, width, generator=generator).to(lengths.device, non_blocking=True)
    noise.diagonal(dim1=1, dim2=2).fill_(-1)  # last of its sentence, and no more than J − 1 are seen
    rank = rank_within_blocks(noise.flatten(0, 1), lengths.repeat_interleave(width), width).view_as(noise)
    return rank < (share * lengths.unsqueeze(1)).long().unsqueeze(2)


@torch.inference_mode()
def easy_first(
    model: DisCOForTranslation,
    encoded: torch.Tensor,
    source_mask: torch.Tensor,
    beam: LengthBeam,
    *,
    iterations: int,
    forbidden: Sequence[int] = (),
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The tokens of every candidate, (B·k, J) int64, their log-probabilities, float32, 0 at padding, and the number of
    iterations of each sentence, (B,) int64.

    The first iteration predicts every token from the source alone. Its log-probabilities are an order that stays: each
    further iteration predicts all tokens anew, each from those before it in that order. A sentence ends when the
    candidate with the highest mean log-probability comes out as it went in, or after `iterations`.

    encoded: (B, I, d) from `model.encode`; source_mask: (B, I) bool. forbidden: token ids never predicted.
    """
    encoded, source_mask, visible = beam.repeat(encoded), beam.repeat(source_mask), beam.visible
    tokens = torch.zeros(visible.shape, dtype=torch.long, device=encoded.device)  # nothing is seen at first
    log_probability = torch.zeros(visible.shape, device=encoded.device)
    seen = torch.zeros(*visible.shape, visible.shape[1], dtype=torch.bool, device=encoded.device)
    count = torch.zeros(len(visible) // beam.size, dtype=torch.long, device=encoded.device)
    going = torch.ones_like(count, dtype=torch.bool)
    for iteration in range(iterations):
        before, winner = tokens.clone(), beam.winners(log_probability)
        rows = beam.repeat(going)
        hidden = model.attend(tokens[rows], beam.lengths[rows], seen[rows], encoded[rows], source_mask[rows])
        predicted, confidence = model.most_probable(hidden, forbidden)
        tokens[rows], log_probability[rows] = predicted, confidence.masked_fill(~visible[rows], 0)
        count += going
        if iteration == 0:
            rank = rank_within_blocks(log_probability, beam.lengths, visible.shape[1])
            seen = rank.unsqueeze(1) < rank.unsqueeze(2)
        else:
            still = beam.winners(log_probability)
            same = ((tokens[still] == before[still]) | ~visible[still]).all(dim=1)
            going &= ~(same & (still == winner))
            if not going.any():
                break
    return tokens, log_probability, count


class DisCO(NATSystem):
    """The disentangled context Transformer."""

    name: ClassVar[str] = "disco"
    printed: ClassVar[str] = "DisCO"
    Settings: ClassVar[type] = DisCOSettings
    Decoding: ClassVar[type] = DisCODecoding
    Model: ClassVar[type] = DisCOForTranslation
    settings: DisCOSettings

    def __init__(self, settings: DisCOSettings, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(settings, tokenizer)
        self._iterations: list[int] = []  # of every sentence decoded since `effort` was last asked

    def usable(self, source_lengths: torch.Tensor, target_lengths: torch.Tensor, repeats: torch.Tensor) -> dict:
        """As of every such system, with `</s>` on the target side too."""
        return super().usable(source_lengths, target_lengths + 1, repeats)

    def validation_decoding(self) -> DisCODecoding:
        """At most four iterations on the most probable length: a fraction of the time."""
        return DisCODecoding(iterations=4, length_beam=1)

    def iterations_label(self, decoding: DisCODecoding) -> str:
        return "Adv."

    def effort(self) -> dict[str, float]:
        taken, self._iterations = self._iterations, []
        mean = sum(taken) / max(1, len(taken))
        return {"mean_iterations": mean, "mean_passes": mean} if taken else {}

    def examine(self, model: PreTrainedModel, sources: Sequence[Sequence[int]]) -> dict[str, float]:
        """How many iterations the default decoding takes."""
        self.effort()
        self.translate(model, sources, self.Decoding())
        return self.effort()

    def loss(
        self, model: DisCOForTranslation, batch: ParallelBatch, progress: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """(Σ label-smoothed cross entropy of all tokens + Σ that of the lengths) / number of tokens.

        The second sum, times `length_weight`, is over the batch's sentences, and not smoothed. Figures: `nll`, the mean
        over tokens without smoothing; `length_nll`, the mean over sentences.
        """
        target, lengths = batch.target, batch.target_lengths
        source, source_lengths = self.with_specials(batch.source, batch.source_lengths)
        source_mask, visible = inside(source_lengths, source.shape[1]), inside(lengths, target.shape[1])
        encoded = model.encode(source, source_mask)
        hidden = model.attend(
            target, lengths, random_subsets(lengths, generator, target.shape[1]), encoded, source_mask
        )
        asked = where_true(visible)
        tokens, hidden = target.flatten()[asked], hidden.flatten(0, 1)[asked]
        words, nll = smoothed_cross_entropy(model.logits(hidden), tokens, self.settings.label_smoothing)
        length_nll = model.length_head.loss(model.length_head(encoded, source_mask), lengths, batch.source_lengths)
        loss = words + self.settings.length_weight * length_nll * len(lengths) / len(tokens)
        return loss, {"nll": nll.detach(), "length_nll": length_nll.detach()}

    def decode(
        self, model: DisCOForTranslation, source: torch.Tensor, lengths: torch.Tensor, decoding: DisCODecoding
    ) -> list[list[int]]:
        """Parallel easy-first with a length beam: the candidate with the highest mean log-probability wins."""
        source_mask = inside(lengths, source.shape[1])
        encoded = model.encode(source, source_mask)
        beam = model.length_head.beam(model.length_head(encoded, source_mask), lengths - 2, decoding)
        tokens, log_probability, iterations = easy_first(
            model, encoded, source_mask, beam, iterations=decoding.iterations, forbidden=self.never_targets
        )
        self._iterations += iterations.tolist()
        return beam.best(tokens, log_probability)
