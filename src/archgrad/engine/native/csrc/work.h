// What one pass needs of a convolution and of a read: weights in the order of the kernels, and the frame of a map.
#pragma once
#include "convolutions.h"
#include "geometry.h"

namespace {

struct Work {
    const Conv* conv;
    const View* view;
    const Map *in, *out;
    int C, lanes, stride;               // of what is read
    int channels, out_lanes, out_stride;  // of the result
    Gather spatial;                     // from the frame of the input
    int *rows, *rows_out;               // pixels of z and of y one after the other
    int *tap0;
    float *filter, *matrix;             // [tap][channel], and as `dense_place` says
    float* partial;                     // per image: pivot, sum, squares

    Scatter back;
    float *filters[16], *matrices[16];  // per part of `back`; a pointwise one is matrices[0]
    float* turned;                      // from out to in, of the pointwise convolution behind a depthwise one
    int *dy_at, *dz_at;
    bool weights;
    float *d_filter, *d_matrix;         // per part of the batch
    size_t filter_size, matrix_size;
    int *x_at, *e_at;                   // pixels of several images, of what the gradient of the matrix is made of
    bool has_filter() const { return conv->depthwise.present; }
    bool has_matrix() const { return conv->dense.present; }
    size_t z_size() const { return (size_t)spatial.P * apart(stride); }
    size_t dy_size() const { return has_filter() ? (size_t)spatial.P * apart(out_stride) : back.frame.size(); }
};

struct ReadWork {
    const Read* read;
    const View* view;
    const Map* map;
    Frame frame;
    int lanes, stride, first, count;  // of the works of the phase
    float* partial;                   // backward, hidden: per image S and Q
};

void pack_filter(const Work& w, const Gather& g, float* out) {
    const int taps = (int)(w.conv->depthwise.rows * w.conv->depthwise.columns);
    for (int t = 0; t < g.n; t++)
        for (int c = 0; c < w.C; c++) out[t * w.stride + c] = w.conv->depthwise_weight[c * taps + g.number[t]];
}

// Every weight of a convolution's n taps, in tiles that stay in cache: on one side the inputs of an output lie side by
// side, on the other the outputs of an input.
template <class Visit> static INLINE void for_weights(const Cell& cell, const Work& w, int n, Visit visit) {
    constexpr int TILE = 16;
    for (int m = 0; m < w.conv->members; m++) {
        const Member& k = cell.members[w.conv->first_member + m];
        for (int first_o = 0; first_o < k.channels; first_o += TILE)
            for (int t = 0; t < n; t++)
                for (int first_i = 0; first_i < w.C; first_i += TILE)
                    for (int o = first_o; o < std::min(first_o + TILE, (int)k.channels); o++)
                        for (int i = first_i; i < std::min(first_i + TILE, w.C); i++) visit(k, t, i, o);
    }
}

// `dense_place` of the columns of a matrix, without a division for each weight.
struct Columns {
    std::vector<std::pair<size_t, int>> all;
    Columns(int count, int rows, int width, int L) : all(count) {
        for (int c = 0; c < count; c++) {
            const size_t at = dense_place(0, rows, c, width, L);
            all[c] = {at, rows > 1 ? (int)(dense_place(1, rows, c, width, L) - at) : 0};
        }
    }
    size_t at(int row, int column) const { return all[column].first + (size_t)row * all[column].second; }
};

void pack_matrix(const Cell& cell, const Work& w, const int* number, int n, float* out) {
    const Columns columns(w.channels, n * w.C, w.out_stride, w.out_lanes);
    for_weights(cell, w, n, [&](const Member& k, int t, int i, int o) {
        out[columns.at(t * w.C + i, (int)k.offset + o)] = k.weight[o * k.by_out + i * k.by_in + number[t] * k.by_tap];
    });
}

// the same turned round, from the outputs to what they read
void pack_turned(const Cell& cell, const Work& w, const int* number, int n, float* out) {
    const Columns columns(w.C, n * w.channels, w.stride, w.lanes);
    for_weights(cell, w, n, [&](const Member& k, int t, int i, int o) {
        out[columns.at(t * w.channels + (int)k.offset + o, i)] =
            k.weight[o * k.by_out + i * k.by_in + number[t] * k.by_tap];
    });
}

struct Scratch {  // of one thread
    Buffer frame, z, dy, dz, total, all, coefficient;
};
thread_local Scratch scratch;
thread_local Heap heap;

Work work_of(const Cell& cell, const Conv& conv) {
    Work w{};
    w.conv = &conv, w.view = &cell.views[conv.view], w.in = &cell.maps[w.view->map], w.out = &cell.maps[conv.out];
    w.C = (int)w.view->channels, w.lanes = lanes_for(w.C), w.stride = padded(w.C, w.lanes);
    w.channels = (int)w.out->channels, w.out_lanes = w.has_matrix() ? lanes_for(w.channels) : w.lanes;
    w.out_stride = (int)w.out->stride;
    return w;
}

ReadWork read_of(const Cell& cell, const Read& read, std::vector<Work>& works) {
    ReadWork r{};
    r.read = &read, r.view = &cell.views[read.view], r.map = &cell.maps[r.view->map];
    r.lanes = lanes_for((int)r.view->channels), r.stride = padded((int)r.view->channels, r.lanes);
    r.frame.height = (int)r.map->height, r.frame.width = (int)r.map->width, r.frame.stride = r.stride;
    for (int k = 0; k < read.convs; k++)
        if (!cell.convs[read.first_conv + k].depthwise.present) r.frame.stride = apart(r.stride);
    r.first = (int)works.size(), r.count = (int)read.convs;
    for (int k = 0; k < r.count; k++) {
        const Conv& conv = cell.convs[read.first_conv + k];
        works.push_back(work_of(cell, conv));
        r.frame.reach(conv.depthwise.present ? conv.depthwise : conv.dense, *works.back().out);
    }
    return r;
}

bool same(const Geometry& a, const Geometry& b) { return !memcmp(&a, &b, sizeof(Geometry)); }

// A convolution of the same read that differs in its weights only: both share their tables.
const Work* twin(const std::vector<Work>& works, const ReadWork& r, const Work& w) {
    for (const Work* other = &works[r.first]; other < &w; other++)
        if (same(other->conv->depthwise, w.conv->depthwise) && same(other->conv->dense, w.conv->dense) &&
            other->out_stride == w.out_stride && other->channels == w.channels)
            return other;
    return nullptr;
}

void plan_spatial(Work& w, const Frame& frame, const Work* twin) {
    static const int zero = 0;
    w.tap0 = (int*)&zero;
    const Geometry& g = w.has_filter() ? w.conv->depthwise : w.conv->dense;
    w.spatial = twin ? twin->spatial : forwards(heap, g, frame, *w.out);
    w.rows = twin ? twin->rows : line(heap, w.spatial.P, w.has_matrix() ? apart(w.stride) : w.stride);
    w.rows_out = twin ? twin->rows_out : line(heap, w.spatial.P, w.out_stride);
    if (w.has_filter()) w.filter = heap.zeros<float>((size_t)w.spatial.n * w.stride);
}

// The inside of a frame: act(scale * x + shift).
void fill(const ReadWork& r, const float* x, float* out) {
    const View& v = *r.view;
    r.frame.clear_edge(out);
    with_lanes(r.lanes, [&](auto lanes) {
        constexpr int L = lanes();
        const int C = (int)v.channels;
        for (int y = 0; y < r.frame.height; y++)
            for (int p = 0; p < r.frame.width; p++) {
                const float* from = x + ((size_t)y * r.frame.width + p) * r.map->stride + v.offset;
                float* to = out + r.frame.at(y, p);
                for (int k = 0; k * L < C; k++) {
                    Vec<L> u = load_n<L>(from + k * L, C - k * L);
                    if (v.norm) u = u * load<L>(scale(v) + k * L) + load<L>(shift(v) + k * L);
                    store<L>(to + k * L, v.relu ? relu<L>(u) : u);
                }
            }
    });
}

void spatial_filter(const Work& w, const float* frame, int from, int count, float* z) {
    with_lanes(w.lanes, [&](auto lanes) {
        constexpr int L = lanes();
        depthwise<L>(frame, w.spatial.in + from, count, w.spatial.tap, w.spatial.n, w.filter, w.stride / L, z, w.rows,
                     false);
    });
}

int threads_for(const Cell& cell, int64_t units) { return (int)std::max<int64_t>(1, std::min(cell.threads, units)); }

}  // namespace
