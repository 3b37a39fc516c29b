"""The registry of systems: the module `xlmd/systems/<name>.py` defines the system <name>, and that is all."""

import importlib
import inspect
import pkgutil

from xlmd.errors import UserError
from xlmd.systems.base import System, Translator


def system_names() -> list[str]:
    """The names of all systems, by the files of this package."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "base")


def find_system(name: str) -> type[System]:
    """The class of a system. Raises UserError listing the known names if there is none of that name."""
    if name not in system_names():
        raise UserError(f"unknown system {name!r}; known: {', '.join(system_names())}")
    module = importlib.import_module(f"{__name__}.{name}")
    for _, candidate in inspect.getmembers(module, inspect.isclass):
        if issubclass(candidate, System) and getattr(candidate, "name", None) == name:
            return candidate
    raise UserError(f"xlmd/systems/{name}.py defines no System of that name")


__all__ = ["System", "Translator", "find_system", "system_names"]
