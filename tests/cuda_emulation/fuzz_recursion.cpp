// Loss, gradient and best path: several orders of threads against each other, bit for bit, and against the CPU's library.
#include <algorithm>
#include <bit>
#include <cmath>

#include "ctc.h"
#include "fuzz.h"

using namespace xlmd;

namespace {

struct Problem {
    int64_t batch, length, max_labels, columns, stride, rows, blank;
    bool by_state = false, score_observed = true;
    std::vector<float> table;
    std::vector<int64_t> first_rows, labels, input_lengths, target_lengths, observed;
    std::vector<bool> sound;  // lengths and labels in range
    double size = 0;          // of what a loss sums: its rounding is relative to that

    int64_t label(int64_t b, int64_t k) const { return labels[b * max_labels + k]; }
};

void choose_sizes(Problem& p, Random& random, double wide) {
    p.batch = random.integer(1, 4);
    p.length = random.chance(0.1) ? random.integer(0, 2) : random.integer(1, 60);
    if (random.chance(wide))
        p.max_labels = random.chance(0.1) ? random.integer(512, 1100) : random.chance(0.2) ? 256 : random.integer(256, 300);
    else if (random.chance(0.6))
        p.max_labels = random.integer(0, 12);
    else if (random.chance(0.3))
        p.max_labels = random.one_of<int64_t>({31, 32, 63, 64, 127, 128, 255, 256});
    else
        p.max_labels = random.integer(0, 255);
    if (p.max_labels > 12) p.batch = random.integer(1, 2);
    if (p.max_labels > 12 && random.chance(0.5)) p.length = p.max_labels + random.integer(0, 40);
    p.columns = random.chance(0.5) ? random.integer(2, 6) : random.integer(2, 400);
    p.stride = random.chance(0.7) ? p.columns : p.columns + random.integer(1, 9);
    p.blank = random.integer(0, p.columns - 1);
    p.sound.assign(p.batch, true);
    for (int64_t b = 0; b < p.batch; ++b) {
        const int64_t length = random.chance(0.3) ? p.length : random.integer(0, p.length);
        const int64_t most = random.chance(0.1) ? p.max_labels : std::min(p.max_labels, length + random.integer(0, 1));
        p.input_lengths.push_back(length);
        p.target_lengths.push_back(random.chance(0.5) ? most : random.integer(0, most));
    }
}

// Dense, or packed in any order with rows of nobody between.
void lay_out(Problem& p, Random& random) {
    std::vector<int64_t> order(p.batch);
    for (int64_t b = 0; b < p.batch; ++b) order[b] = b;
    p.first_rows.resize(p.batch);
    if (random.chance(0.5)) {
        for (const int64_t b : order) p.first_rows[b] = b * p.length;
        p.rows = p.batch * p.length;
        return;
    }
    std::shuffle(order.begin(), order.end(), random.source);
    p.rows = random.integer(0, 2);
    for (const int64_t b : order) {
        p.first_rows[b] = p.rows;
        p.rows += p.input_lengths[b] + random.integer(0, 1);
    }
}

void choose_labels(Problem& p, Random& random) {
    const double repeats = random.chance(0.25) ? 0.5 : 0;
    for (int64_t b = 0; b < p.batch; ++b)
        for (int64_t k = 0; k < p.max_labels; ++k) {
            int64_t label = random.integer(0, p.columns - 2);
            label += label >= p.blank;
            if (k && random.chance(repeats)) label = p.labels.back();
            if (k >= p.target_lengths[b])
                label = random.one_of<int64_t>({-100, p.columns, INT64_MAX, INT64_MIN, p.blank, 0});
            p.labels.push_back(label);
        }
}

// Cells of nobody hold NaN, so that reading one shows.
void choose_scores(Problem& p, Random& random) {
    p.table.assign(p.rows ? (p.rows - 1) * p.stride + p.columns : 0, NAN_F);
    const float scale = std::pow(10.f, static_cast<float>(random.integer(-1, 2)));
    const int64_t kind = random.integer(0, 9);
    const bool ties = kind < 3, normalised = kind >= 3 && kind < 8, huge = kind == 9;
    const float factor = huge ? random.one_of({4e8f, 1e12f, 1e20f}) : 1.f;
    const double minus = random.chance(0.2) ? 0.05 : 0, nan = random.chance(0.1) ? 0.002 : 0,
                 plus = random.chance(0.05) ? 0.002 : 0;
    for (int64_t b = 0; b < p.batch; ++b)
        for (int64_t t = 0; t < p.input_lengths[b]; ++t) {
            float* row = p.table.data() + (p.first_rows[b] + t) * p.stride;
            double sum = 0;
            for (int64_t v = 0; v < p.columns; ++v) {
                row[v] = random.normal() * scale;
                row[v] = ties ? std::clamp(std::round(row[v]), -2.f, 2.f) : row[v] * factor;
                sum += std::exp(static_cast<double>(row[v]));
            }
            for (int64_t v = 0; v < p.columns; ++v) {
                if (normalised && std::isfinite(sum)) row[v] -= static_cast<float>(std::log(sum));
                p.size = std::max(p.size, std::fabs(static_cast<double>(row[v])) * static_cast<double>(p.input_lengths[b]));
                if (random.chance(minus)) row[v] = -INF;
                if (random.chance(nan)) row[v] = NAN_F;
                if (random.chance(plus)) row[v] = INF;
            }
        }
}

// Part of a possible path, or anything.
void choose_observed(Problem& p, Random& random) {
    p.by_state = random.chance(0.5);
    p.score_observed = random.chance(0.6);
    const bool possible = random.chance(0.8);
    for (int64_t b = 0; b < p.batch; ++b) {
        const int64_t labels = p.target_lengths[b], last = 2 * labels - 1;
        int64_t state = std::min<int64_t>(random.integer(0, 1), 2 * labels);
        for (int64_t t = 0; t < p.length; ++t) {
            const bool late = last - state > p.input_lengths[b] - 1 - t;
            if (t && state < 2 * labels && (late || random.chance(0.4))) {
                const int64_t k = state / 2;
                const bool may_skip = state % 2 && k + 1 < labels && p.label(b, k) != p.label(b, k + 1);
                state += may_skip && (late || random.chance(0.5)) ? 2 : 1;
            }
            int64_t seen = p.by_state ? state : state % 2 ? p.label(b, state / 2) : p.blank;
            if (!possible) seen = random.integer(-1, p.by_state ? 2 * labels : p.columns - 1);
            if (!possible && random.chance(0.05)) seen = random.one_of<int64_t>({-7, INT64_MIN, INT64_MAX, p.columns});
            if (random.chance(0.6)) seen = -1;
            if (t >= p.input_lengths[b]) seen = random.one_of<int64_t>({-1, 0, INT64_MAX, INT64_MIN});
            p.observed.push_back(seen);
        }
    }
}

// Here and there a value out of its range.
void spoil(Problem& p, Random& random) {
    for (int64_t b = 0; b < p.batch; ++b) {
        if (!random.chance(0.4)) continue;
        const int64_t which = random.integer(0, 3);
        if (which == 3 && !p.target_lengths[b]) continue;
        if (which == 0) p.input_lengths[b] = random.one_of<int64_t>({-1, p.length + 1, INT64_MIN, INT64_MAX / 2});
        if (which == 1) p.target_lengths[b] = random.one_of<int64_t>({-1, p.max_labels + 1, INT64_MIN, INT64_MAX});
        if (which == 2) p.first_rows[b] = random.one_of<int64_t>({-1, p.rows + 1, INT64_MIN, INT64_MAX / 2});
        if (which == 3) {
            const int64_t k = random.integer(0, p.target_lengths[b] - 1);
            p.labels[b * p.max_labels + k] = random.one_of<int64_t>({-1, -7, p.columns, p.blank, INT64_MIN, INT64_MAX});
        }
        p.sound[b] = false;
    }
}

Problem random_problem(Random& random, double wide) {
    Problem p;
    choose_sizes(p, random, wide);
    lay_out(p, random);
    choose_labels(p, random);
    choose_scores(p, random);
    if (random.chance(0.6)) choose_observed(p, random);
    if (random.chance(0.25)) spoil(p, random);
    return p;
}

std::string described_as(const Problem& p) {
    const auto number = [](int64_t value) { return std::to_string(value); };
    std::string text = "B " + number(p.batch) + " T " + number(p.length) + " L " + number(p.max_labels) + " V " +
                       number(p.columns) + " stride " + number(p.stride) + " rows " + number(p.rows) + " blank " +
                       number(p.blank) + (p.observed.empty() ? "" : p.by_state ? " observed states" : " observed tokens") +
                       (p.score_observed ? "" : ", not scored");
    for (int64_t b = 0; b < p.batch; ++b)
        text += "\n    length " + number(p.input_lengths[b]) + ", labels " + number(p.target_lengths[b]);
    return text;
}

struct Answer {
    std::vector<float> losses, gradient, losses_alone, scores;
    std::vector<int64_t> states;

