"""The primitives of images, normalisation, sequences and random codes, in plain NumPy; `Ops` inherits them.

Images are (C, H, W, N) here: the batch is innermost (Krizhevsky's cuda-convnet has this order, too). What a kernel
position meets is then a slice whose rows are N neighbours in memory whatever the stride, a convolution is one GEMM with
no transposition on either side, and a channel is one row of C. Measured on one core, N = 100: im2col and col2im of
16 x 5 x 5 images with a 3 x 3 kernel take 0.11 ms, against 0.17 (N, H, W, C), 0.60 (C, N, H, W), 0.61 (N, C, H, W).
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from nanoae.backend.ops import Array


LOGVAR_MAX = 20.0  # of a random code
E_LOGVAR_MAX, STD_MAX = math.exp(LOGVAR_MAX), math.exp(LOGVAR_MAX / 2) * (1 - 1e-6)


class Window(NamedTuple):
    """A kernel that slides over an image, its steps and the border of zeros around it; pairs: (rows, columns).

    Output o of kernel position k meets the pixel  stride · o + k - padding.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]

    @property
    def area(self) -> int:
        return math.prod(self.kernel)

    def outputs(self, size: tuple[int, int]) -> tuple[int, int]:
        """How many steps it takes on an image of `size`: floor((size + 2 padding - kernel) / stride) + 1."""
        rows, columns = ((n + 2 * p - k) // s + 1 for n, k, s, p in zip(size, *self, strict=True))
        return rows, columns


class Tap(NamedTuple):
    """A kernel position (i, j): the outputs it serves and the pixels it meets there, slices of (C, H, W, N) arrays.

    clipped   some of its outputs meet the padding, and are left out
    first     no earlier position has met these pixels: those with i, j < stride are the first ones of their pixels
    """

    i: int
    j: int
    outputs: tuple[slice, ...]
    pixels: tuple[slice, ...]
    clipped: bool
    first: bool


@functools.cache
def taps(window: Window, size: tuple[int, int]) -> list[Tap]:
    """All the kernel positions, row by row, on an image of `size`."""

    def along(n: int, kernel: int, stride: int, padding: int) -> list[tuple[slice, slice]]:
        outputs, found = (n + 2 * padding - kernel) // stride + 1, []
        for k in range(kernel):
            start = max(0, -((k - padding) // stride))  # the first o with stride · o + k - padding >= 0
            stop = max(start, min(outputs, (n - 1 + padding - k) // stride + 1))
            pixel = stride * start + k - padding
            found.append((slice(start, stop), slice(pixel, pixel + stride * (stop - start), stride)))
        return found

    rows, columns = (along(*axis) for axis in zip(size, *window, strict=True))
    every, whole, (sh, sw) = slice(None), window.outputs(size), window.stride
    return [
        Tap(i, j, (every, oh, ow), (every, h, w), (oh.stop - oh.start, ow.stop - ow.start) != whole, i < sh and j < sw)
        for i, (oh, h) in enumerate(rows)
        for j, (ow, w) in enumerate(columns)
    ]


def blocks_of_rows(n: int, width: int, elements: int = 1 << 18) -> list[slice]:
    """0 .. n-1 in slices such that rows of `width` numbers stay in the cache."""
    rows = max(elements // width, 1)
    return [slice(start, start + rows) for start in range(0, n, rows)]


class LayerOps:
    """What `Ops` inherits. Sizes: C channels, H/W image, KH/KW kernel, OH/OW steps, R rows of M numbers."""

    xp: Any
    scratch: Any
    ones: Any
    sigmoid: Any
    sigmoid_backward: Any
    tanh_backward: Any
    scale_inplace: Any
    sum: Any
    sum_rows: Any

    # ---------------------------------------------------------------- windows of images

    def im2col(self, x: Array, window: Window, out: Array) -> Array:
        """out[c, i, j, oh, ow, n] = the pixel that step (oh, ow) meets with kernel position (i, j), 0 in the padding.

        x (C, H, W, N), out (C, KH, KW, OH, OW, N).
        """
        for tap in taps(window, x.shape[1:3]):
            column = out[:, tap.i, tap.j]
            if tap.clipped:
                column[...] = 0
            column[tap.outputs] = x[tap.pixels]
        return out

    def col2im(self, cols: Array, window: Window, out: Array) -> Array:
        """The adjoint of im2col: out[pixel] = Σ of the columns' numbers that met this pixel; what met padding is lost.

        cols (C, KH, KW, OH, OW, N), out (C, H, W, N).
        """
        out[...] = 0
        for tap in taps(window, out.shape[1:3]):
            self.add_tap(cols[:, tap.i, tap.j], tap, out)
        return out

    def add_tap(self, values: Array, tap: Tap, out: Array) -> None:
        """out[pixels] += values[outputs]; where these pixels are met for the first time a copy does it, which is three
        times faster."""
        image = out[tap.pixels]
        if tap.first:
            image[...] = values[tap.outputs]
        else:
            self.xp.add(image, values[tap.outputs], out=image)

    def max_pool(self, x: Array, window: Window, out: Array) -> Array:
        """out = max over the window; the padding is -∞. x (C, H, W, N), out (C, OH, OW, N)."""
        out[...] = -math.inf
        for tap in taps(window, x.shape[1:3]):
            y = out[tap.outputs]
            self.xp.maximum(y, x[tap.pixels], out=y)
        return out

    def max_pool_backward(self, dy: Array, x: Array, y: Array, window: Window, out: Array) -> Array:
        """dy goes to the first pixel of its window that equals the maximum y: dx[pixel] += left · [x == y], where left
        is what no earlier pixel took; all that is left at last belongs to the last one.

        dy, y (C, OH, OW, N), x, dx (C, H, W, N).
        """
        xp, left, share = self.xp, self.scratch(dy, "left"), self.scratch(dy, "share")
        left[...] = dy
        out[...] = 0
        *earlier, last = taps(window, x.shape[1:3])
        for tap in earlier:
            won, rest = share[tap.outputs], left[tap.outputs]
            xp.equal(x[tap.pixels], y[tap.outputs], out=won)
            xp.multiply(won, rest, out=won)
            xp.subtract(rest, won, out=rest)
            self.add_tap(share, tap, out)
        self.add_tap(left, last, out)
        return out

    def sum_windows(self, x: Array, window: Window, scale: float, out: Array) -> Array:
        """out = scale · Σ over the window. x (C, H, W, N), out (C, OH, OW, N)."""
        out[...] = 0
        for tap in taps(window, x.shape[1:3]):
            y = out[tap.outputs]
            self.xp.add(y, x[tap.pixels], out=y)
        return self.scale_inplace(out, scale)

    def spread_windows(self, y: Array, window: Window, scale: float, out: Array) -> Array:
        """The adjoint of sum_windows: each y times `scale` is added to all pixels of its window.

        y (C, OH, OW, N), out (C, H, W, N).
        """
        out[...] = 0
        for tap in taps(window, out.shape[1:3]):
            self.add_tap(y, tap, out)
        return self.scale_inplace(out, scale)

    # ---------------------------------------------------------------- normalisation, of rows x (R, M)

    def sum_products_rows(self, x: Array, y: Array, out: Array) -> Array:
        """out[r] = Σ_m x[r, m] y[r, m]: BLAS's dot, row by row, where rows are contiguous, else a product with ones."""
        if x.flags.c_contiguous and y.flags.c_contiguous:
            self.xp.matmul(x[:, None, :], y[:, :, None], out=out[:, None, None])
            return out
        product = self.xp.multiply(x, y, out=self.scratch(x, "product"))
        return self.xp.matmul(product, self.ones(x.shape[1], x.dtype), out=out)

    def center(self, x: Array, mean: Array, var: Array, out: Array) -> Array:
        """mean[r] = Σ_m x / M,  out = x - mean,  var[r] = Σ_m out² / M: two passes, so no cancellation."""
        m = x.shape[1]
        self.xp.matmul(x, self.ones(m, x.dtype), out=mean)
        self.scale_inplace(mean, 1 / m)
        self.xp.subtract(x, mean[:, None], out=out)
        self.scale_inplace(self.sum_products_rows(out, out, out=var), 1 / m)
        return out

    def rsqrt(self, x: Array, eps: float, out: Array) -> Array:
        """out = 1 / sqrt(x + eps)."""
        self.xp.add(x, eps, out=out)
        self.xp.sqrt(out, out=out)
        return self.xp.divide(1, out, out=out)

    def affine_rows(self, x: Array, a: Array, b: Array, out: Array) -> Array:
        """out[r, m] = a[r] x[r, m] + b[r]."""
        self.xp.multiply(x, a[:, None], out=out)
        return self.xp.add(out, b[:, None], out=out)

    def center_backward(
        self, dy: Array, xc: Array, inv: Array, scale: Array, sum_dy: Array, sum_dy_x: Array, out: Array
    ) -> Array:
        """The backward of  y = scale · xc,  xc = x - mean(x);  scale is a multiple of inv = 1 / sqrt(var(x) + eps).

        With x̂ = inv · xc:  sum_dy[r] = Σ_m dy,  sum_dy_x[r] = Σ_m dy x̂,
        out = scale (dy - sum_dy / M - x̂ sum_dy_x / M). `out` may be xc.
        """
        xp, m = self.xp, dy.shape[1]
        xp.matmul(dy, self.ones(m, dy.dtype), out=sum_dy)
        xp.multiply(self.sum_products_rows(dy, xc, out=sum_dy_x), inv, out=sum_dy_x)
        factor = xp.multiply(sum_dy_x, inv, out=self.scratch(inv, "factor"))
        self.scale_inplace(factor, -1 / m)
        shift = xp.multiply(sum_dy, -1 / m, out=self.scratch(inv, "shift"))
        self.affine_rows(xc, factor, shift, out=out)
        xp.add(out, dy, out=out)
        return xp.multiply(out, scale[:, None], out=out)

    # ---------------------------------------------------------------- sequences

    def round_words(self, x: Array, out: Array) -> Array:
        """Word numbers as integers, from integers or from floats that hold them."""
        return self.xp.rint(x, out=out, casting="unsafe")

    def add_rows(self, x: Array, rows: Array, out: Array) -> Array:
        """The adjoint of take_rows: out[v] = Σ of the x[n] with rows[n] = v, 0 where there is none; x, out contiguous.

        Element by element of the flat arrays: NumPy's add.at is four times faster there than row by row.
        """
        out[...] = 0
        start = self.xp.multiply(rows, x.shape[1], out=self.scratch(rows, "start"))
        elements = self.scratch(x, "elements", rows.dtype)
        self.xp.add(start[:, None], self.xp.arange(x.shape[1]), out=elements)
        self.xp.add.at(out.reshape(-1), elements.reshape(-1), x.reshape(-1))
        return out

    def not_equal(self, words: Array, word: int, out: Array) -> Array:
        """out = 1 where words != word, else 0."""
        return self.xp.not_equal(words, word, out=out)

    def last_not_zero(self, words: Array, out: Array) -> Array:
        """out[n] = the last t with words[n, t] != 0, or T - 1 where there is none; words (N, T)."""
        out[...] = (words != 0)[:, ::-1].argmax(axis=1)
        return self.xp.subtract(words.shape[1] - 1, out, out=out)

    def take_steps(self, x: Array, steps: Array, out: Array) -> Array:
        """out[n] = x[n, steps[n]]; x (N, T, I), out (N, I)."""
        out[...] = x[self.xp.arange(len(x)), steps]
        return out

    def put_steps(self, x: Array, steps: Array, out: Array) -> Array:
        """The adjoint of take_steps: out[n, steps[n]] = x[n], 0 at all other steps; x (N, I), out (N, T, I)."""
        out[...] = 0
        out[self.xp.arange(len(x)), steps] = x
        return out

    def sum_steps(self, x: Array, out: Array) -> Array:
        """out[n] = Σ_t x[n, t]; x (N, T, I), out (N, I)."""
        return self.xp.sum(x, axis=1, out=out)

    def gru_step(self, a: Array, u: Array, h: Array, gates: Array, out: Array) -> Array:
        """One step of a GRU, from a = x W + b and u = h U + c (N, 3 O), in thirds for r, z and n:

        r = sigmoid(a_r + u_r)   z = sigmoid(a_z + u_z)   n = tanh(a_n + r u_n)   out = (1 - z) n + z h

        gates (N, 3 O) receives r, z, n; it may be `a`.
        """
        xp, o = self.xp, h.shape[1]
        rz, r, z, n = gates[:, : 2 * o], gates[:, :o], gates[:, o : 2 * o], gates[:, 2 * o :]
        xp.add(a[:, : 2 * o], u[:, : 2 * o], out=rz)
        self.sigmoid(rz, out=rz)
        xp.add(a[:, 2 * o :], xp.multiply(r, u[:, 2 * o :], out=self.scratch(r)), out=n)
        xp.tanh(n, out=n)
        xp.subtract(h, n, out=out)
        xp.multiply(out, z, out=out)
        return xp.add(out, n, out=out)  # n + z (h - n)

    def gru_step_backward(self, dy: Array, gates: Array, u: Array, h: Array, da: Array, du: Array, out: Array) -> Array:
        """From dy = dLoss/d(the new state): dLoss/da, dLoss/du and, in `out`, what reaches h beside u: dy z.

        dz = dy (h - n)      da_z = du_z = dz z (1 - z)
        dn = dy (1 - z)      da_n = dn (1 - n²)          du_n = da_n r
        dr = da_n u_n        da_r = du_r = dr r (1 - r)

        `da` may be `gates`, and `du` may be `u`.
        """
        xp, o = self.xp, h.shape[1]
        r, z, n, u_n = gates[:, :o], gates[:, o : 2 * o], gates[:, 2 * o :], u[:, 2 * o :]
        dz, dn, dr = (self.scratch(h, name) for name in ("dz", "dn", "dr"))
        xp.multiply(dy, z, out=out)
        xp.multiply(xp.subtract(h, n, out=dz), dy, out=dz)
        self.sigmoid_backward(dz, z, out=dz)
        self.tanh_backward(xp.subtract(dy, out, out=dn), n, out=dn)
        self.sigmoid_backward(xp.multiply(dn, u_n, out=dr), r, out=dr)
        xp.multiply(dn, r, out=du[:, 2 * o :])
        for part, d in enumerate((dr, dz)):
            da[:, part * o : (part + 1) * o] = du[:, part * o : (part + 1) * o] = d
        da[:, 2 * o :] = dn
        return out

    # ---------------------------------------------------------------- random codes, of x = [mu, logvar] (N, 2 K)

    def reparametrise(self, x: Array, noise: Array, std: Array, out: Array) -> Array:
        """std = e^(logvar / 2),  out = mu + std · noise: a sample of N(mu, std²).

        x = [mu, logvar] (N, 2 K), the others (N, K); std is filled, too. Above LOGVAR_MAX logvar counts as that, so
        that a table that was not scaled does not overflow.
        """
        k = noise.shape[1]
        self.xp.minimum(x[:, k:], LOGVAR_MAX, out=std)
        self.xp.exp(self.xp.multiply(std, 0.5, out=std), out=std)
        self.xp.multiply(std, noise, out=out)
        return self.xp.add(out, x[:, :k], out=out)

    def reparametrise_backward(self, dz: Array, noise: Array, std: Array, out: Array) -> Array:
        """dmu = dz,  dlogvar = dz · noise · std / 2,  for d e^(logvar / 2) / dlogvar = std / 2; 0 above LOGVAR_MAX."""
        k = dz.shape[1]
        out[:, :k] = dz
        dlogvar = self.xp.multiply(dz, noise, out=out[:, k:])
        self.scale_inplace(dlogvar, std)
        self.scale_inplace(dlogvar, self.xp.less(std, STD_MAX, out=self.scratch(std, "mask")))
        self.scale_inplace(dlogvar, 0.5)
        return out

    def gaussian_kl(self, x: Array, std: Array, beta: Array, free: float, out: Array) -> Array:
        """The mean of KL(N(mu, std²) ‖ N(0, 1)) over the rows, summed over units, each at least `free`, in nats:

        KL[n, j] = (mu² + std² - 1 - logvar) / 2      KL_j = 1/N Σ_n KL[n, j]      loss = beta Σ_j max(KL_j, free)
        dmu = beta / N · mu      dlogvar = beta / N · (std² - 1) / 2               both 0 in units with KL_j < free

        x, out (N, 2 K), std (N, K) = e^(logvar / 2), beta a 0-d array. Above LOGVAR_MAX, where std stays, the KL goes
        on along its tangent: std² becomes std² (1 + logvar - LOGVAR_MAX), and the gradients are the same.
        """
        xp, (n, k) = self.xp, std.shape
        mu, logvar, dmu, dlogvar = x[:, :k], x[:, k:], out[:, :k], out[:, k:]
        xp.subtract(xp.multiply(std, std, out=dlogvar), 1, out=dlogvar)
        beyond = xp.maximum(xp.subtract(logvar, LOGVAR_MAX, out=dmu), 0, out=dmu)
        kl = xp.multiply(beyond, E_LOGVAR_MAX, out=self.scratch(std, "kl"))
        xp.add(kl, dlogvar, out=kl)
        xp.subtract(kl, logvar, out=kl)
        xp.add(kl, xp.multiply(mu, mu, out=dmu), out=kl)  # twice the KL
        factor = xp.multiply(beta, 1 / n, out=self.scratch(beta, "factor"))
        if free:
            units = self.sum_rows(kl, out=self.scratch(kl[0], "units"))
            self.scale_inplace(units, 0.5 / n)
            loss = beta * self.sum(xp.maximum(units, free, out=self.scratch(units, "paid")))
            factor = self.scale_inplace(xp.greater(units, free, out=units), factor)
        else:
            loss = 0.5 * factor * self.sum(kl)
        xp.multiply(mu, factor, out=dmu)
        self.scale_inplace(self.scale_inplace(dlogvar, factor), 0.5)
        return loss

    # ---------------------------------------------------------------- missing values, categories

    def present(self, x: Array, out: Array) -> Array:
        """out = 1 where x is a number, 0 where it is NaN, which equals nothing."""
        return self.xp.equal(x, x, out=out)

    def fill_missing(self, x: Array, like: Array, value, out: Array) -> Array:
        """out = x where `like` is a number, value where it is NaN; value a number or of shape (D,)."""
        missing = self.xp.isnan(like, out=self.scratch(like, "missing", self.xp.dtype(bool)))
        self.xp.copyto(out, x)
        self.xp.copyto(out, value, where=missing)
        return out

    def cross_entropy(self, z: Array, t: Array, scale: float, out: Array) -> Array:
        """From logits z (..., K) and shares t (..., K), one-hot or any others: with p = softmax(z) along the last axis

        loss = -scale · Σ t log p,  dz = scale (p Σ_k t_k - t):  a row of t that is all 0 costs nothing.
        """
        xp = self.xp
        xp.subtract(z, z.max(axis=-1, keepdims=True), out=out)
        picked = xp.multiply(t, out, out=self.scratch(out)).sum()
        xp.exp(out, out=out)
        sums, mass = out.sum(axis=-1, keepdims=True), t.sum(axis=-1, keepdims=True)
        loss = scale * (xp.multiply(mass, xp.log(sums)).sum() - picked)
        xp.multiply(out, xp.divide(mass, sums, out=sums), out=out)
        xp.subtract(out, t, out=out)
        self.scale_inplace(out, scale)
        return loss

    # ---------------------------------------------------------------- neighbours and clusters

    def squared_distances(self, x: Array, y: Array, out: Array | None = None) -> Array:
        """out[n, m] = ‖x[n] - y[m]‖² = ‖x[n]‖² - 2 x[n]·y[m] + ‖y[m]‖², at least 0, of x (N, D) and y (M, D): a GEMM.

        It cancels where the norms are large beside the distances: centre both first.
        """
        xp = self.xp
        out = self.scale_inplace(xp.matmul(x, y.T, out=out), -2)
        for rows, axis in ((x, 1), (y, 0)):
            norms = self.sum_products_rows(rows, rows, out=self.scratch(rows[:, 0], "norms"))
            xp.add(out, xp.expand_dims(norms, axis), out=out)
        return xp.maximum(out, 0, out=out)

    def nearest(self, x: Array, centers: Array, out: Array, distances: Array) -> Array:
        """out[n] = the k with the smallest ‖x[n] - centers[k]‖², the first of equals; distances[n] = that number.

        For one row ‖x‖² is the same everywhere, so k is where ‖c‖² - 2 x·c is smallest: a GEMM and one pass over it.
        """
        xp, norms = self.xp, self.sum_products_rows(centers, centers, out=self.scratch(centers[:, 0], "norms"))
        self.sum_products_rows(x, x, out=distances)
        for block in blocks_of_rows(len(x), len(centers)):
            rest = xp.matmul(x[block], centers.T)
            self.scale_inplace(rest, -2)
            xp.add(rest, norms, out=rest)
            numbers = rest.argmin(axis=1)
            out[block] = numbers
            distances[block] += xp.take_along_axis(rest, numbers[:, None], axis=1)[:, 0]
        xp.maximum(distances, 0, out=distances)
        return out

    def sum_clusters(self, x: Array, labels: Array, out: Array, counts: Array) -> Array:
        """out[k] = Σ of the x[n] with labels[n] = k, counts[k] = how many they are: a GEMM with the one-hot labels,
        which adds in the same order every time, as a GPU's atomic sums do not."""
        out[...], counts[...] = 0, 0
        numbers = self.xp.arange(len(out), dtype=labels.dtype)
        for block in blocks_of_rows(len(x), len(out)):
            one_hot = (labels[block, None] == numbers).astype(x.dtype)
            out += one_hot.T @ x[block]
            counts += self.ones(len(one_hot), x.dtype) @ one_hot
        return out

    def draw_rows(self, weights: Array, u: Array, out: Array) -> Array:
        """out[i] = the n at which Σ_m<=n weights[m] first exceeds u[i] Σ weights: row n with probability ∝ weights[n]
        for u ~ U[0, 1)."""
        reached = self.xp.cumsum(weights, dtype=u.dtype)
        return self.xp.minimum(self.xp.searchsorted(reached, u * reached[-1], side="right"), len(weights) - 1, out=out)
