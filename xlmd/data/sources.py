"""Raw text of a corpus from the files that it came in: plain, packed, tab-separated, or inside an archive.

Nothing is ever unpacked to disk under a name that an archive chose: the one member that the configuration names is read
as a stream. What unpacks to far more than text could is refused.
"""

import bz2
import gzip
import io
import lzma
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import urllib.parse
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from xlmd.data.gzipped import open_gzip
from xlmd.data.markup import text_between_tags
from xlmd.data.text import lines_of
from xlmd.errors import UserError
from xlmd.files import atomic_write, file_sha256
from xlmd.progress import progress

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# text shrinks to a third or a tenth; what shrinks to less than a hundredth was made to fill a disk
MAX_RATIO = 100
ALWAYS_ALLOWED_BYTES = 10_000_000
_LONGEST_HEADER = 100_000
_NAME_IT = "give it a `name` beside its `url`"
_PATIENCE = 1800  # seconds

_PACKED: dict[str, Callable[..., AbstractContextManager[IO[bytes]]]] = {
    ".gz": open_gzip,
    ".xz": lzma.open,
    ".bz2": bz2.open,
}
_TAR = (".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2")
_DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile)


def sources_of(corpus: dict[str, Any], split: str, language: str) -> list[dict[str, Any]]:
    """What of a corpus of the configuration holds one language of a split, part by part (`of_language`).

    Raises UserError if the corpus does not have the split.
    """
    if split not in corpus["splits"]:
        raise UserError(f"there is no split {split!r}, only {sorted(corpus['splits'])}")
    return [of_language(part, language) for part in corpus["splits"][split]]


def has_language(corpus: dict[str, Any], split: str, language: str) -> bool:
    """Whether a split of a corpus of the configuration has the language in every part."""
    try:
        return bool(sources_of(corpus, split, language))
    except UserError:
        return False


