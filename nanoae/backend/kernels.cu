// The fused kernels of nanoae, for GPU and CPU. Each implements a primitive of Ops, with its formula as a comment.
//
// Compiled on first use, once with real = float and once with real = double, after the header of the machine: cuda.h
// or cpu.h. Both define the same vocabulary:
//
//   KERNEL(name, arguments)                    a function on whole arrays of any size, split into blocks
//   EACH(i, n)                                 for each of n elements
//   EACH_ROW(row, rows), EACH_IN_ROW(i, n)     for each row (one block per row), and for each element of it
//   EACH_PIXEL(w, n, W, N)                     for each of W pixels and N images in a row
//   each_of_table(use, length, rows, n)        use(i, r) for each element i of a table and its row r
//   fold_pixels(out, W, N, start, scale, visit)  for each pixel w of a row of N images, a fold defined by `visit`
//   sum_row(term, n), max_row(term, n)         over a row, within a block
//   sum_rows(term, SUM_ARGUMENTS)              over the rows of a table, or over everything
//
// Everything that changes from step to step is read from device memory, so that kernels can be part of a CUDA graph.

typedef long long integer;
typedef unsigned long long word;

// ---------------------------------------------------------------------------------------------------- sums
// Every sum has a fixed order, without floating-point atomics, so that results are bit-identical between runs.

// Further arguments of a kernel that sums:  out[r] = scale · Σ_m term(r, i),  with i = r · row_step + m · step the
// position in memory,  r < rows, m < length.
#define SUM real *out, double scale, real *partial, unsigned *tickets, \
    size_t rows, size_t length, size_t row_step, size_t step, size_t width
#define SUM_ARGUMENTS out, real(scale), partial, tickets, rows, length, row_step, step, unsigned(width)

// out[r] = scale · Σ x
KERNEL(sum, const real* x, SUM) {
    sum_rows([=](size_t, size_t i) { return x[i]; }, SUM_ARGUMENTS);
}

// out[r] = scale · factor[r] Σ x y;  factor is optional, by default 1
KERNEL(sum_products, const real* x, const real* y, const real* factor, SUM) {
    if (factor) sum_rows([=](size_t r, size_t i) { return factor[r] * x[i] * y[i]; }, SUM_ARGUMENTS);
    else sum_rows([=](size_t, size_t i) { return x[i] * y[i]; }, SUM_ARGUMENTS);
}

// x *= min(1, max_norm / ‖x‖),  squares = ‖x‖²
KERNEL(clip_norm, real* x, const real* squares, double max_norm, size_t n) {
    real factor = real(max_norm) / (sqrt(*squares) + real(1e-12));
    if (factor < 1 || isnan(factor)) EACH(i, n) x[i] *= factor;
}

// out = x y, or a x if y is null
KERNEL(multiply, const real* x, const real* y, double a, real* out, size_t n) {
    if (!y) {
        EACH(i, n) out[i] = real(a) * x[i];
        return;
    }
    EACH(i, n) out[i] = x[i] * y[i];
}

// y = a x + b y
KERNEL(axpby, real* y, double a, const real* x, double b, size_t n) {
    EACH(i, n) y[i] = real(a) * x[i] + real(b) * y[i];
}

// ---------------------------------------------------------------------------------------------------- activations

__device__ real sigmoid(real x) { return 1 / (1 + exp(-x)); }

// The tanh in GELU's tanh form (Hendrycks & Gimpel 2016), and the derivative of its argument
__device__ real gelu_tanh(real x) { return tanh(x * (real(0.7978845608028654) + real(0.035677408136300125) * x * x)); }
__device__ real gelu_slope(real x) { return real(0.7978845608028654) + real(0.10703222440890037) * x * x; }

