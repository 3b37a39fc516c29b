// Runs the threads of a block as fibers of one thread of the host. A fiber runs until it meets others; `settings` say which
// of those that can run is next. Compiled without sanitizers, so that they watch the kernels' memory and not this file's;
// it tells them of fibers, of shared arrays, and of what orders memory.
#include "emulation.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cuda_runtime.h"

#ifdef EMULATION_ADDRESS
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef EMULATION_THREAD
#include <sanitizer/tsan_interface.h>
#endif

#ifndef __x86_64__
#error "the switch between fibers is written for x86-64"
#endif

// Saves the running fiber's registers on its stack and goes on with another's.
extern "C" void emulation_switch(void** from, void* to);
asm(R"(
.text
.globl emulation_switch
.type emulation_switch, @function
emulation_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size emulation_switch, .-emulation_switch
)");

namespace emulation {

Settings settings;
Counts counts;
Place* here = nullptr;

namespace {

constexpr unsigned WARP = 32, MOST_THREADS = 1024;
constexpr size_t STACK = 128 << 10, GUARD = 4096;
constexpr size_t SHARED = 227 << 10, GAP = 64;  // what an H100 has, and what stands between arrays to catch overruns
constexpr size_t WITHOUT_ASKING = 48 << 10;     // dynamic shared memory that any launch may have

struct Fiber {
    Place place;
    bool ended;
    Where where;         // of what it waits at
    unsigned meetings;   // of its warp so far
    unsigned barriers;   // of memory passed: its warp's and its block's
    char* stack = nullptr;
    void* pointer;
    void* fake_stack;    // the address sanitizer's
    void* tsan = nullptr;
};

// Meetings take turns with two rows of values: a lane may bring the next one's while another still reads the last one's.
struct Warp {
    unsigned waiting, ended;
    Where where;
    std::array<std::array<uint64_t, WARP>, 2> values;
};

struct Device {
    // Consecutive blocks take turns with two sets, lest the race detector take a thread for its namesake in the next block.
    std::vector<Fiber> sets[2] = {std::vector<Fiber>(MOST_THREADS), std::vector<Fiber>(MOST_THREADS)};
    Fiber* fibers = nullptr;
    Fiber* running = nullptr;
    unsigned threads = 0, waiting = 0, ended = 0;
    Where where;              // of the block's barrier that threads wait at
    bool any = false;         // of what threads brought to the block's barrier
    bool any_before = false;  // to the last one
    std::array<Warp, MOST_THREADS / WARP> warps;
    std::vector<unsigned> runnable;  // a stack
    const std::function<void()>* kernel = nullptr;
    std::mt19937_64 random;
    std::string error;

    std::unique_ptr<char[]> shared;
    size_t used = 0, declared = 0;
    std::array<std::pair<int, char*>, 16> arrays;

