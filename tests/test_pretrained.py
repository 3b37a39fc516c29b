"""Bases from elsewhere: packages, the file inside one, tokenizers and models in XLM-R's vocabulary, whole and cut."""

import dataclasses
import hashlib
import os
import struct
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import save_mlm
from transformers import BertConfig, BertForMaskedLM, BertModel, XLMRobertaForMaskedLM

from xlmd.data.tokenizer import MODEL_FILE, load_tokenizer, save_tokenizer, subword_encoder
from xlmd.errors import UserError
from xlmd.files import read_json
from xlmd.pretrained.e5s1 import PackedModel
from xlmd.pretrained.model import import_model
from xlmd.pretrained.package import download_package
from xlmd.pretrained.registry import Source, find_model, source_of
from xlmd.pretrained.tokenizer import import_tokenizer
from xlmd.pretrained.vocabulary import cut, unigram_model

ROOT = Path(__file__).parent.parent
COMMIT = "c0ffee" + 34 * "0"
WORDS = ["▁the", "▁cat", "▁dog", "▁sees", "▁house", "▁red", "▁hat"]
PIECES = [*WORDS, *"▁abcdefghijklmnopqrstuvwxyz", "at", "se"]
SCORES = [*[-3.0] * len(WORDS), *[-9.0] * 27, -7.0, -7.5]
TRAINING = ["the cat sees the dog", "a cat sat"]
D, LAYERS, FFN, POSITIONS = 32, 3, 64, 40
ROWS = len(PIECES) + 5 + 3  # XLM-R's special tokens, and embeddings that belong to no piece


def blocks(values):
    """Q4_0 of a tensor, and what it stands for."""
    rows = values.reshape(-1, 32).astype(np.float32)
    scales = (np.abs(rows).max(axis=1) / 7).astype("<f2")
    halves = np.clip(np.rint(rows / scales[:, None].astype(np.float32)) + 8, 0, 15).astype(np.uint8)
    packed = halves[:, :16] | halves[:, 16:] << 4
    stored = b"".join(scale.tobytes() + half.tobytes() for scale, half in zip(scales, packed, strict=True))
    return stored, ((halves.astype(np.float32) - 8) * scales[:, None]).reshape(values.shape)


