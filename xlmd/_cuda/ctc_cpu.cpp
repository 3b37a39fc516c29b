// CTC on the CPU: OpenMP over groups of sentences, one sentence a SIMD lane.
//
// Inner loops over lanes are plain loops of constant length that the compiler turns into vectors for whatever the
// processor at run time offers. Lanes never mix, so a sentence's result depends neither on its neighbours nor on the
// number of threads.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <vector>

#include "ctc.h"
#include "recursion.h"

// The sanitizers cannot instrument the resolvers that choose a clone.
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__SANITIZE_ADDRESS__)
#define XLMD_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define XLMD_CLONES
#endif

#define FOR_LANES _Pragma("omp simd") for (int lane = 0; lane < LANES; ++lane)

namespace xlmd {
namespace {

constexpr int LANES = 16;
constexpr float NAN_F = std::numeric_limits<float>::quiet_NaN();
constexpr float INF_F = std::numeric_limits<float>::infinity();

struct Free {
    void operator()(void* pointer) const { std::free(pointer); }
};

// Uninitialised, aligned to a cache line. Null when there is no memory.
template <typename T>
class Array {
  public:
    explicit Array(size_t count) : data_(static_cast<T*>(std::aligned_alloc(64, (count * sizeof(T) + 64) / 64 * 64))) {}
    explicit operator bool() const { return data_ != nullptr; }
    operator T*() const { return data_.get(); }

  private:
    std::unique_ptr<T, Free> data_;
};

// Up to LANES sentences that advance together.
struct Group {
    int64_t sentence[LANES];
    int32_t length[LANES];
    int32_t labels[LANES];
    int32_t count = 0;
    int32_t max_length = 0;
    int32_t max_labels = 0;
};

bool in_range(const Batch& batch, int64_t b) {
    const int64_t length = batch.input_lengths[b], labels = batch.target_lengths[b];
    if (length < 0 || length > batch.length || labels < 0 || labels > batch.max_labels) return false;
    if (batch.first_rows[b] < 0 || batch.first_rows[b] + length > batch.rows) return false;
    const int64_t* label = batch.labels + b * batch.max_labels;
    for (int64_t k = 0; k < labels; ++k)
        if (label[k] < 0 || label[k] >= batch.columns || label[k] == batch.blank) return false;
    return true;
}

// Sentences of like size share a group, so that lanes seldom idle; the longest first, so that threads end together.
std::vector<Group> groups_of(const Batch& batch, std::vector<int64_t>& out_of_range) {
    std::vector<int64_t> order;
    order.reserve(batch.batch);
    for (int64_t b = 0; b < batch.batch; ++b) (in_range(batch, b) ? order : out_of_range).push_back(b);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
        const int64_t la = batch.input_lengths[a], lb = batch.input_lengths[b];
        return la != lb ? la > lb : batch.target_lengths[a] > batch.target_lengths[b];
    });
    std::vector<Group> groups((order.size() + LANES - 1) / LANES);
    for (size_t i = 0; i < groups.size() * LANES; ++i) {
        Group& group = groups[i / LANES];
        const int lane = static_cast<int>(i % LANES);
        const bool used = i < order.size();
        group.sentence[lane] = used ? order[i] : -1;
        group.length[lane] = used ? static_cast<int32_t>(batch.input_lengths[order[i]]) : 0;
        group.labels[lane] = used ? static_cast<int32_t>(batch.target_lengths[order[i]]) : 0;
        group.count += used;
        group.max_length = std::max(group.max_length, group.length[lane]);
        group.max_labels = std::max(group.max_labels, group.labels[lane]);
    }
    return groups;
}

// One position of a group: emissions of labels [max_labels][LANES], and of blanks [1][LANES], or one row a blank where
// a state is forced, since then blanks differ. Padding labels are impossible.
struct Emissions {
    float* blank;
    float* label;
    int64_t blank_stride;
};