    bool operator==(const Answer& other) const {
        return same_bits(losses, other.losses) && same_bits(gradient, other.gradient) &&
               same_bits(losses_alone, other.losses_alone) && same_bits(scores, other.scores) &&
               same_bits(states, other.states);
    }
};

enum Where { ON_CUDA, ON_CPU };

Answer solve(const Problem& p, Where where) {
    const Memory<float> table(p.table);
    const Memory<int64_t> first_rows(p.first_rows), labels(p.labels), input_lengths(p.input_lengths),
        target_lengths(p.target_lengths), observed(p.observed);
    const Batch batch{table.get(), first_rows.get(), p.stride, p.rows, p.columns, labels.get(), input_lengths.get(),
                      target_lengths.get(), p.observed.empty() ? nullptr : observed.get(), p.batch, p.length, p.max_labels,
                      p.blank, p.by_state, p.score_observed};
    const Memory<float> losses(p.batch), alone(p.batch), scores(p.batch);
    const Memory<float> gradient(std::vector<float>(p.rows * p.columns, 0.f));
    const Memory<int64_t> states(p.batch * p.length);
    std::vector<Status> statuses;
    if (where == ON_CUDA) {
        const Memory<char> for_both(forward_backward_cuda_workspace(p.batch, p.length, p.max_labels, true)),
            for_loss(forward_backward_cuda_workspace(p.batch, p.length, p.max_labels, false)),
            for_path(best_path_cuda_workspace(p.batch, p.length, p.max_labels));
        statuses = {forward_backward_cuda(batch, losses.get(), gradient.get(), for_both.get(), nullptr),
                    forward_backward_cuda(batch, alone.get(), nullptr, for_loss.get(), nullptr),
                    best_path_cuda(batch, states.get(), scores.get(), for_path.get(), nullptr)};
    } else {
        statuses = {forward_backward_cpu(batch, losses.get(), gradient.get(), 1),
                    forward_backward_cpu(batch, alone.get(), nullptr, 1),
                    best_path_cpu(batch, states.get(), scores.get(), 1)};
    }
    for (const Status status : statuses) require(status == OK, "status: ", cuda_error_text());
    return {losses.values(), gradient.values(), alone.values(), scores.values(), states.values()};
}

bool equal(float a, float b) { return std::isnan(a) ? std::isnan(b) : std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b); }

