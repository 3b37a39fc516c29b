// Stands in for CUDA's header of this name.
#pragma once

#include "cuda_runtime.h"

struct __half {
    uint16_t bits;
};

// To the nearest, ties to even.
inline __half __float2half_rn(float x) {
    const uint16_t sign = emulation::bits_as<uint32_t>(x) >> 16 & 0x8000;
    const float size = std::fabs(x);
    if (std::isnan(x)) return {0x7fff};
    if (size >= 65520.f) return {static_cast<uint16_t>(sign | 0x7c00)};
    int exponent = 0;
    std::frexp(size, &exponent);
    const int last = (size < 0x1p-14f ? -14 : exponent - 1) - 10;  // the last bit's weight is 2^last
    const auto steps = static_cast<uint32_t>(std::nearbyint(std::ldexp(static_cast<double>(size), -last)));
    return {static_cast<uint16_t>(sign | (((last + 24) << 10) + steps))};
}
