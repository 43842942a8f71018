"""Find the experiments that the library holds."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

import compute
from compute.experiment import Experiment

SHARED = {"models", "methods", "sweeps"}


def labs() -> list[str]:
    """Every lab that has experiments, as ``topic/lab``."""
    found = []
    for topic in pkgutil.iter_modules(compute.__path__):
        if topic.ispkg and topic.name not in SHARED:
            package = importlib.import_module(f"compute.{topic.name}")
            found += [f"{topic.name}/{module.name}" for module in pkgutil.iter_modules(package.__path__)]
    return [lab for lab in sorted(found) if experiments(lab)]


def experiments(lab: str) -> dict[str, Experiment]:
    """A lab's experiments by name, in the order in which they are declared.

    Raises
    ------
    LookupError
        Where there is no such lab.
    """
    module = _module(lab)
    declared = [value for value in vars(module).values() if isinstance(value, Experiment) and value.lab == lab]
    return {experiment.name: experiment for experiment in declared}


def _module(lab: str) -> ModuleType:
    name = f"compute.{lab.replace('/', '.')}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):
            raise LookupError(f"There is no lab {lab!r}.") from None
        raise
