"""Training, decoding and CTC do not make the host wait for a GPU, but where the list below says why they do."""

import warnings
from contextlib import nullcontext
from types import SimpleNamespace

import host_waits
import pytest
import torch
from small_models import MASK, VOCABULARY, decorated, save_mlm, sources

from xlmd.data.batching import ParallelBatch
from xlmd.method.decoding import XLMDDecoding, iterative_refinement
from xlmd.systems.xlmd import XLMD, XLMDSettings
from xlmd.train.settings import TrainerSettings
from xlmd.train.update import Updates

FILES = [
    "ctc", "method", "nat", "systems", "cuda_graphs.py", "output_layer.py", "tensors.py", "data/batching.py",
    "train/loop.py", "train/processes.py", "train/pretraining.py", "train/update.py",
]  # fmt: skip
# What runs per batch; the rest of a training and of a decoding runs once.
ROOTS = ("Updates.gradient", "_Training.update", ".loss", ".decode", ".generate", ".forward", ":masked_lm_loss")

ONE_PER_UPDATE = "loss and norm in one transfer: whether an update is made depends on them"
RESULT = "the translations, which are asked for"
ROWS = "the matrix product over the vocabulary has as many rows as a draw or a model chose"
ADAPTIVE = "how long it goes on, and with which sentences, depends on what it writes"
PYTHON = "numbers that are no tensors"
CPU = "runs on a CPU alone"
CHECK = "an input check, once per call, before the loop"
NOT_IN_TRAINING = "not in an update: for a message, or once per validation"

ALLOWED = {
    "ctc/checks.py:_check_range": "validate=True asks for it",
    "ctc/checks.py:lengths_tensor": "lengths that are no tensors",
    "ctc/linear.py:Rows.pack": CPU,
    "ctc/linear.py:Rows.unpack": CPU,
    "ctc/primitives.py:_packed_reference": CPU,
    "data/batching.py:BatchStream.set_progress": PYTHON,
    "method/decoding.py:collapse": RESULT,
    "method/decoding.py:iterative_refinement": "lengths, read before the loop, so that it reads nothing",
    "method/generation.py:XLMDGenerationMixin.generate": CHECK,
    "method/model.py:XLMDConfig.longest_source": PYTHON,
    "nat/edits.py:with_placeholders": ADAPTIVE,
    "nat/edits.py:kept_tokens": ADAPTIVE,
    "nat/lengths.py:LengthBeam.best": RESULT,
    "nat/lengths.py:LengthBeam.visible": "how wide the decoder runs is what the model predicts, once per batch",
    "nat/mask_predict.py:mask_predict": "predicted lengths, read before the loop, so that it reads nothing",
    "systems/base.py:System.batch": "sentences on their way to the GPU, once per batch",
    "systems/disco.py:DisCO.decode": RESULT,
    "systems/disco.py:easy_first": ADAPTIVE,
    "systems/iter_nat.py:IterNAT._denoising": "a draw on the CPU",
    "systems/iter_nat.py:IterNAT.decode": ADAPTIVE,
    "systems/levt.py:LevT._edit": ADAPTIVE,
    "systems/levt.py:LevT.decode": ADAPTIVE,
    "systems/transformer.py:Transformer.decode": RESULT,
    "systems/transformer.py:TransformerDecoding.length_limit": PYTHON,
    "tensors.py:longest_of": "where no width is given; calls without one are found themselves",
    "tensors.py:where_true": ROWS,
    "train/pretraining.py:_Pretraining.validate": NOT_IN_TRAINING,
    "train/processes.py:sum_gradients": "which gradients all of several processes lack",
    "train/update.py:Gradient.lines": NOT_IN_TRAINING,
    "train/update.py:Updates._seed": PYTHON,
    "train/update.py:Updates.gradient": "a batch's own `to`, which does not wait",
    "train/update.py:numbers": ONE_PER_UPDATE,
}


@pytest.fixture(scope="module")
def hot():
    known = host_waits.functions(FILES)
    roots = [key for key in known if key.endswith(ROOTS) or key.startswith("ctc/functional.py:")]
    return host_waits.reached(known, roots)


