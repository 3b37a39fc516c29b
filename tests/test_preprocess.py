import hashlib
import json
import os
import signal
import time
from contextlib import ExitStack

import pytest
from text_example import sentences, write_text

from xlmd.data import preprocess
from xlmd.data.preprocess import Cleaning, detokenize, preprocess_monolingual, preprocess_pair
from xlmd.data.statistics import statistics
from xlmd.errors import UserError


def _die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)


def _read(path):
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def _pair(folder, german, english, **options):
    source, target = write_text(folder / "source", german), write_text(folder / "target", english)
    return preprocess_pair(source, target, "de", "en", folder / "out", "train", **options)


def test_text_is_normalised_and_tokenised_by_the_rules_of_its_language(tmp_path):
    _pair(tmp_path, ["„Das kostet z.B. 3,50 Euro“, sagte er."], ["It's Dr. Smith’s well-known house (old)!"])
    assert _read(tmp_path / "out" / "train.de") == ['" Das kostet z.B. 3,50 Euro " , sagte er .']
    assert _read(tmp_path / "out" / "train.en") == ["It 's Dr. Smith 's well-known house ( old ) !"]


def test_raw_text_stays_line_by_line_with_the_tokenised(tmp_path):
    german, english = ["Ein  „Haus“. ", "", "Zwei\tHäuser."], ["A “house”.", "Lost.", "Two houses."]
    _pair(tmp_path, german, english)
    assert _read(tmp_path / "out" / "train.raw.de") == ["Ein „Haus“.", "Zwei Häuser."]
    assert _read(tmp_path / "out" / "train.raw.en") == ["A “house”.", "Two houses."]
    assert len(_read(tmp_path / "out" / "train.de")) == len(_read(tmp_path / "out" / "train.en")) == 2


def test_symbols_of_markup_are_not_escaped(tmp_path):
    _pair(tmp_path, ["A & B <i> [x] 'y'"], ["a &amp; b | c"])
    written = "".join(_read(tmp_path / "out" / "train.de"))
    assert "&" in written and "&amp;" not in written and "<" in written and "[" in written


@pytest.mark.parametrize("blank", ["", "   ", "\t", "\u00a0\u3000", "\x01\x02", "\0"])
@pytest.mark.parametrize("side", [0, 1])
def test_a_pair_with_a_blank_side_is_dropped_and_counted(tmp_path, blank, side):
    sides = [["Eins .", "Zwei .", "Drei ."], ["One .", "Two .", "Three ."]]
    sides[side][1] = blank
    summary = _pair(tmp_path, *sides)
    assert (summary["read"], summary["kept"], summary["dropped"]) == (3, 2, {"empty": 1})
    assert _read(tmp_path / "out" / "train.en") == ["One .", "Three ."]


def test_white_space_that_ends_lines_elsewhere_cannot_split_a_line(tmp_path):
    _pair(tmp_path, ["a\u2028b\x85c\rd\x0be"], ["x"])
    for name in ("train.de", "train.raw.de"):
        assert len((tmp_path / "out" / name).read_text(encoding="utf-8").splitlines()) == 1


def test_windows_line_ends_are_read_as_line_ends(tmp_path):
    (tmp_path / "source").write_bytes(b"Eins.\r\nZwei.\r\n")
    preprocess_pair(
        tmp_path / "source", write_text(tmp_path / "target", ["One.", "Two."]), "de", "en", tmp_path / "out", "dev"
    )
    assert (tmp_path / "out" / "dev.raw.de").read_bytes() == b"Eins.\nZwei.\n"


def test_the_report_holds_the_hash_of_each_file(tmp_path):
    summary = _pair(tmp_path, ["Ein Haus."], ["A house."])
    assert json.loads((tmp_path / "out" / "train.json").read_text()) == summary
    assert sorted(summary["sha256"]) == ["train.de", "train.en", "train.raw.de", "train.raw.en"]
    for name, expected in summary["sha256"].items():
        assert hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() == expected


def test_text_that_is_tokenised_already_is_left_as_it_is(tmp_path):
    _pair(tmp_path, ["das ist ' s , z.B."], ["it ' s"], tokenize="none")
    assert _read(tmp_path / "out" / "train.de") == ["das ist ' s , z.B."]


