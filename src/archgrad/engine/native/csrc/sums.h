// Statistics and weighted sums of maps, on the rows of one image.
#pragma once
#include "vectors.h"

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
