// The CPU's thread pool, shared by the kernels' loops and matrix products: two pools of spinning threads would compete
// for the cores.
//
// A job consists of blocks. Every available thread takes the next block, including the caller: on a busy machine no job
// waits for a thread without a core. The result of a block does not depend on the thread that computes it.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <pthread.h>
#include <thread>

#if defined(__x86_64__) || defined(__i386__)
#define PAUSE __builtin_ia32_pause()
#else
#define PAUSE std::this_thread::yield()
#endif

typedef void (*Work)(void* data, size_t block);

const size_t MOST_BLOCKS = 1 << 20;
typedef std::chrono::steady_clock Clock;
const auto PATIENCE = std::chrono::microseconds(100);  // time that a thread without work spins before it sleeps
// After other threads have delayed a job, jobs run without them for ALONE times as long, at most LONGEST_ALONE, since
// all threads may have been stopped. A short interruption costs little, a program that keeps the cores a quarter of
// the time.
const int ALONE = 4;
const Clock::duration LONGEST_ALONE = std::chrono::seconds(2);

// over() is true once PATIENCE has passed. The clock is read only now and then, since that takes as long as a pause.
struct Patience {
    Clock::time_point end = Clock::now() + PATIENCE;
    unsigned looks = 0;
    bool over() {
        PAUSE;
        return ++looks % 16 == 0 && Clock::now() > end;
    }
};

class Pool {
    // Job number, number of blocks, and next block in one word, so that a compare-and-swap cannot take a block of
    // another job than the one read.
    std::atomic<uint64_t> state{0};
    std::atomic<size_t> left{0}, most{0};  // unfinished blocks; threads that may take some
    Work work = nullptr;
    void* data = nullptr;
    size_t threads = 0, jobs = 0;
    Clock::time_point alone_until{};

    std::atomic<int> sleepers{0};
    std::mutex sleep;
    std::condition_variable wake;

    static bool open(uint64_t s) { return (s & (MOST_BLOCKS - 1)) < (s >> 20 & (MOST_BLOCKS - 1)); }

    // Run blocks of the job until none is left.
    void help() {
        for (uint64_t s = state.load(); open(s); s = state.load())
            if (state.compare_exchange_weak(s, s + 1)) {
                work(data, s & (MOST_BLOCKS - 1));
                left.fetch_sub(1);
            }
    }

    void wait_for_work(size_t number) {
        auto mine = [=] { return open(state.load()) && number < most.load(); };
        for (Patience patience; !mine();)
            if (patience.over()) {
                std::unique_lock<std::mutex> lock(sleep);
                sleepers.fetch_add(1);
                wake.wait(lock, mine);
                sleepers.fetch_sub(1);
            }
    }

public:
    std::mutex busy;  // held during a job

    // True if other threads have recently delayed a job: another program uses the cores.
    bool alone() const { return Clock::now() < alone_until; }

    // Run a job on up to `wanted` threads; the caller holds `busy`.
    void run(Work work, void* data, size_t blocks, size_t wanted) {
        for (; threads + 1 < wanted; threads++)
            std::thread([this, number = threads] {
                for (;;) wait_for_work(number), help();
            }).detach();
        this->work = work, this->data = data;
        left = blocks, most = wanted - 1;
        state = (uint64_t)++jobs << 40 | blocks << 20;
        if (sleepers) {
            sleep.lock();  // a thread about to sleep has checked the state before this, or will after it
            sleep.unlock();
            wake.notify_all();
        }
        auto begin = Clock::now();
        help();
        auto end = Clock::now();
        for (Patience patience; left.load();)
            if (patience.over()) std::this_thread::yield();
        auto now = Clock::now();
        if (now - end > PATIENCE + (end - begin)) alone_until = now + std::min(ALONE * (now - end), LONGEST_ALONE);
    }
};

// ---------------------------------------------------------------------------------------------------- the BLAS
// Products are split into blocks, too, each for the BLAS on one thread, since its own threads wait for each other.

template <class real, class integer>
using Gemm = void (*)(int order, int trans_a, int trans_b, integer m, integer n, integer k, real alpha, const real* a,
                      integer lda, const real* b, integer ldb, real beta, real* out, integer ldc);
template <class real, class integer>
using Gemv = void (*)(int order, int trans_a, integer rows, integer columns, real alpha, const real* a, integer lda,
                      const real* x, integer step, real beta, real* out, integer out_step);

struct Functions { void *gemm, *gemv; };  // cblas_sgemm and cblas_sgemv, or those for double

static struct {
    int (*get_threads)();       // number of threads for a large product
    void (*set_threads)(int);
    Functions single, twice;
    bool wide;                  // true if their integers have 64 bits
} blas;

extern "C" void connect(int (*get_threads)(), void (*set_threads)(int), void* sgemm, void* sgemv, void* dgemm,
                        void* dgemv, int wide) {
    blas = {get_threads, set_threads, {sgemm, sgemv}, {dgemm, dgemv}, wide != 0};
}

// While an instance exists, the BLAS uses one thread; afterwards as many as before.
class OneThread {
    static std::mutex mutex;
    static int inside, before;

public:
    OneThread() {
        std::lock_guard<std::mutex> lock(mutex);
        if (inside++ == 0) before = blas.get_threads(), blas.set_threads(1);
    }
    ~OneThread() {
        std::lock_guard<std::mutex> lock(mutex);
        if (--inside == 0) blas.set_threads(before);
    }
    static int threads() {  // the number outside of OneThread
        std::lock_guard<std::mutex> lock(mutex);
        return inside ? before : blas.get_threads ? blas.get_threads() : 1;
    }
    static void forked() {  // in a child process, where other threads' products do not continue
        new (&mutex) std::mutex;
        if (inside) blas.set_threads(before), inside = 0;
    }
};
std::mutex OneThread::mutex;
int OneThread::inside = 0, OneThread::before = 1;

