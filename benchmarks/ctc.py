"""Time and memory of `xlmd.ctc` beside torch's own CTC and the floor of the matrix products alone.

    python -m benchmarks.ctc                  # CPU, float32
    python -m benchmarks.ctc --device cuda    # bfloat16
    python -m benchmarks.ctc --quick          # small shapes, to see that it runs

Everything side by side in one run: the contenders of a shape take turns, and each one's shortest time counts. Writes
`ctc-cpu.csv`, `.png` and `.md`, or `ctc-gpu…`, under --output, and the table into docs/ctc.md between its markers
(--no-docs: not).
"""

import argparse
import gc
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from xlmd.ctc import ctc_best_path, ctc_loss, linear_ctc_best_path, linear_ctc_loss, primitives
from xlmd.files import atomic_write, write_lines

MIB = 1 << 20


@dataclass(frozen=True)
class Shape:
    batch: int
    length: int
    labels: int
    size: int = 0
    vocabulary: int = 0

    def __str__(self) -> str:
        text = f"B {self.batch}, T {self.length}, L {self.labels}"
        return text + (f", d {self.size}, V {self.vocabulary:,}" if self.size else "")


@dataclass
class Measurement:
    part: str
    shape: Shape
    contender: str
    milliseconds: float | None = None
    extra_mib: float | None = None  # at the peak, above inputs; gradients count
    total_mib: float | None = None  # of the whole process (CPU) or all tensors (CUDA), at the peak
    note: str = ""


@dataclass
class Target:
    """One ratio to reach: the value of `ours / theirs`, or of `theirs / ours` where more is better."""

    text: str
    limit: float
    at_least: bool
    value: float | None

    @property
    def met(self) -> bool | None:
        if self.value is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass
class Run:
    device: str
    dtype: torch.dtype
    seconds: float
    measurements: list[Measurement] = field(default_factory=list)

    def of(self, part: str, shape: Shape, contender: str) -> Measurement | None:
        return next(
            (m for m in self.measurements if (m.part, m.shape, m.contender) == (part, shape, contender)),
            None,
        )

    def ratio(self, part: str, shape: Shape, above: str, below: str, value: str = "milliseconds") -> float | None:
        pair = [self.of(part, shape, name) for name in (above, below)]
        numbers = [getattr(m, value) if m else None for m in pair]
        return numbers[0] / numbers[1] if all(numbers) else None


# ---- Measuring -----------------------------------------------------------------------------------------------------


class PeakMemory:
    """Peak memory while the block runs, and above what stood before: `total` and `extra` in MiB."""

    def __init__(self, device: str) -> None:
        self.cuda = device == "cuda"

    def _status(self, key: str) -> float:
        text = Path("/proc/self/status").read_text()
        return int(re.search(rf"^{key}:\s+(\d+) kB", text, re.M).group(1)) / 1024

    def __enter__(self) -> "PeakMemory":
        gc.collect()
        if self.cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_allocated() / MIB
        else:
            Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
            self.before = self._status("VmRSS")
        return self

    def __exit__(self, *_: object) -> None:
        if self.cuda:
            torch.cuda.synchronize()
            self.total = torch.cuda.max_memory_allocated() / MIB
        else:
            self.total = self._status("VmHWM")
        self.extra = self.total - self.before


