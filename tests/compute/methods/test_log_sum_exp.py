"""Against SciPy's, which is slower and surer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from compute.methods.log_sum_exp import log_sum_exp, softmax


@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_both_agree_with_scipy(scale: float) -> None:
    logits = scale * np.random.default_rng(0).standard_normal((4, 3, 5))
    assert np.allclose(log_sum_exp(logits), special.logsumexp(logits, axis=-1), rtol=1e-13)
    assert np.allclose(softmax(logits), special.softmax(logits, axis=-1), rtol=1e-12)


def test_zero_weights() -> None:
    logits = np.array([[-np.inf, 0.0], [-np.inf, -np.inf]])
    assert np.array_equal(log_sum_exp(logits), special.logsumexp(logits, axis=-1))
