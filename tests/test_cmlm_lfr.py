"""CMLM-LFR: CMLM, whose training pairs change twice."""

import pytest
from nat_models import small

from xlmd.errors import UserError
from xlmd.experiment.names import OWN
from xlmd.systems.cmlm_lfr import CMLMLFR, CMLMLFRSettings


def test_the_stages_are_the_corpus_both_teachers_and_the_teacher_alone():
    stages = small(CMLMLFR).stages()
    assert [stage.data for stage in stages] == [("original",), (OWN, "reverse"), (OWN,)]
    assert [stage.until * 70 for stage in stages] == pytest.approx([20, 40, 70])
    assert {kind for stage in stages for kind in stage.data} == {OWN, *CMLMLFR.further_data}


@pytest.mark.parametrize("settings", [{"original_until": 0.0}, {"original_until": 0.8}, {"bidirectional_until": 1.0}])
def test_stages_in_another_order_are_refused(settings):
    with pytest.raises(UserError, match="original_until"):
        CMLMLFRSettings(**settings)


def test_tables_print_it_as_cmlm_lfr_and_its_model_is_cmlms():
    system = small(CMLMLFR)
    described = system.describe(system.build())
    assert (described["system"], described["label"], described["size"]) == ("cmlm_lfr", "CMLM-LFR", "2+2 layers")
    assert system.iterations_label(system.Decoding(iterations=10)) == "10"
    assert CMLMLFR.loss is CMLMLFR.__mro__[1].loss and CMLMLFR.decode is CMLMLFR.__mro__[1].decode