def timed(call: Callable[[], object], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return 1000 * (time.perf_counter() - start)


def measure(run: Run, part: str, shape: Shape, contenders: dict[str, Callable[[], object]]) -> None:
    """Run each contender once, noting its memory, then let them take turns until the time is up."""
    alive: dict[str, Callable[[], object]] = {}
    times: dict[str, list[float]] = {}
    for name, call in contenders.items():
        measurement = Measurement(part, shape, name)
        run.measurements.append(measurement)
        try:
            with PeakMemory(run.device) as memory:
                first = timed(call, run.device)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if "memory" not in str(error):
                raise
            measurement.note = "out of memory"
            if run.device == "cuda":
                torch.cuda.empty_cache()
            continue
        measurement.extra_mib, measurement.total_mib = memory.extra, memory.total
        alive[name], times[name] = call, [first]
    end = time.perf_counter() + run.seconds
    rounds = 0
    long = sum(sum(values) for values in times.values()) > 60_000  # then the first time must do
    while alive and not long and (rounds < 1 or (time.perf_counter() < end and rounds < 50)):
        for name, call in alive.items():
            times[name].append(timed(call, run.device))
        rounds += 1
    for name, values in times.items():
        run.of(part, shape, name).milliseconds = min(values)


# ---- Contenders ----------------------------------------------------------------------------------------------------


def targets_of(shape: Shape, vocabulary: int, device: str) -> tuple[Tensor, Tensor, Tensor]:
    targets = torch.randint(1, vocabulary, (shape.batch, shape.labels), device=device)
    lengths = torch.full((shape.batch,), shape.length, device=device)
    return targets, lengths, torch.full((shape.batch,), shape.labels, device=device)


def recursion(run: Run, shape: Shape) -> None:
    """On a table of the L + 1 columns alone, as if gathered from a log-softmax."""
    columns = shape.labels + 1
    table = torch.randn(shape.batch, shape.length, columns, device=run.device).log_softmax(-1)
    targets = torch.arange(1, columns, device=run.device).expand(shape.batch, -1).contiguous()
    _, *lengths = targets_of(shape, columns, run.device)
    ours = table.clone().requires_grad_()
    theirs = table.transpose(0, 1).contiguous().requires_grad_()

    def backward(leaf: Tensor, loss: Callable[[Tensor], Tensor]) -> Callable[[], object]:
        return lambda: torch.autograd.grad(loss(leaf), leaf)

    contenders = {
        "xlmd": backward(ours, lambda x: ctc_loss(x, targets, *lengths, reduction="sum")),
        "torch": backward(theirs, lambda x: F.ctc_loss(x, targets, *lengths, reduction="sum")),
    }
    if run.device == "cuda" and columns <= 256:
        flat = targets.flatten().cpu().int()
        on_host = [length.cpu().int() for length in lengths]
        contenders["cuDNN"] = backward(theirs, lambda x: F.ctc_loss(x, flat, *on_host, reduction="sum"))
    measure(run, "recursion, forward and backward", shape, contenders)

    contenders = {
        "xlmd best path": lambda: ctc_best_path(table, targets, *lengths),
        "torch's loss, forward alone": lambda: F.ctc_loss(theirs.detach(), targets, *lengths, reduction="sum"),
    }
    if run.device == "cuda":
        contenders["back-pointers traced on the host"] = host_backtrace(shape)
    measure(run, "best path", shape, contenders)


def host_backtrace(shape: Shape) -> Callable[[], object]:
    """Only the second half of such an aligner: back-pointers to the host, and a loop over time there."""
    states = 2 * shape.labels + 1
    pointers = torch.zeros(shape.length, shape.batch, states, dtype=torch.int64, device="cuda")

    def trace() -> None:
        table = pointers.cpu().numpy()
        for b in range(shape.batch):
            state = states - 1
            for t in range(shape.length - 1, -1, -1):
                state -= table[t, b, state]

    return trace


def projection(run: Run, shape: Shape, limit_bytes: float) -> None:
    """From hidden states: projection, loss, and the gradients of hidden states and weight."""
    hidden = torch.randn(shape.batch, shape.length, shape.size, device=run.device, dtype=run.dtype).requires_grad_()
    weight = torch.randn(shape.vocabulary, shape.size, device=run.device, dtype=run.dtype).mul_(shape.size**-0.5)
    weight.requires_grad_()
    lattice = targets_of(shape, shape.vocabulary, run.device)

    def ours(**options: str) -> object:
        return torch.autograd.grad(linear_ctc_loss(hidden, weight, *lattice, **options), (hidden, weight))

    def theirs() -> object:
        log_probs = F.linear(hidden, weight).float().log_softmax(-1).transpose(0, 1)
        return torch.autograd.grad(F.ctc_loss(log_probs, *lattice), (hidden, weight))

    rows = shape.batch * shape.length
    contenders: dict[str, Callable[[], object]] = {
        "xlmd, by rows": ours,
        "xlmd, by vocabulary": lambda: ours(mode="vocab"),
    }
    needed = 4 * 4 * rows * shape.vocabulary
    if needed < limit_bytes:
        contenders["torch"] = theirs
    else:
        note = f"not run: needs about {needed / 2**30:.0f} GiB"
        run.measurements.append(Measurement("projection and loss", shape, "torch", note=note))
    contenders["three matrix products"] = matrix_products(hidden, weight, limit_bytes)
    if hidden.is_cuda and shape.vocabulary % 8:  # three times as fast there, and what ours are compared with
        wide = F.pad(weight.detach(), (0, 0, 0, -shape.vocabulary % 8))
        contenders[ROUNDED] = matrix_products(hidden, wide, limit_bytes)
    contenders["xlmd best path"] = lambda: linear_ctc_best_path(hidden.detach(), weight.detach(), *lattice)
    measure(run, "projection and loss", shape, contenders)


def matrix_products(hidden: Tensor, weight: Tensor, limit_bytes: float) -> Callable[[], None]:
    """z = h W^T, dh = dz W and dW = dz^T h, in pieces of rows where all of z would not fit; nothing in between."""
    h, w = hidden.detach().flatten(0, 1), weight.detach()
    rows = max(1, min(len(h), int(limit_bytes / 8 / (w.shape[0] * w.element_size()))))
    total = torch.empty(w.shape, dtype=w.dtype, device=w.device)

    def products() -> None:
        for piece in h.split(rows):
            z = piece @ w.t()
            z @ w
            torch.mm(z.t(), piece, out=total)

    return products


# ---- The run -------------------------------------------------------------------------------------------------------

CPU_RECURSION = Shape(512, 100, 50)
CPU_PROJECTION = Shape(32, 100, 50, 256, 32_000)
CPU_LARGE = Shape(32, 100, 50, 768, 250_002)
CUDA_PROJECTION = Shape(512, 100, 50, 768, 250_002)
ROUNDED = "three matrix products, V rounded up"
VOCABULARIES = (1_000, 4_000, 16_000, 64_000, 250_002)


def shapes(device: str, quick: bool) -> tuple[list[Shape], list[Shape]]:
    """Shapes of the recursion and of the projection."""
    if quick:
        return [Shape(32, 30, 10)], [Shape(8, 20, 8, 32, 1_000), Shape(8, 20, 8, 32, 2_000)]
    recursions = [CPU_RECURSION, *[Shape(b, 100, 50) for b in (1, 8, 64)]]
    recursions += [Shape(64, 4 * labels, labels) for labels in (10, 25, 100, 200)]
    if device == "cuda":
        return recursions, [*[Shape(64, 100, 50, 768, v) for v in VOCABULARIES], CUDA_PROJECTION]
    small = Shape(40, 36, 14, 96, 2_000)
    return recursions, [small, *[Shape(8, 100, 50, 256, v) for v in VOCABULARIES], CPU_PROJECTION, CPU_LARGE]


def targets_reached(run: Run) -> list[Target]:
    part = "projection and loss"

    def ratio(*names: str, shape: Shape, part: str = part, value: str = "milliseconds") -> float | None:
        return run.ratio(part, shape, *names, value)

    recursion_part = "recursion, forward and backward"
    if run.device == "cpu":
        large = run.of(part, CPU_LARGE, "xlmd, by rows")
        shape = CPU_PROJECTION
        return [
            Target(
                f"recursion, {CPU_RECURSION}: torch's time over ours", 8, True,
                ratio("torch", "xlmd", shape=CPU_RECURSION, part=recursion_part),
            ),
            Target(
                f"best path, {CPU_RECURSION}: time of torch's forward alone over ours", 5, True,
                ratio("torch's loss, forward alone", "xlmd best path", shape=CPU_RECURSION, part="best path"),
            ),
            Target(
                f"projection, {shape}: time over torch's", 0.65, False, ratio("xlmd, by rows", "torch", shape=shape),
            ),
            Target(
                f"projection, {shape}: extra memory over torch's", 0.15, False,
                ratio("xlmd, by rows", "torch", shape=shape, value="extra_mib"),
            ),
            Target(
                f"projection, {shape}: time over the three matrix products'", 1.35, False,
                ratio("xlmd, by rows", "three matrix products", shape=shape),
            ),
            Target(
                f"projection, {CPU_LARGE}: GiB of the whole process", 4, False,
                large.total_mib / 1024 if large and large.total_mib else None,
            ),
        ]  # fmt: skip
    shape = CUDA_PROJECTION
    ours, theirs = run.of(part, shape, "xlmd, by rows"), run.of(part, shape, "torch")
    # Out of memory counts as infinitely slower.
    slower = (
        float("inf") if ours and theirs and not theirs.milliseconds else ratio("torch", "xlmd, by rows", shape=shape)
    )
    return [
        Target(
            f"projection, {shape}: time over the three matrix products'", 1.5, False,
            ratio("xlmd, by rows", "three matrix products", shape=shape),
        ),
        Target(
            f"projection, {shape}: time over theirs with V rounded up to a multiple of 8", 1.5, False,
            ratio("xlmd, by rows", ROUNDED, shape=shape),
        ),
        Target(
            f"projection, {shape}: extra GB", 8, False,
            ours.extra_mib * MIB / 1e9 if ours and ours.extra_mib else None,
        ),
        Target(f"projection, {shape}: torch's time over ours", 5, True, slower),
        Target(
            f"recursion, {CPU_RECURSION}: torch's time over ours", 10, True,
            ratio("torch", "xlmd", shape=CPU_RECURSION, part=recursion_part),
        ),
        Target(
            f"recursion, {CPU_RECURSION}: share of the whole step", 0.02, False,
            share(run.of(recursion_part, CPU_RECURSION, "xlmd"), ours),
        ),
        Target(
            f"best path, {CPU_RECURSION}: time of tracing on the host over ours", 20, True,
            ratio("back-pointers traced on the host", "xlmd best path", shape=CPU_RECURSION, part="best path"),
        ),
    ]  # fmt: skip


def share(part: Measurement | None, whole: Measurement | None) -> float | None:
    return part.milliseconds / whole.milliseconds if part and whole and whole.milliseconds else None


# ---- Writing -------------------------------------------------------------------------------------------------------


def machine(run: Run) -> str:
    if run.device == "cuda":
        name = torch.cuda.get_device_name()
    else:
        found = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
        name = f"{found.group(1) if found else platform.processor()}, {torch.get_num_threads()} threads"
    return f"{name}; torch {torch.__version__}; {str(run.dtype).removeprefix('torch.')}"


def number(value: float | None, digits: int = 3) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.{digits}g}"