def test_what_runs_per_batch_waits_only_where_the_list_says_why(hot):
    found = {key: waits for key, function in hot.items() if (waits := host_waits.waits(function))}
    unexplained = {key: waits for key, waits in found.items() if key not in ALLOWED}
    assert not unexplained
    assert ALLOWED.keys() <= found.keys(), "what no longer waits needs no reason"


def test_the_lint_reaches_what_training_and_decoding_call(hot):
    names = {key.rpartition(":")[2] for key in hot}
    assert {"linear_ctc_loss", "linear_ctc_best_path", "block_mask", "best_alignment", "most_probable"} <= names
    assert {"iterative_refinement", "collapse", "mask_predict", "LatentTransform.weights", "_Training.update"} <= names


@pytest.mark.parametrize(
    "line",
    [
        "loss.item()", "return x.max().tolist()", "int(lengths.max())", "float(loss)", "bool(mask.all())",
        "if mask.any():\n        pass", "x[x > 0]", "mask = ~x\n    y[mask] = 0", "x.nonzero()", "x.cpu()",
        "x.to(y.device)", "torch.tensor([1], device=x.device)", "inside(lengths)", "y[:, inside(lengths, 3)]",
        "x[y] = float('-inf')", "x[0, 1] = 0",
    ],
)  # fmt: skip
def test_the_lint_knows_a_wait(line):
    function = host_waits.ast.parse(f"def f(x, y):\n    {line}\n").body[0]
    assert host_waits.waits(function)


@pytest.mark.parametrize(
    "line",
    [
        "x.shape[1]", "x[1:, None]", "x[index]", "x.to(y.dtype)", "x.to(y.device, non_blocking=True)", "len(x)",
        "x.is_cuda or bool(x.all())", "inside(lengths, 3)", "x.where(x > 0, y)", "torch.tensor(1.0)",
        "x[y].fill_(0.0)", "x[:, 0] = 0.0", "x[0] = y", "if not x.is_cuda:\n        x.item()",
        "if x.is_cuda:\n        return x\n    return x.item()",
    ],
)  # fmt: skip
def test_the_lint_knows_what_is_none(line):
    function = host_waits.ast.parse(f"def f(x, y):\n    {line}\n").body[0]
    assert host_waits.waits(function) == []


class Tokenizer:
    bos_token_id, pad_token_id, eos_token_id, unk_token_id, mask_token_id, unk_token = 0, 1, 2, 3, MASK, "<unk>"

    def __len__(self):
        return VOCABULARY

    def convert_tokens_to_ids(self, token):
        return {"<s>": 0}[token]


@pytest.fixture(scope="module")
def mlm(tmp_path_factory):
    return save_mlm(tmp_path_factory.mktemp("mlm"))


class Same:
    """A stream of one batch, over and over."""

    def __init__(self, batch):
        self._batch = batch

    def __iter__(self):
        return self

    def __next__(self):
        return self._batch

    def set_progress(self, _):
        pass


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def waits_of(work):
    """How often `work` makes the host wait; the first run makes what is made once, such as cuBLAS's workspace."""
    work()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            work()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing" in str(warning.message) for warning in told)


@needs_gpu
def test_on_a_gpu_an_update_of_xlmd_waits_once(mlm):
    system = XLMD(XLMDSettings(mlm=str(mlm), M=1), Tokenizer())
    model = system.build().cuda().train()
    source, target = torch.randint(5, MASK, (2, 3, 6))
    full = torch.full((3,), 6)
    batch = ParallelBatch(source, full, target, full, torch.arange(3)).to("cuda")
    accelerator = SimpleNamespace(device=torch.device("cuda"), process_index=0, autocast=nullcontext)
    updates = Updates(model, system.loss, Same(batch), TrainerSettings(), accelerator)
    assert waits_of(lambda: updates.gradient(0)) == 1


@needs_gpu
@pytest.mark.parametrize("committed", ["keep", "repredict", "remask"])
def test_on_a_gpu_decoding_waits_once(mlm, committed):
    model = decorated(mlm, insertion_layer=1).cuda()
    source, lengths = (tensor.cuda() for tensor in sources())
    decoding = XLMDDecoding(iterations=3, committed=committed)
    assert waits_of(lambda: iterative_refinement(model, source, lengths, decoding)) == 1
