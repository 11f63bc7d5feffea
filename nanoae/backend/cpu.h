// The machine-dependent part of kernels.cu for the CPU; cuda.h is that for the GPU.
//
// A block is a part of the work that one thread does as a whole (pool.cpp), in loops that the compiler vectorises.
// Blocks depend on the sizes of arrays, never on the number of threads, so that every sum has a fixed order.

#include <cmath>
#include <cstddef>
#include <utility>

// In pool.cpp: work(data, b) for all b < blocks, and out = a b with the BLAS on the calling thread.
void run(void (*work)(void* data, size_t block), void* data, size_t blocks);
void gemm(bool trans_a, bool trans_b, size_t m, size_t n, size_t k, const float* a, size_t lda, const float* b,
          size_t ldb, float* out, size_t ldc);
void gemm(bool trans_a, bool trans_b, size_t m, size_t n, size_t k, const double* a, size_t lda, const double* b,
          size_t ldb, double* out, size_t ldc);

#define JOIN(a, b) a##_##b
#define NAME(a, b) JOIN(a, b)

namespace NAME(cpu, real) {  // to the end of kernels.cu

#define KERNEL(name, ...)                                                                                       \
    void name(__VA_ARGS__);                                                                                     \
    extern "C" const char* NAME(signature_##name, real)() { return signature(name); }                           \
    extern "C" void NAME(launch_##name, real)(const char* arguments, unsigned x, unsigned y) {                  \
        Launch launch{arguments, x, y};                                                                         \
        run([](void* data, size_t block) { run_block(name, data, block); }, &launch, (size_t)x * y);            \
    }                                                                                                           \
    __attribute__((flatten)) void name(__VA_ARGS__)  // inlines all calls, without which loops are not vectorised
#define __device__ inline
#define __shared__
#ifdef __clang__
#define SIMD _Pragma("clang loop vectorize(assume_safety)")
#else
#define SIMD _Pragma("GCC ivdep")  // arrays may be identical: iterations touch only element i of each
#endif
#define SIMD_MAX _Pragma("omp simd reduction(max : most)")
#define SIMD_SUM _Pragma("omp simd reduction(+ : sum)")  // reorders the sum

struct Index { unsigned x, y; };
static thread_local Index blockIdx, gridDim;
const Index threadIdx{0, 0};
inline void __syncthreads() {}

struct Range { size_t begin, end; };

// Block `block` of `blocks` equal parts of 0 .. n-1, which begin at multiples of 16, i.e. at cache lines
inline Range range_of(size_t n, size_t block, size_t blocks) {
    size_t size = ((n + blocks - 1) / blocks + 15) & ~size_t(15), begin = size * block, end = begin + size;
    return {begin < n ? begin : n, end < n ? end : n};
}

#define EACH(i, n) \
    if (Range part = range_of(n, blockIdx.x, gridDim.x); true) SIMD for (size_t i = part.begin; i < part.end; i++)
#define EACH_ROW(row, rows) for (size_t row = blockIdx.x; row < (rows); row += gridDim.x)
#define EACH_IN_ROW(i, n) SIMD for (size_t i = 0; i < (n); i++)
#define EACH_PIXEL(w, n, ...) EACH_OF(w, n, __VA_ARGS__)
#define EACH_OF(w, n, W, N) for (size_t w = 0; w < size_t(W); w++) SIMD for (size_t n = 0; n < size_t(N); n++)

// use(i, r) for each element i of a table and its row r: rows of `length` adjacent elements, or if length is 1, the
// columns of a C-order table with `rows` columns
template <class Use> void each_of_table(Use use, size_t length, size_t rows, size_t n) {
    size_t line = length == 1 ? rows : length, lines = n / line;
    size_t begin = lines * blockIdx.x / gridDim.x, end = lines * (blockIdx.x + 1) / gridDim.x;
    if (length == 1)
        for (size_t k = begin; k < end; k++) SIMD for (size_t r = 0; r < line; r++) use(k * line + r, r);
    else
        for (size_t r = begin; r < end; r++) SIMD for (size_t k = 0; k < line; k++) use(r * line + k, r);
}

const size_t LANES = 64, RUN = 64;  // rows summed side by side; summands of a partial sum
const size_t FOLDED = 2048;         // values folded side by side, which fit in the cache of a core

// out[w, n] = scale · value, where value is `start`, updated by the calls that visit(w, fold) makes of
// fold(first, last, [](real value, integer n) { return next value; }) for n = first .. last-1
template <class Visit> void fold_pixels(real* out, size_t W, size_t N, real start, real scale, Visit visit) {
    for (size_t w = 0; w < W; w++)
        for (size_t begin = 0; begin < N; begin += FOLDED) {
            ptrdiff_t count = N - begin < FOLDED ? N - begin : FOLDED;
            real values[FOLDED];
            SIMD for (ptrdiff_t lane = 0; lane < count; lane++) values[lane] = start;
            visit(w, [&](ptrdiff_t first, ptrdiff_t last, auto next) {
                first = first > (ptrdiff_t)begin ? first - begin : 0;
                last = last < (ptrdiff_t)begin + count ? last - begin : count;
                SIMD for (ptrdiff_t lane = first; lane < last; lane++) values[lane] = next(values[lane], begin + lane);
            });
            SIMD for (ptrdiff_t lane = 0; lane < count; lane++) out[w * N + begin + lane] = scale * values[lane];
        }
}

// ---------------------------------------------------------------------------------------------------- sums

template <class Term> real sum_row(Term term, size_t n) {
    real sum = 0;
    SIMD_SUM for (size_t i = 0; i < n; i++) sum += term(i);
    return sum;
}

template <class Term> real max_row(Term term, size_t n) {
    real most = term(0);
    SIMD_MAX for (size_t i = 1; i < n; i++) most = term(i) > most ? term(i) : most;
    return most;
}

// True in the last of `blocks` blocks to get here, which sees the writes of the others; resets the ticket to 0.
inline bool last_block(unsigned* ticket, unsigned blocks) {
    bool last = __atomic_add_fetch(ticket, 1, __ATOMIC_ACQ_REL) == blocks;
    if (last) *ticket = 0;
    return last;
}

// out[r] = scale · Σ_m term(r, r · row_step + m · step)
// Block (x, y) sums `width` rows over part y of gridDim.y parts of their length; the last of these blocks sums the
// parts from `partial`, which has room for LANES rows of each block.
template <class Term>
void sum_rows(Term term, real* out, real scale, real* partial, unsigned* tickets, size_t rows, size_t length,
              size_t row_step, size_t step, size_t width) {
    Range part = range_of(length, blockIdx.y, gridDim.y);
    size_t last = (blockIdx.x + 1) * width < rows ? (blockIdx.x + 1) * width : rows;
    for (size_t first = blockIdx.x * width; first < last; first += LANES) {
        size_t count = last - first < LANES ? last - first : LANES;
        real sums[LANES] = {};
        for (size_t m = part.begin; m < part.end && step > 1; m += RUN) {  // columns, side by side
            real run[LANES] = {};
            size_t end = m + RUN < part.end ? m + RUN : part.end;
            for (size_t k = m; k < end && count == LANES; k++)  // a constant count keeps the run in registers
                SIMD for (size_t lane = 0; lane < LANES; lane++) run[lane] += term(first + lane, first + lane + k * step);
            for (size_t k = m; k < end && count != LANES; k++)
                SIMD for (size_t lane = 0; lane < count; lane++) run[lane] += term(first + lane, first + lane + k * step);
            SIMD for (size_t lane = 0; lane < LANES; lane++) sums[lane] += run[lane];
        }
        for (size_t lane = 0; lane < count && step == 1; lane++)  // rows, one after the other
            for (size_t m = part.begin; m < part.end; m += RUN * LANES) {
                size_t r = first + lane, end = m + RUN * LANES < part.end ? m + RUN * LANES : part.end;
                real sum = 0;
                SIMD_SUM for (size_t k = m; k < end; k++) sum += term(r, r * row_step + k);
                sums[lane] += sum;
            }
        if (gridDim.y > 1) {
            real* mine = partial + (size_t)blockIdx.x * gridDim.y * width;
            for (size_t lane = 0; lane < count; lane++) mine[blockIdx.y * width + lane] = sums[lane], sums[lane] = 0;
            if (!last_block(tickets + blockIdx.x, gridDim.y)) return;
            for (size_t y = 0; y < gridDim.y; y++)
                for (size_t lane = 0; lane < count; lane++) sums[lane] += mine[y * width + lane];
        }
        for (size_t lane = 0; lane < count; lane++) out[first + lane] = scale * sums[lane];
    }
}

// ---------------------------------------------------------------------------------------------------- functions
// The C library's functions compute one number at a time. These consist of arithmetic and selections only, which the
// compiler vectorises. They are accurate to 3 ulp; NaN, infinities and subnormal numbers are handled.

template <size_t size> struct Format;
template <> struct Format<4> { typedef int bits; enum { DIGITS = 23, BIAS = 127 }; };
template <> struct Format<8> { typedef long long bits; enum { DIGITS = 52, BIAS = 1023 }; };
typedef Format<sizeof(real)> F;
typedef F::bits bits;

const bool SHORT = sizeof(real) == 4;
const real INFINITE = __builtin_inff(), NOT_A_NUMBER = __builtin_nanf(""), LOG2E = 1.4426950408889634;
const real LN2 = SHORT ? 0.693145751953125 : 6.93147180369123816490e-01;              // the leading digits, and
const real LN2_REST = SHORT ? 1.42860682030941723212e-06 : 1.90821492927058770002e-10;  // the rest: n LN2 is exact
const real ROUNDER = SHORT ? 12582912.0 : 6755399441055744.0;  // 1.5 · 2^DIGITS: adding it rounds to an integer
const real LEAST_NORMAL = SHORT ? 1.17549435e-38 : 2.2250738585072014e-308, TWO_TO_DIGITS = SHORT ? 8388608.0 : 4503599627370496.0;

inline bits bits_of(real x) { bits b; __builtin_memcpy(&b, &x, sizeof b); return b; }
inline real real_of(bits b) { real x; __builtin_memcpy(&x, &b, sizeof x); return x; }
inline real two_to(bits n) { return real_of((n + F::BIAS) << F::DIGITS); }  // 2ⁿ, for normal results

inline real fabs(real x) { return real_of(bits_of(x) & ~((bits)1 << (8 * sizeof x - 1))); }
inline real with_sign_of(real s, real x) { return real_of(bits_of(x) | (bits_of(s) & ((bits)1 << (8 * sizeof x - 1)))); }
inline bool isnan(real x) { return x != x; }
inline float sqrt(float x) { return __builtin_sqrtf(x); }
inline double sqrt(double x) { return __builtin_sqrt(x); }
inline double pow(double x, double y) { return __builtin_pow(x, y); }
inline real within(real x, real low, real high) { return x < low ? low : x > high ? high : x; }

// c[0] + c[1] x + c[2] x² + ...
inline real polynomial(real, double c) { return c; }
template <class... C> real polynomial(real x, double c, C... more) { return polynomial(x, more...) * x + real(c); }

struct Power { real part; bits n; };  // eˣ = 2ⁿ (1 + part)

// n = the integer nearest to x / log 2, r = x - n log 2, part = eʳ - 1 by its Taylor series
inline Power power(real x) {
    real n = (x * LOG2E + ROUNDER) - ROUNDER, r = (x - n * LN2) - n * LN2_REST;
    bits whole = bits_of(n + ROUNDER) - bits_of(ROUNDER);
    if (SHORT) return {r * polynomial(r, 1, 1. / 2, 1. / 6, 1. / 24, 1. / 120, 1. / 720, 1. / 5040), whole};
    return {r * polynomial(r, 1, 1. / 2, 1. / 6, 1. / 24, 1. / 120, 1. / 720, 1. / 5040, 1. / 40320, 1. / 362880,
                           1. / 3628800, 1. / 39916800, 1. / 479001600, 1. / 6227020800), whole};
}

inline real exp(real x) {
    Power p = power(within(x, SHORT ? -105 : -746, SHORT ? 89 : 710));
    bits half = p.n >> 1;  // 2ⁿ itself may not be a normal number
    return (1 + p.part) * two_to(half) * two_to(p.n - half);
}

inline real expm1(real x) {
    Power p = power(within(x, SHORT ? -20 : -40, SHORT ? 89 : 710));
    real half = two_to(p.n - 1);
    return 2 * (half * p.part + (half - real(0.5)));
}

// with t = e^(-2|x|) - 1:  tanh |x| = -t / (2 + t)
inline real tanh(real x) {
    real t = expm1(-2 * fabs(x));
    return with_sign_of(x, fabs(t) / (2 + t));
}

// x = 2ᵉ m with m in [sqrt(1/2), sqrt(2)),  log m = 2 artanh f = 2 (f + f³/3 + f⁵/5 + ...),  f = (m - 1) / (m + 1)
inline real log(real x) {
    const bits LOW = bits_of(real(0.70710678118654752));
    bool small = x < LEAST_NORMAL;
    bits b = bits_of(small ? x * TWO_TO_DIGITS : x), n = (b - LOW) >> F::DIGITS;
    real m = real_of(b - (n << F::DIGITS)), f = (m - 1) / (m + 1), g = f * f;
    real e = real_of(bits_of(ROUNDER) + n) - ROUNDER - (small ? real(F::DIGITS) : 0);
    real series = SHORT ? polynomial(g, 0, 1. / 3, 1. / 5, 1. / 7, 1. / 9)
                        : polynomial(g, 0, 1. / 3, 1. / 5, 1. / 7, 1. / 9, 1. / 11, 1. / 13, 1. / 15, 1. / 17, 1. / 19, 1. / 21);
    real y = e * LN2 + (2 * f + (2 * f * series + e * LN2_REST));
    y = x > 0 ? y : x == 0 ? -INFINITE : NOT_A_NUMBER;
    return x < INFINITE ? y : x + x;  // ∞, or NaN
}

// log(1 + x) = 2 artanh f = 2 (f + f³/3 + f⁵/5 + ...),  f = x / (2 + x).  For 0 <= x <= 1, where f <= 1/3.
inline real log1p(real x) {
    real f = x / (2 + x), g = f * f;
    if (SHORT) return 2 * f * polynomial(g, 1, 1. / 3, 1. / 5, 1. / 7, 1. / 9, 1. / 11, 1. / 13);
    return 2 * f * polynomial(g, 1, 1. / 3, 1. / 5, 1. / 7, 1. / 9, 1. / 11, 1. / 13, 1. / 15, 1. / 17, 1. / 19, 1. / 21,
                              1. / 23, 1. / 25, 1. / 27, 1. / 29, 1. / 31);
}

// sin and cos of x in [0, 7), by quadrants: x = n π/2 + r
struct Quarter { real sin, cos; bits n; };
inline Quarter quarter(real x) {
    const real HALF_PI = SHORT ? 1.5703125 : 1.57079632673412561417e+00;
    const real REST = SHORT ? 4.83826794896619e-4 : 6.07710050650619224932e-11;
    real n = (x * real(0.6366197723675814) + ROUNDER) - ROUNDER, r = (x - n * HALF_PI) - n * REST, g = r * r;
    bits whole = bits_of(n + ROUNDER) - bits_of(ROUNDER);
    if (SHORT) return {r * polynomial(g, 1, -1. / 6, 1. / 120, -1. / 5040, 1. / 362880),
                       polynomial(g, 1, -1. / 2, 1. / 24, -1. / 720, 1. / 40320), whole};
    return {r * polynomial(g, 1, -1. / 6, 1. / 120, -1. / 5040, 1. / 362880, -1. / 39916800, 1. / 6227020800., -1. / 1307674368000.),
            polynomial(g, 1, -1. / 2, 1. / 24, -1. / 720, 1. / 40320, -1. / 3628800, 1. / 479001600, -1. / 87178291200., 1. / 20922789888000.), whole};
}

inline real sin(real x) {
    Quarter q = quarter(x);
    real y = q.n & 1 ? q.cos : q.sin;
    return q.n & 2 ? -y : y;
}

inline real cos(real x) {
    Quarter q = quarter(x);
    real y = q.n & 1 ? q.sin : q.cos;
    return (q.n + 1) & 2 ? -y : y;
}

// ---------------------------------------------------------------------------------------------------- launches

struct Launch { const char* arguments; unsigned x, y; };  // a grid of x · y blocks

// Each argument takes 8 bytes.
template <class... T, size_t... i>
void call(void (*kernel)(T...), const char* arguments, std::index_sequence<i...>) {
    kernel(*(const T*)(arguments + 8 * i)...);
}

template <class... T> void run_block(void (*kernel)(T...), void* data, size_t block) {
    const Launch* launch = (const Launch*)data;
    gridDim = {launch->x, launch->y};
    blockIdx = {unsigned(block % launch->x), unsigned(block / launch->x)};
    call(kernel, launch->arguments, std::index_sequence_for<T...>());
}

template <class T> struct Code { static const char value = 'P'; };  // format codes of Python's module struct
template <> struct Code<long long> { static const char value = 'q'; };
template <> struct Code<unsigned long long> { static const char value = 'Q'; };
template <> struct Code<size_t> { static const char value = 'Q'; };
template <> struct Code<double> { static const char value = 'd'; };

template <class... T> const char* signature(void (*)(T...)) {
    static const char codes[] = {Code<T>::value..., 0};
    return codes;
}

// ---------------------------------------------------------------------------------------------------- CPU-only kernels

// out = a b  for a (m, k), b (k, n); rows, or columns if transposed, are `ld` elements apart.
// A block computes some rows of out, or some columns if there are more of these.
KERNEL(matmul, const real* a, const real* b, real* out, size_t m, size_t n, size_t k, size_t trans_a, size_t trans_b,
       size_t lda, size_t ldb, size_t ldc) {
    Range part = range_of(m > n ? m : n, blockIdx.x, gridDim.x);
    size_t count = part.end - part.begin;
    if (count == 0) return;
    if (m > n) gemm(trans_a, trans_b, count, n, k, a + part.begin * (trans_a ? 1 : lda), lda, b, ldb, out + part.begin * ldc, ldc);
    else gemm(trans_a, trans_b, m, count, k, a, lda, b + part.begin * (trans_b ? ldb : 1), ldb, out + part.begin, ldc);
}

// out[a, b, c] = x[a, b, c], for x with these strides
KERNEL(permute, const real* x, real* out, size_t A, size_t B, size_t C, long long step_a, long long step_b, long long step_c) {
    EACH_ROW(row, A * B) {
        const real* first = x + (long long)(row / B) * step_a + (long long)(row % B) * step_b;
        if (step_c == 1) EACH_IN_ROW(c, C) out[row * C + c] = first[c];
        else EACH_IN_ROW(c, C) out[row * C + c] = first[(long long)c * step_c];
    }
}

// out = (Σ x, min x, max x);  the last two are valid only if the sum is not NaN
KERNEL(survey, const real* x, real* out, size_t n) {
    out[0] = sum_row([=](size_t i) { return x[i]; }, n);
    out[1] = -max_row([=](size_t i) { return -x[i]; }, n);
    out[2] = max_row([=](size_t i) { return x[i]; }, n);
}

// out[0] = number of columns of x (n, d) whose minimum is outside limits[0] .. limits[1], or whose maximum is outside
// limits[2] .. limits[3]
KERNEL(columns_outside, const real* x, const real* limits, real* out, size_t n, size_t d) {
    size_t count = 0;
    for (size_t first = 0; first < d; first += LANES) {
        size_t lanes = d - first < LANES ? d - first : LANES;
        real least[LANES], most[LANES];
        for (size_t j = 0; j < lanes; j++) least[j] = INFINITY, most[j] = -INFINITY;
        for (size_t row = 0; row < n; row++)
            EACH_IN_ROW(j, lanes) {
                real value = x[row * d + first + j];
                least[j] = value < least[j] ? value : least[j];
                most[j] = value > most[j] ? value : most[j];
            }
        for (size_t j = 0; j < lanes; j++) {
            const real* limit = limits + first + j;
            count += !(limit[0] <= least[j] && least[j] <= limit[d] && limit[2 * d] <= most[j] && most[j] <= limit[3 * d]);
        }
    }
    out[0] = count;
}

// out = z = (x - center) / scale, for rows of x (n, d);  beyond ±limit, ±(limit + log(1 + |z| - limit))
KERNEL(standardize, const real* x, const double* center, const double* scale, const double* limit, float* out, size_t n,
       size_t d) {
    Range part = range_of(n, blockIdx.x, gridDim.x);
    for (size_t row = part.begin; row < part.end; row++) {
        const real* from = x + row * d;
        float* to = out + row * d;
        size_t far = 0;
        EACH_IN_ROW(j, d) {
            double z = (from[j] - center[j]) / scale[j];
            to[j] = z;
            far += __builtin_fabs(z) > limit[j];
        }
        if (far)
            for (size_t j = 0; j < d; j++) {
                double z = (from[j] - center[j]) / scale[j], size = __builtin_fabs(z);
                if (size > 1e308) size = 1e308;
                if (size > limit[j]) to[j] = __builtin_copysign(limit[j] + __builtin_log1p(size - limit[j]), z);
            }
    }
}
