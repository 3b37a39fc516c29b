// What the two halves of the fuzz share.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "emulation.h"

constexpr float INF = std::numeric_limits<float>::infinity();
constexpr float NAN_F = std::numeric_limits<float>::quiet_NaN();

// Exactly as large as said and filled as `settings` say, so that the address sanitizer sees any access outside, and
// reading what nobody wrote changes a result. `shift` moves the start off its alignment.
template <typename T>
class Memory {
  public:
    explicit Memory(size_t count, size_t shift = 0)
        : count_(count), shift_(shift), data_(static_cast<T*>(std::malloc((count + shift) * sizeof(T)))) {
        if (count + shift) std::memset(static_cast<void*>(data_.get()), emulation::settings.fill, (count + shift) * sizeof(T));
    }
    explicit Memory(const std::vector<T>& values, size_t shift = 0) : Memory(values.size(), shift) {
        std::copy(values.begin(), values.end(), get());
    }
    T* get() const { return data_.get() + shift_; }
    std::vector<T> values() const { return std::vector<T>(get(), get() + count_); }

  private:
    struct Free {
        void operator()(void* at) const { std::free(at); }
    };
    size_t count_, shift_;
    std::unique_ptr<T, Free> data_;
};

struct Random {
    std::mt19937_64 source;

    int64_t integer(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(source); }
    bool chance(double p) { return std::bernoulli_distribution(p)(source); }
    float normal() { return std::normal_distribution<float>()(source); }
    template <typename T>
    T one_of(std::initializer_list<T> values) {
        return values.begin()[integer(0, static_cast<int64_t>(values.size()) - 1)];
    }
};

// Every problem runs under each of these; `index` seeds the random order.
inline std::vector<emulation::Settings> orders(uint64_t index) {
    return {{emulation::FORWARD, 0, 0xff}, {emulation::REVERSE, 0, 0x00}, {emulation::RANDOM, index, 0x7f}};
}

template <typename... Part>
void require(bool condition, const Part&... what) {
    if (condition) return;
    std::string text;
    const auto add = [&](const auto& part) {
        if constexpr (std::is_arithmetic_v<std::decay_t<decltype(part)>>)
            text += std::to_string(part);
        else
            text += part;
    };
    (add(what), ...);
    throw std::runtime_error(text);
}

template <typename T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() && (a.empty() || !std::memcmp(a.data(), b.data(), a.size() * sizeof(T)));
}

// How often each kind of case was met, and the largest error of each kind as a share of what is allowed.
extern std::map<std::string, int64_t> met;
extern std::map<std::string, double> worst;

// Each makes up a problem and checks it; `described` tells what it was, should the check throw.
void fuzz_recursion(Random& random, uint64_t index, double wide, std::string& described);
void fuzz_rows(Random& random, uint64_t index, std::string& described);
