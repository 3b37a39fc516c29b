"""What is trained and decoded: a point, and a point in a cell of a table."""

from dataclasses import dataclass
from typing import NamedTuple

from xlmd.experiment.names import Options, join_options, run_name


@dataclass(frozen=True)
class Point:
    """One decoding of one trained run.

    data: "original" or "distilled". settings: what the run changes of the configuration, in the order of its name;
    decoding: what tells its decodings apart. seed: None for the configuration's own.
    """

    direction: str
    system: str
    data: str
    settings: Options = ()
    decoding: Options = ()
    seed: int | None = None

    @property
    def run(self) -> str:
        """Its run folder below runs/."""
        seed = (("seed", self.seed),) if self.seed is not None else ()
        return run_name(self.direction, self.system, self.data, self.settings + seed)

    @property
    def decoding_name(self) -> str:
        """ "iterations=4-strategy=static"."""
        return join_options(self.decoding)

    @property
    def path(self) -> str:
        """The folder of its decoding below runs/."""
        return f"{self.run}/decodes/{self.decoding_name}"


class Cell(NamedTuple):
    """A point in a table; its row follows from the run. column: a direction or a variant, as the table heads it."""

    column: str
    point: Point
