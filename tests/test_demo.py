"""The page shows what the model does, to nobody but this machine."""

import html
import http.client
import json
import re
import shutil
import subprocess
import threading
from urllib.parse import quote

import pytest
from run_example import write_run
from text_example import sentences

from xlmd.demo.server import DemoServer
from xlmd.demo.trace import Tracer
from xlmd.errors import UserError
from xlmd.files import read_json, write_json
from xlmd.method.masking import committed_per_block
from xlmd.translate.text import translate_text

(SENTENCE,) = sentences(1, seed=5)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return str(write_run(tmp_path_factory.mktemp("runs") / "run"))


@pytest.fixture(scope="module")
def tracer(run):
    return Tracer(run)


@pytest.fixture(scope="module")
def server(tracer):
    with DemoServer([tracer], "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def request_to(server):
    """(status, headers, body) of a request."""

    def ask(method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()

    return ask


@pytest.fixture
def translate(request_to):
    def ask(**asked):
        body = json.dumps({"run": 0, "iterations": 2, "text": SENTENCE} | asked)
        status, _, answer = request_to("POST", "/translate", body, **{"Content-Type": "application/json"})
        return status, json.loads(answer)

    return ask


@pytest.mark.parametrize("iterations", [1, 4])
def test_the_last_iteration_is_what_translate_gives(tracer, run, iterations):
    traced = tracer(SENTENCE, iterations)
    assert [traced["translation"]] == translate_text([SENTENCE], run=run, decoding={"iterations": iterations})
    assert len(traced["iterations"]) == iterations
    assert traced["milliseconds"] >= sum(one["milliseconds"] for one in traced["iterations"]) > 0


def test_what_is_kept_stays_and_only_the_rest_is_predicted_anew(tracer):
    rows = [one["cells"] for one in tracer(SENTENCE, 4)["iterations"]]
    for number, (row, following) in enumerate(zip(rows, rows[1:], strict=False), start=1):
        assert sum(cell["kept"] for cell in row[:4]) == committed_per_block(number, 4, 4)
        for cell, later in zip(row, following, strict=True):
            assert cell["kept"] != later["predicted"]
            if cell["kept"]:
                assert (later["piece"], later["probability"]) == (cell["piece"], cell["probability"])
    assert all(cell["predicted"] for cell in rows[0]) and all(cell["kept"] for cell in rows[-1])


def test_blanks_and_repeats_are_what_collapsing_takes_away(tracer):
    for iteration in tracer(SENTENCE, 2)["iterations"]:
        kinds = {cell["kind"] for cell in iteration["cells"]}
        assert "token" in kinds and kinds <= {"token", "blank", "repeat"}
        left = "".join(cell["piece"] for cell in iteration["cells"] if cell["kind"] == "token")
        assert left.replace("▁", " ").split() == iteration["translation"].split()


def test_a_run_of_another_system_has_nothing_to_show(run, tmp_path, monkeypatch):
    monkeypatch.setattr("xlmd.demo.trace.load_engine", lambda *_: (type("CMLM", (), {"name": "cmlm"})(), None))
    with pytest.raises(UserError, match="is a cmlm: only an XLM-D"):
        Tracer(run)
    with pytest.raises(UserError, match=r"run\.json"):
        Tracer(str(tmp_path))


def test_the_page_loads_nothing_from_elsewhere(request_to):
    status, headers, page = request_to("GET", "/?text=a")
    assert status == 200 and "default-src 'none'" in headers["Content-Security-Policy"]
    for path in re.findall(r'(?:src|href)="([^"]+)"', page):
        status, _, body = request_to("GET", f"/{path}")
        assert status == 200 and "http" not in body


def test_a_translation_by_http_is_the_tracers(translate, tracer):
    status, answer = translate(text=f"  {SENTENCE}\n")
    assert status == 200 and answer["translation"] == tracer(SENTENCE, 2)["translation"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"text": " \n"}, "nothing to translate"),
        ({"text": 5}, "nothing to translate"),
        ({"text": "a" * 1001}, "at most 1000 characters"),
        ({"text": "z " * 499}, "this model takes 198 at most"),
        ({"iterations": 0}, "iterations: expected a whole number from 1 to 16"),
        ({"iterations": True}, "iterations"),
        ({"iterations": "4"}, "iterations"),
        ({"run": 1}, "run: expected a whole number from 0 to 0"),
    ],
)
def test_what_cannot_be_translated_is_told_in_a_sentence(translate, asked, message):
    status, answer = translate(**asked)
    assert status == 400 and message in answer["error"]


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "日本語 Ω ☃", "</s> <mask>"])
def test_any_text_is_answered(translate, text):
    status, answer = translate(text=text)
    assert status == 200 or answer["error"] == "there is nothing to translate"


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "expected"),
    [
        ("GET", "/../cli.py", None, {}, 404),
        ("POST", "/", "{}", JSON, 404),
        ("POST", "/translate", "{}", {"Content-Type": "text/plain"}, 415),
        ("POST", "/translate", None, JSON | {"Content-Length": "1000000000"}, 413),
        ("POST", "/translate", None, JSON | {"Content-Length": "-1"}, 411),
        ("POST", "/translate", "[" * 10_000, JSON, 400),
        ("POST", "/translate", "[1]", JSON, 400),
        ("GET", "/runs", None, {"Host": "elsewhere.example:80"}, 403),
    ],
)
def test_odd_requests_are_refused(request_to, method, path, body, headers, expected):
    status, _, answer = request_to(method, path, body, **headers)
    assert status == expected and set(json.loads(answer)) == {"error"}


