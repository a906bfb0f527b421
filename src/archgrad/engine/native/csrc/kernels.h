// Kernels on the rows of one image: a row is a pixel, its channels side by side (NHWC).
//
// Pixels are found through tables of offsets, so that strides, dilations and the gradients of both are the same code:
// a convolution is sum over taps of W_tap * in[offset of the pixel + offset of the tap].
#pragma once
#include <cmath>

#include "vectors.h"

// ---- convolutions -----------------------------------------------------------------------------------------------

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
    constexpr int R = MANY ? 8 : 4;
    const int some = std::max(32, NEAR / (V * L * 4));
    for (int p = 0; p < P; p += some)
        for (int t = 0; t < taps; t++) {
            const int n = std::min(some, P - p);
            float* at = d + (size_t)t * C * V * L;
            int c = 0;
            for (; c + R <= C; c += R) outer_rows<L, R>(in + tap[t], in_at + p, g, g_at + p, n, c, C, V, at);
            for (; c < C; c += 4) outer_rows<L, 4>(in + tap[t], in_at + p, g, g_at + p, n, c, C, V, at);
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

// ---- statistics -------------------------------------------------------------------------------------------------

// s1 += sum (y - pivot), s2 += sum (y - pivot)^2 over P pixels
template <int L>
static void moments(const float* y, int stride, int P, int V, const float* pivot, float* s1, float* s2) {
    for (int v = 0; v < V; v++) {
        const Vec<L> m = load<L>(pivot + v * L);
        Vec<L> a[4] = {}, q[4] = {};
        int p = 0;
        for (; p + 4 <= P; p += 4) UNROLL for (int b = 0; b < 4; b++) {
                const Vec<L> d = load<L>(y + (p + b) * stride + v * L) - m;
                a[b] += d;
                q[b] += d * d;
            }
        for (; p < P; p++) {
            const Vec<L> d = load<L>(y + p * stride + v * L) - m;
            a[0] += d;
            q[0] += d * d;
        }
        store<L>(s1 + v * L, load<L>(s1 + v * L) + ((a[0] + a[1]) + (a[2] + a[3])));
        store<L>(s2 + v * L, load<L>(s2 + v * L) + ((q[0] + q[1]) + (q[2] + q[3])));
    }
}

// ---- weighted sums ----------------------------------------------------------------------------------------------

// One summand w * act(scale * y + shift); act is ReLU or nothing. Without ReLU, w is part of scale and of the shift
// that all such summands have in common.
struct Summand {
    const float* y;
    int stride;
    bool rectified;
    const float *scale, *shift;
    float w;
};

template <int L>
static void sum_forward(const Summand* terms, int K, const float* shift, int P, int C, float* out) {
    constexpr int B = 4;
    for (int p = 0; p < P; p += B) {
        const int n = std::min(B, P - p);
        for (int v = 0; v * L < C; v++) {
            const int room = C - v * L;
            Vec<L> acc[B];
            UNROLL for (int b = 0; b < B; b++) acc[b] = load<L>(shift + v * L);
            for (int k = 0; k < K; k++) {
                const Summand& t = terms[k];
                const Vec<L> s = load<L>(t.scale + v * L);
                const float* y = t.y + (size_t)p * t.stride + v * L;
                if (t.rectified) {
                    const Vec<L> low = load<L>(t.shift + v * L), w = splat<L>(t.w);
                    UNROLL for (int b = 0; b < B; b++)
                        if (b < n) acc[b] += w * relu<L>(s * load_n<L>(y + b * t.stride, room) + low);
                } else if (n == B && room >= L) {
                    UNROLL for (int b = 0; b < B; b++) acc[b] += s * load<L>(y + b * t.stride);
                } else {
                    UNROLL for (int b = 0; b < B; b++)
                        if (b < n) acc[b] += s * load_n<L>(y + b * t.stride, room);
                }
            }
            UNROLL for (int b = 0; b < B; b++)
                if (b < n) store_n<L>(out + (size_t)(p + b) * C + v * L, acc[b], room);
        }
    }
}

// What backward asks of a summand: Q = sum g * (y - mean); S = sum g of its own where a ReLU holds back some g.
struct Product {
    const float* y;
    int stride;
    bool rectified;
    const float *mean, *scale, *shift;
    float *Q, *S;
};

template <int L>
static void sum_backward(const Product* terms, int K, const float* g, int P, int C, float* S) {
    constexpr int B = 8;
    for (int p = 0; p < P; p += B) {
        const int n = std::min(B, P - p);
        for (int v = 0; v * L < C; v++) {
            const int room = C - v * L;
            Vec<L> e[B], s{};
            UNROLL for (int b = 0; b < B; b++) {
                e[b] = b < n ? load_n<L>(g + (size_t)(p + b) * C + v * L, room) : Vec<L>{};
                s += e[b];
            }
            store<L>(S + v * L, load<L>(S + v * L) + s);
            for (int k = 0; k < K; k++) {
                const Product& t = terms[k];
                const Vec<L> m = load<L>(t.mean + v * L);
                const float* y = t.y + (size_t)p * t.stride + v * L;
                Vec<L> q{};
                if (t.rectified) {
                    const Vec<L> scale = load<L>(t.scale + v * L), low = load<L>(t.shift + v * L);
                    Vec<L> own{};
                    UNROLL for (int b = 0; b < B; b++)
                        if (b < n) {
                            const Vec<L> u = load_n<L>(y + b * t.stride, room), h = passed<L>(scale * u + low, e[b]);
                            own += h;
                            q += h * (u - m);
                        }
                    store<L>(t.S + v * L, load<L>(t.S + v * L) + own);
                } else if (n == B && room >= L) {
                    UNROLL for (int b = 0; b < B; b++) q += e[b] * (load<L>(y + b * t.stride) - m);
                } else {
                    UNROLL for (int b = 0; b < B; b++)
                        if (b < n) q += e[b] * (load_n<L>(y + b * t.stride, room) - m);
                }
                store<L>(t.Q + v * L, load<L>(t.Q + v * L) + q);
            }
        }
    }
}

// out (+)= factor * A * g + B * y + D, g held back by the ReLU of scale * y + shift; without B neither B nor D
struct Share {
    const float* g;
    int g_stride;
    bool rectified;
    const float *scale, *shift, *A, *B, *D;
    float factor;
};

template <int L>
static void assemble(const Share& s, const float* y, int stride, int P, int C, float* out, const int* out_at, bool add) {
    for (int v = 0; v * L < C; v++) {
        const int room = C - v * L;
        const Vec<L> A = load<L>(s.A + v * L) * splat<L>(s.factor), B = s.B ? load<L>(s.B + v * L) : Vec<L>{},
                     D = s.B ? load<L>(s.D + v * L) : Vec<L>{};
        for (int p = 0; p < P; p++) {
            Vec<L> g = load_n<L>(s.g + (size_t)p * s.g_stride + v * L, room);
            float* to = out + out_at[p] + v * L;
            Vec<L> t{};
            if (s.B || s.rectified) {
                const Vec<L> u = load_n<L>(y + (size_t)p * stride + v * L, room);
                if (s.rectified) g = passed<L>(load<L>(s.scale + v * L) * u + load<L>(s.shift + v * L), g);
                if (s.B) t = B * u + D;
            }
            t += A * g;
            if (add) t += load_n<L>(to, room);
            store_n<L>(to, t, room);  // beside it may be the channels of another candidate
        }
    }
}

// ---- pooling ----------------------------------------------------------------------------------------------------

struct Window {
    int top, bottom, left, right;
    Window(int y, int x, int stride, int H, int W)
        : top(std::max(y * stride - 1, 0)), bottom(std::min(y * stride + 2, H)), left(std::max(x * stride - 1, 0)),
          right(std::min(x * stride + 2, W)) {}
    float share() const { return 1.f / ((bottom - top) * (right - left)); }
};

// 3x3, padded by one; the mean is over pixels of the map. ``place``: which pixel of the map the maximum was, by its
// place in the full window; the first one of several, and NaN above all, as in torch.
template <int L>
static void pool_forward(const float* x, int C, int H, int W, int stride, int rows, int columns, float* out,
                         int out_stride, uint8_t* place) {
    typedef typename Lanes<L>::I Int;
    typedef typename Lanes<L>::B Bytes;
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++) {
            const Window w(r, c, stride, H, W);
            const size_t at = ((size_t)r * columns + c) * out_stride;
            for (int v = 0; v * L < C; v++) {
                const int room = C - v * L;
                if (!place) {
                    Vec<L> sum{};
                    for (int i = w.top; i < w.bottom; i++)
                        for (int j = w.left; j < w.right; j++) sum += load_n<L>(x + ((size_t)i * W + j) * C + v * L, room);
                    store<L>(out + at + v * L, sum * splat<L>(w.share()));
                    continue;
                }
                Vec<L> best = splat<L>(-INFINITY);
                Int where{};
                where += (w.top - r * stride + 1) * 3 + w.left - c * stride + 1;
                for (int i = w.top; i < w.bottom; i++)
                    for (int j = w.left; j < w.right; j++) {
                        const Vec<L> u = load_n<L>(x + ((size_t)i * W + j) * C + v * L, room);
                        const Int more = (u > best) | (u != u);
                        best = more ? u : best;
                        where = more ? Int{} + ((i - r * stride + 1) * 3 + j - c * stride + 1) : where;
                    }
                store<L>(out + at + v * L, best);
                *(Bytes*)(place + at + v * L) = __builtin_convertvector(where, Bytes);
            }
        }
}

