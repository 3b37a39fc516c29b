"""The trained Transformer in CTranslate2: distillation at speed, and the optimised baseline of the latency tables."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import ctranslate2
import torch
from ctranslate2.converters import TransformersConverter

from xlmd.errors import UserError
from xlmd.files import read_json
from xlmd.systems.base import cut
from xlmd.systems.transformer import TransformerDecoding


def convert(model_folder: str | Path, folder: str | Path) -> Path:
    """Convert a trained Transformer's transformers folder to CTranslate2's format, which knows tokens as ids ("17").

    Weights stay float32. Overwrites `folder`. Raises UserError if the folder holds no such model or one that
    CTranslate2 would decode wrongly.
    """
    config = read_json(Path(model_folder) / "config.json")
    if config.get("model_type") != "marian":
        raise UserError(f"{model_folder} holds a {config.get('model_type')} model; CTranslate2 is given marian only")
    return Path(_Converter(str(model_folder)).convert(str(folder), force=True))


class Translator:
    """Beam search with CTranslate2 on bare subword ids; greedy search where the beam is 1.

    model_folder: a transformers folder, converted on the fly. device: "auto", "cpu", "cuda" or "cuda:1".
    compute_type: of CTranslate2, "float32" or "int8"; "default": as the weights are. inter_threads: batches at once;
    intra_threads: cores per batch; batch_tokens: the most source tokens, padding included, in one.
    """

    def __init__(
        self,
        model_folder: str | Path,
        decoding: TransformerDecoding,
        *,
        device: str = "cpu",
        compute_type: str = "default",
        inter_threads: int = 1,
        intra_threads: int = 1,
        batch_tokens: int = 2048,
    ) -> None:
        config = read_json(Path(model_folder) / "config.json")
        self.decoding = decoding
        self.max_positions = config["max_position_embeddings"]
        self.end = str(config["eos_token_id"])
        self.batch_tokens = batch_tokens
        kind, _, number = device.partition(":")
        with TemporaryDirectory() as folder:
            self.engine = ctranslate2.Translator(
                str(convert(model_folder, folder)),
                device=kind,
                device_index=int(number or 0),
                compute_type=compute_type,
                inter_threads=inter_threads,
                intra_threads=intra_threads,
            )

    iterations_label = "N"

    def translate(self, sources: Sequence[Sequence[int]]) -> list[list[int]]:
        """Translate bare subword ids to bare subword ids, in the order given; cuts sources too long, with a warning."""
        sources = cut(sources, self.max_positions - 1)
        groups: defaultdict[int, list[int]] = defaultdict(list)
        for index, source in enumerate(sources):
            groups[self.decoding.length_limit(len(source), self.max_positions)].append(index)

        pending: dict[int, ctranslate2.AsyncTranslationResult] = {}
        for limit, indices in groups.items():
            results = self.engine.translate_batch(
                [[*map(str, sources[index]), self.end] for index in indices],
                beam_size=self.decoding.beam,
                length_penalty=self.decoding.length_penalty,
                max_decoding_length=limit,
                max_input_length=0,
                max_batch_size=self.batch_tokens,
                batch_type="tokens",
                asynchronous=True,
            )
            pending |= dict(zip(indices, results, strict=True))
        return [[int(token) for token in pending[index].result().hypotheses[0]] for index in range(len(sources))]


class _Converter(TransformersConverter):
    """CTranslate2's own conversion of Marian models, for a vocabulary of ids instead of a Marian tokenizer.

    Its two habits come from Marian's layout: it drops the last row of the vocabulary, and decodes from a zero
    embedding. Both are right for our models as long as the checks below hold.
    """

    def load_model(self, model_class, folder, **options):
        model = super().load_model(model_class, folder, **options)
        start = model.lm_head.weight[model.config.decoder_start_token_id]
        if torch.count_nonzero(start):
            raise UserError(f"{folder}: the start token's embedding is not zero; CTranslate2 would decode garbage")
        if model.final_logits_bias[0, -1] == 0:
            raise UserError(f"{folder}: the last token of the vocabulary is in use; CTranslate2 would lose it")
        return model

    def load_tokenizer(self, tokenizer_class, folder, **options):
        config = read_json(Path(folder) / "config.json")
        end = str(config["eos_token_id"])
        return SimpleNamespace(
            get_vocab=lambda: {str(token): token for token in range(config["vocab_size"] - 1)},
            eos_token=end,
            unk_token=end,
        )
