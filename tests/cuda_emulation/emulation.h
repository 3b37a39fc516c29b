// CUDA on the host: a thread is a fiber, a block's fibers run one at a time, its blocks one after another. So kernels run,
// and are checked, where there is no GPU. What it cannot see: speed, the last places of exp2f, caches, streams.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <source_location>

namespace emulation {

using Where = std::source_location;

enum Order { FORWARD = 0, REVERSE = 1, RANDOM = 2 };

// How the next launches run. Results must depend on none of it.
struct Settings {
    int order = FORWARD;        // which of the threads that can run does, and which block
    uint64_t seed = 0;          // of the random order
    unsigned char fill = 0xff;  // every byte of uninitialised memory
};
extern Settings settings;

// What has run so far.
struct Counts {
    uint64_t launches, blocks, threads, meetings;
};
extern Counts counts;

struct Index {
    unsigned x, y, z;
};

// Where the running thread stands. Blocks and grids are of one dimension here.
struct Place {
    Index thread, block, block_size;
};
extern Place* here;

// Runs a kernel to its end. Throws std::runtime_error where a thread does wrong or threads wait for each other in vain.
void launch(unsigned grid, unsigned block, size_t dynamic_shared, void* stream, const std::function<void()>& kernel);

// The block's shared array of this identity (that of the launch's own size: 0).
void* shared_memory(int identity, size_t bytes);

// All 32 lanes of a warp meet at one line, each with a value; gives everyone's. `orders_memory`: whether what a lane
// wrote before is seen by the others after, which is so for __syncwarp but not for a shuffle.
const uint64_t* meet_warp(unsigned mask, uint64_t value, bool orders_memory, Where where);

// All threads of the block meet at one line; gives whether any brought `true`.
bool meet_block(bool value, Where where);

}  // namespace emulation
