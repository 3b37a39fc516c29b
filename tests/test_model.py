import pytest
import torch
from small_models import LAYERS, MASK, VOCABULARY, decorated, save_mlm, sources
from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

from xlmd.data.batching import ParallelBatch
from xlmd.errors import UserError
from xlmd.method.decorator import LatentTransform, upsampled_lengths
from xlmd.method.model import XLMDForTranslation, decorate
from xlmd.systems.xlmd import XLMD, XLMDDecoding, XLMDSettings


@pytest.fixture(scope="module")
def mlm(tmp_path_factory):
    return save_mlm(tmp_path_factory.mktemp("mlm"))


def test_alignment_length_is_the_ceiling_of_s_times_source_length():
    lengths = torch.tensor([1, 5, 10])
    assert upsampled_lengths(lengths, 2).tolist() == [2, 10, 20]
    assert upsampled_lengths(lengths, 1.5).tolist() == [2, 8, 15]
    assert upsampled_lengths(lengths, 1.1).tolist() == [2, 6, 11]  # not 12, for all that 1.1 × 10 > 11 in floats


def test_latent_transform_is_the_printed_formula():
    transform = LatentTransform(0.7)
    source_lengths, target_lengths = torch.tensor([3, 5]), torch.tensor([6, 10])
    weights = transform.weights(source_lengths, target_lengths)
    for b, (length, longer) in enumerate(zip([3, 5], [6, 10], strict=True)):
        for j in range(1, longer + 1):
            scores = [-((i - j * length / longer) ** 2) / (2 * 0.7**2) for i in range(1, length + 1)]
            expected = torch.tensor(scores).softmax(0)
            torch.testing.assert_close(weights[b, j - 1, :length], expected, atol=1e-5, rtol=1e-5)
            assert weights[b, j - 1, length:].eq(0).all()


def test_latent_transform_survives_sigma_zero_and_still_has_a_finite_gradient():
    transform = LatentTransform(1.0)
    torch.nn.init.zeros_(transform.sigma)
    hidden = torch.randn(1, 4, 3)
    z = transform(hidden, torch.tensor([4]), torch.tensor([4]))
    torch.testing.assert_close(z, hidden)
    z.sum().backward()
    assert transform.sigma.grad.isfinite()


@pytest.mark.parametrize("m", range(LAYERS + 1))
@pytest.mark.parametrize("options", [{}, {"add_and_scale": False}])
def test_the_decorator_adds_exactly_one_trainable_scalar(mlm, m, options):
    names = {name for name, _ in decorated(mlm, insertion_layer=m, **options).named_parameters()}
    base = {name for name, _ in XLMRobertaForMaskedLM.from_pretrained(mlm).named_parameters()}
    assert names - base == {"latent_transform.sigma"} and base <= names
    assert decorated(mlm, insertion_layer=m, **options).latent_transform.sigma.numel() == 1


