"""An XLM-D of XLM-R base's size with random weights, and how many operations it takes."""

from dataclasses import dataclass

from xlmd.method.decorator import upsampled_length
from xlmd.method.model import XLMDConfig, XLMDForTranslation

VOCABULARY = 250_002


def random_model(**changes: object) -> XLMDForTranslation:
    """12 layers of 768 and XLM-R's vocabulary; changes: of `XLMDConfig`."""
    shape = {"vocab_size": VOCABULARY, "max_position_embeddings": 514, "type_vocab_size": 1}
    values: dict[str, object] = shape | {"upsampling_ratio": 2.0} | changes
    return XLMDForTranslation(XLMDConfig(mask_token_id=values["vocab_size"] - 1, **values))


class Tokenizer:
    """Ids of XLM-R's layout; the speed does not depend on what they spell."""

    bos_token_id, pad_token_id, eos_token_id, unk_token_id = 0, 1, 2, 3

    def __init__(self, vocabulary: int) -> None:
        self.vocabulary, self.mask_token_id = vocabulary, vocabulary - 1

    def __len__(self) -> int:
        return self.vocabulary

    def convert_tokens_to_ids(self, token: str) -> int:
        return {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}[token]


@dataclass(frozen=True)
class Work:
    """Floating-point operations of full batches: a multiplication and an addition are two.

    batch sentences of `source` tokens, specials counted, and of `labels` target tokens.
    """

    config: XLMDConfig
    batch: int
    source: int
    labels: int

    @property
    def alignment(self) -> int:
        return upsampled_length(self.source, self.config.upsampling_ratio)

    def _layers(self, count: int, length: int) -> int:
        """Projections and feed-forward part of each layer, and its attention: query by key and weight by value."""
        d, inner = self.config.hidden_size, self.config.intermediate_size
        return count * self.batch * length * (8 * d * d + 4 * d * inner + 4 * length * d)

    @property
    def forward(self) -> int:
        """From the source to what the word embeddings are compared with."""
        config, positions = self.config, self.batch * self.alignment
        below, above = config.insertion_layer, config.num_hidden_layers - config.insertion_layer
        transform = 2 * positions * self.source * config.hidden_size
        head = 2 * positions * config.hidden_size**2
        return self._layers(below, self.source) + transform + self._layers(above, self.alignment) + head

    @property
    def output(self) -> int:
        """The logits of every position."""
        return 2 * self.batch * self.alignment * self.config.hidden_size * self.config.vocab_size

    @property
    def labels_alone(self) -> int:
        """The logits that an alignment needs: the target's tokens and the blank."""
        return 2 * self.batch * self.alignment * self.config.hidden_size * (self.labels + 1)

    def update(self, algorithm1: bool) -> int:
        """Forward and backward, which takes twice as much; with Algorithm 1 one more pass, for the alignment."""
        return 3 * (self.forward + self.output) + algorithm1 * (self.forward + self.labels_alone)
