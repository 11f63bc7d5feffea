"""The mathematics as one-line float64 definitions and plain loops: slow, and right at a glance.

The package never imports this file and this file never imports the package, so neither can copy the other's mistake.
Derivatives are functions of the input x here, of the output y in the package.
"""

import math

import numpy as np


def each(f, *arrays):
    """f of the elements, one at a time, in float64."""
    arrays = np.broadcast_arrays(*(np.asarray(array, np.float64) for array in arrays))
    result = np.empty(arrays[0].shape)
    for i in np.ndindex(result.shape):
        result[i] = f(*(float(array[i]) for array in arrays))
    return result


def sigma(x):
    return 1 / (1 + math.exp(-x))


# ---------------------------------------------------------------- linear algebra


def matmul(a, b):
    c = np.zeros((a.shape[0], b.shape[1]))
    for i, j, k in np.ndindex(a.shape[0], b.shape[1], a.shape[1]):
        c[i, j] += float(a[i, k]) * float(b[k, j])
    return c


def sum_rows(x):
    total = np.zeros(x.shape[1:])
    for row in x:
        total += row
    return total


def take_rows(x, rows, scale=1.0):
    return np.array([[scale * float(value) for value in x[row]] for row in rows])


def sum_squares(x):
    return sum(float(value) ** 2 for value in np.ravel(x))


def clip_norm(x, max_norm):
    norm = math.sqrt(sum_squares(x))
    return x * (max_norm / norm) if norm > max_norm else x


# ---------------------------------------------------------------- activations: name -> (settings, f, f')

ACTIVATIONS = {
    "relu": ((), lambda x: max(x, 0.0), lambda x: float(x > 0)),
    "leaky_relu": ((0.2,), lambda x: x if x > 0 else 0.2 * x, lambda x: 1.0 if x > 0 else 0.2),
    "elu": (
        (0.7,),
        lambda x: x if x > 0 else 0.7 * (math.exp(x) - 1),
        lambda x: 1.0 if x > 0 else 0.7 * math.exp(x),
    ),
    "sigmoid": ((), sigma, lambda x: sigma(x) * sigma(-x)),
    "tanh": ((), math.tanh, lambda x: 1 / math.cosh(x) ** 2),
    "softplus": ((), lambda x: math.log(1 + math.exp(x)), sigma),
}


def softmax(x):
    rows = [[math.exp(value) for value in row] for row in x]
    return np.array([[value / sum(row) for value in row] for row in rows])


# ---------------------------------------------------------------- losses: name -> (of one element, its derivative in y)

DELTA = 0.8  # Huber's

LOSSES = {
    "MSE": (lambda y, t: (y - t) ** 2, lambda y, t: 2 * (y - t)),
    "BCE": (lambda z, t: -t * math.log(sigma(z)) - (1 - t) * math.log(sigma(-z)), lambda z, t: sigma(z) - t),
    "L1": (lambda y, t: abs(y - t), lambda y, t: float(y > t) - float(y < t)),
    "Huber": (
        lambda y, t: (y - t) ** 2 / 2 if abs(y - t) <= DELTA else DELTA * (abs(y - t) - DELTA / 2),
        lambda y, t: min(max(y - t, -DELTA), DELTA),
    ),
}

FACTORS = {  # reduction -> the factor before the sum over N rows of D features
    "mean": lambda n, d: 1 / (n * d),
    "batch": lambda n, d: 1 / n,
    "sum": lambda n, d: 1.0,
}


def bernoulli_kl(q, p):
    """KL(p ‖ q) of coins that fall heads with probability p and q."""
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


def cross_entropy(z, t):
    """(the sum over the rows of -log p[t], its derivative p - onehot(t))."""
    p = softmax(z)
    loss, dz = 0.0, p.copy()
    for n, k in enumerate(t):
        loss -= math.log(p[n, k])
        dz[n, k] -= 1
    return loss, dz


# ---------------------------------------------------------------- optimisers: one parameter at a time, from the papers


def sgd(theta, grads, lr, momentum=0.0, nesterov=False, weight_decay=0.0):
    """theta after the gradients grads (steps, P), by Sutskever et al. 2013."""
    result = []
    for p, gs in zip(map(float, theta), np.transpose(grads), strict=True):
        u = 0.0
        for g in map(float, gs):
            g += weight_decay * p
            u = momentum * u + g
            p -= lr * (g + momentum * u if nesterov else u)
        result.append(p)
    return np.array(result)


def adam(theta, grads, lr, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, decoupled=False):
    """theta after the gradients grads (steps, P): Algorithm 1 of Kingma & Ba 2015; decoupled: Loshchilov & Hutter."""
    result = []
    for p, gs in zip(map(float, theta), np.transpose(grads), strict=True):
        m = v = 0.0
        for t, g in enumerate(map(float, gs), 1):
            if decoupled:
                p -= lr * weight_decay * p
            else:
                g += weight_decay * p
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * g * g
            m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
            p -= lr * m_hat / (math.sqrt(v_hat) + eps)
        result.append(p)
    return np.array(result)


# ---------------------------------------------------------------- initialisers: name -> Var[W] for (fan_in, fan_out)

VARIANCES = {
    "lecun": lambda fan_in, fan_out: 1 / fan_in,
    "glorot": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "he": lambda fan_in, fan_out: 2 / fan_in,
}
