"""LevT: the Levenshtein Transformer, which deletes and inserts tokens in turns (Gu et al., 2019; fairseq's code).

The decoder reads `<s> y </s>` and decides, from one state per token, what to delete; from those of each two neighbours,
how many placeholders go between them; and, at each placeholder, its token. There is no prediction of the length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from xlmd.data.batching import ParallelBatch
from xlmd.nat.edits import align, insertions, kept_tokens, with_placeholders
from xlmd.nat.model import NATConfig, NATForTranslation
from xlmd.nat.objective import smoothed_cross_entropy
from xlmd.nat.settings import BidirectionalSettings
from xlmd.nat.system import NATSystem
from xlmd.options import check, option
from xlmd.tensors import inside, longest_of, rank_within_blocks, where_true


@dataclass
class LevTSettings(BidirectionalSettings):
    """Architecture and objective; the defaults are those of fairseq's recipe for WMT'14."""

    system: ClassVar[str] = "levt"

    dropout: float = option(0.3, "dropout rate")
    activation: Literal["relu", "gelu", "swish"] = option("relu", "activation of the feed-forward layers")
    positions: Literal["sinusoidal", "learned"] = option("learned", "position embeddings of encoder and decoder")
    placeholders: int = option(255, "the most placeholders that go between two tokens at once", 1)
    insertion_smoothing: float = option(0.01, "label smoothing of the number of placeholders", 0)

    def shape(self, vocabulary: int) -> dict[str, Any]:
        return super().shape(vocabulary) | {"placeholders": self.placeholders}


@dataclass
class LevTDecoding:
    """Options of decoding. A translation has at most max(10, max_length_ratio · I) subwords, I those of the source."""

    iterations: int = option(10, "the most iterations; a sentence ends when one leaves it as it was", 1)
    max_length_ratio: float = option(2.0, "most subwords of a translation per subword of the source", 0)
    empty_penalty: float = option(0.0, "what is taken off the score of inserting nothing between two tokens", 0)

    def __post_init__(self) -> None:
        check(self)


class LevTConfig(NATConfig):
    """placeholders: the most that go between two tokens."""

    model_type = "levt"

    placeholders: int = 255


class LevTForTranslation(NATForTranslation):
    """The model: three classifiers on one decoder."""

    config_class = LevTConfig
    predicts_length = False

    def __init__(self, config: LevTConfig) -> None:
        super().__init__(config)
        self.deletion = nn.Linear(config.d_model, 2, bias=False)
        self.insertion = nn.Linear(2 * config.d_model, config.placeholders + 1, bias=False)
        self.post_init()

    def states(
        self, tokens: torch.Tensor, lengths: torch.Tensor, encoded: torch.Tensor, source_mask: torch.Tensor
    ) -> torch.Tensor:
        """The decoder's states (B, L, d) of tokens (B, L) int64, `<s> … </s>` padded; lengths: (B,) int64."""
        visible = torch.arange(tokens.shape[1], device=tokens.device) < lengths.unsqueeze(1)
        return self.decode(self.embed(tokens), visible, encoded, source_mask)

    def deletion_logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores of keeping and of deleting each token, (…, 2), from states (…, d)."""
        return self.deletion(hidden)

    def insertion_logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores of 0, 1, … placeholders before each token but the first, (B, L − 1, most + 1); hidden: (B, L, d)."""
        return self.insertion(torch.cat([hidden[:, :-1], hidden[:, 1:]], dim=2))


def random_kept(lengths: torch.Tensor, generator: torch.Generator, width: int | None = None) -> torch.Tensor:
    """Which tokens of each target the roll-in keeps: ⌊u·(J + 1)⌋ random ones, u ~ U(0, 1): none to all, evenly.

    lengths: (B,) int64, J of each sentence; width: the longest. Returns (B, J) bool, False at padding. The draws are
    made on the CPU, so that every device draws alike.
    """
    width = longest_of(lengths, width)
    share = torch.rand(len(lengths), generator=generator, dtype=torch.float64).to(lengths.device, non_blocking=True)
    noise = torch.rand(len(lengths), width, generator=generator).to(lengths.device, non_blocking=True)
    return rank_within_blocks(noise, lengths, noise.shape[1]) < (share * (lengths + 1)).long().unsqueeze(1)