@pytest.mark.parametrize("m", range(LAYERS + 1))
def test_without_upsampling_and_add_and_scale_the_logits_are_the_mlms_own(mlm, m):
    """Representation consistency: s = 1, σ → 0 and LT only leave the pre-trained model as it was, at every M."""
    source, lengths = sources()
    base = XLMRobertaForMaskedLM.from_pretrained(mlm).eval()
    model = decorated(mlm, insertion_layer=m, upsampling_ratio=1, add_and_scale=False, initial_sigma=1e-6)
    with torch.no_grad():
        refined, _ = model(source, lengths)
        expected = base(input_ids=source, attention_mask=(source != 1).long()).logits
    inside = source != 1
    torch.testing.assert_close(model.logits(refined)[inside], expected[inside], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("m", [0, 2, LAYERS])
@pytest.mark.parametrize("s", [1, 1.5, 2, 3])
def test_padding_and_the_order_of_a_batch_do_not_change_a_sentence(mlm, m, s):
    source, lengths = sources()
    model = decorated(mlm, insertion_layer=m, upsampling_ratio=s)
    alignment = torch.randint(4, MASK, (2, int(upsampled_lengths(lengths, s).max())))
    with torch.no_grad():
        together, out_lengths = model(source, lengths, alignment)
        swapped, _ = model(source.flip(0), lengths.flip(0), alignment.flip(0))
        torch.testing.assert_close(swapped.flip(0), together, atol=1e-5, rtol=1e-5)
        for row in range(2):
            alone, length = model(
                source[row : row + 1, : lengths[row]],
                lengths[row : row + 1],
                alignment[row : row + 1, : out_lengths[row]],
            )
            torch.testing.assert_close(alone[0], together[row, : int(length)], atol=1e-5, rtol=1e-5)


def test_eq4_at_layer_zero_is_the_embedding_of_word_plus_alignment_halved_plus_position(mlm):
    """M = 0, σ → 0, s = 1: the layers must see LayerNorm((x + e)·γ + p + token type)."""
    source, lengths = sources()
    model = decorated(mlm, upsampling_ratio=1, initial_sigma=1e-6, gamma=0.5)
    alignment = torch.randint(4, MASK, source.shape)
    embeddings = model.roberta.embeddings
    seen = []
    model.roberta.encoder.layer[0].register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model(source, lengths, alignment)
        words, tokens = embeddings.word_embeddings(source), embeddings.word_embeddings(alignment)
        position = embeddings.position_embeddings(torch.arange(2, 2 + source.shape[1]))
        expected = embeddings.LayerNorm((words + tokens) * 0.5 + position + embeddings.token_type_embeddings.weight[0])
    inside = source != 1
    torch.testing.assert_close(seen[0][inside], expected[inside], atol=1e-5, rtol=1e-5)


def test_the_alignment_may_enter_eq4_as_the_mlms_own_embedding_of_it(mlm):
    model = decorated(mlm, insertion_layer=1, normalise_tokens=True, normalise_sum=False)
    source, lengths = sources()
    z, out_lengths = model.encode(source, lengths)
    alignment = torch.full(z.shape[:2], MASK)
    seen = []
    model.roberta.encoder.layer[1].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model.refine(z, out_lengths, alignment)
    torch.testing.assert_close(seen[0], (z + model.roberta.embeddings(input_ids=alignment)) * 0.5)


def test_the_layers_below_m_do_not_depend_on_the_alignment(mlm):
    """What makes iterations cheap: z is computed once (§2.4)."""
    source, lengths = sources()
    model = decorated(mlm, insertion_layer=2)
    calls = []
    for number, layer in enumerate(model.roberta.encoder.layer):
        layer.register_forward_hook(lambda *_args, number=number: calls.append(number))
    z, out_lengths = model.encode(source, lengths)
    assert calls == [0, 1]
    model.refine(z, out_lengths, None)
    assert calls == [0, 1, 2]


def test_a_decorated_model_saves_and_loads_in_transformers_format(mlm, tmp_path):
    model = decorated(mlm, insertion_layer=2, upsampling_ratio=1.5)
    torch.nn.init.constant_(model.latent_transform.sigma, 0.4)
    model.save_pretrained(tmp_path)
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["model.safetensors"]
    loaded = XLMDForTranslation.from_pretrained(tmp_path).eval()
    assert loaded.config.insertion_layer == 2 and loaded.latent_transform.sigma.item() == pytest.approx(0.4)
    with torch.no_grad():
        torch.testing.assert_close(loaded(*sources())[0], model(*sources())[0], rtol=0, atol=0)


def test_reset_keeps_the_shape_but_not_the_weights(mlm):
    pretrained, reset = decorated(mlm), decorated(mlm, reset=True)
    assert {n: p.shape for n, p in pretrained.named_parameters()} == {n: p.shape for n, p in reset.named_parameters()}
    name = "roberta.encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(pretrained.get_parameter(name), reset.get_parameter(name))
    assert reset.latent_transform.sigma.item() == 1.0


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"insertion_layer": LAYERS + 1}, f"M = {LAYERS + 1}"),
        ({"insertion_layer": -1}, "M = -1"),
        ({"upsampling_ratio": 0.9}, "s = 0.9"),
        ({"gamma": 0}, "gamma"),
        ({"gamma": float("nan")}, "gamma = nan"),
        ({"upsampling_ratio": float("inf")}, "upsampling_ratio = inf"),
        ({"initial_sigma": float("nan")}, "initial_sigma = nan"),
        ({"blank_token_id": MASK}, "blank"),
    ],
)
def test_settings_out_of_range_are_named(mlm, option, message):
    with pytest.raises(UserError, match=message):
        decorated(mlm, **option)


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(UserError, match=str(tmp_path)):
        decorated(tmp_path)


