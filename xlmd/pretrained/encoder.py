"""The weights of a pre-trained encoder under XLM-R's names, and the masked language model that is made of them.

Models of BERT's kind that were distilled from XLM-R (multilingual MiniLM, and multilingual E5 after it) have its
vocabulary and BERT's parameters. These are XLM-R's but for three things: positions are counted from 0, XLM-R's from
pad + 1; there are two token types, of which only the first was used; and what carries an encoder alone has no language
model's head.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForMaskedLM, XLMRobertaConfig, XLMRobertaForMaskedLM

from xlmd.data.tokenizer import BOS, EOS, PAD
from xlmd.errors import UserError
from xlmd.pretrained.e5s1 import PackedModel

_WORDS = "roberta.embeddings.word_embeddings.weight"
_POSITIONS = "roberta.embeddings.position_embeddings.weight"
_TOKEN_TYPES = "roberta.embeddings.token_type_embeddings.weight"
_HEAD_BIAS = "lm_head.bias"
_HEAD = ("lm_head.dense", "lm_head.layer_norm", _HEAD_BIAS)
# The same tensors as the word embeddings and the head's bias.
_TIED = ("lm_head.decoder.weight", "lm_head.decoder.bias")
_BERT_NAMES = {
    "bert.": "roberta.",
    "cls.predictions.transform.dense.": "lm_head.dense.",
    "cls.predictions.transform.LayerNorm.": "lm_head.layer_norm.",
    "cls.predictions.bias": _HEAD_BIAS,
    "cls.predictions.decoder.": "lm_head.decoder.",
}
_E5S1_OF_EMBEDDINGS = {"emb.ln.w": "LayerNorm.weight", "emb.ln.b": "LayerNorm.bias"}
_E5S1_OF_LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


@dataclass(frozen=True)
class Weights:
    """An encoder under XLM-R's names.

    tensors: {name: float tensor}, those of the head too if it has one. shape: fields of `XLMRobertaConfig`, of the
    whole encoder. name: what messages call it.
    """

    tensors: dict[str, torch.Tensor]
    shape: dict[str, Any]
    name: str

    @property
    def has_head(self) -> bool:
        return all(any(name.startswith(part) for name in self.tensors) for part in _HEAD)


def from_transformers(name_or_folder: str, revision: str | None = None) -> Weights:
    """A model of XLM-R's or BERT's kind by hub name or folder; only safetensors are read.

    Raises UserError if it cannot be read, is of another kind, or lacks more than the head.
    """
    try:
        config = AutoConfig.from_pretrained(name_or_folder, revision=revision)
        if config.model_type not in ("xlm-roberta", "bert"):
            raise UserError(f"{name_or_folder} is a {config.model_type} model; expected xlm-roberta or bert")
        model, report = AutoModelForMaskedLM.from_pretrained(
            name_or_folder,
            revision=revision,
            use_safetensors=True,
            output_loading_info=True,
            dtype=torch.float32,
        )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"cannot read a pre-trained model in safetensors from {name_or_folder}: {reason}") from error
    missing, misshapen = set(report["missing_keys"]), {key for key, *_ in report["mismatched_keys"]}
    tensors = {_xlm_roberta_name(name): tensor for name, tensor in model.state_dict().items() if name not in missing}
    lacking = sorted(name for name in map(_xlm_roberta_name, missing) if not name.startswith("lm_head."))
    if lacking or misshapen:
        wrong = [*lacking, *sorted(misshapen)][:5]
        raise UserError(f"{name_or_folder} does not hold a whole encoder; missing or of another shape: {wrong}")
    shape = {name: getattr(config, name) for name in (
        "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act",
        "hidden_dropout_prob", "attention_probs_dropout_prob", "layer_norm_eps", "initializer_range",
    )}  # fmt: skip
    if config.model_type == "bert":
        tensors[_POSITIONS] = _shifted(tensors[_POSITIONS])
    return Weights(tensors, shape, name_or_folder)


def from_packed(packed: PackedModel, layers: int) -> Weights:
    """The first `layers` layers of what `xlmd.pretrained.e5s1` reads. Raises UserError if the file has fewer."""
    shape = packed.shape
    _check_layers(packed.name, shape.layers, layers)
    d, ffn = shape.d_model, shape.ffn
    tensors = {
        _WORDS: packed.tensor("emb.word", shape.rows, d),
        _TOKEN_TYPES: packed.tensor("emb.type", shape.token_types, d),
    }
    positions = torch.from_numpy(packed.tensor("emb.pos", shape.positions, d))
    for stored, name in _E5S1_OF_EMBEDDINGS.items():
        tensors[f"roberta.embeddings.{name}"] = packed.tensor(stored, d)
    for layer in range(layers):
        for stored, name in _E5S1_OF_LAYER.items():
            rows, columns = {"fi": (ffn, d), "fo": (d, ffn)}.get(stored, (d, d))
            weight = (rows,) if name.endswith("LayerNorm") else (rows, columns)
            whole = f"roberta.encoder.layer.{layer}.{name}"
            tensors[f"{whole}.weight"] = packed.tensor(f"l{layer}.{stored}.w", *weight)
            tensors[f"{whole}.bias"] = packed.tensor(f"l{layer}.{stored}.b", rows)
    return Weights(
        {name: torch.from_numpy(tensor) for name, tensor in tensors.items()} | {_POSITIONS: _shifted(positions)},
        {
            "hidden_size": d,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "intermediate_size": ffn,
            "layer_norm_eps": shape.layer_norm_eps,
        },
        packed.name,
    )


def masked_language_model(weights: Weights, ids: np.ndarray, layers: int | None, seed: int) -> XLMRobertaForMaskedLM:
    """An XLM-R-like masked language model of the first `layers` layers (None: all) and of the pieces `ids`.

    ids: (V,) int64, XLM-R's ids of the pieces that the model is to have, in its own order. Where the weights have no
    language model's head one is made: its dense layer of random numbers drawn with `seed`, no bias; the output
    embedding is the input's, as always. Raises UserError if there are fewer layers or embeddings than asked for, or if
    a tensor is missing or of another shape or type.
    """
    layers = layers or weights.shape["num_hidden_layers"]
    _check_layers(weights.name, weights.shape["num_hidden_layers"], layers)
    tensors = dict(weights.tensors)
    rows = len(_found(tensors, _WORDS, weights.name))
    if ids.max() >= rows:
        raise UserError(
            f"the tokenizer does not fit {weights.name}: it has {ids.max() + 1:,} pieces, the model {rows:,} embeddings"
        )
    picked = torch.from_numpy(ids)
    tensors[_WORDS] = tensors[_WORDS][picked]
    tensors[_TOKEN_TYPES] = _found(tensors, _TOKEN_TYPES, weights.name)[:1]
    if _HEAD_BIAS in tensors:
        tensors[_HEAD_BIAS] = tensors[_HEAD_BIAS][picked]
    config = XLMRobertaConfig(
        **weights.shape | {"num_hidden_layers": layers},
        vocab_size=len(ids),
        max_position_embeddings=len(_found(tensors, _POSITIONS, weights.name)),
        type_vocab_size=1,
        bos_token_id=BOS,
        pad_token_id=PAD,
        eos_token_id=EOS,
    )
    torch.manual_seed(seed)
    model = XLMRobertaForMaskedLM(config)
    with torch.no_grad():
        for name, parameter in model.state_dict().items():
            if name in _TIED or (name.startswith("lm_head.") and not weights.has_head):
                continue
            found = _found(tensors, name, weights.name)
            if found.shape != parameter.shape or not found.is_floating_point():
                raise UserError(
                    f"{weights.name}: tensor {name} is {found.dtype} {list(found.shape)},"
                    f" where {list(parameter.shape)} was expected"
                )
            parameter.copy_(found)
    return model.eval()


def _check_layers(name: str, there: int, asked: int) -> None:
    if asked > there:
        raise UserError(f"{name} has {there} layers, fewer than the {asked} asked for")


def _found(tensors: dict[str, torch.Tensor], name: str, where: str) -> torch.Tensor:
    if name not in tensors:
        raise UserError(f"{where} has no tensor {name}")
    return tensors[name]


def _shifted(positions: torch.Tensor) -> torch.Tensor:
    """A table of positions from 0 as XLM-R's, which keeps the first pad + 1 rows for padding: (P, d) → (P + 2, d)."""
    return torch.cat([positions.new_zeros(PAD + 1, positions.shape[1]), positions])


def _xlm_roberta_name(name: str) -> str:
    for bert, xlm_roberta in _BERT_NAMES.items():
        if name.startswith(bert):
            return xlm_roberta + name.removeprefix(bert)
    return name
