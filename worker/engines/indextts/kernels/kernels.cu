// Five kernels of flow and vocoder, behind functions with a plain C interface: addresses, sizes, a device and a stream.
// Nothing of PyTorch is in here, so one library fits every PyTorch.
//
//     function       reads and writes                              bytes for each number in half precision
//     snake          x -> out (items, channels, length)            4
//     rms_scale      x -> out (rows, width)                        4
//     silu_mul       gate, value -> out (rows, width)              6
//     tanh_gate      value | gate side by side -> out              6
//     rotate         x, in place                                   4
//
// Each number is read once from memory and written once. Snake reads 10 neighbours of every 8 numbers from the cache
// again, rms_scale a row. A thread makes RUN neighbours, as 16 bytes where all addresses allow.
//
// g++ compiles this file too, with emulation.h in place of CUDA.

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#else
#include "emulation.h"
#endif

#include <cstdint>

#include "functors.h"

namespace {

constexpr int THREADS = 128;
constexpr int WARP = 32;
constexpr int TOO_LARGE = -1;  // no code of CUDA's: nothing was launched, and the device is well
constexpr int NO_SUCH_TYPE = 1;  // cudaErrorInvalidValue

__device__ __forceinline__ float number(float x) { return x; }
__device__ __forceinline__ float number(__half x) { return __half2float(x); }
__device__ __forceinline__ float number(__nv_bfloat16 x) { return __bfloat162float(x); }

template <class T>
__device__ __forceinline__ T rounded(float x);
template <>
__device__ __forceinline__ float rounded<float>(float x) { return x; }
template <>
__device__ __forceinline__ __half rounded<__half>(float x) { return __float2half_rn(x); }
template <>
__device__ __forceinline__ __nv_bfloat16 rounded<__nv_bfloat16>(float x) { return __float2bfloat16_rn(x); }

// N neighbours. Where N is RUN they are moved 16 bytes at a time, so their address must be a multiple of 16.
template <class T, int N>
struct alignas(N == 1 ? sizeof(T) : 16) Pack {
    T at[N];
};

template <int N, class T>
__device__ __forceinline__ void read(const T* from, float (&to)[N]) {
    Pack<T, N> pack = *reinterpret_cast<const Pack<T, N>*>(from);
UNROLL
    for (int i = 0; i < N; ++i) to[i] = number(pack.at[i]);
}

template <int N, class T>
__device__ __forceinline__ void write(T* to, const float (&from)[N]) {
    Pack<T, N> pack;
UNROLL
    for (int i = 0; i < N; ++i) pack.at[i] = rounded<T>(from[i]);
    *reinterpret_cast<Pack<T, N>*>(to) = pack;
}

__device__ __forceinline__ unsigned me() { return blockIdx.x * blockDim.x + threadIdx.x; }

// A thread for each run of a channel. `frames` (items,) times `rate` are the lengths of the items; null: all have
// `length`. Behind an item's end zeros are written, as a convolution would find them if the item were alone.
template <class T, bool ALIGNED>
__global__ void __launch_bounds__(THREADS) snake_kernel(
    const T* __restrict__ x, T* __restrict__ out, const float* __restrict__ phases, const float* __restrict__ heights,
    const Filters filters, const int* __restrict__ frames, int rate, int rows, int channels, int length) {
    unsigned runs = (length + RUN - 1) / RUN;
    int row = me() / runs;
    int first = me() % runs * RUN;
    if (row >= rows) return;
    int end = frames == nullptr ? length : min(frames[row / channels] * rate, length);
    const T* line = x + static_cast<int64_t>(row) * length;
    float made[RUN] = {};
    if (first < end) {
        float window[RUN + 2 * REACH];
        if (ALIGNED && first >= RUN && first + 2 * RUN <= end) {
            float near[3 * RUN];
UNROLL
            for (int part = 0; part < 3; ++part) {
                float run[RUN];
                read<RUN>(line + first + (part - 1) * RUN, run);
UNROLL
                for (int i = 0; i < RUN; ++i) near[part * RUN + i] = run[i];
            }
UNROLL
            for (int i = 0; i < RUN + 2 * REACH; ++i) window[i] = near[RUN - REACH + i];
        } else {
UNROLL
            for (int i = 0; i < RUN + 2 * REACH; ++i)
                window[i] = number(line[min(max(first - REACH + i, 0), end - 1)]);
        }
        snake_run(window, first, end, phases[row % channels], heights[row % channels], filters, made);
UNROLL
        for (int t = 0; t < RUN; ++t) made[t] = first + t < end ? made[t] : 0.0f;
    }
    T* there = out + static_cast<int64_t>(row) * length + first;
    if (ALIGNED) {
        write<RUN>(there, made);
    } else {
UNROLL
        for (int t = 0; t < RUN; ++t)
            if (first + t < length) there[t] = rounded<T>(made[t]);
    }
}

// A warp for each row.
template <class T, int N>
__global__ void __launch_bounds__(THREADS) rms_scale_kernel(
    const T* __restrict__ x, const T* __restrict__ scale, T* __restrict__ out, int rows, int width, float epsilon) {
    int row = me() / WARP, lane = me() % WARP;
    if (row >= rows) return;
    const T* line = x + static_cast<int64_t>(row) * width;
    float sum = 0.0f;
    for (int column = lane * N; column < width; column += WARP * N) {
        float values[N];
        read<N>(line + column, values);
UNROLL
        for (int i = 0; i < N; ++i) sum = fmaf(values[i], values[i], sum);
    }
UNROLL
    for (int other = WARP / 2; other > 0; other /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, other);
    float factor = inverse_root_mean(sum, width, epsilon);
    for (int column = lane * N; column < width; column += WARP * N) {
        float values[N], scales[N];
        read<N>(line + column, values);
        read<N>(scale + column, scales);
UNROLL
        for (int i = 0; i < N; ++i) values[i] = values[i] * factor * scales[i];
        write<N>(out + static_cast<int64_t>(row) * width + column, values);
    }
}

template <class T, int N>
__global__ void __launch_bounds__(THREADS) silu_mul_kernel(
    const T* __restrict__ gate, int64_t gate_stride, const T* __restrict__ value, int64_t value_stride,
    T* __restrict__ out, int rows, int width) {
    unsigned across = width / N;
    int64_t row = me() / across;
    int column = me() % across * N;
    if (row >= rows) return;
    float gates[N], values[N];
    read<N>(gate + row * gate_stride + column, gates);
    read<N>(value + row * value_stride + column, values);
UNROLL
    for (int i = 0; i < N; ++i) values[i] = silu_times(gates[i], values[i]);
    write<N>(out + row * width + column, values);
}

template <class T, int N>
__global__ void __launch_bounds__(THREADS)
    tanh_gate_kernel(const T* __restrict__ both, T* __restrict__ out, int rows, int width) {
    unsigned across = width / N;
    int64_t row = me() / across;
    int column = me() % across * N;
    if (row >= rows) return;
    float values[N], gates[N];
    read<N>(both + row * 2 * width + column, values);
    read<N>(both + row * 2 * width + width + column, gates);
UNROLL
    for (int i = 0; i < N; ++i) values[i] = tanh_gated(values[i], gates[i]);
    write<N>(out + row * width + column, values);
}

// x (rows, heads, 2 half): the two numbers of a pair stand `half` apart. Cosines and sines are (positions, half), and
// a row's position is its number modulo `positions`. A thread reads and writes its own pairs only.
template <class T, int N>
__global__ void __launch_bounds__(THREADS) rotate_kernel(
    T* __restrict__ x, int64_t stride, const T* __restrict__ cosines, const T* __restrict__ sines, int rows,
    int positions, unsigned heads, int half) {
    unsigned across = half / N;
    unsigned head = me() / across;
    int column = me() % across * N;
    int row = head / heads;
    if (row >= rows) return;
    T* pair = x + row * stride + head % heads * 2 * half + column;
    int64_t angle = static_cast<int64_t>(row % positions) * half + column;
    float firsts[N], seconds[N], cosine[N], sine[N];
    read<N>(pair, firsts);
    read<N>(pair + half, seconds);
    read<N>(cosines + angle, cosine);
    read<N>(sines + angle, sine);
UNROLL
    for (int i = 0; i < N; ++i) rotate_pair(firsts[i], seconds[i], cosine[i], sine[i]);
    write<N>(pair, firsts);
    write<N>(pair + half, seconds);
}

// The device of the caller's stream is the current one while a kernel is launched, and the caller's again afterwards.
class OnDevice {
  public:
#ifdef __CUDACC__
    explicit OnDevice(int device) {
        cudaGetDevice(&before_);
        if (before_ != device) cudaSetDevice(device);
        moved_ = before_ != device;
    }
    ~OnDevice() {
        if (moved_) cudaSetDevice(before_);
    }

