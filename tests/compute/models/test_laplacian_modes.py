"""Laplace eigenpairs against closed forms, quadrature and networkx-free linear algebra."""

import numpy as np
import pytest

from compute.models.graphs import graph_of
from compute.models.laplacian_modes import (
    circle_modes,
    cotangent_laplacian,
    cylinder_modes,
    graph_modes,
    interval_modes,
    mesh_modes,
    sphere_modes,
    torus_modes,
)
from compute.models.triangle_mesh import bumps, fibonacci_sphere, geodesic_sphere

TURN = 2 * np.pi


def gram(function: np.ndarray, weight: np.ndarray | float) -> np.ndarray:
    return (function.T * weight) @ function


def test_interval_and_circle_are_orthonormal_with_their_spectra():
    x = (np.arange(64) + 0.5) / 64
    line = interval_modes(x, 40)
    assert np.allclose(line.eigenvalue, (np.pi * np.arange(1, 41)) ** 2)
    assert np.allclose(gram(line.function, 1 / 64), np.eye(40), atol=1e-12)
    ring = circle_modes(TURN * np.arange(64) / 64, 41)
    assert np.allclose(ring.eigenvalue[:5], [1, 1, 4, 4, 9])
    assert np.allclose(gram(ring.function, TURN / 64), np.eye(41), atol=1e-12)


@pytest.mark.parametrize("n_modes", [1, 2, 7, 60, 512])
def test_products_miss_no_eigenvalue(n_modes):
    frequency = np.arange(-80, 81) ** 2
    origin = np.zeros(1)
    torus = np.sort(np.add.outer(frequency, frequency).ravel())[1 : n_modes + 1]
    assert np.array_equal(torus_modes(origin, origin, n_modes).eigenvalue, torus)
    wide = np.arange(-600, 601) ** 2
    for length in (0.3, 1.0, 4.0):
        upward = (np.pi * np.arange(300) / length) ** 2
        cylinder = np.sort(np.add.outer(wide, upward).ravel())[1 : n_modes + 1]
        assert np.allclose(cylinder_modes(origin, origin, n_modes, length).eigenvalue, cylinder, atol=1e-9)


def test_products_are_orthonormal():
    angle = TURN * np.arange(48) / 48
    one, two = (a.ravel() for a in np.meshgrid(angle, angle))
    assert np.allclose(gram(torus_modes(one, two, 150).function, (TURN / 48) ** 2), np.eye(150), atol=1e-12)
    height = 2.5 * (np.arange(48) + 0.5) / 48
    one, two = (a.ravel() for a in np.meshgrid(angle, height))
    assert np.allclose(gram(cylinder_modes(one, two, 90, 2.5).function, TURN * 2.5 / 48**2), np.eye(90), atol=1e-12)


def test_sphere_is_orthonormal_and_satisfies_the_addition_theorem():
    node, weight = np.polynomial.legendre.leggauss(12)
    longitude = TURN * np.arange(24) / 24
    z, phi = (a.ravel() for a in np.meshgrid(node, longitude, indexing="ij"))
    across = np.sqrt(1 - z**2)
    points = np.stack([across * np.cos(phi), across * np.sin(phi), z], axis=1)
    modes = sphere_modes(points, 99)
    assert np.allclose(gram(modes.function, np.repeat(weight, 24) * TURN / 24), np.eye(99), atol=1e-12)
    degrees, counts = np.unique(modes.eigenvalue, return_counts=True)
    level = np.arange(1, 10)
    assert np.array_equal(degrees, level * (level + 1)) and np.array_equal(counts, 2 * level + 1)
    # sum_m Y_lm(x) Y_lm(y) = (2l + 1)/(4 pi) P_l(x . y), here l = 3.
    third = modes.function[:, modes.eigenvalue == 12]
    cosine = points[:20] @ points[40:60].T
    legendre = 7 / (4 * np.pi) * np.polynomial.legendre.legval(cosine, [0, 0, 0, 1])
    assert np.allclose(third[:20] @ third[40:60].T, legendre, atol=1e-12)