XLMD_CLONES void read_scores(const Batch& batch, const Group& group, int32_t t, const Emissions& out, int32_t* broken) {
    for (int lane = 0; lane < LANES; ++lane) {
        if (t >= group.length[lane]) {  // nothing is read from here on: any finite value does
            for (int32_t k = 0; k < group.max_labels; ++k) out.label[k * LANES + lane] = 0.f;
            for (int32_t k = 0; k <= (out.blank_stride ? group.max_labels : 0); ++k) out.blank[k * LANES + lane] = 0.f;
            continue;
        }
        const int64_t b = group.sentence[lane];
        const float* row = batch.table + (batch.first_rows[b] + t) * batch.row_stride;
        const int64_t* label = batch.labels + b * batch.max_labels;
        const int64_t observed = batch.observed ? batch.observed[b * batch.length + t] : -1;
        const int32_t count = group.labels[lane];
        const float blank = row[batch.blank];
        if (observed < 0) {
            for (int32_t k = 0; k < count; ++k) out.label[k * LANES + lane] = row[label[k]];
            for (int32_t k = 0; k <= (out.blank_stride ? group.max_labels : 0); ++k)
                out.blank[k * LANES + lane] = blank;
        } else {
            const bool scored = batch.score_observed;
            for (int32_t k = 0; k < count; ++k) {
                const bool same = batch.by_state ? observed == 2 * k + 1 : observed == label[k];
                out.label[k * LANES + lane] = constrained(row[label[k]], true, same, scored);
            }
            for (int32_t k = 0; k <= (out.blank_stride ? group.max_labels : 0); ++k) {
                const bool same = batch.by_state ? observed == 2 * k : observed == batch.blank;
                out.blank[k * LANES + lane] = constrained(blank, true, same, scored);
            }
        }
        for (int32_t k = count; k < group.max_labels; ++k) out.label[k * LANES + lane] = NONE;
    }
    // A NaN or +inf spoils its sentence; it is noted here so that the recursion meets finite numbers only.
    const auto clean = [&](float* values, int64_t count) {
        for (int64_t i = 0; i < count; i += LANES) {
            FOR_LANES {
                const float value = values[i + lane];
                const bool good = value < INF_F;
                broken[lane] |= good ? 0 : 1;
                values[i + lane] = good ? larger(value, NONE) : NONE;
            }
        }
    };
    clean(out.label, int64_t{group.max_labels} * LANES);
    clean(out.blank, (out.blank_stride ? group.max_labels + 1 : 1) * LANES);
}

// The states of a group at one position: blanks [max_labels + 1][LANES] and labels [max_labels][LANES].
struct Row {
    float* blank;
    float* label;
};

// Steps forwards over all pairs. `entering` receives what flows into each state, `row` that plus emissions less offset.
// maximum becomes the row's largest value.
XLMD_CLONES void step_forward(int64_t pairs, const Emissions& emissions, const int32_t* skip, const float* offset,
                              const Row& row, const Row& entering, float* maximum) {
    alignas(64) float neighbour[LANES];
    alignas(64) float highest[LANES];
    FOR_LANES {
        neighbour[lane] = NONE;
        highest[lane] = 4 * NONE;
    }
    for (int64_t k = 0; k < pairs; ++k) {
        const float* blank_emission = emissions.blank + k * emissions.blank_stride;
        const float* label_emission = emissions.label + k * LANES;
        float* blank = row.blank + k * LANES;
        float* label = row.label + k * LANES;
        float* entering_blank = entering.blank + k * LANES;
        float* entering_label = entering.label + k * LANES;
        const int32_t* may_skip = skip + k * LANES;
        FOR_LANES {
            float into_blank, into_label;
            const float old_label = label[lane];
            sum_pair(blank[lane], old_label, neighbour[lane], may_skip[lane] != 0, into_blank, into_label);
            entering_blank[lane] = into_blank;
            entering_label[lane] = into_label;
            into_blank += blank_emission[lane] * LOG2_E - offset[lane];
            into_label += label_emission[lane] * LOG2_E - offset[lane];
            blank[lane] = into_blank;
            label[lane] = into_label;
            highest[lane] = larger(highest[lane], larger(into_blank, into_label));
            neighbour[lane] = old_label;
        }
    }
    const float* blank_emission = emissions.blank + pairs * emissions.blank_stride;
    float* blank = row.blank + pairs * LANES;
    float* entering_blank = entering.blank + pairs * LANES;
    FOR_LANES {
        float into_blank = log2_sum(blank[lane], neighbour[lane]);
        entering_blank[lane] = into_blank;
        into_blank += blank_emission[lane] * LOG2_E - offset[lane];
        blank[lane] = into_blank;
        maximum[lane] = larger(highest[lane], into_blank);
    }
}

