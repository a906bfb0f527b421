// Convolutions and the gradients of their weights, on the rows of one image: a row is a pixel, its channels side by side
// (NHWC).
//
// Pixels are found through tables of offsets, so that strides, dilations and the gradients of both are the same code:
// a convolution is sum over taps of W_tap * in[offset of the pixel + offset of the tap].
#pragma once
#include "vectors.h"

// As many sums as registers hold beside what they are made of: 16 of 32, 12 of 16, or 8 where each pixel takes a pointer.
template <int L, int G> struct Block {
    static constexpr int pixels = MANY ? 8 : G > 1 ? 6 : 8;
};

constexpr int NEAR = 16384;  // bytes of weights, or of gradients, that stay in the first cache while pixels pass by

// Where the weight of an output is in what `dense` reads: two vectors of outputs after the other, each as [tap][in],
// so that the innermost loop reads one stretch of memory.
static INLINE size_t dense_place(int row, int rows, int out, int width, int L) {
    const int pair = out / (2 * L), wide = std::min(2 * L, width - pair * 2 * L);
    return (size_t)pair * 2 * L * rows + (size_t)row * wide + out - pair * 2 * L;
}

// out[p] (+)= sum_t sum_c in[p + t][c] * w[t][c][:], vectors v .. v+G-1, whose weights w begins with
template <int L, int G>
static void dense_some(const float* in, const int* in_at, int P, const int* tap, int taps, int C, const float* w, int v,
                       float* out, const int* out_at, bool add) {
    constexpr int B = Block<L, G>::pixels;
    for (int p = 0; p < P; p += B) {
        const int n = std::min(B, P - p);  // a last block computes its last pixel several times
        const float* x[B];
        Vec<L> acc[B][G];
        UNROLL for (int b = 0; b < B; b++) {
            const int q = p + std::min(b, n - 1);
            x[b] = in + in_at[q];
            UNROLL for (int g = 0; g < G; g++) acc[b][g] = add ? load<L>(out + out_at[q] + (v + g) * L) : Vec<L>{};
        }
        const float* row = w;
        for (int t = 0; t < taps; t++) {
            const int base = tap[t];
            for (int c = 0; c < C; c++, row += G * L) {
                // not an array: compilers keep those in memory
                const Vec<L> m0 = load<L>(row), m1 = G > 1 ? load<L>(row + L) : Vec<L>{};
                UNROLL for (int b = 0; b < B; b++) {
                    const Vec<L> s = splat<L>(x[b][base + c]);
                    acc[b][0] += s * m0;
                    if (G > 1) acc[b][G - 1] += s * m1;
                }
            }
        }
        UNROLL for (int b = 0; b < B; b++)
            if (b < n) UNROLL for (int g = 0; g < G; g++) store<L>(out + out_at[p + b] + (v + g) * L, acc[b][g]);
    }
}

template <int L, int G>
static INLINE void dense_near(const float* in, const int* in_at, int P, const int* tap, int taps, int C, const float* w,
                              int v, float* out, const int* out_at, bool add) {
    const int some = std::max(1, NEAR / (C * G * L * 4));
    int t = 0;
    do {  // once also without taps: pixels that nobody reads get zeros
        dense_some<L, G>(in, in_at, P, tap + t, std::min(some, taps - t), C, w + (size_t)(v * taps + t * G) * C * L, v, out,
                         out_at, add || t);
        t += some;
    } while (t < taps);
}

template <int L>
static void dense(const float* in, const int* in_at, int P, const int* tap, int taps, int C, const float* w, int V,
                  float* out, const int* out_at, bool add) {
    int v = 0;
    for (; v + 2 <= V; v += 2) dense_near<L, 2>(in, in_at, P, tap, taps, C, w, v, out, out_at, add);
    for (; v < V; v++) dense_near<L, 1>(in, in_at, P, tap, taps, C, w, v, out, out_at, add);
}

// the same with one filter per channel: w[t][channel]
template <int L>
static void depthwise(const float* in, const int* in_at, int P, const int* tap, int taps, const float* w, int V,
                      float* out, const int* out_at, bool add) {
    constexpr int B = 8;
    for (int v = 0; v < V; v++)
        for (int p = 0; p < P; p += B) {
            const int n = std::min(B, P - p);
            const float* x[B];
            Vec<L> acc[B];
            UNROLL for (int b = 0; b < B; b++) {
                const int q = p + std::min(b, n - 1);
                x[b] = in + in_at[q] + v * L;
                acc[b] = add ? load<L>(out + out_at[q] + v * L) : Vec<L>{};
            }
            for (int t = 0; t < taps; t++) {
                const int base = tap[t];
                const Vec<L> m = load<L>(w + (t * V + v) * L);
                UNROLL for (int b = 0; b < B; b++) acc[b] += m * load<L>(x[b] + base);
            }
            UNROLL for (int b = 0; b < B; b++)
                if (b < n) store<L>(out + out_at[p + b] + v * L, acc[b]);
        }
}