def downloads(name: str, corpus: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """{file name: {url, sha256, …}} of what a corpus of the configuration needs from elsewhere.

    A sha256 given once for an address holds wherever it stands. Raises UserError if two addresses have one name, or one
    has none or two hashes.
    """
    found: dict[str, dict[str, Any]] = {}
    for split, parts in corpus["splits"].items():
        for part in parts:
            for file in (as_file(entry) for key, entry in part.items() if key == "file" or key in corpus["languages"]):
                if "url" not in file:
                    continue
                where = f"config, at corpora.{name}.splits.{split}"
                called = file_name(file)
                if called in ("", ".", "..") or re.search(r"[{}\x00-\x1f\x7f]", called):
                    raise UserError(f"{where}: {file['url']} tells no good name of a file, but {called!r}; {_NAME_IT}")
                known = found.setdefault(called, file)
                if known["url"] != file["url"]:
                    raise UserError(
                        f"{where}: two files are called {called}, {known['url']} and {file['url']}; {_NAME_IT}"
                    )
                hashes = {entry["sha256"] for entry in (known, file) if entry.get("sha256")}
                if len(hashes) > 1:
                    raise UserError(f"{where}: {file['url']} has two hashes, {' and '.join(sorted(hashes))}")
                found[called] = known if known.get("sha256") else file
    return found


def file_name(file: dict[str, Any]) -> str:
    """What a downloaded file is called: its own `name`, or the end of its address.

    Where the address asks a script for a file (download.php?f=moses/de-en.txt.zip), the end is that of the question.
    """
    if "name" in file:
        return file["name"]
    address = urllib.parse.urlsplit(file["url"])
    asked = [Path(value).name for _, value in urllib.parse.parse_qsl(address.query)]
    named = [name for name in asked if re.search(r"\.[A-Za-z][A-Za-z0-9]*$", name)]
    return named[-1] if named else Path(urllib.parse.unquote(address.path)).name


def local_path(file: dict[str, Any], folder: str) -> str:
    """Where a file is: its own path, or in the `folder` of downloads."""
    return file["path"] if "path" in file else f"{folder}/{file_name(file)}"


def of_language(part: dict[str, Any], language: str) -> dict[str, Any]:
    """What of one part of a split holds a language: {file, member, column, markup, lines}, or {sacrebleu, pair, side}.

    part: as in the configuration, `corpora.NAME.splits.SPLIT[i]`. `file` is a mapping with `url` or `path`. Raises
    UserError if the part does not have the language.
    """
    if "sacrebleu" in part:
        if language not in part["pair"].split("-"):
            raise UserError(f"sacrebleu's {part['sacrebleu']} is asked for {part['pair']}, which lacks {language!r}")
        return part | {"side": part["pair"].split("-").index(language)}
    found: dict[str, Any] = {key: part[key] for key in ("markup", "lines", "member") if key in part}
    if "file" not in part:
        if language not in part:
            raise UserError(f"a part of {sorted(part)} lacks {language!r}")
        return _with_lines(found | {"file": as_file(part[language])})
    for name, key in (("members", "member"), ("columns", "column")):
        if name in part:
            if language not in part[name]:
                raise UserError(f"{name} of {as_file(part['file'])} lack {language!r}")
            found[key] = part[name][language]
    return _with_lines(found | {"file": as_file(part["file"])})


def _with_lines(source: dict[str, Any]) -> dict[str, Any]:
    """A source with the number of lines that its file is said to have, unless it says so itself."""
    return ({"lines": source["file"]["lines"]} if "lines" in source["file"] else {}) | source


def as_file(entry: str | dict[str, Any]) -> dict[str, Any]:
    """A file of the configuration as a mapping: a bare string is an address if it has a scheme, else a path."""
    if isinstance(entry, str):
        return {"url" if "://" in entry else "path": entry}
    return entry


def located(source: dict[str, Any], folder: str) -> dict[str, Any]:
    """A source with a path for its `file`, and the sha256 of one that no download has checked."""
    if "file" not in source:
        return source
    file = source["file"]
    own = {"sha256": file["sha256"]} if "path" in file and file.get("sha256") else {}
    return source | {"file": local_path(file, folder)} | own


def gather(sources: list[dict[str, Any]], out: str | Path) -> None:
    """Write the lines of several sources, one after the other, to the file `out`, as `xlmd.data.text` reads them.

    sources: as `located` gives them. Raises UserError naming file and line for anything that cannot be read as text,
    and for a source that has not the `sha256` or as many `lines` as it should.
    """
    for source in sources:
        if "sha256" in source and (found := file_sha256(source["file"])) != source["sha256"].lower():
            raise UserError(f"{source['file']} is not the expected file: its sha256 is {found}, not {source['sha256']}")
    with atomic_write(out) as handle:
        for source in sources:
            count, expected = 0, source.get("lines")
            for line in progress(read(source), desc=f"gather {Path(out).name}", unit=" lines", total=expected):
                handle.write(line + "\n")
                count += 1
            if expected not in (None, count):
                raise UserError(f"{_name(source)} has {count:,} lines; it should have {expected:,}")


def read(source: dict[str, Any]) -> Iterator[str]:
    """The lines of one source."""
    if "sacrebleu" in source:
        yield from _test_set(source["sacrebleu"], source["pair"], source["side"])
        return
    with _opened(Path(source["file"]), source.get("member")) as handle:
        lines = lines_of(handle, _name(source))
        if "column" in source:
            lines = _column(lines, source["column"], _name(source))
        yield from lines if source.get("markup") != "iwslt" else text_between_tags(lines, _name(source))


def _name(source: dict[str, Any]) -> str:
    if "sacrebleu" in source:
        return f"sacrebleu's {source['sacrebleu']}"
    return f"{source['file']}:{source['member']}" if "member" in source else str(source["file"])


def _column(lines: Iterator[str], column: int, name: str) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        fields = line.split("\t")
        if not line.strip():
            yield ""  # on every side, so that the pair is left out as empty
            continue
        if len(fields) < column:
            raise UserError(f"{name}, line {number}: {len(fields)} columns, but column {column} is asked for")
        yield fields[column - 1]


def _test_set(name: str, pair: str, side: int) -> Iterator[str]:
    """One side of a test set of sacrebleu, which downloads it and checks its MD5.

    It does so into a folder of this call's own: jobs that share a cache read each other's half-written files, and one
    that was killed leaves them. Where SACREBLEU names a folder, as on a machine without internet, that is used.
    """
    with tempfile.TemporaryDirectory() as own:
        environment = {"SACREBLEU": own} | os.environ
        command = [sys.executable, "-m", "sacrebleu", "-t", name, "-l", pair, "--echo", ("src", "ref")[side]]
        failed = f"sacrebleu cannot give its test set {name} in {pair}"
        try:
            result = subprocess.run(command, env=environment, capture_output=True, timeout=_PATIENCE)
        except subprocess.TimeoutExpired as error:  # it waits for ever for a server that sends nothing
            raise UserError(f"{failed}: not there after {_PATIENCE / 60:g} minutes") from error
        if result.returncode:
            reason = result.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise UserError(f"{failed}: {''.join(reason)}")
        yield from lines_of(io.BytesIO(result.stdout), f"sacrebleu's {name}")


@contextmanager
def _opened(path: Path, member: str | None) -> Iterator[IO[bytes]]:
    """The text in a file, or in a member of an archive, as a binary stream of bounded length."""
    try:
        with _unpacked(path, member) as handle:
            yield io.BufferedReader(_Bounded(handle, path), 1 << 20)
    except OSError as error:
        # a gzip file with a bad header is an OSError too
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except _DAMAGED as error:
        raise UserError(f"{path} is damaged: {error}") from error
    except (NotImplementedError, RuntimeError) as error:  # a zip file with a password, or packed in a way of its own
        raise UserError(f"cannot unpack {path}: {error}") from error


@contextmanager
def _unpacked(path: Path, member: str | None) -> Iterator[IO[bytes]]:
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            name = _wanted(member, path)
            if name not in archive.namelist():
                raise UserError(f"{path} has no member {name}; it has {archive.namelist()[:20]}")
            with archive.open(name) as handle, _packed(handle, name) as text:
                yield text
    elif path.name.endswith(_TAR):
        name = _wanted(member, path)
        with (
            open(path, "rb") as handle,
            _packed(handle, path.name.replace(".tgz", ".tar.gz")) as unpacked,
            tarfile.open(fileobj=_Bounded(unpacked, path), mode="r|", tarinfo=_ShortHeaders) as archive,
        ):
            names = []
            for entry in archive:
                names.append(entry.name)
                if entry.name == name:
                    break
            else:
                raise UserError(f"{path} has no member {name}; it has {names[:20]}")
            if not entry.isreg():
                raise UserError(f"{path}: member {name} is not a regular file")
            file = archive.extractfile(entry)
            assert file is not None  # as of every regular file
            with file, _packed(file, name) as text:
                yield text
    elif member is not None:
        raise UserError(f"{path} is not an archive that could have a member {member} (.zip, {', '.join(_TAR)})")
    else:
        with open(path, "rb") as handle, _packed(handle, path.name) as text:
            yield text


def _packed(handle: IO[bytes], name: str) -> AbstractContextManager[IO[bytes]]:
    """What a stream holds, unpacked if its name says that it is packed."""
    unpack = _PACKED.get(Path(name).suffix)
    return unpack(handle, "rb") if unpack else nullcontext(handle)


def _wanted(member: str | None, path: Path) -> str:
    if member is None:
        raise UserError(f"{path} is an archive: say which member of it is meant")
    return member


class _ShortHeaders(tarfile.TarInfo):
    """Refuses names and comments that would fill the memory: tarfile reads those whole."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        entry = super().frombuf(buf, encoding, errors)
        names = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
        is_header = entry.type in names or entry.type not in tarfile.SUPPORTED_TYPES
        if is_header and entry.size > _LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {entry.size:,} bytes")
        return entry


class _Bounded(io.RawIOBase):
    """What is unpacked from `path`; ends with an error where it is more than text could be."""

    def __init__(self, handle: IO[bytes], path: Path) -> None:
        self._handle, self._path, self._read = handle, path, 0
        self._limit = max(MAX_RATIO * path.stat().st_size, ALWAYS_ALLOWED_BYTES)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        room = memoryview(buffer)
        data = self._handle.read(len(room))
        self._read += len(data)
        if self._read > self._limit:
            raise UserError(f"{self._path} unpacks to more than {self._limit:,} bytes: that is no text")
        room[: len(data)] = data
        return len(data)
