"""How the text of a direction was prepared for a model, and the way back: raw text in, natural text out."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from xlmd.data.preprocess import Tokenization, detokenize, tokenize_lines
from xlmd.data.romanian import Letters
from xlmd.files import read_json, write_json
from xlmd.options import check, from_mapping, option, required

FILE = "preparation.json"  # beside an exported model


@dataclass
class Preparation:
    """A direction's languages and what was done to its text before it became subwords."""

    source: str = required("language code of the source")
    target: str = required("language code of the target")
    tokenize: Tokenization = option("moses", "how the corpora were tokenised")
    romanian: Letters = option("comma", "how the corpora spell Romanian")

    def __post_init__(self) -> None:
        check(self)

    def prepare(self, lines: Iterable[str]) -> list[str]:
        """Raw source sentences as the training corpus had them."""
        return tokenize_lines(lines, self.source, self.tokenize, self.romanian)

    def restore(self, lines: Iterable[str]) -> list[str]:
        """Natural text from the model's target sentences."""
        return detokenize(lines, self.target, self.tokenize)

    def save(self, folder: Path) -> None:
        """Write it into a folder as preparation.json."""
        write_json(folder / FILE, asdict(self))


def preparation_of(run: str | Path) -> Preparation:
    """That of a run's text. Raises UserError if there is no such run.

    A run of before training recorded it is taken to have been prepared as the defaults say.
    """
    record = read_json(Path(run) / "run.json")
    source, target = record["description"]["direction"].split("-")
    files = record.get("settings", {}).get("files", {})
    recorded = {name: files[name] for name in ("tokenize", "romanian") if name in files}
    return from_mapping(Preparation, {"source": source, "target": target} | recorded)
