// Gradients of maps from those of what is made of them: sums over all pixels, and the slopes that follow from them.
#pragma once
#include "sums.h"
#include "work.h"

namespace {

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

}  // namespace
