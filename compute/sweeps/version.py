"""Which code an experiment runs: a hash of every source that it rests on."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from compute.experiment import Experiment

LIBRARIES = ("numpy", "scipy", "numba")


def reference(experiment: Experiment[Any]) -> str:
    """``module:name``, by which another process finds the experiment."""
    found = f"{experiment.__module__}:{experiment.name}"
    if resolve(found) is not experiment:
        raise TypeError(f"{found} is not this experiment; a sweep needs one that other processes can import.")
    return found


def resolve(found: str) -> Experiment[Any]:
    """The experiment of a reference."""
    module, name = found.split(":")
    return getattr(importlib.import_module(module), name)


def version(found: str, *, frozen: bool = False) -> str:
    """Hash of an experiment's module, all it imports of the same package and of ``compute``, and the numerical libraries.

    Parameters
    ----------
    found : str
        The experiment's reference.
    frozen : bool
        In a worker: each source as it was when first asked for, which is what the worker has loaded; otherwise as it
        is on disk now.
    """
    start = found.split(":", maxsplit=1)[0]
    homes = {"compute", start.split(".")[0]}
    digests: dict[str, str] = {}
    waiting = [start]
    while waiting:
        module = waiting.pop()
        path = None if module in digests or module.split(".")[0] not in homes else _file(module)
        if path is None:
            continue
        stat = None if frozen else Path(path).stat()
        digests[module], imported = _read(module, path, None if stat is None else (stat.st_mtime_ns, stat.st_size))
        waiting += imported
        waiting += [module.rpartition(".")[0]] * ("." in module)  # a package's __init__ runs before its modules
    text = "\n".join([found, *_libraries(), *(f"{name} {digests[name]}" for name in sorted(digests))])
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def _libraries() -> tuple[str, ...]:
    return tuple(f"{name} {metadata.version(name)}" for name in LIBRARIES)


def _file(module: str) -> str | None:
    """Where a module's source is; none for what is no module, such as a function's name."""
    loaded = sys.modules.get(module)
    if loaded is not None:
        return getattr(loaded, "__file__", None)
    return _find(module)


@cache
def _find(module: str) -> str | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ModuleNotFoundError, ValueError):
        return None
    return spec.origin if spec and spec.has_location else None


@lru_cache(maxsize=4096)
def _read(module: str, path: str, _stamp: tuple[int, int] | None) -> tuple[str, tuple[str, ...]]:
    """A source's digest and what it may import; read again when its stamp changes."""
    source = Path(path).read_bytes()
    package = module if Path(path).name == "__init__.py" else module.rpartition(".")[0]
    found: dict[str, None] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= dict.fromkeys(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= dict.fromkeys([base, *(f"{base}.{alias.name}" for alias in node.names)])
    return hashlib.sha256(source).hexdigest(), tuple(found)
