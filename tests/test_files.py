"""Who may read what the project writes, and that nothing half-written stays."""

import os

import pytest
import torch
from safetensors.torch import save_file

from xlmd.files import atomic_folder, atomic_write


@pytest.fixture(params=[0o022, 0o002, 0o077], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path):
    return path.stat().st_mode & 0o777


def test_a_file_may_be_read_by_whom_the_umask_says(tmp_path, umask):
    with atomic_write(tmp_path / "file") as handle:
        handle.write("text")
    assert mode(tmp_path / "file") == 0o666 & ~umask


def test_a_folder_and_all_that_others_wrote_into_it_may_be_read_by_whom_the_umask_says(tmp_path, umask):
    for _ in range(2):  # the second one replaces the first
        with atomic_folder(tmp_path / "model") as folder:
            save_file({"weight": torch.zeros(1)}, folder / "model.safetensors")
            (folder / "model.safetensors").chmod(0o600)
            (folder / "inner").mkdir(mode=0o700)
            (folder / "inner/secret").touch(mode=0o600)
        model = tmp_path / "model"
        assert mode(model) == mode(model / "inner") == 0o777 & ~umask
        assert mode(model / "model.safetensors") == mode(model / "inner/secret") == 0o666 & ~umask
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_fails_half_way_leaves_what_was_there(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(RuntimeError), atomic_write(tmp_path / "file") as handle:
        handle.write("new")
        raise RuntimeError
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "folder") as folder:
        (folder / "file").touch()
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_text() == "old"
