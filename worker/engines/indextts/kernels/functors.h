// The arithmetic of the kernels, without threads and without memory. nvcc compiles it for GPUs, and g++ the same lines
// for the tests. All is computed in fp32, whatever the tensors hold.
#pragma once

#ifdef __CUDACC__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL
#endif
#define FUNCTOR __host__ __device__ __forceinline__

constexpr int RUN = 8;    // neighbours that one thread makes: 16 bytes in half precision
constexpr int TAPS = 12;  // of both filters around the activation
constexpr int REACH = 5;  // samples that a run hears before its first, and behind its last

// Both filters of an activation. `up` has the factor 2 of its upsampling in it.
struct Filters {
    float up[TAPS];
    float down[TAPS];
};

// silu(gate) * value. The order keeps a product of two large numbers from overflowing.
FUNCTOR float silu_times(float gate, float value) { return gate / (1.0f + expf(-gate)) * value; }

// tanh(value) * sigmoid(gate), with one division. tanh(v) is -e / (2 + e) with e = expm1(-2 |v|), and the sign of v.
FUNCTOR float tanh_gated(float value, float gate) {
    float e = expm1f(-2.0f * fabsf(value));
    return copysignf(e, value) / ((2.0f + e) * (1.0f + expf(-gate)));
}

// The pair (first, second) turned by an angle.
FUNCTOR void rotate_pair(float& first, float& second, float cosine, float sine) {
    float turned = fmaf(first, cosine, -second * sine);
    second = fmaf(second, cosine, first * sine);
    first = turned;
}

FUNCTOR float inverse_root_mean(float sum_of_squares, int count, float epsilon) {
    return 1.0f / sqrtf(sum_of_squares / static_cast<float>(count) + epsilon);
}

// sin(pi p)^2 has the period 1. Within half a period of 0 it is a polynomial of the square of p, off by 6e-9 at most
// (a minimax fit). Beyond |p| = 2^22 an fp32 has no phase; the result stays within [0, 1] there.
FUNCTOR float sine_squared(float p) {
    constexpr float TO_INTEGER = 12582912.0f;  // 1.5 * 2^23: adding it leaves no room for a fraction
    float u = p - ((p + TO_INTEGER) - TO_INTEGER);
    float w = fminf(u * u, 0.25f);
    float s = fmaf(w, -3.27294612f, 12.9907303f);
    s = fmaf(w, s, -30.0859528f);
    s = fmaf(w, s, 42.7253838f);
    s = fmaf(w, s, -32.4695816f);
    s = fmaf(w, s, 9.86960316f);
    return w * s;
}

// x + sin(alpha x)^2 / beta, with `phase` alpha / pi and `height` 1 / beta.
FUNCTOR float snake(float x, float phase, float height) { return fmaf(height, sine_squared(x * phase), x); }

// RUN outputs of the activation, from `first` on: upsample by 2, snake, downsample by 2.
//
//     x      window[i] is x[first - 5 + i], with the item's own first and last value held beyond its ends
//     high   high[k] is at 2 first - 5 + k of the double rate, and held in the same way
//     out    out[t] is sum_k down[k] high[2 t + k]
//
// `first` is a multiple of RUN and lies before `end`, the item's length. Outputs from `end` on have no meaning.
FUNCTOR void snake_run(
    const float (&window)[RUN + 2 * REACH], int first, int end, float phase, float height, const Filters& filters,
    float (&out)[RUN]) {
    float high[2 * RUN + 2 * REACH];
UNROLL
    for (int k = 0; k < 2 * RUN + 2 * REACH; ++k) {
        float sum = 0.0f;
UNROLL
        for (int j = 0; j < TAPS / 2; ++j) sum = fmaf(window[k / 2 + j], filters.up[TAPS - 2 + k % 2 - 2 * j], sum);
        high[k] = snake(sum, phase, height);
    }
    if (first == 0) {
UNROLL
        for (int k = 0; k < REACH; ++k) high[k] = high[REACH];
    }
    int beyond = 2 * (end - first) + REACH;  // the first k that lies behind the item
    if (beyond < 2 * RUN + 2 * REACH) {
UNROLL
        for (int k = REACH + 1; k < 2 * RUN + 2 * REACH; ++k) high[k] = k < beyond ? high[k] : high[k - 1];
    }
UNROLL
    for (int t = 0; t < RUN; ++t) {
        float sum = 0.0f;
UNROLL
        for (int k = 0; k < TAPS; ++k) sum = fmaf(filters.down[k], high[2 * t + k], sum);
        out[t] = sum;
    }
}
