// 3x3 pooling on the rows of one image.
#pragma once
#include <cmath>

#include "vectors.h"

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
