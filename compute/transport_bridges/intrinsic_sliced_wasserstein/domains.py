r"""Domains with their eigenfunctions, and random distributions on them.

A distribution is a main bump with a second one of share s far from it. Group 2 differs from group 1 by an effect e:

    mean             the main bump stands e widths farther along
    concentration    both bumps are e^{-e} times as wide
    mixture          s = 0.2 + 0.4 e in place of 0.2

and within a group the center wanders by v widths, log width by 0.3 v and s by 0.2 v, v the nuisance variation. On the line and
the circle bumps are normal laws, folded or wrapped; on the sphere von Mises-Fisher laws of concentration 1/width^2; on a mesh
or a graph a node's probability falls like such a bump in the places where its nodes are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from compute.models.graphs import Graph, graph_of
from compute.models.laplacian_modes import (
    Modes,
    circle_modes,
    cotangent_laplacian,
    cylinder_modes,
    graph_modes,
    interval_modes,
    mesh_modes,
    sphere_modes,
)
from compute.models.triangle_mesh import bumps, geodesic_sphere

Array = NDArray[np.float64]

INTERVAL, CIRCLE, CYLINDER, SPHERE = "interval", "circle", "cylinder", "sphere"
SURFACE, GRID, RANDOM = "bumpy surface", "grid graph", "random graph"
DOMAINS = (INTERVAL, CIRCLE, CYLINDER, SPHERE, SURFACE, GRID, RANDOM)
EFFECTS = ("mean", "concentration", "mixture")
DISCRETE = (SURFACE, GRID, RANDOM)

MOST_MODES = 100
FREQUENCY = 7  # of the mesh: 492 vertices
N_NODES = 144
GRAPH_SEED = 11

WIDTH = {INTERVAL: 0.08, CIRCLE: 0.5, CYLINDER: 0.5, SPHERE: 0.35, SURFACE: 0.35, GRID: 0.3, RANDOM: 0.3}
HEIGHT_WIDTH = 0.1  # on the cylinder
SECOND_SHARE = 0.2


@lru_cache(maxsize=1)
def surface() -> tuple[Array, NDArray[np.int64], Array]:
    """Vertices (492, 3) of the bumpy sphere, triangles, and unit directions of the vertices."""
    direction, triangles = geodesic_sphere(FREQUENCY)
    return direction * bumps(direction)[:, None], triangles, direction


@lru_cache(maxsize=2)
def graph(domain: str) -> Graph:
    return graph_of("grid" if domain == GRID else "erdos_renyi", N_NODES, GRAPH_SEED)


@lru_cache(maxsize=4)
def _node_modes(domain: str) -> Modes:
    if domain == SURFACE:
        vertices, triangles, _ = surface()
        return mesh_modes(vertices, triangles, MOST_MODES)
    return graph_modes(graph(domain).adjacency, MOST_MODES)


@lru_cache(maxsize=1)
def _vertex_mass() -> Array:
    vertices, triangles, _ = surface()
    return cotangent_laplacian(vertices, triangles)[1]


def modes_at(domain: str, points: Array, n_modes: int) -> Modes:
    """Eigenfunctions at points (n, …) of a domain.

    Parameters
    ----------
    domain : str
    points : array
        (n,) in [0, 1] on the interval, angles on the circle, nodes' numbers where the domain is discrete; (n, 2) angle and height
        on the cylinder; (n, 3) unit vectors on the sphere.
    n_modes : int
    """
    if domain == INTERVAL:
        return interval_modes(points, n_modes)
    if domain == CIRCLE:
        return circle_modes(points, n_modes)
    if domain == CYLINDER:
        return cylinder_modes(points[:, 0], points[:, 1], n_modes)
    if domain == SPHERE:
        return sphere_modes(points, n_modes)
    modes = _node_modes(domain)
    return Modes(modes.eigenvalue[:n_modes], modes.function[points.astype(np.int64), :n_modes])


@dataclass(frozen=True)
class Recipe:
    """One distribution of a group for each entry: arrays (N,) unless said."""

    step: Array  # (N, 2) how far the main bump is moved along each direction, in widths
    narrowing: Array  # factor on the width
    second: Array  # share of the second bump


def recipes(n: int, effect_kind: str, effect: float, nuisance: float, rng: np.random.Generator) -> Recipe:
    """n distributions of a group that differs from the first by ``effect``."""
    step = nuisance * rng.standard_normal((n, 2))
    narrowing = np.exp(0.3 * nuisance * rng.standard_normal(n))
    second = SECOND_SHARE + 0.2 * nuisance * rng.standard_normal(n)
    if effect_kind == "mean":
        step[:, 0] += effect
    elif effect_kind == "concentration":
        narrowing = narrowing * np.exp(-effect)
    else:
        second = second + 0.4 * effect
    return Recipe(step, narrowing, np.clip(second, 0.0, 1.0))


def draw(domain: str, recipe: Recipe, n_points: int, rng: np.random.Generator) -> Array:
    """(N, n_points, …) points of each distribution; see ``modes_at`` for what a point is."""
    if domain in (GRID, RANDOM):
        return _on_nodes(graph(domain).position, recipe, n_points, rng)
    if domain == SURFACE:
        return _on_vertices(recipe, n_points, rng)
    is_second = rng.random((recipe.second.size, n_points)) < recipe.second[:, None]
    if domain == SPHERE:
        return _on_sphere(recipe, is_second, rng)
    noise = rng.standard_normal((*is_second.shape, 2)) * recipe.narrowing[:, None, None]
    width = WIDTH[domain]
    if domain == INTERVAL:
        center = np.where(is_second, 0.78, 0.35 + width * recipe.step[:, :1])
        return _folded(center + width * noise[..., 0])
    # Angles are measured from the second bump's far side.
    angle = np.where(is_second, np.pi, width * recipe.step[:, :1]) + width * noise[..., 0]
    angle = np.mod(angle + np.pi / 2, 2 * np.pi) - np.pi / 2
    if domain == CIRCLE:
        return angle
    height = np.where(is_second, 0.7, 0.35 + HEIGHT_WIDTH * recipe.step[:, 1:]) + HEIGHT_WIDTH * noise[..., 1]
    return np.stack([angle, _folded(height)], axis=-1)


def _folded(x: Array) -> Array:
    """Into [0, 1], reflected at both ends."""
    away = np.mod(x, 2.0)
    return np.asarray(np.minimum(away, 2.0 - away))


def _moved(step: Array, width: float) -> Array:
    """(N, 3) directions of the main bump: from the x-axis, along the equator and then north."""
    east, north = width * step[:, 0], width * step[:, 1]
    return np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)], axis=1)


SECOND_DIRECTION = np.array([-0.8, 0.0, 0.6])


def _on_sphere(recipe: Recipe, is_second: NDArray[np.bool_], rng: np.random.Generator) -> Array:
    center = np.where(is_second[..., None], SECOND_DIRECTION, _moved(recipe.step, WIDTH[SPHERE])[:, None, :])
    return von_mises_fisher(center, 1 / (WIDTH[SPHERE] * recipe.narrowing[:, None]) ** 2, rng)


def von_mises_fisher(center: Array, concentration: Array, rng: np.random.Generator) -> Array:
    """Points (…, 3) around unit vectors (…, 3), density prop. exp(concentration <center, x>); the cosine's law is inverted."""
    shape = center.shape[:-1]
    u = rng.random(shape)
    cosine = 1 + np.log(u + (1 - u) * np.exp(-2 * concentration)) / concentration
    # A tangent direction at random: Gaussian noise with its part along the center taken away.
    tangent = rng.standard_normal(center.shape)
    tangent -= np.sum(tangent * center, axis=-1, keepdims=True) * center
    tangent /= np.linalg.norm(tangent, axis=-1, keepdims=True)
    return np.asarray(cosine[..., None] * center + np.sqrt(np.maximum(1 - cosine**2, 0.0))[..., None] * tangent)


