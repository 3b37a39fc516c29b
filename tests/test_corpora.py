"""The registry of corpora, and corpora that the configuration describes."""

import re
from pathlib import Path

import pytest
import yaml
from sacrebleu.dataset import DATASETS
from snakemake.utils import update_config
from test_workflow import ROOT, checkout, edit, planned, snakemake
from text_example import sentences, write_text

from xlmd.data.sources import as_file, downloads, file_name, sources_of
from xlmd.errors import UserError
from xlmd.experiment.configuration import check_config, resolve_corpora

REGISTRY = ROOT / "xlmd/resources/corpora.yaml"
CORPORA = yaml.safe_load(REGISTRY.read_text(encoding="utf-8"))
SPLITS = ("train", "dev", "test")


def configured(**corpora):
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["corpora"] |= corpora
    resolve_corpora(config)
    check_config(config)
    return config


@pytest.mark.parametrize("name", CORPORA)
def test_each_corpus_of_the_registry_is_whole_and_fits_the_schema(name):
    entry = configured(**{name: {"kind": "registered", "base": "west"}})["corpora"][name]
    assert {"about", "licence", "source"} <= set(entry)
    for split in SPLITS:
        for language in entry["languages"]:
            assert sources_of(entry, split, language)
    for file in downloads(name, entry).values():
        assert "sha256" in file and file["url"].startswith(("https://", "http://")) and file_name(file)


@pytest.mark.parametrize("name", CORPORA)
def test_each_test_set_of_the_registry_is_one_that_sacrebleu_has(name):
    for parts in CORPORA[name]["splits"].values():
        for part in parts:
            if "sacrebleu" in part:
                assert part["pair"] in DATASETS[part["sacrebleu"]].langpairs


def test_what_the_configuration_says_of_a_registered_corpus_stands_instead_of_the_registrys():
    splits, cleaning = {"test": [{"en": "a", "de": "b"}]}, {"max_ratio": 2}
    own = {"kind": "registered", "base": "west", "splits": splits, "cleaning": cleaning}
    entry = configured(multi30k=own)["corpora"]["multi30k"]
    assert entry["splits"]["test"] == [{"en": "a", "de": "b"}] and entry["cleaning"] == cleaning
    assert entry["splits"]["train"] == CORPORA["multi30k"]["splits"]["train"]


def test_a_corpus_that_the_registry_does_not_have_is_named_with_those_that_it_has():
    with pytest.raises(UserError, match=r"corpora.multi: .* has no such corpus, only .*multi30k"):
        configured(multi={"kind": "registered", "base": "west"})


@pytest.mark.parametrize(
    "change, message",
    [
        ({"train": [{"en": "a"}]}, "splits.train.0"),
        ({"train": [{"file": "a.tgz"}]}, "splits.train.0"),
        ({"train": [{"file": {"sha256": "00"}, "columns": {"en": 1}}]}, "splits.train.0"),
        ({"train": [{"en": "a", "de": {"url": "x", "sha256": "no hash"}}]}, "splits.train.0"),
        ({"tset": [{"en": "a", "de": "b"}]}, "splits"),
        ({"train": []}, "splits.train"),
    ],
)
def test_a_bad_description_of_a_corpus_is_named_by_its_key(change, message):
    splits = {split: [{"en": "a", "de": "b"}] for split in SPLITS} | change
    with pytest.raises(UserError, match=f"corpora.mine.{message}"):
        configured(mine={"kind": "files", "base": "west", "languages": ["en", "de"], "splits": splits})


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ({"url": "https://opus.example/download.php?f=moses/de-en.txt.zip"}, "de-en.txt.zip"),
        ({"url": "https://opus.example/download.php?f=moses%2Fno-en.txt.zip&v=1.2"}, "no-en.txt.zip"),
        ({"url": "https://zenodo.example/files/train.en.gz?download=1"}, "train.en.gz"),
        ({"url": "https://example.org/a%20b.txt#top"}, "a b.txt"),
        ({"url": "https://example.org/get?id=3", "name": "train.zip"}, "train.zip"),
    ],
)
def test_a_download_is_called_by_the_file_that_its_address_asks_for(file, name):
    assert file_name(file) == name


@pytest.mark.parametrize("address", ["http://a/", "http://a/b/.."])
def test_an_address_that_names_no_file_needs_a_name(address):
    splits = {"train": [{"en": address, "de": "http://b/x"}]}
    with pytest.raises(UserError, match=f"splits.train: {address} tells no good name of a file.*give it a `name`"):
        downloads("mine", {"splits": splits, "languages": ["en", "de"]})


def test_two_files_of_one_name_are_refused():
    splits = {"train": [{"en": "http://a/x", "de": "http://b/x"}]}
    with pytest.raises(UserError, match="corpora.mine.splits.train: two files are called x"):
        downloads("mine", {"languages": ["en", "de"], "splits": splits})


