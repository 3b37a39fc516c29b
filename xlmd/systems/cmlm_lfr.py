"""CMLM-LFR: CMLM, trained on other pairs from stage to stage, for the sake of rare words (Ding et al., 2021).

A teacher's translations lose rare words of the target. So the model first learns from the corpus itself; then from the
translations of two teachers, those of the sources and, by the reverse direction's, those of the targets, whose target
side is the corpus's own; and last from those of the sources alone. Weights, optimiser and learning rate go on from one
stage to the next. The shares of the stages are those of its authors' recipe, alphadl/RLFW-NAT.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from xlmd.errors import UserError
from xlmd.experiment.names import OWN
from xlmd.options import option
from xlmd.systems.base import Stage
from xlmd.systems.cmlm import CMLM, CMLMSettings


@dataclass
class CMLMLFRSettings(CMLMSettings):
    """Architecture and objective are CMLM's; the defaults are those of the authors' recipe for WMT'14."""

    system: ClassVar[str] = "cmlm_lfr"

    dropout: float = option(0.2, "dropout rate")
    original_until: float = option(2 / 7, "share of training at which the stage of the original pairs ends", 0)
    bidirectional_until: float = option(4 / 7, "share of training at which the stage of both teachers' pairs ends", 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.original_until <= self.bidirectional_until < 1:
            raise UserError(
                f"{self.system}: expected 0 < original_until ≤ bidirectional_until < 1, "
                f"not {self.original_until} and {self.bidirectional_until}"
            )


class CMLMLFR(CMLM):
    """CMLM, trained in three stages."""

    name: ClassVar[str] = "cmlm_lfr"
    printed: ClassVar[str] = "CMLM-LFR"
    further_data: ClassVar[tuple[str, ...]] = ("original", "reverse")
    Settings: ClassVar[type] = CMLMLFRSettings
    settings: CMLMLFRSettings

    def stages(self) -> Sequence[Stage]:
        """The original pairs; those of both teachers; those of the run alone."""
        return (
            Stage(self.settings.original_until, ("original",)),
            Stage(self.settings.bidirectional_until, (OWN, "reverse")),
            Stage(1.0),
        )
