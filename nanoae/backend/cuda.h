// The machine-dependent part of kernels.cu for the GPU; cpu.h is that for the CPU.
//
// Works with any grid of blocks of THREADS, a power of 2: thread i processes elements i, i + number of threads, ...

#define KERNEL(name, ...) extern "C" __global__ void name(__VA_ARGS__)
#define EACH(i, n) \
    for (size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; i < (n); i += (size_t)gridDim.x * THREADS)
#define EACH_ROW(row, rows) for (size_t row = blockIdx.x; row < (rows); row += gridDim.x)  // one block per row,
#define EACH_IN_ROW(i, n) for (size_t i = threadIdx.x; i < (n); i += THREADS)              // shared by its threads
#define EACH_PIXEL(w, n, ...) EACH_OF(w, n, __VA_ARGS__)
#define EACH_OF(w, n, W, N) EACH_IN_ROW(place, (W) * (N)) if (size_t w = place / (N), n = place % (N); true)

// use(i, r) for each element i of a table and its row r: rows of `length` adjacent elements, or if length is 1, the
// columns of a C-order table with `rows` columns
template <class Use> __device__ void each_of_table(Use use, size_t length, size_t rows, size_t n) {
    EACH(i, n) use(i, length == 1 ? i % rows : i / length);
}

// out[w, n] = scale · value, where value is `start`, updated by the calls that visit(w, fold) makes of
// fold(first, last, [](real value, integer n) { return next value; }) for n = first .. last-1
template <class Visit>
__device__ void fold_pixels(real* out, size_t W, size_t N, real start, real scale, Visit visit) {
    EACH_IN_ROW(i, W * N) {
        long long n = i % N;
        real value = start;
        visit(i / N, [&](long long first, long long last, auto next) {
            if (first <= n && n < last) value = next(value, n);
        });
        out[i] = scale * value;
    }
}

// Reduce the values of threads with equal threadIdx.x % width by op; width is a power of 2. All threads get the result.
template <class Op> __device__ real reduce_block(real value, unsigned width, Op op) {
    __shared__ real cell[THREADS];
    cell[threadIdx.x] = value;
    for (unsigned half = THREADS / 2; half >= width; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) cell[threadIdx.x] = op(cell[threadIdx.x], cell[threadIdx.x + half]);
    }
    __syncthreads();
    value = cell[threadIdx.x % width];
    __syncthreads();  // the cells can be reused
    return value;
}

__device__ real sum_block(real value, unsigned width) {
    return reduce_block(value, width, [](real a, real b) { return a + b; });
}

template <class Term> __device__ real sum_row(Term term, size_t n) {
    real sum = 0;
    EACH_IN_ROW(i, n) sum += term(i);
    return sum_block(sum, 1);
}

template <class Term> __device__ real max_row(Term term, size_t n) {
    real most = term(0);
    EACH_IN_ROW(i, n) most = term(i) > most ? term(i) : most;
    return reduce_block(most, 1, [](real a, real b) { return a > b ? a : b; });
}

// True in the last of `blocks` blocks to get here, which sees the writes of the others; resets the ticket to 0.
__device__ bool last_block(unsigned* ticket, unsigned blocks) {
    __shared__ bool last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) last = atomicInc(ticket, blocks - 1) == blocks - 1;
    __syncthreads();
    __threadfence();
    return last;
}

// out[r] = scale · Σ_m term(r, r · row_step + m · step)
// Block (x, y) sums `width` rows side by side, over one of gridDim.y parts of their length; the last of these blocks
// sums the parts from `partial`. Use width 32 for rows that are columns in memory (step > 1), else 1.
template <class Term>
__device__ void sum_rows(Term term, real* out, real scale, volatile real* partial, unsigned* tickets,
                         size_t rows, size_t length, size_t row_step, size_t step, unsigned width) {
    unsigned lane = threadIdx.x % width, depth = THREADS / width;
    size_t r = (size_t)blockIdx.x * width + lane;
    real sum = 0;
    if (r < rows)
        for (size_t m = blockIdx.y * depth + threadIdx.x / width; m < length; m += gridDim.y * depth)
            sum += term(r, r * row_step + m * step);
    sum = sum_block(sum, width);
    if (gridDim.y > 1) {
        partial += (size_t)blockIdx.x * gridDim.y * width;
        if (threadIdx.x < width) partial[blockIdx.y * width + lane] = sum;
        if (!last_block(tickets + blockIdx.x, gridDim.y)) return;
        sum = 0;
        for (unsigned part = threadIdx.x / width; part < gridDim.y; part += depth) sum += partial[part * width + lane];
        sum = sum_block(sum, width);
    }
    if (threadIdx.x < width && r < rows) out[r] = scale * sum;
}
