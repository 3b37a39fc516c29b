import bz2
import gzip
import hashlib
import io
import lzma
import tarfile
import zipfile

import pytest

from xlmd.data.sources import gather, located, of_language
from xlmd.errors import UserError

TEXT = "".join(f"line {number} of the corpus ä\n" for number in range(20_000))
DATA = TEXT.encode()


def gathered(tmp_path, *sources):
    gather(list(sources), tmp_path / "out" / "text")
    return (tmp_path / "out" / "text").read_text(encoding="utf-8")


def refused(tmp_path, source, message):
    with pytest.raises(UserError, match=message):
        gathered(tmp_path, source)
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def write(path, data):
    path.write_bytes(data)
    return {"file": str(path)}


def archive(path, members, mode="w:gz", kind=tarfile.REGTYPE):
    with tarfile.open(path, mode) as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.type, entry.linkname = len(data), kind, "/etc/passwd"
            tar.addfile(entry, io.BytesIO(data))
    return path


@pytest.mark.parametrize(
    "suffix, pack", [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress), (".bz2", bz2.compress)]
)
def test_a_file_is_unpacked_as_its_name_says(tmp_path, suffix, pack):
    assert gathered(tmp_path, write(tmp_path / f"a{suffix}", pack(DATA))) == TEXT


def test_several_sources_are_read_one_after_the_other(tmp_path):
    first, second = write(tmp_path / "a", b"one\r\ntwo"), write(tmp_path / "b.gz", gzip.compress(b"three\n"))
    assert gathered(tmp_path, first, second) == "one\ntwo\nthree\n"


def test_several_gzip_members_are_one_file(tmp_path):
    assert gathered(tmp_path, write(tmp_path / "a.gz", gzip.compress(b"1\n") + gzip.compress(b"2\n"))) == "1\n2\n"


def test_a_column_of_a_table_is_read_and_a_row_without_it_is_named(tmp_path):
    source = write(tmp_path / "a.tsv", b"x\thello\tbonjour\nx\tworld\tmonde\n")
    assert gathered(tmp_path, source | {"column": 3}) == "bonjour\nmonde\n"
    refused(tmp_path / "b", source | {"column": 4}, "a.tsv, line 1: 3 columns, but column 4")


@pytest.mark.parametrize("name, mode", [("a.tgz", "w:gz"), ("a.tar.gz", "w:gz"), ("a.tar", "w"), ("a.tar.xz", "w:xz")])
def test_one_member_of_an_archive_is_read(tmp_path, name, mode):
    path = archive(tmp_path / name, {"other/a.en": b"no\n", "corpus/a.en": DATA}, mode)
    assert gathered(tmp_path, {"file": str(path), "member": "corpus/a.en"}) == TEXT


def test_one_member_of_a_zip_file_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("deep/a.txt", TEXT)
    assert gathered(tmp_path, {"file": str(tmp_path / "a.zip"), "member": "deep/a.txt"}) == TEXT


def test_a_table_inside_an_archive_is_read(tmp_path):
    path = archive(tmp_path / "a.tar.gz", {"deep/a.txt": b"1\tone\n2\ttwo\n"})
    assert gathered(tmp_path, {"file": str(path), "member": "deep/a.txt", "column": 2}) == "one\ntwo\n"


def test_nothing_of_an_archive_is_written_under_a_name_that_it_chose(tmp_path):
    evil = {"../evil": b"evil\n", str(tmp_path / "absolute"): b"evil\n", "good": b"good\n"}
    (tmp_path / "deep").mkdir()
    path = archive(tmp_path / "deep" / "a.tgz", evil)
    assert gathered(tmp_path / "deep", {"file": str(path), "member": "good"}) == "good\n"
    assert not (tmp_path / "evil").exists() and not (tmp_path / "absolute").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_a_member_that_is_no_regular_file_is_refused(tmp_path, kind):
    path = archive(tmp_path / "a.tgz", {"a": b""}, kind=kind)
    refused(tmp_path, {"file": str(path), "member": "a"}, "a.tgz: member a is not a regular file")


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path):
    path = archive(tmp_path / "a.tgz", {"x" * 200_000: b"", "a": b"good\n"})
    refused(tmp_path, {"file": str(path), "member": "a"}, "a header of 200,0")


