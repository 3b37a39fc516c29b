"""Made-up text for tests of the data pipeline: enough different words for a tokenizer to learn from."""

import random

import numpy as np

from xlmd.data.encoded import EncodedText

SYLLABLES = ["ba", "der", "fi", "gol", "hun", "ka", "lem", "no", "pir", "sche", "tu", "vau", "zö"]


def sentences(count: int, seed: int = 0) -> list[str]:
    """Sentences of 1 to 20 words that end in a separate full stop."""
    draw = random.Random(seed)
    words = ["".join(draw.choices(SYLLABLES, k=draw.randint(1, 3))) for _ in range(300)]
    return [" ".join([*draw.choices(words, k=draw.randint(1, 20)), "."]) for _ in range(count)]


def write_text(path, lines):
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def encoded_text(prefix, ids_of_sentences):
    """An EncodedText with exactly these ids."""
    ends = np.cumsum([0, *map(len, ids_of_sentences)], dtype=np.int64)
    np.save(f"{prefix}.ids.npy", np.array([i for ids in ids_of_sentences for i in ids], np.int32))
    np.save(f"{prefix}.offsets.npy", ends)
    return EncodedText(prefix)


def random_sentences(count: int, seed: int, longest: int = 30, vocabulary: int = 50) -> list[list[int]]:
    draw = random.Random(seed)
    return [[draw.randrange(4, vocabulary - 1) for _ in range(draw.randint(1, longest))] for _ in range(count)]
