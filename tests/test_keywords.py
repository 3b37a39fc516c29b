"""A keyword that a function does not know is refused, also where it takes any and hands them on."""

import pytest
import torch
from small_models import decorated, save_mlm, sources
from tqdm import TqdmKeyError

from xlmd.method.algorithm1 import algorithm1
from xlmd.nat.adapters import adapt
from xlmd.progress import progress
from xlmd.systems.abnet_enc import ABNetEncForTranslation
from xlmd.translate.text import translate_text


@pytest.mark.parametrize("keyword", ["beam", "iterations", "batch_size"])
def test_translate_text_refuses_it(keyword):
    with pytest.raises(TypeError, match=keyword):
        translate_text(["text"], run="nowhere", **{keyword: 4})


@pytest.mark.parametrize("keyword", ["constrain", "observed", "blank"])
def test_algorithm_1_refuses_it(tmp_path, keyword):
    source, lengths = sources()
    target, target_lengths = torch.full((len(source), 1), 5), torch.ones(len(source), dtype=torch.long)
    update = (decorated(save_mlm(tmp_path)), source, lengths, target, target_lengths)
    with pytest.raises(TypeError, match=keyword):
        algorithm1(*update, block=8, generator=torch.Generator(), **{keyword: None})


def test_a_model_with_adapters_refuses_it(tmp_path):
    with pytest.raises(TypeError, match="adapt has no keyword adaptor; fields are mask_token_id, adapter, ffn"):
        adapt(ABNetEncForTranslation, save_mlm(tmp_path), mask_token_id=4, dropout=None, adaptor=8)


def test_a_progress_bar_refuses_it():
    with pytest.raises(TqdmKeyError, match="totl"):
        progress([], totl=1)
