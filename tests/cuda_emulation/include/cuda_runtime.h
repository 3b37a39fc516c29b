// Stands in for CUDA's header of this name: as much of it as ctc_cuda.cu uses, over ../emulation.h.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "../emulation.h"

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)

#define threadIdx (::emulation::here->thread)
#define blockIdx (::emulation::here->block)
#define blockDim (::emulation::here->block_size)

struct alignas(16) float4 {
    float x, y, z, w;
};

enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidConfiguration = 9 };
using cudaStream_t = struct CUstream_st*;

cudaError_t cudaGetLastError();
const char* cudaGetErrorString(cudaError_t error);

namespace emulation {

template <typename To, typename From>
To bits_as(From value) {
    To result{};
    std::memcpy(&result, &value, sizeof(From) < sizeof(To) ? sizeof(From) : sizeof(To));
    return result;
}

template <typename T>
T of_lane(unsigned mask, T value, unsigned lane, Where where) {
    const uint64_t* all = meet_warp(mask, bits_as<uint64_t>(value), false, where);
    return lane < 32 ? bits_as<T>(all[lane]) : value;
}

}  // namespace emulation

inline int __float_as_int(float x) { return emulation::bits_as<int>(x); }
inline float __int_as_float(int x) { return emulation::bits_as<float>(x); }

inline void __syncthreads(emulation::Where where = emulation::Where::current()) { emulation::meet_block(false, where); }

inline int __syncthreads_or(int value, emulation::Where where = emulation::Where::current()) {
    return emulation::meet_block(value != 0, where);
}

inline void __syncwarp(unsigned mask = 0xffffffffu, emulation::Where where = emulation::Where::current()) {
    emulation::meet_warp(mask, 0, true, where);
}

template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, emulation::Where where = emulation::Where::current()) {
    return emulation::of_lane(mask, value, threadIdx.x % 32 - by, where);  // below 0 it wraps to far above 31
}

template <typename T>
T __shfl_xor_sync(unsigned mask, T value, unsigned flip, emulation::Where where = emulation::Where::current()) {
    return emulation::of_lane(mask, value, threadIdx.x % 32 ^ flip, where);
}

inline int __reduce_max_sync(unsigned mask, int value, emulation::Where where = emulation::Where::current()) {
    const uint64_t* all = emulation::meet_warp(mask, emulation::bits_as<uint64_t>(value), false, where);
    for (int lane = 0; lane < 32; ++lane) value = std::max(value, emulation::bits_as<int>(all[lane]));
    return value;
}

inline int __any_sync(unsigned mask, int value, emulation::Where where = emulation::Where::current()) {
    const uint64_t* all = emulation::meet_warp(mask, value != 0, false, where);
    return std::any_of(all, all + 32, [](uint64_t other) { return other != 0; });
}
