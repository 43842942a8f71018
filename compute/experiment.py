"""What an experiment is: a pure function of declared parameters that returns a frozen result."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import update_wrapper
from typing import Any, Generic, TypeVar, get_type_hints

import polars as pl

from compute.parameters import Parameter, ParameterError, Values


class Result:
    """What an experiment returns: a frozen dataclass of arrays that knows its table and its headline."""

    def table(self) -> pl.DataFrame:
        """What the figure shows as a tidy table: one row a point, units in the column names."""
        raise NotImplementedError

    def headline(self) -> dict[str, float | str]:
        """The few scalars that matter, by a short label; a sentence where one does not exist."""
        raise NotImplementedError


R = TypeVar("R", bound=Result)


class Experiment(Generic[R]):
    """A function of declared keyword parameters.

    Calling it validates the parameters and returns the result. A long experiment is written as a
    generator that yields ``(fraction done, result so far)``, the last at fraction 1.

    Parameters
    ----------
    function : callable
        Keyword-only parameters, each annotated ``Annotated[type, Parameter]``, each with a default.
    seconds : callable, optional
        Of a long experiment: an estimate of its warm run time in seconds from its parameters. A page runs
        it live where this is short, and behind a Run button where it is long or not given.
    """

    def __init__(self, function: Callable[..., Any], seconds: Callable[..., float] | None = None) -> None:
        update_wrapper(self, function)
        self._function = function
        self._seconds = seconds
        self.name = function.__name__
        # A lab is a module, compute/topic/lab.py, or a package of that name whose __init__ gathers its experiments.
        self.lab = "/".join(function.__module__.split(".")[1:3])
        self.doc = inspect.getdoc(function) or ""
        self.is_long = inspect.isgeneratorfunction(function)
        if seconds is not None and not self.is_long:
            raise TypeError(f"{self.name}: only a generator can be long; yield (fraction, result)")
        hints = get_type_hints(function, include_extras=True)
        self.parameters: dict[str, Parameter] = {}
        self.defaults: dict[str, Any] = {}
        for name, argument in inspect.signature(function).parameters.items():
            declared = [m for m in getattr(hints[name], "__metadata__", ()) if isinstance(m, Parameter)]
            if argument.kind is not argument.KEYWORD_ONLY or len(declared) != 1:
                raise TypeError(f"{self.name}({name}) must be keyword-only and annotated with one Parameter")
            self.parameters[name] = declared[0]
            self.defaults[name] = declared[0].validate(name, argument.default)

    def validate(self, values: Values) -> dict[str, Any]:
        """Every parameter, in declared order: the given values checked, the others at their defaults.

        Raises
        ------
        ParameterError
            For a name that is not a parameter or a value that is not allowed.
        """
        for name in values:
            if name not in self.parameters:
                raise ParameterError(name, f"is not a parameter of {self.name}; those are {', '.join(self.parameters)}.")
        return {
            name: parameter.validate(name, values[name]) if name in values else self.defaults[name]
            for name, parameter in self.parameters.items()
        }

    def __call__(self, **values: Any) -> R:
        """Validate and compute; of a long experiment, the final result."""
        *_, (_, result) = self.stream(**values)
        return result

    def stream(self, **values: Any) -> Iterator[tuple[float, R]]:
        """Validate, then yield ``(fraction done, result so far)``; a short experiment yields once."""
        checked = self.validate(values)
        if self.is_long:
            yield from self._function(**checked)
        else:
            yield 1.0, self._function(**checked)

    def seconds(self, values: Values) -> float:
        """Estimated warm run time: 0 for a short experiment, infinite where a long one gives none."""
        if not self.is_long:
            return 0.0
        return float("inf") if self._seconds is None else float(self._seconds(**self.validate(values)))


def experiment(function: Callable[..., Any] | None = None, *, seconds: Callable[..., float] | None = None) -> Any:
    """Declare an experiment; see ``Experiment``. Use as ``@experiment`` or ``@experiment(seconds=…)``."""
    if function is None:
        return lambda f: Experiment(f, seconds)
    return Experiment(function, seconds)
