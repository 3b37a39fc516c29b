from libc.stddef cimport size_t
from libc.stdint cimport int64_t
from libcpp cimport bool


cdef extern from "ctc.h" namespace "xlmd" nogil:
    ctypedef enum Status:
        OK
        OUT_OF_MEMORY
        UNSUPPORTED
        CUDA_ERROR

    cdef struct Batch:
        const float* table
        const int64_t* first_rows
        int64_t row_stride
        int64_t rows
        int64_t columns
        const int64_t* labels
        const int64_t* input_lengths
        const int64_t* target_lengths
        const int64_t* observed
        int64_t batch
        int64_t length
        int64_t max_labels
        int64_t blank
        bool by_state
        bool score_observed

    cdef struct Compact:
        const float* table
        const float* gradient
        const int64_t* columns
        const int64_t* sentence
        int64_t width
        int64_t offset

    Status forward_backward_cpu(const Batch& batch, float* losses, float* gradient, int threads)
    Status best_path_cpu(const Batch& batch, int64_t* states, float* scores, int threads)
    Status row_logsumexp_cpu(const float* logits, int64_t rows, int64_t columns, float* result, int threads)
    Status softmax_gradient_cpu(float* logits, const float* normaliser, const float* scale, int64_t rows,
                                int64_t columns, const Compact& compact, int threads)

    size_t forward_backward_cuda_workspace(int64_t batch, int64_t length, int64_t max_labels, bool with_gradient)
    Status forward_backward_cuda(const Batch& batch, float* losses, float* gradient, void* workspace, void* stream)
    size_t best_path_cuda_workspace(int64_t batch, int64_t length, int64_t max_labels)
    Status best_path_cuda(const Batch& batch, int64_t* states, float* scores, void* workspace, void* stream)
    Status row_logsumexp_cuda(const float* logits, int64_t rows, int64_t columns, float* result, void* stream)
    Status softmax_gradient_cuda(const float* logits, const float* normaliser, const float* scale, int64_t rows,
                                 int64_t columns, const Compact& compact, void* result, int precision, void* stream)
    const char* cuda_error_text()