def markdown(run: Run, command: str, conditions: str) -> list[str]:
    lines = [f"Measured by `{command}` on {machine(run)}; {conditions}.", ""]
    lines += ["| | aim | measured | |", "| --- | --- | --- | --- |"]
    for target in targets_reached(run):
        verdict = {None: "not yet measured", True: "reached", False: "**missed**"}[target.met]
        sign = "at least" if target.at_least else "at most"
        lines.append(f"| {target.text} | {sign} {target.limit:g} | {number(target.value)} | {verdict} |")
    lines += ["", "| part | shape | contender | ms | extra MiB at the peak |", "| --- | --- | --- | ---: | ---: |"]
    for m in run.measurements:
        time_or_note = m.note or number(m.milliseconds)
        lines.append(f"| {m.part} | {m.shape} | {m.contender} | {time_or_note} | {number(m.extra_mib)} |")
    return lines


def write_csv(run: Run, path: Path) -> None:
    header = "device,dtype,part,batch,length,labels,size,vocabulary,contender,milliseconds,extra_mib,total_mib,note"
    lines = [header]
    for m in run.measurements:
        shape = m.shape
        cells = [run.device, str(run.dtype).removeprefix("torch."), m.part.replace(",", ""), shape.batch, shape.length]
        cells += [shape.labels, shape.size, shape.vocabulary, m.contender.replace(",", "")]
        cells += ["" if v is None else f"{v:.3f}" for v in (m.milliseconds, m.extra_mib, m.total_mib)]
        lines.append(",".join(map(str, [*cells, m.note])))
    write_lines(path, lines)


