"""Writing files so that a killed process or a full disk never leaves half of one under its real name.

Who may read them is what the umask says, as of any other program's files.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from xlmd.errors import UserError

# What comes with the package beside code: schemas, lexicons, the paper's tables, the corpora that it knows.
RESOURCES = Path(__file__).parent / "resources"


@contextmanager
def atomic_write(path: str | Path, mode: str = "w") -> Iterator[IO]:
    """Open a temporary neighbour of `path` for writing and rename it to `path` on success.

    Text is UTF-8 with "\\n" line ends whatever the platform. On any exception the temporary file is removed and
    an existing `path` is left as it was. Raises UserError if the disk is full or `path` cannot be written.
    """
    path = Path(path)
    text = "b" not in mode
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = _neighbour(path, "tmp")
        with open(
            new, mode.replace("w", "x"), encoding="utf-8" if text else None, newline="\n" if text else None
        ) as handle:
            temporary = new
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
        temporary = None
    except Exception as error:
        if (reason := _refusal(error)) is None:
            raise
        raise UserError(f"cannot write {path}: {reason}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """A temporary neighbour folder that replaces `path` on success and vanishes on any exception.

    What was written there may be read by whom the umask says, even where the writer (safetensors) has it otherwise.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = _neighbour(path, "tmp")
        new.mkdir()
        temporary = new
        yield temporary
        allowed = temporary.stat().st_mode & 0o777  # what the umask left of everything
        for inner in temporary.rglob("*"):
            inner.chmod(allowed if inner.is_dir() else allowed & 0o666)
        if path.exists():
            old = _neighbour(path, "old")
            os.replace(path, old)
            os.replace(temporary, path)
            shutil.rmtree(old)
        else:
            os.replace(temporary, path)
        temporary = None
    except Exception as error:
        if (reason := _refusal(error)) is None:
            raise
        raise UserError(f"cannot write {path}: {reason}") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _refusal(error: Exception) -> str | None:
    """Why the system refused, or None if it is not the system that did.

    Libraries written in Rust (tokenizers, safetensors) raise what the system says as exceptions of their own.
    """
    if isinstance(error, OSError):
        return error.strerror or str(error)
    told = re.search(r"\(os error (\d+)\)", str(error))
    return os.strerror(int(told[1])) if told else None


def _neighbour(path: Path, suffix: str) -> Path:
    """A hidden name beside `path` that nothing has yet."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.{suffix}")


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically, keys in the order given."""
    with atomic_write(path) as handle:
        json.dump(value, handle, indent=2, ensure_ascii=False)
        handle.write("\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file. Raises UserError naming the file (and line) if it is missing or malformed."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error


def write_lines(path: str | Path, lines: Iterator[str] | list[str]) -> None:
    """Write one line each, atomically."""
    with atomic_write(path) as handle:
        for line in lines:
            handle.write(line + "\n")


def file_sha256(path: str | Path) -> str:
    """The SHA-256 of a file in hexadecimal. Raises UserError if it cannot be read."""
    try:
        with open(path, "rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
