// CTC on CUDA: a warp a sentence and direction, states in registers (up to 255 labels), or a block with its states in
// the workspace above that. Forwards and backwards run at once: beta with its emissions is alpha of the problem with
// time and labels reversed, so one kernel serves both. Gamma follows, a warp a row. No atomics: bitwise repeatable.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include "ctc.h"
#include "recursion.h"

namespace xlmd {
namespace {

constexpr int WARP = 32;
constexpr unsigned ALL = 0xffffffffu;
constexpr int MAX_PAIRS_A_LANE = 8;
constexpr int WIDE = 512;  // threads of a block where a warp's registers do not reach
constexpr int32_t NOT_FIRST = 1 << 30;

thread_local cudaError_t last_error = cudaSuccess;

Status launched() {
    last_error = cudaGetLastError();
    return last_error == cudaSuccess ? OK : CUDA_ERROR;
}

// ---- Workspace ------------------------------------------------------------------------------------------------------

// Carves aligned arrays out of a workspace; with a null base it only counts their bytes.
class Carver {
  public:
    explicit Carver(void* base) : base_(static_cast<char*>(base)) {}

    template <typename T>
    T* take(int64_t count) {
        char* at = base_ ? base_ + used_ : nullptr;
        used_ += (static_cast<size_t>(count) * sizeof(T) + 255) / 256 * 256;
        return reinterpret_cast<T*>(at);
    }
    size_t used() const { return used_; }

  private:
    char* base_;
    size_t used_ = 0;
};

struct Tables {
    float* rows[2];      // [batch][length][2 max_labels + 1]: alpha before its emission, beta with it
    double* likelihood;  // [batch], log2
    int32_t* broken;     // [batch]
    int32_t* chain;      // [batch][max_labels]: 1 + the next position of the same label, 0 for none; NOT_FIRST
    float* scratch;      // [2][batch][2 buffers][2 (max_labels + 1)] where registers do not reach
};

bool in_registers(int64_t max_labels) { return max_labels < WARP * MAX_PAIRS_A_LANE; }

size_t carve(Tables& tables, void* workspace, int64_t batch, int64_t length, int64_t max_labels, bool with_gradient) {
    Carver carver(workspace);
    const int64_t kept = with_gradient ? batch * length : 0;
    for (float*& rows : tables.rows) rows = carver.take<float>(kept * (2 * max_labels + 1));
    tables.likelihood = carver.take<double>(batch);
    tables.broken = carver.take<int32_t>(batch);
    tables.chain = carver.take<int32_t>(with_gradient ? batch * max_labels : 0);
    tables.scratch = carver.take<float>(in_registers(max_labels) ? 0 : 8 * batch * (max_labels + 1));
    return carver.used();
}

struct BestTables {
    uint8_t* steps;  // [batch][length][max_labels + 1]: blank's step | label's step << 1
    float* scratch;
};

size_t carve(BestTables& tables, void* workspace, int64_t batch, int64_t length, int64_t max_labels) {
    Carver carver(workspace);
    tables.steps = carver.take<uint8_t>(batch * length * (max_labels + 1));
    tables.scratch = carver.take<float>(in_registers(max_labels) ? 0 : 4 * batch * (max_labels + 1));
    return carver.used();
}

// ---- One sentence ---------------------------------------------------------------------------------------------------

struct Sentence {
    int64_t b;
    int length, labels;
    bool good;
    const int64_t* label;
};

__device__ Sentence sentence_of(const Batch& batch, int64_t b) {
    Sentence s{b, 0, 0, false, batch.labels + b * batch.max_labels};
    const int64_t length = batch.input_lengths[b], labels = batch.target_lengths[b];
    const int64_t first = batch.first_rows[b];
    s.good = length >= 0 && length <= batch.length && labels >= 0 && labels <= batch.max_labels && first >= 0 &&
             first + length <= batch.rows;
    if (s.good) {
        s.length = static_cast<int>(length);
        s.labels = static_cast<int>(labels);
    }
    return s;
}

__device__ bool is_label(const Batch& batch, int64_t column) {
    return column >= 0 && column < batch.columns && column != batch.blank;
}

__device__ const float* row_of(const Batch& batch, const Sentence& s, int t) {
    return batch.table + (batch.first_rows[s.b] + t) * batch.row_stride;
}

__device__ int64_t observed_at(const Batch& batch, const Sentence& s, int t) {
    return batch.observed ? batch.observed[s.b * batch.length + t] : -1;
}

// The emission of a state in natural units, made finite; notes a NaN or +inf in `broken`.
__device__ float emission(const Batch& batch, float score, int64_t observed, int64_t column, int state, bool& broken) {
    const bool same = batch.by_state ? observed == state : observed == column;
    const float value = constrained(score, observed >= 0, same, batch.score_observed);
    const bool finite = value < INFINITY;
    broken |= !finite;
    return finite ? larger(value, NONE) : NONE;
}

// Largest value of a warp, by way of an integer that orders as the float does.
__device__ float warp_max(float value) {
    int bits = __float_as_int(value);
    bits ^= (bits >> 31) & 0x7fffffff;
    bits = __reduce_max_sync(ALL, bits);
    bits ^= (bits >> 31) & 0x7fffffff;
    return __int_as_float(bits);
}

__device__ float warp_sum(float value) {
    for (int step = WARP / 2; step; step /= 2) value += __shfl_xor_sync(ALL, value, step);
    return value;
}

// The pairs of one sentence that one lane holds, in one direction: pair k is number lane * PAIRS + i.
template <int PAIRS>
struct Lane {
    float blank[PAIRS], label[PAIRS];
    float blank_score, label_score[PAIRS];  // of the position that `load` fetched, as they stand in the table
    int64_t observed;
    int64_t column[PAIRS];
    bool skip[PAIRS];
    bool broken = false;

