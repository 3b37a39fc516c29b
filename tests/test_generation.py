"""`generate` and its settings, as transformers' users know them."""

import pytest
import torch
from small_models import decorated, save_mlm, sources
from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM

from xlmd.errors import UserError
from xlmd.method.decoding import XLMDDecoding, collapse, iterative_refinement
from xlmd.method.generation import XLMDGenerationConfig
from xlmd.method.model import XLMDForTranslation


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    model = decorated(save_mlm(tmp_path_factory.mktemp("mlm")), insertion_layer=1)
    model.generation_config = XLMDGenerationConfig(iterations=2, blank_penalty=0.5)
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("auto", [AutoModel, AutoModelForSeq2SeqLM])
def test_transformers_finds_the_model_and_its_decoding(folder, auto):
    model = auto.from_pretrained(folder)
    assert isinstance(model, XLMDForTranslation)
    assert model.generation_config.decoding() == XLMDDecoding(iterations=2, blank_penalty=0.5)
    assert AutoConfig.from_pretrained(folder).insertion_layer == 1


@pytest.mark.parametrize("options", [{}, {"iterations": 1}, {"strategy": "static", "static_block": 3}])
def test_generate_gives_the_collapsed_alignments_padded(folder, options):
    model = XLMDForTranslation.from_pretrained(folder)
    source, lengths = sources()
    translations = model.generate(source, (source != 1).long(), **options)
    decoding = XLMDDecoding(**({"iterations": 2, "blank_penalty": 0.5} | options))
    expected = collapse(*iterative_refinement(model, source, lengths, decoding), 0)
    assert [[i for i in row.tolist() if i != 1] for row in translations] == expected
    assert torch.equal(model.generate(source, **options), translations)
    wider = torch.nn.functional.pad(source, (0, 5), value=1)
    assert torch.equal(model.generate(wider, **options), translations)


def test_a_model_without_generation_config_decodes_with_the_defaults(folder, tmp_path):
    model = XLMDForTranslation.from_pretrained(folder)
    model.save_pretrained(tmp_path)
    (tmp_path / "generation_config.json").unlink()
    assert XLMDForTranslation.from_pretrained(tmp_path).generation_config.decoding() == XLMDDecoding()


def test_wrong_options_and_inputs_are_named(folder):
    model = XLMDForTranslation.from_pretrained(folder)
    source, _ = sources()
    with pytest.raises(UserError, match="iterations = 0"):
        model.generate(source, iterations=0)
    with pytest.raises(ValueError, match="num_beams"):
        model.generate(source, num_beams=4)
    with pytest.raises(ValueError, match="right"):
        model.generate(source.flip(1))
    with pytest.raises(UserError, match="at most 32"):
        model.generate(torch.full((1, 33), 5))
    with pytest.raises(UserError, match="strategy = 'other'"):
        XLMDGenerationConfig(strategy="other")
