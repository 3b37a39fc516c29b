"""Training in stages: texts joined and cleared of what is there twice, and a stream of batches for each stage."""

import json

import numpy as np
import pytest
from text_example import encoded_text, random_sentences, sentences, write_text

from xlmd.data.batching import BatchStream, ParallelText
from xlmd.data.encoded import encode
from xlmd.data.stages import JoinedText, StagedStream, first_of_equals
from xlmd.data.tokenizer import train_tokenizer
from xlmd.errors import UserError
from xlmd.systems.cmlm_lfr import CMLMLFRSettings
from xlmd.train.run import TrainFiles, train
from xlmd.train.settings import TrainerSettings

PAD = 1


@pytest.fixture
def texts(tmp_path):
    return [encoded_text(tmp_path / name, random_sentences(40, seed)) for seed, name in enumerate("ab")]


def parallel(folder, name, count=60, seed=0):
    sides = [random_sentences(count, seed + side) for side in (0, 1)]
    return ParallelText(*(encoded_text(folder / f"{name}.{side}", ids) for side, ids in enumerate(sides)))


def test_joined_texts_are_numbered_through(texts):
    joined = JoinedText(texts)
    assert len(joined) == 80 and joined.lengths.tolist() == [len(ids) for text in texts for ids in text]
    numbers = np.array([79, 0, 40, 39, 12])
    ids, lengths = joined.padded(numbers, PAD)
    assert ids.shape == (5, lengths.max()) and ids.dtype == lengths.dtype == np.int64
    for row, length, number in zip(ids, lengths, numbers, strict=True):
        assert row[:length].tolist() == texts[number // 40][number % 40].tolist() and (row[length:] == PAD).all()


def test_of_equal_pairs_the_first_is_kept(tmp_path):
    """Two sentences that run together as two others do are no equals, nor is a pair the other way round."""
    pairs = [([4, 5], [6]), ([4], [5, 6]), ([6], [4, 5])], [([4], [5, 6]), ([7], [8]), ([7], [8])]
    texts = [
        tuple(encoded_text(tmp_path / f"{number}.{side}", [pair[side] for pair in rows]) for side in (0, 1))
        for number, rows in enumerate(pairs)
    ]
    assert first_of_equals(texts).tolist() == [True, True, True, False, True, False]


def staged(folder):
    texts = [parallel(folder, name, seed=10 * number) for number, name in enumerate("abc")]
    streams = [BatchStream(text, 200, PAD, seed=3, curriculum=0.8) for text in texts]
    return StagedStream(streams, [0.25, 0.5, 1.0])


def drawn(stream, first, last, steps=40):
    """(source of the text, numbers) of the batches of some updates."""
    batches = []
    for step in range(first, last):
        stream.set_progress(step / steps)
        batches.append((stream.source, next(stream).indices.tolist()))
    return batches


def test_each_stage_draws_from_its_own_text(tmp_path):
    names = [source[-3] for source, _ in drawn(staged(tmp_path), 0, 40)]
    assert names == ["a"] * 10 + ["b"] * 10 + ["c"] * 20


def test_a_stage_begins_with_the_pool_that_the_curriculum_has_then(tmp_path):
    stream = staged(tmp_path)
    longest = []
    for progress in (0.0, 0.25, 0.8):
        stream.set_progress(progress)
        longest.append(max(next(stream).target.shape[1] for _ in range(20)))
    assert longest[0] < longest[1] < longest[2]


@pytest.mark.parametrize("stop", [5, 10, 14, 33])
def test_a_resumed_stream_goes_on_in_its_stage(tmp_path, stop):
    whole = drawn(staged(tmp_path), 0, 40)
    stream, resumed = staged(tmp_path), staged(tmp_path)
    drawn(stream, 0, stop)
    resumed.load_state_dict(json.loads(json.dumps(stream.state_dict())))
    assert drawn(resumed, stop, 40) == whole[stop:]


@pytest.fixture
def files(tmp_path):
    """What CMLM-LFR reads; every fourth sentence is translated by both teachers as the corpus has it."""
    lines, dev = sentences(120, seed=1), sentences(10, seed=2)
    translations = [" ".join(reversed(line.split())) for line in lines]
    sides = {
        "original.en": lines,
        "original.de": translations,
        "forward.de": [line if number % 4 == 2 else f"{line} ." for number, line in enumerate(translations)],
        "reverse.en": [line if number % 4 == 2 else f"ba {line}" for number, line in enumerate(lines)],
        "dev.en": dev,
        "dev.de": dev,
    }
    for name, text in sides.items():
        write_text(tmp_path / name, text)
    train_tokenizer([tmp_path / "original.en", tmp_path / "original.de"], 150, tmp_path / "tokenizer", seed=1)
    for name in sides:
        encode(tmp_path / name, tmp_path / "tokenizer", tmp_path / name)

    def path(name):
        return str(tmp_path / name)

    return TrainFiles(
        direction="en-de", tokenizer=path("tokenizer"), source=path("original.en"), target=path("forward.de"),
        further_source=[path("original.en"), path("reverse.en")],
        further_target=[path("original.de"), path("original.de")],
        dev_source=path("dev.en"), dev_reference=path("dev.de"), out=path("en-de/run"),
    )  # fmt: skip


TRAINER = TrainerSettings(steps=7, max_tokens=400, validate_every=7, average=0, log_every=1, device="cpu")
SETTINGS = CMLMLFRSettings(encoder_layers=1, decoder_layers=1, d_model=16, ffn=16, heads=2)


def test_a_system_is_trained_on_what_its_stages_name_and_the_record_says_so(files, tmp_path):
    train("cmlm_lfr", SETTINGS, TRAINER, files)
    record = json.loads((tmp_path / "en-de/run/run.json").read_text())
    stages = record["data"]["stages"]
    assert [stage["data"] for stage in stages] == [["original"], ["own", "reverse"], ["own"]]
    assert [stage["pairs"] for stage in stages] == [120, 240, 120]
    assert [stage["used"] for stage in stages] == [120, 210, 120]
    assert stages[1]["left_out"]["there before"] == 30
    assert record["data"]["used"] == 120
    assert {str(tmp_path / f"{name}.ids.npy") for name in ("original.en", "reverse.en")} <= set(record["inputs"])


def test_a_system_that_is_not_given_its_further_texts_says_so(files):
    files.further_source = files.further_source[:1]
    with pytest.raises(UserError, match="2 further texts"):
        train("cmlm_lfr", SETTINGS, TRAINER, files)