// to[pixel] += the gradient e of every window that read it
template <int L>
static void pool_backward(const float* e, int e_stride, int V, int H, int W, int stride, int rows, int columns,
                          const uint8_t* place, int place_stride, float* to, int to_stride) {
    typedef typename Lanes<L>::I Int;
    typedef typename Lanes<L>::B Bytes;
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++) {
            const Window w(r, c, stride, H, W);
            const size_t pixel = (size_t)r * columns + c;
            for (int v = 0; v < V; v++) {
                Vec<L> g = load<L>(e + pixel * e_stride + v * L);
                Int where{};
                if (place) where = __builtin_convertvector(*(const Bytes*)(place + pixel * place_stride + v * L), Int);
                else g *= splat<L>(w.share());
                for (int i = w.top; i < w.bottom; i++)
                    for (int j = w.left; j < w.right; j++) {
                        float* at = to + ((size_t)i * W + j) * to_stride + v * L;
                        const int mine = (i - r * stride + 1) * 3 + j - c * stride + 1;
                        store<L>(at, load<L>(at) + (!place ? g : where == Int{} + mine ? g : Vec<L>{}));
                    }
            }
        }
}

// Stride 1, and no gap between pixels: whole rows are vectors, however few channels there are. A segment is some pixels
// of a row that have the same neighbours, at columns ``low`` to ``high`` from theirs.
template <class Segment> static INLINE void for_segments(int W, Segment segment) {
    segment(0, 1, 0, std::min(1, W - 1));
    if (W > 2) segment(1, W - 1, -1, 1);
    if (W > 1) segment(W - 1, W, -1, 0);
}

