"""ONNX Runtime gives what torch gives."""

import pytest
import torch
from small_models import VOCABULARY, decorated, save_mlm

from xlmd.errors import UserError
from xlmd.method.decoding import XLMDDecoding, iterative_refinement
from xlmd.onnx.engine import OnnxEngine
from xlmd.onnx.graphs import quantise, write_graphs

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

KINDS = {
    "M=0": {"insertion_layer": 0, "upsampling_ratio": 1.5},
    "M=half": {"insertion_layer": 1},
    "LT only": {"insertion_layer": 1, "add_and_scale": False},
}


def exported(model, folder):
    folder.mkdir(parents=True, exist_ok=True)
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    write_graphs(model, folder, weights_sha256="of the weights")
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A torch model of each kind and the folder of its graphs."""
    made = {}
    for kind, options in KINDS.items():
        mlm = save_mlm(tmp_path_factory.mktemp("mlm"), num_hidden_layers=2 if kind == "M=half" else 1)
        model = decorated(mlm, **options)
        with pytest.MonkeyPatch.context() as patch:
            if kind == "M=half":
                patch.setattr("xlmd.onnx.graphs._LARGEST_FILE", 1)
            made[kind] = model, exported(model, tmp_path_factory.mktemp("onnx"))
    return made


def random_batch(size, longest, seed):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, longest + 1, (size,), generator=generator)
    source = torch.randint(4, VOCABULARY - 1, (size, int(lengths.max())), generator=generator)
    source[:, 0] = 0
    source[torch.arange(source.shape[1]) >= lengths.unsqueeze(1)] = 1
    source[torch.arange(size), lengths - 1] = 2
    return source, lengths


@pytest.mark.parametrize("kind", KINDS)
def test_the_tokens_are_those_of_torch(models, kind):
    model, folder = models[kind]
    engine = OnnxEngine(folder)
    for seed, (size, longest) in enumerate([(1, 2), (1, 17), (2, 9), (7, 30), (3, 3)]):
        source, lengths = random_batch(size, longest, seed)
        for iterations in (1, 2, 4, 8):
            for strategy in ("dynamic", "static"):
                for committed in ("keep", "repredict", "remask"):
                    decoding = XLMDDecoding(iterations, strategy, 8, committed, blank_penalty=0.5 * seed)
                    expected = iterative_refinement(model, source, lengths, decoding)
                    actual = iterative_refinement(engine, source, lengths, decoding)
                    assert all(map(torch.equal, actual, expected)), (decoding, source)


def test_log_probabilities_are_close_to_those_of_torch(models):
    model, folder = models["M=half"]
    source, lengths = random_batch(4, 20, 1)
    with torch.no_grad():
        z, out_lengths = model.encode(source, lengths)
        alignment = torch.full(z.shape[:2], VOCABULARY - 1)
        positions = torch.tensor([0, 5, 3, z.shape[1]])
        arguments = (z, out_lengths, alignment, positions, 1.5)
        expected = model.predict(*arguments)
        actual = OnnxEngine(folder).predict(*arguments)
    assert torch.equal(actual[0], expected[0])
    torch.testing.assert_close(actual[1], expected[1])


def test_generate_is_the_same_function(models):
    model, folder = models["M=half"]
    source, _ = random_batch(4, 20, 1)
    assert torch.equal(OnnxEngine(folder).generate(source, iterations=2), model.generate(source, iterations=2))


def test_eight_bits_are_used_and_stay_near(models):
    model, folder = models["M=half"]
    quantise(folder)
    assert "MatMulInteger" in {node.op_type for node in onnx.load(folder / "refine.int8.onnx").graph.node}
    source, lengths = random_batch(20, 30, 3)
    exact, near = (
        iterative_refinement(engine, source, lengths, XLMDDecoding(iterations=1))[0]
        for engine in (model, OnnxEngine(folder, int8=True))
    )
    assert (exact == near).float().mean() > 0.8


def test_weights_too_large_for_one_file_lie_beside_it(models):
    """That they give the same is among the cases above."""
    _, folder = models["M=half"]
    assert (folder / "refine.onnx.data").stat().st_size > (folder / "refine.onnx").stat().st_size / 2
    assert not list(folder.glob("*.raw*"))


def test_what_is_missing_or_of_another_version_is_named(models, tmp_path, monkeypatch):
    model, folder = models["M=half"]
    assert OnnxEngine(folder).weights_sha256 == "of the weights"
    with pytest.raises(UserError, match="no exported model"):
        OnnxEngine(tmp_path / "nowhere")
    model.config.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="encode.onnx: there is no such file"):
        OnnxEngine(tmp_path)
    (tmp_path / "encode.onnx").write_bytes(b"not a graph")
    with pytest.raises(UserError, match="cannot read .*encode.onnx"):
        OnnxEngine(tmp_path)
    monkeypatch.setattr("xlmd.onnx.engine.VERSION", "2")
    with pytest.raises(UserError, match="version 1, but 2 is expected"):
        OnnxEngine(folder)
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(UserError, match="pip install onnx onnxruntime"):
        OnnxEngine(folder)
