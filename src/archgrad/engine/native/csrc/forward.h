// A phase of the forward pass.
#pragma once
#include <cmath>

#include "pools.h"
#include "sums.h"
#include "work.h"

namespace {

constexpr int CHUNK = 64;  // pixels that are convolved before their statistics are taken: they stay in the first cache

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

struct Statistics {
    const Map* map;
    float* partial;   // per image
    double* moments;  // means, then variances
};

// ``again``: the states and the vectors of views are there, and only what lies between is computed once more.
void forward_phase(const Cell& cell, const Phase& phase, const std::vector<char>& statistics, bool again) {
    heap.reset();
    std::vector<Work> works;
    std::vector<ReadWork> reads;
    std::vector<Sum> sums;
    std::vector<float*> pooled;
    std::vector<Statistics> complete;
    auto partial = [&](int64_t map) -> float* {
        if (!statistics[map] || again) return nullptr;
        float* at = heap.get<float>(cell.images * 3 * cell.maps[map].stride);
        complete.push_back({&cell.maps[map], at, heap.get<double>(2 * cell.maps[map].stride)});
        return at;
    };
    for (int64_t s = 0; s < phase.states && !again; s++)
        sums.push_back(sum_of(cell, cell.states[phase.first_state + s]));
    for (int64_t s = 0; s < phase.sources; s++) {
        const Source& source = cell.sources[phase.first_source + s];
        for (int64_t k = 0; k < source.reads; k++) {
            reads.push_back(read_of(cell, cell.reads[source.first_read + k], works));
            const ReadWork& r = reads.back();
            for (int n = r.first; n < r.first + r.count; n++) {
                Work& w = works[n];
                plan_spatial(w, r.frame, twin(works, r, w));
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
#pragma omp for schedule(dynamic, 1)
        for (size_t n = 0; n < complete.size(); n++) {
            const Map& map = *complete[n].map;
            merge(cell.images, pixels(map), (int)map.stride, complete[n].partial, complete[n].moments,
                  complete[n].moments + map.stride);
        }
    }
    std::vector<double*> moments_of(cell.maps_count, nullptr);
    for (const Statistics& s : complete) moments_of[s.map - cell.maps] = s.moments;
    for (int64_t k = 0; k < phase.views && !again; k++) {
        View& v = cell.views[phase.first_view + k];
        const double* m = moments_of[v.map];
        if (v.norm) normalise(cell, v, m, m ? m + cell.maps[v.map].stride : nullptr);
    }
}

}  // namespace