template <class real> struct Matrix { const real* at; size_t ld; bool transposed; };

// Uses gemv for vectors: gemm would pack the matrix first, which takes longer than the product itself.
template <class real, class integer>
static void product(Functions blas, Matrix<real> a, Matrix<real> b, size_t m, size_t n, size_t k, real* out, size_t ldc) {
    const int ROWS = 101, AS_IT_IS = 111, TRANSPOSED = 112;
    int trans_a = a.transposed ? TRANSPOSED : AS_IT_IS, trans_b = b.transposed ? TRANSPOSED : AS_IT_IS;
    auto gemv = (Gemv<real, integer>)blas.gemv;
    if (m == 1)  // outᵀ = bᵀ aᵀ
        gemv(ROWS, b.transposed ? AS_IT_IS : TRANSPOSED, b.transposed ? n : k, b.transposed ? k : n, 1, b.at, b.ld, a.at,
             a.transposed ? a.ld : 1, 0, out, 1);
    else if (n == 1)
        gemv(ROWS, trans_a, a.transposed ? k : m, a.transposed ? m : k, 1, a.at, a.ld, b.at, b.transposed ? 1 : b.ld, 0, out, ldc);
    else ((Gemm<real, integer>)blas.gemm)(ROWS, trans_a, trans_b, m, n, k, 1, a.at, a.ld, b.at, b.ld, 0, out, ldc);
}

template <class real>
static void product(Functions functions, Matrix<real> a, Matrix<real> b, size_t m, size_t n, size_t k, real* out, size_t ldc) {
    OneThread one;
    if (blas.wide) product<real, int64_t>(functions, a, b, m, n, k, out, ldc);
    else product<real, int32_t>(functions, a, b, m, n, k, out, ldc);
}

void gemm(bool trans_a, bool trans_b, size_t m, size_t n, size_t k, const float* a, size_t lda, const float* b,
          size_t ldb, float* out, size_t ldc) {
    product<float>(blas.single, {a, lda, trans_a}, {b, ldb, trans_b}, m, n, k, out, ldc);
}

void gemm(bool trans_a, bool trans_b, size_t m, size_t n, size_t k, const double* a, size_t lda, const double* b,
          size_t ldb, double* out, size_t ldc) {
    product<double>(blas.twice, {a, lda, trans_a}, {b, ldb, trans_b}, m, n, k, out, ldc);
}

// ---------------------------------------------------------------------------------------------------- the program's threads

// Marks the thread that created it as computing while it exists.
class Computing {
    static std::atomic<int> threads;
    static thread_local int deep;

public:
    Computing() { if (deep++ == 0) threads++; }
    ~Computing() { if (--deep == 0) threads--; }
    static bool others() { return threads > 1; }
    static void forked() { threads = 0; }  // fork does not copy the other threads
};
std::atomic<int> Computing::threads{0};
thread_local int Computing::deep = 0;

// ---------------------------------------------------------------------------------------------------- recorded work

// A kernel launch; without a kernel, a check of the number of x bytes to which `arguments` points. As in recorded.py.
struct Launch { void (*kernel)(const char* arguments, unsigned x, unsigned y); const char* arguments; unsigned x, y; };

static bool is_finite(const Launch& look) {
    const void* place = *(void* const*)look.arguments;
    double value = look.x == 4 ? *(const float*)place : *(const double*)place;
    return value - value == 0;
}

// Run all launches up to `times`; return the number of completed repetitions, before a check of a number failed.
extern "C" size_t replay(const Launch* launches, size_t n, size_t times) {
    Computing here;
    for (size_t done = 0; done < times; done++)
        for (size_t i = 0; i < n; i++) {
            if (launches[i].kernel) launches[i].kernel(launches[i].arguments, launches[i].x, launches[i].y);
            else if (!is_finite(launches[i])) return done;
        }
    return times;
}

// ---------------------------------------------------------------------------------------------------- jobs

static std::atomic<Pool*> pool{nullptr};

// The pool; a forked process gets a new one, since fork does not copy threads.
static Pool* the_pool() {
    static std::once_flag once;
    std::call_once(once, [] { pthread_atfork(nullptr, nullptr, [] { pool = nullptr, OneThread::forked(), Computing::forked(); }); });
    Pool *found = pool, *made = nullptr;
    if (!found) {
        made = new Pool;
        if (!pool.compare_exchange_strong(found, made)) delete made;
        else found = made;
    }
    return found;
}

// work(data, b) for all b < blocks: on the calling thread alone if large products are limited to one thread, if other
// threads of the program compute, or if other programs use the cores.
void run(Work work, void* data, size_t blocks) {
    Computing here;
    size_t wanted = blocks > 1 && !Computing::others() ? OneThread::threads() : 1;
    Pool* pool = wanted > 1 && blocks < MOST_BLOCKS ? the_pool() : nullptr;
    if (pool && pool->busy.try_lock()) {
        std::lock_guard<std::mutex> lock(pool->busy, std::adopt_lock);
        if (!pool->alone()) return pool->run(work, data, blocks, wanted < blocks ? wanted : blocks);
    }
    for (size_t block = 0; block < blocks; block++) work(data, block);
}