    __device__ static int pair(int i) { return static_cast<int>(threadIdx.x % WARP) * PAIRS + i; }

    // Backwards, pair k is the target's last but k.
    __device__ static int state_of(const Sentence& s, bool backwards, int state) {
        return backwards ? 2 * s.labels - state : state;
    }

    __device__ void start(const Batch& batch, const Sentence& s, bool backwards) {
#pragma unroll
        for (int i = 0; i < PAIRS; ++i) {
            const int k = pair(i);
            const int at = backwards ? s.labels - 1 - k : k;
            column[i] = k < s.labels ? s.label[at] : -1;
            skip[i] = k > 0 && k < s.labels && s.label[at] != s.label[backwards ? at + 1 : at - 1];
            if (k < s.labels && !is_label(batch, column[i])) {
                broken = true;
                column[i] = batch.blank;
            }
            blank[i] = k == 0 ? 0.f : NONE;
            label[i] = k == 0 && s.labels ? 0.f : NONE;
        }
    }

    // Only loads: what waits for them comes a step later, so that they travel while the step before is computed.
    __device__ void load(const Batch& batch, const Sentence& s, int t) {
        const float* row = row_of(batch, s, t);
        observed = observed_at(batch, s, t);
        blank_score = row[batch.blank];
#pragma unroll
        for (int i = 0; i < PAIRS; ++i) label_score[i] = pair(i) < s.labels ? row[column[i]] : NONE;
    }

    __device__ void emissions(const Batch& batch, const Sentence& s, bool backwards, float (&blanks)[PAIRS],
                              float (&labels)[PAIRS]) {
#pragma unroll
        for (int i = 0; i < PAIRS; ++i) {
            const int k = pair(i);
            blanks[i] = labels[i] = NONE;
            if (k <= s.labels)
                blanks[i] = emission(batch, blank_score, observed, batch.blank, state_of(s, backwards, 2 * k), broken);
            if (k < s.labels)
                labels[i] =
                    emission(batch, label_score[i], observed, column[i], state_of(s, backwards, 2 * k + 1), broken);
        }
    }

    __device__ float neighbour_below(float none) const {
        const float below = __shfl_up_sync(ALL, label[PAIRS - 1], 1);
        return threadIdx.x % WARP == 0 ? none : below;
    }

