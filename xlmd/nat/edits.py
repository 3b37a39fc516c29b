"""Turning one sentence into another by deleting and inserting tokens, for a whole batch at once (Gu et al., 2019).

Sentences are rows of padded tensors, (B, L) int64, with their lengths (B,) int64; what pads them is of no meaning.
"""

import torch

from xlmd.tensors import inside


def align(
    given: torch.Tensor, given_lengths: torch.Tensor, wanted: torch.Tensor, wanted_lengths: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """A longest common subsequence: which tokens of `given` to keep, (B, I) bool, and which of `wanted` they are.

    Deleting the others of `given` and inserting those of `wanted` is the fewest edits if none replaces a token. Where
    several alignments have as few, tokens are kept as early in `given` as can be, and stand for the earliest in
    `wanted` that can be. False at padding.
    """
    batch, longest = given.shape
    equal = (given.unsqueeze(2) == wanted.unsqueeze(1)) & inside(given_lengths, longest).unsqueeze(2)
    equal &= inside(wanted_lengths, wanted.shape[1]).unsqueeze(1)
    # common[i][:, j]: the length of the longest common subsequence of given[i:] and wanted[j:].
    common = [torch.zeros(batch, wanted.shape[1] + 1, dtype=torch.int32, device=given.device)]
    for i in reversed(range(longest)):
        after = common[-1]
        matched = torch.where(equal[:, i], after[:, 1:] + 1, after[:, :-1])
        row = torch.cat([matched, after[:, -1:]], dim=1)
        common.append(row.flip(1).cummax(dim=1).values.flip(1))
    common.reverse()

    places = torch.arange(wanted.shape[1], device=given.device)
    start = torch.zeros(batch, 1, dtype=torch.long, device=given.device)  # of what is left of `wanted`
    kept, found = [], torch.zeros_like(wanted, dtype=torch.bool)
    for i in range(longest):
        matches = equal[:, i] & (places >= start)
        place = matches.int().argmax(dim=1, keepdim=True)
        keep = matches.any(dim=1, keepdim=True)
        keep &= common[i + 1].gather(1, place + 1) + 1 == common[i].gather(1, start)
        found |= keep & (places == place)
        start = torch.where(keep, place + 1, start)
        kept.append(keep)
    return torch.cat(kept, dim=1), found


def kept_tokens(tokens: torch.Tensor, kept: torch.Tensor, pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The tokens kept, in their order: (B, longest) int64, padded with `pad`, and their lengths (B,).

    kept: (B, L) bool, False at padding.
    """
    lengths = kept.sum(dim=1)
    order = (~kept).byte().argsort(dim=1, stable=True)[:, : max(1, int(lengths.max()))]
    left = tokens.gather(1, order)
    return left.masked_fill(~inside(lengths, left.shape[1]), pad), lengths


def insertions(found: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """How many tokens stand before each of those `found`, since the one before: (B, most found) int64, 0 at padding.

    found: (B, J) bool, False at padding; the first token of a sentence is found, and counts 0.
    """
    places = torch.arange(found.shape[1], device=found.device).expand_as(found)
    at, count = kept_tokens(places, found, 0)
    gaps = at.diff(dim=1, prepend=at[:, :1]) - 1
    return gaps.clamp(min=0).masked_fill(~inside(count, at.shape[1]), 0)


def with_placeholders(
    tokens: torch.Tensor, lengths: torch.Tensor, before: torch.Tensor, mask: int, pad: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The tokens with `before` (B, L) placeholders `mask` before each of them: (B, longest), and the lengths (B,)."""
    present = inside(lengths, tokens.shape[1])
    before = before.masked_fill(~present, 0)
    places = torch.arange(tokens.shape[1], device=tokens.device) + before.cumsum(dim=1)
    new_lengths = lengths + before.sum(dim=1)
    longest = int(new_lengths.max())
    result = torch.full((len(tokens), longest + 1), mask, device=tokens.device)  # one more, where padding goes
    result = result.scatter(1, places.masked_fill(~present, longest), tokens)[:, :-1]
    return result.masked_fill(~inside(new_lengths, longest), pad), new_lengths
