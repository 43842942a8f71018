"""Where the map is worth more than a law of one's own, and where it is exact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.grids import grid_table
from compute.parameters import LogInteger, ParameterError
from compute.scaling_laws.loss_to_loss.fits import N_CONSTANTS, analyze, misfit
from compute.scaling_laws.loss_to_loss.runs import (
    OPTIMUM,
    PLANE,
    Allocation0,
    Allocation1,
    Exponent0,
    Exponent1,
    LawForm,
    Offset0,
    Offset1,
    Reducible0,
    Reducible1,
    Setting,
    measure,
    run_places,
    with_setting,
)
from compute.scaling_laws.loss_to_loss.theory import sensitivity

Array = NDArray[np.float64]

POINTS = np.array([3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 28, 40])
SIMULATED = (4, 12, 40)
SHARED = np.linspace(0, 1, 41)
MISFIT_FLOOR = 1e-6

Studies = Annotated[int, LogInteger("simulated studies", "S", low=10, high=400, help="Behind each point with its error.")]


@dataclass(frozen=True)
class Advantage(Result):
    """Root-mean-square error of both predictions at the target: first-order theory, and studies simulated."""

    points: Array  # (n_points,)
    shared: Array  # (n_shared,)
    log2_ratio: Array  # (n_shared, n_points) map over own law
    map_theory: Array  # (n_points,) at the chosen share
    own_theory: Array
    simulated_points: Array  # (n_simulated,)
    simulated: Array  # (2, n_simulated) map, own law
    simulated_error: Array  # (2, n_simulated)
    shared_noise: float
    few_shot_points: int
    n_constants: int  # of the own law
    here: tuple[float, float]  # errors at the reader's point, by theory

    def table(self) -> pl.DataFrame:
        plane = grid_table("n_runs", self.points, "shared_noise", self.shared, log2_error_ratio=self.log2_ratio)
        curves = pl.DataFrame({"n_runs": self.points, "map_error": self.map_theory, "own_law_error": self.own_theory})
        dots = pl.DataFrame(
            {
                "n_runs": self.simulated_points,
                "map_error": self.simulated[0],
                "map_standard_error": self.simulated_error[0],
                "own_law_error": self.simulated[1],
                "own_law_standard_error": self.simulated_error[1],
            }
        )
        kinds = [part.with_columns(kind=pl.lit(kind)) for part, kind in ((plane, "map"), (curves, "theory"), (dots, "simulation"))]
        return pl.concat(kinds, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        by_map, by_own = self.here
        shown: dict[str, float | str] = {
            "error of the map": by_map,
            "error of the own law": by_own,
            "map over own law": by_map / by_own if by_own > 0 else "both exact",
            "constants of the own law": self.n_constants,
        }
        theory = np.interp(np.log(self.simulated_points), np.log(self.points), self.map_theory)
        error = self.simulated_error[0]
        if self.simulated_points.size and (error > 0).all():
            gap = (self.simulated[0] - theory) / error
            shown["largest gap of the map to theory, standard errors"] = float(gap[np.argmax(np.abs(gap))])
        return shown


@experiment(
    seconds=lambda n_studies, pairing, law, **_: 0.03 + n_studies * (9e-3 if pairing == PLANE and law == "coupled" else 4.5e-3)
)
@with_setting
def advantage(
    *,
    setting: Setting,
    n_studies: Studies = 20,
) -> Iterator[tuple[float, Advantage]]:
    """Relative error at the target of the map and of dataset 1's own law, over the runs on dataset 1 and the shared noise.

    The errors are first order in the noise, plus what bias is left without noise; studies are drawn and fitted to check them.
    """
    sizes = np.unique(np.append(POINTS, setting.few_shot_points))
    found = [sensitivity(replace(setting, few_shot_points=int(n))) for n in sizes]
    tiny = 1e-12  # both are exact without noise
    plane = np.array([np.log2((s.by_map(setting.noise, SHARED) + tiny) / (s.by_own(setting.noise) + tiny)) for s in found]).T
    map_theory = np.array([float(s.by_map(setting.noise, setting.shared_noise)) for s in found])
    own_theory = np.array([s.by_own(setting.noise) for s in found])
    k = int(np.flatnonzero(sizes == setting.few_shot_points)[0])
    form = "compute" if setting.pairing == OPTIMUM else setting.law
    n_constants = N_CONSTANTS[form] if setting.few_shot_points >= N_CONSTANTS[form] else 3
    points, means, errors = np.empty(0), np.empty((2, 0)), np.empty((2, 0))

    def result() -> Advantage:
        return Advantage(
            sizes.astype(float),
            SHARED,
            plane,
            map_theory,
            own_theory,
            points,
            means,
            errors,
            setting.shared_noise,
            setting.few_shot_points,
            n_constants,
            (float(map_theory[k]), float(own_theory[k])),
        )

    for step, n in enumerate(SIMULATED):
        mean, error = _simulate(replace(setting, few_shot_points=n), n_studies)
        points = np.append(points, float(n))
        means, errors = np.column_stack([means, mean]), np.column_stack([errors, error])
        yield (step + 1) / len(SIMULATED), result()


def _simulate(setting: Setting, n_studies: int) -> tuple[Array, Array]:
    """Root-mean-square relative errors of the two predictions, with standard errors."""
    truth = float(setting.truth(1, setting.target)[0])
    squares = []
    for k in range(n_studies):
        try:
            found = analyze(measure(setting, np.random.default_rng([setting.seed, 3, k])))
        except ParameterError:
            continue  # a study whose E0 came out above its runs gives no prediction
        assert found.by_map is not None and found.by_own is not None
        squares.append([np.log(found.by_map / truth) ** 2, np.log(found.by_own / truth) ** 2])
    if len(squares) < 2:
        raise ParameterError("noise", "leaves no study with an irreducible loss below its runs; use less noise.")
    drawn = np.array(squares)
    root = np.sqrt(drawn.mean(axis=0))
    return root, drawn.std(axis=0, ddof=1) / np.sqrt(len(drawn)) / np.maximum(2 * root, 1e-300)


@dataclass(frozen=True)
class MisfitMap(Result):
    """How far the truth at equal N and D is from any shifted power law, over dataset 1's exponent and allocation."""

    exponent_1: Array  # (n_exponents,)
    allocation_1: Array  # (n_allocations,)
    log10_misfit: Array  # (n_allocations, n_exponents) of root-mean-square log L1, noise-free
    form: str
    exponent_0: float
    allocation_0: float
    here: float
    kappa_here: float
    ratio: float  # g1/g0

    def table(self) -> pl.DataFrame:
        return grid_table(
            "exponent_1", self.exponent_1, "allocation_1", self.allocation_1, log10_rms_log_residual=self.log10_misfit
        )

    def headline(self) -> dict[str, float | str]:
        exact = self.here < MISFIT_FLOOR
        return {
            "best map's residual in log L₁": "0: the map is exact" if exact else self.here,
            "κ of the best map": self.kappa_here,
            "ratio of exponents g₁/g₀": self.ratio,
        }