    // The values of the last blank and the last label, in every lane.
    __device__ void ends(const Sentence& s, float& last_blank, float& last_label) const {
        last_blank = last_label = 4 * NONE;
#pragma unroll
        for (int i = 0; i < PAIRS; ++i) {
            if (pair(i) == s.labels) last_blank = blank[i];
            if (pair(i) == s.labels - 1) last_label = label[i];
        }
        last_blank = warp_max(last_blank);
        last_label = warp_max(last_label);
    }
};

__device__ void finish(const Sentence& s, bool broken, double likelihood, const Tables& tables, float* losses) {
    const bool impossible = likelihood < POSSIBLE;
    broken |= !s.good;
    tables.likelihood[s.b] = likelihood;
    tables.broken[s.b] = broken;
    losses[s.b] = broken ? NAN : impossible ? INFINITY : static_cast<float>(-likelihood * LN_2);
}

// ---- Forwards and backwards -----------------------------------------------------------------------------------------

template <int PAIRS>
__global__ void recursion_kernel(const Batch batch, const Tables tables, float* losses, int directions) {
    const int64_t job = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / WARP;
    if (job >= batch.batch * directions) return;
    const bool backwards = job >= batch.batch;
    const Sentence s = sentence_of(batch, job % batch.batch);
    const int64_t states = 2 * batch.max_labels + 1;
    float* rows = backwards ? tables.rows[1] : tables.rows[0];
    Lane<PAIRS> lane;
    lane.start(batch, s, backwards);
    double sum = 0;
    float maximum = 0;
    if (s.length) lane.load(batch, s, backwards ? s.length - 1 : 0);
    for (int step = 0; step < s.length; ++step) {
        const int t = backwards ? s.length - 1 - step : step;
        float blank_emission[PAIRS], label_emission[PAIRS];
        lane.emissions(batch, s, backwards, blank_emission, label_emission);
        if (step + 1 < s.length) lane.load(batch, s, backwards ? t - 1 : t + 1);
        if (step) {
            const float below = lane.neighbour_below(NONE);
#pragma unroll
            for (int i = PAIRS - 1; i >= 0; --i) {
                const float neighbour = i ? lane.label[i - 1] : below;
                sum_pair(lane.blank[i], lane.label[i], neighbour, lane.skip[i], lane.blank[i], lane.label[i]);
            }
        }
        float highest = 4 * NONE;
        float* row = rows ? rows + ((s.b * batch.length) + t) * states : nullptr;
#pragma unroll
        for (int i = 0; i < PAIRS; ++i) {
            const int k = lane.pair(i);
            const float blank = lane.blank[i] + (blank_emission[i] * LOG2_E - maximum);
            const float label = lane.label[i] + (label_emission[i] * LOG2_E - maximum);
            if (row && k <= s.labels) row[lane.state_of(s, backwards, 2 * k)] = backwards ? blank : lane.blank[i];
            if (row && k < s.labels) row[lane.state_of(s, backwards, 2 * k + 1)] = backwards ? label : lane.label[i];
            lane.blank[i] = blank;
            lane.label[i] = label;
            highest = larger(highest, larger(blank, label));
        }
        sum += maximum;
        maximum = warp_max(highest);
    }
    if (backwards) return;
    const bool broken = __any_sync(ALL, lane.broken);
    float last_blank, last_label;
    lane.ends(s, last_blank, last_label);
    double likelihood = s.labels ? -INFINITY : 0.0;
    if (s.length) likelihood = sum + (s.labels ? log2_sum(last_blank, last_label) : last_blank);
    if (threadIdx.x % WARP == 0) finish(s, broken, likelihood, tables, losses);
}

// Largest value of a block; every thread must come.
__device__ float block_max(float value, float* shared) {
    value = warp_max(value);
    __syncthreads();
    if (threadIdx.x % WARP == 0) shared[threadIdx.x / WARP] = value;
    __syncthreads();
    return warp_max(threadIdx.x % WARP < WIDE / WARP ? shared[threadIdx.x % WARP] : 4 * NONE);
}

// Whether a label among those that this thread of a block looks at is none.
__device__ bool has_bad_label(const Batch& batch, const Sentence& s) {
    bool bad = false;
    for (int k = threadIdx.x; k < s.labels; k += WIDE) bad |= !is_label(batch, s.label[k]);
    return bad;
}

// Where to read a label's score: a bad one's at the blank, so that nothing outside the table is read.
__device__ int64_t column_of(const Batch& batch, const Sentence& s, int at) {
    return is_label(batch, s.label[at]) ? s.label[at] : batch.blank;
}

// The same for any number of labels: a block a sentence and direction, rows in the workspace, written and read in turns.
__global__ void __launch_bounds__(WIDE) wide_recursion_kernel(const Batch batch, const Tables tables, float* losses) {
    __shared__ float shared[WARP];
    const bool backwards = blockIdx.x >= batch.batch;
    const Sentence s = sentence_of(batch, blockIdx.x % batch.batch);
    const int64_t states = 2 * batch.max_labels + 1;
    const int64_t width = batch.max_labels + 1;
    float* rows = backwards ? tables.rows[1] : tables.rows[0];
    float* buffers = tables.scratch + int64_t{blockIdx.x} * 4 * width;
    double sum = 0;
    float maximum = 0;
    bool broken = has_bad_label(batch, s);
    for (int step = 0; step < s.length; ++step) {
        const int t = backwards ? s.length - 1 - step : step;
        const float* old_blank = buffers + (step % 2) * 2 * width;
        const float* old_label = old_blank + width;
        float* new_blank = buffers + (1 - step % 2) * 2 * width;
        float* new_label = new_blank + width;
        float* row = rows ? rows + ((s.b * batch.length) + t) * states : nullptr;
        sum += maximum;
        float highest = 4 * NONE;
        const float* scores = row_of(batch, s, t);
        const int64_t observed = observed_at(batch, s, t);
        for (int k = threadIdx.x; k <= s.labels; k += WIDE) {
            const int at = backwards ? s.labels - 1 - k : k;
            const int blank_state = backwards ? 2 * s.labels - 2 * k : 2 * k;
            const int label_state = backwards ? blank_state - 1 : blank_state + 1;
            const bool has_label = k < s.labels;
            float into_blank = k == 0 ? 0.f : NONE;
            float into_label = k == 0 && has_label ? 0.f : NONE;
            if (step) {
                const bool skip = k > 0 && has_label && s.label[at] != s.label[backwards ? at + 1 : at - 1];
                const float neighbour = k ? old_label[k - 1] : NONE;
                sum_pair(old_blank[k], has_label ? old_label[k] : NONE, neighbour, skip, into_blank, into_label);
            }
            const float blank_emission =
                emission(batch, scores[batch.blank], observed, batch.blank, blank_state, broken);
            const float blank = into_blank + (blank_emission * LOG2_E - maximum);
            float label = NONE;
            if (has_label) {
                const int64_t column = column_of(batch, s, at);
                const float label_emission = emission(batch, scores[column], observed, column, label_state, broken);
                label = into_label + (label_emission * LOG2_E - maximum);
            }
            if (row) row[blank_state] = backwards ? blank : into_blank;
            if (row && has_label) row[label_state] = backwards ? label : into_label;
            new_blank[k] = blank;
            new_label[k] = label;
            highest = larger(highest, larger(blank, label));
        }
        maximum = block_max(highest, shared);  // also orders this row's writes before the next row's reads
    }
    const bool any_broken = __syncthreads_or(broken);
    if (backwards || threadIdx.x) return;
    double likelihood = s.labels ? -INFINITY : 0.0;
    if (s.length) {
        const float* last = buffers + (s.length % 2) * 2 * width;
        likelihood = sum + (s.labels ? log2_sum(last[s.labels], last[width + s.labels - 1]) : last[0]);
    }
    finish(s, any_broken, likelihood, tables, losses);
}

// Where each label of a sentence stands next, so that the gradients of repeated labels are summed by one thread.
__global__ void chain_kernel(const Batch batch, const Tables tables) {
    const Sentence s = sentence_of(batch, blockIdx.x);
    int32_t* chain = tables.chain + s.b * batch.max_labels;
    for (int k = threadIdx.x; k < s.labels; k += blockDim.x) {
        int32_t entry = 0;
        for (int j = k + 1; j < s.labels && !entry; ++j)
            if (s.label[j] == s.label[k]) entry = j + 1;
        for (int j = k - 1; j >= 0; --j)
            if (s.label[j] == s.label[k]) {
                entry |= NOT_FIRST;
                break;
            }
        chain[k] = entry;
    }
}

// A warp a row: gamma, normalised, into the columns of the labels. The gradient holds zeros before.
__global__ void gamma_kernel(const Batch batch, const Tables tables, float* gradient) {
    const int64_t job = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / WARP;
    if (job >= batch.batch * batch.length) return;
    const int lane = threadIdx.x % WARP;
    const Sentence s = sentence_of(batch, job / batch.length);
    const int t = static_cast<int>(job % batch.length);
    if (t >= s.length) return;
    float* out = gradient + (batch.first_rows[s.b] + t) * batch.columns;
    if (tables.broken[s.b]) {
        for (int64_t column = lane; column < batch.columns; column += WARP) out[column] = NAN;
        return;
    }
    const bool unscored = batch.observed && !batch.score_observed && batch.observed[job] >= 0;
    const double likelihood = tables.likelihood[s.b];
    if (unscored || likelihood < POSSIBLE) return;
    const int64_t states = 2 * batch.max_labels + 1;
    const float* alpha = tables.rows[0] + job * states;
    const float* beta = tables.rows[1] + job * states;
    float peak = 4 * NONE;
    for (int state = lane; state <= 2 * s.labels; state += WARP) peak = larger(peak, alpha[state] + beta[state]);
    peak = warp_max(peak);
    const auto gamma = [&](int state) { return exp2_or_zero(alpha[state] + beta[state] - peak); };
    float blanks = 0, labels = 0;
    for (int k = lane; k <= s.labels; k += WARP) {
        blanks += gamma(2 * k);
        if (k < s.labels) labels += gamma(2 * k + 1);
    }
    blanks = warp_sum(blanks);
    const float scale = -1.f / (blanks + warp_sum(labels));
    if (lane == 0) out[batch.blank] = blanks * scale;
    const int32_t* chain = tables.chain + s.b * batch.max_labels;
    for (int k = lane; k < s.labels; k += WARP) {
        if (chain[k] & NOT_FIRST) continue;
        float total = gamma(2 * k + 1);
        for (int next = chain[k]; next; next = chain[next - 1] & ~NOT_FIRST) total += gamma(2 * (next - 1) + 1);
        out[s.label[k]] = total * scale;
    }
}

// ---- Best path ------------------------------------------------------------------------------------------------------

// Walks back from the end. One thread; `steps` is a row of `width` bytes a position.
__device__ void trace(const Sentence& s, float last_blank, float last_label, const uint8_t* steps, int64_t width,
                      int64_t* path) {
    int state = s.labels && last_label > last_blank ? 2 * s.labels - 1 : 2 * s.labels;
    for (int t = s.length - 1; t >= 0; --t) {
        path[t] = state;
        if (t == 0) break;
        const uint8_t step = steps[t * width + state / 2];
        state -= state % 2 ? step >> 1 : step & 1;
    }
}

__device__ bool report(const Sentence& s, bool broken, float last_blank, float last_label, float* scores) {
    float best = s.labels ? larger(last_label, last_blank) : last_blank;
    if (s.length == 0) best = s.labels ? NONE : 0.f;
    broken |= !s.good;
    scores[s.b] = broken ? NAN : best < POSSIBLE ? -INFINITY : best;
    return !broken && best >= POSSIBLE;
}

template <int PAIRS>
__global__ void best_path_kernel(const Batch batch, const BestTables tables, int64_t* states, float* scores,
                                 bool steps_in_shared) {
    extern __shared__ uint8_t shared_steps[];
    const Sentence s = sentence_of(batch, blockIdx.x);
    const int64_t width = batch.max_labels + 1;
    uint8_t* steps = steps_in_shared ? shared_steps : tables.steps + s.b * batch.length * width;
    int64_t* path = states + s.b * batch.length;
    Lane<PAIRS> lane;
    lane.start(batch, s, false);
    if (s.length) lane.load(batch, s, 0);
    for (int t = 0; t < s.length; ++t) {
        float blank_emission[PAIRS], label_emission[PAIRS];
        lane.emissions(batch, s, false, blank_emission, label_emission);
        if (t + 1 < s.length) lane.load(batch, s, t + 1);
        if (t) {
            const float below = lane.neighbour_below(-INFINITY);
#pragma unroll
            for (int i = PAIRS - 1; i >= 0; --i) {
                const float neighbour = i ? lane.label[i - 1] : below;
                int32_t blank_step, label_step;
                max_pair(lane.blank[i], lane.label[i], neighbour, lane.skip[i], lane.blank[i], lane.label[i],
                         blank_step, label_step);
                if (lane.pair(i) <= s.labels)
                    steps[t * width + lane.pair(i)] = static_cast<uint8_t>(blank_step | label_step << 1);
            }
        }
#pragma unroll
        for (int i = 0; i < PAIRS; ++i) {
            lane.blank[i] += blank_emission[i];
            lane.label[i] += label_emission[i];
        }
    }
    const bool broken = __any_sync(ALL, lane.broken);
    float last_blank, last_label;
    lane.ends(s, last_blank, last_label);
    for (int64_t t = threadIdx.x; t < batch.length; t += WARP) path[t] = -1;
    __syncwarp();
    if (threadIdx.x == 0 && report(s, broken, last_blank, last_label, scores))
        trace(s, last_blank, last_label, steps, width, path);
}

__global__ void __launch_bounds__(WIDE)
    wide_best_path_kernel(const Batch batch, const BestTables tables, int64_t* states, float* scores) {
    const Sentence s = sentence_of(batch, blockIdx.x);
    const int64_t width = batch.max_labels + 1;
    uint8_t* steps = tables.steps + s.b * batch.length * width;
    float* buffers = tables.scratch + s.b * 4 * width;
    int64_t* path = states + s.b * batch.length;
    bool broken = has_bad_label(batch, s);
    for (int t = 0; t < s.length; ++t) {
        const float* old_blank = buffers + (t % 2) * 2 * width;
        const float* old_label = old_blank + width;
        float* new_blank = buffers + (1 - t % 2) * 2 * width;
        float* new_label = new_blank + width;
        const float* row = row_of(batch, s, t);
        const int64_t observed = observed_at(batch, s, t);
        for (int k = threadIdx.x; k <= s.labels; k += WIDE) {
            const bool has_label = k < s.labels;
            float into_blank = k == 0 ? 0.f : NONE;
            float into_label = k == 0 && has_label ? 0.f : NONE;
            if (t) {
                const bool skip = k > 0 && has_label && s.label[k] != s.label[k - 1];
                int32_t blank_step, label_step;
                max_pair(old_blank[k], has_label ? old_label[k] : NONE, k ? old_label[k - 1] : -INFINITY, skip,
                         into_blank, into_label, blank_step, label_step);
                steps[t * width + k] = static_cast<uint8_t>(blank_step | label_step << 1);
            }
            new_blank[k] = into_blank + emission(batch, row[batch.blank], observed, batch.blank, 2 * k, broken);
            new_label[k] = NONE;
            if (has_label) {
                const int64_t column = column_of(batch, s, k);
                new_label[k] = into_label + emission(batch, row[column], observed, column, 2 * k + 1, broken);
            }
        }
        __syncthreads();
    }
    for (int64_t t = threadIdx.x; t < batch.length; t += WIDE) path[t] = -1;
    const bool any_broken = __syncthreads_or(broken);
    if (threadIdx.x) return;
    const float* last = buffers + (s.length % 2) * 2 * width;
    const float last_blank = s.length ? last[s.labels] : 0.f;
    const float last_label = s.length && s.labels ? last[width + s.labels - 1] : 4 * NONE;
    if (report(s, any_broken, last_blank, last_label, scores)) trace(s, last_blank, last_label, steps, width, path);
}

// ---- Rows of logits -------------------------------------------------------------------------------------------------

constexpr int ROW_THREADS = 512;

// A running log-sum-exp: maximum and sum of e^(x - maximum). The maximum stays in natural units: as x log2 e it would be
// rounded, and could overflow.
struct Running {
    float maximum = -INFINITY, sum = 0;
    bool spoilt = false;