def test_an_error_of_the_program_is_for_its_log_alone(server, translate, monkeypatch, caplog):
    def broken(text, iterations):
        raise RuntimeError("a secret path")

    monkeypatch.setattr(server, "tracers", [broken])
    status, answer = translate()
    assert status == 500 and "secret" not in json.dumps(answer) and "a secret path" in caplog.text


def test_a_port_in_use_is_named(server, tracer):
    with pytest.raises(UserError, match=f"127.0.0.1:{server.server_port}: .*in use.*--port"):
        DemoServer([tracer], "127.0.0.1", server.server_port)
    with pytest.raises(UserError, match="65536"):
        DemoServer([tracer], "127.0.0.1", 65536)


def test_the_run_says_what_it_is_and_lt_only_has_one_iteration(run, tmp_path, request_to):
    folder = tmp_path / "lt"
    shutil.copytree(run, folder)
    record = read_json(folder / "run.json")
    record["description"] |= {"label": "XLM-D with LT only", "size": "M=0 of 2 layers"}
    write_json(folder / "run.json", record)
    config = read_json(folder / "model/config.json")
    write_json(folder / "model/config.json", config | {"add_and_scale": False})
    tracer = Tracer(str(folder))
    assert tracer.name == "en-de, XLM-D with LT only, M=0 of 2 layers"
    assert tracer.one_iteration and len(tracer(SENTENCE, 4)["iterations"]) == 1
    (listed,) = json.loads(request_to("GET", "/runs")[2])["runs"]
    assert listed == {"name": "en-de", "engine": "torch", "one_iteration": False}


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here (Debian: apt-get install chromium)")
def test_a_browser_shows_the_alignment_of_every_iteration(server, tracer, tmp_path):
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
    command += ["--virtual-time-budget=20000", "--dump-dom", f"{server.address}?iterations=4&text={quote(SENTENCE)}"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    traced = tracer(SENTENCE, 4)
    for iteration in traced["iterations"]:
        assert html.escape(iteration["translation"], quote=False) in shown
    cells = re.findall(r'<td class="cell (\w+)', shown)
    assert cells == [cell["kind"] for one in traced["iterations"] for cell in one["cells"]]
    assert re.search(r"T = 4, \d+ positions, [\d.]+ ms in torch", shown)
