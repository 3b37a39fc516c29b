"""The device that "auto" stands for."""

import pytest
import torch

from xlmd.devices import pick_device
from xlmd.errors import UserError


def test_auto_is_what_the_workflow_says_in_the_environment(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.delenv("XLMD_DEVICE", raising=False)
    assert pick_device("auto").type == "cuda"
    monkeypatch.setenv("XLMD_DEVICE", "auto")
    assert pick_device("auto").type == "cuda"
    monkeypatch.setenv("XLMD_DEVICE", "cpu")
    assert pick_device("auto").type == "cpu"
    assert pick_device("cuda").type == "cuda", "what is asked for by name comes before"


def test_a_device_that_is_not_there_is_refused_wherever_it_is_named(monkeypatch):
    for name in ("gpu", "cuda:99"):
        with pytest.raises(UserError, match=f"device = '{name}'.*auto, cpu"):
            pick_device(name)
        monkeypatch.setenv("XLMD_DEVICE", name)
        with pytest.raises(UserError, match=f"device = '{name}'.*auto, cpu"):
            pick_device("auto")