def test_a_zip_file_with_a_password_is_one_message(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("a", "text")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1  # the flag of encryption
    refused(tmp_path, write(tmp_path / "a.zip", bytes(data)) | {"member": "a"}, "cannot unpack .*password")


def test_a_missing_member_is_named_with_those_that_are_there(tmp_path):
    path = archive(tmp_path / "a.tgz", {"corpus/a.en": DATA})
    refused(tmp_path, {"file": str(path), "member": "a.en"}, r"no member a.en; it has \['corpus/a.en'\]")
    refused(tmp_path, {"file": str(path)}, "say which member")
    refused(tmp_path, write(tmp_path / "a.gz", gzip.compress(DATA)) | {"member": "a"}, "not an archive")


def test_a_bomb_is_stopped_wherever_it_hides(tmp_path):
    bomb = (b" " * 999 + b"\n") * 30_000
    message = "unpacks to more than 10,000,000 bytes"
    refused(tmp_path, write(tmp_path / "a.gz", gzip.compress(bomb)), message)
    refused(tmp_path, {"file": str(archive(tmp_path / "a.tgz", {"a": bomb})), "member": "a"}, message)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a", bomb)
    refused(tmp_path, {"file": str(tmp_path / "a.zip"), "member": "a"}, message)


def spoilt(data):
    return data[: len(data) // 2] + b"x" * 50 + data[len(data) // 2 + 50 :]


@pytest.mark.parametrize("damage", [lambda data: data[:-100], spoilt])
@pytest.mark.parametrize("suffix, pack", [(".gz", gzip.compress), (".xz", lzma.compress), (".bz2", bz2.compress)])
def test_a_damaged_file_is_refused(tmp_path, suffix, pack, damage):
    refused(tmp_path, write(tmp_path / f"a{suffix}", damage(pack(DATA))), f"a{suffix}")


@pytest.mark.parametrize("damage", [lambda data: data[:-2000], spoilt])
def test_a_damaged_archive_is_refused(tmp_path, damage):
    path = archive(tmp_path / "a.tgz", {"a": DATA})
    refused(tmp_path, write(path, damage(path.read_bytes())) | {"member": "a"}, "a.tgz")


def test_a_blank_row_of_a_table_is_a_blank_line_on_every_side(tmp_path):
    source = write(tmp_path / "a.tsv", b"a\tb\n\nc\td\n")
    assert gathered(tmp_path, source | {"column": 1}) == "a\n\nc\n"
    assert gathered(tmp_path, source | {"column": 2}) == "b\n\nd\n"


def test_a_byte_order_mark_is_no_text(tmp_path):
    assert gathered(tmp_path, write(tmp_path / "a", "\ufeffone\n\ufefftwo\n".encode())) == "one\ntwo\n"


def test_the_hash_of_a_local_file_is_checked_too(tmp_path):
    file = {"path": write(tmp_path / "a", DATA)["file"], "sha256": hashlib.sha256(DATA).hexdigest(), "lines": 20_000}
    assert gathered(tmp_path, located(of_language({"en": file, "de": "x"}, "en"), "")) == TEXT
    wrong = located(of_language({"en": file | {"sha256": "0" * 64}, "de": "x"}, "en"), "")
    refused(tmp_path / "b", wrong, "a is not the expected file: its sha256 is")


def test_a_wrong_number_of_lines_is_refused(tmp_path):
    source = write(tmp_path / "a", b"one\ntwo\n")
    assert gathered(tmp_path, source | {"lines": 2}) == "one\ntwo\n"
    refused(tmp_path / "b", source | {"lines": 3}, "a has 2 lines; it should have 3")


def test_bad_text_inside_an_archive_is_named_with_its_member_and_line(tmp_path):
    path = archive(tmp_path / "a.tgz", {"b": b"good\nbad \xff\n"})
    refused(tmp_path, {"file": str(path), "member": "b"}, "a.tgz:b, line 2: invalid UTF-8 at byte 4")


def test_tags_are_left_out_but_the_text_of_segments_is_kept(tmp_path):
    source = write(tmp_path / "a", b"<url>http://a</url>\n Hello < world\n  <title>x</title>\nBye\n")
    assert gathered(tmp_path, source | {"markup": "iwslt"}) == " Hello < world\nBye\n"
    source = write(tmp_path / "b", b'<doc id="1">\n<seg id="1"> One </seg>\n <seg id="2"></seg>\n</doc>\n')
    assert gathered(tmp_path, source | {"markup": "iwslt"}) == "One\n\n"


def test_a_packed_member_of_an_archive_is_unpacked_too_and_bounded(tmp_path):
    path = archive(
        tmp_path / "a.tar", {"a.gz": gzip.compress(DATA), "bomb.gz": gzip.compress((b" " * 999 + b"\n") * 200_000)}, "w"
    )
    assert gathered(tmp_path, {"file": str(path), "member": "a.gz"}) == TEXT
    refused(tmp_path / "b", {"file": str(path), "member": "bomb.gz"}, "unpacks to more than")


def test_a_test_set_of_sacrebleu_gives_either_side(tmp_path, monkeypatch):
    write(tmp_path / "en", b"one\n"), write(tmp_path / "de", b"eins\n")
    cache = tmp_path / "cache/wmt14/full"
    cache.mkdir(parents=True)
    for field in ("src", "ref", "docid", "genre", "origlang"):
        (cache / f"wmt14_full.en-de.{field}").write_bytes({"src": b"one\n", "ref": b"eins\n"}.get(field, b"x\n"))
    part = {"sacrebleu": "wmt14/full", "pair": "en-de", "lines": 1}
    monkeypatch.setenv("SACREBLEU", str(tmp_path / "cache"))
    assert gathered(tmp_path, of_language(part, "en")) == "one\n"
    assert gathered(tmp_path, of_language(part, "de")) == "eins\n"
    with pytest.raises(UserError, match="lacks 'fr'"):
        of_language(part, "fr")


def test_a_test_set_that_sacrebleu_cannot_get_is_one_message(tmp_path):
    source = of_language({"sacrebleu": "no-such-set", "pair": "en-de"}, "en")
    refused(tmp_path, source, "sacrebleu cannot give its test set no-such-set in en-de")


def test_a_test_set_that_does_not_come_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("xlmd.data.sources._PATIENCE", 0.01)
    source = of_language({"sacrebleu": "wmt14/full", "pair": "en-de"}, "en")
    refused(tmp_path, source, "sacrebleu cannot give its test set wmt14/full in en-de: not there after")


@pytest.mark.parametrize(
    "part, source",
    [
        ({"en": "a.en", "de": "a.de"}, {"file": {"path": "a.de"}}),
        ({"en": "x", "de": {"url": "http://b/a.de", "lines": 3}},
         {"file": {"url": "http://b/a.de", "lines": 3}, "lines": 3}),
        ({"file": "http://a.tgz", "members": {"de": "x/de"}, "lines": 2},
         {"file": {"url": "http://a.tgz"}, "member": "x/de", "lines": 2}),
        ({"file": {"url": "http://a.tsv", "lines": 5}, "columns": {"de": 4}},
         {"file": {"url": "http://a.tsv", "lines": 5}, "column": 4, "lines": 5}),
        ({"file": "a.tsv", "columns": {"de": 4}, "member": "m"},
         {"file": {"path": "a.tsv"}, "column": 4, "member": "m"}),
    ],
)  # fmt: skip
def test_a_part_tells_where_a_language_is(part, source):
    assert of_language(part, "de") == source
    with pytest.raises(UserError, match="'fr'"):
        of_language(part, "fr")


@pytest.mark.parametrize("padding", [b"", b"\r\n", b"\n", b"\0" * 700, b"\r\n" * 50_000])
def test_a_gzip_file_with_padding_after_it_is_what_gunzip_takes(tmp_path, padding):
    data = gzip.compress(DATA) + gzip.compress(b"more\n") + padding
    assert gathered(tmp_path, write(tmp_path / "a.gz", data)) == TEXT + "more\n"
    path = archive(tmp_path / "a.tgz", {"a": DATA})
    assert gathered(tmp_path, write(path, path.read_bytes() + padding) | {"member": "a"}) == TEXT


def test_anything_else_after_a_gzip_file_is_damage(tmp_path):
    refused(tmp_path, write(tmp_path / "a.gz", gzip.compress(DATA) + b"\r\nmore"), "a.gz is damaged")
