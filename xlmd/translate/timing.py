"""Translation latency: batch 1, one sentence at a time, repeated runs after a warm-up (paper, Appendix A.2)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xlmd.progress import progress as progress_bar

if TYPE_CHECKING:
    from xlmd.systems.base import Translator


def measure(
    translators: Mapping[str, Translator],
    sources: Sequence[Sequence[int]],
    *,
    warmup: int = 10,
    runs: int = 5,
    synchronize: Callable[[], object] | None = None,
    batch_sizes: Sequence[int] = (),
    texts: Sequence[str] | None = None,
    encode: Callable[[str], Sequence[int]] | None = None,
    decode: Callable[[Sequence[int]], str] | None = None,
    progress: bool = True,
) -> dict[str, dict[str, Any]]:
    """Time each translator on every sentence of `sources` (bare subword ids), `runs` times; results by its name.

    A run goes through the translators in turn, so that what slows the machine for a while slows all of them.
    warmup: untimed translations of each first (the sentences in turn). synchronize: waits for the device, for instance
    `torch.cuda.synchronize`; called before the clock is read. batch_sizes: further batch sizes, timed once through
    the set and given as sentences per second. texts, encode, decode: the sentences as text and the two halves of
    tokenisation; if given they are timed too.

    Times are in milliseconds per sentence. `translation` holds statistics over sentences of the mean over runs (`mean`,
    `median`, `p95`), the mean of each run (`run_means`) and their standard deviation (`spread`, null for one run).
    `tokenisation` and `text_to_text` are the same for encoding plus decoding alone and for all three steps, or null.
    `throughput` maps a batch size to sentences per second. Raises ValueError for no sentences, runs or batch sizes
    below 1, or only some of texts, encode and decode.
    """
    _check(sources, warmup, runs, batch_sizes, texts, encode, decode)
    wait = synchronize or (lambda: None)

    def timed(function: Callable[[Any], Any], argument: Any) -> tuple[Any, int]:
        wait()
        start = time.perf_counter_ns()
        result = function(argument)
        wait()
        return result, time.perf_counter_ns() - start

    for translator in translators.values():
        # A GPU's graphs are recorded at the first sentence of each length.
        for number in range(max(warmup, len(sources)) if synchronize else warmup):
            (output,) = translator.translate([sources[number % len(sources)]])
            if texts is not None:
                assert encode is not None and decode is not None  # see `_check`
                encode(texts[number % len(sources)])
                decode(output)

    translation = {name: np.zeros((runs, len(sources))) for name in translators}
    tokenisation = {name: np.zeros((runs, len(sources))) for name in translators}
    total = runs * len(translators) * len(sources)
    with progress_bar(total=total, desc="latency", unit="sentence", disable=not progress) as bar:
        for run in range(runs):
            for name, translator in translators.items():
                for number, source in enumerate(sources):
                    (output,), translation[name][run, number] = timed(translator.translate, [source])
                    if texts is not None:
                        assert encode is not None and decode is not None
                        coding = timed(encode, texts[number])[1] + timed(decode, output)[1]
                        tokenisation[name][run, number] = coding
                    bar.update()

    return {
        name: {
            "translation": _statistics(translation[name]),
            "tokenisation": None if texts is None else _statistics(tokenisation[name]),
            "text_to_text": None if texts is None else _statistics(translation[name] + tokenisation[name]),
            "throughput": {str(size): _throughput(translator, sources, size, timed) for size in batch_sizes},
        }
        for name, translator in translators.items()
    }


def _check(sources, warmup, runs, batch_sizes, texts, encode, decode) -> None:
    if not len(sources):
        raise ValueError("sources is empty: nothing to time")
    if runs < 1:
        raise ValueError(f"runs must be at least 1, not {runs}")
    if warmup < 0:
        raise ValueError(f"warmup must be at least 0, not {warmup}")
    if any(size < 1 for size in batch_sizes):
        raise ValueError(f"batch_sizes must be at least 1, not {list(batch_sizes)}")
    if len({texts is None, encode is None, decode is None}) > 1:
        raise ValueError("texts, encode and decode are given together or not at all")
    if texts is not None and len(texts) != len(sources):
        raise ValueError(f"texts has {len(texts)} sentences but sources has {len(sources)}")


def _statistics(nanoseconds: np.ndarray) -> dict[str, Any]:
    milliseconds = nanoseconds / 1e6
    sentence_means, run_means = milliseconds.mean(axis=0), milliseconds.mean(axis=1)
    return {
        "mean": float(sentence_means.mean()),
        "median": float(np.median(sentence_means)),
        "p95": float(np.percentile(sentence_means, 95)),
        "run_means": run_means.tolist(),
        "spread": float(run_means.std(ddof=1)) if len(run_means) > 1 else None,
    }


def _throughput(translator: Translator, sources: Sequence[Sequence[int]], size: int, timed: Callable) -> float:
    batches = [list(sources[start : start + size]) for start in range(0, len(sources), size)]
    translator.translate(batches[0])
    nanoseconds = sum(timed(translator.translate, batch)[1] for batch in batches)
    return len(sources) / (nanoseconds / 1e9)
