"""A translation as it comes about: what each iteration predicts, what of it stays, and how long it takes."""

import time
from dataclasses import dataclass
from typing import Any

import torch

from xlmd.data.preparation import preparation_of
from xlmd.data.tokenizer import decode_ids, subword_encoder
from xlmd.errors import UserError
from xlmd.files import read_json
from xlmd.method.decoding import Engine, XLMDDecoding, collapse, iterative_refinement
from xlmd.systems.xlmd import XLMD
from xlmd.translate.decodings import chosen_options
from xlmd.translate.engines import best_engine, load_engine
from xlmd.translate.text import tokenizer_of


@dataclass
class Prediction:
    """What an engine was asked in one iteration, and what it answered; of a batch of one sentence."""

    alignment: torch.Tensor  # (T,) int64, <mask> where nothing was known
    positions: torch.Tensor  # (N,) int64, those asked for
    tokens: torch.Tensor  # (N,) int64
    log_probability: torch.Tensor  # (N,) float32
    milliseconds: float

    def filled(self) -> torch.Tensor:
        """The alignment with the answers in it, (T,) int64."""
        return self.alignment.scatter(0, self.positions, self.tokens)


class Recorder:
    """An `Engine` that remembers what another one was asked, so that the loop need not know that it is watched."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self.device, self.config = engine, engine.device, engine.config
        self.predictions: list[Prediction] = []

    def encode(self, source: torch.Tensor, source_lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Engine`."""
        return self._engine.encode(source, source_lengths)

    def predict(
        self,
        z: torch.Tensor,
        lengths: torch.Tensor,
        alignment: torch.Tensor,
        positions: torch.Tensor,
        blank_penalty: float = 0.0,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Engine`."""
        _wait(self._engine)
        started = time.perf_counter()
        answer = self._engine.predict(z, lengths, alignment, positions, blank_penalty)
        _wait(self._engine)
        milliseconds = 1e3 * (time.perf_counter() - started)
        self.predictions.append(Prediction(alignment[0], positions, *answer, milliseconds))
        return answer


def _wait(engine: Engine) -> None:
    """For what a GPU has still to do."""
    if engine.device.type == "cuda":
        torch.cuda.synchronize(engine.device)


class Tracer:
    """A trained XLM-D that shows its work.

    run: its folder. engine: of `xlmd.translate.engines.ENGINES`, or "auto". device: as of `xlmd.devices.pick_device`.
    threads: cores to use. Raises UserError if there is no such run, or if it is of another system.
    """

    def __init__(self, run: str, *, engine: str = "auto", device: str = "auto", threads: int = 1) -> None:
        torch.set_num_threads(threads)
        tokenizer = tokenizer_of(run)
        self.engine_name = best_engine(run, device) if engine == "auto" else engine
        system, self._engine = load_engine(run, tokenizer, device, self.engine_name, threads)
        if not isinstance(system, XLMD):
            raise UserError(f"{run} is a {system.name}: only an XLM-D has alignments to show")
        self._system, self._chosen = system, chosen_options(run)
        self._preparation, self._encode = preparation_of(run), subword_encoder(tokenizer)
        description = read_json(f"{run}/run.json")["description"]
        self.name = ", ".join(description[part] for part in ("direction", "label", "size") if part in description)

    @property
    def one_iteration(self) -> bool:
        """Whether it has no use for a second one (LT only)."""
        return not self._engine.config.add_and_scale

    def __call__(self, text: str, iterations: int) -> dict[str, Any]:
        """Translate a sentence of raw text.

        Returns `translation`, natural text; `milliseconds`, of the model alone; and `iterations`, for each the
        `translation` that it stands for, its own `milliseconds` and the `cells` of the alignment: `piece`; `kind`,
        "token", "blank" or "repeat"; `probability`; whether it was `predicted` now; and whether it is `kept` for the
        next iteration. Raises UserError if there is no text or too much for the model.
        """
        (ids,) = self._encode(self._preparation.prepare([text]))
        longest = self._system.longest_source(self._engine)
        if not ids:
            raise UserError("there is nothing to translate")
        if len(ids) > longest:
            raise UserError(f"the sentence has {len(ids)} pieces; this model takes {longest} at most")
        decoding = XLMDDecoding(**self._chosen | {"iterations": iterations})
        recorder = Recorder(self._engine)
        started = time.perf_counter()
        with torch.inference_mode():
            source, lengths = self._system.batch(self._engine, [ids])
            iterative_refinement(recorder, source, lengths, decoding)
            _wait(self._engine)
        milliseconds = 1e3 * (time.perf_counter() - started)
        shown = self._shown(recorder.predictions)
        return {"translation": shown[-1]["translation"], "milliseconds": milliseconds, "iterations": shown}

    def _shown(self, predictions: list[Prediction]) -> list[dict[str, Any]]:
        mask = self._engine.config.mask_token_id
        known = [prediction.alignment != mask for prediction in predictions[1:]]
        known.append(torch.ones_like(predictions[0].alignment, dtype=torch.bool))
        probability = torch.zeros(known[0].shape, device=known[0].device)
        shown = []
        for prediction, kept in zip(predictions, known, strict=True):
            alignment = prediction.filled()
            probability = probability.scatter(0, prediction.positions, prediction.log_probability.exp())
            asked = torch.zeros_like(kept).scatter(0, prediction.positions, True)
            shown.append(
                {
                    "translation": self._text(alignment),
                    "milliseconds": prediction.milliseconds,
                    "cells": [
                        {"piece": piece, "kind": kind, "probability": p, "predicted": now, "kept": stays}
                        for (piece, kind), p, now, stays in zip(
                            self._pieces(alignment), probability.tolist(), asked.tolist(), kept.tolist(), strict=True
                        )
                    ],
                }
            )
        return shown

    def _pieces(self, alignment: torch.Tensor) -> list[tuple[str, str]]:
        """(piece, kind) of each position."""
        ids = alignment.tolist()
        kinds = [
            "blank" if token == self._system.blank else "repeat" if token == before else "token"
            for before, token in zip([None, *ids], ids, strict=False)
        ]
        return list(zip(self._system.tokenizer.convert_ids_to_tokens(ids), kinds, strict=True))

    def _text(self, alignment: torch.Tensor) -> str:
        lengths = torch.tensor([len(alignment)], device=alignment.device)
        (ids,) = collapse(alignment.unsqueeze(0), lengths, self._system.blank)
        (text,) = self._preparation.restore([decode_ids(self._system.tokenizer, ids)])
        return text
