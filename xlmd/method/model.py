"""XLM-D (§2.2, Figure 1): an XLM-R-like masked language model with the decorator after layer M.

source (B, I)
  → embeddings → layers 1..M            `encode`, once a sentence
  → latent transform      (B, T, d)
  → add and scale with the alignment a  `refine`, once an iteration
  → layers M+1..N → LM head  (B, T, d)
  → · word embeddingsᵀ    (B, T, V)     `logits`; training never forms them (see `xlmd.ctc.linear_ctc_loss`)
"""

import math
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM, XLMRobertaConfig, XLMRobertaForMaskedLM
from transformers import initialization as init
from transformers.activations import gelu
from transformers.masking_utils import create_bidirectional_mask

from xlmd.errors import UserError
from xlmd.method.decorator import AddAndScale, LatentTransform, upsampled_length, upsampled_lengths
from xlmd.method.generation import XLMDGenerationMixin
from xlmd.output_layer import bias_without, most_probable
from xlmd.tensors import inside
from xlmd.weights import load_pretrained, read_base


class XLMDConfig(XLMRobertaConfig):
    """XLM-R's configuration and the decorator's.

    insertion_layer: M, 0..num_hidden_layers, the layer after which the decorator stands (0: after the embeddings).
    upsampling_ratio: s ≥ 1. add_and_scale: False is the paper's "LT only". gamma: γ of Eq. 4.
    normalise_tokens: where M > 0, e and p enter Eq. 4 through the embedding LayerNorm, as XLM-R's own embedding of the
    alignment: z' = (z + LayerNorm(e + p + type))·γ.
    normalise_sum: apply the embedding LayerNorm and dropout after Eq. 4 where M > 0 (docs/readings.md, row 6).
    position_before_transform: h⁰ with its position embedding where M = 0 and add_and_scale (row 5).
    """

    model_type = "xlm-d"

    insertion_layer: int = 0
    upsampling_ratio: float | int = 2.0
    add_and_scale: bool = True
    gamma: float | int = 0.5
    initial_sigma: float | int = 1.0
    normalise_tokens: bool = False
    normalise_sum: bool = True
    position_before_transform: bool = False
    blank_token_id: int = 0
    mask_token_id: int = 4

    def check(self) -> "XLMDConfig":
        """Raises UserError naming the setting if M, s, γ, σ, the blank or the mask is out of range."""
        for name in ("upsampling_ratio", "gamma", "initial_sigma"):
            if not math.isfinite(getattr(self, name)):
                raise UserError(f"{name} = {getattr(self, name)}: must be a finite number")
        if not 0 <= self.insertion_layer <= self.num_hidden_layers:
            raise UserError(
                f"M = {self.insertion_layer} is not a layer of this model: it must lie in 0..{self.num_hidden_layers}"
            )
        if self.upsampling_ratio < 1:
            raise UserError(f"s = {self.upsampling_ratio}: the upsampling ratio must be at least 1")
        if self.gamma <= 0 or self.initial_sigma <= 0:
            raise UserError(f"gamma = {self.gamma}, initial_sigma = {self.initial_sigma}: both must be positive")
        if self.mask_token_id == self.pad_token_id:
            raise UserError(f"<mask> may not be <pad>, but mask_token_id = {self.mask_token_id}")
        if self.blank_token_id in (self.pad_token_id, self.mask_token_id):
            raise UserError(f"the CTC blank may not be <pad> or <mask>, but blank_token_id = {self.blank_token_id}")
        for name in ("blank_token_id", "mask_token_id"):
            if not 0 <= getattr(self, name) < self.vocab_size:
                raise UserError(
                    f"{name} = {getattr(self, name)} is not in the model's vocabulary: it must lie in"
                    f" 0..{self.vocab_size - 1}"
                )
        return self

    @property
    def first_position(self) -> int:
        """The number of a sequence's first position: XLM-R's positions begin after the padding's."""
        assert self.pad_token_id is not None
        return self.pad_token_id + 1

    @property
    def longest_alignment(self) -> int:
        """The largest T that the position table holds (512 for XLM-R)."""
        return self.max_position_embeddings - self.first_position

    @property
    def longest_source(self) -> int:
        """The largest I, specials included, whose alignment the position table holds."""
        return int(self.longest_alignment / self.upsampling_ratio)

    def check_source_length(self, length: int) -> None:
        """Raises UserError if a source of so many tokens, specials included, is too long for the position table."""
        if length > self.longest_source:
            raise UserError(f"a source of {length} tokens is too long for this model: at most {self.longest_source}")

    @property
    def forbidden_token_ids(self) -> list[int]:
        """The special tokens that are never predicted: all but <unk> and the one that serves as the blank."""
        specials = {self.pad_token_id, self.mask_token_id, self.bos_token_id, self.eos_token_id}
        return sorted(token for token in specials - {self.blank_token_id} if isinstance(token, int))