// ---- gradients of weights ---------------------------------------------------------------------------------------

// d[c .. c+R-1][vectors v .. v+G-1] += sum_p in[p][c ..] * g[p]; rows from C on are computed and not stored
template <int L, int R, int G>
static void outer_some(const float* in, const int* in_at, const float* g, const int* g_at, int P, int c, int C, int V,
                       int v, float* d) {
    Vec<L> acc[R][G];
    int row[R];
    UNROLL for (int r = 0; r < R; r++) {
        row[r] = std::min(c + r, C - 1);
        UNROLL for (int i = 0; i < G; i++) acc[r][i] = load<L>(d + (row[r] * V + v + i) * L);
    }
    if (c + R <= C)
        for (int p = 0; p < P; p++) {
            const float* x = in + in_at[p] + c;
            const float* e = g + g_at[p] + v * L;
            const Vec<L> e0 = load<L>(e), e1 = G > 1 ? load<L>(e + L) : Vec<L>{};
            UNROLL for (int r = 0; r < R; r++) {
                const Vec<L> s = splat<L>(x[r]);
                acc[r][0] += s * e0;
                if (G > 1) acc[r][G - 1] += s * e1;
            }
        }
    else
        for (int p = 0; p < P; p++) {
            const float* x = in + in_at[p];
            const float* e = g + g_at[p] + v * L;
            const Vec<L> e0 = load<L>(e), e1 = G > 1 ? load<L>(e + L) : Vec<L>{};
            UNROLL for (int r = 0; r < R; r++) {
                const Vec<L> s = splat<L>(x[row[r]]);
                acc[r][0] += s * e0;
                if (G > 1) acc[r][G - 1] += s * e1;
            }
        }
    UNROLL for (int r = 0; r < R; r++)
        if (c + r < C) UNROLL for (int i = 0; i < G; i++) store<L>(d + (row[r] * V + v + i) * L, acc[r][i]);
}

template <int L, int R>
static INLINE void outer_rows(const float* in, const int* in_at, const float* g, const int* g_at, int P, int c, int C,
                              int V, float* d) {
    int v = 0;
    for (; v + 2 <= V; v += 2) outer_some<L, R, 2>(in, in_at, g, g_at, P, c, C, V, v, d);
    for (; v < V; v++) outer_some<L, R, 1>(in, in_at, g, g_at, P, c, C, V, v, d);
}

// d[t][c][:] += sum_p in[p + t][c] * g[p][:]
template <int L>
static void outer(const float* in, const int* in_at, const int* tap, int taps, int C, const float* g, const int* g_at,
                  int P, int V, float* d) {
    constexpr int R = MANY ? 8 : 6;  // rows whose sums registers hold
    const int some = std::max(32, NEAR / (V * L * 4));
    for (int p = 0; p < P; p += some)
        for (int t = 0; t < taps; t++) {
            const int n = std::min(some, P - p);
            float* at = d + (size_t)t * C * V * L;
            for (int c = 0, rows; c < C; c += rows) {
                rows = C - c >= R && (MANY || C - c != 8) ? R : 4;  // 8 are twice 4
                if (rows == R) outer_rows<L, R>(in + tap[t], in_at + p, g, g_at + p, n, c, C, V, at);
                else outer_rows<L, 4>(in + tap[t], in_at + p, g, g_at + p, n, c, C, V, at);
            }
        }
}

// d[t][:] += sum_p in[p + t][:] * g[p][:], taps t .. t+T-1
template <int L, int T>
static void depthwise_outer_some(const float* in, const int* in_at, const int* tap, int n, const float* g,
                                 const int* g_at, int P, int V, int v, float* d) {
    Vec<L> acc[T];
    int at[T];
    UNROLL for (int t = 0; t < T; t++) {
        at[t] = tap[std::min(t, n - 1)] + v * L;
        acc[t] = load<L>(d + (std::min(t, n - 1) * V + v) * L);
    }
    for (int p = 0; p < P; p++) {
        const Vec<L> e = load<L>(g + g_at[p] + v * L);
        const float* x = in + in_at[p];
        UNROLL for (int t = 0; t < T; t++) acc[t] += e * load<L>(x + at[t]);
    }
    UNROLL for (int t = 0; t < T; t++)
        if (t < n) store<L>(d + (t * V + v) * L, acc[t]);
}

template <int L>
static void depthwise_outer(const float* in, const int* in_at, const int* tap, int taps, const float* g,
                            const int* g_at, int P, int V, float* d) {
    for (int v = 0; v < V; v++)
        for (int t = 0; t < taps;) {
            float* at = d + t * V * L;
            const int left = taps - t;
            if (left >= 9) {
                depthwise_outer_some<L, 9>(in, in_at, tap + t, 9, g, g_at, P, V, v, at);
                t += 9;
            } else {
                depthwise_outer_some<L, 8>(in, in_at, tap + t, std::min(8, left), g, g_at, P, V, v, at);
                t += 8;
            }
        }
}
