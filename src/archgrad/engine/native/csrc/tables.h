// A cell as Python describes it: tables of 64-bit fields. `archgrad.engine.native.tables` lists the same fields.
//
// A *map* is a state, what a convolution or a pool returns, or a map that torch computed; a *view* is
// act(BN(some channels of a map)), which either convolutions read or a state adds up.
#pragma once
#include "vectors.h"

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

constexpr int ROW = 16;  // vectors of channels start at multiples of it

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

}  // namespace
