// Where convolutions read: tables of offsets of pixels and taps, for both directions.
#pragma once
#include "tables.h"

namespace {

struct Tap {
    int y, x, number;  // offset from a pixel of the output, times the stride, to one of the input
};

int taps_of(const Geometry& g, Tap* taps) {
    int n = 0;
    for (int i = 0; i < g.rows; i++)
        for (int j = 0; j < g.columns; j++)
            if (!g.diagonal || i == j) {
                taps[n] = {(int)(i * g.row_dilation - g.top), (int)(j * g.column_dilation - g.left), n};
                n++;
            }
    return n;
}

int floor_div(int a, int b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

// A map with a frame of zeros, wide enough for whoever reads beyond its edge.
struct Frame {
    int height, width, top = 0, bottom = 0, left = 0, right = 0, stride = 0;
    int columns() const { return left + width + right; }
    size_t size() const { return (size_t)(top + height + bottom) * columns() * stride; }
    int at(int y, int x) const { return ((y + top) * columns() + x + left) * stride; }
    int step(int y, int x) const { return (y * columns() + x) * stride; }
    void reach(int first_y, int last_y, int first_x, int last_x) {
        top = std::max(top, -first_y), bottom = std::max(bottom, last_y - height + 1);
        left = std::max(left, -first_x), right = std::max(right, last_x - width + 1);
    }
    void reach(const Geometry& g, const Map& out) {
        Tap taps[256];
        for (int n = taps_of(g, taps), t = 0; t < n; t++)
            reach(taps[t].y, (int)((out.height - 1) * g.row_stride) + taps[t].y, taps[t].x,
                  (int)((out.width - 1) * g.column_stride) + taps[t].x);
    }
    void clear_edge(float* frame) const {
        const size_t line = (size_t)columns() * stride;
        memset(frame, 0, top * line * 4);
        memset(frame + (top + height) * line, 0, bottom * line * 4);
        for (int y = 0; y < height; y++) {
            float* row = frame + (top + y) * line;
            memset(row, 0, (size_t)left * stride * 4);
            memset(row + (size_t)(left + width) * stride, 0, (size_t)right * stride * 4);
        }
    }
    int* inside(Heap& heap) const {
        int* table = heap.get<int>(height * width);
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++) table[y * width + x] = at(y, x);
        return table;
    }
};

int* line(Heap& heap, int64_t count, int stride) {
    int* table = heap.get<int>(count);
    for (int p = 0; p < count; p++) table[p] = p * stride;
    return table;
}

// A convolution as its pixels read it: one offset per pixel, one per tap.
struct Gather {
    int P = 0, n = 0;
    int *in = nullptr, *out = nullptr, *tap = nullptr, *number = nullptr;
};

Gather forwards(Heap& heap, const Geometry& g, const Frame& frame, const Map& out) {
    Gather found;
    Tap taps[256];
    found.P = (int)pixels(out), found.n = taps_of(g, taps);
    found.in = heap.get<int>(found.P), found.tap = heap.get<int>(found.n), found.number = heap.get<int>(found.n);
    for (int y = 0; y < out.height; y++)
        for (int x = 0; x < out.width; x++)
            found.in[y * out.width + x] = frame.at(y * (int)g.row_stride, x * (int)g.column_stride);
    for (int t = 0; t < found.n; t++) found.tap[t] = frame.step(taps[t].y, taps[t].x), found.number[t] = taps[t].number;
    return found;
}

// The gradient of what a convolution reads: pixels of the input whose places agree modulo the stride have the same taps.
struct Scatter {
    Gather parts[16];
    int count = 0;
    Frame frame;  // of the gradient of the output
};

Scatter backwards(Heap& heap, const Geometry& g, const Map& out, int H, int W, int out_stride, int total_stride) {
    Scatter found;
    Tap taps[256];
    const int n = taps_of(g, taps), sy = (int)g.row_stride, sx = (int)g.column_stride;
    found.frame.height = (int)out.height, found.frame.width = (int)out.width, found.frame.stride = out_stride;
    auto divides = [&](const Tap& t, int ry, int rx) { return (ry - t.y) % sy == 0 && (rx - t.x) % sx == 0; };
    for (int ry = 0; ry < sy; ry++)
        for (int rx = 0; rx < sx; rx++)
            for (int t = 0; t < n; t++)
                if (divides(taps[t], ry, rx)) {
                    const int y = floor_div(ry - taps[t].y, sy), x = floor_div(rx - taps[t].x, sx);
                    found.frame.reach(y, (H - 1 - ry) / sy + y, x, (W - 1 - rx) / sx + x);
                }
    for (int ry = 0; ry < std::min(sy, H); ry++)
        for (int rx = 0; rx < std::min(sx, W); rx++) {
            Gather& part = found.parts[found.count++];
            const int rows = (H - 1 - ry) / sy + 1, columns = (W - 1 - rx) / sx + 1;
            part.P = rows * columns;
            part.in = heap.get<int>(part.P), part.out = heap.get<int>(part.P);
            part.tap = heap.get<int>(n), part.number = heap.get<int>(n);
            for (int y = 0; y < rows; y++)
                for (int x = 0; x < columns; x++) {
                    part.in[y * columns + x] = found.frame.at(y, x);
                    part.out[y * columns + x] = ((y * sy + ry) * W + x * sx + rx) * total_stride;
                }
            for (int t = 0; t < n; t++)
                if (divides(taps[t], ry, rx)) {
                    part.tap[part.n] =
                        found.frame.step(floor_div(ry - taps[t].y, sy), floor_div(rx - taps[t].x, sx));
                    part.number[part.n++] = taps[t].number;
                }
        }
    return found;
}

}  // namespace