def series(run: Run, part: str, key: str, same: Callable[[Shape], bool]) -> dict[str, list[Measurement]]:
    found: dict[str, list[Measurement]] = {}
    for m in run.measurements:
        if m.part == part and m.milliseconds and same(m.shape):
            found.setdefault(m.contender, []).append(m)
    return {name: sorted(values, key=lambda m: getattr(m.shape, key)) for name, values in found.items()}


def plot(run: Run, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.8), layout="constrained")
    panels = figure.subplots(1, 3)
    sweep = [m.shape for m in run.measurements if m.part == "projection and loss"]
    rows = max(((s.batch, s.length) for s in sweep), key=lambda at: sum((s.batch, s.length) == at for s in sweep))
    of_sweep = series(run, "projection and loss", "vocabulary", lambda s: (s.batch, s.length) == rows)
    for name, values in of_sweep.items():
        vocabularies = [m.shape.vocabulary for m in values]
        panels[0].plot(vocabularies, [m.milliseconds for m in values], marker="o", label=name)
        if name not in ("three matrix products", "xlmd best path"):
            # Less than this is served from what the process holds already, and says nothing.
            seen = [m for m in values if m.extra_mib > 1]
            panels[1].plot([m.shape.vocabulary for m in seen], [m.extra_mib for m in seen], marker="o", label=name)
    for name, values in series(
        run, "recursion, forward and backward", "batch", lambda s: (s.length, s.labels) == (100, 50)
    ).items():
        panels[2].plot([m.shape.batch for m in values], [m.milliseconds for m in values], marker="o", label=name)
    titles = [
        (f"projection and loss, B {rows[0]}, T {rows[1]}", "vocabulary", "ms"),
        ("the same: memory", "vocabulary", "extra MiB at the peak"),
        ("recursion alone, T 100, L 50", "batch", "ms"),
    ]
    for panel, (title, x, y) in zip(panels, titles, strict=True):
        panel.set(title=title, xlabel=x, ylabel=y, xscale="log", yscale="log")
        panel.grid(alpha=0.3)
        panel.legend(fontsize=7)
    with atomic_write(path, "wb") as handle:
        figure.savefig(handle, format="png", dpi=110)