// Backwards: what flows into each state from the position after, before this position's emissions.
XLMD_CLONES void flow_backward(int64_t pairs, const int32_t* skip, const Row& row) {
    alignas(64) float neighbour[LANES];
    FOR_LANES neighbour[lane] = NONE;
    for (int64_t k = pairs - 1; k >= 0; --k) {
        float* blank = row.blank + (k + 1) * LANES;
        float* label = row.label + k * LANES;
        const int32_t* may_skip = skip + (k + 1) * LANES;
        FOR_LANES {
            float into_blank, into_label;
            const float old_label = label[lane];
            sum_pair(blank[lane], old_label, neighbour[lane], may_skip[lane] != 0, into_blank, into_label);
            blank[lane] = into_blank;
            label[lane] = into_label;
            neighbour[lane] = old_label;
        }
    }
    FOR_LANES row.blank[lane] = log2_sum(row.blank[lane], neighbour[lane]);
}

// Adds this position's emissions to `row`, and computes gamma as 2^(entering + row), relative to the largest of them: each
// label's, the blanks' sum, and the sum of all, which is at least 1. maximum becomes the row's largest value.
XLMD_CLONES void posteriors(int64_t pairs, const Emissions& emissions, const float* offset, const Row& row,
                            const Row& entering, float* gamma, float* blank_gamma, float* total, float* maximum) {
    alignas(64) float highest[LANES];
    alignas(64) float blanks[LANES];
    alignas(64) float labels[LANES];
    alignas(64) float peak[LANES];
    FOR_LANES {
        const float value = row.blank[pairs * LANES + lane] +
                            (emissions.blank[pairs * emissions.blank_stride + lane] * LOG2_E - offset[lane]);
        row.blank[pairs * LANES + lane] = value;
        highest[lane] = value;
        peak[lane] = entering.blank[pairs * LANES + lane] + value;
    }
    for (int64_t k = 0; k < pairs; ++k) {
        const float* blank_emission = emissions.blank + k * emissions.blank_stride;
        const float* label_emission = emissions.label + k * LANES;
        float* blank = row.blank + k * LANES;
        float* label = row.label + k * LANES;
        const float* entering_blank = entering.blank + k * LANES;
        const float* entering_label = entering.label + k * LANES;
        FOR_LANES {
            const float b = blank[lane] + (blank_emission[lane] * LOG2_E - offset[lane]);
            const float l = label[lane] + (label_emission[lane] * LOG2_E - offset[lane]);
            blank[lane] = b;
            label[lane] = l;
            highest[lane] = larger(highest[lane], larger(b, l));
            peak[lane] = larger(peak[lane], larger(entering_blank[lane] + b, entering_label[lane] + l));
        }
    }
    FOR_LANES {
        const int64_t last = pairs * LANES + lane;
        blanks[lane] = exp2_or_zero(entering.blank[last] + row.blank[last] - peak[lane]);
        labels[lane] = 0.f;
    }
    for (int64_t k = 0; k < pairs; ++k) {
        const float* blank = row.blank + k * LANES;
        const float* label = row.label + k * LANES;
        const float* entering_blank = entering.blank + k * LANES;
        const float* entering_label = entering.label + k * LANES;
        float* out = gamma + k * LANES;
        FOR_LANES {
            blanks[lane] += exp2_or_zero(entering_blank[lane] + blank[lane] - peak[lane]);
            const float g = exp2_or_zero(entering_label[lane] + label[lane] - peak[lane]);
            out[lane] = g;
            labels[lane] += g;
        }
    }
    FOR_LANES {
        maximum[lane] = highest[lane];
        blank_gamma[lane] = blanks[lane];
        total[lane] = blanks[lane] + labels[lane];
    }
}