def test_two_processes_write_what_one_does(tmp_path, monkeypatch):
    monkeypatch.setattr(preprocess, "_CHUNK_LINES", 7)
    german, english = sentences(100, seed=1), sentences(100, seed=2)
    german[5] = ""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = _pair(tmp_path / "one", german, english), _pair(tmp_path / "two", german, english, processes=2)
    assert one["sha256"] == two["sha256"] and two["kept"] == 99


PAIRS = [("a b c", "x y z"), ("a", "u v w"), ("a b c d e f", "x y z"), ("", "x"), ("seen", "gesehen"), ("seen", "neu")]


def _pairs_on_disk(folder):
    sides = zip(*PAIRS, strict=True)
    return [write_text(folder / name, side) for name, side in zip(["en", "de"], sides, strict=True)]


@pytest.mark.parametrize(
    "cleaning, kept, dropped",
    [
        ({}, [0, 1, 2, 5], {"empty": 1, "in dev or test": 1}),
        ({"held_out": "side"}, [0, 1, 2], {"empty": 1, "in dev or test": 2}),
        ({"held_out": "keep"}, [0, 1, 2, 4, 5], {"empty": 1}),
        ({"max_length": 5, "held_out": "keep"}, [0, 1, 4, 5], {"empty": 1, "longer than 5 tokens": 1}),
        ({"max_ratio": 2.5}, [0, 2, 5], {"empty": 1, "lengths differ by more than 2.5": 1, "in dev or test": 1}),
    ],
)
@pytest.mark.parametrize("processes", [1, 2])
def test_a_pair_is_left_out_for_one_reason_that_is_counted(tmp_path, cleaning, kept, dropped, processes):
    files = _pairs_on_disk(tmp_path)
    dev = [write_text(tmp_path / name, [line]) for name, line in (("dev.en", " seen"), ("dev.de", "gesehen"))]
    report = preprocess_pair(
        *files, "en", "de", tmp_path / "out", "train", cleaning=Cleaning(**cleaning), held_out=[dev],
        processes=processes,
    )  # fmt: skip
    assert (tmp_path / "out/train.de").read_text().splitlines() == [PAIRS[i][1] for i in kept]
    assert report["dropped"] == dropped and report["kept"] == len(kept)
    assert report["tokens"] == [sum(len(PAIRS[i][side].split()) for i in kept) for side in (0, 1)]


def test_a_tokenising_process_that_is_killed_ends_the_job(tmp_path, monkeypatch):
    monkeypatch.setattr(preprocess, "_CHUNK_LINES", 10)
    monkeypatch.setattr(preprocess, "_tokenized", _die)
    with pytest.raises(UserError, match="a process that tokenised was killed"):
        _pair(tmp_path, sentences(100), sentences(100), processes=2)
    assert not list((tmp_path / "out").iterdir())


def test_no_more_than_a_few_chunks_are_under_way(monkeypatch):
    monkeypatch.setattr(preprocess, "_CHUNK_LINES", 10)
    read = []

    def lines():
        for number in range(10_000):
            read.append(number)
            yield number

    with ExitStack() as stack:
        mapped = preprocess._mapped(str, lines(), 2, stack)
        assert next(mapped) == "0"
        time.sleep(0.5)
        assert len(read) <= 100
        assert list(mapped) == [str(number) for number in range(1, 10_000)]


def test_a_line_of_dev_or_test_is_blank_in_the_text_of_the_masked_language_model(tmp_path):
    raw, dev = write_text(tmp_path / "raw", ["a", " seen ", "b"]), write_text(tmp_path / "dev", ["seen"])
    preprocess_monolingual(raw, "en", tmp_path / "out", held_out=[dev])
    assert _read(tmp_path / "out") == ["a", "", "b"]


def test_without_cleaning_only_empty_pairs_are_left_out(tmp_path):
    files = _pairs_on_disk(tmp_path)
    assert preprocess_pair(*files, "en", "de", tmp_path / "out", "dev")["dropped"] == {"empty": 1}