class XLMDForTranslation(XLMDGenerationMixin, XLMRobertaForMaskedLM):
    """An `XLMRobertaForMaskedLM` whose only new parameter is `latent_transform.sigma`.

    Because it keeps every name of its parent, any XLM-R checkpoint loads into it; see `decorate`.
    """

    config: XLMDConfig

    def __init__(self, config: XLMDConfig) -> None:
        super().__init__(config.check())
        self.latent_transform = LatentTransform(config.initial_sigma)
        self.add_and_scale = AddAndScale(config.gamma) if config.add_and_scale else None
        self.post_init()

    def _init_weights(self, module: torch.nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, LatentTransform):
            init.constant_(module.sigma, module.initial_sigma)

    def _layers(self, hidden: torch.Tensor, lengths: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Layers start+1..stop of hidden (B, T, d), without attention to what lies beyond lengths (B,)."""
        if start == stop:
            return hidden
        visible = inside(lengths, hidden.shape[1])
        # Where all is visible no mask would do, but whether it is a GPU would have to be waited for.
        skip = not visible.is_cuda
        mask = create_bidirectional_mask(self.config, hidden, visible, allow_is_bidirectional_skip=skip)
        for layer in self.roberta.encoder.layer[start:stop]:
            hidden = layer(hidden, mask)
        return hidden

    def encode(self, source: torch.Tensor, source_lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Layers 1..M and the latent transform.

        source: (B, I) int64, `<s> … </s>` padded with <pad>; source_lengths: (B,) int64, specials included.
        Returns z: (B, T, d) and its lengths (B,) int64, ⌈s·I⌉ each, as T is of the width.
        """
        embeddings, config = self.roberta.embeddings, self.config
        if config.insertion_layer == 0 and config.add_and_scale:
            # Eq. 4 adds the position itself: h⁰ is the bare word embedding (docs/readings.md, row 5).
            hidden = embeddings.word_embeddings(source)
            if config.position_before_transform:
                hidden = hidden + self._positions(source.shape[1], source.device)
        else:
            hidden = embeddings(input_ids=source)
        hidden = self._layers(hidden, source_lengths, 0, config.insertion_layer)
        lengths = upsampled_lengths(source_lengths, config.upsampling_ratio)
        width = upsampled_length(source.shape[1], config.upsampling_ratio)
        return self.latent_transform(hidden, source_lengths, lengths, width), lengths

    def _positions(self, length: int, device: torch.device) -> torch.Tensor:
        """XLM-R's position embeddings of a sequence without gaps, (1, length, d)."""
        first = self.config.first_position
        ids = torch.arange(first, first + length, device=device)
        return self.roberta.embeddings.position_embeddings(ids).unsqueeze(0)

    def refine(self, z: torch.Tensor, lengths: torch.Tensor, alignment: torch.Tensor | None) -> torch.Tensor:
        """Add and scale, layers M+1..N and the LM head's transform: what the word embeddings are compared with.

        z: (B, T, d) and lengths: (B,) from `encode`; alignment: (B, T) int64, <mask> where nothing is known, or None
        for all <mask> (ignored by an LT-only model). Returns (B, T, d).
        """
        embeddings, config = self.roberta.embeddings, self.config
        hidden = z
        if self.add_and_scale is not None:
            if alignment is None:
                alignment = torch.full(z.shape[:2], config.mask_token_id, dtype=torch.long, device=z.device)
            tokens = embeddings.word_embeddings(alignment)
            positions = self._positions(z.shape[1], z.device)
            if config.insertion_layer > 0 and config.normalise_tokens:
                tokens = embeddings.LayerNorm(tokens + positions + embeddings.token_type_embeddings.weight[0])
                positions = torch.zeros_like(positions)
            hidden = self.add_and_scale(z, tokens, positions)
            if config.insertion_layer == 0:
                hidden = hidden + embeddings.token_type_embeddings.weight[0]
            if config.insertion_layer == 0 or config.normalise_sum:
                hidden = embeddings.dropout(embeddings.LayerNorm(hidden))
        hidden = self._layers(hidden, lengths, config.insertion_layer, config.num_hidden_layers)
        head = self.lm_head
        return head.layer_norm(gelu(head.dense(hidden)))

    def logits(self, refined: torch.Tensor) -> torch.Tensor:
        """Scores over the vocabulary, (…, V), from what `refine` returns, (…, d)."""
        return self.lm_head.decoder(refined)

    def scores(self, refined: torch.Tensor, blank_penalty: float | torch.Tensor = 0.0) -> torch.Tensor:
        """`logits` of decoding, (…, V) float32: the blank's lowered by blank_penalty, −∞ for what is never predicted.

        The distribution is the one of an output bias that is lower by as much.
        """
        return torch.nn.functional.linear(refined, self.lm_head.decoder.weight, self._bias(blank_penalty)).float()

    def _bias(self, blank_penalty: float | torch.Tensor) -> torch.Tensor:
        head, config = self.lm_head.decoder, self.config
        bias = bias_without(head.weight, head.bias, config.forbidden_token_ids)
        bias[config.blank_token_id] -= blank_penalty
        return bias

    def predict(
        self,
        z: torch.Tensor,
        lengths: torch.Tensor,
        alignment: torch.Tensor,
        positions: torch.Tensor,
        blank_penalty: float = 0.0,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See `xlmd.method.decoding.Engine`. No table of V columns is made."""
        refined = self.refine(z, lengths, alignment).flatten(0, 1)[positions]
        tokens, log_probability = most_probable(refined, self.lm_head.decoder.weight, self._bias(blank_penalty))
        return tokens, log_probability.float()

    def forward(
        self, source: torch.Tensor, source_lengths: torch.Tensor, alignment: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`encode`, then `refine`: the refined states (B, T, d) and their lengths (B,)."""
        z, lengths = self.encode(source, source_lengths)
        return self.refine(z, lengths, alignment), lengths


def decorate(
    mlm: str | Path, *, mask_token_id: int, reset: bool = False, dropout: float | None = None, **decorator: object
) -> XLMDForTranslation:
    """Decorate a pre-trained masked language model of XLM-R's kind.

    mlm: hub name or local folder in transformers' format (safetensors only). mask_token_id: the tokenizer's <mask>.
    reset: keep the shape but draw new random weights (the paper's "Reset", Table 6). dropout: overrides the MLM's own.
    decorator: fields that `XLMDConfig` adds to XLM-R's. Raises TypeError for any other, and UserError if the model
    cannot be read or is of another kind, or a field is out of range.
    """
    unknown = sorted(decorator.keys() - XLMDConfig.__annotations__.keys())
    if unknown:
        known = ", ".join(name for name in XLMDConfig.__annotations__ if name != "mask_token_id")
        raise TypeError(f"decorate has no keyword {', '.join(unknown)}; the decorator's are {known}")
    base = read_base(mlm)
    fields = base.to_dict() | {"mask_token_id": mask_token_id} | decorator
    if dropout is not None:
        fields |= {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    for stale in ("model_type", "architectures", "transformers_version", "_name_or_path"):
        fields.pop(stale, None)
    config = XLMDConfig(**fields)
    config.check()
    if reset:
        return XLMDForTranslation(config)
    return load_pretrained(XLMDForTranslation, mlm, new=["latent_transform.sigma"], config=config)


# A model's folder may carry this very code (xlmd.translate.export); loading it registers its classes instead.
AutoConfig.register(XLMDConfig.model_type, XLMDConfig, exist_ok=True)
AutoModel.register(XLMDConfig, XLMDForTranslation, exist_ok=True)
AutoModelForSeq2SeqLM.register(XLMDConfig, XLMDForTranslation, exist_ok=True)
