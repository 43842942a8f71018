"""An axis of a sweep: a parameter and the values it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from compute.experiment import Experiment
from compute.parameters import Choice, Flag, Number, Parameter, ParameterError, format_number

MOST = 128
SPACINGS = ("linear", "log")


@dataclass(frozen=True)
class Axis:
    """A parameter and the values it takes.

    Parameters
    ----------
    name : str
        The parameter.
    values : tuple
        Numbers or options, at most 128, no two alike.
    is_log : bool
        Whether the values are evenly spaced in the logarithm: how to draw the axis.
    """

    name: str
    values: tuple[Any, ...]
    is_log: bool = field(default=False, compare=False)

    def text(self, k: int) -> str:
        """One of its values as people write it."""
        value = self.values[k]
        return str(value) if isinstance(value, (str, bool)) else format_number(value)

    @classmethod
    def over(
        cls,
        experiment: Experiment[Any],
        name: str,
        low: float | None = None,
        high: float | None = None,
        n: int = 32,
        spacing: str | None = None,
        *,
        options: Sequence[Any] | None = None,
    ) -> Axis:
        """A parameter over a range, both ends included, or over its options.

        Parameters
        ----------
        experiment : Experiment
            Whose parameter it is.
        name : str
            The parameter: a number, a choice or a flag.
        low, high : float, optional
            Of a number: the ends; its bounds where not given.
        n : int
            Of a number: how many values, 2 to 128; fewer where integers would repeat.
        spacing : {"linear", "log"}, optional
            Of a number; the parameter's own where not given.
        options : sequence, optional
            Of a choice: some of its options; all of them where not given.

        Raises
        ------
        ParameterError
            Where the parameter cannot be swept so.
        """
        parameter = declared(experiment, name)
        if isinstance(parameter, Number):
            is_log = _is_log(parameter, name, spacing)
            return cls(name, _range(parameter, name, low, high, n, is_log), is_log)
        values = parameter.extremes() if options is None else tuple(parameter.validate(name, one) for one in options)
        return cls(name, values)

    def check(self, experiment: Experiment[Any]) -> Axis:
        """The same axis, its values in the parameter's own type; raises ``ParameterError`` where one is not allowed."""
        parameter = declared(experiment, self.name)
        values = tuple(parameter.validate(self.name, value) for value in self.values)
        if not 1 <= len(values) <= MOST:
            raise ParameterError(self.name, f"takes 1 to {MOST} values on an axis, not {len(values)}.")
        if len(set(values)) < len(values):
            raise ParameterError(self.name, "takes each value once on an axis.")
        return Axis(self.name, values, self.is_log)


def declared(experiment: Experiment[Any], name: str) -> Parameter:
    """The parameter of that name, if a sweep can vary it."""
    if name not in experiment.parameters:
        raise ParameterError(name, f"is not a parameter of {experiment.name}; those are {', '.join(experiment.parameters)}.")
    parameter = experiment.parameters[name]
    if not isinstance(parameter, (Number, Choice, Flag)):
        raise ParameterError(name, f"takes {parameter.allowed}; an axis takes a number, a choice or a flag.")
    return parameter


def _is_log(parameter: Number, name: str, spacing: str | None) -> bool:
    if spacing is not None and spacing not in SPACINGS:
        raise ParameterError(name, f"takes {' or '.join(SPACINGS)} spacing, not {spacing!r}.")
    return parameter.is_log if spacing is None else spacing == "log"


def _range(parameter: Number, name: str, low: float | None, high: float | None, n: int, is_log: bool) -> tuple[Any, ...]:
    low, high = (parameter.low if low is None else low), (parameter.high if high is None else high)
    first, last = parameter.validate(name, low), parameter.validate(name, high)
    if not first < last:
        raise ParameterError(name, f"takes a range from less to more, not {format_number(low)} to {format_number(high)}.")
    if not (isinstance(n, int) and 2 <= n <= MOST):
        raise ParameterError(name, f"takes 2 to {MOST} values on an axis, not {n}.")
    if is_log and first <= 0:
        raise ParameterError(name, f"takes a range above 0 in log spacing, not one from {format_number(low)}.")
    grid = np.geomspace(first, last, n) if is_log else np.linspace(first, last, n)
    if parameter.is_integer:
        return tuple(dict.fromkeys([first, *(int(math.floor(v + 0.5)) for v in grid[1:-1]), last]))
    return (first, *map(float, grid[1:-1]), last)