    __device__ void add(float x) {
        spoilt |= !(x < INFINITY);
        if (x > maximum) {
            sum *= exp2f((maximum - x) * LOG2_E);
            maximum = x;
        }
        sum += maximum == -INFINITY ? 0.f : exp2f((x - maximum) * LOG2_E);
    }
    __device__ void merge(float other_maximum, float other_sum) {
        const float high = larger(maximum, other_maximum);
        if (high == -INFINITY) return;
        sum = sum * exp2f((maximum - high) * LOG2_E) + other_sum * exp2f((other_maximum - high) * LOG2_E);
        maximum = high;
    }
};

// Calls visit(column, value) for every column of a row, four at a time where the row's alignment allows.
template <typename Visit>
__device__ void for_row(const float* row, int64_t columns, const Visit& visit) {
    const int64_t unaligned = (4 - reinterpret_cast<uintptr_t>(row) / sizeof(float) % 4) % 4;
    const int64_t head = unaligned < columns ? unaligned : columns;
    const int64_t fours = (columns - head) / 4;
    if (threadIdx.x < head) visit(static_cast<int64_t>(threadIdx.x), row[threadIdx.x]);
    const float4* body = reinterpret_cast<const float4*>(row + head);
    for (int64_t i = threadIdx.x; i < fours; i += ROW_THREADS) {
        const float4 x = body[i];
        const int64_t column = head + 4 * i;
        visit(column, x.x);
        visit(column + 1, x.y);
        visit(column + 2, x.z);
        visit(column + 3, x.w);
    }
    for (int64_t column = head + 4 * fours + threadIdx.x; column < columns; column += ROW_THREADS)
        visit(column, row[column]);
}

__global__ void __launch_bounds__(ROW_THREADS)
    row_logsumexp_kernel(const float* logits, int64_t columns, float* result) {
    __shared__ float maxima[WARP], sums[WARP];
    const int64_t row = blockIdx.x;
    Running running;
    for_row(logits + row * columns, columns, [&](int64_t, float x) { running.add(x); });
    for (int step = WARP / 2; step; step /= 2) {
        const float maximum = __shfl_xor_sync(ALL, running.maximum, step);
        const float sum = __shfl_xor_sync(ALL, running.sum, step);
        running.merge(maximum, sum);
    }
    const int warp = threadIdx.x / WARP;
    if (threadIdx.x % WARP == 0) {
        maxima[warp] = running.maximum;
        sums[warp] = running.sum;
    }
    const bool spoilt = __syncthreads_or(running.spoilt);
    if (threadIdx.x) return;
    for (int other = 1; other < ROW_THREADS / WARP; ++other) running.merge(maxima[other], sums[other]);
    const double value = running.maximum + log(static_cast<double>(running.sum));
    result[row] = spoilt ? NAN : running.maximum == -INFINITY ? -INFINITY : static_cast<float>(value);
}

template <typename T>
__device__ T narrowed(float x);
template <>
__device__ float narrowed<float>(float x) {
    return x;
}
template <>
__device__ __half narrowed<__half>(float x) {
    return __float2half_rn(x);
}
template <>
__device__ __nv_bfloat16 narrowed<__nv_bfloat16>(float x) {
    return __float2bfloat16_rn(x);
}

template <typename T>
__global__ void __launch_bounds__(ROW_THREADS)
    softmax_gradient_kernel(const float* logits, const float* normaliser, const float* scale, int64_t columns,
                            const Compact compact, T* result) {
    const int64_t row = blockIdx.x;
    const float shift = normaliser[row], factor = scale[row];
    T* out = result + row * columns;
    for_row(logits + row * columns, columns, [&](int64_t column, float x) {
        const float value = factor == 0.f ? 0.f : factor * exp2f((x - shift) * LOG2_E);
        out[column] = narrowed<T>(value);
    });
    __syncthreads();
    // p - Gamma is written once, from the table: never patched in a narrow type.
    const int64_t* places = compact.columns + compact.sentence[row] * compact.width;
    for (int64_t k = threadIdx.x; k < compact.width; k += ROW_THREADS) {
        const int64_t place = places[k] - compact.offset;
        if (places[k] < 0 || place < 0 || place >= columns) continue;
        const int64_t cell = row * compact.width + k;
        const float p = factor == 0.f ? 0.f : factor * exp2f(compact.table[cell] * LOG2_E);
        out[place] = narrowed<T>(p + compact.gradient[cell]);
    }
}

int64_t blocks_of(int64_t warps, int warps_a_block) { return (warps + warps_a_block - 1) / warps_a_block; }

// Calls launch with the number of pairs a lane must hold, as a constant.
template <typename Launch>
void with_pairs(int64_t max_labels, const Launch& launch) {
    const int64_t pairs = max_labels / WARP + 1;
    if (pairs <= 1)
        launch(std::integral_constant<int, 1>{});
    else if (pairs <= 2)
        launch(std::integral_constant<int, 2>{});
    else if (pairs <= 4)
        launch(std::integral_constant<int, 4>{});
    else
        launch(std::integral_constant<int, 8>{});
}

}  // namespace

size_t forward_backward_cuda_workspace(int64_t batch, int64_t length, int64_t max_labels, bool with_gradient) {
    Tables tables;
    return carve(tables, nullptr, batch, length, max_labels, with_gradient);
}

size_t best_path_cuda_workspace(int64_t batch, int64_t length, int64_t max_labels) {
    BestTables tables;
    return carve(tables, nullptr, batch, length, max_labels);
}

Status forward_backward_cuda(const Batch& batch, float* losses, float* gradient, void* workspace, void* stream) {
    if (batch.batch == 0) return OK;
    const cudaStream_t queue = static_cast<cudaStream_t>(stream);
    const int directions = gradient ? 2 : 1;
    Tables tables;
    carve(tables, workspace, batch.batch, batch.length, batch.max_labels, gradient != nullptr);
    if (!gradient) tables.rows[0] = tables.rows[1] = nullptr;
    if (in_registers(batch.max_labels)) {
        with_pairs(batch.max_labels, [&](auto pairs) {
            constexpr int WARPS = 2;  // few, so that a small batch still spreads over the processors
            recursion_kernel<decltype(pairs)::value>
                <<<static_cast<unsigned>(blocks_of(batch.batch * directions, WARPS)), WARPS * WARP, 0, queue>>>(
                    batch, tables, losses, directions);
        });
    } else {
        wide_recursion_kernel<<<static_cast<unsigned>(batch.batch * directions), WIDE, 0, queue>>>(batch, tables,
                                                                                                   losses);
    }
    if (gradient && batch.length) {
        if (batch.max_labels) chain_kernel<<<static_cast<unsigned>(batch.batch), 64, 0, queue>>>(batch, tables);
        constexpr int WARPS = 8;
        gamma_kernel<<<static_cast<unsigned>(blocks_of(batch.batch * batch.length, WARPS)), WARPS * WARP, 0, queue>>>(
            batch, tables, gradient);
    }
    return launched();
}

Status best_path_cuda(const Batch& batch, int64_t* states, float* scores, void* workspace, void* stream) {
    if (batch.batch == 0) return OK;
    const cudaStream_t queue = static_cast<cudaStream_t>(stream);
    BestTables tables;
    carve(tables, workspace, batch.batch, batch.length, batch.max_labels);
    const unsigned blocks = static_cast<unsigned>(batch.batch);
    if (in_registers(batch.max_labels)) {
        const int64_t bytes = batch.length * (batch.max_labels + 1);
        const bool fits = bytes <= 48 * 1024;  // what any device grants without asking
        with_pairs(batch.max_labels, [&](auto pairs) {
            best_path_kernel<decltype(pairs)::value>
                <<<blocks, WARP, fits ? static_cast<size_t>(bytes) : 0, queue>>>(batch, tables, states, scores, fits);
        });
    } else {
        wide_best_path_kernel<<<blocks, WIDE, 0, queue>>>(batch, tables, states, scores);
    }
    return launched();
}

Status row_logsumexp_cuda(const float* logits, int64_t rows, int64_t columns, float* result, void* stream) {
    if (rows == 0) return OK;
    row_logsumexp_kernel<<<static_cast<unsigned>(rows), ROW_THREADS, 0, static_cast<cudaStream_t>(stream)>>>(
        logits, columns, result);
    return launched();
}

Status softmax_gradient_cuda(const float* logits, const float* normaliser, const float* scale, int64_t rows,
                             int64_t columns, const Compact& compact, void* result, int precision, void* stream) {
    if (rows == 0) return OK;
    const unsigned blocks = static_cast<unsigned>(rows);
    const cudaStream_t queue = static_cast<cudaStream_t>(stream);
    if (precision == FLOAT16)
        softmax_gradient_kernel<<<blocks, ROW_THREADS, 0, queue>>>(logits, normaliser, scale, columns, compact,
                                                                   static_cast<__half*>(result));
    else if (precision == BFLOAT16)
        softmax_gradient_kernel<<<blocks, ROW_THREADS, 0, queue>>>(logits, normaliser, scale, columns, compact,
                                                                   static_cast<__nv_bfloat16*>(result));
    else
        softmax_gradient_kernel<<<blocks, ROW_THREADS, 0, queue>>>(logits, normaliser, scale, columns, compact,
                                                                   static_cast<float*>(result));
    return launched();
}

const char* cuda_error_text() { return cudaGetErrorString(last_error); }

}  // namespace xlmd