// For each activation its name, y = f(x), and f' as a function of what forward keeps: OF_Y y = f(x), OF_X x itself. a
// is its parameter. NaN is propagated: comparisons with it are false. A new activation needs a line here.
#define ACTIVATIONS(A)                                                                                                \
    A(IDENTITY, x, OF_Y, 1)                                                                                           \
    A(RELU, x < 0 ? 0 : x, OF_Y, y > 0)                                                                               \
    A(LEAKY_RELU, x > 0 ? x : a * x, OF_Y, y > 0 ? 1 : a)                                                             \
    A(ELU, x > 0 ? x : a * expm1(x), OF_Y, y > 0 ? 1 : y + a)                                                         \
    A(SIGMOID, sigmoid(x), OF_Y, y * (1 - y))                                                                         \
    A(TANH, tanh(x), OF_Y, 1 - y * y)                                                                                 \
    A(SOFTPLUS, (x < 0 ? 0 : x) + log1p(exp(-fabs(x))), OF_Y, -expm1(-y))                                             \
    A(GELU, real(0.5) * x * (1 + gelu_tanh(x)), OF_X,                                                                 \
      real(0.5) * (1 + gelu_tanh(x)) * (1 + x * (1 - gelu_tanh(x)) * gelu_slope(x)))                                  \
    A(SILU, x * sigmoid(x), OF_X, sigmoid(x) * (1 + x * (1 - sigmoid(x))))

enum { OF_Y, OF_X };
#define A(name, f, of, slope) name,
enum { ACTIVATIONS(A) };
#undef A

// y = f(x)
__device__ real activate(integer f, real x, real a) {
    switch (f) {
#define A(name, f, of, slope) case name: return f;
        ACTIVATIONS(A)
#undef A
    }
    return x;
}

// f'(x), from y or x
__device__ real derivative(integer f, real kept, real a) {
    real x = kept, y = kept;
    switch (f) {
#define A(name, f, of, slope) case name: return slope;
        ACTIVATIONS(A)
#undef A
    }
    return 1;
}

__device__ constexpr bool keeps_x(integer f) {
#define A(name, f_of_x, of, slope) (f == name && of == OF_X) ||
    return ACTIVATIONS(A) false;
#undef A
}

template <integer number> struct Constant {
    __device__ constexpr operator integer() const { return number; }
};

// use(f) with f as a compile-time constant, so that loops contain no branches
template <class Use> __device__ void with_activation(integer f, Use use) {
    switch (f) {
#define A(name, f, of, slope) case name: return use(Constant<name>());
        ACTIVATIONS(A)
#undef A
    }
}

// y = f(x)
KERNEL(activation, const real* x, real* y, integer f, double a, size_t n) {
    with_activation(f, [=](auto f) { EACH(i, n) y[i] = activate(f, x[i], a); });
}

// dx = dy · f'(x);  y = f(x), or x
KERNEL(activation_backward, const real* dy, const real* y, real* dx, integer f, double a, size_t n) {
    with_activation(f, [=](auto f) { EACH(i, n) dx[i] = dy[i] * derivative(f, y[i], a); });
}

// y[r, m] = f(z[r, m] + b[r]);  if f' is a function of z, z += b is stored; else z may be y
KERNEL(bias_activation, real* z, real* y, const real* b, integer f, double a, size_t length, size_t rows, size_t n) {
    with_activation(f, [=](auto f) {
        each_of_table([=](size_t i, size_t r) {
            real x = z[i] + b[r];
            if (keeps_x(f)) z[i] = x;
            y[i] = activate(f, x, a);
        }, length, rows, n);
    });
}

// dz = dy · f'(z),  out[r] = db[r] = Σ_m dz[r, m];  y = f(z), or z
KERNEL(activation_backward_bias, const real* dy, const real* y, real* dz, integer f, double a, SUM) {
    with_activation(f, [=](auto f) {
        sum_rows([=](size_t, size_t i) { return dz[i] = dy[i] * derivative(f, y[i], a); }, SUM_ARGUMENTS);
    });
}

// y = min(max(x, low), high)
KERNEL(clip, const real* x, real* y, double low, double high, size_t n) {
    EACH(i, n) y[i] = x[i] < real(low) ? real(low) : x[i] > real(high) ? real(high) : x[i];
}

// dx = dy where low < y < high, else 0
KERNEL(clip_backward, const real* dy, const real* y, real* dx, double low, double high, size_t n) {
    EACH(i, n) dx[i] = dy[i] * (y[i] > real(low) && y[i] < real(high));
}

// y[n] = e^(x[n] - max x[n]) / Σ e^(...)
KERNEL(softmax, const real* x, real* y, size_t rows, size_t d) {
    EACH_ROW(n, rows) {
        real most = max_row([=](size_t k) { return x[n * d + k]; }, d);
        real sum = sum_row([=](size_t k) { return y[n * d + k] = exp(x[n * d + k] - most); }, d);
        EACH_IN_ROW(k, d) y[n * d + k] /= sum;
    }
}

