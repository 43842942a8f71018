"""What is to be swept, and the key under which its numbers are kept."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from compute.experiment import Experiment
from compute.parameters import ParameterError, SeedParameter
from compute.sweeps.axes import Axis
from compute.sweeps.cells import Task
from compute.sweeps.version import reference, version

FORM = 1  # of the file; another number forgets all files


@dataclass(frozen=True)
class SweepPlan:
    """What is to be swept.

    Parameters
    ----------
    experiment : Experiment
        One that other processes can import.
    x : Axis
        Along columns.
    y : Axis, optional
        Along rows; none for a curve.
    metric : str
        A label of the headline. It only selects: all headline numbers are computed and kept.
    fixed : dict
        The other parameters; their defaults where not given. A value given for an axis is left out.
    n_seeds : int
        Repeats at the seeds s, s + 1, …, where s is the fixed seed; 1 for an experiment without a seed.

    Raises
    ------
    ParameterError
        For what is not a parameter, a value that is not allowed, or seeds where there are none.
    """

    experiment: Experiment[Any]
    x: Axis
    y: Axis | None
    metric: str
    fixed: dict[str, Any] = field(default_factory=dict)
    n_seeds: int = 1

    def __post_init__(self) -> None:
        # Frozen for its users; here each part takes its checked form.
        put = object.__setattr__
        put(self, "x", self.x.check(self.experiment))
        if self.y is not None:
            put(self, "y", self.y.check(self.experiment))
        if len(set(self.axes)) < len(self.axes):
            raise ParameterError(self.x.name, "cannot be on both axes.")
        values = self.experiment.validate({n: v for n, v in self.fixed.items() if n not in self.axes})
        put(self, "fixed", {name: value for name, value in values.items() if name not in self.axes})
        self._check_seeds()

    def _check_seeds(self) -> None:
        if not (isinstance(self.n_seeds, int) and self.n_seeds >= 1):
            raise ParameterError("n_seeds", f"takes an integer from 1, not {self.n_seeds!r}.")
        if self.n_seeds == 1:
            return
        if self.seed is None:
            raise ParameterError("n_seeds", f"takes 1 here, for {self.experiment.name} has no seed off the axes.")
        self.experiment.parameters[self.seed].validate(self.seed, self.fixed[self.seed] + self.n_seeds - 1)

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the parameters on the axes, x first."""
        return (self.x.name,) if self.y is None else (self.x.name, self.y.name)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows (y) and columns (x); one row for a curve."""
        return (1 if self.y is None else len(self.y.values)), len(self.x.values)

    @property
    def seed(self) -> str | None:
        """Name of the seed that repeats move, if there is one."""
        return next((n for n, p in self.experiment.parameters.items() if isinstance(p, SeedParameter) and n in self.fixed), None)

    @cached_property
    def version(self) -> str:
        """Of the code that the experiment runs."""
        return version(reference(self.experiment))

    def is_current(self) -> bool:
        """Whether the code is still that on disk."""
        return version(reference(self.experiment)) == self.version

    @cached_property
    def key(self) -> str:
        """Of all that the numbers depend on; the metric is not among it."""
        content = {
            "form": FORM,
            "experiment": reference(self.experiment),
            "version": self.version,
            "axes": [[axis.name, list(axis.values)] for axis in (self.x, self.y) if axis is not None],
            "fixed": {name: _plain(value) for name, value in self.fixed.items()},
            "seeds": self.n_seeds,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:40]

    def values(self, cell: int, repeat: int = 0) -> dict[str, Any]:
        """All parameters of one call; cells are numbered along rows."""
        names, moved = self._moved
        return self.fixed | dict(zip(names, moved(cell, repeat), strict=True))

    def task(self, jobs: list[tuple[int, int]], seconds: float) -> Task:
        """A piece of work for a worker: some cells, each with its repeat."""
        names, moved = self._moved
        values = tuple(moved(cell, repeat) for cell, repeat in jobs)
        return Task(reference(self.experiment), self.version, self.fixed, names, values, seconds)

    @property
    def _moved(self) -> tuple[tuple[str, ...], Any]:
        """Names of what differs between calls, and a function from a cell and a repeat to its values."""
        columns = len(self.x.values)
        seed = self.seed if self.n_seeds > 1 else None

        def values(cell: int, repeat: int) -> tuple[Any, ...]:
            row, column = divmod(cell, columns)
            found = [self.x.values[column]]
            if self.y is not None:
                found.append(self.y.values[row])
            if seed is not None:
                found.append(self.fixed[seed] + repeat)
            return tuple(found)

        return self.axes if seed is None else (*self.axes, seed), values


def coarse_to_fine(rows: int, columns: int) -> list[int]:
    """Cells in an order that fills the map as a whole, ever finer: that of Bayer's dither matrix."""
    row, column = np.indices((rows, columns))
    bits = max(rows, columns).bit_length()
    rank = np.zeros((rows, columns), dtype=np.int64)
    for bit in range(bits):  # the lowest bit of a coordinate decides first
        i, j = (row >> bit) & 1, (column >> bit) & 1
        rank |= (((i ^ j) << 1) | i) << (2 * (bits - 1 - bit))
    return [int(cell) for cell in np.argsort(rank.ravel(), kind="stable")]


def _plain(value: Any) -> Any:
    """A parameter's value as JSON can hold it, one text for one value."""
    if isinstance(value, pl.DataFrame):
        text = f"{value.schema}\n{value.write_csv()}"
        return hashlib.sha256(text.encode()).hexdigest()
    return value
