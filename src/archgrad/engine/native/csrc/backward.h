// A phase of the backward pass.
#pragma once
#include "pools.h"
#include "slopes.h"

namespace {

constexpr int PARTS = 8;  // of a batch, each with weight gradients of its own

// Gradients of weights that do not fit into the first cache take several images of small maps at once: else much of the
// time goes into loading and storing their sums.
constexpr int LARGE = 32768, PIXELS = 256, TOGETHER = 8;

bool asks_weights(const Cell& cell, const Conv& conv) {
    bool found = conv.d_depthwise_weight != nullptr;
    for (int m = 0; m < conv.members; m++) found |= cell.members[conv.first_member + m].d_weight != nullptr;
    return found;
}

int together(const std::vector<Work>& works, int64_t images_of_part) {
    int64_t most = 1, bytes = 0;
    for (const Work& w : works) {
        const Geometry& g = w.conv->dense;
        most = std::max({most, pixels(*w.in), pixels(*w.out)});
        if (w.has_matrix()) bytes = std::max(bytes, g.rows * g.columns * w.C * w.out_stride * 4);
    }
    if (bytes < LARGE) return 1;
    return (int)std::max<int64_t>(1, std::min({PIXELS / most, (int64_t)TOGETHER, images_of_part}));
}

int* several(const int* at, int P, int images, size_t size) {
    int* found = heap.get<int>((size_t)P * images);
    for (int i = 0; i < images; i++)
        for (int p = 0; p < P; p++) found[i * P + p] = at[p] + (int)(i * size);
    return found;
}

void plan_backward(const Cell& cell, Work& w, const ReadWork& r, const Work* twin, bool needs_input, int units,
                   int images) {
    const Map& in = *w.in;
    const Geometry& g = w.has_filter() ? w.conv->depthwise : w.conv->dense;
    const bool both = w.has_filter() && w.has_matrix();
    const int dz_stride = w.has_filter() ? w.stride : apart(w.out_stride), P = w.spatial.P;
    if (twin) w.back = twin->back, w.dz_at = twin->dz_at, w.dy_at = twin->dy_at;
    else {
        w.back = backwards(heap, g, *w.out, (int)in.height, (int)in.width, dz_stride, w.stride);
        w.dz_at = w.back.frame.inside(heap);
        w.dy_at = both ? line(heap, P, apart(w.out_stride)) : w.dz_at;
    }
    for (int part = 0; part < w.back.count && needs_input; part++) {
        const size_t n = w.back.parts[part].n;
        if (w.has_filter()) w.filters[part] = heap.zeros<float>(n * w.stride);
        else w.matrices[part] = heap.zeros<float>(n * w.channels * w.stride);
    }
    if (both) w.turned = heap.zeros<float>((size_t)w.channels * w.stride);
    w.weights = asks_weights(cell, *w.conv);
    if (!w.weights) return;
    w.filter_size = w.has_filter() ? (size_t)w.spatial.n * w.stride : 0;
    w.matrix_size = w.has_matrix() ? (size_t)(w.has_filter() ? 1 : w.spatial.n) * w.C * w.out_stride : 0;
    w.d_filter = heap.get<float>(w.filter_size * units + 1);
    w.d_matrix = heap.get<float>(w.matrix_size * units + 1);
    if (!w.has_matrix()) return;
    if (twin && twin->weights) {
        w.e_at = twin->e_at, w.x_at = twin->x_at;
        return;
    }
    w.e_at = several(w.dy_at, P, images, w.dy_size());
    w.x_at = both ? several(w.rows, P, images, w.z_size()) : several(w.spatial.in, P, images, r.frame.size());
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

// Images that are taken together, and their part of the batch.
struct Some {
    int64_t first;
    int count, unit;
};

// total (+)= the gradient of what this convolution reads; ``frame`` and ``total``: of all these images
void convolve_backward(const Backward& b, const Work& w, const ReadWork& r, const float* frame, const Some& some,
                       float* total, bool add) {
    const bool both = w.has_filter() && w.has_matrix();
    const int P = w.spatial.P;
    float* dz = scratch.dz.get((both ? 1 : some.count) * w.back.frame.size());
    float* dy = both ? scratch.dy.get(some.count * w.dy_size()) : dz;
    float* z = both && w.weights ? scratch.z.get(some.count * w.z_size()) : nullptr;
    for (int n = 0; n < some.count; n++) {
        const float* x = frame + n * r.frame.size();
        float *e = dy + n * w.dy_size(), *d = both ? dz : e;
        float* t = total ? total + n * pixels(*r.map) * r.stride : nullptr;
        w.back.frame.clear_edge(d);
        gather(b, b.of_map[w.conv->out], *w.out, some.first + n, e, w.dy_at, false);
        with_lanes(w.lanes, [&](auto lanes) {
            constexpr int L = lanes();
            const int V = w.stride / L;
            if (both) dense<L>(e, w.dy_at, P, w.tap0, 1, w.channels, w.turned, V, d, w.dz_at, false);
            for (int part = 0; part < w.back.count && t; part++) {
                const Gather& g = w.back.parts[part];
                if (w.has_filter()) depthwise<L>(d, g.in, g.P, g.tap, g.n, w.filters[part], V, t, g.out, add);
                else dense<L>(d, g.in, g.P, g.tap, g.n, w.channels, w.matrices[part], V, t, g.out, add);
            }
            if (w.weights && w.has_filter())
                depthwise_outer<L>(x, w.spatial.in, w.spatial.tap, w.spatial.n, d, w.dz_at, P, V,
                                   w.d_filter + some.unit * w.filter_size);
        });
        if (z) spatial_filter(w, x, 0, P, z + n * w.z_size());
    }
    if (!w.weights || !w.has_matrix()) return;
    with_lanes(w.out_lanes, [&](auto lanes) {
        constexpr int L = lanes();
        float* d = w.d_matrix + some.unit * w.matrix_size;
        const int V = w.out_stride / L, all = some.count * P;
        if (both) outer<L>(z, w.x_at, w.tap0, 1, w.C, dy, w.e_at, all, V, d);
        else outer<L>(frame, w.x_at, w.spatial.tap, w.spatial.n, w.C, dy, w.e_at, all, V, d);
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

// What reaches a state from outside the cell, from sums and from pools.
void begin_source(const Backward& b, const SourceWork& s, int64_t i, float* all) {
    const int P = (int)pixels(*s.map), C = (int)s.map->channels;
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
        const Pool& pool = b.cell.pools[s.source->first_pool + k];
        const Map& out = b.cell.maps[pool.out];
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
                             (int)pool.stride, (int)out.height, (int)out.width, place, (int)out.stride, all, s.stride);
        });
    }
}

void end_source(const SourceWork& s, int64_t i, const float* all) {
    const int P = (int)pixels(*s.map), C = (int)s.map->channels;
    with_lanes(s.lanes, [&](auto lanes) {
        constexpr int L = lanes();
        for (int p = 0; p < P; p++)
            for (int v = 0; v * L < C; v++)
                store_n<L>(s.map->gradient + ((size_t)i * P + p) * C + v * L,
                           load<L>(all + (size_t)p * s.stride + v * L), C - v * L);
    });
}

// The gradient of some images of a source.
void source_backward(const Backward& b, const SourceWork& s, const std::vector<ReadWork>& reads,
                     const std::vector<Work>& works, const Some& some) {
    const bool wanted = asked(s, reads);
    const size_t size = s.map ? pixels(*s.map) * s.stride : 0;
    float* all = s.map && wanted ? scratch.all.get(some.count * size) : nullptr;
    for (int n = 0; n < some.count && all; n++) begin_source(b, s, some.first + n, all + n * size);
    for (int k = s.first_read; k < s.first_read + s.reads; k++) {
        const ReadWork& r = reads[k];
        const Work *begin = &works[r.first], *end = begin + r.count;
        const bool weights = std::any_of(begin, end, [](const Work& w) { return w.weights; });
        if (!wanted && !weights) continue;
        float* frame = weights ? scratch.frame.get(some.count * r.frame.size()) : nullptr;
        for (int n = 0; n < some.count && frame; n++)
            fill(r, image(*r.map, some.first + n), frame + n * r.frame.size());
        const size_t step = pixels(*r.map) * r.stride;
        float* total = wanted ? scratch.total.get(some.count * step) : nullptr;
        for (const Work* w = begin; w < end; w++)
            if (wanted || w->weights) convolve_backward(b, *w, r, frame, some, total, w > begin);
        for (int n = 0; n < some.count && wanted; n++)
            close_read(r, some.first + n, total + n * step, all ? all + n * size : nullptr);
    }
    for (int n = 0; n < some.count && all; n++) end_source(s, some.first + n, all + n * size);
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
            for (int n = reads.back().first; n < reads.back().first + reads.back().count; n++)
                weights |= asks_weights(cell, *works[n].conv);
            if (!w.map) reads.back().partial = heap.zeros<float>((size_t)cell.images * 2 * reads.back().stride);
        }
        sources.push_back(w);
    }
    const int64_t units = weights ? std::min<int64_t>(cell.images, PARTS) : cell.images;
    const int images = weights ? together(works, (cell.images + units - 1) / units) : 1;
    std::vector<char> needs(works.size());
    for (const SourceWork& s : sources)
        for (int n = s.first_read; n < s.first_read + s.reads; n++)
            for (int k = reads[n].first; k < reads[n].first + reads[n].count; k++) {
                const Work* known = twin(works, reads[n], works[k]);
                needs[k] = asked(s, reads);
                plan_spatial(works[k], reads[n].frame, known);
                plan_backward(cell, works[k], reads[n], known, needs[k], (int)units, images);
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
            const int64_t last = cell.images * (unit + 1) / units;
            for (int64_t i = cell.images * unit / units; i < last; i += images) {
                const Some some{i, (int)std::min<int64_t>(images, last - i), (int)unit};
                for (const SourceWork& s : sources) source_backward(b, s, reads, works, some);
                for (const SumBack& s : sums)
                    for (int n = 0; n < some.count; n++) products(s, i + n);
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