// out[n, i] = 1 if x[n, i] is one of the k largest of its row, the first ones in a tie, else 0
KERNEL(top_k_mask, const real* x, real* out, integer k, size_t rows, size_t d) {
    EACH_ROW(n, rows) {
        EACH_IN_ROW(i, d) {
            integer larger = 0;
            for (size_t j = 0; j < d; j++) {
                real mine = x[n * d + i], other = x[n * d + j];
                larger += other > mine || (other == mine && j < i);
            }
            out[n * d + i] = larger < k;
        }
    }
}

// ---------------------------------------------------------------------------------------------------- losses
// Each writes scale · Σ to `out` and the gradient to dy.

// Σ (y - t)²,  dy = 2 scale (y - t)
KERNEL(mse, const real* y, const real* t, real* dy, SUM) {
    sum_rows([=](size_t, size_t i) {
        real r = y[i] - t[i];
        dy[i] = real(2 * scale) * r;
        return r * r;
    }, SUM_ARGUMENTS);
}

// Σ softplus(z) - t z,  dz = scale (sigmoid(z) - t);  with e = e^-|z|, which does not overflow,
// softplus(z) = z / 2 + |z| / 2 + log(1 + e)  and  sigmoid(z) = 1 / (1 + e), or for z < 0 e / (1 + e)
KERNEL(bce, const real* z, const real* t, real* dz, SUM) {
    sum_rows([=](size_t, size_t i) {
        real x = z[i], e = exp(-fabs(x));
        dz[i] = real(scale) * ((x < 0 ? e : 1) / (1 + e) - t[i]);
        return (real(0.5) - t[i]) * x + real(0.5) * fabs(x) + log1p(e);
    }, SUM_ARGUMENTS);
}

__device__ real sign(real x) { return x > 0 ? 1 : x < 0 ? -1 : x; }  // 0 for 0, NaN for NaN

// Σ |y - t|,  dy = scale · sign(y - t)
KERNEL(l1, const real* y, const real* t, real* dy, SUM) {
    sum_rows([=](size_t, size_t i) {
        real r = y[i] - t[i];
        dy[i] = real(scale) * sign(r);
        return fabs(r);
    }, SUM_ARGUMENTS);
}

// Σ c (r - c / 2),  dy = scale · c,  r = y - t, c = clip(r, -delta, delta)
KERNEL(huber, const real* y, const real* t, double delta, real* dy, SUM) {
    sum_rows([=](size_t, size_t i) {
        real r = y[i] - t[i], d = delta, c = r < -d ? -d : r > d ? d : r;
        dy[i] = real(scale) * c;
        return c * (r - real(0.5) * c);
    }, SUM_ARGUMENTS);
}

// Σ |x|,  dx = scale · sign(x)
KERNEL(l1_norm, const real* x, real* dx, SUM) {
    sum_rows([=](size_t, size_t i) {
        real value = x[i];
        dx[i] = real(scale) * sign(value);
        return fabs(value);
    }, SUM_ARGUMENTS);
}

// Σ p log(p / q) + (1 - p) log((1 - p) / (1 - q)),  dq = scale ((1 - p) / (1 - q) - p / q),  q in [1e-6, 1 - 1e-6]
KERNEL(bernoulli_kl, const real* q, double p, real* dq, SUM) {
    sum_rows([=](size_t, size_t i) {
        real least = 1e-6, most = 1 - 1e-6, x = q[i];
        x = x < least ? least : x > most ? most : x;
        real on = real(p) / x, off = real(1 - p) / (1 - x);
        dq[i] = real(scale) * (off - on);
        return real(p) * log(on) + real(1 - p) * log(off);
    }, SUM_ARGUMENTS);
}

