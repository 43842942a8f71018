"""Small experiments to sweep in tests: other processes import them, so they have a module."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
import pytest

from compute.experiment import Result, experiment
from compute.parameters import Choice, Flag, Integer, LogInteger, LogReal, ParameterError, Real, Seed
from compute.sweeps import handle

FOLDER = "REGIMES_TEST_FOLDER"

A = Annotated[float, Real("a", low=0.0, high=1.0)]
B = Annotated[float, LogReal("b", low=0.01, high=100.0)]


@dataclass(frozen=True)
class Scalars(Result):
    scalars: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        return pl.DataFrame(self.scalars)

    def headline(self) -> dict[str, float | str]:
        return self.scalars


def folder() -> Path:
    """Where calls leave a trace, in whatever process they are made."""
    return Path(os.environ[FOLDER])


@contextmanager
def fresh_folders(factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty cache and no traces, for workers that are started within."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER, str(factory.mktemp("traces")))
        patch.setenv("REGIMES_CACHE", str(factory.mktemp("cache")))
        patch.delenv(handle.SCHEDULER, raising=False)
        patch.setattr(handle, "_pool", None)
        yield
        if handle._pool:
            handle._pool.close()


def note(text: str) -> None:
    with (folder() / "calls").open("a") as file:
        file.write(text + "\n")


def calls() -> list[str]:
    file = folder() / "calls"
    return file.read_text().splitlines() if file.exists() else []


@experiment
def noisy(
    *,
    a: A = 0.5,
    b: B = 1.0,
    n: Annotated[int, LogInteger("n", low=1, high=1000)] = 10,
    kind: Annotated[str, Choice("kind", options=("plus", "minus", "times"))] = "plus",
    sign: Annotated[bool, Flag("sign")] = False,
    seed: Seed = 0,
) -> Scalars:
    """Draws whose mean tells every parameter."""
    note(f"noisy {a} {b} {seed}")
    draws = np.random.default_rng(seed).normal(size=n) * b
    value = {"plus": a + draws.mean(), "minus": a - draws.mean(), "times": a * draws.mean()}[kind]
    return Scalars(
        {"value": float(-value if sign else value), "kind": kind, "largest": float(draws.max()), f"first of {n:,}": float(draws[0])}
    )


@experiment
def holes(*, a: A = 0.5, k: Annotated[int, Integer("k", low=0, high=5)] = 0) -> Scalars:
    """Each k has a cell of its own kind."""
    if k == 1:
        raise ParameterError("a", "is too much here.")
    if k == 2:
        raise ValueError("no such luck")
    value: dict[int, float | str] = {3: "does not exist", 4: float("inf")}
    return Scalars({"other": 1.0} if k == 5 else {"value": value.get(k, a), "other": 2.0})


@experiment
def slow(
    *,
    a: A = 0.5,
    b: B = 1.0,
    milliseconds: Annotated[int, Integer("time", low=0, high=60_000)] = 10,
    name: Annotated[int, Integer("whose", low=0, high=9)] = 0,
) -> Scalars:
    """Takes its time."""
    time.sleep(milliseconds / 1000)
    note(f"slow {a} {b} {name}")
    return Scalars({"value": a * b})


@experiment
def busy(*, a: A = 0.5, b: B = 1.0, milliseconds: Annotated[float, Real("time", low=0.0, high=100.0)] = 5.0) -> Scalars:
    """Computes for so long, of its own processor time: a model of that cost."""
    start = time.thread_time()
    while time.thread_time() - start < milliseconds / 1000:
        pass
    return Scalars({"value": a * b})


@experiment
def deadly(*, a: A = 0.5, k: Annotated[int, Integer("k", low=0, high=9)] = 0) -> Scalars:
    """Ends its process: at k = 3 the first time, at k = 7 every time."""
    mark = folder() / f"deadly {a}"
    if k == 7 or (k == 3 and not mark.exists()):
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return Scalars({"value": a + k})


@experiment(seconds=lambda a, b: 0.01)
def stepwise(*, a: A = 0.5, b: B = 1.0) -> Iterator[tuple[float, Scalars]]:
    """Its final result counts."""
    for step in range(3):
        yield (step + 1) / 3, Scalars({"value": a * b + step})