XLMD_CLONES void step_best(int64_t pairs, const Emissions& emissions, const int32_t* skip, const Row& row,
                           uint8_t* steps) {
    alignas(64) float neighbour[LANES];
    FOR_LANES neighbour[lane] = -INF_F;  // below any score, so that no path leaves the lattice
    for (int64_t k = 0; k < pairs; ++k) {
        const float* blank_emission = emissions.blank + k * emissions.blank_stride;
        const float* label_emission = emissions.label + k * LANES;
        float* blank = row.blank + k * LANES;
        float* label = row.label + k * LANES;
        const int32_t* may_skip = skip + k * LANES;
        alignas(64) int32_t step[LANES];
        FOR_LANES {
            float into_blank, into_label;
            int32_t blank_step, label_step;
            const float old_label = label[lane];
            max_pair(blank[lane], old_label, neighbour[lane], may_skip[lane] != 0, into_blank, into_label, blank_step,
                     label_step);
            blank[lane] = into_blank + blank_emission[lane];
            label[lane] = into_label + label_emission[lane];
            step[lane] = blank_step | label_step << 1;
            neighbour[lane] = old_label;
        }
        for (int lane = 0; lane < LANES; ++lane) steps[k * LANES + lane] = static_cast<uint8_t>(step[lane]);
    }
    const float* blank_emission = emissions.blank + pairs * emissions.blank_stride;
    float* blank = row.blank + pairs * LANES;
    for (int lane = 0; lane < LANES; ++lane) {
        const bool moved = neighbour[lane] > blank[lane];
        steps[pairs * LANES + lane] = moved;
        blank[lane] = (moved ? neighbour[lane] : blank[lane]) + blank_emission[lane];
    }
}

// Whether a path may come to label k straight from label k - 1: [max_labels + 1][LANES], the last row false.
void mark_skips(const Batch& batch, const Group& group, int32_t* skip) {
    std::memset(skip, 0, sizeof(int32_t) * (group.max_labels + 1) * LANES);
    for (int lane = 0; lane < group.count; ++lane) {
        const int64_t* label = batch.labels + group.sentence[lane] * batch.max_labels;
        for (int32_t k = 1; k < group.labels[lane]; ++k) skip[k * LANES + lane] = label[k] != label[k - 1];
    }
}

// Everything a thread needs for one group at a time.
struct Workspace {
    Array<float> emissions, states, entering, gamma;
    Array<int32_t> skip;
    Array<uint8_t> steps;

    Workspace(int64_t length, int64_t labels, bool by_state, bool keep_rows, bool keep_steps)
        : emissions((keep_rows ? length : 1) * (labels + (by_state ? labels + 1 : 1)) * LANES),
          states((2 * labels + 1) * LANES),
          entering((keep_rows ? length : 1) * (2 * labels + 1) * LANES),
          gamma((keep_rows ? labels : 0) * LANES),
          skip((labels + 1) * LANES),
          steps((keep_steps ? length * (labels + 1) : 0) * LANES) {}

    explicit operator bool() const { return emissions && states && entering && gamma && skip && steps; }

    Emissions emissions_of(const Group& group, int64_t t, bool by_state) const {
        float* start = emissions + t * (group.max_labels + (by_state ? group.max_labels + 1 : 1)) * LANES;
        return {start + group.max_labels * LANES, start, by_state ? LANES : 0};
    }
    Row row_of(const Group& group) const { return {states, states + (group.max_labels + 1) * LANES}; }
    Row entering_of(const Group& group, int64_t t) const {
        float* start = entering + t * (2 * group.max_labels + 1) * LANES;
        return {start, start + (group.max_labels + 1) * LANES};
    }
};

// The first position may hold blank_0 or label_0.
void start_row(const Group& group, const Row& row) {
    const int64_t cells = int64_t{group.max_labels} * LANES;
    std::fill(row.blank, row.blank + cells + LANES, NONE);
    std::fill(row.label, row.label + cells, NONE);
    std::fill(row.blank, row.blank + LANES, 0.f);
    if (group.max_labels) std::fill(row.label, row.label + LANES, 0.f);
}

// One row of -gamma. Labels may repeat, so they add up.
void write_gradient(const Batch& batch, int64_t b, int32_t labels, const float* gamma, float blank_gamma, float scale,
                    float* out) {
    const int64_t* label = batch.labels + b * batch.max_labels;
    std::memset(out, 0, sizeof(float) * batch.columns);
    for (int32_t k = 0; k < labels; ++k) out[label[k]] += gamma[k * LANES] * scale;
    out[batch.blank] = blank_gamma * scale;
}

