"""Closed triangle meshes: geodesic spheres at any frequency, and the same with bumps."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


def icosahedron() -> tuple[Array, Indices]:
    """Vertices (12, 3) on the unit sphere and triangles (20, 3), counterclockwise from outside."""
    golden = (1 + np.sqrt(5)) / 2
    signs = [(a, b) for a in (-1, 1) for b in (-1, 1)]
    vertices = np.array([np.roll([0.0, a, b * golden], turn) for turn in range(3) for a, b in signs])
    edge = [(i, j) for i, j in combinations(range(12), 2) if np.linalg.norm(vertices[i] - vertices[j]) < 2.1]
    near = set(edge)
    faces = [t for t in combinations(range(12), 3) if all(pair in near for pair in combinations(t, 2))]
    outward = [f if np.linalg.det(vertices[list(f)]) > 0 else (f[0], f[2], f[1]) for f in faces]
    return vertices / np.sqrt(1 + golden**2), np.array(outward)


def geodesic_sphere(frequency: int) -> tuple[Array, Indices]:
    """The icosahedron, each edge in ``frequency`` parts, blown up to the sphere: 10 f^2 + 2 vertices, 20 f^2 triangles.

    A mesh whose frequency is a multiple of another's has all of the other's vertices.

    Returns
    -------
    vertices : (n, 3) array
    triangles : (m, 3) array of int
    """
    corners, faces = icosahedron()
    f = frequency
    number: dict[tuple[tuple[int, int], ...], int] = {}
    points: list[Array] = []
    triangles: list[tuple[int, int, int]] = []
    for face in faces:
        own: dict[tuple[int, int], int] = {}
        for i in range(f + 1):
            for j in range(f + 1 - i):
                weights = (i, j, f - i - j)
                # A point on an edge belongs to two faces: it is known by the corners it weighs.
                key = tuple(sorted((int(v), w) for v, w in zip(face, weights, strict=True) if w))
                if key not in number:
                    number[key] = len(points)
                    points.append(np.asarray(weights) @ corners[face])
                own[i, j] = number[key]
        for i in range(f):
            for j in range(f - i):
                triangles.append((own[i, j], own[i + 1, j], own[i, j + 1]))
                if i + j < f - 1:
                    triangles.append((own[i + 1, j], own[i + 1, j + 1], own[i, j + 1]))
    vertices = np.array(points)
    return vertices / np.linalg.norm(vertices, axis=1, keepdims=True), np.array(triangles)


def bumps(directions: Array, height: float = 0.16) -> Array:
    """(n,) radius of a fixed bumpy sphere without symmetry, at unit directions (n, 3)."""
    x, y, z = directions.T
    waves = np.sin(4.1 * x + 0.4) + np.sin(4.7 * y + 1.1 + x) + np.sin(3.9 * z + 2.0 - y)
    return np.asarray(1 + height * waves)


def fibonacci_sphere(n: int) -> Array:
    """(n, 3) unit vectors, evenly spread on a spiral."""
    k = np.arange(n) + 0.5
    height = 1 - 2 * k / n
    turn = np.pi * (1 + np.sqrt(5)) * k
    across = np.sqrt(1 - height**2)
    return np.stack([across * np.cos(turn), across * np.sin(turn), height], axis=1)
