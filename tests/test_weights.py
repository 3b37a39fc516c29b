"""Weights are read whole, from safetensors, and without noise."""

import logging

import pytest
from small_models import MASK, decorated, save_mlm

from xlmd.errors import UserError
from xlmd.method.model import XLMDForTranslation, decorate
from xlmd.weights import load_pretrained, read_weights


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: data[:4], lambda data: b"", bytes.upper])
def test_damaged_weights_are_named_whoever_reads_them(tmp_path, damage):
    decorated(save_mlm(tmp_path / "mlm")).save_pretrained(tmp_path / "model")
    for folder in ("mlm", "model"):
        file = tmp_path / folder / "model.safetensors"
        file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UserError, match="mlm"):
        decorate(tmp_path / "mlm", mask_token_id=MASK)
    with pytest.raises(UserError, match=f"{tmp_path}/model"):
        load_pretrained(XLMDForTranslation, tmp_path / "model")
    with pytest.raises(UserError, match="model.safetensors"):
        read_weights(tmp_path / "model/model.safetensors")


def test_a_parameter_that_is_to_be_new_is_not_reported_and_any_other_is_an_error(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    decorated(save_mlm(tmp_path / "mlm"))
    assert "LOAD REPORT" not in caplog.text
    with pytest.raises(UserError, match=r"missing or of another shape: \['latent_transform.sigma'\]"):
        load_pretrained(XLMDForTranslation, tmp_path / "mlm", config=decorated(tmp_path / "mlm").config)