  private:
    int before_ = 0;
    bool moved_ = false;
#else
    explicit OnDevice(int) {}
#endif
};

template <class Kernel, class... Arguments>
int launch(Kernel kernel, int64_t threads, int device, [[maybe_unused]] void* stream, Arguments... arguments) {
    if (threads > INT32_MAX - THREADS) return TOO_LARGE;  // the kernels count in 32 bits, which divide fast
    if (threads == 0) return 0;
    unsigned blocks = (threads + THREADS - 1) / THREADS;
    OnDevice on(device);
#ifdef __CUDACC__
    kernel<<<blocks, THREADS, 0, static_cast<cudaStream_t>(stream)>>>(arguments...);
    return static_cast<int>(cudaGetLastError());
#else
    return emulation::launch(blocks, THREADS, [&] { kernel(arguments...); });
#endif
}

bool sixteen(const void* address) { return reinterpret_cast<uintptr_t>(address) % 16 == 0; }

template <class T>
struct Type {
    using type = T;
};

// Calls `make` with the type of that number: 0 fp32, 1 fp16, 2 bf16.
template <class Make>
int of_type(int type, Make make) {
    switch (type) {
        case 0: return make(Type<float>());
        case 1: return make(Type<__half>());
        case 2: return make(Type<__nv_bfloat16>());
        default: return NO_SUCH_TYPE;
    }
}

}  // namespace

