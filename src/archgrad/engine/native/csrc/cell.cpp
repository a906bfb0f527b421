// A cell in two calls: forward computes all its states, backward all gradients.
//
// Work goes phase by phase, a phase image by image: add up a state, then all convolutions and pools that read it,
// while it is in cache. Between phases stand batch statistics. Whatever is summed over images is kept per image, or
// per part of the batch whose size depends on nothing else, and added in a fixed order: results are the same with any
// number of threads.
#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#endif

#include "backward.h"
#include "forward.h"

namespace {

void forward(const Cell& cell, bool again) {
    std::vector<char> statistics(cell.maps_count, 0);
    for (int64_t p = 0; p < cell.phases_count; p++)
        for (int64_t k = 0; k < cell.phases[p].views; k++) {
            const View& v = cell.views[cell.phases[p].first_view + k];
            if (v.norm == BATCH) statistics[v.map] = 1;
        }
    for (int64_t p = 0; p < cell.phases_count; p++) forward_phase(cell, cell.phases[p], statistics, again);
}

}  // namespace

extern "C" {

void archgrad_forward(int64_t* header) { forward(Cell(header), false); }

// The maps of convolutions and pools once more, bit for bit, from the states and the statistics of a forward pass.
void archgrad_forward_again(int64_t* header) { forward(Cell(header), true); }

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
