"""Writing the phrasebook: line n of every language says the same thing."""

import importlib
import pkgutil
import random
from collections.abc import Iterator
from pathlib import Path

from xlmd.data.phrasebook import grammars, sampler
from xlmd.data.phrasebook.lexicon import check_complete, load
from xlmd.data.phrasebook.meaning import Meaning
from xlmd.errors import UserError
from xlmd.files import RESOURCES, write_lines
from xlmd.progress import progress

# A further language is one module xlmd/data/phrasebook/grammars/<code>.py and one lexicon <code>.yaml, no more: so
# nothing that the other languages are made of changes.
LANGUAGES = sorted(module.name for module in pkgutil.iter_modules(grammars.__path__))

LEXICONS = RESOURCES / "phrasebook"


def generate(language: str, split: str, size: int, seed: int, out: Path, lexicons: Path = LEXICONS) -> None:
    """Write one language's side of one split: `size` sentences, one a line; the same seed gives the same bytes.

    lexicons: folder with meanings.yaml and <language>.yaml. Raises UserError for an unknown language or split, a size
    below 1, and a malformed or incomplete lexicon (naming file and line); nothing is written then.
    """
    write_lines(out, progress(sentences(language, split, size, seed, lexicons), f"{split}.{language}", size))


def sentences(language: str, split: str, size: int, seed: int, lexicons: Path = LEXICONS) -> Iterator[str]:
    """The sentences that `generate` writes."""
    if language not in LANGUAGES:
        raise UserError(f"the phrasebook does not speak {language!r}; expected one of {', '.join(LANGUAGES)}")
    if split not in sampler.SPLITS:
        raise UserError(f"the phrasebook has no split {split!r}; expected one of {', '.join(sampler.SPLITS)}")
    if size < 1:
        raise UserError(f"size is {size}; the phrasebook writes at least one sentence")
    grammar = importlib.import_module(f"xlmd.data.phrasebook.grammars.{language}")
    path = Path(lexicons) / f"{language}.yaml"
    concepts = sampler.load_concepts(Path(lexicons) / "meanings.yaml")
    lexicon = load(path, grammar.FIELDS)
    check_complete(lexicon, concepts.sections(), path)
    return (
        grammar.render(meaning, lexicon, random.Random(f"{seed}/{split}/{number}/{language}"))
        for number, meaning in sampler.meanings(concepts, split, size, seed)
    )


def meanings(split: str, size: int, seed: int, lexicons: Path = LEXICONS) -> Iterator[Meaning]:
    """What the lines of a split say, in order."""
    concepts = sampler.load_concepts(Path(lexicons) / "meanings.yaml")
    return (meaning for _, meaning in sampler.meanings(concepts, split, size, seed))