def test_a_headless_checkpoint_is_refused(mlm, tmp_path):
    XLMRobertaForMaskedLM.from_pretrained(mlm).roberta.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="lm_head"):
        decorated(tmp_path)


class Tokenizer:
    """Ids as XLM-R has them."""

    bos_token_id, pad_token_id, eos_token_id, unk_token_id, mask_token_id, unk_token = 0, 1, 2, 3, 250_001, "<unk>"

    def __len__(self):
        return 250_002

    def convert_tokens_to_ids(self, token):
        return {"<s>": 0}[token]


def test_xlm_roberta_base_at_full_size_is_decorated_trained_for_a_step_decoded_saved_and_loaded(tmp_path):
    """The paper's shape: 12 layers, 768 wide, 250,002 word pieces (§3.1); random weights, for want of the real ones."""
    shape = XLMRobertaConfig(vocab_size=250_002, max_position_embeddings=514, type_vocab_size=1)
    XLMRobertaForMaskedLM(shape).save_pretrained(tmp_path / "mlm")
    system = XLMD(XLMDSettings(mlm=str(tmp_path / "mlm"), M=6), Tokenizer())
    model = system.build()
    assert (model.config.hidden_size, model.config.num_hidden_layers) == (768, 12)
    assert sum(p.numel() for p in model.parameters()) == 278_295_186 + 1
    ids = torch.tensor([[35378, 8999], [42, 240_000]])
    batch = ParallelBatch(ids[:1], torch.tensor([2]), ids[1:], torch.tensor([2]), torch.tensor([0]))
    before = model.latent_transform.sigma.item()
    loss, _ = system.loss(model.train(), batch, 1.0, torch.Generator().manual_seed(1))
    loss.backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert loss.isfinite() and model.latent_transform.sigma.item() != before
    decoding = XLMDDecoding(iterations=2)
    translations = system.translate(model.eval(), [[35378, 8999], [5]], decoding)
    model.save_pretrained(tmp_path / "run")
    del model
    assert system.translate(system.load(tmp_path / "run").eval(), [[35378, 8999], [5]], decoding) == translations


def test_the_parameter_count_of_the_full_size_mlm_is_xlm_roberta_bases():
    config = XLMRobertaConfig(vocab_size=250_002, max_position_embeddings=514, type_vocab_size=1)
    with torch.device("meta"):
        model = XLMRobertaForMaskedLM(config)
    assert sum(p.numel() for p in model.parameters()) == 278_295_186


def test_a_keyword_that_the_decorator_does_not_have_is_refused(mlm):
    with pytest.raises(TypeError, match="decorate has no keyword M, s; the decorator's are insertion_layer,"):
        decorated(mlm, M=2, s=3.0)
    with pytest.raises(TypeError, match="no keyword hidden_size"):  # XLM-R's own, which its weights decide
        decorated(mlm, hidden_size=8)


@pytest.mark.parametrize("name", ["mask_token_id", "blank_token_id"])
@pytest.mark.parametrize("token", [-1, VOCABULARY])
@pytest.mark.parametrize("reset", [False, True])
def test_a_special_token_beyond_the_vocabulary_is_refused(mlm, name, token, reset):
    with pytest.raises(UserError, match=rf"{name} = {token} is not in the model's vocabulary: .* 0..{VOCABULARY - 1}"):
        decorate(mlm, reset=reset, **({"mask_token_id": MASK} | {name: token}))


def test_padding_is_no_mask(mlm):
    with pytest.raises(UserError, match="<mask> may not be <pad>, but mask_token_id = 1"):
        decorate(mlm, mask_token_id=1)
