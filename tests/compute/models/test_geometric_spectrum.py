"""The Gauss rule of a geometric spectrum against the sum it stands for."""

import numpy as np
import pytest

from compute.models.geometric_spectrum import geometric_spectrum


def test_small_dimensions_are_the_spectrum_itself():
    eigenvalue, count = geometric_spectrum(5, 9.0)
    assert eigenvalue == pytest.approx(np.geomspace(1 / 3, 3, 5))
    assert np.all(count == 1)
    assert geometric_spectrum(1, 100.0)[0] == pytest.approx([1.0])


@pytest.mark.parametrize("dimension", [17, 40, 1000])
def test_sums_over_large_dimensions(dimension):
    eigenvalue, count = geometric_spectrum(dimension, 100.0)
    whole = np.geomspace(0.1, 10, dimension)
    assert count.sum() == pytest.approx(dimension, rel=1e-12)
    for f in (np.sqrt, np.log1p, lambda x: 1 / (0.3 + x), np.square):
        assert f(eigenvalue) @ count == pytest.approx(f(whole).sum(), rel=1e-10)
