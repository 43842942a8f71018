"""What a sweep shows: a map of one headline number, its spread over seeds, and why cells are blank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result
from compute.sweeps.axes import Axis
from compute.sweeps.plan import SweepPlan
from compute.sweeps.store import BLANK, COMPUTED, LOST, MISSING, Store, position, without_numbers

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SweepResult(Result):
    """A map of one headline number; a curve where it has one row.

    Attributes
    ----------
    plan : SweepPlan
        What was swept.
    metric : str
        The headline's label; with "…" for a number in it that differs between cells.
    mean : array, shape (rows, columns)
        Over seeds, of cells that are done and have a number; NaN elsewhere. Rows are y, columns x.
    spread : array, shape (rows, columns)
        Standard deviation over seeds; NaN where there is one seed.
    done : array of bool, shape (rows, columns)
        Cells whose every seed was computed, with a number or without.
    reasons : dict
        Why a cell that is done is blank, by (row, column).
    """

    plan: SweepPlan
    metric: str
    mean: Array
    spread: Array
    done: NDArray[np.bool_]
    reasons: dict[tuple[int, int], str]

    @property
    def standard_error(self) -> Array:
        """Of the mean over seeds."""
        return self.spread / np.sqrt(self.plan.n_seeds)

    @property
    def x(self) -> Axis:
        return self.plan.x

    @property
    def y(self) -> Axis | None:
        return self.plan.y

    def table(self) -> pl.DataFrame:
        rows, columns = self.plan.shape
        data: dict[str, Any] = {self.x.name: list(self.x.values) * rows}
        if self.y is not None:
            data[self.y.name] = [value for value in self.y.values for _ in range(columns)]
        cells = [divmod(cell, columns) for cell in range(rows * columns)]
        metric = self.metric if self.metric not in {*data, "sd", "n_seeds", "reason"} else f"{self.metric} (headline)"
        numbers = {metric: self.mean.ravel(), "sd": self.spread.ravel()}
        data |= numbers | {"n_seeds": np.where(self.done, self.plan.n_seeds, 0).ravel()}
        data["reason"] = pl.Series([self.reasons.get(cell) for cell in cells], dtype=pl.String)
        return pl.DataFrame(data).with_columns(pl.col(list(numbers)).fill_nan(None))

    def headline(self) -> dict[str, float | str]:
        has = np.isfinite(self.mean)
        said: dict[str, float | str] = {}
        for word, find in (("least", np.nanargmin), ("most", np.nanargmax)):
            if has.any():
                cell = np.unravel_index(int(find(self.mean)), self.mean.shape)
                said[f"{word} {self.metric}"] = float(self.mean[cell])
                said[f"{word} at"] = self._where(int(cell[0]), int(cell[1]))
            else:
                said[f"{word} {self.metric}"] = "no cell has this number"
        said["cells done"] = f"{int(self.done.sum())} of {self.done.size}"
        said["cells without a number"] = float(len(self.reasons))
        return said

    def _where(self, row: int, column: int) -> str:
        places = [(self.x, column)] + ([] if self.y is None else [(self.y, row)])
        return ", ".join(f"{axis.name} = {axis.text(k)}" for axis, k in places)


def read(plan: SweepPlan, store: Store, metric: str) -> SweepResult:
    """One headline number out of all that a sweep keeps."""
    found, which = _positions(store, metric)
    values = np.full(store.state.shape, np.nan)
    words = np.full(store.state.shape, -1)
    there = which >= 0
    if there.any():
        chosen = (*np.nonzero(there), which[there])
        values[there], words[there] = store.values[chosen], store.words[chosen]
    done = (store.state != MISSING).all(axis=1)
    full = done & np.isfinite(values).all(axis=1)
    mean, spread = np.full(len(done), np.nan), np.full(len(done), np.nan)
    # A single seed's mean is its value to the last bit.
    mean[full] = values[full].mean(axis=1)
    if plan.n_seeds > 1:
        spread[full] = values[full].std(axis=1, ddof=1)
    label = metric if found <= {metric} else without_numbers(metric)
    columns = plan.shape[1]
    blank = {int(cell): _reason(store, label, int(cell), which, words) for cell in np.nonzero(done & ~full)[0]}
    reasons = {divmod(cell, columns): reason for cell, reason in blank.items()}
    return SweepResult(plan, label, mean.reshape(plan.shape), spread.reshape(plan.shape), done.reshape(plan.shape), reasons)


def _positions(store: Store, metric: str) -> tuple[set[str], NDArray[np.int64]]:
    """The labels under which the metric is found, and where it stands in each call's headline; −1 where it is not."""
    if not store.layouts:
        return set(), np.full(store.state.shape, -1)
    places = [position(layout, metric) for layout in store.layouts]
    labels = {layout[place] for layout, place in zip(store.layouts, places, strict=True) if place >= 0}
    last = len(places) - 1
    return labels, np.where(store.state == COMPUTED, np.array(places)[np.clip(store.which, 0, last)], -1)


def _reason(store: Store, metric: str, cell: int, which: NDArray[np.int64], words: NDArray[np.int64]) -> str:
    """Why a cell has no number: what its first seed without one says, and how many there are."""
    said = []
    for repeat in range(store.state.shape[1]):
        if store.state[cell, repeat] in (BLANK, LOST):
            said.append(store.sentences[store.which[cell, repeat]])
        elif which[cell, repeat] < 0:
            said.append(f"{metric}: the headline has no such number here")
        elif words[cell, repeat] >= 0:
            said.append(f"{metric}: {store.sentences[words[cell, repeat]]}")
    some = len(said) < store.state.shape[1]
    return f"{said[0]} (for {len(said)} of {store.state.shape[1]} seeds)" if some else said[0]
