// CUDA on the CPU: what kernels.cu needs of CUDA, so that a C++ compiler can take the same source.
//
// The threads of a block run one after the other, each up to its next __syncthreads, where it hands over to the next one:
// they are coroutines, with a stack each. Blocks run one after the other, too.
#include <csetjmp>
#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <ucontext.h>

#define __global__
#define __device__
#define __shared__ static

struct Index { unsigned x, y; };
static Index gridDim, blockDim, blockIdx, threadIdx;

using std::cos, std::exp, std::expm1, std::fabs, std::isnan, std::log, std::log1p, std::pow, std::sin, std::sqrt, std::tanh;

static void __threadfence() {}

static unsigned atomicInc(unsigned* at, unsigned last) {
    unsigned old = *at;
    *at = old >= last ? 0 : old + 1;
    return old;
}

static unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned __int128)a * b >> 64;
}

namespace shim {

const unsigned MOST_THREADS = 1024;
const size_t STACK = 1 << 16;

static std::function<void()> body;                 // of one thread
static bool made[MOST_THREADS], ended[MOST_THREADS];
static jmp_buf scheduler, threads[MOST_THREADS];
static char* stacks;
static bool no_barriers;
static const char* error;

static void hand_over() {
    unsigned me = threadIdx.x;
    if (!_setjmp(threads[me])) _longjmp(scheduler, 1);
}

static void coroutine() {
    for (;;) {
        body();
        ended[threadIdx.x] = true;
        hand_over();
    }
}

// Let thread t run up to its next barrier or its end.
static void resume(unsigned t) {
    threadIdx.x = t;
    if (_setjmp(scheduler)) return;
    if (made[t]) _longjmp(threads[t], 1);
    made[t] = true;
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = stacks + t * STACK;
    context.uc_stack.ss_size = STACK;
    context.uc_link = nullptr;
    makecontext(&context, coroutine, 0);
    setcontext(&context);
}

static void run_block() {
    memset(ended, 0, sizeof ended);
    no_barriers = false;
    resume(0);
    if (ended[0]) {  // no barrier: the others are plain calls
        no_barriers = true;
        for (threadIdx.x = 1; threadIdx.x < blockDim.x; threadIdx.x++) body();
        return;
    }
    for (unsigned t = 1; t < blockDim.x; t++) resume(t);
    for (;;) {
        for (unsigned t = 1; t < blockDim.x; t++)
            if (ended[t] != ended[0]) error = "some threads of a block wait at a barrier that others never reach";
        if (ended[0] || error) return;
        for (unsigned t = 0; t < blockDim.x; t++) resume(t);
    }
}

template <class T> std::string code() {  // "*f4": a pointer to floats of 4 bytes
    if constexpr (std::is_pointer_v<T>) return "*" + code<std::remove_cv_t<std::remove_pointer_t<T>>>();
    return (std::is_floating_point_v<T> ? "f" : std::is_signed_v<T> ? "i" : "u") + std::to_string(sizeof(T));
}

template <class... T, size_t... I>
const char* launch(void (*kernel)(T...), void** arguments, const unsigned* sizes, std::index_sequence<I...>) {
    if (!stacks) stacks = new char[MOST_THREADS * STACK];
    gridDim = {sizes[0], sizes[1]}, blockDim = {sizes[2], 1}, error = nullptr;
    body = [=] { kernel(*(T*)arguments[I]...); };
    for (blockIdx.y = 0; blockIdx.y < gridDim.y && !error; blockIdx.y++)
        for (blockIdx.x = 0; blockIdx.x < gridDim.x && !error; blockIdx.x++) run_block();
    if (error) memset(made, 0, sizeof made);
    return error;
}

template <class... T> const char* signature(void (*)(T...)) {
    static std::string codes;
    codes.clear();
    ((codes += code<T>() + " "), ...);
    return codes.c_str();
}

template <class... T> const char* launch(void (*kernel)(T...), void** arguments, const unsigned* sizes) {
    return launch(kernel, arguments, sizes, std::index_sequence_for<T...>());
}

}  // namespace shim

static void __syncthreads() {
    if (shim::no_barriers) shim::error = "some threads of a block reach a barrier that the first one does not";
    else shim::hand_over();
}

#define EXPORT(name)                                                                              \
    extern "C" const char* signature_##name() { return shim::signature(name); }                   \
    extern "C" const char* launch_##name(void** arguments, const unsigned* sizes) {               \
        return shim::launch(name, arguments, sizes);                                              \
    }
