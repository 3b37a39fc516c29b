"""CMLM, the conditional masked language model, and its decoding, mask-predict (Ghazvininejad et al., 2019).

source (B, I) `<s> x </s>`
  → encoder (B, I, d)            `encode`, once a sentence
      → at `<s>`: target length  `length_logits`
target (B, J), <mask> where it is to be predicted
  → decoder without causal mask  `decode`, once an iteration
  → · word embeddingsᵀ           `logits`, of the masked positions only

Encoder and decoder are those of transformers' Marian, as in the Transformer of the tables: what differs between the two
systems is that the decoder's attention looks both ways, the length, and the objective.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F
from transformers import MarianConfig, MarianModel, MarianPreTrainedModel

from xlmd.tensors import inside, most_probable, rank_within_blocks


class CMLMConfig(MarianConfig):
    """Marian's configuration with a decoder that looks both ways. A target has 1..max_position_embeddings tokens."""

    model_type = "cmlm"

    is_causal: bool = False  # transformers' switch for decoders: its masks and kernels follow it
    mask_token_id: int = 4


class CMLMForTranslation(MarianPreTrainedModel):
    """Marian's encoder and decoder, the latter without causal mask, and a predictor of the target's length."""

    config_class = CMLMConfig
    config: CMLMConfig
    # The sinusoidal positions are computed, not learned.
    _keys_to_ignore_on_save = ["model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight"]
    _keys_to_ignore_on_load_missing = _keys_to_ignore_on_save

    def __init__(self, config: CMLMConfig) -> None:
        super().__init__(config)
        self.model = MarianModel(config)
        self.length_head = nn.Linear(config.d_model, config.max_position_embeddings, bias=False)
        self.post_init()

    def encode(self, source: torch.Tensor, source_mask: torch.Tensor) -> torch.Tensor:
        """The source's states (B, I, d). source: (B, I) int64, `<s> … </s>` padded; source_mask: (B, I) bool."""
        return self.model.encoder(input_ids=source, attention_mask=source_mask).last_hidden_state

    def length_logits(self, encoded: torch.Tensor) -> torch.Tensor:
        """Scores of the target lengths 1, 2, …, (B, max_position_embeddings), from the states at `<s>`."""
        return self.length_head(encoded[:, 0])

    def decode(
        self, target: torch.Tensor, target_mask: torch.Tensor, encoded: torch.Tensor, source_mask: torch.Tensor
    ) -> torch.Tensor:
        """The decoder's states (B, J, d), each seeing the whole target.

        target: (B, J) int64, <mask> where a token is to be predicted; target_mask: (B, J) bool, False at padding;
        encoded: (B, I, d) from `encode`; source_mask: (B, I) bool.
        """
        return self.model.decoder(
            input_ids=target,
            attention_mask=target_mask,
            encoder_hidden_states=encoded,
            encoder_attention_mask=source_mask,
            use_cache=False,
        ).last_hidden_state

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores over the vocabulary, (…, V), from states (…, d)."""
        return F.linear(hidden, self.model.shared.weight)

    def forward(
        self, source: torch.Tensor, source_mask: torch.Tensor, target: torch.Tensor, target_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`encode`, then `decode`: the decoder's states (B, J, d) and the scores of the lengths (B, lengths)."""
        encoded = self.encode(source, source_mask)
        return self.decode(target, target_mask, encoded, source_mask), self.length_logits(encoded)


def uniform_mask(lengths: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The training mask (§3.1 of the CMLM paper): k random tokens of each target, k ~ U{1..J}.

    lengths: (B,) int64, J of each sentence, at least 1. Returns (B, J) bool, True = masked, False at padding.
    The draws are made on the CPU, so that every device masks alike.
    """
    longest = int(lengths.max())
    share = torch.rand(len(lengths), generator=generator, dtype=torch.float64)
    noise = torch.rand(len(lengths), longest, generator=generator).to(lengths.device)
    k = 1 + (share.to(lengths.device) * lengths).long()
    return rank_within_blocks(noise, lengths, longest) < k.unsqueeze(1)


def masked_count(lengths: torch.Tensor, iteration: int, iterations: int) -> torch.Tensor:
    """How many tokens iteration t = 0..T−1 predicts: ⌊J·(T−t)/T⌋, at least 1 (§3.2 of the CMLM paper).

    lengths: (B,) int64, J of each sentence. Returns (B,) int64. The first iteration predicts all of them.
    """
    return (lengths * (iterations - iteration) // iterations).clamp(min=1)


def least_probable(log_probability: torch.Tensor, lengths: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """The `count` (B,) least probable positions of each sentence, (B, J) bool; ties go to the earlier position.

    log_probability: (B, J) float32; lengths: (B,) int64.
    """
    return rank_within_blocks(-log_probability, lengths, log_probability.shape[1]) < count.unsqueeze(1)


@torch.inference_mode()
def mask_predict(
    model: CMLMForTranslation,
    source: torch.Tensor,
    source_mask: torch.Tensor,
    *,
    iterations: int,
    length_beam: int,
    forbidden: Sequence[int] = (),
) -> tuple[torch.Tensor, torch.Tensor]:
    """Translate a batch (§3.2 and §3.3 of the CMLM paper): the targets (B, J) int64 and their lengths (B,) int64.

    Each of the `length_beam` most probable lengths gives one candidate. All its tokens are predicted at once; every
    further iteration masks its least probable tokens and predicts these anew, while the others keep token and
    probability. The candidate with the highest mean log-probability wins.

    source: (B, I) int64, `<s> … </s>` padded; source_mask: (B, I) bool. forbidden: token ids never predicted.
    """
    encoded = model.encode(source, source_mask)
    logits = model.length_logits(encoded).float()
    beam = min(length_beam, logits.shape[1])
    lengths = 1 + logits.topk(beam, dim=-1).indices.flatten()  # (B·beam,); the first class is length 1
    encoded, source_mask = (states.repeat_interleave(beam, dim=0) for states in (encoded, source_mask))

    masked = visible = inside(lengths)
    tokens = torch.full(visible.shape, model.config.pad_token_id, device=source.device)
    log_probability = torch.zeros(visible.shape, device=source.device)
    for iteration in range(iterations):
        if iteration:
            masked = least_probable(log_probability, lengths, masked_count(lengths, iteration, iterations))
        shown = tokens.masked_fill(masked, model.config.mask_token_id)
        hidden = model.decode(shown, visible, encoded, source_mask)
        tokens[masked], log_probability[masked] = most_probable(model.logits, hidden[masked], forbidden)

    score = (log_probability.sum(dim=1) / lengths).view(-1, beam)  # padding adds 0
    best = score.argmax(dim=1) + beam * torch.arange(len(score), device=source.device)
    return tokens[best], lengths[best]
