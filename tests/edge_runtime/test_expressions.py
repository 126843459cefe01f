from edge_runtime.expressions import EXPRESSION_MIRROR, EXPRESSIONS


def test_there_are_52_distinct_names_in_the_published_order():
    assert len(set(EXPRESSIONS)) == len(EXPRESSIONS) == 52
    assert EXPRESSIONS[:8:7] == ("eyeBlinkLeft", "eyeBlinkRight")
    assert EXPRESSIONS[14:19] == ("jawForward", "jawLeft", "jawRight", "jawOpen", "mouthClose")
    assert EXPRESSIONS[41:] == (
        *("browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
        *("cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut"),
    )


def test_a_mirror_image_swaps_the_sides():
    mirrored = dict(zip(EXPRESSIONS, (EXPRESSIONS[i] for i in EXPRESSION_MIRROR), strict=True))
    assert mirrored["eyeBlinkLeft"] == "eyeBlinkRight"
    assert mirrored["jawRight"] == "jawLeft"
    assert mirrored["jawOpen"] == "jawOpen"
    assert all(mirrored[mirrored[name]] == name for name in EXPRESSIONS)