def update_docs(page: Path, device: str, lines: Iterable[str]) -> None:
    start, end = f"<!-- benchmark {device} -->", f"<!-- end of benchmark {device} -->"
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(start)
    with atomic_write(page) as handle:
        handle.write(before + start + "\n" + "\n".join(lines) + "\n" + end + rest.split(end)[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU")
    parser.add_argument("--seconds", type=float, default=5.0, help="a shape, after warming up")
    parser.add_argument("--quick", action="store_true", help="small shapes only; writes nothing into docs")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--no-docs", action="store_true", help="leave docs/ctc.md alone")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no CUDA device")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    on_cuda = options.device == "cuda"
    run = Run(options.device, torch.bfloat16 if on_cuda else torch.float32, 0.1 if options.quick else options.seconds)
    if not primitives._is_native(torch.zeros(1, device=options.device)):
        parser.error("the native library has no part for this device")

    load_at_start = os.getloadavg()[0]
    recursions, projections = shapes(options.device, options.quick)
    tiny = Shape(2, 8, 3, 8, 100)  # what torch loads at a first call is nobody's memory
    projection(Run(run.device, run.dtype, 0.0), tiny, limit_bytes=2**30)
    recursion(Run(run.device, run.dtype, 0.0), tiny)
    limit = torch.cuda.get_device_properties(0).total_memory * 0.9 if on_cuda else 6 * 2**30
    with tqdm(total=len(recursions) + len(projections), unit="shape") as progress:
        # The largest first: its memory is then measured in a process that has held nothing else.
        for shape in sorted(projections, key=lambda s: -s.vocabulary * s.batch):
            progress.set_postfix_str(str(shape))
            projection(run, shape, limit)
            progress.update()
        for shape in recursions:
            progress.set_postfix_str(str(shape))
            recursion(run, shape)
            progress.update()

    # As it was really called: how OpenMP waits changes the figures of a busy machine.
    settings = [f"{name}={os.environ[name]}" for name in sorted(os.environ) if name.startswith(("OMP_", "GOMP_"))]
    command = " ".join([*settings, "python -m benchmarks.ctc", *sys.argv[1:]])
    load_at_end = os.getloadavg()[0]
    lines = markdown(run, command, f"load average {load_at_start:.1f} before and {load_at_end:.1f} after")
    print("\n".join(lines))
    stem = options.output / f"ctc-{'gpu' if on_cuda else 'cpu'}"
    write_csv(run, stem.with_suffix(".csv"))
    plot(run, stem.with_suffix(".png"))
    write_lines(stem.with_suffix(".md"), lines)
    if not (options.quick or options.no_docs):
        update_docs(Path("docs/ctc.md"), options.device, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
