import pytest

from core.domain.customers.opt_out import is_opt_out


@pytest.mark.parametrize(
    "text",
    ["T", "t", "ｔ", " td ", "TD。", "Ｒ", "n", "退订", "退订！", "【退订】", "STOP", "Stop.",
     "stop\n", "quit", "END", "revoke", "opt out", "OPT-OUT", "Opt  Out", "cancel", "unsubscribe!"],
)  # fmt: skip
def test_words_that_end_it(text):
    assert is_opt_out(text)


@pytest.mark.parametrize(
    "text",
    ["", " ", "...", "T恤", "不退订", "please stop", "stop it", "TT", "no", "R2", "optout", "тд"],
)
def test_other_answers_do_not(text):
    assert not is_opt_out(text)


def test_words_can_be_chosen():
    assert is_opt_out("ＱＸ ", ["qx"])
    assert not is_opt_out("stop", ["qx"])
    assert not is_opt_out("?", ["!"])
