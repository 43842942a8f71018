"""What a worker does: call an experiment at some parameters and bring back its headlines."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from compute.experiment import Experiment
from compute.parameters import ParameterError
from compute.sweeps.version import resolve, version

Headline = dict[str, float | str]


class Blank(NamedTuple):
    """Why a call gave no headline."""

    reason: str


class OtherCode(Exception):
    """A worker has loaded other code than the one it is asked to run."""


@dataclass(frozen=True)
class Task:
    """A few calls of one experiment.

    Parameters
    ----------
    reference : str
        ``module:name`` of the experiment.
    version : str
        Of its code.
    fixed : dict
        Parameters that are the same in every call.
    names : tuple of str
        Those that are not.
    calls : tuple of tuple
        Their values, a tuple for each call.
    seconds : float
        After which no further call is begun; the calls left out are for another task.
    """

    reference: str
    version: str
    fixed: dict[str, Any]
    names: tuple[str, ...]
    calls: tuple[tuple[Any, ...], ...]
    seconds: float


@dataclass(frozen=True)
class Done:
    """What came of a task: an outcome for each call made, and the seconds they took together."""

    outcomes: list[Headline | Blank]
    seconds: float


def perform(task: Task) -> Done:
    """Make the calls of a task, in order, at least one."""
    experiment = resolve(task.reference)
    if version(task.reference, frozen=True) != task.version:
        raise OtherCode(f"The workers have loaded other code of {task.reference.split(':')[1]} than this sweep's; restart them.")
    outcomes: list[Headline | Blank] = []
    start = time.perf_counter()
    elapsed = 0.0
    for call in task.calls:
        outcomes.append(_outcome(experiment, task.fixed | dict(zip(task.names, call, strict=True))))
        elapsed = time.perf_counter() - start
        if elapsed > task.seconds:
            break
    return Done(outcomes, elapsed)


def _outcome(experiment: Experiment[Any], values: dict[str, Any]) -> Headline | Blank:
    try:
        headline = experiment(**values).headline()
        return {label: float(v) if is_number(v) else _words(v) for label, v in headline.items()}
    except ParameterError as error:
        return Blank(f"{error.name} {error.reason}")
    except Exception as error:  # one cell's failure is not the sweep's
        return Blank(f"failed: {type(error).__name__}: {' '.join(str(error).split())}"[:300])


def is_number(value: Any) -> bool:
    """Whether a headline's value is a finite number."""
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and bool(np.isfinite(value))


def _words(value: Any) -> str:
    return value if isinstance(value, str) else f"it is {value}"