#define INTERFACE extern "C" __attribute__((visibility("default"))) int

// Changes with any function's parameters or answers. A function answers 0, TOO_LARGE, or an error of CUDA.
INTERFACE farm_kernels_version() { return 2; }

#ifdef __CUDACC__
extern "C" __attribute__((visibility("default"))) const char* farm_kernels_error(int code) {
    return cudaGetErrorString(static_cast<cudaError_t>(code));
}
#else
extern "C" const char* farm_kernels_error(int) { return "invalid argument"; }
#endif

INTERFACE farm_snake(
    const void* x, void* out, const float* phases, const float* heights, const Filters* filters, const int* frames,
    int rate, int items, int channels, int length, int type, int device, void* stream) {
    return of_type(type, [&](auto of) {
        using T = typename decltype(of)::type;
        bool aligned = length % RUN == 0 && sixteen(x) && sixteen(out);
        auto kernel = aligned ? snake_kernel<T, true> : snake_kernel<T, false>;
        int64_t runs = (length + RUN - 1) / RUN;
        return launch(
            kernel, runs * items * channels, device, stream, static_cast<const T*>(x), static_cast<T*>(out), phases,
            heights, *filters, frames, rate, items * channels, channels, length);
    });
}

INTERFACE farm_rms_scale(
    const void* x, const void* scale, void* out, int rows, int width, float epsilon, int type, int device,
    void* stream) {
    return of_type(type, [&](auto of) {
        using T = typename decltype(of)::type;
        bool aligned = width % RUN == 0 && sixteen(x) && sixteen(scale) && sixteen(out);
        auto kernel = aligned ? rms_scale_kernel<T, RUN> : rms_scale_kernel<T, 1>;
        return launch(
            kernel, int64_t{rows} * WARP, device, stream, static_cast<const T*>(x), static_cast<const T*>(scale),
            static_cast<T*>(out), rows, width, epsilon);
    });
}

INTERFACE farm_silu_mul(
    const void* gate, int64_t gate_stride, const void* value, int64_t value_stride, void* out, int rows, int width,
    int type, int device, void* stream) {
    return of_type(type, [&](auto of) {
        using T = typename decltype(of)::type;
        bool aligned = width % RUN == 0 && gate_stride % RUN == 0 && value_stride % RUN == 0 && sixteen(gate) &&
                       sixteen(value) && sixteen(out);
        auto kernel = aligned ? silu_mul_kernel<T, RUN> : silu_mul_kernel<T, 1>;
        return launch(
            kernel, int64_t{rows} * (width / (aligned ? RUN : 1)), device, stream, static_cast<const T*>(gate), gate_stride,
            static_cast<const T*>(value), value_stride, static_cast<T*>(out), rows, width);
    });
}

INTERFACE farm_tanh_gate(const void* both, void* out, int rows, int width, int type, int device, void* stream) {
    return of_type(type, [&](auto of) {
        using T = typename decltype(of)::type;
        bool aligned = width % RUN == 0 && sixteen(both) && sixteen(out);
        auto kernel = aligned ? tanh_gate_kernel<T, RUN> : tanh_gate_kernel<T, 1>;
        return launch(
            kernel, int64_t{rows} * (width / (aligned ? RUN : 1)), device, stream, static_cast<const T*>(both),
            static_cast<T*>(out), rows, width);
    });
}

INTERFACE farm_rotate(
    void* x, int64_t stride, const void* cosines, const void* sines, int rows, int positions, int heads, int half,
    int type, int device, void* stream) {
    return of_type(type, [&](auto of) {
        using T = typename decltype(of)::type;
        bool aligned = half % RUN == 0 && stride % RUN == 0 && sixteen(x) && sixteen(cosines) && sixteen(sines);
        auto kernel = aligned ? rotate_kernel<T, RUN> : rotate_kernel<T, 1>;
        return launch(
            kernel, int64_t{rows} * heads * (half / (aligned ? RUN : 1)), device, stream, static_cast<T*>(x), stride,
            static_cast<const T*>(cosines), static_cast<const T*>(sines), rows, positions,
            static_cast<unsigned>(heads), half);
    });
}
