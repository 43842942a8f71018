"""Each numba kernel against what NumPy or SciPy takes for the same numbers, in the same run.

The cases stand in ``tests/benchmarks/cases``, a module for each shared model, method or lab.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba.core.dispatcher import Dispatcher

import compute
import tests.benchmarks.cases
from compute.kernel import kernel
from tests.benchmarks.report import Row, median_seconds, show


@dataclass(frozen=True)
class Case:
    """The same numbers twice.

    Parameters
    ----------
    what : str
        What is computed, and how much of it.
    fast : callable
        By the app's code; returns an array.
    against : str
        The equivalent, in a word; empty where there is none and the time itself has a goal.
    plain : callable, optional
        By the equivalent; returns the same array.
    kernels : tuple of Dispatcher
        The kernels that ``fast`` runs.
    rtol : float
        How closely the two must agree.
    goal : float, optional
        Seconds that ``fast`` may take.
    """

    what: str
    fast: Callable[[], Any]
    against: str = ""
    plain: Callable[[], Any] | None = None
    kernels: tuple[Any, ...] = ()
    rtol: float = 1e-9
    goal: float | None = None


def main() -> list[Row]:
    """Time every case and print the ratios."""
    rows: list[Row] = []
    covered: set[str] = set()
    for module in pkgutil.iter_modules(tests.benchmarks.cases.__path__):
        try:
            for case in importlib.import_module(f"tests.benchmarks.cases.{module.name}").cases():
                print(f"kernels: {case.what}", file=sys.stderr)
                rows.append(_row(case))
                covered |= {_name(k) for k in case.kernels}
        except Exception as error:  # a module that fell behind the code must not cost the others
            rows.append({"what": f"cases of {module.name}", "says": _sentence(error)})
    left = sorted(set(all_kernels()) - covered)
    notes = [f"{name} has no case." for name in left]
    failed = sum(bool(row["says"]) for row in rows)
    notes.append(f"{len(rows) - failed} of {len(rows)} cases agree with their equivalents and are within their goals.")
    show("Kernels", rows, notes)
    return rows


def _row(case: Case) -> Row:
    row: Row = {"what": case.what, "app ms": None, "against": case.against, "plain ms": None, "speed-up": None}
    try:
        found = case.fast()  # compiles
        if case.plain:
            np.testing.assert_allclose(found, case.plain(), rtol=case.rtol, atol=1e-300)
            plain = median_seconds(case.plain)
        fast = median_seconds(case.fast)
    except Exception as error:  # a case that fails must not cost the others
        return row | {"says": _sentence(error)}
    row |= {"app ms": 1e3 * fast, "says": ""}
    if case.plain:
        row |= {"plain ms": 1e3 * plain, "speed-up": plain / fast}
    if case.goal is not None and fast > case.goal:
        row["says"] = f"over its goal of {case.goal:g} s"
    return row


def _sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"


def all_kernels() -> list[str]:
    """Every kernel that ``compute`` declares: what may have a case."""
    flags = kernel(lambda: 0).targetoptions
    found = set()
    for module in pkgutil.walk_packages(compute.__path__, "compute."):
        if module.name.endswith("__main__"):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Dispatcher) and value.targetoptions == flags:
                found.add(_name(value))
    return sorted(found)


def _name(function: Any) -> str:
    return f"{function.py_func.__module__}.{function.py_func.__name__}"
