import pytest
import torch
from small_models import LAYERS, MASK, decorated, save_mlm, sources

from xlmd.method.decoding import XLMDDecoding, collapse, iterative_refinement


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return decorated(save_mlm(tmp_path_factory.mktemp("mlm")), insertion_layer=1)


def test_collapsing_merges_repeats_before_it_drops_blanks():
    alignment = torch.tensor([[5, 5, 0, 5, 6, 6, 0, 0], [7, 0, 0, 9, 9, 9, 8, 8]])
    assert collapse(alignment, torch.tensor([8, 4]), blank=0) == [[5, 5, 6], [7, 9]]


@pytest.mark.parametrize("committed", ["keep", "repredict", "remask"])
@pytest.mark.parametrize("strategy", ["dynamic", "static"])
@pytest.mark.parametrize("iterations", [1, 2, 4, 8])
def test_batched_and_single_decoding_give_the_same_alignment(model, committed, strategy, iterations):
    source, lengths = sources()
    decoding = XLMDDecoding(iterations=iterations, strategy=strategy, committed=committed)
    together, out_lengths = iterative_refinement(model, source, lengths, decoding)
    for row in range(2):
        alone, length = iterative_refinement(
            model, source[row : row + 1, : lengths[row]], lengths[row : row + 1], decoding
        )
        assert torch.equal(alone[0], together[row, : int(length)])
        assert not torch.isin(together[row, : out_lengths[row]], torch.tensor([1, 2, MASK])).any()


def test_upper_layers_run_once_an_iteration_and_lower_ones_once(model):
    calls = [0] * LAYERS
    hooks = [
        layer.register_forward_hook(lambda *_args, n=n: calls.__setitem__(n, calls[n] + 1))
        for n, layer in enumerate(model.roberta.encoder.layer)
    ]
    iterative_refinement(model, *sources(), XLMDDecoding(iterations=4))
    for hook in hooks:
        hook.remove()
    assert calls == [1, 4, 4]


def test_repredicting_and_remasking_revise_what_keeping_leaves(tmp_path):
    """On some of many random models at least, or the options would mean nothing."""
    revised = {"repredict": 0, "remask": 0}
    source, lengths = sources()
    for seed in range(8):
        model = decorated(save_mlm(tmp_path), reset=True)
        torch.manual_seed(seed)
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, 0, 0.3)
        kept, _ = iterative_refinement(model, source, lengths, XLMDDecoding(iterations=4))
        for committed in revised:
            other, _ = iterative_refinement(model, source, lengths, XLMDDecoding(iterations=4, committed=committed))
            revised[committed] += not torch.equal(kept, other)
    assert all(revised.values()), revised


def test_committed_tokens_stay(model):
    shown = []

    def spy(z, lengths, alignment):
        shown.append(alignment.clone())
        return type(model).refine(model, z, lengths, alignment)

    model.refine = spy
    try:
        final, lengths = iterative_refinement(model, *sources(), XLMDDecoding(iterations=4))
    finally:
        del model.refine
    assert (shown[0] == MASK).all()
    for earlier, later in zip(shown, [*shown[1:], final], strict=True):
        kept = earlier != MASK
        assert torch.equal(later[kept], earlier[kept])
    for iteration, alignment in enumerate(shown):
        # Dynamic blocks of 4 settle one position an iteration each.
        per_block = (alignment[0, :12].view(-1, 4) != MASK).sum(dim=1)
        assert (per_block == iteration).all()


def test_the_most_probable_position_of_a_block_is_committed_first(model):
    source, lengths = sources()
    z, out_lengths = model.encode(source, lengths)
    with torch.no_grad():
        probability = model.scores(model.refine(z, out_lengths, None)).softmax(-1).max(-1)
    shown = []
    original = type(model).refine
    model.refine = lambda z, lengths, alignment: (
        shown.append(alignment.clone()) or original(model, z, lengths, alignment)
    )
    try:
        iterative_refinement(model, source, lengths, XLMDDecoding(iterations=2))
    finally:
        del model.refine
    first_block = probability.values[0, :2]
    assert (shown[1][0, :2] != MASK).tolist() == (first_block == first_block.max()).tolist()


def test_one_iteration_is_the_argmax_of_the_all_mask_input(model):
    source, lengths = sources()
    alignment, out_lengths = iterative_refinement(model, source, lengths, XLMDDecoding(iterations=1))
    with torch.no_grad():
        expected = model.scores(model(source, lengths)[0]).argmax(-1)
    assert torch.equal(alignment[0, : out_lengths[0]], expected[0, : out_lengths[0]])


@pytest.mark.parametrize("committed", ["keep", "remask"])
def test_what_is_settled_is_not_scored_again_and_padding_never(model, committed):
    scored = []
    original = model.predict

    def predict(z, lengths, alignment, positions, blank_penalty):
        scored.append(len(positions))
        return original(z, lengths, alignment, positions, blank_penalty)

    model.predict = predict
    try:
        source, lengths = sources()
        iterative_refinement(model, source, lengths, XLMDDecoding(iterations=4, committed=committed))
    finally:
        del model.predict
    # Alignments of 14 and 8 positions, in blocks of 4 of which one position is settled at each iteration; the short
    # last block of 2 is done after two.
    assert scored == [22, 16, 10, 5]


@pytest.mark.parametrize("committed", ["keep", "repredict", "remask"])
def test_refinement_is_what_its_definition_says(model, committed):
    """The same loop, with every position scored at every iteration and sorted in plain Python."""
    source, lengths = sources()
    iterations, block = 3, 4
    decoding = XLMDDecoding(iterations, "static", block, committed, blank_penalty=0.5)
    alignment, out_lengths = iterative_refinement(model, source, lengths, decoding)
    for row, length in enumerate(out_lengths.tolist()):
        shown, confidence, settled = [MASK] * length, [float("-inf")] * length, set()
        for iteration in range(1, iterations + 1):
            z, _ = model.encode(source[row : row + 1, : lengths[row]], lengths[row : row + 1])
            with torch.no_grad():
                refined = model.refine(z, out_lengths[row : row + 1], torch.tensor([shown]))
                best = model.scores(refined, 0.5).log_softmax(-1).max(-1)
            tokens = best.indices[0].tolist()
            for position in set(range(length)) - settled:
                confidence[position] = float(best.values[0, position])
            if committed != "repredict":
                tokens = [shown[i] if i in settled else token for i, token in enumerate(tokens)]
            now = set()
            for start in range(0, length, block):
                inside = range(start, min(start + block, length))
                first = settled if committed != "remask" else set()
                ranked = sorted(inside, key=lambda i: (i not in first, 0 if i in first else -confidence[i], i))
                now |= set(ranked[: -(-block * iteration // iterations)])
            settled = now
            shown = [tokens[i] if i in settled else MASK for i in range(length)]
        assert alignment[row, :length].tolist() == shown


def test_a_blank_penalty_is_a_lower_output_bias(model):
    source, lengths = sources()
    penalised, _ = iterative_refinement(model, source, lengths, XLMDDecoding(iterations=2, blank_penalty=2.5))
    with torch.no_grad():
        model.lm_head.decoder.bias[0] -= 2.5
        biased, _ = iterative_refinement(model, source, lengths, XLMDDecoding(iterations=2))
        model.lm_head.decoder.bias[0] += 2.5
    assert torch.equal(penalised, biased)


def test_a_model_of_float64_decodes(tmp_path):
    model = decorated(save_mlm(tmp_path), insertion_layer=1).double()
    alignment, lengths = iterative_refinement(model, *sources(), XLMDDecoding(iterations=3))
    assert alignment.shape[1] == int(lengths.max())