def test_geodesic_spheres():
    for frequency in (1, 4, 7):
        vertices, triangles = geodesic_sphere(frequency)
        assert vertices.shape == (10 * frequency**2 + 2, 3) and triangles.shape == (20 * frequency**2, 3)
        edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
        # Closed: every edge belongs to two triangles; Euler's number is 2.
        counts = np.unique(edges, axis=0, return_counts=True)[1]
        assert np.all(counts == 2) and len(vertices) - counts.size + len(triangles) == 2
        corner = vertices[triangles]
        assert np.all(np.linalg.det(corner) > 0)
    coarse, fine = geodesic_sphere(3)[0], geodesic_sphere(9)[0]
    assert np.min(np.max(coarse @ fine.T, axis=1)) > 1 - 1e-14


def test_fine_mesh_has_the_spheres_spectrum():
    vertices, triangles = geodesic_sphere(14)
    modes = mesh_modes(vertices, triangles, 24)
    exact = np.repeat([2.0, 6.0, 12.0, 20.0], [3, 5, 7, 9])
    assert np.max(np.abs(modes.eigenvalue / exact - 1)) < 0.02
    mass = cotangent_laplacian(vertices, triangles)[1]
    assert np.allclose(gram(modes.function, mass), np.eye(24), atol=1e-9)
    assert mass.sum() == pytest.approx(4 * np.pi, rel=0.01)
    # Coordinates are the harmonics of degree 1: the first eigenspace spans them.
    coordinate = gram(modes.function[:, :3], mass) @ (modes.function[:, :3].T * mass) @ vertices
    assert np.allclose(modes.function[:, :3] @ coordinate, vertices, atol=0.01)


def test_dense_and_sparse_solvers_agree_and_rigid_motions_change_nothing():
    directions, triangles = geodesic_sphere(10)  # 1002 vertices: few modes are sparse, many dense
    vertices = directions * bumps(directions)[:, None]
    few, many = mesh_modes(vertices, triangles, 30), mesh_modes(vertices, triangles, 260)
    assert np.allclose(few.eigenvalue, many.eigenvalue[:30], rtol=1e-9)
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    moved = mesh_modes(vertices @ turn.T + 3.0, triangles, 30)
    weight = np.exp(-few.eigenvalue)
    law, law_moved = ((m.function * weight) @ m.function[:50].T for m in (few, moved))
    assert np.max(np.abs(law - law_moved)) < 1e-9 * np.max(np.abs(law))


@pytest.mark.parametrize("name", ["grid", "erdos_renyi"])
def test_graphs_against_dense_linear_algebra(name):
    adjacency = graph_of(name, 40, 3).adjacency
    modes = graph_modes(adjacency, 25)
    laplacian = np.diag(adjacency.sum(axis=1)) - adjacency.astype(float)
    assert np.allclose(modes.eigenvalue, np.linalg.eigvalsh(laplacian)[1:26])
    assert np.allclose(laplacian @ modes.function, modes.function * modes.eigenvalue, atol=1e-10)
    assert np.allclose(modes.function.T @ modes.function, np.eye(25), atol=1e-12)
    assert np.allclose(modes.function.sum(axis=0), 0, atol=1e-10)


def test_grid_graph_in_closed_form():
    modes = graph_modes(graph_of("grid", 36).adjacency, 35)
    path = 2 - 2 * np.cos(np.pi * np.arange(6) / 6)
    assert np.allclose(modes.eigenvalue, np.sort(np.add.outer(path, path).ravel())[1:])
    with pytest.raises(ValueError, match="35"):
        graph_modes(graph_of("grid", 36).adjacency, 36)


def test_fibonacci_points_spread_evenly():
    points = fibonacci_sphere(500)
    assert np.allclose(np.linalg.norm(points, axis=1), 1)
    assert np.max(np.abs(sphere_modes(points, 35).function.mean(axis=0))) < 0.003
