// As much of CUDA as kernels.cu needs, for g++: every thread of a block is a fiber on the CPU, and they run in turn. So
// the indices, the tails of rows and the sums of warps that run here are those of the GPU. A fiber gives way where
// its warp exchanges numbers; elsewhere it runs to its end. The order can be turned round, so that a test sees a thread
// that depends on an earlier one.
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#define __global__
#define __host__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(threads)

using std::max;
using std::min;

namespace emulation {

struct Index {
    unsigned x;
};

inline Index thread_index, block_index, block_size;
inline bool backwards;

constexpr unsigned WARP_SIZE = 32, STACK = 64 << 10;

// The fibers of the block that runs.
struct Block {
    ucontext_t scheduler;
    std::vector<ucontext_t> fibers;
    std::vector<std::unique_ptr<char[]>> stacks;
    std::vector<bool> done;
    std::vector<float> given;         // by each thread, to the others of its warp
    std::vector<unsigned> exchanges;  // of each thread so far
    std::function<void()> body;
    unsigned running;
};
inline Block block;

inline void enter() {
    block.body();
    block.done[block.running] = true;
    swapcontext(&block.fibers[block.running], &block.scheduler);
}

inline void give_way() { swapcontext(&block.fibers[block.running], &block.scheduler); }

inline float exchange(float value, unsigned lanes) {
    unsigned me = block.running, other = me ^ lanes;
    block.given[me] = value;
    ++block.exchanges[me];
    give_way();
    if (block.exchanges[other] != block.exchanges[me] || other / WARP_SIZE != me / WARP_SIZE) {
        std::fprintf(stderr, "thread %u exchanges a number with thread %u, which does not\n", me, other);
        std::abort();  // on a GPU the kernel would hang, or read whatever is there
    }
    float taken = block.given[other];
    give_way();
    return taken;
}

inline void run_block(unsigned threads) {
    block.fibers.resize(threads);
    block.done.assign(threads, false);
    block.given.assign(threads, 0.0f);
    block.exchanges.assign(threads, 0);
    while (block.stacks.size() < threads) block.stacks.emplace_back(new char[STACK]);
    for (unsigned thread = 0; thread < threads; ++thread) {
        ucontext_t& fiber = block.fibers[thread];
        getcontext(&fiber);
        fiber.uc_stack.ss_sp = block.stacks[thread].get();
        fiber.uc_stack.ss_size = STACK;
        fiber.uc_link = nullptr;
        makecontext(&fiber, enter, 0);
    }
    for (bool left = true; left;) {
        left = false;
        for (unsigned turn = 0; turn < threads; ++turn) {
            unsigned thread = backwards ? threads - 1 - turn : turn;
            if (block.done[thread]) continue;
            left = true;
            thread_index.x = block.running = thread;
            swapcontext(&block.scheduler, &block.fibers[thread]);
        }
    }
}

inline int launch(unsigned blocks, unsigned threads, std::function<void()> body) {
    block.body = std::move(body);
    block_size.x = threads;
    for (unsigned turn = 0; turn < blocks; ++turn) {
        block_index.x = backwards ? blocks - 1 - turn : turn;
        run_block(threads);
    }
    return 0;
}

}  // namespace emulation

#define threadIdx emulation::thread_index
#define blockIdx emulation::block_index
#define blockDim emulation::block_size
#define __shfl_xor_sync(lanes_of_warp, value, lanes) emulation::exchange(value, lanes)

extern "C" void farm_emulation_backwards(int on) { emulation::backwards = on; }

// Half precision, as conversions from and to fp32: nothing is computed in it. Rounded to nearest, ties to even.
struct __half {
    uint16_t bits;
};
struct __nv_bfloat16 {
    uint16_t bits;
};

inline float of_bits(uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}
inline uint32_t bits_of(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

inline float __half2float(__half x) {
    uint32_t sign = (x.bits & 0x8000u) << 16, exponent = x.bits >> 10 & 31, fraction = x.bits & 1023;
    if (exponent == 31) return of_bits(sign | 0x7f800000u | fraction << 13);
    if (exponent == 0) return of_bits(sign | bits_of(std::ldexp(static_cast<float>(fraction), -24)));
    return of_bits(sign | (exponent + 112) << 23 | fraction << 13);
}
inline __half __float2half_rn(float x) {
    uint32_t bits = bits_of(x), sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
    uint32_t half;
    if (size > 0x7f800000u)
        half = 0x7e00;  // no number
    else if (size >= 0x477ff000u)
        half = 0x7c00;  // rounds to infinity
    else if (size < 0x38800000u)
        half = static_cast<uint32_t>(std::nearbyint(std::ldexp(of_bits(size), 24)));  // below 2^-14: fixed point
    else
        half = (size - 0x38000000u + 0xfffu + (size >> 13 & 1)) >> 13;
    return {static_cast<uint16_t>(sign | half)};
}
inline float __bfloat162float(__nv_bfloat16 x) { return of_bits(static_cast<uint32_t>(x.bits) << 16); }
inline __nv_bfloat16 __float2bfloat16_rn(float x) {
    uint32_t bits = bits_of(x);
    if (x != x) return {0x7fff};
    return {static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1)) >> 16)};
}
