// Stands in for ctc_cuda.cu in a build without CUDA.
#include "ctc.h"

namespace xlmd {

size_t forward_backward_cuda_workspace(int64_t, int64_t, int64_t, bool) { return 0; }
size_t best_path_cuda_workspace(int64_t, int64_t, int64_t) { return 0; }
Status forward_backward_cuda(const Batch&, float*, float*, void*, void*) { return UNSUPPORTED; }
Status best_path_cuda(const Batch&, int64_t*, float*, void*, void*) { return UNSUPPORTED; }
Status row_logsumexp_cuda(const float*, int64_t, int64_t, float*, void*) { return UNSUPPORTED; }
Status softmax_gradient_cuda(const float*, const float*, const float*, int64_t, int64_t, const Compact&, void*, int,
                             void*) {
    return UNSUPPORTED;
}
const char* cuda_error_text() { return "xlmd was built without CUDA"; }

}  // namespace xlmd