@experiment
def misfit_map(
    *,
    exponent_0: Exponent0 = 0.15,
    exponent_1: Exponent1 = 0.2,
    offset_0: Offset0 = 1.7,
    offset_1: Offset1 = 1.0,
    reducible_0: Reducible0 = 0.9,
    reducible_1: Reducible1 = 0.5,
    allocation_0: Allocation0 = 0.45,
    allocation_1: Allocation1 = 0.45,
    law: LawForm = "coupled",
) -> MisfitMap:
    """Residual of the best map between noise-free losses on a full grid of equal N and D (E0 known).

    Coupled forms share their inner term where a1 = a0: there the map is exact, with kappa = g1/g0. Additive forms are mapped
    exactly only where both exponents agree.
    """
    setting = Setting(
        exponent_0,
        exponent_1,
        offset_0,
        offset_1,
        reducible_0,
        reducible_1,
        allocation_0,
        allocation_1,
        PLANE,
        law,
        40,
        20.0,
        0.0,
        0.0,
        "trained",
        0,
    )
    places = run_places(PLANE)
    loss_0 = setting.truth(0, places)
    exponents = np.unique(np.append(np.linspace(0.05, 0.5, 19), exponent_0))
    allocations = np.unique(np.append(np.linspace(0.3, 0.7, 13), allocation_0))
    start = np.array([[np.log(max(offset_1, 0.05)), np.log(reducible_1), -1.0]])
    residual = np.empty((allocations.size, exponents.size))
    for i, a in enumerate(allocations):
        for j, g in enumerate(exponents):
            kappa = g / exponent_0
            start[0, 1:] = np.log(reducible_1) - kappa * np.log(reducible_0), -kappa
            truth = replace(setting, exponent_1=float(g), allocation_1=float(a)).truth(1, places)
            residual[i, j] = misfit(loss_0, truth, offset_0, start)[0]
    here, best = misfit(loss_0, setting.truth(1, places), offset_0)
    return MisfitMap(
        exponents,
        allocations,
        np.log10(np.maximum(residual, MISFIT_FLOOR)),
        law,
        exponent_0,
        allocation_0,
        here,
        best.kappa,
        exponent_1 / exponent_0,
    )
