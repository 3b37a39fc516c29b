"""Vanilla-NAT: one parallel pass over a source copied by fertilities (Gu et al., 2018; its authors' code, nonauto-nmt).

The encoder predicts of each source token how many target tokens it gives, and the decoder reads its embedding so many
times: that gives the length, too. In training the fertilities are those of a word alignment of the training pairs.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from xlmd.data.batching import ParallelBatch, ParallelText
from xlmd.nat.alignment import fertility_counts, word_alignment
from xlmd.nat.lengths import LengthBeam
from xlmd.nat.model import NATConfig, NATForTranslation
from xlmd.nat.objective import smoothed_cross_entropy
from xlmd.nat.rescoring import RescoredSettings, RescoredSystem
from xlmd.options import check, option
from xlmd.tensors import inside, where_true


@dataclass
class FertilityNATSettings(RescoredSettings):
    """Architecture and objective; the defaults are those of the authors' recipe for WMT."""

    system: ClassVar[str] = "nat_fertility"

    ffn: int = option(512, "inner width of the feed-forward layers", 1)
    activation: Literal["relu", "gelu", "swish"] = option("relu", "activation of the feed-forward layers")
    label_smoothing: float = option(0.0, "probability that the training target spreads over all tokens")
    max_fertility: int = option(49, "the largest fertility that is predicted", 1)
    fertility_weight: float = option(1.0, "weight of a source token's fertility loss beside the loss of a token", 0)

    def shape(self, vocabulary: int) -> dict[str, Any]:
        return super().shape(vocabulary) | {"max_fertility": self.max_fertility}


@dataclass
class FertilityNATDecoding:
    """Options of decoding. A translation has at most max_length_ratio · I subwords, I those of the source."""

    fertilities: int = option(1, "how many sequences of fertilities are tried, the most probable ones", 1)
    max_length_ratio: float = option(2.0, "most subwords of a translation per subword of the source", 0)
    rescore: bool = option(False, "the teacher chooses among the candidates, not the model's own log-probabilities")

    def __post_init__(self) -> None:
        check(self)


class FertilityNATConfig(NATConfig):
    """max_fertility: the largest that is predicted."""

    model_type = "nat_fertility"

    max_fertility: int = 49


class PositionalAttention(nn.Module):
    """Attention whose queries and keys are positions alone, and whose values are the states; post-norm (§3.1)."""

    def __init__(self, config: NATConfig) -> None:
        super().__init__()
        self.heads, self.dropout = config.decoder_attention_heads, config.dropout
        self.attention_dropout = config.attention_dropout
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (
            nn.Linear(config.d_model, config.d_model) for _ in range(4)
        )
        self.layer_norm = nn.LayerNorm(config.d_model)

    def forward(self, hidden: torch.Tensor, positions: torch.Tensor, seen: torch.Tensor | None) -> torch.Tensor:
        """The new states (B, J, d). positions: (J, d); seen: what attention takes as its mask."""
        q, k, v = self.q_proj(positions), self.k_proj(positions), self.v_proj(hidden)
        q, k, v = (
            x.unflatten(-1, (self.heads, -1)).transpose(-2, -3).expand(len(hidden), -1, -1, -1) for x in (q, k, v)
        )
        rate = self.attention_dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, dropout_p=rate).transpose(1, 2).flatten(2)
        return self.layer_norm(hidden + F.dropout(self.out_proj(attended), self.dropout, self.training))


