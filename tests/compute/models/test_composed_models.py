"""The composed models: masses they were built to have, exactly, where sites are far apart."""

import numpy as np
import pytest

from compute.methods import feynman_kac as fk
from compute.models import composed_models as cm
from compute.parameters import ParameterError


@pytest.mark.parametrize("beta", [0.5, 1.0, 3.0])
def test_a_power_weighs_groups_by_their_concentration(beta):
    setting = cm.problem("anneal", beta, 3, 6.0, 0.0)
    # A group of m equal modes that do not touch has mass m (1/m)^beta; those 2.5 s apart from the center touch a little.
    expected = np.array([m ** (1 - beta) for m in (1, 3, 5)])
    assert setting.exact.exact_masses == pytest.approx(expected / expected.sum(), abs=0.06 if beta != 1 else 1e-6)
    assert np.all(np.diff(setting.exact.exact_masses) * (1 - beta) >= -1e-6)


def test_product_sites_have_their_closed_form_masses():
    for n_experts in (2, 5):
        setting = cm.problem("product", 1.0, n_experts, 5.0, 0.0)
        expected = np.exp(-0.49 * np.arange(4.0) ** 2)
        assert setting.exact.exact_masses == pytest.approx(expected / expected.sum(), abs=1e-4)


def test_guidance_prefers_what_is_not_shared():
    setting = cm.problem("guidance", 3.0, 3, 5.0, 1.0)  # shared exactly
    expected = np.array([1.0, 1 / 2, 1 / 3]) ** 2  # (q2/q1)^(w-1)
    assert setting.exact.exact_masses == pytest.approx(expected / expected.sum(), abs=1e-4)


def test_union_drops_a_shard_or_refuses():
    whole, less = cm.problem("union", 1.0, 3, 4.0, 0.0, 0), cm.problem("union", 1.0, 3, 4.0, 0.0, 2)
    assert whole.exact.exact_masses == pytest.approx(1 / 3, abs=1e-4)
    assert len(less.exact.centers) == 2 and isinstance(less.target, fk.Union) and less.target.shares[1] == 0
    with pytest.raises(ParameterError, match="3 shards"):
        cm.problem("union", 1.0, 3, 4.0, 0.0, 5)


@pytest.mark.parametrize("operation", ["anneal", "guidance", "product", "union"])
def test_nothing_is_lost_outside_the_square(operation):
    for beta, separation in ((0.2, 0.5), (5.0, 6.0)):
        setting = cm.problem(operation, beta, 8, separation, 0.5)
        edge = np.max(np.abs(setting.exact.points), axis=1) > 0.97 * setting.exact.reach
        assert setting.exact.mass[edge].sum() < 1e-3