def test_one_address_with_two_hashes_is_refused_and_with_one_is_checked_everywhere():
    url, hashes = "http://a/x.tgz", ("0" * 64, "1" * 64)

    def corpus(*entries):
        parts = [[{"file": {"url": url} | entry, "members": {"en": "en", "de": "de"}}] for entry in entries]
        return {"languages": ["en", "de"], "splits": dict(zip(SPLITS, parts, strict=True))}

    known = {"sha256": hashes[0]}
    for entries in ([{}, known, {}], [known, {}, known]):
        assert downloads("mine", corpus(*entries))["x.tgz"]["sha256"] == hashes[0]
    with pytest.raises(UserError, match="x.tgz has two hashes"):
        downloads("mine", corpus({}, known, {"sha256": hashes[1]}))


def test_a_file_is_called_as_in_its_address():
    assert file_name(as_file("https://a/b/c%20d.gz?x=1")) == "c d.gz"


def test_a_file_that_is_not_there_is_named(tmp_path):
    folder = checkout(tmp_path)
    splits = {split: [{"en": f"{split}.en", "de": f"{split}.de"}] for split in SPLITS}
    edit(folder, corpora__mine={"kind": "files", "base": "west", "languages": ["en", "de"], "splits": splits})
    output = snakemake(folder, "--dry-run", "results/corpora/mine/raw/dev.en", check=False)
    assert "MissingInputException" in output and "dev.en" in output


def test_text_for_pre_training_is_cleared_of_dev_and_test_too(tmp_path):
    folder = checkout(tmp_path)
    splits = {split: [{"en": f"{split}.en", "de": f"{split}.de"}] for split in ("pretrain", *SPLITS)}
    edit(folder, corpora__mine={"kind": "files", "base": "west", "languages": ["en", "de"], "splits": splits})
    splits["pretrain"][0]["fr"] = "pretrain.fr"
    languages = ["en", "de", "fr"]
    edit(folder, corpora__mine={"kind": "files", "base": "west", "languages": languages, "splits": splits})
    for name in [f"{split}.en" for split in splits] + ["pretrain.fr"]:
        (folder / name).write_text("one\n")
    snakemake(folder, "--dry-run", "results/corpora/mine/monolingual/pretrain.fr")
    output = snakemake(folder, "--dry-run", "results/corpora/mine/monolingual/pretrain.en")
    assert {f"results/corpora/mine/raw/{split}.en" for split in ("dev", "test")} <= set(re.findall(r"[^\s,]+", output))


def example():
    """The configuration that docs/your-corpus.md gives as an example."""
    text = (ROOT / "docs/your-corpus.md").read_text(encoding="utf-8")
    return yaml.safe_load(re.search(r"```yaml\n# my.yaml\n(.*?)```", text, re.DOTALL)[1])


def test_the_example_of_the_docs_goes_through_the_whole_chain_in_a_language_pair_of_its_own(tmp_path):
    """As a new user would: the files that the page names, its configuration with another pair, and fewer steps."""
    folder, config = checkout(tmp_path), example()
    (folder / "data").mkdir()
    for number, (split, count) in enumerate({"train": 300, "dev": 20, "test": 12}.items()):
        lines = sentences(count, seed=number)
        write_text(folder / f"data/{split}.en", lines)
        write_text(folder / f"data/{split}.cs", [" ".join(reversed(line.split())) for line in lines])
    write_text(folder / "data/dev.tsv", [f"{number}\t{line}\t{line.upper()}" for number, line in enumerate(lines)])
    named = Path(folder / "my.yaml")
    named.write_text(yaml.safe_dump(config))
    few = {"steps": 6, "validate_every": 3, "validate_from": 0.0, "checkpoint_every": 2, "warmup_steps": 2}
    shape = {"d_model": 32, "ffn": 64, "heads": 2}
    mlm = {"shape": shape | {"layers": 2, "held_out": 50}, "trainer": few}
    tiny = {
        "grid": {"M": [0, 1], "figure2_M": [0]},
        "bases": {"mine": {"tokenizer": {"vocabulary": 200}, "mlm": mlm}},
        "systems": {
            "transformer": {"settings": shape, "trainer": few | {"steps": 300, "max_tokens": 400}},
            "xlmd": {"settings": {"zero_infinity": True}, "trainer": few},
        },
        "latency": {"sentences": 3, "warmup": 1, "runs": 2},
        "distillation": {"max_ratio": 30},
    }
    base = yaml.safe_load((folder / "micro.yaml").read_text())
    update_config(base, config)
    update_config(base, tiny)
    (folder / "micro.yaml").write_text(yaml.safe_dump(base))
    table = f"{config['results']}/table1.csv"
    assert planned(snakemake(folder, "--dry-run", table))["gather"] == 6
    snakemake(folder, table)
    (header, *rows) = (folder / table).read_text().splitlines()
    assert "en-cs_bleu" in header and sum(",N," in row or ",4," in row for row in rows) >= 3
    counts = (folder / f"{config['results']}/corpora/mine/cs-en/train.json").read_text()
    assert '"kept": 300' in counts
