// A cell in two calls: forward computes all its states, backward all gradients.
//
// Python describes the cell by tables of 64-bit fields (`archgrad.engine.native.plan` writes them; the structures here
// and the lists of fields there are the same). A *map* is a state, what a convolution or a pool returns, or a map that
// torch computed; a *view* is act(BN(some channels of a map)), which either convolutions read or a state adds up.
//
// Work goes phase by phase, a phase image by image: add up a state, then all convolutions and pools that read it,
// while it is in cache. Between phases stand batch statistics. Whatever is summed over images is kept per image, or
// per part of the batch whose size depends on nothing else, and added in a fixed order: results are the same with any
// number of threads.
#include <cmath>
#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#endif

#include "kernels.h"

namespace {

struct Map {
    float* values;
    int64_t stride, channels, height, width;
    float* gradient;     // states: where backward puts it, null if nobody asks
    const float* given;  // states: what comes from outside the cell, or null
};

enum Norm { NONE, BATCH, RUNNING };

struct View {
    int64_t map, offset, channels, relu;
    int64_t norm, track;
    const float *gamma, *beta;
    float *running_mean, *running_var;
    int64_t* batches;
    float *d_gamma, *d_beta;
    float* vectors;         // mean, scale, shift, deviation of the channels: kept from forward to backward
    int64_t target, place;  // the state that adds it up and its weight; -1 if convolutions read it; -1 for weight 1
    const float* factor;    // per image, of what a state adds up; null: 1
    float* gradient;        // of what convolutions read, behind the ReLU
    double eps, momentum;   // momentum < 0: the average over all batches
};

struct Geometry {
    int64_t present, rows, columns, row_dilation, column_dilation, top, left, row_stride, column_stride;
    int64_t diagonal;  // only the taps (0, 0), (1, 1), ...
};

struct Member {  // candidates whose convolutions do the same are one convolution to more channels
    int64_t offset, channels;
    const float* weight;
    int64_t by_out, by_in, by_tap;  // steps in it
    float* d_weight;
};

struct Conv {
    int64_t view, out, first_member, members;
    const float* depthwise_weight;
    float* d_depthwise_weight;
    Geometry depthwise, dense;
};

struct Pool {
    int64_t in, out, stride;
    uint8_t* place;  // of the maximum; null for the mean
};

struct State {
    int64_t map, first_term, terms;
};

struct Read {
    int64_t view, first_conv, convs;
};

struct Source {  // what is read in a phase: a state, by several views and pools, or (map < 0) one hidden view
    int64_t map, first_read, reads, first_pool, pools, first_term, terms;
};

struct Phase {
    int64_t first_state, states, first_source, sources, first_view, views, first_pool, pools;
};

struct Cell {
    Map* maps;
    View* views;
    Conv* convs;
    Member* members;
    Pool* pools;
    State* states;
    Source* sources;
    Read* reads;
    Phase* phases;
    const int64_t* terms;   // of states: views, sorted by target
    const int64_t* leaving; // views of states that other states add up as they are, sorted by source
    int64_t maps_count, views_count, phases_count, images, threads;
    const float* weights;   // of the mixture; null: all are 1
    float* d_weights;

