"""A trained run, loaded to translate with, and the translations of a whole text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from xlmd.data.batching import length_sorted_batches
from xlmd.data.encoded import EncodedText
from xlmd.data.tokenizer import load_tokenizer
from xlmd.files import read_json
from xlmd.options import from_mapping
from xlmd.systems import System, find_system


def load_system(folder: str | Path, tokenizer: str | Path) -> System:
    """The system of a run folder, as it was trained."""
    settings = read_json(Path(folder) / "run.json")["settings"]
    cls = find_system(settings["system"])
    return cls(from_mapping(cls.Settings, settings["settings"]), load_tokenizer(tokenizer))


def load_run(folder: str | Path, tokenizer: str | Path, device: str | torch.device) -> tuple[System, torch.nn.Module]:
    """The system and the trained model of a run folder, ready to translate."""
    system = load_system(folder, tokenizer)
    return system, _ready(system.load(Path(folder) / "model"), device)


def _ready(model: torch.nn.Module, device: str | torch.device) -> torch.nn.Module:
    return model.to(device).eval()


class RunTranslator:
    """A loaded run (`load_run`, `load_engine`) with its decoding options, as a `Translator`."""

    def __init__(self, system: System, model: Any, decoding: dict[str, Any]) -> None:
        self.system, self.model = system, model
        self.decoding = system.Decoding(**decoding)

    @property
    def iterations_label(self) -> str:
        """See `xlmd.systems.System`."""
        return self.system.iterations_label(self.decoding)

    def translate(self, sources: Sequence[Sequence[int]]) -> list[list[int]]:
        """See `xlmd.systems.Translator`."""
        return self.system.translate(self.model, sources, self.decoding)


def translate_all(
    system: System,
    model: Any,
    sources: EncodedText,
    decoding: Any,
    max_tokens: int,
    limit: int | None = None,
) -> list[list[int]]:
    """Translate sentences 0..limit−1 in batches of similar length; ids in the order of the file."""
    count = min(len(sources), limit or len(sources))
    translations: list[list[int]] = [[] for _ in range(count)]
    for indices in length_sorted_batches(sources.lengths[:count], max_tokens):
        batch = [sources[int(index)].tolist() for index in indices]
        for index, translation in zip(indices, system.translate(model, batch, decoding), strict=True):
            translations[int(index)] = translation
    return translations
