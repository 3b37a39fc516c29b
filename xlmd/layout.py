"""Where the workflow keeps things below its results folder: the one place that spells these paths."""

from typing import Any

from xlmd.errors import UserError
from xlmd.grid import BASELINE


class Layout:
    """Paths of one configuration, relative as the configuration's own."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.root: str = config["results"]
        listed = [*config["directions"], *config["further_directions"]]
        self.directions: dict[str, str] = {entry["pair"]: entry["corpus"] for entry in listed}

    def corpus(self, direction: str) -> str:
        """The corpus of a direction, in the grid or not (the first that has both languages).

        Raises UserError if no corpus has both.
        """
        if direction in self.directions:
            return self.directions[direction]
        for name, entry in self.config["corpora"].items():
            if set(direction.split("-")) <= set(entry["languages"]):
                return name
        raise UserError(f"no corpus in the configuration has both languages of {direction}")

    def base(self, direction: str) -> str:
        """The base, tokenizer and masked language model, that a direction starts from."""
        return self.config["corpora"][self.corpus(direction)]["base"]

    def tokenizer(self, base: str) -> str:
        """Folder of a base's tokenizer, or the name or folder that the configuration gives."""
        source = self.config["bases"][base]["tokenizer"]["source"]
        return f"{self.root}/bases/{base}/tokenizer" if source == "train" else source

    def mlm(self, base: str) -> str:
        """Folder of a base's masked language model, or the name or folder that the configuration gives."""
        source = self.config["bases"][base]["mlm"]["source"]
        return f"{self.root}/bases/{base}/mlm/model" if source == "pretrain" else source

    def text(self, direction: str, split: str, side: int, raw: bool = False) -> str:
        """One side (0: source, 1: target) of a direction's split, cleaned, and Moses-tokenised unless raw."""
        language = direction.split("-")[side]
        pair = "-".join(sorted(direction.split("-")))
        return f"{self.root}/corpora/{self.corpus(direction)}/{pair}/{split}.{'raw.' if raw else ''}{language}"

    def counts(self, direction: str, split: str) -> str:
        """What cleaning counted in a split (JSON)."""
        return self.text(direction, split, 0).rpartition(".")[0] + ".json"

    def encoded(self, direction: str, split: str, side: int) -> str:
        """The encoded side of a split, without the suffixes of its two files."""
        return self.text(direction, split, side).replace("/corpora/", "/encoded/", 1)

    def training_data(self, direction: str, data: str) -> list[str]:
        """Both sides of the training pairs, encoded: the corpus's own or with the teacher's translations."""
        if data == "distilled":
            return [f"{self.root}/distilled/{direction}/train.{side}" for side in ("source", "target")]
        return [self.encoded(direction, "train", side) for side in (0, 1)]


TEACHER = f"{BASELINE}-original"


def direction_of(run: str) -> str:
    """The direction of a run's name, as `Point.run` has it."""
    return run.split("/")[0]


def system_of(run: str) -> str:
    return run.split("/")[1].split("-")[0]
