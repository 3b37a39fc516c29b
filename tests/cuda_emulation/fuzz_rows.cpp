// The kernels over rows of logits: several orders of threads against each other, bit for bit, and against double.
#include <algorithm>
#include <bit>
#include <cmath>

#include "ctc.h"
#include "fuzz.h"

using namespace xlmd;

namespace {

struct Rows {
    int64_t rows, columns, width, offset, sentences;
    size_t shift;  // of the first row from an address divisible by 16, in floats
    std::vector<float> logits, scale, table, gradient;
    std::vector<int64_t> places, sentence;
};

void choose_logits(Rows& p, Random& random) {
    p.rows = random.integer(0, 5);
    p.columns = random.chance(0.3) ? random.integer(0, 9) : random.chance(0.5) ? random.integer(10, 600) : random.integer(2040, 4200);
    p.shift = random.integer(0, 3);
    const float size = std::pow(10.f, static_cast<float>(random.integer(-1, 2)));
    const float peak = random.chance(0.3) ? random.one_of({30.f, 60.f, 3e38f, -3e38f}) : 0.f;
    const double minus = random.one_of({0.0, 0.0, 0.1, 1.0});
    for (int64_t i = 0; i < p.rows * p.columns; ++i) p.logits.push_back(random.chance(minus) ? -INF : random.normal() * size);
    for (int64_t i = 0; i < p.rows && p.columns; ++i) {
        float& cell = p.logits[i * p.columns + random.integer(0, p.columns - 1)];
        if (peak != 0.f) cell = peak * random.one_of({1.f, 0.9f});
        if (random.chance(0.1)) cell = random.one_of({NAN_F, INF});
    }
}

void choose_table(Rows& p, Random& random) {
    p.sentences = random.integer(1, 3);
    p.width = random.chance(0.1) ? random.integer(500, 700) : random.integer(1, 20);
    p.offset = random.chance(0.5) ? 0 : random.integer(1, 50);
    for (int64_t b = 0; b < p.sentences; ++b) {
        std::vector<bool> taken(p.columns);
        for (int64_t k = 0; k < p.width; ++k) {
            int64_t place = random.integer(-3, p.columns + 2 * p.offset);
            const int64_t here = place - p.offset;
            const bool inside = here >= 0 && here < p.columns;
            if (inside && taken[here]) place = -1;  // a column of the row has one column of the table at most
            if (inside) taken[here] = true;
            p.places.push_back(place);
        }
    }
    for (int64_t i = 0; i < p.rows; ++i) {
        p.sentence.push_back(random.integer(0, p.sentences - 1));
        p.scale.push_back(random.one_of({0.f, 1.f, -2.f, 0.25f, 1e-4f, 1000.f, NAN_F}));
        for (int64_t k = 0; k < p.width; ++k) {
            p.table.push_back(-10 * std::fabs(random.normal()));
            p.gradient.push_back(p.scale.back() == 0 ? 0.f : -static_cast<float>(random.integer(0, 1000)) / 1000.f * p.scale.back());
        }
    }
}

double of_half(uint16_t bits) {
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    const double size = exponent == 31 ? (fraction ? NAN : INFINITY)
                        : exponent     ? std::ldexp(1024 + fraction, exponent - 25)
                                       : std::ldexp(fraction, -24);
    return bits >> 15 ? -size : size;
}

double of_bfloat16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

struct Answer {
    std::vector<float> normaliser, single;
    std::vector<uint16_t> half, bfloat16;

