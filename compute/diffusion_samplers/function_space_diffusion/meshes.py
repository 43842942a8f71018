r"""Fields carried to other meshes of one surface, and to the surface turned: by its own modes, or by coordinates in space.

The law of fields is the lab's mixture on the bumpy sphere, on its finest mesh. Two models know it:

    intrinsic   modes of the mesh at hand, with variances and heat-kernel means that its eigenvalues and landmarks give;
    extrinsic   a field over space, f(x) = sum_i w_i(x) f(x_i), with Gaussian weights w over the points x_i of the mesh it was
                trained on, in the pose it was trained in.

Each is asked for a field on the surface meshed anew and turned, and judged at landmarks that all meshes share: mean W1 between
16 projections of the model's law and of the true one. A mixture's projection is a mixture on the line, so that W1 is exact; the
same is estimated from draws of both, with the noise floor of two samples of the true law.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
import polars as pl
from scipy.special import ndtr

from compute.diffusion_samplers.function_space_diffusion.setting import (
    Array,
    Components,
    DataSmoothness,
    bumpy_mesh,
    heat_means,
    powers,
)
from compute.experiment import Result, experiment
from compute.models.laplacian_modes import Modes, mesh_modes
from compute.models.triangle_mesh import geodesic_sphere
from compute.parameters import Real, Seed

Rotation = Annotated[float, Real("rotation", r"\theta", unit="degrees", low=0.0, high=180.0, help="Of the surface in space.")]

FREQUENCIES = (4, 6, 8, 10, 14)
FINEST, TRAINED = 28, 8
LANDMARKS = 2  # the frequency whose vertices every mesh has
N_MODES = 40
BANDWIDTH = 0.2  # of the extrinsic weights; an edge of the mesh it is trained on is about as long
N_DIRECTIONS = 16
N_SAMPLES = 400
N_REPEATS = 4
N_ANGLES = 13


@dataclass(frozen=True)
class LandmarkLaw:
    """A mixture's law at the p landmarks.

    Parameters
    ----------
    means : (J, p) array
    root : (p, q) array
        A square root of the covariance that the components share.
    """

    means: Array
    root: Array

    def sample(self, rng: np.random.Generator, n: int) -> Array:
        """(n, p)."""
        chosen = rng.integers(self.means.shape[0], size=n)
        return np.asarray(self.means[chosen] + rng.standard_normal((n, self.root.shape[1])) @ self.root.T)


@lru_cache(maxsize=8)
def _modes(frequency: int) -> Modes:
    vertices, triangles = bumpy_mesh(frequency)
    return mesh_modes(vertices, triangles, N_MODES)


@lru_cache(maxsize=8)
def landmarks(frequency: int) -> tuple[int, ...]:
    """Vertices of a mesh that stand where the coarsest one's do."""
    coarse, _ = geodesic_sphere(LANDMARKS)
    fine, _ = geodesic_sphere(frequency)
    return tuple(int(i) for i in np.argmax(coarse @ fine.T, axis=1))


def _centers(components: int) -> Array:
    """Which landmarks the means stand at: the first is arbitrary, each next is the farthest from those before."""
    points, _ = geodesic_sphere(LANDMARKS)
    chosen = [0]
    for _ in range(components - 1):
        chosen.append(int(np.argmin(np.max(points @ points[chosen].T, axis=1))))
    return np.array(chosen)


def coefficients(frequency: int, data_smoothness: float, components: int) -> tuple[Array, Array]:
    """Means (J, K) and deviations (K,) in the modes of a mesh; one component alone has mean zero."""
    modes = _modes(frequency)
    at_centers = modes.function[np.array(landmarks(frequency))[_centers(components)]]
    means = heat_means(modes.eigenvalue, at_centers, 2) * (components > 1)
    return means, np.sqrt(powers(modes.eigenvalue, data_smoothness))


def intrinsic_law(frequency: int, data_smoothness: float, components: int) -> LandmarkLaw:
    """What the modes of a mesh make of the law at the landmarks; no place in space enters."""
    means, deviation = coefficients(frequency, data_smoothness, components)
    function = _modes(frequency).function[list(landmarks(frequency))]
    return LandmarkLaw(means @ function.T, function * deviation)


def turn(points: Array, degrees: float) -> Array:
    """Rotate points (n, 3) about a fixed axis that is none of the coordinates'."""
    axis = np.array([1.0, 2.0, 2.0]) / 3
    angle = np.radians(degrees)
    return np.asarray(
        np.cos(angle) * points + np.sin(angle) * np.cross(axis, points) + (1 - np.cos(angle)) * np.outer(points @ axis, axis)
    )


def extrinsic_law(degrees: float, data_smoothness: float, components: int) -> LandmarkLaw:
    """What the field over space makes of the law at the landmarks of the surface turned."""
    trained, _ = bumpy_mesh(TRAINED)
    asked = turn(trained[list(landmarks(TRAINED))], degrees)
    square = np.sum(asked**2, axis=1)[:, None] + np.sum(trained**2, axis=1) - 2 * asked @ trained.T
    weight = np.exp(-0.5 * (square - square.min(axis=1, keepdims=True)) / BANDWIDTH**2)
    weight /= weight.sum(axis=1, keepdims=True)
    means, deviation = coefficients(TRAINED, data_smoothness, components)
    function = weight @ _modes(TRAINED).function
    return LandmarkLaw(means @ function.T, function * deviation)


