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
    ends = np.stack([lines_x, lines_y], axis=1).reshape(-1, 3, 2)
    length = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1).sum()
    assert length == pytest.approx(2 * np.pi * np.sqrt(1.7), rel=1e-3)
    assert np.all(np.isnan(ends[:, 2]))


def test_a_plane_is_exact_and_no_crossing_is_empty():
    x_axis, y_axis = np.array([0.0, 1.0, 3.0]), np.array([0.0, 2.0])
    x, y = np.meshgrid(x_axis, y_axis)
    lines_x, lines_y = level_lines(x_axis, y_axis, 2 * x - y, 0.7)
    on = np.isfinite(lines_x)
    assert (2 * lines_x - lines_y)[on] == pytest.approx(0.7, abs=1e-12) and on.sum() >= 4
    assert level_lines(x_axis, y_axis, x, 9.0)[0].size == 0