template <int L> static void pool_rows_forward(const float* x, int C, int H, int W, float* out, uint8_t* place) {
    typedef typename Lanes<L>::I Int;
    typedef typename Lanes<L>::B Bytes;
    for (int r = 0; r < H; r++) {
        const int top = std::max(r - 1, 0), bottom = std::min(r + 2, H);
        for_segments(W, [&](int first, int last, int low, int high) {
            const Vec<L> share = splat<L>(1.f / ((bottom - top) * (high - low + 1)));
            for (int j = first * C; j < last * C; j += L) {
                const int room = last * C - j;
                const size_t at = (size_t)r * W * C + j;
                if (!place) {
                    Vec<L> sum{};
                    for (int i = top; i < bottom; i++)
                        for (int d = low; d <= high; d++) sum += load_n<L>(x + ((std::ptrdiff_t)i * W + d) * C + j, room);
                    store_n<L>(out + at, sum * share, room);
                    continue;
                }
                Vec<L> best = splat<L>(-INFINITY);
                Int where{};
                where += (top - r + 1) * 3 + low + 1;
                for (int i = top; i < bottom; i++)
                    for (int d = low; d <= high; d++) {
                        const Vec<L> u = load_n<L>(x + ((std::ptrdiff_t)i * W + d) * C + j, room);
                        const Int more = (u > best) | (u != u);
                        best = more ? u : best;
                        where = more ? Int{} + ((i - r + 1) * 3 + d + 1) : where;
                    }
                store_n<L>(out + at, best, room);
                const Bytes bytes = __builtin_convertvector(where, Bytes);
                if (room >= L) *(Bytes*)(place + at) = bytes;
                else memcpy(place + at, &bytes, room);
            }
        });
    }
}

// to += what the windows of e bring; those of a mean are scaled here
template <int L>
static void pool_rows_backward(float* e, int C, int H, int W, const uint8_t* place, float* to) {
    typedef typename Lanes<L>::I Int;
    typedef typename Lanes<L>::B Bytes;
    for (int r = 0; r < H && !place; r++)
        for_segments(W, [&](int first, int last, int low, int high) {
            const float share = 1.f / ((std::min(r + 2, H) - std::max(r - 1, 0)) * (high - low + 1));
            for (int j = first * C; j < last * C; j++) e[(size_t)r * W * C + j] *= share;
        });
    for (int i = 0; i < H; i++)
        for_segments(W, [&](int first, int last, int low, int high) {
            for (int j = first * C; j < last * C; j += L) {
                const int room = last * C - j;
                Vec<L> sum{};
                for (int r = std::max(i - 1, 0); r < std::min(i + 2, H); r++)
                    for (int d = low; d <= high; d++) {
                        const std::ptrdiff_t at = ((std::ptrdiff_t)r * W + d) * C + j;
                        const Vec<L> g = load<L>(e + at);
                        if (!place) sum += g;
                        else {
                            const Int where = __builtin_convertvector(*(const Bytes*)(place + at), Int);
                            sum += where == Int{} + ((i - r + 1) * 3 - d + 1) ? g : Vec<L>{};
                        }
                    }
                float* at = to + (size_t)i * W * C + j;
                store_n<L>(at, load_n<L>(at, room) + sum, room);
            }
        });
}