def _on_vertices(recipe: Recipe, n_points: int, rng: np.random.Generator) -> Array:
    direction, width = surface()[2], WIDTH[SURFACE]
    main = _moved(recipe.step, width) @ direction.T - 1
    sharpness = 1 / (width * recipe.narrowing[:, None]) ** 2
    return _drawn_nodes(main * sharpness, (direction @ SECOND_DIRECTION - 1) * sharpness, recipe.second, n_points, rng)


def _on_nodes(position: Array, recipe: Recipe, n_points: int, rng: np.random.Generator) -> Array:
    width = WIDTH[GRID]
    center = np.array([-0.4, -0.3]) + width * recipe.step
    sharpness = 0.5 / (width * recipe.narrowing[:, None]) ** 2
    main = -np.sum((position - center[:, None, :]) ** 2, axis=-1)
    other = -np.sum((position - np.array([0.6, 0.6])) ** 2, axis=-1)
    return _drawn_nodes(main * sharpness, other * sharpness, recipe.second, n_points, rng)


def _drawn_nodes(main: Array, other: Array, second: Array, n_points: int, rng: np.random.Generator) -> Array:
    """Nodes' numbers (N, n_points) of laws whose bumps have log weights (N, n)."""
    mass = _vertex_mass() if main.shape[1] == surface()[2].shape[0] else np.ones(main.shape[1])

    def law(log_weight: Array) -> Array:
        weight = mass * np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
        return np.asarray(weight / weight.sum(axis=1, keepdims=True))

    chance = (1 - second[:, None]) * law(main) + second[:, None] * law(other)
    level = np.cumsum(chance, axis=1)
    u = rng.random((second.size, n_points)) * level[:, -1:]
    return np.stack([np.searchsorted(row, each, side="right") for row, each in zip(level, u, strict=True)]).astype(float)
