r"""What the views share: domains, powers of the Laplacian as laws of data and of noise, and parameters.

On a domain of dimension d with eigenpairs (lambda_k, phi_k), u_k = lambda_k/lambda_1,

    data    X_0 = m_J + sum_k sqrt(v_k) xi_k phi_k,  v_k = u_k^{-a},
    noise   sum_k sqrt(r_k) xi_k phi_k,              r_k = u_k^{-s},

so that on the interval v_k = k^{-2a} and r_k = k^{-2s}. By Weyl's law u_k grows as k^{2/d}: the noise is trace class where
s > d/2. The component J is uniform and its mean m_J a heat kernel of age HEAT/lambda_1 at a point of the domain,
sum_k e^{-lambda_k age} phi_k(p_J) phi_k, scaled to norm MEAN_NORM: a function that does not depend on the chosen basis.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from compute.models.laplacian_modes import Modes, circle_modes, interval_modes, mesh_modes, sphere_modes, torus_modes
from compute.models.triangle_mesh import bumps, fibonacci_sphere, geodesic_sphere
from compute.parameters import Choice, Integer, LogInteger, ParameterError, Real

Array = NDArray[np.float64]

DOMAINS = ("interval", "circle", "torus", "sphere", "bumpy sphere")
LINES = ("interval", "circle")
VOLUME_OF_BALL = {1: 2.0, 2: np.pi}
DIMENSION = {"interval": 1, "circle": 1, "torus": 2, "sphere": 2, "bumpy sphere": 2}

DomainName = Annotated[str, Choice("domain", options=DOMAINS, help="The bumpy sphere is a triangle mesh.")]
NoiseSmoothness = Annotated[
    float, Real("noise smoothness", "s", low=0.0, high=3.0, help="Variance of mode k: (λ_k/λ_1)^(−s); 0 is white noise.")
]
DataSmoothness = Annotated[
    float, Real("data smoothness", "a", low=0.5, high=4.0, help="Variance of mode k about a component's mean: (λ_k/λ_1)^(−a).")
]
NModes = Annotated[int, LogInteger("modes", "K", low=8, high=512, help="Kept of each function; 256 at most on the bumpy sphere.")]
Resolution = Annotated[
    int,
    LogInteger(
        "resolution", "n", low=16, high=1024, when=("domain", LINES), help="Points at which functions are seen on a line or circle."
    ),
]
Horizon = Annotated[float, Real("horizon", "T", low=0.5, high=10.0, help="How long noise acts: e^(−T/2) of the data is left.")]
Steps = Annotated[int, LogInteger("steps", "N", low=10, high=500, help="Back from T, geometric in time, the last one to 0.")]
Components = Annotated[int, Integer("components", "J", low=1, high=10, help="Smooth mean fields in the data.")]
Reverse = Annotated[str, Choice("way back", options=("stochastic", "deterministic"), help="Reverse SDE, or probability flow.")]
Start = Annotated[str, Choice("start", options=("noise", "law at T"), help="What the way back starts from.")]

N_SURFACE = 1400  # points of a surface that is drawn
MESH_FREQUENCY = 12
MOST_MESH_MODES = 256
HEAT = {1: 0.025, 2: 0.16}
MEAN_NORM = 2.0


@dataclass(frozen=True)
class Domain:
    """A domain seen at n points.

    Parameters
    ----------
    name : str
    dimension : int
    modes : Modes
        K eigenpairs at the points.
    points : (n,) or (n, 3) array
        Where: a coordinate, or a place in space.
    normals : (n, 3) array
        Of a surface, outward; empty for a line.
    volume : float
    """

    name: str
    dimension: int
    modes: Modes
    points: Array
    normals: Array
    volume: float


@dataclass(frozen=True)
class FieldLaw:
    """Data and noise in modes.

    Parameters
    ----------
    data, noise : (K,) arrays
        v and r.
    means : (J, K) array
        Coefficients of the components' means.
    """

    data: Array
    noise: Array
    means: Array

    def variance(self, t: float) -> Array:
        """(K,) of each component at time t: v e^{-t} + r (1 - e^{-t})."""
        return np.asarray(self.data * np.exp(-t) - self.noise * np.expm1(-t))


def check_modes(domain: str, modes: int) -> None:
    """A mesh has fewer sound eigenpairs than vertices."""
    if domain == "bumpy sphere" and modes > MOST_MESH_MODES:
        raise ParameterError("modes", f"has to be at most {MOST_MESH_MODES} on the bumpy sphere, a mesh of 1,442 vertices.")


@lru_cache(maxsize=2)
def bumpy_mesh(frequency: int) -> tuple[Array, NDArray[np.int64]]:
    """Vertices (n, 3) and triangles (m, 3)."""
    directions, triangles = geodesic_sphere(frequency)
    return directions * bumps(directions)[:, None], triangles


@lru_cache(maxsize=1)
def _bumpy_modes() -> Modes:
    return mesh_modes(*bumpy_mesh(MESH_FREQUENCY), MOST_MESH_MODES)


def _bumpy(n_modes: int) -> tuple[Modes, Array, Array, float]:
    vertices, triangles = bumpy_mesh(MESH_FREQUENCY)
    full = _bumpy_modes()
    corner = vertices[triangles]
    twice = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, triangles[:, k], twice)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    area = float(0.5 * np.linalg.norm(twice, axis=1).sum())
    return Modes(full.eigenvalue[:n_modes], full.function[:, :n_modes]), vertices, normals, area


def _torus(n_modes: int) -> tuple[Modes, Array, Array, float]:
    n_long, n_short = 60, 24
    long = np.repeat(2 * np.pi * np.arange(n_long) / n_long, n_short)
    short = np.tile(2 * np.pi * (np.arange(n_short) + 0.5) / n_short, n_long)
    normals = np.stack([np.cos(long) * np.cos(short), np.sin(long) * np.cos(short), np.sin(short)], axis=1)
    axis = np.stack([np.cos(long), np.sin(long), np.zeros_like(long)], axis=1)
    return torus_modes(long, short, n_modes), 0.68 * axis + 0.32 * normals, normals, 4 * np.pi**2


def _sphere(n_modes: int) -> tuple[Modes, Array, Array, float]:
    points = fibonacci_sphere(N_SURFACE)
    return sphere_modes(points, n_modes), points, points, 4 * np.pi


_SURFACES: dict[str, Callable[[int], tuple[Modes, Array, Array, float]]] = {
    "torus": _torus,
    "sphere": _sphere,
    "bumpy sphere": _bumpy,
}


@lru_cache(maxsize=8)
def domain_of(name: str, n_modes: int, resolution: int = 128) -> Domain:
    """The domain of that name with its first modes, at points to draw it by."""
    check_modes(name, n_modes)
    if name == "interval":
        x = np.linspace(0.0, 1.0, resolution)
        return Domain(name, 1, interval_modes(x, n_modes), x, np.empty((0, 3)), 1.0)
    if name == "circle":
        angle = np.linspace(0.0, 2 * np.pi, resolution)
        return Domain(name, 1, circle_modes(angle, n_modes), angle, np.empty((0, 3)), 2 * np.pi)
    modes, points, normals, volume = _SURFACES[name](n_modes)
    return Domain(name, 2, modes, points, normals, volume)


@lru_cache(maxsize=16)
def eigenvalues(name: str, n_modes: int) -> Array:
    """(K,) of the domain."""
    check_modes(name, n_modes)
    if name == "bumpy sphere":
        return _bumpy_modes().eigenvalue[:n_modes]
    origin = np.zeros(1)
    if name == "sphere":
        return sphere_modes(np.array([[0.0, 0.0, 1.0]]), n_modes).eigenvalue
    if name == "torus":
        return torus_modes(origin, origin, n_modes).eigenvalue
    return (interval_modes if name == "interval" else circle_modes)(origin, n_modes).eigenvalue


def powers(eigenvalue: Array, smoothness: float) -> Array:
    """(K,) variances (lambda_k/lambda_1)^{-smoothness}."""
    return np.asarray((eigenvalue / eigenvalue[0]) ** -smoothness)


def centers(domain: Domain, components: int) -> NDArray[np.int64]:
    """Where the components' means stand: (J,) indices of points."""
    if domain.dimension == 1:
        n = domain.points.size - (domain.name == "circle")
        share = (np.arange(components) + 0.5) / components
        return np.minimum((share * n).astype(np.int64), n - 1)
    directions = fibonacci_sphere(components)
    if components == 1:
        directions = np.array([[0.0, -1.0, 0.0]])
    scaled = domain.points / np.linalg.norm(domain.points, axis=1, keepdims=True)
    return np.argmax(directions @ scaled.T, axis=1)


def heat_means(eigenvalue: Array, at_centers: Array, dimension: int) -> Array:
    """(J, K) coefficients of heat kernels at points where the modes have the values ``at_centers`` (J, K)."""
    raw = np.exp(-HEAT[dimension] * eigenvalue / eigenvalue[0]) * at_centers
    return np.asarray(MEAN_NORM * raw / np.linalg.norm(raw, axis=1, keepdims=True))


def field_law(domain: Domain, noise_smoothness: float, data_smoothness: float, components: int) -> FieldLaw:
    """The mixture on a domain; one component alone has mean zero."""
    eigenvalue = domain.modes.eigenvalue
    if components == 1:
        means = np.zeros((1, eigenvalue.size))
    else:
        means = heat_means(eigenvalue, domain.modes.function[centers(domain, components)], domain.dimension)
    return FieldLaw(powers(eigenvalue, data_smoothness), powers(eigenvalue, noise_smoothness), means)
