// The native CTC library's C interface. Plain pointers and sizes in, a status out; nothing is thrown or kept.
//
// A batch's scores are `table`, rows of `columns` floats: row t of sentence b starts at
// table + first_rows[b] * row_stride + t * row_stride (in floats). `labels` is (batch, max_labels), label k of sentence b
// being a column; `observed` is (batch, length) or null, -1 where free, else a column or, with by_state, a lattice state.
// On CUDA every pointer is a device's.
//
// Callers answer for the shapes and the blank. Lengths and labels were checked by xlmd/ctc/checks.py; since they address
// memory, they are checked here once more: a sentence whose own are out of range, or whose target holds the blank, gets a
// NaN, and nothing outside the table is read or written for it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace xlmd {

enum Status : int { OK = 0, OUT_OF_MEMORY = 1, UNSUPPORTED = 2, CUDA_ERROR = 3 };

struct Batch {
    const float* table;
    const int64_t* first_rows;
    int64_t row_stride;
    int64_t rows;  // in the whole table
    int64_t columns;
    const int64_t* labels;
    const int64_t* input_lengths;
    const int64_t* target_lengths;
    const int64_t* observed;
    int64_t batch;
    int64_t length;  // of the longest sentence at most
    int64_t max_labels;
    int64_t blank;
    bool by_state;
    bool score_observed;
};

// The softmax gradient on a compact table: see `softmax_gradient` in xlmd/ctc/primitives.py.
struct Compact {
    const float* table;       // (rows, width) log-probabilities
    const float* gradient;    // (rows, width)
    const int64_t* columns;   // (sentences, width) column of the full row, -1 to skip
    const int64_t* sentence;  // (rows,)
    int64_t width;
    int64_t offset;  // first column of the slice at hand
};

// losses (batch,). gradient: null, or a contiguous table of `rows` x `columns` that receives -gamma. On the CPU the rows
// of good sentences are written, and of a dense table (that of sentence b from row b x length) every row; on CUDA the
// table holds zeros before and only what differs is written.
Status forward_backward_cpu(const Batch& batch, float* losses, float* gradient, int threads);

// states (batch, length), scores (batch,).
Status best_path_cpu(const Batch& batch, int64_t* states, float* scores, int threads);

// logits (rows, columns) contiguous; result (rows,).
Status row_logsumexp_cpu(const float* logits, int64_t rows, int64_t columns, float* result, int threads);

// logits (rows, columns) become scale * softmax + gradient, given the rows' normalisers.
Status softmax_gradient_cpu(float* logits, const float* normaliser, const float* scale, int64_t rows, int64_t columns,
                            const Compact& compact, int threads);

// The same on CUDA, on the caller's stream. Workspaces come from the caller, in the sizes that the functions beside
// them tell; nothing is allocated and nothing waits.
size_t forward_backward_cuda_workspace(int64_t batch, int64_t length, int64_t max_labels, bool with_gradient);
Status forward_backward_cuda(const Batch& batch, float* losses, float* gradient, void* workspace, void* stream);
size_t best_path_cuda_workspace(int64_t batch, int64_t length, int64_t max_labels);
Status best_path_cuda(const Batch& batch, int64_t* states, float* scores, void* workspace, void* stream);
Status row_logsumexp_cuda(const float* logits, int64_t rows, int64_t columns, float* result, void* stream);

enum Precision : int { FLOAT32 = 0, FLOAT16 = 1, BFLOAT16 = 2 };

// result may be logits itself in FLOAT32.
Status softmax_gradient_cuda(const float* logits, const float* normaliser, const float* scale, int64_t rows,
                             int64_t columns, const Compact& compact, void* result, int precision, void* stream);

// The text of the last error on this thread.
const char* cuda_error_text();

}  // namespace xlmd
