"""Groups of distributions: their laws, symmetries of the distance, calibration and power of the tests, a reader's tables."""

import numpy as np
import ot
import polars as pl
import pytest
from scipy.sparse.csgraph import laplacian
from scipy.stats import binom, kstest, vonmises_fisher

from compute.methods.quantile_slices import classical_scaling, embed, squared_distances
from compute.parameters import ParameterError
from compute.transport_bridges.intrinsic_sliced_wasserstein import (
    null_p_values,
    own_groups,
    power_curve,
    power_map,
    sliced_map,
    turning,
)
from compute.transport_bridges.intrinsic_sliced_wasserstein.domains import (
    DOMAINS,
    GRID,
    RANDOM,
    SURFACE,
    Recipe,
    draw,
    graph,
    modes_at,
    recipes,
    surface,
    von_mises_fisher,
)
from compute.transport_bridges.intrinsic_sliced_wasserstein.power import EFFECTS_TRIED
from compute.transport_bridges.intrinsic_sliced_wasserstein.setting import AVERAGED, PERMUTATION, TESTS, Setting, TwoGroups
from compute.transport_bridges.intrinsic_sliced_wasserstein.slices import circle_distance, equal_phases, quarter_phases


@pytest.fixture
def rng():
    return np.random.default_rng(2)


def test_eigenpairs_of_graphs_and_surface():
    for domain in (GRID, RANDOM):
        own = graph(domain)
        value = np.linalg.eigvalsh(laplacian(own.adjacency.astype(float)))
        modes = modes_at(domain, np.arange(own.n_nodes), 30)
        np.testing.assert_allclose(modes.eigenvalue, value[1:31], atol=1e-9)
        np.testing.assert_allclose(modes.function.T @ modes.function, np.eye(30), atol=1e-9)
    assert len(surface()[2]) == len(modes_at(SURFACE, np.arange(492), 3).function) == 492


def test_sphere_and_circle_eigenvalues(rng):
    assert modes_at("circle", rng.random(3), 6).eigenvalue.tolist() == [1, 1, 4, 4, 9, 9]
    assert modes_at("sphere", np.eye(3), 8).eigenvalue.tolist() == [2] * 3 + [6] * 5


def test_von_mises_fisher_against_scipy(rng):
    center = np.array([0.6, 0.0, -0.8])
    mine = von_mises_fisher(np.broadcast_to(center, (4000, 3)), np.full(4000, 6.0), rng)
    theirs = vonmises_fisher(center, 6.0).rvs(4000, random_state=rng)
    np.testing.assert_allclose(np.linalg.norm(mine, axis=1), 1)
    for direction in (center, np.array([0.0, 1.0, 0.0]), np.array([0.8, 0.0, 0.6])):
        assert kstest(mine @ direction, theirs @ direction).pvalue > 0.001


def test_shares_widths_and_steps(rng):
    n = 20_000
    plain = Recipe(np.zeros((1, 2)), np.ones(1), np.array([0.3]))
    angle = draw("circle", plain, n, rng)[0]
    far = np.cos(angle) < 0
    # Two wrapped normal laws of deviation 1/2, at 0 and pi: E cos = (1 - 2 s) e^{-1/8}.
    assert np.mean(np.cos(angle)) == pytest.approx(0.4 * np.exp(-1 / 8), abs=4 * 0.7 / np.sqrt(n))
    assert np.mean(far) == pytest.approx(0.3, abs=0.02)
    moved = draw("interval", Recipe(np.array([[1.5, 0.0]]), np.array([0.5]), np.zeros(1)), n, rng)[0]
    assert np.mean(moved) == pytest.approx(0.35 + 1.5 * 0.08, abs=0.001) and np.std(moved) == pytest.approx(0.04, rel=0.03)
    node = draw(GRID, plain, n, rng)[0].astype(int)
    count = np.bincount(node, minlength=144) / n
    weight = [np.exp(-0.5 * np.sum((graph(GRID).position - c) ** 2, axis=1) / 0.09) for c in ((-0.4, -0.3), (0.6, 0.6))]
    law = 0.7 * weight[0] / weight[0].sum() + 0.3 * weight[1] / weight[1].sum()
    assert np.abs(count - law).max() < 5 * np.sqrt(law.max() / n)
    for kind in ("mean", "concentration", "mixture"):
        same = recipes(5, kind, 0.0, 0.4, np.random.default_rng(1))
        other = recipes(5, "mean", 0.0, 0.4, np.random.default_rng(1))
        np.testing.assert_array_equal(same.narrowing, other.narrowing)


