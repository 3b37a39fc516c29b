import gzip
import hashlib
import logging
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from xlmd.data import download
from xlmd.data.download import fetch
from xlmd.errors import UserError

TEXT = "".join(f"line {number} of the corpus\n" for number in range(20_000)).encode()
PACKED = gzip.compress(TEXT, mtime=0)


def _sha256(data):
    return hashlib.sha256(data).hexdigest()


class _Server(ThreadingHTTPServer):
    """Answers each path by the function set for it in `answers`; keeps the requests it got."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers, self.requests = {}, []

    def url(self, path):
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append((self.path, self.headers.get("Range")))
        answer = self.server.answers.get(self.path)
        if answer is None:
            self.send_error(404)
        else:
            answer(self)

    def log_message(self, *arguments):
        pass

    def reply(self, data, status=200, length=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def server():
    server = _Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def _whole(data):
    return lambda handler: handler.reply(data)


def _dies_after(data, count):
    """Sends `count` bytes of what is asked for and closes; honours ranges."""

    def answer(handler):
        start = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
        handler.reply(data[start : start + count], 206 if start else 200, len(data) - start)

    return answer


def _nothing_in(folder):
    return not folder.exists() or list(folder.iterdir()) == []


def test_a_file_is_checked_and_stays_as_it_is(server, tmp_path):
    server.answers["/a.gz"] = _whole(PACKED)
    fetch(server.url("/a.gz"), _sha256(PACKED), tmp_path / "out" / "a.gz")
    assert (tmp_path / "out" / "a.gz").read_bytes() == PACKED
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.gz"]


def test_a_mirror_folder_is_tried_before_the_public_address(server, tmp_path):
    (tmp_path / "my mirror" / "corpus").mkdir(parents=True)
    (tmp_path / "my mirror" / "corpus" / "a").write_bytes(TEXT)
    server.answers["/a"] = _whole(b"public")
    fetch(server.url("/a"), _sha256(TEXT), tmp_path / "out", str(tmp_path / "my mirror"), "corpus/a")
    assert (tmp_path / "out").read_bytes() == TEXT and server.requests == []


def test_a_mirror_may_be_a_url_prefix(server, tmp_path):
    server.answers["/mirror/corpus/a"] = _whole(TEXT)
    fetch(server.url("/a"), _sha256(TEXT), tmp_path / "out", server.url("/mirror/"), "corpus/a")
    assert (tmp_path / "out").read_bytes() == TEXT


def test_what_the_mirror_lacks_comes_from_the_public_address(server, tmp_path):
    server.answers["/a"] = _whole(TEXT)
    for mirror in (str(tmp_path), tmp_path.as_uri(), server.url("/mirror")):
        fetch(server.url("/a"), _sha256(TEXT), tmp_path / "out", mirror, "corpus/a", wait=0.0)
        assert (tmp_path / "out").read_bytes() == TEXT


def test_a_wrong_hash_names_the_file_and_both_hashes_from_the_mirror_too(server, tmp_path):
    server.answers["/a"] = _whole(b"tampered")
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "a").write_bytes(b"tampered")
    for mirror, name in ((None, server.url("/a")), (str(tmp_path / "mirror"), "mirror/a")):
        with pytest.raises(UserError) as error:
            fetch(server.url("/a"), _sha256(TEXT), tmp_path / "out" / "a", mirror, "a")
        assert all(part in str(error.value) for part in (name, _sha256(TEXT), _sha256(b"tampered")))
        assert _nothing_in(tmp_path / "out")


def test_a_failed_download_leaves_an_earlier_file_as_it_was(server, tmp_path):
    (tmp_path / "a").write_bytes(b"earlier")
    with pytest.raises(UserError):
        fetch(server.url("/a"), None, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"earlier"


def test_a_file_whose_hash_is_not_known_is_taken_with_a_loud_warning(server, tmp_path, caplog):
    server.answers["/a"] = _whole(TEXT)
    with caplog.at_level(logging.WARNING):
        fetch(server.url("/a"), None, tmp_path / "a")
    assert "UNVERIFIED" in caplog.text and _sha256(TEXT) in caplog.text


def test_a_dying_transfer_is_resumed_where_it_broke(server, tmp_path):
    third = len(TEXT) // 3 + 1
    server.answers["/a"] = _dies_after(TEXT, third)
    fetch(server.url("/a"), _sha256(TEXT), tmp_path / "a", wait=0.0)
    assert (tmp_path / "a").read_bytes() == TEXT
    assert [asked for _, asked in server.requests] == [None, f"bytes={third}-", f"bytes={2 * third}-"]


def test_a_server_that_cannot_resume_is_read_from_the_start_again(server, tmp_path):
    attempts = iter([TEXT[:1000], TEXT])
    server.answers["/a"] = lambda handler: handler.reply(next(attempts), length=len(TEXT))
    fetch(server.url("/a"), _sha256(TEXT), tmp_path / "a", wait=0.0)
    assert (tmp_path / "a").read_bytes() == TEXT


def test_a_busy_server_is_tried_again_and_a_missing_file_is_not(server, tmp_path):
    answers = iter([503, 200])
    server.answers["/busy"] = lambda handler: handler.reply(TEXT, status=next(answers))
    fetch(server.url("/busy"), _sha256(TEXT), tmp_path / "a", wait=0.0)
    with pytest.raises(UserError, match="cannot download .*missing.*404"):
        fetch(server.url("/missing"), None, tmp_path / "b", wait=0.0)
    assert [path for path, _ in server.requests] == ["/busy", "/busy", "/missing"]


def test_a_server_that_keeps_dying_is_given_up_with_one_message(server, tmp_path):
    server.answers["/a"] = _dies_after(TEXT, 10)
    with pytest.raises(UserError, match=r"cannot download .*closed after 30 of"):
        fetch(server.url("/a"), None, tmp_path / "out" / "a", retries=2, wait=0.0)
    assert len(server.requests) == 3 and _nothing_in(tmp_path / "out")


def test_a_silent_server_is_given_up_after_the_timeout(server, tmp_path):
    def silent(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        time.sleep(1.0)

    server.answers["/a"] = silent
    start = time.monotonic()
    with pytest.raises(UserError, match="timed out"):
        fetch(server.url("/a"), None, tmp_path / "out" / "a", retries=1, timeout=0.1, wait=0.0)
    assert time.monotonic() - start < 1.0 and _nothing_in(tmp_path / "out")


def test_no_server_at_all_and_an_unknown_kind_of_address_are_named(tmp_path):
    with pytest.raises(UserError, match="cannot download http://127.0.0.1:9/a .*refused"):
        fetch("http://127.0.0.1:9/a", None, tmp_path / "out" / "a", retries=1, wait=0.0)
    with pytest.raises(UserError, match="cannot download carrier-pigeon:a"):
        fetch("carrier-pigeon:a", None, tmp_path / "out" / "a", wait=0.0)
    assert _nothing_in(tmp_path / "out")


@pytest.mark.parametrize("suffix", [".gz", ".tgz", ".zip", ".xz", ".bz2"])
def test_a_web_page_in_place_of_a_packed_file_is_shown_for_what_it_is(server, tmp_path, suffix):
    server.answers[f"/a{suffix}"] = _whole(b"<!DOCTYPE html><html>Please log in</html>")
    with pytest.raises(UserError, match=f"not a {suffix} file: it starts with .*DOCTYPE"):
        fetch(server.url(f"/a{suffix}"), None, tmp_path / "out" / f"a{suffix}")
    assert _nothing_in(tmp_path / "out")


def test_what_a_killed_process_had_received_is_taken_up(server, tmp_path):
    server.answers["/a"] = _dies_after(TEXT, len(TEXT))
    (tmp_path / ".a.part").write_bytes(TEXT[:1000])
    fetch(server.url("/a"), _sha256(TEXT), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == TEXT
    assert server.requests == [("/a", "bytes=1000-")] and not (tmp_path / ".a.part").exists()


@pytest.mark.parametrize("left", [b"of another file", TEXT + b"too long"])
def test_what_is_left_of_another_file_is_found_out_and_fetched_anew(server, tmp_path, left):
    def answer(handler):
        start = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
        if start > len(TEXT):
            handler.send_error(416)
        else:
            _dies_after(TEXT, len(TEXT))(handler)

    server.answers["/a"] = answer
    (tmp_path / ".a.part").write_bytes(left)
    fetch(server.url("/a"), _sha256(TEXT), tmp_path / "a", wait=0.0)
    assert (tmp_path / "a").read_bytes() == TEXT


def test_without_a_hash_nothing_left_is_trusted(server, tmp_path):
    server.answers["/a"] = _dies_after(TEXT, len(TEXT))
    (tmp_path / ".a.part").write_bytes(TEXT[:1000])
    fetch(server.url("/a"), None, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == TEXT and server.requests == [("/a", None)]


def test_a_transfer_given_up_is_kept_for_the_next_attempt_if_a_hash_can_check_it(server, tmp_path):
    server.answers["/a"] = _dies_after(TEXT, 1000)
    with pytest.raises(UserError, match="cannot download"):
        fetch(server.url("/a"), _sha256(TEXT), tmp_path / "a", retries=1, wait=0.0)
    assert (tmp_path / ".a.part").read_bytes() == TEXT[:2000] and not (tmp_path / "a").exists()


def test_a_full_disk_is_not_taken_for_a_broken_network(server, tmp_path, monkeypatch):
    class FullDisk:
        def __init__(self, handle):
            self.handle = handle

        def __getattr__(self, name):
            return getattr(self.handle, name)

        def write(self, block):
            raise OSError(28, "No space left on device")

    receive = download._receive_rest
    monkeypatch.setattr(download, "_receive_rest", lambda a, handle, t: receive(a, FullDisk(handle), t))
    server.answers["/a"] = _whole(TEXT)
    with pytest.raises(UserError, match="cannot write .*a: No space left"):
        fetch(server.url("/a"), None, tmp_path / "out" / "a", wait=0.0)
    assert len(server.requests) == 1 and _nothing_in(tmp_path / "out")
