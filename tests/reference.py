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
    "gelu": (
        (),
        lambda x: x * sigma(2 * gelu_inner(x)),
        lambda x: gelu_slope(x, sigma(2 * gelu_inner(x))),
    ),
    "silu": ((), lambda x: x / (1 + math.exp(-x)), lambda x: sigma(x) + x * sigma(x) * sigma(-x)),
}
OF_X = ("gelu", "silu")  # whose derivatives are functions of x, the others' of y


def gelu_inner(x):
    return math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)


def gelu_slope(x, s):
    return s + x * 2 * s * (1 - s) * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)


def affine_activation(x, W, b, name, settings):
    f = ACTIVATIONS[name][1]
    return each(f, matmul(x, W) + b)


def softmax(x):
    rows = [[math.exp(value) for value in row] for row in x]
    return np.array([[value / sum(row) for value in row] for row in rows])


# ---------------------------------------------------------------- losses: name -> (of one element, its derivative in y)

DELTA = 0.8  # Huber's

LOSSES = {
    "MSE": (lambda y, t: (y - t) ** 2, lambda y, t: 2 * (y - t)),
    "BCE": (
        lambda z, t: -t * math.log(sigma(z)) - (1 - t) * math.log(sigma(-z)),
        lambda z, t: sigma(z) - t,
    ),
    "GaussianNLL": (
        lambda y, t: -math.log(math.exp(-((t - y) ** 2) / 2) / math.sqrt(2 * math.pi)),
        lambda y, t: y - t,
    ),
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


def rmsprop(theta, grads, lr, rho=0.99, eps=1e-8, weight_decay=0.0):
    """theta after the gradients grads (steps, P): Tieleman & Hinton 2012, eps beside the root."""
    result = []
    for p, gs in zip(map(float, theta), np.transpose(grads), strict=True):
        v = 0.0
        for g in map(float, gs):
            g += weight_decay * p
            v = rho * v + (1 - rho) * g * g
            p -= lr * g / (math.sqrt(v) + eps)
        result.append(p)
    return np.array(result)


# ---------------------------------------------------------------- initialisers: name -> Var[W] for (fan_in, fan_out)

VARIANCES = {
    "lecun": lambda fan_in, fan_out: 1 / fan_in,
    "glorot": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "he": lambda fan_in, fan_out: 2 / fan_in,
}


# ---------------------------------------------------------------- images: x (N, C, H, W); kernel, stride, ... are pairs


def padded(x, padding, value=0.0):
    (n, c, h, w), (ph, pw) = x.shape, padding
    result = np.full((n, c, h + 2 * ph, w + 2 * pw), value)
    for i in np.ndindex(x.shape):
        result[i[0], i[1], i[2] + ph, i[3] + pw] = x[i]
    return result


def windows(x, kernel, stride):
    """(n, c, oh, ow, the list of the numbers that the kernel meets there, row by row), for every step."""
    n_rows, n_columns = (
        (size - k) // s + 1 for size, k, s in zip(x.shape[2:], kernel, stride, strict=True)
    )
    for n, c, oh, ow in np.ndindex(*x.shape[:2], n_rows, n_columns):
        met = [x[n, c, stride[0] * oh + i, stride[1] * ow + j] for i, j in np.ndindex(kernel)]
        yield n, c, oh, ow, [float(value) for value in met]


def conv2d(x, W, b, stride, padding):
    """y[n, k, oh, ow] = b[k] + Σ_cij W[k, c, i, j] x[n, c, s·oh + i - p, s·ow + j - p]; W (K, C, KH, KW)."""
    y = {}
    for n, c, oh, ow, met in windows(padded(x, padding), W.shape[2:], stride):
        for k in range(len(W)):
            products = [weight * value for weight, value in zip(W[k, c].ravel(), met, strict=True)]
            y[n, k, oh, ow] = y.get((n, k, oh, ow), b[k]) + sum(products)
    return table(y)


def conv_transpose2d(x, W, b, stride, padding, output_padding=(0, 0)):
    """Every x[n, k, h, w] adds its multiple of W[k] around (s·h - p, s·w - p); W (K, C, KH, KW)."""
    sizes = [
        (m - 1) * s + k + e
        for m, s, k, e in zip(x.shape[2:], stride, W.shape[2:], output_padding, strict=True)
    ]
    y = np.zeros((len(x), W.shape[1], *sizes))
    for n, k, h, w in np.ndindex(x.shape):
        for c, i, j in np.ndindex(W.shape[1:]):
            y[n, c, stride[0] * h + i, stride[1] * w + j] += W[k, c, i, j] * x[n, k, h, w]
    (ph, pw), (rows, columns) = padding, y.shape[2:]
    return y[:, :, ph : rows - ph, pw : columns - pw] + np.reshape(b, (-1, 1, 1))


def max_pool2d(x, kernel, stride, padding):
    everything = windows(padded(x, padding, -math.inf), kernel, stride)
    return table({(n, c, oh, ow): max(met) for n, c, oh, ow, met in everything})


def avg_pool2d(x, kernel, stride, padding):
    everything = windows(padded(x, padding), kernel, stride)
    return table({(n, c, oh, ow): sum(met) / len(met) for n, c, oh, ow, met in everything})


def upsample(x, factor):
    (n, c, h, w), (fh, fw) = x.shape, factor
    return table(
        {i: x[i[0], i[1], i[2] // fh, i[3] // fw] for i in np.ndindex(n, c, h * fh, w * fw)}
    )


def table(values):
    """{index: value} as an array."""
    result = np.full([1 + max(axis) for axis in zip(*values, strict=True)], np.nan)
    for i, value in values.items():
        result[i] = value
    return result


# ---------------------------------------------------------------- normalisation


def moments(values):
    """(mean, variance) of a list, the variance divided by its length."""
    mean = sum(values) / len(values)
    return mean, sum((value - mean) ** 2 for value in values) / len(values)


def batch_norm(x, gamma, beta, eps, mean=None, var=None):
    """Per feature x[:, d]; with the batch's own moments where none are given. Also returns those it used."""
    y, used = np.empty(x.shape), []
    for d in range(x.shape[1]):
        used.append(
            moments([float(v) for v in x[:, d].ravel()]) if mean is None else (mean[d], var[d])
        )
        y[:, d] = gamma[d] * (x[:, d] - used[d][0]) / math.sqrt(used[d][1] + eps) + beta[d]
    return y, np.transpose(used)


def layer_norm(x, gamma, beta, eps):
    """Over as many of the last axes as gamma has."""
    y = np.empty(x.shape)
    for i in np.ndindex(x.shape[: x.ndim - gamma.ndim]):
        mean, var = moments([float(v) for v in x[i].ravel()])
        y[i] = gamma * (x[i] - mean) / math.sqrt(var + eps) + beta
    return y


# ---------------------------------------------------------------- sequences


def add_rows(x, rows, n_rows):
    """The sum of the x[n] that belong to each row."""
    total = np.zeros((n_rows, x.shape[1]))
    for values, row in zip(x, rows, strict=True):
        total[row] += values
    return total


def gru(x, W, U, b, c, h):
    """Every state h[t] (N, T, O) of Cho et al. 2014, one number at a time, the reset after the product, as cuDNN."""
    (n, t, n_in), o = x.shape, len(U)
    states = np.empty((n, t, o))
    for row in range(n):
        state = [float(value) for value in h[row]]
        for step in range(t):
            a = [b[k] + sum(x[row, step, i] * W[i, k] for i in range(n_in)) for k in range(3 * o)]
            u = [c[k] + sum(state[i] * U[i, k] for i in range(o)) for k in range(3 * o)]
            new = []
            for k in range(o):
                r, z = sigma(a[k] + u[k]), sigma(a[o + k] + u[o + k])
                proposal = math.tanh(a[2 * o + k] + r * u[2 * o + k])
                new.append((1 - z) * proposal + z * state[k])
            state = new
            states[row, step] = state
    return states
