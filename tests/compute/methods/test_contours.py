"""Level lines against circles and straight lines."""

import numpy as np
import pytest

from compute.methods.contours import level_lines


def test_circle():
    axis = np.linspace(-2, 2, 161)
    x, y = np.meshgrid(axis, axis)
    lines_x, lines_y = level_lines(axis, axis, x**2 + y**2, 1.7)
    on = np.isfinite(lines_x)
    assert np.hypot(lines_x[on], lines_y[on]) == pytest.approx(np.sqrt(1.7), abs=2e-4)
    assert np.isnan(lines_x).sum() == 1 and np.isnan(lines_x[-1])  # one path
    assert (lines_x[0], lines_y[0]) == (lines_x[-2], lines_y[-2])  # and closed
    assert np.hypot(np.diff(lines_x[:-1]), np.diff(lines_y[:-1])).sum() == pytest.approx(2 * np.pi * np.sqrt(1.7), rel=1e-3)


def test_each_piece_is_a_path_of_its_own():
    axis = np.linspace(-2, 2, 101)
    x, y = np.meshgrid(axis, axis)
    lines_x, lines_y = level_lines(axis, axis, x**2 - y**2, 0.3)
    left, right = (np.sqrt(0.3 + lines_y**2) * side for side in (-1, 1))
    on = np.isfinite(lines_x)
    assert np.minimum(abs(lines_x - left), abs(lines_x - right))[on].max() < 2e-3
    assert np.isnan(lines_x).sum() == 2
    for piece_x, piece_y in zip(*(np.split(v[:-1], np.flatnonzero(np.isnan(v[:-1]))) for v in (lines_x, lines_y)), strict=True):
        inside = np.isfinite(piece_x)
        assert len(set(np.sign(piece_x[inside]))) == 1
        assert [piece_y[inside].min(), piece_y[inside].max()] == pytest.approx(
            [-np.sqrt(3.7), np.sqrt(3.7)], abs=1e-3
        )  # where x = 2


def test_a_plane_is_exact_and_no_crossing_is_empty():
    x_axis, y_axis = np.array([0.0, 1.0, 3.0]), np.array([0.0, 2.0])
    x, y = np.meshgrid(x_axis, y_axis)
    lines_x, lines_y = level_lines(x_axis, y_axis, 2 * x - y, 0.7)
    on = np.isfinite(lines_x)
    assert (2 * lines_x - lines_y)[on] == pytest.approx(0.7, abs=1e-12) and on.sum() == 3
    assert level_lines(x_axis, y_axis, x, 9.0)[0].size == 0
