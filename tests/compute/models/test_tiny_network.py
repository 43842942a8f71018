"""Gradients against central differences, optimizers against their own formulas and scikit-learn."""

import numpy as np
import pytest

from compute.models.tiny_network import ACTIVATIONS, Adam, Descent, Network, SignDescent, cosine


def network(rng, widths, activation, biased, n_replicas=3):
    shapes = list(zip(widths[1:], widths[:-1], strict=True))
    weights = [rng.standard_normal((n_replicas, n_out, n_in)) / np.sqrt(n_in) for n_out, n_in in shapes]
    biases = [0.3 * rng.standard_normal((n_replicas, n_out, 1)) for n_out, _ in shapes] if biased else []
    return Network(weights, biases, activation)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("biased", [True, False])
def test_gradient_is_that_of_the_loss(activation, biased):
    rng = np.random.default_rng(1)
    net = network(rng, (3, 5, 4, 2), activation, biased)
    x, y = rng.standard_normal((3, 7)), rng.standard_normal((2, 7))
    _, gradient = net.gradient(x, y)
    for parameter, g in zip(net.parameters, gradient, strict=True):
        assert g.shape == parameter.shape
        for _ in range(4):
            place = tuple(rng.integers(size) for size in parameter.shape)
            kept, losses = parameter[place], []
            for move in (1e-6, -1e-6):
                parameter[place] = kept + move
                losses.append(net.gradient(x, y)[0][place[0]])
            parameter[place] = kept
            assert g[place] == pytest.approx((losses[0] - losses[1]) / 2e-6, abs=1e-6)


def test_replicas_do_not_mix():
    rng = np.random.default_rng(2)
    net = network(rng, (2, 6, 1), "silu", True)
    x, y = rng.standard_normal((2, 9)), rng.standard_normal((1, 9))
    alone = Network([w[1:2] for w in net.weights], [b[1:2] for b in net.biases], "silu")
    assert net(x)[1] == pytest.approx(alone(x)[0])
    for g, h in zip(net.gradient(x, y)[1], alone.gradient(x, y)[1], strict=True):
        assert g[1] == pytest.approx(h[0])


def test_it_is_the_network_of_scikit_learn():
    from sklearn.neural_network import MLPRegressor

    rng = np.random.default_rng(3)
    x = rng.standard_normal((40, 3))
    other = MLPRegressor(hidden_layer_sizes=(5, 4), activation="tanh", max_iter=1).fit(x, x[:, 0])
    net = Network([w.T[None] for w in other.coefs_], [b[None, :, None] for b in other.intercepts_], "tanh")
    assert net(x.T)[0, 0] == pytest.approx(other.predict(x), rel=1e-12)


def test_first_steps_of_the_optimizers():
    g = [np.array([[[2.0, -3.0, 0.5]]])]
    for optimizer, moved in ((Descent, [-0.2, 0.3, -0.05]), (SignDescent, [-0.1, 0.1, -0.1]), (Adam, [-0.1, 0.1, -0.1])):
        start = [np.zeros((1, 1, 3))]
        optimizer(start, [0.1]).step(g)
        assert start[0].ravel() == pytest.approx(moved, rel=1e-6)


def test_adam_follows_its_recursion():
    rng = np.random.default_rng(4)
    theta, mine = 0.7, [np.array([[[0.7]]])]
    adam, first, second = Adam(mine, [0.05]), 0.0, 0.0
    for t in range(1, 30):
        g = rng.standard_normal()
        first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g * g
        theta -= cosine(t, 40) * 0.05 * first / (1 - 0.9**t) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
        adam.step([np.array([[[g]]])], cosine(t, 40))
    assert mine[0].item() == pytest.approx(theta, rel=1e-10)