    explicit Cell(int64_t* header) {
        auto at = [&](int i) { return header + header[i]; };
        maps = (Map*)at(0), views = (View*)at(1), convs = (Conv*)at(2), members = (Member*)at(3), pools = (Pool*)at(4);
        states = (State*)at(5), sources = (Source*)at(6), reads = (Read*)at(7), phases = (Phase*)at(8);
        terms = at(9), leaving = at(10);
        maps_count = header[11], views_count = header[12], phases_count = header[13];
        images = header[14], threads = header[15];
        weights = (const float*)header[16], d_weights = (float*)header[17];
    }
    float weight(const View& v) const { return weights && v.place >= 0 ? weights[v.place] : 1.f; }
};

constexpr int ROW = 16;    // vectors of channels start at multiples of it
constexpr int CHUNK = 64;  // pixels that are convolved before their statistics are taken: they stay in the first cache
constexpr int PARTS = 8;   // of a batch, each with weight gradients of its own

// A distance between pixels of which several are read at once: were it whole lines of the cache, all would lie in one
// bank of it, and be read one after the other.
int apart(int stride) { return stride % 16 ? stride : stride + 8; }
int up(int64_t channels) { return padded((int)channels, ROW); }
int64_t pixels(const Map& m) { return m.height * m.width; }
const float* mean(const View& v) { return v.vectors; }
const float* scale(const View& v) { return v.vectors + up(v.channels); }
const float* shift(const View& v) { return v.vectors + 2 * up(v.channels); }
const float* deviation(const View& v) { return v.vectors + 3 * up(v.channels); }
const float* image(const Map& m, int64_t i) { return m.values + i * pixels(m) * m.stride; }
float* image(Map& m, int64_t i) { return m.values + i * pixels(m) * m.stride; }

// ---- geometry ---------------------------------------------------------------------------------------------------

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

// ---- what one pass needs of a convolution and of a read -----------------------------------------------------------

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
    bool has_filter() const { return conv->depthwise.present; }
    bool has_matrix() const { return conv->dense.present; }
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

void plan_spatial(Work& w, const Frame& frame) {
    static const int zero = 0;
    w.spatial = forwards(heap, w.has_filter() ? w.conv->depthwise : w.conv->dense, frame, *w.out);
    w.tap0 = (int*)&zero;
    w.rows = line(heap, w.spatial.P, w.has_matrix() ? apart(w.stride) : w.stride);
    w.rows_out = line(heap, w.spatial.P, w.out_stride);
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

int threads_for(const Cell& cell, int64_t units) { return (int)std::max<int64_t>(1, std::min(cell.threads, units)); }

// ---- forward ----------------------------------------------------------------------------------------------------

void spatial_filter(const Work& w, const float* frame, int from, int count, float* z) {
    with_lanes(w.lanes, [&](auto lanes) {
        constexpr int L = lanes();
        depthwise<L>(frame, w.spatial.in + from, count, w.spatial.tap, w.spatial.n, w.filter, w.stride / L, z, w.rows,
                     false);
    });
}

void take_moments(int lanes, const float* y, int stride, int count, bool first, float* partial) {
    if (first) memcpy(partial, y + (size_t)(count / 2) * stride, stride * 4), memset(partial + stride, 0, stride * 8);
    with_lanes(lanes, [&](auto l) {
        constexpr int L = l();
        moments<L>(y, stride, count, stride / L, partial, partial + stride, partial + 2 * stride);
    });
}

void convolve(const Work& w, const float* frame, int64_t i) {
    float* y = image(*(Map*)w.out, i);
    float* z = scratch.z.get((size_t)CHUNK * apart(w.stride));
    for (int p = 0; p < w.spatial.P; p += CHUNK) {
        const int n = std::min(CHUNK, w.spatial.P - p);
        float* to = y + (size_t)p * w.out_stride;
        if (w.has_filter()) spatial_filter(w, frame, p, n, w.has_matrix() ? z : to);
        if (w.has_matrix())
            with_lanes(w.out_lanes, [&](auto lanes) {
                constexpr int L = lanes();
                const int V = w.out_stride / L;
                if (w.has_filter()) dense<L>(z, w.rows, n, w.tap0, 1, w.C, w.matrix, V, to, w.rows_out, false);
                else
                    dense<L>(frame, w.spatial.in + p, n, w.spatial.tap, w.spatial.n, w.C, w.matrix, V, to, w.rows_out,
                             false);
            });
        if (w.partial)
            take_moments(w.out_lanes, to, w.out_stride, n, p == 0, w.partial + i * 3 * w.out_stride);
    }
}

void pool(const Pool& pool, const Map& in, Map& out, float* partial, int64_t i) {
    const int lanes = lanes_for((int)in.channels);
    float* y = image(out, i);
    uint8_t* place = pool.place ? pool.place + i * pixels(out) * out.stride : nullptr;
    if (pool.stride == 1 && out.stride == in.channels)
        pool_rows_forward<WIDEST>(image(in, i), (int)in.channels, (int)in.height, (int)in.width, y, place);
    else
        with_lanes(lanes, [&](auto l) {
            pool_forward<l()>(image(in, i), (int)in.channels, (int)in.height, (int)in.width, (int)pool.stride,
                              (int)out.height, (int)out.width, y, (int)out.stride, place);
        });
    if (partial) take_moments(lanes, y, (int)out.stride, (int)pixels(out), true, partial + i * 3 * out.stride);
}

struct Sum {
    Map* map;
    std::vector<Summand> terms;
    float* shift;
    std::vector<const float*> factors;
};

Sum sum_of(const Cell& cell, const State& state) {
    Sum sum{&cell.maps[state.map], {}, nullptr, {}};
    const int C = up(sum.map->channels);
    std::vector<double> low(C, 0.0);
    for (int64_t k = 0; k < state.terms; k++) {
        const View& v = cell.views[cell.terms[state.first_term + k]];
        const Map& map = cell.maps[v.map];
        const float w = cell.weight(v);
        float *s = heap.zeros<float>(C), *t = heap.zeros<float>(C);
        for (int c = 0; c < v.channels; c++) {
            const float a = v.norm ? scale(v)[c] : 1.f, b = v.norm ? shift(v)[c] : 0.f;
            s[c] = v.relu ? a : w * a;
            t[c] = v.relu ? b : w * b;
            if (!v.relu && !v.factor) low[c] += (double)w * b;
        }
        sum.factors.push_back(v.factor);
        sum.terms.push_back({map.values + v.offset, (int)map.stride, v.relu != 0, s, t, w});
    }
    sum.shift = heap.zeros<float>(C);
    for (int c = 0; c < C; c++) sum.shift[c] = (float)low[c];
    return sum;
}

void add_up(const Sum& sum, int64_t i) {
    const int P = (int)pixels(*sum.map), C = (int)sum.map->channels, row = up(C);
    const size_t K = sum.terms.size();
    float* low = scratch.coefficient.get((K + 1) * row + K * sizeof(Summand) / 4);
    Summand* terms = (Summand*)(low + (K + 1) * row);
    memcpy(low, sum.shift, row * 4);
    for (size_t k = 0; k < K; k++) {
        Summand& t = terms[k] = sum.terms[k];
        t.y += i * P * t.stride;
        if (!sum.factors[k]) continue;
        const float f = sum.factors[k][i];
        t.w *= f;
        if (t.rectified) continue;
        float* s = low + (k + 1) * row;
        for (int c = 0; c < row; c++) s[c] = f * t.scale[c], low[c] += f * t.shift[c];
        t.scale = s;
    }
    with_lanes(lanes_for(C), [&](auto lanes) {
        sum_forward<lanes()>(terms, (int)K, low, P, C, image(*sum.map, i));
    });
}

// Mean and biased variance over all images, from sums around a pivot of each.
void merge(int64_t images, int64_t P, int stride, const float* partial, double* mean, double* variance) {
    std::vector<double> square(stride, 0.0);
    std::fill(mean, mean + stride, 0.0);
    std::fill(variance, variance + stride, 0.0);
    for (int64_t i = 0; i < images; i++) {
        const float *pivot = partial + i * 3 * stride, *s1 = pivot + stride;
        for (int c = 0; c < stride; c++) mean[c] += pivot[c] + s1[c] / (double)P;
    }
    for (int c = 0; c < stride; c++) mean[c] /= (double)images;
    for (int64_t i = 0; i < images; i++) {
        const float *pivot = partial + i * 3 * stride, *s1 = pivot + stride, *s2 = s1 + stride;
        for (int c = 0; c < stride; c++) {
            const double a = s1[c] / (double)P, d = pivot[c] + a - mean[c];
            variance[c] += s2[c] / (double)P - a * a + d * d;
        }
    }
    for (int c = 0; c < stride; c++) variance[c] = variance[c] < 0 ? 0 : variance[c] / (double)images;
}

void track(const View& v, const double* mean, const double* variance, int64_t values) {
    double factor = v.momentum;
    if (v.batches) ++*v.batches;
    if (factor < 0) factor = v.batches ? 1.0 / (double)*v.batches : 0.0;
    const double unbiased = (double)values / (double)(values - 1);
    for (int c = 0; c < v.channels; c++) {
        v.running_mean[c] = (float)((1 - factor) * v.running_mean[c] + factor * mean[c]);
        v.running_var[c] = (float)((1 - factor) * v.running_var[c] + factor * unbiased * variance[c]);
    }
}

// Scale and shift of a view whose map is complete.
void normalise(const Cell& cell, View& v, const double* mean, const double* variance) {
    const int step = up(v.channels);
    const int64_t values = cell.images * pixels(cell.maps[v.map]);
    for (int c = 0; c < v.channels; c++) {
        const double m = v.norm == BATCH ? mean[v.offset + c] : v.running_mean[c];
        const double d = 1 / std::sqrt((v.norm == BATCH ? variance[v.offset + c] : (double)v.running_var[c]) + v.eps);
        const double s = v.gamma ? d * v.gamma[c] : d;
        v.vectors[c] = (float)m;
        v.vectors[step + c] = (float)s;
        v.vectors[2 * step + c] = (float)((v.beta ? v.beta[c] : 0.0) - m * s);
        v.vectors[3 * step + c] = (float)d;
    }
    if (v.track) track(v, mean + v.offset, variance + v.offset, values);
}

void forward_phase(const Cell& cell, const Phase& phase, const std::vector<char>& statistics) {
    heap.reset();
    std::vector<Work> works;
    std::vector<ReadWork> reads;
    std::vector<Sum> sums;
    std::vector<float*> pooled;
    std::vector<std::pair<const Map*, float*>> complete;
    auto partial = [&](int64_t map) -> float* {
        if (!statistics[map]) return nullptr;
        float* at = heap.get<float>(cell.images * 3 * cell.maps[map].stride);
        complete.push_back({&cell.maps[map], at});
        return at;
    };
    for (int64_t s = 0; s < phase.states; s++) sums.push_back(sum_of(cell, cell.states[phase.first_state + s]));
    for (int64_t s = 0; s < phase.sources; s++) {
        const Source& source = cell.sources[phase.first_source + s];
        for (int64_t k = 0; k < source.reads; k++) {
            reads.push_back(read_of(cell, cell.reads[source.first_read + k], works));
            const ReadWork& r = reads.back();
            for (int n = r.first; n < r.first + r.count; n++) {
                Work& w = works[n];
                plan_spatial(w, r.frame);
                if (w.has_matrix())
                    w.matrix = heap.zeros<float>((size_t)(w.has_filter() ? 1 : w.spatial.n) * w.C * w.out_stride);
                w.partial = partial(w.conv->out);
            }
        }
    }
    for (int64_t k = 0; k < phase.pools; k++) pooled.push_back(partial(cell.pools[phase.first_pool + k].out));
    static const int first = 0;
#pragma omp parallel num_threads(threads_for(cell, cell.images))
    {
#pragma omp for schedule(dynamic, 1)
        for (size_t n = 0; n < works.size(); n++) {
            const Work& w = works[n];
            if (w.has_filter()) pack_filter(w, w.spatial, w.filter);
            if (w.has_matrix()) {
                const bool pointwise = w.has_filter();
                pack_matrix(cell, w, pointwise ? &first : w.spatial.number, pointwise ? 1 : w.spatial.n, w.matrix);
            }
        }
#pragma omp for schedule(dynamic, 1)
        for (int64_t i = 0; i < cell.images; i++) {
            for (const Sum& sum : sums) add_up(sum, i);
            for (const ReadWork& r : reads) {
                float* frame = scratch.frame.get(r.frame.size());
                fill(r, image(*r.map, i), frame);
                for (int n = r.first; n < r.first + r.count; n++) convolve(works[n], frame, i);
            }
            for (int64_t k = 0; k < phase.pools; k++) {
                const Pool& p = cell.pools[phase.first_pool + k];
                pool(p, cell.maps[p.in], cell.maps[p.out], pooled[k], i);
            }
        }
    }
    std::vector<double*> moments_of(cell.maps_count, nullptr);
    for (auto& [map, at] : complete) {
        double* found = heap.get<double>(2 * map->stride);
        merge(cell.images, pixels(*map), (int)map->stride, at, found, found + map->stride);
        moments_of[map - cell.maps] = found;
    }
    for (int64_t k = 0; k < phase.views; k++) {
        View& v = cell.views[phase.first_view + k];
        const double* m = moments_of[v.map];
        if (v.norm) normalise(cell, v, m, m ? m + cell.maps[v.map].stride : nullptr);
    }
}

// ---- backward ---------------------------------------------------------------------------------------------------

// Per view: the gradient of its map is A g + B y + D, with g the gradient of the state that adds it up, or of what
// convolutions read.
struct Slope {
    float *A = nullptr, *B = nullptr, *D = nullptr;
    const float* g = nullptr;
    int g_stride = 0;
};

struct Backward {
    const Cell& cell;
    std::vector<Slope> slopes;
    std::vector<std::vector<int64_t>> of_map;  // views of each map, those of a convolution by their offset
    Heap kept;
};

// S and Q are sums over all pixels of g and of g (y - mean), with g behind the ReLU.
void slope(Backward& b, int64_t number, const double* S, const double* Q) {
    View& v = b.cell.views[number];
    Slope& s = b.slopes[number];
    const int C = up(v.channels);
    const double w = v.target >= 0 ? b.cell.weight(v) : 1.0;
    const double values = (double)(b.cell.images * pixels(b.cell.maps[v.map]));
    s.A = b.kept.zeros<float>(C);
    if (v.norm == BATCH) s.B = b.kept.zeros<float>(C), s.D = b.kept.zeros<float>(C);
    double product = 0;
    for (int c = 0; c < v.channels; c++) {
        if (!v.norm) {
            s.A[c] = (float)w;
            product += Q ? Q[c] : 0;
            continue;
        }
        const double m = mean(v)[c], a = scale(v)[c], d = deviation(v)[c], A = w * a, q = Q[c] * d;
        s.A[c] = (float)A;
        if (v.norm == BATCH) {
            const double B = -A * d * q / values;
            s.B[c] = (float)B;
            s.D[c] = (float)(-A * S[c] / values - B * m);
        }
        product += a * Q[c] + (shift(v)[c] + m * a) * S[c];
        if (v.d_gamma) v.d_gamma[c] = (float)(w * q);
        if (v.d_beta) v.d_beta[c] = (float)(w * S[c]);
    }
    if (b.cell.d_weights && v.target >= 0 && v.place >= 0) b.cell.d_weights[v.place] += (float)product;
}

// The gradient of channels of a map, from all views of them.
void gather(const Backward& b, const std::vector<int64_t>& views, const Map& map, int64_t i, float* out, const int* out_at,
            bool add) {
    int64_t before = -1;
    for (int64_t number : views) {
        const View& v = b.cell.views[number];
        const Slope& s = b.slopes[number];
        const bool rectified = v.relu && v.target >= 0;
        const int P = (int)pixels(map);
        Share share{s.g + i * P * s.g_stride, s.g_stride, rectified, scale(v), shift(v), s.A, s.B, s.D,
                    v.factor ? v.factor[i] : 1.f};
        if (rectified && !v.norm) {
            float* unit = scratch.coefficient.get(2 * up(v.channels));
            std::fill(unit, unit + up(v.channels), 1.f);
            std::fill(unit + up(v.channels), unit + 2 * up(v.channels), 0.f);
            share.scale = unit, share.shift = unit + up(v.channels);
        }
        with_lanes(lanes_for((int)v.channels), [&](auto lanes) {
            assemble<lanes()>(share, image(map, i) + v.offset, (int)map.stride, P, (int)v.channels, out + v.offset,
                              out_at, add || v.offset == before);
        });
        before = v.offset;
    }
}

void plan_backward(const Cell& cell, Work& w, bool needs_input, int units) {
    const Map& in = *w.in;
    const Geometry& g = w.has_filter() ? w.conv->depthwise : w.conv->dense;
    const int dz_stride = w.has_filter() ? w.stride : apart(w.out_stride);
    w.back = backwards(heap, g, *w.out, (int)in.height, (int)in.width, dz_stride, w.stride);
    w.dz_at = w.back.frame.inside(heap);
    w.dy_at = w.has_filter() && w.has_matrix() ? line(heap, w.spatial.P, apart(w.out_stride)) : w.dz_at;
    for (int part = 0; part < w.back.count && needs_input; part++) {
        const size_t n = w.back.parts[part].n;
        if (w.has_filter()) w.filters[part] = heap.zeros<float>(n * w.stride);
        else w.matrices[part] = heap.zeros<float>(n * w.channels * w.stride);
    }
    if (w.has_filter() && w.has_matrix()) w.turned = heap.zeros<float>((size_t)w.channels * w.stride);
    w.weights = w.conv->d_depthwise_weight != nullptr;
    for (int m = 0; m < w.conv->members; m++) w.weights |= cell.members[w.conv->first_member + m].d_weight != nullptr;
    if (!w.weights) return;
    w.filter_size = w.has_filter() ? (size_t)w.spatial.n * w.stride : 0;
    w.matrix_size = w.has_matrix() ? (size_t)(w.has_filter() ? 1 : w.spatial.n) * w.C * w.out_stride : 0;
    w.d_filter = heap.get<float>(w.filter_size * units + 1);
    w.d_matrix = heap.get<float>(w.matrix_size * units + 1);
}

void pack_backward(const Cell& cell, const Work& w, bool needs_input) {
    static const int first = 0;
    if (w.turned) pack_turned(cell, w, &first, 1, w.turned);
    for (int part = 0; part < w.back.count && needs_input; part++) {
        const Gather& g = w.back.parts[part];
        if (w.has_filter()) pack_filter(w, g, w.filters[part]);
        else pack_turned(cell, w, g.number, g.n, w.matrices[part]);
    }
    if (w.weights && w.has_filter()) pack_filter(w, w.spatial, w.filter);
}

// total (+)= the gradient of what this convolution reads
void convolve_backward(const Backward& b, const Work& w, const float* frame, int64_t i, int unit, float* total, bool add) {
    const bool both = w.has_filter() && w.has_matrix();
    const int P = w.spatial.P;
    float* dz = scratch.dz.get(w.back.frame.size());
    float* dy = both ? scratch.dy.get((size_t)P * apart(w.out_stride)) : dz;
    w.back.frame.clear_edge(dz);
    gather(b, b.of_map[w.conv->out], *w.out, i, dy, w.dy_at, false);
    with_lanes(w.lanes, [&](auto lanes) {
        constexpr int L = lanes();
        const int V = w.stride / L;
        if (both) dense<L>(dy, w.dy_at, P, w.tap0, 1, w.channels, w.turned, V, dz, w.dz_at, false);
        for (int part = 0; part < w.back.count && total; part++) {
            const Gather& g = w.back.parts[part];
            if (w.has_filter()) depthwise<L>(dz, g.in, g.P, g.tap, g.n, w.filters[part], V, total, g.out, add);
            else dense<L>(dz, g.in, g.P, g.tap, g.n, w.channels, w.matrices[part], V, total, g.out, add);
        }
        if (w.weights && w.has_filter())
            depthwise_outer<L>(frame, w.spatial.in, w.spatial.tap, w.spatial.n, dz, w.dz_at, P, V,
                               w.d_filter + unit * w.filter_size);
    });
    if (!w.weights || !w.has_matrix()) return;
    const float* z = frame;
    if (both) {
        float* again = scratch.z.get((size_t)P * apart(w.stride));
        spatial_filter(w, frame, 0, P, again);
        z = again;
    }
    with_lanes(w.out_lanes, [&](auto lanes) {
        constexpr int L = lanes();
        float* d = w.d_matrix + unit * w.matrix_size;
        if (both) outer<L>(z, w.rows, w.tap0, 1, w.C, dy, w.dy_at, P, w.out_stride / L, d);
        else outer<L>(z, w.spatial.in, w.spatial.tap, w.spatial.n, w.C, dy, w.dy_at, P, w.out_stride / L, d);
    });
}

// The gradient behind the ReLU of a read: into `all` (a state's), or to its place with its sums (a hidden view's).
void close_read(const ReadWork& r, int64_t i, const float* total, float* all) {
    const View& v = *r.view;
    const int P = (int)pixels(*r.map), C = (int)v.channels;
    const float* x = image(*r.map, i) + v.offset;
    const bool sums = !all && v.norm;
    float* out = all ? all : v.gradient + (size_t)i * P * C;
    with_lanes(r.lanes, [&](auto lanes) {
        constexpr int L = lanes();
        for (int k = 0; k * L < C; k++) {
            const int room = C - k * L;
            Vec<L> S{}, Q{};
            const Vec<L> m = v.norm ? load<L>(mean(v) + k * L) : Vec<L>{};
            for (int p = 0; p < P; p++) {
                Vec<L> t = load<L>(total + (size_t)p * r.stride + k * L);
                const Vec<L> u = load_n<L>(x + (size_t)p * r.map->stride + k * L, room);
                if (v.relu) t = passed<L>(v.norm ? u * load<L>(scale(v) + k * L) + load<L>(shift(v) + k * L) : u, t);
                if (all) {
                    float* to = out + (size_t)p * r.stride + k * L;
                    store<L>(to, load<L>(to) + t);
                    continue;
                }
                S += t;
                Q += t * (u - m);
                store_n<L>(out + (size_t)p * C + k * L, t, room);
            }
            if (sums) {
                float* at = r.partial + (size_t)i * 2 * r.stride + k * L;
                store<L>(at, S);
                store<L>(at + r.stride, Q);
            }
        }
    });
}

struct SumBack {
    Map* map;
    const State* state;
    std::vector<Product> terms;
    int C, rows;      // of vectors per image: S, then Q and S of every term
    float* partial;
};

SumBack products_of(const Cell& cell, const State& state) {
    SumBack s{&cell.maps[state.map], &state, {}, up(cell.maps[state.map].channels), 0, nullptr};
    s.rows = 1 + 2 * (int)state.terms;
    s.partial = heap.get<float>((size_t)cell.images * s.rows * s.C);
    float* unit = heap.zeros<float>(2 * s.C);
    std::fill(unit + s.C, unit + 2 * s.C, 1.f);
    for (int64_t k = 0; k < state.terms; k++) {
        const View& v = cell.views[cell.terms[state.first_term + k]];
        const Map& map = cell.maps[v.map];
        if (!v.norm && !cell.d_weights) continue;  // nobody asks for its sums
        if (!v.norm && v.place < 0) continue;
        s.terms.push_back({map.values + v.offset, (int)map.stride, v.relu != 0, v.norm ? mean(v) : unit,
                           v.norm ? scale(v) : unit + s.C, v.norm ? shift(v) : unit,
                           (float*)(intptr_t)((1 + 2 * k) * s.C * 4), (float*)(intptr_t)((2 + 2 * k) * s.C * 4)});
    }
    return s;
}

void products(const SumBack& s, int64_t i) {
    const int P = (int)pixels(*s.map), C = (int)s.map->channels;
    float* at = s.partial + (size_t)i * s.rows * s.C;
    memset(at, 0, (size_t)s.rows * s.C * 4);
    Product* terms = (Product*)scratch.coefficient.get(s.terms.size() * sizeof(Product) / 4 + 1);
    for (size_t k = 0; k < s.terms.size(); k++) {
        terms[k] = s.terms[k];
        terms[k].y += (size_t)i * P * terms[k].stride;
        terms[k].Q = (float*)((char*)at + (intptr_t)s.terms[k].Q);
        terms[k].S = (float*)((char*)at + (intptr_t)s.terms[k].S);
    }
    with_lanes(lanes_for(C), [&](auto lanes) {
        sum_backward<lanes()>(terms, (int)s.terms.size(), s.map->gradient + (size_t)i * P * C, P, C, at);
    });
}

void add_images(int64_t images, int size, const float* partial, double* total) {
    std::fill(total, total + size, 0.0);
    for (int64_t i = 0; i < images; i++)
        for (int j = 0; j < size; j++) total[j] += partial[i * size + j];
}

void finish_sum(Backward& b, const SumBack& s) {
    std::vector<double> total((size_t)s.rows * s.C);
    add_images(b.cell.images, s.rows * s.C, s.partial, total.data());
    for (int64_t k = 0; k < s.state->terms; k++) {
        const int64_t number = b.cell.terms[s.state->first_term + k];
        const View& v = b.cell.views[number];
        b.slopes[number].g = s.map->gradient, b.slopes[number].g_stride = (int)s.map->channels;
        const int own = (1 + 2 * (int)k) * s.C, of_g = v.relu ? own + s.C : 0;
        if (v.factor) {
            double *Q = total.data() + own, *S = Q + s.C;  // what else would be in the place of S is in that of all
            for (int c = 0; c < s.C; c++) {
                Q[c] = S[c] = 0;
                for (int64_t i = 0; i < b.cell.images; i++) {
                    const float* at = s.partial + (size_t)i * s.rows * s.C + c;
                    Q[c] += (double)v.factor[i] * at[own], S[c] += (double)v.factor[i] * at[of_g];
                }
            }
            slope(b, number, S, Q);
        } else slope(b, number, total.data() + of_g, total.data() + own);
    }
}

// Weight gradients: the parts of the batch in their order, then to where torch wants them.
void finish_weights(const Cell& cell, const Work& w, int units) {
    if (!w.weights) return;
    for (int u = 1; u < units; u++) {
        for (size_t j = 0; j < w.filter_size; j++) w.d_filter[j] += w.d_filter[u * w.filter_size + j];
        for (size_t j = 0; j < w.matrix_size; j++) w.d_matrix[j] += w.d_matrix[u * w.matrix_size + j];
    }
    if (w.conv->d_depthwise_weight)
        for (int c = 0; c < w.C; c++)
            for (int t = 0; t < w.spatial.n; t++)
                w.conv->d_depthwise_weight[c * w.spatial.n + t] = w.d_filter[(size_t)t * w.stride + c];
    for_weights(cell, w, w.has_filter() ? 1 : w.spatial.n, [&](const Member& k, int t, int i, int o) {
        if (k.d_weight)
            k.d_weight[o * k.by_out + i * k.by_in + t * k.by_tap] =
                w.d_matrix[((size_t)t * w.C + i) * w.out_stride + k.offset + o];
    });
}

struct SourceWork {
    const Source* source;
    Map* map;  // null: a hidden view
    int lanes, stride, first_read, reads;
    const int* rows;
    std::vector<int64_t> leaving;  // views that other states add up
};

bool asked(const SourceWork& s, const std::vector<ReadWork>& reads) {
    return s.map ? s.map->gradient != nullptr : reads[s.first_read].view->gradient != nullptr;
}

// The gradient of one image of a source.
void source_backward(const Backward& b, const SourceWork& s, const std::vector<ReadWork>& reads,
                     const std::vector<Work>& works, int64_t i, int unit) {
    const Cell& cell = b.cell;
    const bool wanted = asked(s, reads);
    const int P = s.map ? (int)pixels(*s.map) : 0, C = s.map ? (int)s.map->channels : 0;
    float* all = nullptr;
    if (s.map && wanted) {
        all = scratch.all.get((size_t)P * s.stride);
        if (s.map->given)
            with_lanes(s.lanes, [&](auto lanes) {
                constexpr int L = lanes();
                for (int p = 0; p < P; p++)
                    for (int v = 0; v * L < C; v++)
                        store<L>(all + (size_t)p * s.stride + v * L,
                                 load_n<L>(s.map->given + ((size_t)i * P + p) * C + v * L, C - v * L));
            });
        else memset(all, 0, (size_t)P * s.stride * 4);
        gather(b, s.leaving, *s.map, i, all, s.rows, true);
        for (int64_t k = 0; k < s.source->pools; k++) {
            const Pool& pool = cell.pools[s.source->first_pool + k];
            const Map& out = cell.maps[pool.out];
            float* e = scratch.dy.get((size_t)pixels(out) * out.stride);
            int* at = (int*)scratch.z.get((size_t)pixels(out));
            for (int p = 0; p < pixels(out); p++) at[p] = p * (int)out.stride;
            gather(b, b.of_map[pool.out], out, i, e, at, false);
            const uint8_t* place = pool.place ? pool.place + (size_t)i * pixels(out) * out.stride : nullptr;
            if (pool.stride == 1 && s.stride == C) {
                pool_rows_backward<WIDEST>(e, C, (int)out.height, (int)out.width, place, all);
                continue;
            }
            with_lanes(s.lanes, [&](auto lanes) {
                constexpr int L = lanes();
                pool_backward<L>(e, (int)out.stride, (int)out.stride / L, (int)s.map->height, (int)s.map->width,
                                 (int)pool.stride, (int)out.height, (int)out.width, place, (int)out.stride, all,
                                 s.stride);
            });
        }
    }
    for (int n = s.first_read; n < s.first_read + s.reads; n++) {
        const ReadWork& r = reads[n];
        bool weights = false;
        for (int k = r.first; k < r.first + r.count; k++) weights |= works[k].weights;
        if (!wanted && !weights) continue;
        float* frame = nullptr;
        if (weights) fill(r, image(*r.map, i), frame = scratch.frame.get(r.frame.size()));
        float* total = wanted ? scratch.total.get(pixels(*r.map) * r.stride) : nullptr;
        for (int k = r.first; k < r.first + r.count; k++)
            if (wanted || works[k].weights) convolve_backward(b, works[k], frame, i, unit, total, k > r.first);
        if (wanted) close_read(r, i, total, all);
    }
    if (all)
        with_lanes(s.lanes, [&](auto lanes) {
            constexpr int L = lanes();
            for (int p = 0; p < P; p++)
                for (int v = 0; v * L < C; v++)
                    store_n<L>(s.map->gradient + ((size_t)i * P + p) * C + v * L,
                               load<L>(all + (size_t)p * s.stride + v * L), C - v * L);
        });
}

void backward_phase(Backward& b, const Phase& phase) {
    const Cell& cell = b.cell;
    heap.reset();
    std::vector<Work> works;
    std::vector<ReadWork> reads;
    std::vector<SourceWork> sources;
    std::vector<SumBack> sums;
    bool weights = false;
    for (int64_t s = 0; s < phase.sources; s++) {
        const Source& source = cell.sources[phase.first_source + s];
        SourceWork w{&source, source.map < 0 ? nullptr : &cell.maps[source.map], 0, 0, (int)reads.size(),
                     (int)source.reads, nullptr, {}};
        if (w.map) {
            w.lanes = lanes_for((int)w.map->channels), w.stride = padded((int)w.map->channels, w.lanes);
            w.rows = line(heap, pixels(*w.map), w.stride);
            for (int64_t k = 0; k < source.terms; k++) w.leaving.push_back(cell.leaving[source.first_term + k]);
        }
        for (int64_t k = 0; k < source.reads; k++) {
            reads.push_back(read_of(cell, cell.reads[source.first_read + k], works));
            for (int n = reads.back().first; n < reads.back().first + reads.back().count; n++) {
                const Conv& conv = *works[n].conv;
                weights |= conv.d_depthwise_weight != nullptr;
                for (int m = 0; m < conv.members; m++)
                    weights |= cell.members[conv.first_member + m].d_weight != nullptr;
            }
            if (!w.map) reads.back().partial = heap.zeros<float>((size_t)cell.images * 2 * reads.back().stride);
        }
        sources.push_back(w);
    }
    const int64_t units = weights ? std::min<int64_t>(cell.images, PARTS) : cell.images;
    std::vector<char> needs(works.size());
    for (const SourceWork& s : sources)
        for (int n = s.first_read; n < s.first_read + s.reads; n++)
            for (int k = reads[n].first; k < reads[n].first + reads[n].count; k++) {
                needs[k] = asked(s, reads);
                plan_spatial(works[k], reads[n].frame);
                plan_backward(cell, works[k], needs[k], (int)units);
            }
    for (int64_t s = 0; s < phase.states; s++) sums.push_back(products_of(cell, cell.states[phase.first_state + s]));
#pragma omp parallel num_threads(threads_for(cell, units))
    {
#pragma omp for schedule(dynamic, 1)
        for (size_t n = 0; n < works.size(); n++) pack_backward(cell, works[n], needs[n]);
#pragma omp for schedule(dynamic, 1)
        for (int64_t unit = 0; unit < units; unit++) {
            for (const Work& w : works)
                if (w.weights) {
                    memset(w.d_filter + unit * w.filter_size, 0, w.filter_size * 4);
                    memset(w.d_matrix + unit * w.matrix_size, 0, w.matrix_size * 4);
                }
            for (int64_t i = cell.images * unit / units; i < cell.images * (unit + 1) / units; i++) {
                for (const SourceWork& s : sources) source_backward(b, s, reads, works, i, (int)unit);
                for (const SumBack& s : sums) products(s, i);
            }
        }
#pragma omp for schedule(dynamic, 1)
        for (size_t n = 0; n < works.size(); n++) finish_weights(cell, works[n], (int)units);
    }
    for (const SumBack& s : sums) finish_sum(b, s);
    for (const SourceWork& s : sources)
        if (!s.map && asked(s, reads)) {
            const ReadWork& r = reads[s.first_read];
            std::vector<double> total(2 * r.stride);
            add_images(cell.images, 2 * r.stride, r.partial, total.data());
            const int64_t number = r.read->view;
            b.slopes[number].g = r.view->gradient, b.slopes[number].g_stride = (int)r.view->channels;
            slope(b, number, total.data(), total.data() + r.stride);
        }
}

}  // namespace

extern "C" {

void archgrad_forward(int64_t* header) {
    const Cell cell(header);
    std::vector<char> statistics(cell.maps_count, 0);
    for (int64_t p = 0; p < cell.phases_count; p++)
        for (int64_t k = 0; k < cell.phases[p].views; k++) {
            const View& v = cell.views[cell.phases[p].first_view + k];
            if (v.norm == BATCH) statistics[v.map] = 1;
        }
    for (int64_t p = 0; p < cell.phases_count; p++) forward_phase(cell, cell.phases[p], statistics);
}

void archgrad_backward(int64_t* header) {
    const Cell cell(header);
    Backward b{cell, std::vector<Slope>(cell.views_count), std::vector<std::vector<int64_t>>(cell.maps_count), {}};
    for (int64_t p = 0; p < cell.phases_count; p++) {
        const Phase& phase = cell.phases[p];
        for (int64_t k = 0; k < phase.views; k++)
            b.of_map[cell.views[phase.first_view + k].map].push_back(phase.first_view + k);
    }
    for (int64_t p = cell.phases_count - 1; p >= 0; p--) backward_phase(b, cell.phases[p]);
}

// Ask for large pages under memory that is about to be filled: the system clears them much faster than small ones.
void archgrad_large_pages(void* memory, int64_t bytes) {
#if defined(__linux__)
    madvise(memory, bytes, MADV_HUGEPAGE);
#else
    (void)memory, (void)bytes;
#endif
}

// What is in this memory is needed no more: under pressure the system may take it.
void archgrad_may_be_taken(void* memory, int64_t bytes) {
#if defined(MADV_FREE)
    madvise(memory, bytes, MADV_FREE);
#else
    (void)memory, (void)bytes;
#endif
}

// How far apart the pixels of a map of so many channels are.
int64_t archgrad_stride(int64_t channels) { return padded((int)channels, lanes_for((int)channels)); }

// The size of every table's rows in 64-bit fields, by which Python checks that it writes what is read here.
void archgrad_sizes(int64_t* sizes) {
    const size_t all[] = {sizeof(Map),   sizeof(View),   sizeof(Conv), sizeof(Member), sizeof(Pool),
                          sizeof(State), sizeof(Source), sizeof(Read), sizeof(Phase)};
    for (int i = 0; i < 9; i++) sizes[i] = (int64_t)all[i] / 8;
}
}
