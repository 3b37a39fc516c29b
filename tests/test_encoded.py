import numpy as np
import pytest
from text_example import encoded_text, random_sentences, sentences, write_text

from xlmd.data import encoded
from xlmd.data.encoded import EncodedText, encode
from xlmd.data.tokenizer import subword_encoder, train_tokenizer
from xlmd.errors import UserError


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer([write_text(folder / "text", sentences(2000))], 100, folder / "tokenizer")
    return folder / "tokenizer"


def test_each_line_reads_back_as_its_bare_subwords(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(encoded, "_CHUNK_LINES", 7)
    lines = [*sentences(100, seed=3), "", "last"]
    assert encode(write_text(tmp_path / "text", lines), tokenizer, tmp_path / "deep" / "text") == 102
    text = EncodedText(tmp_path / "deep" / "text")
    assert [ids.tolist() for ids in text] == subword_encoder(tokenizer)(lines)
    assert text.lengths.tolist() == [len(ids) for ids in text]
    assert (text.ids.dtype, text.offsets.dtype, len(text)) == (np.int32, np.int64, 102)


def test_an_empty_file_is_text_of_no_sentences(tokenizer, tmp_path):
    encode(write_text(tmp_path / "text", []), tokenizer, tmp_path / "text")
    text = EncodedText(tmp_path / "text")
    assert len(text) == 0 and text.lengths.tolist() == [] and text.adjacent_repeats().tolist() == []


def test_the_ids_stay_on_disk(tmp_path):
    text = encoded_text(tmp_path / "text", random_sentences(20, seed=0))
    assert isinstance(text.ids.base, np.memmap) and isinstance(text.offsets.base, np.memmap)


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_adjacent_repeats_are_counted_within_sentences_only(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(encoded, "_CHUNK_SENTENCES", chunk)
    drawn = [[5, 5, 5], [5], [], [5, 6, 6], [], [], [6, 6, 7, 7, 7], *random_sentences(50, seed=1, vocabulary=8), []]
    text = encoded_text(tmp_path / "text", drawn)
    expected = [sum(a == b for a, b in zip(ids, ids[1:], strict=False)) for ids in drawn]
    assert text.adjacent_repeats().tolist() == expected


def test_padded_rows_hold_the_sentences_asked_for_in_order(tmp_path):
    drawn = [[4, 5], [], [6], [7, 8, 9]]
    text = encoded_text(tmp_path / "text", drawn)
    rows, lengths = text.padded(np.array([3, 1, 0]), pad=1)
    assert rows.tolist() == [[7, 8, 9], [1, 1, 1], [4, 5, 1]] and lengths.tolist() == [3, 0, 2]
    assert rows.dtype == lengths.dtype == np.int64


def test_a_failure_half_way_leaves_nothing(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(encoded, "_CHUNK_LINES", 1)
    (tmp_path / "bad").write_bytes(b"ba\r\nder\nb\xffd\n")
    with pytest.raises(UserError, match="bad, line 3: invalid UTF-8 at byte 1"):
        encode(tmp_path / "bad", tokenizer, tmp_path / "out" / "text")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_endless_line_is_refused(tokenizer, tmp_path):
    (tmp_path / "long").write_bytes(b"short\n" + b"x" * 10_000_000)
    with pytest.raises(UserError, match="long, line 2: longer than 1,000,000 bytes"):
        encode(tmp_path / "long", tokenizer, tmp_path / "text")


def test_missing_and_unfit_files_are_named(tmp_path):
    with pytest.raises(UserError, match="nothing.ids.npy"):
        EncodedText(tmp_path / "nothing")
    encoded_text(tmp_path / "text", [[4, 5], [6]])
    np.save(tmp_path / "text.ids.npy", np.array([4], np.int32))
    with pytest.raises(UserError, match="text.offsets.npy does not fit"):
        EncodedText(tmp_path / "text")


def test_a_pickle_in_place_of_encoded_text_is_not_opened(tmp_path):
    np.save(tmp_path / "text.ids.npy", np.array([{"evil": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="text.ids.npy"):
        EncodedText(tmp_path / "text")


def test_a_sentence_number_out_of_range_is_an_index_error(tmp_path):
    text = encoded_text(tmp_path / "text", [[4, 5], [6]])
    for index in (2, -1):
        with pytest.raises(IndexError, match=f"sentence {index} of 2"):
            text[index]
