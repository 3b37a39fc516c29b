"""Bag-of-ngrams: the joint model, or another Vanilla-NAT, fine-tuned to write the reference's n-grams.

(Shao et al., 2020, "BoN-Joint + FT"; its authors' code, ictnlp/BoN-NAT.) The cross entropy is left out.
"""

from dataclasses import dataclass
from typing import ClassVar

from xlmd.nat.model import NATForTranslation
from xlmd.options import option
from xlmd.systems.bag_of_ngrams_joint import BagOfNgramsJoint, BagOfNgramsJointSettings


@dataclass
class BagOfNgramsSettings(BagOfNgramsJointSettings):
    """As of the joint model, whose architecture must be the same."""

    system: ClassVar[str] = "bag_of_ngrams"

    start: str | None = option(None, "transformers folder of the trained model to start from; none: random weights")
    cross_entropy_weight: float = option(0.0, "α, weight of the cross entropy; that of the bags is 1 − α", 0)
    early_weight: float = option(0.0, "α at the start of training", 0)


class BagOfNgrams(BagOfNgramsJoint):
    """Fine-tuning with bags of n-grams alone."""

    name: ClassVar[str] = "bag_of_ngrams"
    printed: ClassVar[str] = "Bag-of-ngrams"
    pretrained: ClassVar[dict[str, str]] = BagOfNgramsJoint.pretrained | {"start": BagOfNgramsJoint.name}
    Settings: ClassVar[type] = BagOfNgramsSettings
    settings: BagOfNgramsSettings

    def build(self) -> NATForTranslation:
        """The trained model that the settings name."""
        return super().build() if self.settings.start is None else self.load(self.settings.start)
