"""Fetching a corpus file from a mirror or its public address, checked and unpacked."""

import gzip
import hashlib
import http.client
import logging
import shutil
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from pathlib import Path
from typing import IO

from xlmd.errors import UserError
from xlmd.files import atomic_write
from xlmd.progress import progress

logger = logging.getLogger(__name__)

# text shrinks to a third or a tenth; what shrinks to less than a hundredth was made to fill a disk
MAX_RATIO = 100
ALWAYS_ALLOWED_BYTES = 10_000_000

_BLOCK = 1 << 20
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}


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
    """Write the file at `url` to `out`, unpacked if `url` ends in .gz and `out` does not.

    mirror: a folder or an http(s) or file URL prefix in which `mirror_path` is tried first. sha256: of the file as it
    is offered, before unpacking, checked wherever it came from; None means that it is not known, and warns. A broken
    transfer is resumed up to `retries` times, after `wait`, 2·wait, 4·wait… seconds; so is one in which nothing
    arrives for `timeout` seconds. Raises UserError, and leaves nothing under the name `out`, if no address has the
    file, its hash is wrong, it is not the gzip file that its name promises, or it unpacks to more than text could.
    """
    out = Path(out)
    addresses = ([_in_mirror(mirror, mirror_path)] if mirror else []) + [url]
    with atomic_write(out, "wb") as handle, tempfile.TemporaryFile(dir=out.parent) as received:
        address = _receive_from_any(addresses, received, retries, timeout, wait)
        _verify(received, address, sha256)
        if url.endswith(".gz") and out.suffix != ".gz":
            _unpack(received, handle, address)
        else:
            received.seek(0)
            shutil.copyfileobj(received, handle, _BLOCK)


class _TransferError(Exception):
    """A transfer failed; `lasting` if another attempt at the same address cannot help."""

    def __init__(self, reason: object, lasting: bool = False) -> None:
        super().__init__(str(reason))
        self.lasting = lasting


def _in_mirror(mirror: str, path: str) -> str:
    if "://" in mirror:
        return f"{mirror.rstrip('/')}/{urllib.parse.quote(path)}"
    return (Path(mirror).expanduser().absolute() / path).as_uri()


def _receive_from_any(addresses: list[str], handle: IO[bytes], retries: int, timeout: float, wait: float) -> str:
    """Receive the file from the first address that has it; returns that address."""
    failures = []
    for address in addresses:
        handle.seek(0)
        handle.truncate()
        try:
            _receive(address, handle, retries, timeout, wait)
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
            handle.seek(0)
            handle.truncate()
            raise _TransferError(error) from error
        raise _TransferError(error, lasting=error.code not in _TRY_AGAIN) from error
    except ValueError as error:
        raise _TransferError(error, lasting=True) from error
    except (OSError, http.client.HTTPException) as error:
        raise _TransferError(getattr(error, "reason", error), lasting=address.startswith("file:")) from error
    with response:
        if start and response.status != 206:
            start = 0
            handle.seek(0)
            handle.truncate()
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


def _verify(handle: IO[bytes], address: str, sha256: str | None) -> None:
    handle.seek(0)
    found = hashlib.file_digest(handle, "sha256").hexdigest()
    if sha256 is None:
        logger.warning("UNVERIFIED: no sha256 is known for %s; what came has %s", address, found)
    elif found != sha256.lower():
        raise UserError(f"{address} is not the expected file: its sha256 should be {sha256} but is {found}")


def _unpack(packed: IO[bytes], out: IO[bytes], address: str) -> None:
    size = packed.seek(0, 2)
    packed.seek(0)
    opening = packed.read(40)
    if not opening.startswith(b"\x1f\x8b"):
        raise UserError(f"{address} is not a gzip file: it starts with {opening!r}")
    packed.seek(0)
    limit = max(MAX_RATIO * size, ALWAYS_ALLOWED_BYTES)
    with gzip.GzipFile(fileobj=packed) as unpacked:
        while block := _inflate(unpacked, address):
            if unpacked.tell() > limit:
                raise UserError(f"{address} unpacks to more than {limit:,} bytes from {size:,}: that is no text")
            out.write(block)


def _inflate(unpacked: gzip.GzipFile, address: str) -> bytes:
    try:
        return unpacked.read(_BLOCK)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{address} is a damaged gzip file: {error}") from error