// out[n] = -w log p[n, t[n]],  dz = scale w (p - onehot(t)),  p = softmax(z), w = weights[n] or 1;  out is NaN if t is
// not a valid class
KERNEL(softmax_cross_entropy, const real* z, const integer* t, const real* weights, double scale, real* dz, real* out,
                             size_t rows, size_t d) {
    EACH_ROW(n, rows) {
        real right = (size_t)t[n] < d ? z[n * d + t[n]] : log(real(-1)), w = weights ? weights[n] : 1;
        real most = max_row([=](size_t k) { return z[n * d + k]; }, d);
        real sum = sum_row([=](size_t k) { return dz[n * d + k] = exp(z[n * d + k] - most); }, d);
        EACH_IN_ROW(k, d) dz[n * d + k] = real(scale) * w * (dz[n * d + k] / sum - (k == (size_t)t[n]));
        if (threadIdx.x == 0) out[n] = w * (log(sum) - (right - most));
    }
}

// ---------------------------------------------------------------------------------------------------- optimisers

// The moment of a gradient that stays 0 would become subnormal, which is ten times slower on a CPU.
__device__ real flushed(real m) { return fabs(m) <= real(sizeof(real) == 4 ? 1e-30 : 1e-300) ? 0 : m; }

// m = beta1 · m + g,  v = beta2 · v + g²,  theta -= rate · m / (sqrt(v) + s eps)
// with s = sqrt((1 - beta2ᵗ) / (1 - beta2)), rate = lr s (1 - beta1) / (1 - beta1ᵗ);  t, lr from *t_at, *lr_at if given
KERNEL(adam, real* theta, const real* grad, real* m, real* v, const integer* t_at, integer t, const double* lr_at,
            double lr, double beta1, double beta2, double eps, size_t n) {
    __shared__ real rate, small;
    if (threadIdx.x == 0) {
        double steps = t_at ? *t_at : t, s = sqrt((1 - pow(beta2, steps)) / (1 - beta2));
        rate = (lr_at ? *lr_at : lr) * s * (1 - beta1) / (1 - pow(beta1, steps));
        small = s * eps;
    }
    __syncthreads();
    EACH(i, n) {
        real g = grad[i];
        m[i] = flushed(real(beta1) * m[i] + g);
        v[i] = real(beta2) * v[i] + g * g;
        theta[i] -= rate * (m[i] / (sqrt(v[i]) + small));
    }
}

// u = momentum · u + g,  theta -= lr · u, or with Nesterov theta -= lr · (g + momentum · u);  u = g without velocity
KERNEL(sgd, real* theta, const real* grad, real* velocity, const double* lr_at, double lr, double momentum,
           integer nesterov, size_t n) {
    real rate = lr_at ? *lr_at : lr;
    EACH(i, n) {
        real g = grad[i], u = g;
        if (velocity) {
            u = velocity[i] = flushed(real(momentum) * velocity[i] + g);
            if (nesterov) u = g + real(momentum) * u;
        }
        theta[i] -= rate * u;
    }
}

// theta *= 1 - rate · decay
KERNEL(decay, real* theta, const double* rate_at, double rate, double decay, size_t n) {
    real factor = 1 - (rate_at ? *rate_at : rate) * decay;
    EACH(i, n) theta[i] *= factor;
}

// Begin step i of an epoch, clock = {i, t}, in one block: copy its rows (batch,) from the order (n,), and its rate.
KERNEL(next_batch, integer* clock, double* rate, const double* rates, const integer* order, integer* rows, size_t batch,
                   size_t n) {
    size_t i = clock[0];
    EACH_IN_ROW(j, batch) rows[j] = order[i * batch + j < n ? i * batch + j : n - 1];
    __syncthreads();
    if (threadIdx.x == 0) *rate = rates[i], clock[0] = i + 1, clock[1] += 1;
}

// ---------------------------------------------------------------------------------------------------- rows

// out[n] = scale · x[rows[n]], with x of type `stored`, N rows of d elements
#define TAKE_ROWS(stored, name)                                                                                       \
    KERNEL(name, const stored* x, const integer* rows, real* out, double scale, integer N, size_t d, size_t n) {       \
        each_of_table([=](size_t i, size_t r) {                                                                       \
            integer row = rows[r] < 0 ? 0 : rows[r] < N ? rows[r] : N - 1;                                            \
            out[i] = real(scale) * real(x[row * d + (i - r * d)]);                                                    \
        }, d, n / d, n);                                                                                              \
    }
TAKE_ROWS(unsigned char, take_rows_uint8)
TAKE_ROWS(float, take_rows_float32)
TAKE_ROWS(double, take_rows_float64)