void forward_backward_group(const Batch& batch, const Group& group, const Workspace& work, float* losses,
                            float* gradient) {
    const bool by_state = batch.observed && batch.by_state;
    const int64_t pairs = group.max_labels;
    const Row row = work.row_of(group);
    alignas(64) int32_t broken[LANES] = {};
    alignas(64) float offset[LANES] = {};
    alignas(64) float maximum[LANES] = {};
    double sum[LANES] = {}, likelihood[LANES];
    for (int lane = 0; lane < LANES; ++lane)
        likelihood[lane] = group.labels[lane] ? -std::numeric_limits<double>::infinity() : 0.0;

    mark_skips(batch, group, work.skip);
    for (int32_t t = 0; t < group.max_length; ++t) {
        const Emissions emissions = work.emissions_of(group, gradient ? t : 0, by_state);
        read_scores(batch, group, t, emissions, broken);
        const Row entering = work.entering_of(group, gradient ? t : 0);
        if (t == 0) {
            start_row(group, entering);
            for (int64_t k = 0; k <= pairs; ++k)
                FOR_LANES row.blank[k * LANES + lane] =
                    entering.blank[k * LANES + lane] + emissions.blank[k * emissions.blank_stride + lane] * LOG2_E;
            for (int64_t i = 0; i < pairs * LANES; ++i) row.label[i] = entering.label[i] + emissions.label[i] * LOG2_E;
            FOR_LANES maximum[lane] = pairs ? larger(row.blank[lane], row.label[lane]) : row.blank[lane];
        } else {
            for (int lane = 0; lane < LANES; ++lane) {
                offset[lane] = maximum[lane];
                sum[lane] += maximum[lane];
            }
            step_forward(pairs, emissions, work.skip, offset, row, entering, maximum);
        }
        for (int lane = 0; lane < group.count; ++lane) {
            if (t + 1 != group.length[lane]) continue;
            const int32_t last = group.labels[lane];
            const float blank = row.blank[last * LANES + lane];
            const float end = last ? log2_sum(blank, row.label[(last - 1) * LANES + lane]) : blank;
            likelihood[lane] = sum[lane] + end;
        }
    }
    for (int lane = 0; lane < group.count; ++lane) {
        const bool impossible = likelihood[lane] < POSSIBLE;
        const float loss = impossible ? INF_F : static_cast<float>(-likelihood[lane] * LN_2);
        losses[group.sentence[lane]] = broken[lane] ? NAN_F : loss;
    }
    if (!gradient || !group.max_length) return;

    for (int lane = 0; lane < LANES; ++lane) offset[lane] = maximum[lane] = 0;
    std::fill(row.blank, row.blank + (pairs + 1) * LANES, NONE);
    std::fill(row.label, row.label + pairs * LANES, NONE);
    alignas(64) float blank_gamma[LANES], total[LANES];
    for (int32_t t = group.max_length - 1; t >= 0; --t) {
        for (int lane = 0; lane < LANES; ++lane) offset[lane] = maximum[lane];
        flow_backward(pairs, work.skip, row);
        for (int lane = 0; lane < group.count; ++lane) {
            if (t + 1 != group.length[lane]) continue;
            const int32_t last = group.labels[lane];
            for (int64_t k = 0; k <= pairs; ++k) row.blank[k * LANES + lane] = k == last ? 0.f : NONE;
            for (int64_t k = 0; k < pairs; ++k) row.label[k * LANES + lane] = k == last - 1 ? 0.f : NONE;
            offset[lane] = 0;
        }
        posteriors(pairs, work.emissions_of(group, t, by_state), offset, row, work.entering_of(group, t), work.gamma,
                   blank_gamma, total, maximum);
        for (int lane = 0; lane < group.count; ++lane) {
            if (t >= group.length[lane]) continue;
            const int64_t b = group.sentence[lane];
            float* out = gradient + (batch.first_rows[b] + t) * batch.columns;
            // Rows of a group's sentences are far apart: too many streams for the processor to prefetch by itself.
            for (int64_t i = 0; t && i < batch.columns && i < 512; i += 16)
                __builtin_prefetch(out - batch.columns + i, 1);
            const bool unscored = batch.observed && !batch.score_observed && batch.observed[b * batch.length + t] >= 0;
            if (broken[lane] || unscored || likelihood[lane] < POSSIBLE)
                std::fill(out, out + batch.columns, broken[lane] ? NAN_F : 0.f);
            else
                write_gradient(batch, b, group.labels[lane], work.gamma + lane, blank_gamma[lane], -1.f / total[lane],
                               out);
        }
    }
}

