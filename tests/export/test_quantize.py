from __future__ import annotations

import re

import pytest

from export.errors import ExportError
from export.formats.quantize import FLOAT_SCOPES, check_scopes, float_scopes, operator_scopes, to_int8
from export.formats.tflite import convert

OUTPUTS = ("landmarks", "uncertainty", "pose", "confidence")


@pytest.fixture(scope="module")
def converted(model):
    return convert(model, OUTPUTS, for_int8=True)


@pytest.mark.slow
def test_every_pattern_finds_its_operators(converted, model):
    patterns = float_scopes(model, OUTPUTS)
    check_scopes(converted, patterns)
    scopes = operator_scopes(converted)
    in_float = [scope for scope in scopes if re.search("|".join(patterns), scope)]
    assert 20 < len(in_float) < 0.3 * len(scopes)


@pytest.mark.slow
@pytest.mark.parametrize("outputs", [OUTPUTS[:2], OUTPUTS], ids=["landmarks", "all but expressions"])
def test_patterns_are_those_of_the_files_outputs(tiny_lite, outputs):
    assert tiny_lite.expression_branch is not None
    check_scopes(convert(tiny_lite, outputs, for_int8=True), float_scopes(tiny_lite, outputs))


@pytest.mark.slow
def test_a_pattern_that_finds_nothing_is_named(converted, noise_crops):
    scopes = (*FLOAT_SCOPES, "Sequential_renamed/")
    with pytest.raises(ExportError, match="matches 'Sequential_renamed/': a module was renamed"):
        to_int8(converted, [(noise_crops(1, seed=0),)], "min-max", scopes)
