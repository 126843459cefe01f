from __future__ import annotations

import re

import pytest

from export.errors import ExportError
from export.formats.quantize import FLOAT_SCOPES, check_scopes, float_scopes, operator_scopes, to_int8
from export.formats.tflite import convert


@pytest.fixture(scope="module")
def converted(model):
    return convert(model, ("landmarks", "uncertainty", "pose", "confidence"), for_int8=True)


@pytest.mark.slow
def test_every_pattern_finds_its_operators(converted, model):
    check_scopes(converted, float_scopes(model))
    scopes = operator_scopes(converted)
    in_float = [scope for scope in scopes if re.search("|".join(FLOAT_SCOPES), scope)]
    assert 20 < len(in_float) < 0.3 * len(scopes)


@pytest.mark.slow
def test_a_pattern_that_finds_nothing_is_named(converted, noise_crops):
    scopes = (*FLOAT_SCOPES, "Sequential_renamed/")
    with pytest.raises(ExportError, match="matches 'Sequential_renamed/': a module was renamed"):
        to_int8(converted, [(noise_crops(1, seed=0),)], "min-max", scopes)
