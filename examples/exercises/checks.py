"""The checks of the exercises: one function each, which raises an AssertionError with a hint."""

import numpy as np

import nanoae
from nanoae import Linear, Sequential, check_gradients


def dx_of_linear(exercise):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((5, 4)), rng.standard_normal((5, 3))
    found = []
    for layer in (exercise.MyLinear(3), Linear(3)):
        net = Sequential([layer]).build((4,), dtype="float64", random_state=0)
        layer.need_dx = True
        net.forward(x, train=True)
        found.append(net.backward(dy))
    dx, right = found
    expect(np.shape(dx) == x.shape, f"expected dx of the shape of x, {x.shape}, got {np.shape(dx)}")
    wrong = np.argwhere(~np.isclose(dx, right))
    expect(not wrong.size, f"{len(wrong)} of the {x.size} numbers are wrong, the first at {wrong[:1].tolist()}")


def find_the_broken_backward(exercise):
    x = np.random.default_rng(0).standard_normal((8, 5))
    expect(exercise.BROKEN is not None, "set BROKEN to the number of a layer")
    expect(exercise.BROKEN == 3, f"layer {exercise.BROKEN} is right: check the layers one by one")
    report = check_gradients(Sequential(exercise.network()), x)
    expect(report.ok, f"found; now fix its backward. How does y[n, i] depend on x[n, j]?\n{report}")
    y = Sequential([exercise.Centre()]).build((5,), dtype="float64").forward(x)
    expect(np.allclose(y, x - x.mean(axis=1, keepdims=True)), "the forward was right: leave it unchanged")


def your_own_activation(exercise):
    x = np.random.default_rng(0).standard_normal((8, 5)) * 3
    layer = exercise.Softsign()
    y = Sequential([layer]).build((5,), dtype="float64").forward(x)
    expect(np.allclose(y, x / (1 + abs(x))), "forward is not x / (1 + |x|)")
    report = check_gradients(exercise.Softsign(), x, elementwise=True)
    expect(report.ok, f"df is not the derivative of f:\n{report}")


def denoise(exercise):
    data = nanoae.load_data("digits")
    x_train, x_test = data.flat()
    noisy = x_test + np.random.default_rng(1).normal(0, 0.4, x_test.shape).astype(np.float32)
    error = np.mean((exercise.denoiser(x_train).reconstruct(noisy) - x_test) ** 2)
    expect(error < 0.032, f"MSE {error:.4f} of the denoised digits; expected below 0.032")


def name_the_anomaly(exercise):
    for seed in (0, 1):
        table, wrong = measurements(seed)
        found = {(int(row), int(column)) for row, column in exercise.suspects(table)}
        expect(len(found) == 5, f"expected five (row, column) pairs, got {len(found)}")
        rows = len({row for row, _ in found} & {row for row, _ in wrong})
        expect(found == wrong, f"{rows} of 5 rows found, {len(found & wrong)} with the right column")


def measurements(seed):
    """The table of exercise 5, (600, 6), and the set of its wrong cells, {(row, column)}."""
    rng = np.random.default_rng(seed)
    angle = np.pi / 6 * rng.permutation(6) + 0.2
    normal = rng.standard_normal((600, 2)) @ [np.cos(angle), np.sin(angle)] + 0.1 * rng.standard_normal((600, 6))
    table, wrong = normal.copy(), set()
    for row, column in zip(rng.choice(600, 5, replace=False), rng.permutation(6), strict=False):
        values = normal[:, column]
        others = values[(abs(values - values[row]) > 1.5) & (abs(values) < 2)]
        table[row, column] = rng.choice(others)
        wrong.add((int(row), int(column)))
    return 50 + 10 * table, wrong


def expect(holds, hint):
    if not holds:
        raise AssertionError(hint)


CHECKS = [dx_of_linear, find_the_broken_backward, your_own_activation, denoise, name_the_anomaly]