class LevT(NATSystem):
    """The Levenshtein Transformer."""

    name: ClassVar[str] = "levt"
    printed: ClassVar[str] = "LevT"
    Settings: ClassVar[type] = LevTSettings
    Decoding: ClassVar[type] = LevTDecoding
    Model: ClassVar[type] = LevTForTranslation
    settings: LevTSettings

    def __init__(self, settings: LevTSettings, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__(settings, tokenizer)
        self._taken: list[tuple[int, int]] = []  # iterations and passes of every sentence since `effort` was last asked

    def usable(self, source_lengths: torch.Tensor, target_lengths: torch.Tensor, repeats: torch.Tensor) -> dict:
        """As of every such system, with `<s>` and `</s>` on the target side too."""
        return super().usable(source_lengths, target_lengths + 2, repeats)

    def iterations_label(self, decoding: LevTDecoding) -> str:
        return "Adv."

    def effort(self) -> dict[str, float]:
        taken, self._taken = self._taken, []
        if not taken:
            return {}
        iterations, passes = (sum(column) / len(taken) for column in zip(*taken, strict=True))
        return {"mean_iterations": iterations, "mean_passes": passes}

    def examine(self, model: PreTrainedModel, sources: Sequence[Sequence[int]]) -> dict[str, float]:
        """How many iterations and passes the default decoding takes."""
        self.effort()
        self.translate(model, sources, self.Decoding())
        return self.effort()

    def loss(
        self, model: LevTForTranslation, batch: ParallelBatch, progress: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The sum of three means: cross entropy of numbers of placeholders, of tokens, and of deletions.

        Of each target some tokens are deleted; the model inserts placeholders, of which it predicts the tokens; and of
        what it would write there it learns to delete what is wrong. Figures: the three means without smoothing,
        `insertion_nll`, `nll`, `deletion_nll`.
        """
        tokenizer, settings = self.tokenizer, self.settings
        mask, pad = tokenizer.mask_token_id, tokenizer.pad_token_id
        source, source_lengths = self.with_specials(batch.source, batch.source_lengths)
        source_mask = inside(source_lengths, source.shape[1])
        encoded = model.encode(source, source_mask)
        target, lengths = self.with_specials(batch.target, batch.target_lengths)
        edges = torch.zeros_like(target, dtype=torch.bool)
        edges[:, 0] = True
        edges.scatter_(1, lengths.unsqueeze(1) - 1, True)

        chosen = F.pad(random_kept(batch.target_lengths, generator, batch.target.shape[1]), (1, 1)) | edges
        short, short_lengths = kept_tokens(target, chosen, pad)
        _, found = align(short, short_lengths, target, lengths)
        before = insertions(found, lengths)[:, 1:].clamp(max=settings.placeholders)  # nothing goes before `<s>`
        gaps = inside(short_lengths, short.shape[1])[:, 1:]
        hidden = model.states(short, short_lengths, encoded, source_mask)
        asked = where_true(gaps)
        counts, insertion_nll = smoothed_cross_entropy(
            model.insertion_logits(hidden).flatten(0, 1)[asked], before.flatten()[asked], settings.insertion_smoothing
        )

        missing = inside(lengths, target.shape[1]) & ~found
        shown = target.masked_fill(missing, mask)
        hidden = model.states(shown, lengths, encoded, source_mask)
        asked = where_true(missing)
        logits = model.logits(hidden.flatten(0, 1)[asked])
        words = nll = logits.sum() * 0  # a batch in which all is kept leaves no token to predict
        if len(asked):
            words, nll = smoothed_cross_entropy(logits, target.flatten()[asked], settings.label_smoothing)

        with torch.no_grad():
            scores = logits.clone()
            for token in self.never_targets:  # not a list as the index, which would be copied to the device
                scores[:, token] = -torch.inf
            written = target.flatten().scatter(0, asked, scores.argmax(dim=1)).view_as(target)
            kept, _ = align(written, lengths, target, lengths)
        inner = inside(lengths, target.shape[1]) & ~edges
        hidden = model.states(written, lengths, encoded, source_mask)
        asked = where_true(inner)
        wrong = (~kept).flatten()[asked].long()
        deletions = F.cross_entropy(model.deletion_logits(hidden.flatten(0, 1)[asked]).float(), wrong)
        return counts + words + deletions, {
            "insertion_nll": insertion_nll.detach(),
            "nll": nll.detach(),
            "deletion_nll": deletions.detach(),
        }

    def decode(
        self, model: LevTForTranslation, source: torch.Tensor, lengths: torch.Tensor, decoding: LevTDecoding
    ) -> list[list[int]]:
        """From `<s> </s>`: delete, insert placeholders, write tokens, until nothing changes."""
        source_mask = inside(lengths, source.shape[1])
        encoded = model.encode(source, source_mask)
        limits = ((lengths - 2) * decoding.max_length_ratio).long().clamp(min=10)
        limits = limits.clamp(max=self.settings.max_positions - 2) + 2
        translations: list[list[int]] = [[]] * len(source)
        passes = torch.zeros_like(lengths)
        going = torch.arange(len(source), device=source.device)  # the sentences that are not done, by number
        edges = torch.tensor([self.tokenizer.bos_token_id, self.tokenizer.eos_token_id])
        tokens = edges.to(source.device, non_blocking=True).repeat(len(source), 1)
        token_lengths = torch.full_like(lengths, 2)
        for iteration in range(1, decoding.iterations + 1):
            seen = encoded[going], source_mask[going]
            changed, changed_lengths, made = self._edit(model, tokens, token_lengths, *seen, limits[going], decoding)
            passes[going] += made
            done = _equal(tokens, token_lengths, changed, changed_lengths)
            if iteration == decoding.iterations:
                done = torch.ones_like(done)
            for row in done.nonzero().flatten().tolist():
                number = int(going[row])
                translations[number] = changed[row, 1 : int(changed_lengths[row]) - 1].tolist()
                self._taken.append((iteration, int(passes[number])))
            going, token_lengths = going[~done], changed_lengths[~done]
            if not len(going):
                break
            tokens = changed[~done, : int(token_lengths.max())]
        return translations

    def _edit(
        self,
        model: LevTForTranslation,
        tokens: torch.Tensor,
        lengths: torch.Tensor,
        encoded: torch.Tensor,
        source_mask: torch.Tensor,
        limits: torch.Tensor,
        decoding: LevTDecoding,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """One iteration: the new tokens, their lengths, and the passes of each sentence, (B,) int64.

        A sentence of no token has nothing to delete, and one without a placeholder nothing to write: no pass.
        """
        mask, pad = self.tokenizer.mask_token_id, self.tokenizer.pad_token_id
        passes = 1 + (lengths > 2).long()
        if int(lengths.max()) > 2:
            deleted = model.deletion_logits(model.states(tokens, lengths, encoded, source_mask)).argmax(dim=2) == 1
            places = torch.arange(tokens.shape[1], device=tokens.device)
            inner = (places > 0) & (places < lengths.unsqueeze(1) - 1)
            tokens, lengths = kept_tokens(tokens, inside(lengths, tokens.shape[1]) & ~(deleted & inner), pad)

        scores = model.insertion_logits(model.states(tokens, lengths, encoded, source_mask)).float()
        scores[:, :, 0] -= decoding.empty_penalty
        before = F.pad(scores.argmax(dim=2), (1, 0)).masked_fill(~inside(lengths, tokens.shape[1]), 0)
        room = (limits - lengths).clamp(min=0).unsqueeze(1)
        before = before.cumsum(dim=1).minimum(room).diff(dim=1, prepend=torch.zeros_like(room))
        tokens, lengths = with_placeholders(tokens, lengths, before, mask, pad)

        empty = tokens == mask
        writes = empty.any(dim=1)
        if writes.any():
            hidden = model.states(tokens[writes], lengths[writes], encoded[writes], source_mask[writes])
            tokens[empty], _ = model.most_probable(hidden[empty[writes]], self.never_targets)
        return tokens, lengths, passes + writes


def _equal(
    tokens: torch.Tensor, lengths: torch.Tensor, others: torch.Tensor, other_lengths: torch.Tensor
) -> torch.Tensor:
    """Which sentences are the same, (B,) bool."""
    width = max(tokens.shape[1], others.shape[1])
    differ = F.pad(tokens, (0, width - tokens.shape[1])) != F.pad(others, (0, width - others.shape[1]))
    places = torch.arange(width, device=tokens.device)
    return (lengths == other_lengths) & ~(differ & (places < lengths.unsqueeze(1))).any(dim=1)