def projections(n_landmarks: int) -> Array:
    """(p, 16) fixed unit directions."""
    rng = np.random.default_rng(20)
    raw = rng.standard_normal((n_landmarks, N_DIRECTIONS))
    return np.asarray(raw / np.linalg.norm(raw, axis=0))


def exact_distance(one: LandmarkLaw, other: LandmarkLaw) -> float:
    """Mean over directions of W1 between the projected mixtures: the integral of |F - F'|."""
    directions = projections(one.means.shape[1])
    total = 0.0
    projected = [(law.means @ directions, np.linalg.norm(law.root.T @ directions, axis=0)) for law in (one, other)]
    for k in range(N_DIRECTIONS):
        low = min(float(np.min(m[:, k]) - 6 * s[k]) for m, s in projected)
        high = max(float(np.max(m[:, k]) + 6 * s[k]) for m, s in projected)
        x = np.linspace(low, high, 401)
        first, second = (ndtr((x[:, None] - m[:, k]) / s[k]).mean(axis=1) for m, s in projected)
        total += float(np.sum(np.abs(first - second)) * (x[1] - x[0]))
    return total / N_DIRECTIONS


def sample_distance(rng: np.random.Generator, one: LandmarkLaw, other: LandmarkLaw) -> tuple[float, float]:
    """The same between samples of N_SAMPLES of each law: mean over repeats, and its standard error."""
    directions = projections(one.means.shape[1])
    found = np.empty(N_REPEATS)
    for k in range(N_REPEATS):
        first, second = (np.sort(law.sample(rng, N_SAMPLES) @ directions, axis=0) for law in (one, other))
        found[k] = np.mean(np.abs(first - second))
    return float(found.mean()), float(found.std(ddof=1) / np.sqrt(N_REPEATS))


@dataclass(frozen=True)
class Transfer(Result):
    """Distance of models to the truth on other meshes and poses.

    Parameters
    ----------
    vertices : (n,) array
        Of each mesh.
    intrinsic, intrinsic_drawn, intrinsic_error : (n,) arrays
        Exact distance; between samples, with its standard error.
    floor : float
        Between two samples of the truth.
    degrees : (m,) array
    extrinsic : (m,) array
        Exact distance against rotation.
    turned : (m,) array
        Of the intrinsic model on the mesh the other was trained on: constant.
    at : float
        The rotation asked for.
    extrinsic_here, extrinsic_drawn, extrinsic_error : float
        At that rotation.
    """

    vertices: Array
    intrinsic: Array
    intrinsic_drawn: Array
    intrinsic_error: Array
    floor: float
    degrees: Array
    extrinsic: Array
    turned: Array
    at: float
    extrinsic_here: float
    extrinsic_drawn: float
    extrinsic_error: float

    def table(self) -> pl.DataFrame:
        size = pl.DataFrame(
            {
                "vertices": self.vertices,
                "intrinsic (exact)": self.intrinsic,
                "intrinsic (samples)": self.intrinsic_drawn,
                "SE": self.intrinsic_error,
                "extrinsic at this rotation (exact)": np.full(self.vertices.size, self.extrinsic_here),
                "noise floor": np.full(self.vertices.size, self.floor),
            }
        )
        turned = pl.DataFrame(
            {"rotation (degrees)": self.degrees, "extrinsic (exact)": self.extrinsic, "intrinsic, turned (exact)": self.turned}
        )
        here = pl.DataFrame(
            {"rotation (degrees)": [self.at], "extrinsic (samples)": [self.extrinsic_drawn], "SE": [self.extrinsic_error]}
        )
        return pl.concat([size, turned, here], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        slope = float(np.polyfit(np.log(self.vertices), np.log(self.intrinsic), 1)[0])
        return {
            "intrinsic, finest mesh": float(self.intrinsic[-1]),
            "its slope against vertices": slope,
            "extrinsic at this rotation": self.extrinsic_here,
            "extrinsic over intrinsic, same mesh": self.extrinsic_here / float(self.turned[0]),
        }


@experiment
def mesh_transfer(
    *, rotation: Rotation = 60.0, data_smoothness: DataSmoothness = 1.5, components: Components = 3, seed: Seed = 0
) -> Transfer:
    """Carry a law of fields to other meshes and poses of a surface, by its modes and by coordinates (Elhag et al. 2024)."""
    truth = intrinsic_law(FINEST, data_smoothness, components)
    models = [intrinsic_law(f, data_smoothness, components) for f in FREQUENCIES]
    vertices = np.array([10.0 * f**2 + 2 for f in FREQUENCIES])
    rng = np.random.default_rng(seed)
    drawn = np.array([sample_distance(rng, model, truth) for model in models])
    degrees = np.linspace(0, 180, N_ANGLES)
    laws = [extrinsic_law(angle, data_smoothness, components) for angle in degrees]
    here = extrinsic_law(rotation, data_smoothness, components)
    exact = np.array([exact_distance(model, truth) for model in models])
    floor = float(np.mean([sample_distance(rng, truth, truth)[0] for _ in range(2)]))
    sampled, error = sample_distance(rng, here, truth)
    return Transfer(
        vertices,
        exact,
        drawn[:, 0],
        drawn[:, 1],
        floor,
        degrees,
        np.array([exact_distance(law, truth) for law in laws]),
        np.full(N_ANGLES, exact[FREQUENCIES.index(TRAINED)]),
        rotation,
        exact_distance(here, truth),
        sampled,
        error,
    )