bool close(const char* kind, float actual, float expected, double bound) {
    if (!std::isfinite(expected)) return equal(actual, expected);
    const double error = std::fabs(static_cast<double>(actual) - expected);
    worst[kind] = std::max(worst[kind], error / bound);
    return error <= bound;
}

void compare(const Problem& p, const Answer& cuda, const Answer& cpu) {
    std::vector<bool> written(p.rows);
    for (int64_t b = 0; b < p.batch; ++b) {
        const std::string name = "sentence " + std::to_string(b) + ": ";
        require(equal(cuda.losses[b], cuda.losses_alone[b]), name, "losses with and without a gradient differ");
        require(equal(cuda.scores[b], cpu.scores[b]), name, "best score ", cuda.scores[b], ", the CPU's ", cpu.scores[b]);
        for (int64_t t = 0; t < p.length; ++t) {
            const int64_t state = cuda.states[b * p.length + t], wanted = cpu.states[b * p.length + t];
            require(state == wanted, name, "state ", state, " at ", t, ", the CPU's ", wanted);
        }
        if (!p.sound[b]) {
            ++met["sentences with a bad value"];
            require(std::isnan(cuda.losses[b]) && std::isnan(cuda.scores[b]), name, "a bad value gives no NaN");
            require(std::isnan(cpu.losses[b]), name, "a bad value gives no NaN on the CPU");
            for (int64_t t = 0; t < std::clamp<int64_t>(p.input_lengths[b], 0, p.length); ++t) {
                const int64_t row = p.first_rows[b];
                if (row >= 0 && row < p.rows - t) written[row + t] = true;  // maybe
            }
            continue;
        }
        const float loss = cpu.losses[b];
        ++met[std::isnan(loss) ? "sentences with a NaN" : std::isinf(loss) ? "impossible sentences" : "possible sentences"];
        require(close("loss", cuda.losses[b], loss, 1e-5 + 2e-6 * std::fabs(loss) + 2e-7 * p.size), name, "loss ",
                cuda.losses[b], ", the CPU's ", loss);
        for (int64_t t = 0; t < p.input_lengths[b]; ++t) {
            const int64_t row = p.first_rows[b] + t;
            written[row] = true;
            for (int64_t v = 0; v < p.columns; ++v) {
                const float x = cuda.gradient[row * p.columns + v], y = cpu.gradient[row * p.columns + v];
                require(close("gradient", x, y + 0.f, 2e-5 + 1e-7 * std::min(p.size, 1e4)), name, "gradient ", x, " at ", t,
                        ", ", v, ", the CPU's ", y);
            }
        }
    }
    for (int64_t row = 0; row < p.rows; ++row)
        for (int64_t v = 0; v < p.columns && !written[row]; ++v)
            require(cuda.gradient[row * p.columns + v] == 0.f, "a gradient in nobody's row");
}

}  // namespace

void fuzz_recursion(Random& random, uint64_t index, double wide, std::string& described) {
    const Problem p = random_problem(random, wide);
    described = described_as(p);
    ++met[p.max_labels > 255 ? "problems of more labels" : "problems in registers"];
    std::vector<Answer> answers;
    for (const emulation::Settings& order : orders(index)) {
        emulation::settings = order;
        answers.push_back(solve(p, ON_CUDA));
        require(answers.back() == answers[0], "order ", order.order, " of threads, or what memory held, shows");
    }
    compare(p, answers[0], solve(p, ON_CPU));
}
