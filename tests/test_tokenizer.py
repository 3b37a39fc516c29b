import hashlib
import json

import pytest
import sentencepiece
from text_example import sentences, write_text
from transformers import AutoTokenizer, XLMRobertaTokenizer

from xlmd.data.tokenizer import MODEL_FILE, decode_ids, load_tokenizer, subword_encoder, train_tokenizer
from xlmd.errors import UserError

SIZE = 100
ODD_LINES = [
    "",
    "   two   spaces ",
    "unseen: 中文 字 ☃☃ ☃",
    "ﬁne ligature, half-width ｶﾀｶﾅ",
    "tab\there",
    "a\u00a0b\u3000c\u200bd",
]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return write_text(tmp_path_factory.mktemp("text") / "text", sentences(2000))


@pytest.fixture(scope="module")
def folder(text):
    out = text.parent / "tokenizer"
    train_tokenizer([text], SIZE, out, seed=1, character_coverage=1.0)
    return out


def test_transformers_loads_it_as_an_xlm_r_tokenizer_of_exactly_the_size_asked_for(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert isinstance(tokenizer, XLMRobertaTokenizer)
    assert len(tokenizer) == len(tokenizer.get_vocab()) == tokenizer.vocab_size == SIZE


def test_special_tokens_have_the_ids_of_xlm_roberta_base(folder):
    tokenizer = load_tokenizer(folder)
    assert tokenizer.convert_tokens_to_ids(["<s>", "<pad>", "</s>", "<unk>"]) == [0, 1, 2, 3]
    assert tokenizer.mask_token_id == SIZE - 1
    assert tokenizer("ba").input_ids[0] == 0 and tokenizer("ba").input_ids[-1] == 2
    pair = tokenizer("ba", "ka").input_ids
    assert [i for i in pair if i < 3] == [0, 2, 2, 2]


def test_pieces_have_the_ids_of_sentencepiece_plus_one(folder):
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / MODEL_FILE))
    tokenizer = load_tokenizer(folder)
    assert [tokenizer.convert_ids_to_tokens(i + 1) for i in range(3, len(model))] == [
        model.id_to_piece(i) for i in range(3, len(model))
    ]


def test_the_fast_encoder_equals_the_tokenizer_of_transformers(folder):
    lines = sentences(300, seed=7) + ODD_LINES
    assert subword_encoder(folder)(lines) == load_tokenizer(folder)(lines, add_special_tokens=False).input_ids


def test_decoding_inverts_encoding(folder):
    tokenizer, lines = load_tokenizer(folder), sentences(300, seed=8)
    assert [decode_ids(tokenizer, ids) for ids in subword_encoder(folder)(lines)] == lines


def test_decoding_drops_special_tokens(folder):
    tokenizer = load_tokenizer(folder)
    ids = subword_encoder(folder)(["ba der"])[0]
    assert decode_ids(tokenizer, [0, *ids, 2, 1, 1]) == "ba der"


def test_decoding_leaves_single_spaces(folder):
    tokenizer = load_tokenizer(folder)
    ids, space = subword_encoder(folder)(["ba der"])[0], tokenizer.convert_tokens_to_ids("▁")
    assert space != tokenizer.unk_token_id
    assert "  " not in decode_ids(tokenizer, [space, *ids, space, space, *ids])


def test_text_that_spells_special_tokens_cannot_smuggle_them_in(folder):
    for encode in (subword_encoder(folder), _encoder_without_sentencepiece(folder)):
        ids = encode(["ba </s> <mask> <pad> <s>"])[0]
        assert min(ids) >= 3 and max(ids) < SIZE - 1


def _encoder_without_sentencepiece(folder):
    other = folder.parent / "without"
    if not other.exists():
        load_tokenizer(folder).save_pretrained(other)
    assert not (other / MODEL_FILE).exists()
    return subword_encoder(other)


def test_without_a_sentencepiece_model_encoding_gives_the_same(folder):
    lines = sentences(50, seed=9)
    assert _encoder_without_sentencepiece(folder)(lines) == subword_encoder(folder)(lines)


def test_the_same_text_and_seed_give_the_same_bytes_at_any_path(text, folder, tmp_path):
    copy = write_text(tmp_path / "a, copy", sentences(2000))
    train_tokenizer([copy], SIZE, tmp_path / "again", seed=1, character_coverage=1.0)
    for name in (MODEL_FILE, "tokenizer.json", "tokenizer_config.json"):
        first, second = (hashlib.sha256((f / name).read_bytes()).digest() for f in (folder, tmp_path / "again"))
        assert first == second, name


def test_a_vocabulary_too_large_for_the_text_names_the_largest_possible(text, tmp_path):
    with pytest.raises(UserError, match=r"100000 is too large for .*text: at most (\d+) is possible") as error:
        train_tokenizer([text], 100_000, tmp_path / "out")
    most = int(str(error.value).split("at most ")[1].split()[0])
    train_tokenizer([text], most, tmp_path / "out")
    assert len(load_tokenizer(tmp_path / "out")) == most


def test_a_vocabulary_too_small_for_the_characters_names_the_smallest_possible(text, tmp_path):
    with pytest.raises(UserError, match=r"10 is too small for .*text: at least \d+ is needed"):
        train_tokenizer([text], 10, tmp_path / "out", character_coverage=1.0)
    assert not (tmp_path / "out").exists()


def test_empty_input_and_invalid_utf8_are_refused(tmp_path):
    with pytest.raises(UserError, match="empty"):
        train_tokenizer([write_text(tmp_path / "empty", [])], SIZE, tmp_path / "out")
    (tmp_path / "bad").write_bytes(b"good\nb\xffd\n")
    with pytest.raises(UserError, match="bad, line 2: invalid UTF-8"):
        train_tokenizer([tmp_path / "bad"], SIZE, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(UserError, match="no tokenizer in .*nowhere"):
        load_tokenizer(tmp_path / "nowhere")


def test_a_hub_name_that_is_not_cached_is_named_when_offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="cannot load the tokenizer 'no-such-model-anywhere'"):
        load_tokenizer("no-such-model-anywhere")


def test_a_tokenizer_of_another_layout_is_refused(folder, tmp_path):
    load_tokenizer(folder).save_pretrained(tmp_path / "other")
    config = json.loads((tmp_path / "other" / "tokenizer_config.json").read_text())
    (tmp_path / "other" / "tokenizer_config.json").write_text(json.dumps(config | {"pad_token": "</s>"}))
    with pytest.raises(UserError, match="not in XLM-R's layout"):
        load_tokenizer(tmp_path / "other")
