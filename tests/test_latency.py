import time

import numpy as np
import pytest

from xlmd import record
from xlmd.translate import timing as latency


class Translator:
    """Copies the source; a sentence takes as many milliseconds as its first id says, by the clock of the test."""

    def __init__(self, clock=None):
        self.clock = clock
        self.batches = []

    def translate(self, sources):
        self.batches.append([list(source) for source in sources])
        if self.clock:
            self.clock.now += max(source[0] for source in sources) * 1_000_000
        return [list(source) for source in sources]


class Clock:
    now = 0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter_ns", clock)
    return clock


def measure(translator, sources, **options):
    options = {"warmup": 0, "runs": 2, "progress": False} | options
    return latency.measure({"one": translator}, sources, **options)["one"]


def test_every_sentence_is_translated_alone_in_every_run_after_the_warmup():
    translator = Translator()
    measure(translator, [[1], [2]], warmup=3, runs=2)
    assert translator.batches == [[[1]], [[2]], [[1]]] + [[[1]], [[2]]] * 2


def test_statistics_are_over_sentences_in_milliseconds(clock):
    times = list(range(1, 102))
    result = measure(Translator(clock), [[t] for t in times])["translation"]
    assert result["mean"] == pytest.approx(np.mean(times))
    assert result["median"] == pytest.approx(51)
    assert result["p95"] == pytest.approx(96)
    assert result["run_means"] == pytest.approx([51, 51])
    assert result["spread"] == pytest.approx(0)


def test_spread_is_the_deviation_of_the_runs_means(clock):
    class Slowing(Translator):
        def translate(self, sources):
            self.clock.now += (len(self.batches) // 2) * 2_000_000
            return super().translate(sources)

    result = measure(Slowing(clock), [[1], [1]], runs=3)["translation"]
    assert result["run_means"] == pytest.approx([1, 3, 5])
    assert result["mean"] == pytest.approx(3) and result["spread"] == pytest.approx(2)


def test_one_run_has_no_spread():
    assert measure(Translator(), [[1]], runs=1)["translation"]["spread"] is None


def test_the_device_is_waited_for_before_each_reading_of_the_clock(monkeypatch):
    events = []
    monkeypatch.setattr(time, "perf_counter_ns", lambda: events.append("clock") or 0)
    measure(Translator(), [[1]], runs=1, synchronize=lambda: events.append("synchronize"))
    assert events == ["synchronize", "clock", "synchronize", "clock"]


def test_tokenisation_is_timed_apart_and_added_to_text_to_text(clock):
    def encode(text):
        clock.now += 3_000_000
        return [len(text)]

    def decode(output):
        clock.now += 4_000_000
        return str(output)

    result = measure(Translator(clock), [[10], [20]], texts=["a", "b"], encode=encode, decode=decode)
    assert result["translation"]["mean"] == pytest.approx(15)
    assert result["tokenisation"]["mean"] == pytest.approx(7)
    assert result["text_to_text"]["mean"] == pytest.approx(22)


def test_without_texts_only_translation_is_timed():
    result = measure(Translator(), [[1]])
    assert result["tokenisation"] is None and result["text_to_text"] is None


def test_throughput_counts_sentences_per_second_in_larger_batches(clock):
    translator = Translator(clock)
    result = measure(translator, [[10]] * 6, runs=1, batch_sizes=[4])
    assert result["throughput"] == {"4": pytest.approx(6 / 0.020)}
    assert [len(batch) for batch in translator.batches[-2:]] == [4, 2]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"sources": []}, "sources"),
        ({"runs": 0}, "runs .* 0"),
        ({"warmup": -1}, "warmup .* -1"),
        ({"batch_sizes": [8, 0]}, "batch_sizes"),
        ({"texts": ["a"]}, "texts, encode and decode"),
        ({"texts": ["a", "b"], "encode": len, "decode": len}, "texts has 2"),
    ],
)
def test_bad_arguments_are_named(options, named):
    with pytest.raises(ValueError, match=named):
        measure(Translator(), **({"sources": [[1]]} | options))


def test_hardware_names_the_processor_and_what_the_caller_knows():
    hardware = record.hardware(threads=2, gpu="Some GPU")
    assert hardware["cpu"] and hardware["cores"] >= 1
    assert (hardware["threads"], hardware["gpu"]) == (2, "Some GPU")


def test_the_real_clock_sees_a_slower_translator():
    class Sleeper(Translator):
        def translate(self, sources):
            time.sleep(0.003)
            return super().translate(sources)

    slow, fast = (measure(translator, [[1]] * 3)["translation"]["mean"] for translator in (Sleeper(), Translator()))
    assert slow >= 3 > fast
