// The CTC recursion, one step of one pair of states, for the host's SIMD lanes and the device's threads alike.
//
// The lattice of a target y_1..y_L has 2L + 1 states: blank_0, label_0, blank_1, ..., label_{L-1}, blank_L. A pair is
// (blank_k, label_k). With e the emissions, forwards in time
//
//     blank'_k = e_blank + lse(blank_k, label_{k-1})
//     label'_k = e_k     + lse(label_k, blank_k, label_{k-1} if y_k != y_{k-1})
//
// and backwards the same with the pair (blank_{k+1}, label_k) and the neighbour label_{k+1}. Since the first sum is part
// of the second whenever the skip is allowed, a pair takes two two-term sums, and both directions share `sum_pair`.
//
// Everything is in units of log2. "Impossible" is the finite NONE, so that no infinity or NaN arises inside. Each row is
// kept relative to the maximum of the row before it; the offsets are summed in double by the caller.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define XLMD_INLINE __host__ __device__ __forceinline__
#else
#define XLMD_INLINE inline __attribute__((always_inline))
#endif

namespace xlmd {

constexpr float NONE = -1e30f;      // log of an impossible event
constexpr float POSSIBLE = -1e29f;  // anything below is impossible, whatever was added to it since
constexpr float LOG2_E = 1.44269504088896340736f;
constexpr double LN_2 = 0.69314718055994530942;

XLMD_INLINE uint32_t bits_of(float x) {
#ifdef __CUDA_ARCH__
    return __float_as_uint(x);
#else
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
#endif
}

XLMD_INLINE float float_of(uint32_t bits) {
#ifdef __CUDA_ARCH__
    return __uint_as_float(bits);
#else
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
#endif
}

XLMD_INLINE float larger(float a, float b) { return a > b ? a : b; }
XLMD_INLINE float smaller(float a, float b) { return a < b ? a : b; }

// 2^x for -126 <= x <= 126, to 1e-7 of its value. Adding 1.5 * 2^23 rounds to an integer in the low bits.
XLMD_INLINE float exp2_in_range(float x) {
    const float rounded = x + 12582912.f;
    const float f = x - (rounded - 12582912.f);
    float p = 1.3410000829026103e-3f;
    p = p * f + 9.676036424934864e-3f;
    p = p * f + 5.550297349691391e-2f;
    p = p * f + 2.402210682630539e-1f;
    p = p * f + 6.931472420692444e-1f;
    p = p * f + 1.0000001192092896f;
    return float_of(bits_of(p) + (bits_of(rounded) << 23));
}

// 2^x for x <= 126, exactly 0 where it would be below the smallest normal number.
XLMD_INLINE float exp2_or_zero(float x) {
    const float value = exp2_in_range(larger(x, -126.f));
    return x < -126.f ? 0.f : value;
}

// log2(1 + x) for 0 <= x <= 1, to 1e-7.
XLMD_INLINE float log2_1p(float x) {
    float p = 7.768500130623579e-3f;
    p = p * x - 4.344493895769119e-2f;
    p = p * x + 1.1428393423557281e-1f;
    p = p * x - 1.9832831621170044e-1f;
    p = p * x + 2.762090563774109e-1f;
    p = p * x - 3.585532307624817e-1f;
    p = p * x + 4.8071110248565674e-1f;
    p = p * x - 7.21341073513031e-1f;
    p = p * x + 1.4426950216293335f;
    return p * x;
}

// log2(2^a + 2^b).
XLMD_INLINE float log2_sum(float a, float b) {
    const float high = larger(a, b);
    const float low = smaller(a, b);
    return high + log2_1p(exp2_in_range(larger(low - high, -64.f)));
}

// What flows into blank and label of a pair before their emissions; `neighbour` is the label next to the blank.
XLMD_INLINE void sum_pair(float blank, float label, float neighbour, bool skip, float& into_blank, float& into_label) {
    into_blank = log2_sum(blank, neighbour);
    into_label = log2_sum(label, skip ? into_blank : blank);
}

// The same with maxima, forwards only: also how many states back each came from. Ties: stay, then s-1, then s-2.
XLMD_INLINE void max_pair(float blank, float label, float neighbour, bool skip, float& into_blank, float& into_label,
                          int32_t& blank_step, int32_t& label_step) {
    const float skipped = skip ? neighbour : 4 * NONE;
    const float best = larger(blank, label);
    blank_step = neighbour > blank ? 1 : 0;
    into_blank = larger(neighbour, blank);
    label_step = skipped > best ? 2 : blank > label ? 1 : 0;
    into_label = larger(skipped, best);
}

// The emission of one state at one position. `same` says whether the state is the observed one.
XLMD_INLINE float constrained(float emission, bool observed, bool same, bool score_observed) {
    const float kept = observed && !score_observed ? 0.f : emission;
    return observed && !same ? NONE : kept;
}

}  // namespace xlmd