class FertilityNATForTranslation(NATForTranslation):
    """The model: a fertility of each source token, and a decoder with positional attention."""

    config_class = FertilityNATConfig
    predicts_length = False

    def __init__(self, config: FertilityNATConfig) -> None:
        super().__init__(config)
        self.fertility = nn.Linear(config.d_model, config.max_fertility + 1)
        self.positional = nn.ModuleList(PositionalAttention(config) for _ in range(config.decoder_layers))
        self.post_init()

    def copied(self, source: torch.Tensor, counts: torch.Tensor, width: int) -> torch.Tensor:
        """Each source token's embedding as many times as `counts` says, (B, J, d); beyond their sum of no meaning.

        source: (B, I) int64; counts: (B, I) int64; width: J, the largest sum.
        """
        ends = counts.cumsum(dim=1)
        places = torch.arange(width, device=source.device).expand(len(source), -1).contiguous()
        index = torch.searchsorted(ends, places, right=True).clamp(max=counts.shape[1] - 1)
        return self.embed(source.gather(1, index))

    def decode(
        self,
        inputs: torch.Tensor,
        visible: torch.Tensor,
        encoded: torch.Tensor,
        source_mask: torch.Tensor,
        layers: nn.ModuleList | None = None,
    ) -> torch.Tensor:
        """As of every such model; visible: (B, J). No position sees itself, except where it is alone."""
        decoder, longest = self.model.decoder, inputs.shape[1]
        itself = torch.eye(longest, dtype=torch.bool, device=inputs.device)
        alone = (visible.sum(dim=1) == 1)[:, None, None]
        seen = self._attention_mask(visible.unsqueeze(1) & (~itself | alone))
        source_seen, positions = self._attention_mask(source_mask), self.positions(longest)
        hidden = F.dropout(inputs + positions, decoder.dropout, self.training)
        for layer, positional in zip(layers or decoder.layers, self.positional, strict=True):
            attended, _ = layer.self_attn(hidden, attention_mask=seen)
            hidden = layer.self_attn_layer_norm(hidden + F.dropout(attended, layer.dropout, self.training))
            hidden = positional(hidden, positions, seen)
            attended, _ = layer.encoder_attn(hidden, key_value_states=encoded, attention_mask=source_seen)
            hidden = layer.encoder_attn_layer_norm(hidden + F.dropout(attended, layer.dropout, self.training))
            inner = layer.fc2(layer.activation_fn(layer.fc1(hidden)))
            hidden = layer.final_layer_norm(hidden + F.dropout(inner, layer.dropout, self.training))
        return hidden


def most_probable_sequences(log_probability: torch.Tensor, count: int) -> torch.Tensor:
    """The `count` most probable sequences of independent choices, best first, (B, ≤ count, I) int64.

    log_probability: (B, I, classes) float32. Exact: a prefix of one of the best sequences is one of the best prefixes.
    """
    batch, length, classes = log_probability.shape
    values, choices = log_probability.topk(min(count, classes), dim=2)
    scores = log_probability.new_zeros(batch, 1)
    sequences = choices.new_zeros(batch, 1, 0)
    for place in range(length):
        extended = (scores.unsqueeze(2) + values[:, place].unsqueeze(1)).flatten(1)
        scores, number = extended.topk(min(count, extended.shape[1]), dim=1)
        before, choice = number // values.shape[2], number % values.shape[2]
        sequences = sequences.gather(1, before.unsqueeze(2).expand(-1, -1, place))
        sequences = torch.cat([sequences, choices[:, place].gather(1, choice).unsqueeze(2)], dim=2)
    return sequences


