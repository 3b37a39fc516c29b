"""Distillation: what is kept, what is left out, and going on after a kill."""

import json
from types import SimpleNamespace

import pytest
from text_example import encoded_text

from xlmd.data.encoded import EncodedText
from xlmd.errors import UserError
from xlmd.translate import distillation
from xlmd.translate.distillation import distill


class Teacher:
    """Stands in for CTranslate2: repeats the first subword as often as its id says."""

    calls = 0

    def __init__(self, folder, decoding, **options):
        self.decoding = decoding

    def translate(self, sources):
        Teacher.calls += 1
        return [[source[0]] * source[0] if source else [] for source in sources]


@pytest.fixture
def teacher(tmp_path, monkeypatch):
    folder = tmp_path / "teacher"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 512}))
    (folder / "model.safetensors").write_bytes(b"weights")
    monkeypatch.setattr(distillation, "Translator", Teacher)
    monkeypatch.setattr(Teacher, "calls", 0)
    return folder


def encode(prefix, rows):
    encoded_text(prefix, rows)
    return prefix


def rows(prefix):
    return [sentence.tolist() for sentence in EncodedText(prefix)]


def outputs(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_pairs_are_kept_in_order_or_left_out_under_one_reason(teacher, tmp_path):
    sources = [[4, 9], [], [6, 6], [7, 9], [20] * 10, [5] * 30, [8] * 8]
    report = distill(teacher, encode(tmp_path / "raw", sources), tmp_path / "out", max_length=25, shard_sentences=3)
    assert rows(tmp_path / "out" / "train.source") == [[4, 9], [6, 6], [20] * 10, [8] * 8]
    assert rows(tmp_path / "out" / "train.target") == [[4] * 4, [6] * 6, [20] * 20, [8] * 8]
    assert report["left_out"] == {
        "fewer than 1 subwords": 1,
        "more than 25 subwords": 1,
        "length ratio above 3": 1,
    }
    assert (report["read"], report["kept"]) == (7, 4)
    assert json.loads((tmp_path / "out" / "distillation.json").read_text()) == report


def test_a_killed_run_continues_and_ends_as_one_that_was_not(teacher, tmp_path, monkeypatch):
    source = encode(tmp_path / "raw", [[4 + i % 3, 9, 9] for i in range(10)])
    distill(teacher, source, tmp_path / "whole", shard_sentences=2)

    translate = Teacher.translate
    monkeypatch.setattr(Teacher, "calls", 0)

    def killed(self, sources):
        if Teacher.calls == 3:
            raise KeyboardInterrupt
        return translate(self, sources)

    monkeypatch.setattr(Teacher, "translate", killed)
    with pytest.raises(KeyboardInterrupt):
        distill(teacher, source, tmp_path / "out", shard_sentences=2)
    assert not (tmp_path / "out" / "train.target.ids.npy").exists()
    monkeypatch.setattr(Teacher, "translate", translate)
    distill(teacher, source, tmp_path / "out", shard_sentences=2)
    assert Teacher.calls == 5
    assert outputs(tmp_path / "out") == outputs(tmp_path / "whole")


def test_shards_of_another_teacher_are_not_used(teacher, tmp_path, monkeypatch):
    source = encode(tmp_path / "raw", [[4, 9]] * 4)
    monkeypatch.setattr(distillation, "encoded_writer", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    for weights, calls in ((b"weights", 2), (b"weights", 2), (b"other weights", 4)):
        (teacher / "model.safetensors").write_bytes(weights)
        with pytest.raises(KeyboardInterrupt):
            distill(teacher, source, tmp_path / "out", shard_sentences=2)
        assert Teacher.calls == calls


def test_shards_of_another_version_of_the_code_are_not_used(teacher, tmp_path, monkeypatch):
    source = encode(tmp_path / "raw", [[4, 9]] * 6)
    monkeypatch.setattr(distillation, "encoded_writer", None)  # fails once the shards are there
    for version, calls in (("one", 3), ("one", 3), ("two", 6)):
        with pytest.raises(TypeError):
            distill(teacher, source, tmp_path / "out", shard_sentences=2, code=version)
        assert Teacher.calls == calls


def test_a_translation_that_ran_into_its_limit_is_always_left_out(teacher, tmp_path, monkeypatch):
    def endless(self, sources):
        return [[7] * self.decoding.length_limit(len(source), 512) for source in sources]

    monkeypatch.setattr(Teacher, "translate", endless)
    sources = [[5] * length for length in (1, 5, 20, 40, 83, 200, 250)]
    with pytest.raises(UserError, match="no pair"):
        distill(teacher, encode(tmp_path / "raw", sources), tmp_path / "out")


def test_a_missing_teacher_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        distill(tmp_path / "nowhere", encode(tmp_path / "raw", [[4]]), tmp_path / "out")


def test_a_trained_transformer_distils_end_to_end(tmp_path):
    pytest.importorskip("ctranslate2")
    import torch

    from xlmd.systems.transformer import Transformer, TransformerSettings

    class Tokenizer(SimpleNamespace):
        def __len__(self):
            return 30

    torch.manual_seed(0)
    tokenizer = Tokenizer(bos_token_id=0, pad_token_id=1, eos_token_id=2, mask_token_id=29)
    settings = TransformerSettings(1, 1, d_model=16, ffn=16, heads=2)
    system = Transformer(settings, tokenizer)
    model = system.build()
    model.final_logits_bias[0, 2] = 2.0  # an untrained model would never end a sentence
    model.save_pretrained(tmp_path / "teacher")
    sources = [[4 + i, 5, 6] for i in range(10)]
    encode(tmp_path / "raw", sources)
    report = distill(tmp_path / "teacher", tmp_path / "raw", tmp_path / "out", beam=1, shard_sentences=4)
    expected = system.translate(model, sources, system.Decoding(beam=1, max_length_ratio=3.0))
    kept = [(s, t) for s, t in zip(sources, expected, strict=True) if max(len(t), 3) <= 3 * min(len(t), 3)]
    assert report["kept"] == len(kept)
    assert rows(tmp_path / "out" / "train.target") == [target for _, target in kept]