def test_statistics_show_each_split_and_every_reason(tmp_path):
    files = _pairs_on_disk(tmp_path)
    for split, cleaning in (("train", Cleaning(max_length=5)), ("dev", None)):
        preprocess_pair(*files, "en", "de", tmp_path / "out" / "de-en", split, cleaning=cleaning)
    dev, train = statistics([tmp_path / "out"]).splitlines()[2:]
    assert [cell.strip() for cell in dev.split("|")[1:6]] == ["out/de-en", "dev", "6", "5", "1"]
    assert [cell.strip() for cell in train.split("|")[1:6]] == ["out/de-en", "train", "6", "4", "1"]
    assert train.split("|")[-2].strip() == "1"
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UserError, match="no counts"):
        statistics([tmp_path / "nothing"])


@pytest.mark.parametrize("processes", [1, 2])
def test_unequal_line_counts_name_both_files_and_counts_and_leave_nothing(tmp_path, processes):
    with pytest.raises(UserError, match="source has 3 lines but .*target has 5"):
        _pair(tmp_path, ["a", "b", "c"], ["a", "b", "c", "d", "e"], processes=processes)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("processes", [1, 2])
def test_invalid_utf8_names_file_and_line_and_leaves_nothing(tmp_path, processes):
    (tmp_path / "source").write_bytes(b"good\nb\xffd\n")
    target = write_text(tmp_path / "target", ["a", "b"])
    with pytest.raises(UserError, match="source, line 2: invalid UTF-8"):
        preprocess_pair(tmp_path / "source", target, "de", "en", tmp_path / "out", "train", processes=processes)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_failed_run_takes_away_the_report_of_an_earlier_one(tmp_path):
    _pair(tmp_path, ["a"], ["a"])
    with pytest.raises(UserError):
        _pair(tmp_path, ["a"], ["a", "b"])
    assert not (tmp_path / "out" / "train.json").exists()


def test_a_corpus_of_which_nothing_is_left_is_refused(tmp_path):
    with pytest.raises(UserError, match="no pair is left of 2"):
        _pair(tmp_path, ["", "a"], ["a", ""])
    with pytest.raises(UserError, match="no pair is left of 0"):
        _pair(tmp_path, [], [])


def test_missing_files_and_wrong_options_are_named(tmp_path):
    with pytest.raises(UserError, match="cannot read .*missing"):
        preprocess_pair(
            tmp_path / "missing", write_text(tmp_path / "target", ["a"]), "de", "en", tmp_path / "out", "train"
        )
    with pytest.raises(UserError, match="tokenize: expected 'moses' or 'none', got 'penn'"):
        _pair(tmp_path, ["a"], ["a"], tokenize="penn")
    with pytest.raises(UserError, match="two languages, got 'de' twice"):
        preprocess_pair(tmp_path / "a", tmp_path / "b", "de", "de", tmp_path / "out", "train")


def test_monolingual_text_keeps_its_blank_lines_so_that_languages_stay_parallel(tmp_path):
    preprocess_monolingual(write_text(tmp_path / "raw", ["Ein Haus.", "", "Ende!"]), "de", tmp_path / "out" / "de")
    assert _read(tmp_path / "out" / "de") == ["Ein Haus .", "", "Ende !"]


@pytest.mark.parametrize("language", ["ja", "ko", "ar", "xx"])
def test_a_language_without_rules_of_its_own_is_tokenised_nevertheless(tmp_path, language):
    preprocess_monolingual(write_text(tmp_path / "raw", ["(abc), def."]), language, tmp_path / "out")
    assert _read(tmp_path / "out") == ["( abc ) , def ."]


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("en", "It's Dr. Smith's well-known house (old), isn't it?"),
        ("de", "Der Preis: 3,50 Euro; das ist viel!"),
        ("ro", "Într-o zi, dl. Popescu a plecat."),
        ("fr", "L'homme qu'il a vu n'est pas là."),
    ],
)
def test_detokenising_inverts_tokenising(tmp_path, language, line):
    preprocess_monolingual(write_text(tmp_path / "raw", [line]), language, tmp_path / "out")
    assert _read(tmp_path / "out") != [line]
    assert detokenize(_read(tmp_path / "out"), language) == [line]


def test_detokenising_joins_japanese_and_keeps_empty_lines_and_markup():
    assert detokenize(["&amp; stays"], "en") == ["&amp; stays"]
    assert detokenize(["これ は 本 です 。", ""], "ja") == ["これは本です。", ""]
    assert detokenize(["a , b"], "en", tokenize="none") == ["a , b"]
