"""Addresses are `tensor.data_ptr()`, 0 for none; what they point to is described in ctc.h."""

cuda_built: bool

class Batch:
    def __init__(
        self,
        table: int,
        first_rows: int,
        row_stride: int,
        rows: int,
        columns: int,
        labels: int,
        input_lengths: int,
        target_lengths: int,
        observed: int,
        batch: int,
        length: int,
        max_labels: int,
        blank: int,
        by_state: bool,
        score_observed: bool,
    ) -> None: ...

class Compact:
    def __init__(self, table: int, gradient: int, columns: int, sentence: int, width: int, offset: int) -> None: ...

def forward_backward_cpu(batch: Batch, losses: int, gradient: int, threads: int) -> None: ...
def best_path_cpu(batch: Batch, states: int, scores: int, threads: int) -> None: ...
def row_logsumexp_cpu(logits: int, rows: int, columns: int, result: int, threads: int) -> None: ...
def softmax_gradient_cpu(
    logits: int, normaliser: int, scale: int, rows: int, columns: int, compact: Compact, threads: int
) -> None: ...
def forward_backward_cuda_workspace(batch: int, length: int, max_labels: int, with_gradient: bool) -> int: ...
def forward_backward_cuda(batch: Batch, losses: int, gradient: int, workspace: int, stream: int) -> None: ...
def best_path_cuda_workspace(batch: int, length: int, max_labels: int) -> int: ...
def best_path_cuda(batch: Batch, states: int, scores: int, workspace: int, stream: int) -> None: ...
def row_logsumexp_cuda(logits: int, rows: int, columns: int, result: int, stream: int) -> None: ...
def softmax_gradient_cuda(
    logits: int,
    normaliser: int,
    scale: int,
    rows: int,
    columns: int,
    compact: Compact,
    result: int,
    precision: int,
    stream: int,
) -> None: ...
