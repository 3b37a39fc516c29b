"""The page's server: files that never change, the list of runs, and translations; for one person on this machine."""

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from xlmd.demo.trace import Tracer
from xlmd.errors import UserError

MOST_CHARACTERS = 1000
MOST_ITERATIONS = 16

_MOST_BYTES = 20_000  # of a request
_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_LOOPBACK = ("127.0.0.1", "localhost")
# The page loads nothing from elsewhere, and no other page may frame it.
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'none'"

logger = logging.getLogger(__name__)


class Refusal(Exception):
    """A request that is not answered as asked: status, and what the client is told."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class DemoServer(ThreadingHTTPServer):
    """Serves the page and answers it with the work of `tracers`.

    port: 0 takes a free one. Raises UserError if host or port cannot be had.
    """

    daemon_threads = True

    def __init__(self, tracers: Sequence[Tracer], host: str, port: int) -> None:
        self.tracers, self.host = tracers, host
        self.one_at_a_time = threading.Lock()  # two at once would each take longer than is shown
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"cannot serve on {host}:{port}: {reason}; --port takes another one") from error

    @property
    def address(self) -> str:
        """Where a browser finds the page."""
        return f"http://{self.host}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""
        logger.debug("a request from %s broke off", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: DemoServer
    server_version, sys_version = "xlmd", ""
    timeout = 30  # seconds for a request to arrive

    def do_GET(self) -> None:
        self._answer(self._found)

    def do_POST(self) -> None:
        self._answer(self._translated)

    def log_message(self, format: str, *args: Any) -> None:
        logger.debug(format, *args)

    def _answer(self, answer: Any) -> None:
        status = HTTPStatus.OK
        try:
            self._check_host()
            body, kind = answer()
        except Refusal as refusal:
            status, (body, kind) = refusal.status, _as_json({"error": str(refusal)})
        except UserError as error:
            status, (body, kind) = HTTPStatus.BAD_REQUEST, _as_json({"error": str(error)})
        except TimeoutError:
            raise
        except Exception:
            logger.exception("no answer to %s", self.path)
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            body, kind = _as_json({"error": "something went wrong; the log of xlmd demo says what"})
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def _check_host(self) -> None:
        """A page elsewhere whose name was made to lead here must not read our answers."""
        named = (self.headers.get("Host") or "").partition(":")[0]
        if self.server.host in _LOOPBACK and named not in _LOOPBACK:
            raise Refusal(HTTPStatus.FORBIDDEN, f"this page is at {self.server.address}")

    def _found(self) -> tuple[bytes, str]:
        path = self.path.partition("?")[0]
        if path in _FILES:
            name, kind = _FILES[path]
            return (Path(__file__).parent / name).read_bytes(), kind
        if path == "/runs":
            runs = [
                {"name": tracer.name, "engine": tracer.engine_name, "one_iteration": tracer.one_iteration}
                for tracer in self.server.tracers
            ]
            limits = {"most_characters": MOST_CHARACTERS, "most_iterations": MOST_ITERATIONS}
            return _as_json({"runs": runs} | limits)
        raise Refusal(HTTPStatus.NOT_FOUND, "there is no such page")

    def _translated(self) -> tuple[bytes, str]:
        if self.path != "/translate":
            raise Refusal(HTTPStatus.NOT_FOUND, "there is no such page")
        asked = self._read_json()
        run = _whole(asked, "run", 0, len(self.server.tracers) - 1)
        iterations = _whole(asked, "iterations", 1, MOST_ITERATIONS)
        text = _sentence(asked.get("text"))
        with self.server.one_at_a_time:
            return _as_json(self.server.tracers[run](text, iterations))

    def _read_json(self) -> Mapping[str, Any]:
        # Another site's form cannot send this type without asking first.
        if self.headers.get_content_type() != "application/json":
            raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected application/json")
        length = self.headers.get("Content-Length") or ""
        if not (length.isascii() and length.isdigit()):
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "expected a Content-Length")
        if len(length) > 9 or int(length) > _MOST_BYTES:
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {_MOST_BYTES} bytes are read")
        try:
            asked = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            asked = None
        if not isinstance(asked, dict):
            raise Refusal(HTTPStatus.BAD_REQUEST, "expected a JSON object")
        return asked


def _whole(asked: Mapping[str, Any], name: str, least: int, most: int) -> int:
    value = asked.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"{name}: expected a whole number from {least} to {most}")
    return value


def _sentence(text: Any) -> str:
    if not isinstance(text, str) or not text.strip():
        raise Refusal(HTTPStatus.BAD_REQUEST, "there is nothing to translate")
    if len(text) > MOST_CHARACTERS:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"at most {MOST_CHARACTERS} characters are translated")
    # JSON can spell halves of characters, which no text has.
    return " ".join(text.encode("utf-8", "replace").decode("utf-8").split())


def _as_json(value: Any) -> tuple[bytes, str]:
    return json.dumps(value, ensure_ascii=False).encode(), "application/json"


def serve(
    runs: Sequence[str], *, host: str = "127.0.0.1", port: int = 8000, engine: str = "auto", device: str = "auto",
    threads: int = 1,
) -> None:  # fmt: skip
    """Show trained XLM-Ds on a local page until the process is interrupted.

    runs: their folders. host, port: where to listen; by default nobody but this machine reaches it. engine, device,
    threads: see `Tracer`. Raises UserError if a run cannot be shown or the port is taken.
    """
    tracers = [Tracer(run, engine=engine, device=device, threads=threads) for run in runs]
    with DemoServer(tracers, host, port) as server:
        logger.info("the page is at %s; Ctrl-C ends it", server.address)
        server.serve_forever()