def tensors():
    random = np.random.default_rng(1)
    shapes = {"emb.word": (ROWS, D), "emb.type": (2, D), "emb.pos": (POSITIONS, D), "emb.ln.w": (D,), "emb.ln.b": (D,)}
    for layer in range(LAYERS):
        for name in ("q", "k", "v", "ao", "fi", "fo"):
            rows, columns = {"fi": (FFN, D), "fo": (D, FFN)}.get(name, (D, D))
            shapes |= {f"l{layer}.{name}.w": (rows, columns), f"l{layer}.{name}.b": (rows,)}
        for name in ("aln", "oln"):
            shapes |= {f"l{layer}.{name}.w": (D,), f"l{layer}.{name}.b": (D,)}
    return {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def packed_file(kept=None, kind=None, scores=None, magic=b"E5S1"):
    """A file of format E5S1; matrices in four bits, vectors in full."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *PIECES, "<mask>"]
    text = [piece.encode() for piece in pieces]
    header = magic + struct.pack("<i7ifi", 1, D, LAYERS, 2, FFN, ROWS, POSITIONS, 2, 1e-12, 32)
    header += struct.pack("<5iQ", len(pieces), 0, 2, 1, 3, sum(map(len, text)))
    header += np.cumsum([0, *map(len, text)]).astype("<u4").tobytes()
    header += np.array(scores or [0, 0, 0, 0, *SCORES, 0], "<f4").tobytes() + b"".join(text)
    header += struct.pack("<iI", 0, 0)
    stored = {name: (1, blocks(one)[0]) if one.ndim > 1 else (0, one.tobytes()) for name, one in tensors().items()}
    stored = {name: entry for name, entry in stored.items() if kept is None or kept(name)}
    directory = sum(2 + len(name) + 1 + 4 + 16 for name in stored)
    offset = len(header) + 4 + directory
    header += struct.pack("<i", len(stored))
    for name, (own, data) in stored.items():
        elements = tensors()[name].size
        header += struct.pack("<H", len(name)) + name.encode()
        header += struct.pack("<BIQQ", own if kind is None else kind, elements, offset, len(data))
        offset += len(data)
    return header + b"".join(data for _, data in stored.values())


def wheel(folder, content, member="tiny/model.bin", name="tiny-1.0-py3-none-any.whl"):
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr(member, content)
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    return folder / name


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def in_wheel(folder, content=None, **changes):
    path = wheel(folder, packed_file() if content is None else content)
    source = Source("tiny", "MIT", len(PIECES) + 5, str(path), "tiny/model.bin", sha256(path))
    return dataclasses.replace(source, **changes)


def text(folder, name, lines):
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


@pytest.fixture
def training(tmp_path):
    return text(tmp_path, "train.en", TRAINING)


def imported(source, folder, texts=(), others=(), layers=None):
    import_tokenizer(source, folder / "tokenizer", folder / "vocabulary.json", texts, others)
    import_model(source, folder / "tokenizer", folder / "vocabulary.json", folder / "mlm", layers, 1)
    return XLMRobertaForMaskedLM.from_pretrained(folder / "mlm/model").eval(), read_json(folder / "mlm/run.json")


def in_folder(folder, seed_model):
    """A model and its tokenizer in transformers' format."""
    save_tokenizer(unigram_model(PIECES, SCORES), folder)
    seed_model(folder)
    return Source(str(folder), path=str(folder))


def test_weights_of_four_bits_are_read_as_they_were_packed():
    model, expected = PackedModel(packed_file(), "tiny"), tensors()
    for name in ("emb.word", "l2.fo.w"):
        assert np.array_equal(model.tensor(name, *expected[name].shape), blocks(expected[name])[1])
    assert np.array_equal(model.tensor("l1.aln.b", D), expected["l1.aln.b"])
    assert model.pieces[4:-1] == PIECES


def test_a_cut_vocabulary_segments_the_training_text_as_before_and_counts_the_lines_that_it_does_not(
    tmp_path, training
):
    source, dev = in_wheel(tmp_path / "packages"), text(tmp_path, "dev.en", ["the cat", "the red hat", "a house"])
    import_tokenizer(source, tmp_path / "whole", tmp_path / "whole.json", [])
    import_tokenizer(source, tmp_path / "cut", tmp_path / "cut.json", [training], [dev])
    whole, smaller = subword_encoder(tmp_path / "whole"), subword_encoder(tmp_path / "cut")
    facts = read_json(tmp_path / "cut.json")
    assert facts["kept"] == len(load_tokenizer(tmp_path / "cut")) < facts["pieces"] == len(PIECES) + 5
    assert [[facts["ids"][piece] for piece in line] for line in smaller(TRAINING)] == whole(TRAINING)
    assert facts["lines"] == {training: {"lines": 2, "otherwise": 0}, dev: {"lines": 3, "otherwise": 2}}


def test_a_model_of_the_first_layers_has_the_embeddings_of_its_tokenizer_and_the_record_says_that_its_head_was_made(
    tmp_path, training
):
    model, record = imported(in_wheel(tmp_path / "packages"), tmp_path, [training], layers=2)
    ids, expected = read_json(tmp_path / "vocabulary.json")["ids"], tensors()
    words = model.roberta.embeddings.word_embeddings.weight.detach().numpy()
    assert np.array_equal(words, blocks(expected["emb.word"])[1][ids])
    assert len(model.roberta.encoder.layer) == 2
    found = model.roberta.encoder.layer[1].output.dense.weight.detach().numpy()
    assert np.array_equal(found, blocks(expected["l1.fo.w"])[1])
    assert model.lm_head.decoder.weight is model.roberta.embeddings.word_embeddings.weight
    description = record["description"]
    assert description["head"].startswith("made") and (description["layers"], description["of_layers"]) == (2, 3)


def test_the_cut_changes_no_score_of_a_piece_that_stays(tmp_path, training):
    source = in_folder(tmp_path / "xlmr", lambda folder: save_mlm(folder, vocab_size=len(PIECES) + 5))
    whole = XLMRobertaForMaskedLM.from_pretrained(source.path).eval()
    model, record = imported(source, tmp_path / "base", [training])
    kept = torch.tensor(read_json(tmp_path / "base/vocabulary.json")["ids"])
    sentence = torch.tensor([[0, 5, 6, 4, len(kept) - 1, 2]])
    with torch.no_grad():
        assert torch.allclose(model(sentence).logits, whole(kept[sentence]).logits[..., kept], atol=1e-5)
    assert record["description"]["head"] == "its own"


def test_a_model_of_berts_kind_computes_the_same_under_xlm_rs_names(tmp_path):
    def save(folder):
        torch.manual_seed(1)
        shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
        config = BertConfig(**shape, vocab_size=len(PIECES) + 5, max_position_embeddings=20, initializer_range=0.3)
        BertForMaskedLM(config).save_pretrained(folder)

    source = in_folder(tmp_path / "bert", save)
    model, _ = imported(source, tmp_path / "base")
    sentence = torch.tensor([[0, 8, 9, 10, 2]])
    with torch.no_grad():
        expected = BertModel.from_pretrained(source.path).eval()(sentence).last_hidden_state
        assert torch.allclose(model.roberta(sentence).last_hidden_state, expected, atol=1e-5)


def test_pip_fetches_a_package_and_nothing_stays_of_one_with_another_hash(tmp_path, monkeypatch):
    served = wheel(tmp_path / "served", packed_file())
    monkeypatch.setenv("PIP_FIND_LINKS", str(served.parent))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    out = tmp_path / "packages" / served.name
    download_package("tiny==1.0", "manylinux2014_x86_64", sha256(served), out)
    assert out.read_bytes() == served.read_bytes()
    out.unlink()
    with pytest.raises(UserError, match="not the expected file"):
        download_package("tiny==1.0", "manylinux2014_x86_64", "0" * 64, out)
    with pytest.raises(UserError, match="pip cannot fetch tiny==2.0: "):
        download_package("tiny==2.0", "manylinux2014_x86_64", sha256(served), out)
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "changes", "message"),
    [
        (None, {"sha256": "0" * 64}, "not the expected file: its sha256 should be 0000"),
        (None, {"member": "tiny/other.bin"}, "has no member tiny/other.bin"),
        (packed_file(magic=b"GGUF"), {}, "not a file of format E5S1, version 1"),
        (packed_file()[:200], {}, "is cut short or damaged"),
        (packed_file()[:-9], {}, "is cut short: tensor l2.oln.b would end at"),
        (packed_file(kind=7), {}, "is of type 7; known are 0"),
        (packed_file(kind=0), {}, "tensor emb.word has .* elements in .* bytes"),
        (packed_file(kept=lambda name: name != "l1.v.w"), {}, "has no tensor l1.v.w"),
        (packed_file(scores=[float("nan")] * (len(PIECES) + 5)), {}, "its vocabulary is damaged"),
        (None, {"pieces": 250_002}, "has 41 pieces, not the 250,002 expected"),
    ],
)
def test_a_file_that_is_not_the_model_is_one_clear_line_and_leaves_nothing(tmp_path, content, changes, message):
    source = in_wheel(tmp_path / "packages", content, **changes)
    with pytest.raises(UserError, match=message) as caught:
        imported(source, tmp_path / "base")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "base/mlm").exists()


