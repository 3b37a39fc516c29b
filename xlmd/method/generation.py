"""transformers' way to use a trained XLM-D: `model.generate(input_ids, attention_mask)`, and the settings beside it."""

from dataclasses import fields
from typing import Any, Protocol

import torch
from transformers import GenerationConfig

from xlmd.method.decoding import Engine, XLMDDecoding, collapse, iterative_refinement

OPTIONS = tuple(item.name for item in fields(XLMDDecoding))


class XLMDGenerationConfig(GenerationConfig):
    """`generation_config.json`: the fields of `XLMDDecoding`. Those of autoregressive search have no effect.

    Raises UserError naming a value out of range.
    """

    def __init__(self, **options: Any) -> None:
        decoding = XLMDDecoding(**{name: options.pop(name) for name in OPTIONS if name in options})
        super().__init__(**options)
        for name in OPTIONS:
            setattr(self, name, getattr(decoding, name))

    def decoding(self) -> XLMDDecoding:
        """The same as iterative refinement takes them. Raises UserError naming a value out of range."""
        return XLMDDecoding(**{name: getattr(self, name) for name in OPTIONS})

    @classmethod
    def from_model_config(cls, model_config: Any) -> "XLMDGenerationConfig":
        """A model's configuration says nothing of how to decode: the defaults."""
        return cls()


class _GeneratingEngine(Engine, Protocol):
    generation_config: XLMDGenerationConfig


class XLMDGenerationMixin:
    """`generate` for a transformers model that is an `Engine`."""

    generation_config_class: type[GenerationConfig] = XLMDGenerationConfig
    main_input_name = "input_ids"

    @torch.inference_mode()
    def generate(
        self: _GeneratingEngine,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        generation_config: XLMDGenerationConfig | None = None,
        **options: Any,
    ) -> torch.Tensor:
        """Translate a batch: (B, J) int64 token ids without <s> and </s>, padded with <pad>.

        input_ids: (B, I) int64, `<s> … </s>`, padded on the right; attention_mask: (B, I), 1 where there is no padding
        (by default where input_ids are not <pad>). generation_config: by default the model's own; options: fields of it
        that are to differ. Raises ValueError for an unknown option or padding on the left, UserError for a value out of
        range or a source that is too long for the model.
        """
        unknown = sorted(set(options) - set(OPTIONS))
        if unknown:
            raise ValueError(f"generate has no option {unknown[0]!r}; it has: {', '.join(OPTIONS)}")
        settings = generation_config or self.generation_config
        decoding = XLMDDecoding(**{name: options.get(name, getattr(settings, name)) for name in OPTIONS})
        pad = self.config.pad_token_id
        visible = input_ids != pad if attention_mask is None else attention_mask.bool()
        lengths = visible.sum(dim=1)
        wrong = ~visible[:, 0] | (visible[:, 1:] & ~visible[:, :-1]).any(dim=1)
        width, is_wrong = torch.stack([lengths.max(), wrong.any()]).tolist()  # what comes from a GPU comes at once
        if is_wrong:
            raise ValueError("input_ids: expected sentences padded on the right, none of them empty")
        source = input_ids.masked_fill(~visible, pad)[:, :width]
        self.config.check_source_length(source.shape[1])
        sentences = collapse(*iterative_refinement(self, source, lengths, decoding), self.config.blank_token_id)
        rows = [torch.tensor(ids, dtype=torch.long) for ids in sentences]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad).to(input_ids.device)

    def adjust_generation_fn(
        self, generation_config: GenerationConfig | None, _auto: bool, _pipeline: bool, folder: str, **options: Any
    ) -> None:
        """What `from_pretrained` calls to read generation_config.json; a model without one keeps the defaults."""
        if generation_config is not None:
            self.generation_config = generation_config
            return
        try:
            self.generation_config = XLMDGenerationConfig.from_pretrained(folder, **options)
        except OSError:
            self.generation_config = XLMDGenerationConfig()