// out[v] += Σ of the x[n] with 0 <= rows[n] = v < V, in the order of n: the first row of each v sums the others
KERNEL(add_rows, const real* x, const integer* rows, real* out, integer V, size_t N, size_t d) {
    EACH_ROW(n, N) {
        bool first = 0 <= rows[n] && rows[n] < V;
        for (size_t k = 0; k < n && first; k++) first = rows[k] != rows[n];
        if (first)
            EACH_IN_ROW(i, d) {
                real sum = 0;
                for (size_t k = n; k < N; k++)
                    if (rows[k] == rows[n]) sum += x[k * d + i];
                out[rows[n] * d + i] = sum;
            }
    }
}

// ---------------------------------------------------------------------------------------------------- randomness

// sqrt(-2 log(1 - u)) (cos 2πv, sin 2πv) for u, v from U[0, 1): two numbers from N(0, 1) (Box & Muller 1958)
struct Pair { real first, second; };
__device__ Pair gaussians(real u, real v) {
    real radius = sqrt(-2 * log(1 - u)), angle = real(6.283185307179586) * v;
    return {radius * cos(angle), radius * sin(angle)};
}

#ifdef CPU  // uses NumPy's generator

// out ~ U[0, 1), in one block: the numbers of numpy.random.Generator(SFC64).random; advances its state
// {a, b, c, count, {is a half word left, that half word}}  (Chris Doty-Humphrey's Small Fast Chaotic generator)
KERNEL(sfc64, word* state, real* out, size_t n) {
    word a = state[0], b = state[1], c = state[2], count = state[3];
    unsigned* half = (unsigned*)(state + 4);
    auto next = [&] {
        word sum = a + b + count++;
        a = b ^ (b >> 11), b = c + (c << 3), c = (c << 24 | c >> 40) + sum;
        return sum;
    };
    auto unit = [](unsigned x) { return (x >> 8) * (1.0f / 16777216.0f); };
    size_t i = 0;
    if (sizeof(real) == 8)
        for (; i < n; i++) out[i] = (next() >> 11) * (1.0 / 9007199254740992.0);
    if (i < n && half[0]) out[i++] = unit(half[1]), half[0] = 0;
    for (; i < n; i += 2) {
        word x = next();
        out[i] = unit(unsigned(x));
        if (i + 1 < n) out[i + 1] = unit(unsigned(x >> 32));
        else half[0] = 1, half[1] = unsigned(x >> 32);
    }
    state[0] = a, state[1] = b, state[2] = c, state[3] = count;
}

// (first, second) = gaussians(u, v)
KERNEL(box_muller, const real* u, const real* v, real* first, real* second, size_t n) {
    EACH(i, n) {
        Pair pair = gaussians(u[i], v[i]);
        first[i] = pair.first, second[i] = pair.second;
    }
}

#else