def test_turning_together(rng):
    """With 64 phases of each frequency a turn by 2 pi/64 changes nothing; with cosine and sine it does."""
    first, second = rng.vonmises(0, 2, 64), rng.vonmises(0.7, 5, 64)
    many, fixed = equal_phases(6, 64), quarter_phases(np.zeros((6, 1)))
    for phase, low, high in ((many, 0, 1e-12), (fixed, 1e-4, 1)):
        before = circle_distance(first, second, phase, 0.1)
        after = circle_distance(first + 2 * np.pi / 64, second + 2 * np.pi / 64, phase, 0.1)
        assert low <= abs(after - before) <= high
    # Cosine and sine by POT: samples of 64 points have the levels as order statistics.
    known = 0.0
    for k in range(1, 7):
        for wave in (np.cos, np.sin):
            sides = (wave(k * a) / np.sqrt(np.pi) for a in (first, second))
            known += np.exp(-0.1 * k**2) * ot.wasserstein_1d(*sides, p=2)
    assert circle_distance(first, second, fixed, 0.1) == pytest.approx(np.sqrt(known), abs=1e-10)
    spread = {name: np.ptp(d) / d.mean() for name, d in turning().distance.items()}
    assert spread["64 phases of each frequency"] < 0.005
    assert spread["cosine and sine"] > 0.05


@pytest.mark.parametrize("domain", DOMAINS)
def test_identical_collections_are_at_no_distance(domain, rng):
    setting = Setting(domain, points_per_distribution=30)
    points = setting.points(4, 0.5, rng)

    vectors = embed(*setting.sliced(np.concatenate([points, points[:, ::-1]])))
    assert squared_distances(vectors)[:4, 4:].diagonal().max() < 1e-12
    p = TwoGroups.of(4, 4, rng).p_values(vectors, TESTS)
    assert p[PERMUTATION] == 1.0 and min(p.values()) > 0.5


def test_averaged_bases_soften_the_dependence(rng):
    """Points on the sphere turned about a slanted axis: the distance changes less over eight random bases than over one."""
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    change = {}
    for bases in ("one", AVERAGED):
        setting = Setting("sphere", eigenfunctions=8, decay=0.05, bases=bases)
        draws = np.random.default_rng(4)
        gaps = []
        for _ in range(12):
            pair = np.concatenate([setting.points(1, e, draws) for e in (0.0, 1.0)])
            both = [np.sqrt(squared_distances(_vectors(setting, p))[0, 1]) for p in (pair, pair @ turn.T)]
            gaps.append(np.log(both[1] / both[0]))
        change[bases] = np.sqrt(np.mean(np.square(gaps)))
    assert change[AVERAGED] < 0.6 * change["one"]


def _vectors(setting, points):

    return embed(*setting.sliced(points))


def test_false_alarms_stay_at_the_level():
    """400 draws: permutation within the binomial 99 percent band, and p-values no smaller than uniform ones."""
    found = null_p_values(domain="circle", group_size=8, points_per_distribution=20, eigenfunctions=6, draws=400)
    hits = int(np.sum(found.p_value[PERMUTATION] <= 0.05))
    assert binom.ppf(0.005, 400, 0.05) <= hits <= binom.ppf(0.995, 400, 0.05)
    p = found.p_value[PERMUTATION]
    for level in (0.01, 0.1, 0.25, 0.5, 0.75):
        assert np.mean(p <= level) <= level + 3.3 * np.sqrt(level * (1 - level) / 400)
    # The band is that of sorted uniform numbers.
    uniform = np.sort(np.random.default_rng(0).random((2000, 400)), axis=1)
    inside = np.mean((uniform >= found.low) & (uniform <= found.high))
    assert inside == pytest.approx(0.95, abs=0.005)


def test_power_rises_with_effect_and_size():
    small, large = (
        power_curve(domain="circle", group_size=n, points_per_distribution=30, eigenfunctions=4, draws=20) for n in (6, 30)
    )
    for name in TESTS:
        assert large.power[name][-1] == 1.0 and large.power[name][0] < 0.2
        assert large.power[name].sum() > small.power[name].sum() + 0.5
    assert small.effect.tolist() == EFFECTS_TRIED.tolist()


def test_too_much_decay_is_blind_for_the_permutation_only():
    """Concentration on the interval at t = 1: the first slice alone, which the wandering of centers drowns, is heard."""
    run = dict(
        domain="interval", effect_kind="concentration", nuisance_variation=0.6, group_size=10, draws=20, points_per_distribution=40
    )
    run |= dict(eigenfunctions=4)
    deaf, sharp = power_curve(decay=1.0, **run), power_curve(decay=0.001, **run)
    assert deaf.power[PERMUTATION].sum() < sharp.power[PERMUTATION].sum() - 1
    np.testing.assert_array_equal(deaf.power["Cauchy"], sharp.power["Cauchy"])