    void* pointer = nullptr;  // the scheduler's own stack, as the sanitizers want to know it
    const void* bottom = nullptr;
    size_t size = 0;
    void* fake_stack = nullptr;
    void* tsan = nullptr;
    // What memory is ordered by. Barriers take turns: who is one ahead must not count as seen by who is not.
    char of_start, of_end, of_block[2], of_warp[2][MOST_THREADS / WARP];
};
Device device;
cudaError_t last_error = cudaSuccess;

void released([[maybe_unused]] void* by) {
#ifdef EMULATION_THREAD
    __tsan_release(by);
#endif
}

void acquired([[maybe_unused]] void* by) {
#ifdef EMULATION_THREAD
    __tsan_acquire(by);
#endif
}

void set_usable([[maybe_unused]] char* at, [[maybe_unused]] size_t bytes, [[maybe_unused]] bool usable) {
#ifdef EMULATION_ADDRESS
    usable ? __asan_unpoison_memory_region(at, bytes) : __asan_poison_memory_region(at, bytes);
#endif
}

void to_scheduler([[maybe_unused]] bool forever = false) {
    Fiber& fiber = *device.running;
#ifdef EMULATION_ADDRESS
    __sanitizer_start_switch_fiber(forever ? nullptr : &fiber.fake_stack, device.bottom, device.size);
#endif
#ifdef EMULATION_THREAD
    __tsan_switch_to_fiber(device.tsan, __tsan_switch_to_fiber_no_sync);
#endif
    emulation_switch(&fiber.pointer, device.pointer);
#ifdef EMULATION_ADDRESS
    __sanitizer_finish_switch_fiber(fiber.fake_stack, &device.bottom, &device.size);
#endif
}

void to_fiber(Fiber& fiber) {
    device.running = &fiber;
    here = &fiber.place;
#ifdef EMULATION_ADDRESS
    __sanitizer_start_switch_fiber(&device.fake_stack, fiber.stack + GUARD, STACK - GUARD);
#endif
#ifdef EMULATION_THREAD
    __tsan_switch_to_fiber(fiber.tsan, __tsan_switch_to_fiber_no_sync);
#endif
    emulation_switch(&device.pointer, fiber.pointer);
#ifdef EMULATION_ADDRESS
    __sanitizer_finish_switch_fiber(device.fake_stack, nullptr, nullptr);
#endif
    here = nullptr;
}

bool differ(Where a, Where b) { return a.line() != b.line() || a.column() != b.column(); }

unsigned number(const Fiber& fiber) { return static_cast<unsigned>(&fiber - device.fibers); }

std::string described(const Fiber& fiber) {
    return "block " + std::to_string(fiber.place.block.x) + " thread " + std::to_string(number(fiber)) + " at line " +
           std::to_string(fiber.where.line()) + " of " + fiber.where.function_name();
}

// The running thread did wrong: the launch ends here.
[[noreturn]] void wrong(const char* what) {
    device.error = std::string(what) + ": " + described(*device.running);
    to_scheduler();
    __builtin_unreachable();
}

void life() {
#ifdef EMULATION_ADDRESS
    __sanitizer_finish_switch_fiber(nullptr, &device.bottom, &device.size);
#endif
    acquired(&device.of_start);
    (*device.kernel)();
    released(&device.of_end);
    device.running->ended = true;
    ++device.ended;
    ++device.warps[number(*device.running) / WARP].ended;
    to_scheduler(true);
}

void start(Fiber& fiber, unsigned thread, unsigned block) {
    if (!fiber.stack) {
        void* stack = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (stack == MAP_FAILED || mprotect(stack, GUARD, PROT_NONE)) throw std::bad_alloc();
        fiber.stack = static_cast<char*>(stack);
    }
    // Stacks that all began at the same place of a page would share a few lines of the cache.
    const size_t colour = thread % 128 * 192;
    auto* top = reinterpret_cast<void**>(fiber.stack + STACK - colour) - 2;  // aligned as at a function's first instruction
    *top = reinterpret_cast<void*>(&life);
    fiber.pointer = top - 6;
    fiber.place = {{thread, 0, 0}, {block, 0, 0}, {device.threads, 1, 1}};
    fiber.ended = false;
    fiber.meetings = fiber.barriers = 0;
#ifdef EMULATION_THREAD
    if (!fiber.tsan) fiber.tsan = __tsan_create_fiber(0);
#endif
}

// Lets threads first .. first + count - 1 run: the first of them next, or in REVERSE the last.
void resume(unsigned first, unsigned count) {
    for (unsigned i = 0; i < count; ++i)
        device.runnable.push_back(settings.order == REVERSE ? first + i : first + count - 1 - i);
}

Fiber& next() {
    auto& runnable = device.runnable;
    if (settings.order == RANDOM) std::swap(runnable[device.random() % runnable.size()], runnable.back());
    Fiber& fiber = device.fibers[runnable.back()];
    runnable.pop_back();
    return fiber;
}

void run_block(unsigned block) {
    device.fibers = device.sets[++counts.blocks % 2].data();
    device.runnable.clear();
    device.runnable.reserve(MOST_THREADS);
    device.waiting = device.ended = 0;
    device.any = false;
    for (Warp& warp : device.warps) warp.waiting = warp.ended = 0;
    for (unsigned thread = 0; thread < device.threads; ++thread) start(device.fibers[thread], thread, block);
    resume(0, device.threads);
    while (device.error.empty() && !device.runnable.empty()) to_fiber(next());
    if (!device.error.empty() || device.ended == device.threads) return;
    const Fiber* waiting = std::find_if(device.fibers, device.fibers + device.threads,
                                        [](const Fiber& fiber) { return !fiber.ended; });
    device.error = std::to_string(device.threads - device.ended) + " of " + std::to_string(device.threads) +
                   " threads wait in vain, the first: " + described(*waiting);
}

}  // namespace

void launch(unsigned grid, unsigned block, size_t dynamic_shared, void*, const std::function<void()>& kernel) {
    if (!grid || grid > 0x7fffffffu || !block || block > MOST_THREADS || dynamic_shared > WITHOUT_ASKING) {
        last_error = cudaErrorInvalidConfiguration;
        return;
    }
    if (block % WARP) throw std::runtime_error("a block of broken warps is not emulated");
    ++counts.launches;
    counts.threads += uint64_t{grid} * block;
    device.kernel = &kernel;
    device.threads = block;
    device.error.clear();
    device.random.seed(settings.seed);
#ifdef EMULATION_THREAD
    device.tsan = __tsan_get_current_fiber();
#endif
    std::vector<unsigned> blocks(grid);
    for (unsigned i = 0; i < grid; ++i) blocks[i] = settings.order == REVERSE ? grid - 1 - i : i;
    if (settings.order == RANDOM) std::shuffle(blocks.begin(), blocks.end(), device.random);
    std::vector<std::unique_ptr<char[]>> kept;  // so that the race detector sees each block's shared memory as its own
    for (const unsigned index : blocks) {
        device.shared.reset(new char[SHARED]);
        set_usable(device.shared.get(), SHARED, false);
        device.used = device.declared = 0;
        shared_memory(0, dynamic_shared);
        released(&device.of_start);
        run_block(index);
        set_usable(device.shared.get(), SHARED, true);
#ifdef EMULATION_THREAD
        kept.push_back(std::move(device.shared));
#endif
        if (!device.error.empty()) throw std::runtime_error(device.error);
    }
    acquired(&device.of_end);
}

void* shared_memory(int identity, size_t bytes) {
    for (size_t i = 0; i < device.declared; ++i)
        if (device.arrays[i].first == identity) return device.arrays[i].second;
    if (device.used + bytes + GAP > SHARED || device.declared == device.arrays.size()) wrong("more shared memory than there is");
    char* at = device.shared.get() + device.used;
    set_usable(at, bytes, true);
    std::fill_n(at, bytes, static_cast<char>(settings.fill));
    device.used += (bytes + GAP + 15) / 16 * 16;
    device.arrays[device.declared++] = {identity, at};
    return at;
}

const uint64_t* meet_warp(unsigned mask, uint64_t value, bool orders_memory, Where where) {
    Fiber& fiber = *device.running;
    const unsigned own = number(fiber), first = own / WARP * WARP;
    Warp& warp = device.warps[own / WARP];
    fiber.where = where;
    if (mask != 0xffffffffu) wrong("a part of a warp meets, which is not emulated");
    if (warp.ended) wrong("a lane of the warp has ended");
    if (warp.waiting && differ(warp.where, where)) wrong("lanes of a warp meet at different places");
    warp.where = where;
    auto& values = warp.values[fiber.meetings++ % 2];
    values[own % WARP] = value;
    char* order = &device.of_warp[fiber.barriers % 2][own / WARP];
    if (orders_memory) released(order);
    if (++warp.waiting == WARP) {
        ++counts.meetings;
        warp.waiting = 0;
        resume(first, WARP);
    }
    to_scheduler();
    if (orders_memory) acquired(order), ++fiber.barriers;
    return values.data();
}

bool meet_block(bool value, Where where) {
    Fiber& fiber = *device.running;
    fiber.where = where;
    if (device.ended) wrong("a thread of the block has ended before its barrier");
    if (device.waiting && differ(device.where, where)) wrong("threads of a block meet at different places");
    device.where = where;
    device.any |= value;
    char* order = &device.of_block[fiber.barriers++ % 2];
    released(order);
    if (++device.waiting == device.threads) {
        ++counts.meetings;
        device.waiting = 0;
        device.any_before = std::exchange(device.any, false);
        resume(0, device.threads);
    }
    to_scheduler();
    acquired(order);
    return device.any_before;
}

}  // namespace emulation

cudaError_t cudaGetLastError() { return std::exchange(emulation::last_error, cudaSuccess); }

const char* cudaGetErrorString(cudaError_t error) {
    return error == cudaSuccess ? "no error" : "invalid configuration argument";
}
