r"""Which datum does each noise reach, and how the noise is steered by the gradient through the sampler.

The noise x_T is moved by gradient descent on l = |y_0 - target|^2 in units of its standard deviation: z = x_T/sigma_max,
z <- z - eta dl/dz, with dl/dx_T by backpropagation through the sampler. The flow carries N(0, sigma_max^2) nearly to the
data's law, so the basins of equally likely data have nearly equal Gaussian mass, however small they look.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.diffusion_samplers.flow_map_geometry.setting import (
    MOST_ROWS,
    Data,
    GuidanceSteps,
    LearningRate,
    Rho,
    Separation,
    SigmaMax,
    Solver,
    Steps,
    Table,
    Width,
    levels_of,
    mixture_of,
)
from compute.experiment import Result, experiment
from compute.methods import flow_adjoint as fa
from compute.models.gaussian_mixture import GaussianMixture
from compute.parameters import ParameterError, Seed

Array = NDArray[np.float64]

REACH = 2.6  # standard deviations of the noise shown
N_SIDE = 80
WORK = 6e7  # denoiser evaluations times components that a map may take
N_ARROWS = 9
CHUNK = 25  # guidance steps between partial results


@dataclass(frozen=True)
class Basins(Result):
    """The noise plane by the datum reached; all noises in units of sigma_max."""

    axis: Array  # (n_side,)
    reached: NDArray[np.int64]  # (n_side, n_side) number of the datum, [row of z2, column of z1]
    order: Array  # (n_data,) the data's places on a color scale, 0 to 1
    data: Array  # (n_data, 2)
    arrows: Array  # (n_arrows, 4) z1, z2 and the unit direction of -dl/dz; those of vanishing gradient are left out
    path: Array  # (guidance_steps + 1, 2) of the steered noise
    output: Array  # (guidance_steps + 1, 2) where it ends
    loss: Array  # (guidance_steps + 1,)
    target: int
    mass: Array  # (n_data,) Gaussian mass of each basin

    def table(self) -> pl.DataFrame:
        z1, z2 = np.meshgrid(self.axis, self.axis)
        place = self.order[self.reached.ravel()]
        plane = pl.DataFrame({"what": ["noise"] * z1.size, "z1": z1.ravel(), "z2": z2.ravel(), "datum": self.reached.ravel()})
        plane = plane.with_columns(pl.Series("color", place))
        data = pl.DataFrame(
            {
                "what": ["datum"] * len(self.data),
                "datum": np.arange(len(self.data)),
                "x1": self.data[:, 0],
                "x2": self.data[:, 1],
                "color": self.order,
                "basin_mass": self.mass,
            }
        )
        path = pl.DataFrame(
            {
                "what": ["steered noise"] * len(self.path),
                "z1": self.path[:, 0],
                "z2": self.path[:, 1],
                "x1": self.output[:, 0],
                "x2": self.output[:, 1],
                "loss": self.loss,
            }
        )
        return pl.concat([plane, data, path], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        share = self.mass * len(self.mass)
        return {
            "basin's Gaussian mass × data, from": float(share.min()),
            "to": float(share.max()),
            "loss of the unsteered noise": float(self.loss[0]),
            "loss after steering": float(self.loss[-1]),
        }


def _nearest(mixture: GaussianMixture, y: Array) -> NDArray[np.int64]:
    return np.asarray(np.argmin(np.sum(mixture.means**2, axis=1) - 2 * y @ mixture.means.T, axis=1), dtype=np.int64)


def _order(points: Array, data: str) -> Array:
    """Where the points stand on a color scale: along the spiral or row by row; others by angle about their center.

    Where they are many, every other one is moved a little, so that neighbors differ.
    """
    n = len(points)
    if n <= 12:
        return _rank(points, data) / max(1, n - 1)
    return 0.82 * _rank(points, data) / (n - 1) + 0.18 * (_rank(points, data) % 2)


def _rank(points: Array, data: str) -> NDArray[np.int64]:
    if data in ("spiral", "grid"):
        return np.arange(len(points))
    centered = points - points.mean(axis=0)
    angle = np.arctan2(centered[:, 1], centered[:, 0]) % (2 * np.pi - 1e-9)
    return np.argsort(np.argsort(angle, kind="stable"), kind="stable")


def _data_of(table: pl.DataFrame | None, data: str, separation: float, width: float) -> GaussianMixture:
    if table is None:
        return mixture_of(data, separation, width)
    if table.height > MOST_ROWS:
        raise ParameterError("table", f"has {table.height} usable rows; this lab takes at most {MOST_ROWS}.")
    means = table.select("x1", "x2").to_numpy()
    return GaussianMixture(np.ones(len(means)), means - means.mean(axis=0), width)


def steer(
    mixture: GaussianMixture, z: Array, levels: Array, target: Array, rate: float, n_steps: int, *, heun: bool
) -> tuple[Array, Array, Array]:
    """(n_steps + 1, 2) noises and outputs and (n_steps + 1,) losses of gradient descent from one noise z, (2,).

    A step is held to half a standard deviation of the noise, since near a ridge between basins gradients are huge.
    """
    path, output, loss = [], [], []
    for _ in range(n_steps + 1):
        stored = fa.states(mixture, levels[0] * z[None], levels, heun=heun)
        gap = stored[-1] - target
        path.append(z)
        output.append(stored[-1][0])
        loss.append(float(np.sum(gap**2)))
        step = rate * levels[0] * fa.backpropagate(mixture, stored, levels, 2 * gap, heun=heun)[0]
        z = z - step * min(1.0, 0.5 / max(float(np.linalg.norm(step)), 1e-300))
    return np.array(path), np.array(output), np.array(loss)


def _seconds(*, steps: int, guidance_steps: int, table: pl.DataFrame | None, **_: object) -> float:
    return 0.02 + 7e-5 * steps * guidance_steps * (1 if table is None else 1 + table.height / 500) + (table is not None) * 0.2


@experiment(seconds=_seconds)
def basins(
    *,
    data: Data = "spiral",
    separation: Separation = 3.0,
    width: Width = 0.1,
    sigma_max: SigmaMax = 20.0,
    steps: Steps = 16,
    rho: Rho = 7.0,
    solver: Solver = "Heun",
    guidance_steps: GuidanceSteps = 12,
    learning_rate: LearningRate = 0.02,
    table: Table = None,
    seed: Seed = 0,
) -> Iterator[tuple[float, Basins]]:
    """Color the plane of noise by the datum nearest to where each noise ends; steer one noise to a datum by gradient.

    The start (a draw) and the target (the datum farthest from where the draw ends) follow the seed.
    The map has 80 x 80 noises, fewer where data and steps are many.

    Raises
    ------
    ParameterError
        For a table of more than 2000 points.
    """
    mixture = _data_of(table, data, separation, width)
    heun = solver == "Heun"
    levels = levels_of(steps, sigma_max, rho)
    n_side = int(np.clip(np.sqrt(WORK / (mixture.n_components * steps * (1 + heun))), 20, N_SIDE))
    axis = REACH * (2 * (np.arange(n_side) + 0.5) / n_side - 1)
    z = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    end = fa.states(mixture, sigma_max * z, levels, heun=heun)[-1]
    reached = _nearest(mixture, end)
    weight = np.exp(-0.5 * np.sum(z**2, axis=1))
    mass = np.bincount(reached, weight / weight.sum(), minlength=mixture.n_components).astype(float)

    rng = np.random.default_rng(seed)
    first = 0.8 * rng.standard_normal(2)
    stop = fa.states(mixture, sigma_max * first[None], levels, heun=heun)[-1]
    target = int(np.argmax(np.sum((mixture.means - stop) ** 2, axis=1)))

    coarse = REACH * (2 * (np.arange(N_ARROWS) + 0.5) / N_ARROWS - 1)
    at = np.stack(np.meshgrid(coarse, coarse), axis=-1).reshape(-1, 2)
    stored = fa.states(mixture, sigma_max * at, levels, heun=heun)
    slope = -fa.backpropagate(mixture, stored, levels, 2 * (stored[-1] - mixture.means[target]), heun=heun)
    size = np.linalg.norm(slope, axis=1, keepdims=True)
    seen = size[:, 0] > 1e-12
    arrows = np.concatenate([at[seen], slope[seen] / size[seen]], axis=1)
    kind = data if table is None else "your data"
    order = _order(mixture.means, kind)
    plane = reached.reshape(n_side, n_side)
    point, walked = first, 0
    path, output, loss = np.empty((0, 2)), np.empty((0, 2)), np.empty(0)
    while True:
        n = min(CHUNK, guidance_steps - walked)
        piece = steer(mixture, point, levels, mixture.means[target], learning_rate, n, heun=heun)
        # A piece starts where the last one ended.
        path = np.concatenate([path[:-1], piece[0]])
        output, loss = np.concatenate([output[:-1], piece[1]]), np.concatenate([loss[:-1], piece[2]])
        point, walked = path[-1], walked + n
        yield (
            (1.0 if walked == guidance_steps else 0.3 + 0.7 * walked / guidance_steps),
            Basins(axis, plane, order, mixture.means, arrows, path, output, loss, target, mass),
        )
        if walked == guidance_steps:
            return