def test_map_agrees_with_curve():
    setting = dict(domain="circle", eigenfunctions=2, points_per_distribution=20, draws=50)
    found = power_map(test="Cauchy", **setting)
    again = power_curve(group_size=20, **setting)
    for effect in (0.0, 1.0):
        i = int(np.argmin(np.abs(found.effect - effect)))
        k = int(np.argmin(np.abs(again.effect - effect)))
        assert found.power[i, 4] == pytest.approx(again.power["Cauchy"][k], abs=0.25)
    assert found.power[-1, -1] == 1.0 and found.power.shape == (found.effect.size, found.size.size)


def test_quantiles_shown_are_of_the_slice_shown():
    for bases in ("one", AVERAGED):
        shown = sliced_map(domain="circle", slice_shown=3, group_size=5, bases=bases)
        assert np.abs(shown.quantile).max() <= 1 / np.sqrt(np.pi) + 1e-12
        np.testing.assert_allclose(shown.mean_quantile[1], shown.quantile[5:].mean(axis=0))
    assert sliced_map(eigenfunctions=3, slice_shown=50).slice_shown == 3


def _own(kind, rng, n=6, m=40):
    rows = []
    for g in "ab":
        for k in range(n):
            for x in rng.vonmises(0.0 if g == "a" else 1.0, 3.0, m):
                rows.append((g, f"{k}", np.degrees(x), 20 * rng.standard_normal()))
    return pl.DataFrame(rows, schema=["group", "distribution", "x", "y"], orient="row")


@pytest.mark.parametrize("domain", ["circle", "cylinder", "interval"])
def test_own_groups(domain, rng):
    found = own_groups(data=_own(domain, rng), own_domain=domain, seed=1)
    assert found.headline()["p-value, permutation"] < 0.01 and len(found.place) == 12
    assert found.group == ["a"] * 6 + ["b"] * 6


def test_own_groups_agree_with_the_lab(rng):
    """The lab's own points through a table give the lab's own distances, whatever the order of the rows."""
    setting = Setting("circle")
    points = setting.points(8, 0.0, rng)
    frame = pl.DataFrame(
        {
            "group": np.repeat(["u", "v"], 400),
            "distribution": np.repeat([f"d{k}" for k in range(8)], 100),
            "x": np.degrees(points).ravel(),
        }
    )
    found = own_groups(data=frame.sample(fraction=1, shuffle=True, seed=3)).table().sort("distribution")
    square = squared_distances(_vectors(setting, points))
    mine = found.select("first_axis", "second_axis").to_numpy()

    known = classical_scaling(_vectors(setting, points))[0] / np.sqrt(square.mean())
    np.testing.assert_allclose(squared_distances(mine), squared_distances(known), atol=1e-9)


def test_own_graph(rng):
    path = pl.DataFrame({"source": np.arange(19.0) + 100, "target": np.arange(1.0, 20) + 100})
    node = np.concatenate([100 + rng.integers(0, 12, 100), 100 + rng.integers(8, 20, 100)])
    frame = pl.DataFrame(
        {
            "group": ["a"] * 100 + ["b"] * 100,
            "distribution": [f"{k}" for k in np.repeat(np.arange(10), 20)],
            "x": node.astype(float),
        }
    )
    run = dict(data=frame, own_domain="own graph", eigenfunctions=6)
    assert own_groups(edges=path, **run).headline()["p-value, permutation"] < 0.02
    pieces = pl.concat([path, pl.DataFrame({"source": [500.0], "target": [501.0]})])
    for edges, data, match in (
        (None, frame, "needed"),
        (pieces, frame, "pieces"),
        (path, frame.with_columns(x=pl.col("x") + 50), "no edge"),
    ):
        with pytest.raises(ParameterError, match=match):
            own_groups(edges=edges, **(run | {"data": data}))
    with pytest.raises(ParameterError, match="below the 20 nodes"):
        own_groups(edges=path, **(run | {"eigenfunctions": 20}))


def test_tables_that_cannot_be_tested(rng):
    frame = _own("circle", rng)
    for data, domain, match in (
        (frame.filter(pl.col("group") == "a"), "circle", "groups"),
        (frame.filter((pl.col("group") == "a") | (pl.col("distribution") == "1")), "circle", "distributions in its groups"),
        (frame.group_by("group", "distribution").head(3), "circle", "points"),
        (frame.drop("y"), "sphere", "column y"),
        (frame.with_columns(y=pl.lit(100.0)), "sphere", "latitude"),
        (frame.with_columns(x=pl.lit(1.0)), "interval", "spread"),
    ):
        with pytest.raises(ParameterError, match=match):
            own_groups(data=data, own_domain=domain)