def test_what_does_not_fit_together_is_said_and_leaves_nothing(tmp_path, training):
    source = in_wheel(tmp_path / "packages")
    with pytest.raises(UserError, match="has 3 layers, fewer than the 4 asked for"):
        imported(source, tmp_path / "base", layers=4)
    other = in_folder(tmp_path / "other", lambda folder: save_mlm(folder, vocab_size=77))
    with pytest.raises(UserError, match="the tokenizer does not fit .*: it has 41 pieces, the model 77"):
        imported(other, tmp_path / "base")
    (tmp_path / "other" / MODEL_FILE).write_bytes(b"no model")
    with pytest.raises(UserError, match=f"{MODEL_FILE} is not a sentencepiece model"):
        imported(other, tmp_path / "base")
    assert not (tmp_path / "base/mlm").exists()


def test_a_cut_that_loses_a_special_token_is_refused():
    with pytest.raises(UserError, match="would lose the special tokens </s>"):
        cut(unigram_model(PIECES, SCORES), [0, 1, 5, 6])


class _Hub(BaseHTTPRequestHandler):
    """Answers as the hub does for the files of one folder, at one commit."""

    folder, asked = None, None

    def do_HEAD(self):
        self.asked.append(self.path)
        prefix = f"/org/tiny/resolve/{COMMIT}/"
        file = self.folder / self.path.removeprefix(prefix)
        content = file.read_bytes() if self.path.startswith(prefix) and file.is_file() else None
        self.send_response(404 if content is None else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", hashlib.sha256(content or b"").hexdigest())
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        return content

    def do_GET(self):
        self.wfile.write(self.do_HEAD() or b"")

    def log_message(self, *arguments):
        pass


def test_a_model_on_the_hub_is_read_at_its_commit_and_only_as_safetensors(tmp_path):
    _Hub.asked, _Hub.folder = [], tmp_path / "served"
    in_folder(_Hub.folder, lambda folder: save_mlm(folder, vocab_size=len(PIECES) + 5))
    source = Source("tiny", "MIT", len(PIECES) + 5, hub="org/tiny", revision=COMMIT)
    run = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from pathlib import Path; from test_pretrained import Source, imported\n"
        f"imported({source}, Path({str(tmp_path)!r}))"
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        hub = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}", "HF_HOME": str(tmp_path / "cache")}
        there = {**os.environ, **hub, "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        done = subprocess.run([sys.executable, "-c", run], cwd=ROOT, env=there, capture_output=True, text=True)
        server.shutdown()
    assert done.returncode == 0, done.stderr
    expected = XLMRobertaForMaskedLM.from_pretrained(_Hub.folder).state_dict()
    model = XLMRobertaForMaskedLM.from_pretrained(tmp_path / "mlm/model").state_dict()
    assert all(torch.equal(model[name], tensor) for name, tensor in expected.items())
    assert not [path for path in _Hub.asked if path.endswith(("model.bin", ".pt", ".pkl"))]


def test_a_model_is_found_by_name_as_a_package_or_on_the_hub(tmp_path):
    package = {"file": "tiny.whl", "member": "tiny/model.bin", "sha256": "0" * 64}
    models = {"tiny": {"pieces": 41, "hub": {"name": "org/tiny", "revision": "abc"}, "package": package}}
    assert source_of(models, "tiny", None, "packages").path == "packages/tiny.whl"
    assert source_of(models, "tiny", "hub", "packages") == Source("tiny", pieces=41, hub="org/tiny", revision="abc")
    assert source_of(models, str(tmp_path), None, "packages").path == str(tmp_path)
    with pytest.raises(UserError, match="'big' is neither a folder nor a known model: tiny"):
        find_model(models, "big")