// Whether every sentence has `length` rows of the table to itself, so that rows beyond its own length are nobody's.
bool is_dense(const Batch& batch) {
    if (batch.rows != batch.batch * batch.length) return false;
    for (int64_t b = 0; b < batch.batch; ++b)
        if (batch.first_rows[b] != b * batch.length) return false;
    return true;
}

// Of a dense table.
void fill_rows(const Batch& batch, int64_t b, int64_t from, float value, float* gradient) {
    float* start = gradient + b * batch.length * batch.columns;
    std::fill(start + from * batch.columns, start + batch.length * batch.columns, value);
}

void best_path_group(const Batch& batch, const Group& group, const Workspace& work, int64_t* states, float* scores) {
    const int64_t pairs = group.max_labels;
    const Emissions emissions = work.emissions_of(group, 0, batch.observed && batch.by_state);
    const Row row = work.row_of(group);
    alignas(64) int32_t broken[LANES] = {};
    int64_t state[LANES];
    float score[LANES];
    for (int lane = 0; lane < LANES; ++lane) {
        score[lane] = group.labels[lane] ? NONE : 0.f;
        state[lane] = -1;
    }
    mark_skips(batch, group, work.skip);
    for (int32_t t = 0; t < group.max_length; ++t) {
        read_scores(batch, group, t, emissions, broken);
        if (t == 0) {
            start_row(group, row);
            for (int64_t k = 0; k <= pairs; ++k)
                FOR_LANES row.blank[k * LANES + lane] += emissions.blank[k * emissions.blank_stride + lane];
            for (int64_t i = 0; i < pairs * LANES; ++i) row.label[i] += emissions.label[i];
        } else {
            step_best(pairs, emissions, work.skip, row, work.steps + t * (pairs + 1) * LANES);
        }
        for (int lane = 0; lane < group.count; ++lane) {
            if (t + 1 != group.length[lane]) continue;
            const int32_t last = group.labels[lane];
            score[lane] = row.blank[last * LANES + lane];
            state[lane] = 2 * last;
            if (last && row.label[(last - 1) * LANES + lane] > score[lane]) {
                score[lane] = row.label[(last - 1) * LANES + lane];
                state[lane] = 2 * last - 1;
            }
        }
    }
    for (int lane = 0; lane < group.count; ++lane) {
        const int64_t b = group.sentence[lane];
        int64_t* path = states + b * batch.length;
        std::fill(path, path + batch.length, int64_t{-1});
        scores[b] = broken[lane] ? NAN_F : score[lane] < POSSIBLE ? -INF_F : score[lane];
        if (broken[lane] || score[lane] < POSSIBLE) continue;
        int64_t s = state[lane];
        for (int32_t t = group.length[lane] - 1; t >= 0; --t) {
            path[t] = s;
            if (t == 0) break;
            const uint8_t step = work.steps[(t * (pairs + 1) + s / 2) * LANES + lane];
            s -= s % 2 ? step >> 1 : step & 1;
        }
    }
}

template <typename Work>
Status for_groups(const Batch& batch, const std::vector<Group>& groups, int threads, bool keep_rows, bool keep_steps,
                  const Work& work) {
    int64_t length = 0, labels = 0;
    for (const Group& group : groups) {
        length = std::max<int64_t>(length, group.max_length);
        labels = std::max<int64_t>(labels, group.max_labels);
    }
    const int64_t count = static_cast<int64_t>(groups.size());
    const bool by_state = batch.observed && batch.by_state;
    int failed = 0;
#pragma omp parallel num_threads(static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(threads, count)))) \
    reduction(| : failed)
    {
        const Workspace workspace(length, labels, by_state, keep_rows, keep_steps);
        failed = !workspace;
#pragma omp for schedule(dynamic, 1)
        for (int64_t i = 0; i < count; ++i)
            if (!failed) work(groups[i], workspace);
    }
    return failed ? OUT_OF_MEMORY : OK;
}

}  // namespace