// Philox4x64-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): four words from a counter and a
// key. The counter is (index, draw, 0, 0) with index = 1, 2, ...: these are the words of
// numpy.random.Philox(key=key, counter=[0, draw, 0, 0]).
__device__ void philox(word index, word draw, word key, word* out) {
    const word M0 = 0xD2E7470EE14C6C93ull, M1 = 0xCA5A826395121157ull;
    word c0 = index, c1 = draw, c2 = 0, c3 = 0, k0 = key, k1 = 0;
    for (int round = 0; round < 10; round++) {
        word high0 = __umul64hi(M0, c0), high1 = __umul64hi(M1, c2), low0 = M0 * c0, low1 = M1 * c2;
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B97F4A7C15ull;
        k1 += 0xBB67AE8584CAA73Bull;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

const unsigned PER_INDEX = 32 / sizeof(real);  // the four words are four doubles or eight floats

// Number j of these in [0, 1), as in numpy.random.Generator.random: a float from each half word, low half first
__device__ real unit(const word* words, unsigned j) {
    if (sizeof(real) == 8) return (words[j] >> 11) * (1.0 / 9007199254740992.0);
    return (unsigned(words[j / 2] >> (32 * (j % 2))) >> 8) * (1.0f / 16777216.0f);
}

// use(i, words, j) for i < n: element i is number j of the words. state = {draws so far, ticket}; the last block counts
// this draw, so that a repeated launch, also in a CUDA graph, draws new numbers.
#define DRAW word *state, word key, size_t n
template <class Use> __device__ void draw(Use use, word* state, word key, size_t n) {
    word drawn = state[0];
    EACH(index, (n + PER_INDEX - 1) / PER_INDEX) {
        word words[4];
        philox(index + 1, drawn, key, words);
        for (unsigned j = 0; j < PER_INDEX; j++)
            if (index * PER_INDEX + j < n) use(index * PER_INDEX + j, words, j);
    }
    if (last_block((unsigned*)(state + 1), gridDim.x) && threadIdx.x == 0) state[0] = drawn + 1;
}

// out ~ U[0, 1)
KERNEL(uniform, real* out, DRAW) {
    draw([=](size_t i, const word* words, unsigned j) { out[i] = unit(words, j); }, state, key, n);
}

// out = scale with probability keep, else 0
KERNEL(keep_mask, real* out, double keep, double scale, DRAW) {
    draw([=](size_t i, const word* words, unsigned j) { out[i] = unit(words, j) < real(keep) ? real(scale) : 0; },
         state, key, n);
}

// out ~ N(0, 1)
KERNEL(normal, real* out, DRAW) {
    draw([=](size_t i, const word* words, unsigned j) {
        Pair pair = gaussians(unit(words, j & ~1u), unit(words, j | 1));
        out[i] = j % 2 ? pair.second : pair.first;
    }, state, key, n);
}
#endif

// --------------------------------------------------------------------------------------------------- windows of images
// Images x (C, H, W, N), outputs y (C, OH, OW, N), columns (C, KH, KW, OH, OW, N). Kernel element k of output o reads
// pixel S · o + k - P. A row is W or OW pixels of N images, adjacent in memory.

#define WINDOW integer C, integer H, integer W, integer N, integer OH, integer OW, \
    integer KH, integer KW, integer SH, integer SW, integer PH, integer PW

// The output that reads pixel x with kernel element k, -1 if there is none (int, since 64-bit division is slow)
__device__ int step_at(int x, int k, int S, int P, int steps) {
    int o = x + P - k;
    return o < 0 || o % S || o / S >= steps ? -1 : o / S;
}

// With stride SW = 1 a row of outputs reads a row of the image contiguously for every kernel element: a row is then
// folded as if it were one pixel of W · N images.
#define PIXELS(W) (SW == 1 ? 1 : W), (SW == 1 ? W * N : N)

// cols[c, i, j, oh, ow, n] = x[c, SH · oh + i - PH, SW · ow + j - PW, n], 0 outside
KERNEL(im2col, const real* x, real* cols, WINDOW) {
    EACH_ROW(row, C * KH * KW * OH) {
        integer oh = row % OH, j = row / OH % KW, i = row / OH / KW % KH, c = row / OH / KW / KH, h = SH * oh + i - PH;
        EACH_PIXEL(ow, n, PIXELS(OW)) {
            integer w = SW * integer(ow) + j - PW, at = integer(n) + w * N;  // position in the row
            bool inside = 0 <= h && h < H && 0 <= at && at < W * N;
            cols[row * OW * N + ow * N + n] = inside ? x[(c * H + h) * W * N + at] : 0;
        }
    }
}

// x[c, h, w, n] = scale · Σ of value(...) over the kernel elements i, j whose output (oh, ow) reads the pixel, in the
// order of i, j
template <class Value> __device__ void sum_steps(Value value, real* x, real scale, WINDOW) {
    EACH_ROW(row, C * H) {
        integer h = row % H, c = row / H;
        fold_pixels(x + row * W * N, PIXELS(W), 0, scale, [=](integer w, auto fold) {
            for (integer i = 0; i < KH; i++) {
                integer oh = step_at(h, i, SH, PH, OH);
                for (integer j = 0; oh >= 0 && j < KW; j++) {
                    integer ow = SW == 1 ? w + PW - j : step_at(w, j, SW, PW, OW);
                    auto add = value(c, i, j, oh, ow, (row * W + w) * N);
                    fold(-ow * N, (OW - ow) * N, [=](real sum, integer n) { return sum + add(n); });
                }
            }
        });
    }
}
#define WINDOW_ARGUMENTS C, H, W, N, OH, OW, KH, KW, SH, SW, PH, PW
#define STEP integer c, integer i, integer j, integer oh, integer ow, size_t pixel

// x[pixel] = Σ of the column entries that read it
KERNEL(col2im, const real* cols, real* x, WINDOW) {
    sum_steps([=](STEP) {
        const real* from = cols + ((((c * KH + i) * KW + j) * OH + oh) * OW + ow) * N;
        return [=](integer n) { return from[n]; };
    }, x, 1, WINDOW_ARGUMENTS);
}

// x[pixel] = scale · Σ of the y whose window contains it
KERNEL(spread_windows, const real* y, real* x, double scale, WINDOW) {
    sum_steps([=](STEP) {
        const real* from = y + ((c * OH + oh) * OW + ow) * N;
        return [=](integer n) { return from[n]; };
    }, x, real(scale), WINDOW_ARGUMENTS);
}

// y[c, oh, ow, n] = scale · (start op pixel op pixel ... over the window, in the order of i, j)
template <class Op> __device__ void reduce_windows(Op op, const real* x, real* y, real start, real scale, WINDOW) {
    EACH_ROW(row, C * OH) {
        integer oh = row % OH, c = row / OH;
        fold_pixels(y + row * OW * N, PIXELS(OW), start, scale, [=](integer ow, auto fold) {
            for (integer i = 0; i < KH; i++)
                for (integer j = 0; j < KW; j++) {
                    integer h = SH * oh + i - PH, w = SW * ow + j - PW;
                    const real* from = x + ((c * H + h) * W + w) * N;
                    if (h < 0 || h >= H) continue;
                    fold(-w * N, (W - w) * N, [=](real value, integer n) { return op(value, from[n]); });
                }
        });
    }
}

// y = scale · Σ over the window
KERNEL(sum_windows, const real* x, real* y, double scale, WINDOW) {
    reduce_windows([](real a, real b) { return a + b; }, x, y, 0, real(scale), WINDOW_ARGUMENTS);
}

// y = max over the window, starting from -∞ = log 0; NaN is propagated
KERNEL(max_pool, const real* x, real* y, WINDOW) {
    reduce_windows([](real a, real b) { return b > a || isnan(b) ? b : a; }, x, y, log(real(0)), 1, WINDOW_ARGUMENTS);
}

// dx[pixel] = Σ of the dy in whose window it is the first pixel equal to the maximum y, or the last one if none is
KERNEL(max_pool_backward, const real* dy, const real* x, const real* y, real* dx, WINDOW) {
    sum_steps([=](STEP) {
        size_t step = ((c * OH + oh) * OW + ow) * N;
        return [=](integer n) {
            size_t at = step + n;
            integer column = ow + n / N;  // with SW = 1, n runs over the whole row
            for (integer k = 0; k < i * KW + j; k++) {  // is an earlier pixel the maximum?
                integer h = SH * oh + k / KW - PH, w = SW * column + k % KW - PW;
                if (0 <= h && h < H && 0 <= w && w < W && x[((c * H + h) * W + w) * N + n % N] == y[at]) return real(0);
            }
            return x[pixel + n] == y[at] || i * KW + j == KH * KW - 1 ? dy[at] : real(0);
        };
    }, dx, 1, WINDOW_ARGUMENTS);
}

// ---------------------------------------------------------------------------------------------------- normalisation

// xc = x - mean[r],  out[r] = var[r] = scale · Σ_m xc²
KERNEL(center, const real* x, const real* mean, real* xc, SUM) {
    sum_rows([=](size_t r, size_t i) {
        real d = xc[i] = x[i] - mean[r];
        return d * d;
    }, SUM_ARGUMENTS);
}

// out = 1 / sqrt(x + eps)
KERNEL(inverse_root, const real* x, double eps, real* out, size_t n) {
    EACH(i, n) out[i] = 1 / sqrt(x[i] + real(eps));
}

// out[r, m] = a[r] x[r, m] + b[r]
KERNEL(affine_rows, const real* x, const real* a, const real* b, real* out, size_t length, size_t rows, size_t n) {
    each_of_table([=](size_t i, size_t r) { out[i] = a[r] * x[i] + b[r]; }, length, rows, n);
}

// out = scale[r] (dy - sum_dy[r] / M - x̂ sum_dy_x[r] / M),  x̂ = inv[r] xc
KERNEL(center_backward, const real* dy, const real* xc, const real* inv, const real* scale, const real* sum_dy,
                       const real* sum_dy_x, real* out, size_t length, size_t rows, size_t n) {
    real share = real(rows) / real(n);  // 1 / M
    each_of_table([=](size_t i, size_t r) {
        out[i] = scale[r] * (dy[i] - share * (sum_dy[r] + inv[r] * xc[i] * sum_dy_x[r]));
    }, length, rows, n);
}

// ---------------------------------------------------------------------------------------------------- sequences
// The thirds of 3 O: r = sigmoid(a_r + u_r), z = sigmoid(a_z + u_z), n = tanh(a_n + r u_n).

// out = (1 - z) n + z h;  gates = (r, z, n)
KERNEL(gru_step, const real* a, const real* u, const real* h, real* gates, real* out, size_t O, size_t size) {
    each_of_table([=](size_t i, size_t row) {
        size_t R = i + row * 2 * O, Z = R + O, N = Z + O;
        real r = activate(SIGMOID, a[R] + u[R], 0), z = activate(SIGMOID, a[Z] + u[Z], 0), n = tanh(a[N] + r * u[N]);
        out[i] = n + z * (h[i] - n);
        gates[R] = r, gates[Z] = z, gates[N] = n;
    }, O, size / O, size);
}

// dz = dy (h - n),  dn = dy (1 - z),  da_z = du_z = dz z (1 - z),  da_n = dn (1 - n²),  du_n = da_n r,
// dr = da_n u_n,  da_r = du_r = dr r (1 - r),  out = dy z
KERNEL(gru_step_backward, const real* dy, const real* gates, const real* u, const real* h, real* da, real* du, real* out,
                         size_t O, size_t size) {
    each_of_table([=](size_t i, size_t row) {
        size_t R = i + row * 2 * O, Z = R + O, N = Z + O;
        real r = gates[R], z = gates[Z], n = gates[N], d = dy[i];
        real da_n = d * (1 - z) * (1 - n * n), da_r = da_n * u[N] * r * (1 - r), da_z = d * (h[i] - n) * z * (1 - z);
        da[R] = du[R] = da_r;
        da[Z] = du[Z] = da_z;
        da[N] = da_n;
        du[N] = da_n * r;
        out[i] = d * z;
    }, O, size / O, size);
}

// ---------------------------------------------------------------------------------------------------- random codes
// x = [mu, logvar] (N, 2 K), the others (N, K).

// std = e^(min(logvar, most) / 2),  out = mu + std · noise
KERNEL(reparametrise, const real* x, const real* noise, real* std, real* out, double most, size_t K, size_t size) {
    each_of_table([=](size_t i, size_t n) {
        size_t mu = i + n * K, logvar = mu + K;
        std[i] = exp(real(0.5) * (x[logvar] > real(most) ? real(most) : x[logvar]));
        out[i] = x[mu] + std[i] * noise[i];
    }, K, size / K, size);
}

// dmu = dz,  dlogvar = dz · noise · std / 2, 0 where std >= most
KERNEL(reparametrise_backward, const real* dz, const real* noise, const real* std, real* dx, double most, size_t K,
                              size_t size) {
    each_of_table([=](size_t i, size_t n) {
        size_t mu = i + n * K, logvar = mu + K;
        dx[mu] = dz[i];
        dx[logvar] = dz[i] * noise[i] * std[i] * (std[i] < real(most)) * real(0.5);
    }, K, size / K, size);
}

// beta / 2N · Σ mu² + std² - 1 - logvar + e^most max(logvar - most, 0),
// dmu = beta / N · mu,  dlogvar = beta / N · (std² - 1) / 2
KERNEL(gaussian_kl, const real* x, const real* std, const real* beta, real* dx, double most, size_t N, size_t K, SUM) {
    sum_rows([=](size_t, size_t i) {
        size_t mu = i + i / K * K;
        real logvar = x[mu + K], var = std[i] * std[i], beyond = logvar - real(most), factor = *beta / N;
        dx[mu] = factor * x[mu];
        dx[mu + K] = factor * real(0.5) * (var - 1);
        return *beta * (var - 1 + (beyond > 0 ? exp(real(most)) * beyond : 0) - logvar + x[mu] * x[mu]);
    }, SUM_ARGUMENTS);
}
