"""The film of a reverse process, and the error of its strings against steps and against categories."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.diffusion_samplers.simplex_diffusions.processes import KINDS, Gumbel, Reverse
from compute.diffusion_samplers.simplex_diffusions.setting import Constants, Particles, Process, Steps, Strings
from compute.experiment import Result, experiment
from compute.methods.shared_parameters import gathered
from compute.models.token_law import TokenLaw, parallel_unmasking
from compute.parameters import Choice, Real, Seed

Array = NDArray[np.float64]
N_FRAMES, N_SHOWN = 21, 240
CATEGORY_GRID = (2, 3, 5, 8, 13, 20)
GUMBEL = ("process", ("gumbel",))

Field = Annotated[
    str,
    Choice("Gumbel field", options=("published", "exact"), help="The exact one carries the noisy interpolant along.", when=GUMBEL),
]
Guidance = Annotated[float, Real("guidance", r"\gamma", low=0.0, high=20.0, help="Towards the first category.", when=GUMBEL)]
Against = Annotated[str, Choice("against", options=("steps", "categories"))]


def polygon(n_categories: int) -> Array:
    """(K, 2) vertices of a regular polygon, the first on top."""
    angle = np.pi / 2 - 2 * np.pi * np.arange(n_categories) / n_categories
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


@dataclass(frozen=True)
class Film(Result):
    """First tokens of strings on their way to the vertices."""

    process: str
    progress: Array  # (n_frames,) share of the steps made
    position: NDArray[np.float32]  # (n_frames, n_shown, 2)
    token: NDArray[np.intp]  # (n_shown,) where each ends
    corner: Array  # (K, 2)
    share: Array  # (n_frames, K) of first tokens nearest each vertex
    share_error: Array  # (K,) at the end
    exact: Array  # (K,)
    total_variation: tuple[float, float]  # of whole strings, and its standard error
    floor: float  # the same of exact strings
    largest: float  # mean largest coordinate at the end

    def table(self) -> pl.DataFrame:
        n_frames, n_shown, _ = self.position.shape
        moves = pl.DataFrame(
            {
                "progress": np.repeat(self.progress, n_shown),
                "x": self.position[..., 0].ravel(),
                "y": self.position[..., 1].ravel(),
                "token_at_the_end": np.tile(self.token + 1, n_frames),
            }
        )
        K = self.exact.size
        shares = pl.DataFrame(
            {
                "progress": np.repeat(self.progress, K),
                "token": np.tile(np.arange(1, K + 1), n_frames),
                "share": self.share.ravel(),
                "exact_share": np.tile(self.exact, n_frames),
            }
        )
        end = pl.DataFrame({"token": np.arange(1, K + 1), "share_at_the_end": self.share[-1], "standard_error": self.share_error})
        return pl.concat([moves, shares, end], how="diagonal_relaxed")

    def headline(self) -> dict[str, float | str]:
        found, error = self.total_variation
        return {
            "total variation of strings": found,
            "its standard error": error,
            "of exact strings, as many": self.floor,
            "mean largest coordinate at the end": self.largest,
        }


def _step_seconds(process: str, length: int, categories: int, strings: int) -> float:
    """Of one step, measured."""
    cell = {"gumbel": 3.6e-8, "jacobi": 1.5e-7, "sphere": 8e-8, "bayesian flow": 3.6e-8}[process]
    return 7e-5 + cell * length * categories * strings + (2e-5 * categories if process == "jacobi" else 0.0)


def _film_seconds(*, process: str, categories: int, length: int, steps: int, strings: int, **_: object) -> float:
    return 0.01 + steps * _step_seconds(process, length, categories, strings)


@experiment(seconds=_film_seconds)
@gathered(Strings, "data", build=lambda data: data.build())
@gathered(Constants, "constants")
def film(
    *,
    process: Process = "jacobi",
    data: TokenLaw,
    steps: Steps = 40,
    strings: Particles = 500,
    gumbel_field: Field = "published",
    guidance: Guidance = 0.0,
    constants: Constants,
    seed: Seed = 0,
) -> Iterator[tuple[float, Film]]:
    """Generate strings with the exact posterior over categories, and hold them to the law of the data."""
    rng = np.random.default_rng([seed, 3])
    reverse = KINDS[process](data, constants, steps)
    if process == "gumbel":
        reverse = Gumbel(data, constants, steps, gumbel_field == "exact", guidance)
    shown_at = set(np.unique(np.rint(np.linspace(0, steps, min(steps + 1, N_FRAMES))).astype(int)).tolist())
    K = data.n_categories
    corner = polygon(K)
    places, shares, progress, largest = [], [], [], [0.0]

    def look(step: int, state: Array) -> None:
        if step in shown_at:
            x = reverse.simplex(state, step)[:, 0]
            places.append(x[:N_SHOWN] @ corner)
            shares.append(np.bincount(np.argmax(x, axis=1), minlength=K) / strings)
            progress.append(step / steps)
            largest[0] = float(x.max(axis=1).mean())

    tokens = reverse.run(strings, rng, look)
    share = np.bincount(tokens[:, 0], minlength=K) / strings
    shares[-1] = share
    yield (
        1.0,
        Film(
            process,
            np.array(progress),
            np.array(places, dtype=np.float32),
            tokens[:N_SHOWN, 0],
            corner,
            np.array(shares),
            np.sqrt(np.maximum(share * (1 - share), 1 / strings) / strings),
            data.p,
            data.total_variation(np.asarray(tokens, dtype=np.int64)),
            data.noise_floor(strings),
            largest[0],
        ),
    )


# --- errors -------------------------------------------------------------------------------------------------------

CURVES = ("jacobi", "gumbel, published field", "gumbel, exact field", "sphere", "bayesian flow")


@dataclass(frozen=True)
class Errors(Result):
    """Total variation of generated strings, five samplers against steps or against categories."""

    against: str
    x: Array  # (n,)
    error: dict[str, Array]  # (n,) by sampler
    standard_error: dict[str, Array]
    unmasking: Array  # (n,) exact, of masked diffusion that unmasks in parallel
    gumbel_limit: Array  # (n,) exact, that of the interpolant's own argmax
    floor: Array  # (n,) of exact strings

    def table(self) -> pl.DataFrame:
        columns = {
            self.against: self.x,
            "masked_diffusion": self.unmasking,
            "noise_floor": self.floor,
            "argmax_limit": self.gumbel_limit,
        }
        for name, values in self.error.items():
            columns[name] = values
            columns[f"{name}, standard error"] = self.standard_error[name]
        return pl.DataFrame(columns)

    def headline(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {}
        for name, values in self.error.items():
            near = np.flatnonzero(values < self.floor + 2 * self.standard_error[name])
            where = f"{self.x[near[0]]:.0f}" if near.size else "none of these"
            found[f"{self.against} at the noise floor, {name}"] = where
        return found | {"exact strings, as many": float(self.floor[-1])}


def _grid(against: str, steps: int, length: int) -> list[int]:
    if against == "categories":
        return [k for k in CATEGORY_GRID if k**length <= 1000]
    return [int(n) for n in np.unique(np.rint(np.geomspace(10, max(steps, 20), 4)))]


def _error_seconds(*, against: str, categories: int, length: int, steps: int, strings: int, **_: object) -> float:
    total = 0.0
    for x in _grid(against, steps, length):
        n, k = (x, categories) if against == "steps" else (steps, x)
        total += n * sum(_step_seconds(p, length, k, strings) for p in KINDS)
    return 0.02 + total


def interpolant_limit(law: TokenLaw, beta: float) -> float:
    """Total variation of the argmax of the Gumbel interpolant: each token is another one with chance (K-1)/(e^beta + K - 1)."""
    K, L = law.n_categories, law.length
    flip = 1 / (np.exp(beta) + K - 1)
    channel = (1 - K * flip) * np.eye(K) + flip
    output = law.table().reshape((K,) * L)
    for axis in range(L):
        output = np.moveaxis(np.tensordot(channel, output, axes=(0, axis)), 0, axis)
    return float(0.5 * np.abs(output.ravel() - law.table()).sum())


@experiment(seconds=_error_seconds)
@gathered(Strings, "data")
@gathered(Constants, "constants")
def errors(
    *,
    against: Against = "steps",
    data: Strings,
    steps: Steps = 40,
    strings: Particles = 500,
    constants: Constants,
    seed: Seed = 0,
) -> Iterator[tuple[float, Errors]]:
    """Total variation between generated strings and their law, beside masked diffusion's, which is known exactly."""
    x = _grid(against, steps, data.length)
    error = {name: [] for name in CURVES}  # type: dict[str, list[float]]
    spread = {name: [] for name in CURVES}  # type: dict[str, list[float]]
    exact, limit, floor = [], [], []
    for k, value in enumerate(x):
        n_steps = value if against == "steps" else steps
        law = data.build(None if against == "steps" else value)
        samplers: dict[str, Reverse] = {
            **{name: KINDS[name](law, constants, n_steps) for name in ("jacobi", "sphere", "bayesian flow")},
            "gumbel, published field": Gumbel(law, constants, n_steps),
            # The exact field moves nothing in z: one step is as good as many.
            "gumbel, exact field": Gumbel(law, constants, 1, is_exact=True),
        }
        for place, name in enumerate(CURVES):
            tokens = samplers[name].run(strings, np.random.default_rng([seed, 7, place, value]))
            tv, se = law.total_variation(np.asarray(tokens, dtype=np.int64))
            error[name].append(tv)
            spread[name].append(se)
        exact.append(parallel_unmasking(law, n_steps))
        limit.append(interpolant_limit(law, constants.gumbel_beta))
        floor.append(law.noise_floor(strings))
        yield (
            (k + 1) / len(x),
            Errors(
                against,
                np.array(x[: k + 1], dtype=float),
                {name: np.array(values) for name, values in error.items()},
                {name: np.array(values) for name, values in spread.items()},
                np.array(exact),
                np.array(limit),
                np.array(floor),
            ),
        )