Status forward_backward_cpu(const Batch& batch, float* losses, float* gradient, int threads) try {
    std::vector<int64_t> bad;
    const std::vector<Group> groups = groups_of(batch, bad);
    const bool fills = gradient && is_dense(batch);
    for (int64_t b : bad) {
        losses[b] = NAN_F;
        if (fills) fill_rows(batch, b, 0, NAN_F, gradient);
    }
    return for_groups(batch, groups, threads, gradient != nullptr, false,
                      [&](const Group& group, const Workspace& work) {
                          forward_backward_group(batch, group, work, losses, gradient);
                          for (int lane = 0; fills && lane < group.count; ++lane)
                              fill_rows(batch, group.sentence[lane], group.length[lane], 0.f, gradient);
                      });
} catch (const std::bad_alloc&) {
    return OUT_OF_MEMORY;
}

Status best_path_cpu(const Batch& batch, int64_t* states, float* scores, int threads) try {
    std::vector<int64_t> bad;
    const std::vector<Group> groups = groups_of(batch, bad);
    for (int64_t b : bad) {
        scores[b] = NAN_F;
        std::fill(states + b * batch.length, states + (b + 1) * batch.length, int64_t{-1});
    }
    return for_groups(batch, groups, threads, false, true, [&](const Group& group, const Workspace& work) {
        best_path_group(batch, group, work, states, scores);
    });
} catch (const std::bad_alloc&) {
    return OUT_OF_MEMORY;
}

namespace {

XLMD_CLONES float logsumexp(const float* row, int64_t count) {
    constexpr int64_t BLOCK = 64 * LANES;  // summed in float, the blocks in double
    alignas(64) float highest[LANES];
    alignas(64) int32_t broken[LANES];
    FOR_LANES {
        highest[lane] = -INF_F;
        broken[lane] = 0;
    }
    const int64_t whole = count / LANES * LANES;
    for (int64_t i = 0; i < whole; i += LANES) FOR_LANES {
            const float x = row[i + lane];
            highest[lane] = larger(x, highest[lane]);
            broken[lane] |= x < INF_F ? 0 : 1;
        }
    float maximum = -INF_F;
    bool spoilt = false;
    for (int lane = 0; lane < LANES; ++lane) {
        maximum = larger(highest[lane], maximum);
        spoilt |= broken[lane] != 0;
    }
    for (int64_t i = whole; i < count; ++i) {
        maximum = larger(row[i], maximum);
        spoilt |= !(row[i] < INF_F);
    }
    if (spoilt) return NAN_F;
    if (maximum == -INF_F) return maximum;
    double total = 0;
    for (int64_t start = 0; start < whole; start += BLOCK) {
        const int64_t end = start + BLOCK < whole ? start + BLOCK : whole;
        alignas(64) float sum[LANES];
        FOR_LANES sum[lane] = 0.f;
        for (int64_t i = start; i < end; i += LANES)
            FOR_LANES sum[lane] += exp2_in_range(larger((row[i + lane] - maximum) * LOG2_E, -126.f));
        for (int lane = 0; lane < LANES; ++lane) total += sum[lane];
    }
    for (int64_t i = whole; i < count; ++i) total += exp2_in_range(larger((row[i] - maximum) * LOG2_E, -126.f));
    return static_cast<float>(maximum + std::log(total));
}

XLMD_CLONES void scaled_softmax(float* row, int64_t count, float normaliser, float scale) {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i) row[i] = scale * exp2_or_zero(smaller((row[i] - normaliser) * LOG2_E, 126.f));
}

}  // namespace

Status row_logsumexp_cpu(const float* logits, int64_t rows, int64_t columns, float* result, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < rows; ++i) result[i] = logsumexp(logits + i * columns, columns);
    return OK;
}

Status softmax_gradient_cpu(float* logits, const float* normaliser, const float* scale, int64_t rows, int64_t columns,
                            const Compact& compact, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < rows; ++i) {
        float* row = logits + i * columns;
        if (scale[i] == 0.f)
            std::fill(row, row + columns, 0.f);
        else
            scaled_softmax(row, columns, normaliser[i], scale[i]);
        const int64_t* column = compact.columns + compact.sentence[i] * compact.width;
        for (int64_t k = 0; k < compact.width; ++k) {
            const int64_t place = column[k] - compact.offset;
            if (column[k] < 0 || place < 0 || place >= columns) continue;
            const int64_t cell = i * compact.width + k;
            const float p = scale[i] == 0.f ? 0.f : scale[i] * std::exp(compact.table[cell]);
            row[place] = p + compact.gradient[cell];
        }
    }
    return OK;
}

}  // namespace xlmd
