"""Fetching a corpus file from a mirror or its public address, checked."""

import http.client
import logging
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import IO

from xlmd.errors import UserError
from xlmd.files import file_sha256
from xlmd.progress import progress

logger = logging.getLogger(__name__)

_BLOCK = 1 << 20
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_BEGINNINGS = {".gz": b"\x1f\x8b", ".tgz": b"\x1f\x8b", ".xz": b"\xfd7zXZ", ".bz2": b"BZh", ".zip": b"PK"}


def fetch(
    url: str,
    sha256: str | None,
    out: str | Path,
    mirror: str | None = None,
    mirror_path: str = "",
    retries: int = 3,
    *,
    timeout: float = 30.0,
    wait: float = 1.0,
) -> None:
    """Write the file at `url` to `out`, as it is.

    mirror: a folder or an http(s) or file URL prefix in which `mirror_path` is tried first. sha256: of the file,
    checked wherever it came from; None means that it is not known, and warns. A broken transfer is resumed up to
    `retries` times, after `wait`, 2·wait, 4·wait… seconds; so is one in which nothing arrives for `timeout` seconds.
    What a killed process had received is kept as `.NAME.part` and taken up by the next one, if the hash can tell that
    both halves are of one file. Raises UserError, and leaves nothing under the name `out`, if no address has the file,
    its hash is wrong, or it does not begin as a packed file of its name does.
    """
    out = Path(out)
    addresses = ([_in_mirror(mirror, mirror_path)] if mirror else []) + [url]
    partial = out.with_name(f".{out.name}.part")
    wanted = False
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        left = partial.exists() and sha256 is not None
        wanted = sha256 is not None
        address = _receive_from_any(addresses, partial, left, retries, timeout, wait)
        if left and sha256 is not None and file_sha256(partial) != sha256.lower():
            address = _receive_from_any(addresses, partial, False, retries, timeout, wait)
        wanted = False
        _verify(partial, address, sha256, out.suffix)
        os.replace(partial, out)
    except OSError as error:
        wanted = False
        raise UserError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        if partial.exists() and not (wanted and partial.stat().st_size):
            partial.unlink()


class _TransferError(Exception):
    """A transfer failed; `lasting` if another attempt at the same address cannot help."""

    def __init__(self, reason: object, lasting: bool = False) -> None:
        super().__init__(str(reason))
        self.lasting = lasting


def _in_mirror(mirror: str, path: str) -> str:
    if "://" in mirror:
        return f"{mirror.rstrip('/')}/{urllib.parse.quote(path)}"
    return (Path(mirror).expanduser().absolute() / path).as_uri()


def _receive_from_any(
    addresses: list[str], partial: Path, left: bool, retries: int, timeout: float, wait: float
) -> str:
    """Receive the file into `partial` from the first address that has it, and return that address.

    left: whether to go on with what `partial` holds.
    """
    failures = []
    with open(partial, "a+b") as handle:
        for address in addresses:
            if not left:
                handle.truncate(0)
            try:
                _receive(address, handle, retries, timeout, wait)
                handle.flush()
                os.fsync(handle.fileno())
                return address
            except _TransferError as error:
                logger.info("%s: %s", address, error)
                failures.append(f"{address} ({error})")
    raise UserError("cannot download " + ", nor ".join(failures))


def _receive(address: str, handle: IO[bytes], retries: int, timeout: float, wait: float) -> None:
    for attempt in range(retries + 1):
        try:
            return _receive_rest(address, handle, timeout)
        except _TransferError as error:
            if error.lasting or attempt == retries:
                raise
            pause = wait * 2**attempt
            logger.warning("%s: %s; trying again in %g s", address, error, pause)
            time.sleep(pause)


def _receive_rest(address: str, handle: IO[bytes], timeout: float) -> None:
    """Append what `handle` lacks of the file, or start over if the server cannot resume."""
    start = handle.seek(0, 2)
    try:
        headers = {"User-Agent": "xlmd", **({"Range": f"bytes={start}-"} if start else {})}
        response = urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # what we have does not fit what is there
            handle.truncate(0)
            raise _TransferError(error) from error
        raise _TransferError(error, lasting=error.code not in _TRY_AGAIN) from error
    except ValueError as error:
        raise _TransferError(error, lasting=True) from error
    except (OSError, http.client.HTTPException) as error:
        raise _TransferError(getattr(error, "reason", error), lasting=address.startswith("file:")) from error
    with response:
        if start and response.status != 206:
            start = 0
            handle.truncate(0)
        length = response.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        with progress(
            desc=f"download {Path(address).name}", initial=start, total=total, unit="B", unit_scale=True
        ) as bar:
            while block := _read(response):
                handle.write(block)
                bar.update(len(block))
    if total is not None and handle.tell() != total:
        raise _TransferError(f"the connection closed after {handle.tell():,} of {total:,} bytes")


def _read(response: IO[bytes]) -> bytes:
    """The next block; apart, so that a failing network is not mistaken for a failing disk."""
    try:
        return response.read(_BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise _TransferError(error) from error


def _verify(file: Path, address: str, sha256: str | None, suffix: str) -> None:
    with open(file, "rb") as handle:
        opening = handle.read(40)
    beginning = _BEGINNINGS.get(suffix, b"")
    if not opening.startswith(beginning):
        raise UserError(f"{address} is not a {suffix} file: it starts with {opening!r}")
    found = file_sha256(file)
    if sha256 is None:
        logger.warning("UNVERIFIED: no sha256 is known for %s; what came has %s", address, found)
    elif found != sha256.lower():
        raise UserError(f"{address} is not the expected file: its sha256 should be {sha256} but is {found}")