    bool operator==(const Answer& other) const {
        return same_bits(normaliser, other.normaliser) && same_bits(single, other.single) && same_bits(half, other.half) &&
               same_bits(bfloat16, other.bfloat16);
    }
    double gradient(int64_t cell, int precision) const {
        return precision == FLOAT32 ? single[cell] : precision == FLOAT16 ? of_half(half[cell]) : of_bfloat16(bfloat16[cell]);
    }
};

Answer solve(const Rows& p) {
    const Memory<float> logits(p.logits, p.shift), scale(p.scale), table(p.table), gradient(p.gradient), normaliser(p.rows);
    const Memory<int64_t> places(p.places), sentence(p.sentence);
    const Memory<uint16_t> half(p.logits.size(), p.shift), bfloat16(p.logits.size(), p.shift);
    const Compact compact{table.get(), gradient.get(), places.get(), sentence.get(), p.width, p.offset};
    const auto into = [&](void* result, int precision) {
        require(softmax_gradient_cuda(logits.get(), normaliser.get(), scale.get(), p.rows, p.columns, compact, result,
                                      precision, nullptr) == OK,
                "status: ", cuda_error_text());
    };
    require(row_logsumexp_cuda(logits.get(), p.rows, p.columns, normaliser.get(), nullptr) == OK, "status: ", cuda_error_text());
    into(half.get(), FLOAT16);
    into(bfloat16.get(), BFLOAT16);
    into(logits.get(), FLOAT32);  // in place
    return {normaliser.values(), logits.values(), half.values(), bfloat16.values()};
}

// log sum exp, NaN where a NaN or +inf stands in the row.
double exact_normaliser(const float* row, int64_t columns) {
    double highest = -INFINITY, sum = 0;
    for (int64_t v = 0; v < columns; ++v) {
        if (!(row[v] < INF)) return NAN;
        highest = std::max<double>(highest, row[v]);
    }
    if (highest == -INFINITY) return highest;
    for (int64_t v = 0; v < columns; ++v) sum += std::exp(row[v] - highest);
    return highest + std::log(sum);
}

void check_normaliser(const Rows& p, const Answer& answer, int64_t i) {
    const double expected = exact_normaliser(p.logits.data() + i * p.columns, p.columns);
    const float actual = answer.normaliser[i];
    ++met[std::isnan(expected) ? "rows with a NaN" : std::isinf(expected) ? "rows of -inf" : "rows"];
    if (!std::isfinite(expected)) {
        require(std::isnan(expected) ? std::isnan(actual) : actual == expected, "row ", i, ": log-sum-exp ", actual,
                ", expected ", expected);
        return;
    }
    // Half a last place is the final rounding; the sum of exponentials in float32 adds its own, whatever the size.
    const auto rounded = static_cast<float>(std::fabs(expected));
    const double bound = 0.5 * (std::nextafter(rounded, INF) - rounded) + 4e-7;
    const double error = std::fabs(actual - expected);
    worst["normaliser"] = std::max(worst["normaliser"], error / bound);
    require(error <= bound, "row ", i, ": log-sum-exp ", actual, ", expected ", expected);
}

void check_gradient(const Rows& p, const Answer& answer, int64_t i) {
    const float* row = p.logits.data() + i * p.columns;
    const double scale = p.scale[i], normaliser = answer.normaliser[i];
    std::vector<double> wanted(p.columns);
    for (int64_t v = 0; v < p.columns; ++v) wanted[v] = scale == 0 ? 0 : scale * std::exp(row[v] - normaliser);
    for (int64_t k = 0; k < p.width; ++k) {
        const int64_t place = p.places[p.sentence[i] * p.width + k], here = place - p.offset, cell = i * p.width + k;
        if (place < 0 || here < 0 || here >= p.columns) continue;
        wanted[here] = (scale == 0 ? 0 : scale * std::exp(static_cast<double>(p.table[cell]))) + p.gradient[cell];
    }
    for (const int precision : {FLOAT32, FLOAT16, BFLOAT16}) {
        const double step = precision == FLOAT32 ? 0 : precision == FLOAT16 ? 0x1p-11 : 0x1p-8;
        const double least = precision == FLOAT16 ? 0x1p-25 : 0;
        for (int64_t v = 0; v < p.columns; ++v) {
            const double found = answer.gradient(i * p.columns + v, precision), expected = wanted[v];
            const double bound = std::fabs(expected) * (step + 2e-5) + least + 1e-9 + std::fabs(scale) * 2e-7;
            const bool overflows = precision == FLOAT16 && std::fabs(expected) > 65519;
            require(std::isnan(expected) ? std::isnan(found) : overflows ? std::isinf(found) : std::fabs(found - expected) <= bound,
                    "row ", i, " column ", v, " precision ", precision, ": gradient ", found, ", expected ", expected);
        }
    }
}

}  // namespace

void fuzz_rows(Random& random, uint64_t index, std::string& described) {
    Rows p;
    choose_logits(p, random);
    choose_table(p, random);
    described = std::to_string(p.rows) + " rows of " + std::to_string(p.columns) + " columns, width " + std::to_string(p.width);
    ++met["problems of rows"];
    std::vector<Answer> answers;
    for (const emulation::Settings& order : orders(index)) {
        emulation::settings = order;
        answers.push_back(solve(p));
        require(answers.back() == answers[0], "order ", order.order, " of threads, or what memory held, shows");
    }
    for (int64_t i = 0; i < p.rows; ++i) {
        check_normaliser(p, answers[0], i);
        check_gradient(p, answers[0], i);
    }
}
