"""Codes of our own: unlike each other, and typos are told."""

from plugins.coupons.codes import ALPHABET, LENGTH, make_codes, mistyped, normal


def test_codes_are_sound_and_unlike():
    codes = make_codes(5000)
    assert len(set(codes)) == 5000
    assert {len(code) for code in codes} == {LENGTH}
    assert not any(map(mistyped, codes))
    used = [sum(code[place] == symbol for code in codes) for place in range(LENGTH)
            for symbol in ALPHABET]  # fmt: skip
    assert min(used) > 90
    assert max(used) < 240


def test_every_single_typo_and_transposition_is_told():
    (code,) = make_codes(1)
    for place in range(LENGTH):
        for symbol in ALPHABET:
            if symbol != code[place]:
                assert mistyped(code[:place] + symbol + code[place + 1 :])
        for other in range(place):
            if code[place] != code[other]:
                changed = list(code)
                changed[place], changed[other] = code[other], code[place]
                assert mistyped("".join(changed))


def test_reading_a_code_forgives_how_it_is_written():
    assert normal(" ａｂ-c 2\n") == "ABC2"
    assert not mistyped("SAVE10")
    assert not mistyped("O" * LENGTH)
