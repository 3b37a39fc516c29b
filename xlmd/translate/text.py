"""From raw text to raw text."""

from collections.abc import Iterable
from typing import Any

from xlmd.data.encoded import decode_ids
from xlmd.data.preprocess import detokenize, tokenize_lines
from xlmd.data.romanian import Letters
from xlmd.data.tokenizer import subword_encoder
from xlmd.devices import pick_device
from xlmd.translate.decodings import describe
from xlmd.translate.load import RunTranslator, load_run


def translate_text(
    lines: Iterable[str],
    *,
    run: str,
    tokenizer: str,
    decoding: dict[str, Any],
    device: str,
    tokenize: str = "moses",
    romanian: Letters = "comma",
    batch: int = 16,
) -> list[str]:
    """Translate raw text to raw text, one sentence per line. An empty line gives an empty translation.

    tokenize, romanian: as the corpora of the run were prepared (`xlmd.data.preprocess.tokenize_lines`).

    device: "auto" (the GPU if there is one), "cpu", "cuda", "cuda:1". batch: sentences translated at once. A line that
    is too long for the model is cut, with a warning: give it sentences. Raises UserError if there is no such run,
    tokenizer or device.
    """
    source_language, target_language = describe(run, {})["direction"].split("-")
    translator = RunTranslator(*load_run(run, tokenizer, pick_device(device)), decoding)
    sources = subword_encoder(tokenizer)(tokenize_lines(lines, source_language, tokenize, romanian))
    filled = [index for index, source in enumerate(sources) if source]
    translations = [""] * len(sources)
    for start in range(0, len(filled), batch):
        chosen = filled[start : start + batch]
        ids = translator.translate([sources[index] for index in chosen])
        texts = [decode_ids(translator.system.tokenizer, sentence) for sentence in ids]
        for index, text in zip(chosen, detokenize(texts, target_language, tokenize), strict=True):
            translations[index] = text
    return translations
