"""Where the workflow keeps things below its results folder, and what a direction is made from."""

from typing import Any

from xlmd.errors import UserError
from xlmd.experiment.grid import BASELINE


class Layout:
    """Paths of one configuration, relative as the configuration's own."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.root: str = config["results"]
        listed = [*config["directions"], *config["further_directions"]]
        self.directions: dict[str, str] = {entry["pair"]: entry["corpus"] for entry in listed}
        self._trainers = {entry["pair"]: entry.get("trainer", {}) for entry in listed}

    def corpus(self, direction: str) -> str:
        """The corpus of a direction: its own, that of its reverse, or the only one that has both languages.

        Raises UserError if there is none or no telling which.
        """
        languages = direction.split("-")
        for listed in (direction, "-".join(reversed(languages))):
            if listed in self.directions:
                return self.directions[listed]
        found = [name for name, entry in self.config["corpora"].items() if set(languages) <= set(entry["languages"])]
        if len(found) == 1:
            return found[0]
        raise UserError(f"{direction} is not among directions, and {found or 'no'} corpora have both its languages")

    def base(self, direction: str) -> str:
        """The base, tokenizer and masked language model, that a direction starts from."""
        return self.config["corpora"][self.corpus(direction)]["base"]

    def trainer(self, system: str, direction: str) -> dict[str, Any]:
        """How a system is trained in a direction: as its own entry says, and then the direction's."""
        return self.config["systems"][system]["trainer"] | self._trainers.get(direction, {})

    def tokenizer(self, base: str) -> str:
        """Folder of a base's tokenizer."""
        return f"{self.root}/bases/{base}/tokenizer"

    def vocabulary(self, base: str) -> str:
        """What an imported tokenizer kept of its source's pieces (JSON)."""
        return f"{self.root}/bases/{base}/vocabulary.json"

    def mlm(self, base: str) -> str:
        """Folder of a base's masked language model."""
        return f"{self.root}/bases/{base}/mlm/model"

    @property
    def packages(self) -> str:
        """The folder of packages that carry models, as they were fetched."""
        return f"{self.root}/packages"

    def run(self, name: str) -> str:
        """The folder of a run, or of a decoding of one, by its name."""
        return f"{self.root}/runs/{name}"

    def distilled(self, direction: str) -> str:
        """The folder of the teacher's translations."""
        return f"{self.root}/distilled/{direction}"

    def latency(self, job: str) -> str:
        """The times that one job measured, by the table that it is named after."""
        return f"{self.root}/latency/{job}.json"

    def downloads(self, corpus: str) -> str:
        """The folder of a corpus's files as they were fetched."""
        return f"{self.root}/corpora/{corpus}/downloads"

    def raw(self, corpus: str, split: str, language: str) -> str:
        """One language of a corpus's split before cleaning."""
        return f"{self.root}/corpora/{corpus}/raw/{split}.{language}"

    def pretrained(self, whose: str, direction: str, data: str) -> str:
        """The model that a run starts from: that of "mlm", "teacher" or a system, trained on the same `data`."""
        if whose == "mlm":
            return self.mlm(self.base(direction))
        return f"{self.root}/runs/{direction}/{TEACHER if whose == 'teacher' else f'{whose}-{data}'}/model"

    def text(self, direction: str, split: str, side: int, raw: bool = False) -> str:
        """One side (0: source, 1: target) of a direction's split, cleaned, and Moses-tokenised unless raw."""
        return f"{self.root}/corpora/{self._side(direction, f'{split}.raw' if raw else split, side)}"

    def _side(self, direction: str, split: str, side: int) -> str:
        languages = direction.split("-")
        return f"{self.corpus(direction)}/{'-'.join(sorted(languages))}/{split}.{languages[side]}"

    def counts(self, direction: str, split: str) -> str:
        """What cleaning counted in a split (JSON)."""
        return self.text(direction, split, 0).rpartition(".")[0] + ".json"

    def encoded(self, direction: str, split: str, side: int) -> str:
        """The encoded side of a split, without the suffixes of its two files."""
        return f"{self.root}/encoded/{self._side(direction, split, side)}"

    def training_data(self, direction: str, data: str) -> list[str]:
        """Both sides of training pairs, encoded: "original", the corpus's own, "distilled", with the teacher's
        translations, or "reverse", with those of the reverse direction's teacher as sources.

        Raises UserError if the reverse direction is one of another corpus.
        """
        if data == "distilled":
            return [f"{self.distilled(direction)}/train.{side}" for side in ("source", "target")]
        if data == "reverse":
            back = "-".join(reversed(direction.split("-")))
            if self.corpus(back) != self.corpus(direction):
                raise UserError(f"{direction} learns from {back}, too: both must be of one corpus")
            return self.training_data(back, "distilled")[::-1]
        return [self.encoded(direction, "train", side) for side in (0, 1)]


TEACHER = f"{BASELINE}-original"