class FertilityNAT(RescoredSystem):
    """One pass over the source, copied by fertilities."""

    name: ClassVar[str] = "nat_fertility"
    printed: ClassVar[str] = "Vanilla-NAT"
    Settings: ClassVar[type] = FertilityNATSettings
    Decoding: ClassVar[type] = FertilityNATDecoding
    Model: ClassVar[type] = FertilityNATForTranslation
    settings: FertilityNATSettings

    def __init__(self, settings: FertilityNATSettings, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(settings, tokenizer)
        # Of all training pairs, flat: each source token's fertility, and where each pair's begin.
        self._fertilities, self._starts = torch.zeros(0, dtype=torch.int32), torch.zeros(0, dtype=torch.int64)

    def study(self, pairs: ParallelText) -> dict[str, Any]:
        """Align the pairs, both sides of which share a vocabulary."""
        alignment = word_alignment(pairs, len(self.tokenizer))
        counts = fertility_counts(pairs, alignment)
        lengths = pairs.source.lengths.astype(np.int64)
        self._fertilities, self._starts = torch.from_numpy(counts), torch.from_numpy(np.cumsum(lengths) - lengths)
        used = int(lengths[pairs.keep].sum())
        return {
            "alignment_cross_entropy": alignment.cross_entropy,
            "mean_fertility": int(counts.sum()) / used,
            "without_target_token": 1 - int((counts > 0).sum()) / used,
        }

    def aligned(self, batch: ParallelBatch) -> torch.Tensor:
        """The fertility of each source token of a batch, (B, I) int64, 0 at padding."""
        device, width = batch.source.device, batch.source.shape[1]
        self._fertilities = self._fertilities.to(device, non_blocking=True)
        self._starts = self._starts.to(device, non_blocking=True)
        places = self._starts[batch.indices].unsqueeze(1) + torch.arange(width, device=device)
        counts = self._fertilities[places.clamp(max=len(self._fertilities) - 1)].long()
        return counts.masked_fill(~inside(batch.source_lengths, width), 0)

    def loss(
        self, model: FertilityNATForTranslation, batch: ParallelBatch, progress: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """(Σ label-smoothed cross entropy of the tokens + Σ that of the fertilities) / number of target tokens.

        The decoder reads the source copied by the aligned fertilities. The second sum, times `fertility_weight`, is
        over the source tokens, and not smoothed. Figures: `nll`, the mean over target tokens without smoothing;
        `fertility_nll`, the mean over source tokens.
        """
        settings, target, lengths = self.settings, batch.target, batch.target_lengths
        source, source_lengths = self.with_specials(batch.source, batch.source_lengths)
        source_mask, visible = inside(source_lengths, source.shape[1]), inside(lengths, target.shape[1])
        encoded = model.encode(source, source_mask)
        counts = self.aligned(batch)
        copied = model.copied(source, F.pad(counts, (1, 1)), target.shape[1])
        hidden = model.decode(copied, visible, encoded, source_mask)
        asked = where_true(visible)
        tokens, hidden = target.flatten()[asked], hidden.flatten(0, 1)[asked]
        words, nll = smoothed_cross_entropy(model.logits(hidden), tokens, settings.label_smoothing)
        asked = where_true(inside(batch.source_lengths, counts.shape[1]))
        classes = counts.flatten()[asked].clamp(max=settings.max_fertility)
        scores = model.fertility(encoded[:, 1:-1].flatten(0, 1)[asked])
        fertility_nll = F.cross_entropy(scores.float(), classes)
        loss = words + settings.fertility_weight * fertility_nll * len(classes) / len(tokens)
        return loss, {"nll": nll.detach(), "fertility_nll": fertility_nll.detach()}

    def decode(
        self,
        model: FertilityNATForTranslation,
        source: torch.Tensor,
        lengths: torch.Tensor,
        decoding: FertilityNATDecoding,
    ) -> list[list[int]]:
        """One pass for each sequence of fertilities that is tried; see `RescoredSystem.best`."""
        source_mask = inside(lengths, source.shape[1])
        encoded = model.encode(source, source_mask)
        sequences = self._sequences(model, encoded, lengths, decoding)
        counts = sequences.flatten(0, 1)
        beam = LengthBeam(counts.sum(dim=1), sequences.shape[1])
        visible = beam.visible
        copied = model.copied(beam.repeat(source), counts, visible.shape[1])
        hidden = model.decode(copied, visible, beam.repeat(encoded), beam.repeat(source_mask))
        tokens, log_probability = model.most_probable(hidden, self.never_targets)
        return self.best(beam, tokens, log_probability.masked_fill(~visible, 0), source, lengths, decoding.rescore)

    def _sequences(
        self,
        model: FertilityNATForTranslation,
        encoded: torch.Tensor,
        lengths: torch.Tensor,
        decoding: FertilityNATDecoding,
    ) -> torch.Tensor:
        """The fertilities that are tried, (B, k, I + 2) int64, those of `<s>` and `</s>` 0; a sum below 1 copies `<s>`.

        A sum above the limit keeps what comes first.
        """
        log_probability = model.fertility(encoded).float().log_softmax(dim=2)
        places = torch.arange(encoded.shape[1], device=encoded.device)
        bare = ((places > 0) & (places < lengths.unsqueeze(1) - 1)).unsqueeze(2)
        none = torch.full_like(log_probability, float("-inf"))
        none[:, :, 0] = 0
        sequences = most_probable_sequences(torch.where(bare, log_probability, none), decoding.fertilities)
        limits = ((lengths - 2) * decoding.max_length_ratio).long().clamp(1, self.settings.max_positions)
        ends = sequences.masked_fill(~bare.transpose(1, 2), 0).cumsum(dim=2).minimum(limits[:, None, None])
        counts = ends.diff(dim=2, prepend=torch.zeros_like(ends[:, :, :1]))
        counts[:, :, 0] += counts.sum(dim=2) == 0
        return counts
