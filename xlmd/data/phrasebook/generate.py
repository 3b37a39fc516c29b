"""Writing the phrasebook: line n of every language says the same thing."""

import importlib
import random
from collections.abc import Iterator
from pathlib import Path

from xlmd.data.phrasebook import sampler
from xlmd.data.phrasebook.lexicon import check_complete, load
from xlmd.data.phrasebook.meaning import Meaning
from xlmd.errors import UserError
from xlmd.files import write_lines
from xlmd.progress import progress

# Language code -> its grammar, a module here with FIELDS (what its lexicon must have) and `render(meaning, lexicon,
# rng)`. A further language is one such module, one lexicon <code>.yaml and one line here.
GRAMMARS = {"en": "english", "de": "german", "ro": "romanian"}

LEXICONS = Path(__file__).resolve().parents[3] / "resources" / "phrasebook"


def generate(language: str, split: str, size: int, seed: int, out: Path, lexicons: Path = LEXICONS) -> None:
    """Write one language's side of one split: `size` sentences, one a line; the same seed gives the same bytes.

    lexicons: folder with meanings.yaml and <language>.yaml. Raises UserError for an unknown language or split, a size
    below 1, and a malformed or incomplete lexicon (naming file and line); nothing is written then.
    """
    write_lines(out, progress(sentences(language, split, size, seed, lexicons), f"{split}.{language}", size))


def sentences(language: str, split: str, size: int, seed: int, lexicons: Path = LEXICONS) -> Iterator[str]:
    """The sentences that `generate` writes."""
    if language not in GRAMMARS:
        raise UserError(f"the phrasebook does not speak {language!r}; expected one of {', '.join(GRAMMARS)}")
    if split not in sampler.SPLITS:
        raise UserError(f"the phrasebook has no split {split!r}; expected one of {', '.join(sampler.SPLITS)}")
    if size < 1:
        raise UserError(f"size is {size}; the phrasebook writes at least one sentence")
    grammar = importlib.import_module(f"xlmd.data.phrasebook.{GRAMMARS[language]}")
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
