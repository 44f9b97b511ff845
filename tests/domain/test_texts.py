import pytest

from pipeline.domain.texts import LONGEST, one_line, visible

ACTING = [
    *("\0", "\a", "\b", "\n", "\r", "\t", "\x1b", "\x7f", "\x85", "\x9b"),  # controls, C1's CSI among them
    *("\u202a", "\u202e", "\u2066", "\u2069", "\u200f", "\u061c"),  # turn the direction of writing
    *("\u200b", "\u200d", "\u2060", "\ufeff", "\u00ad", "\U000e0041"),  # cannot be seen
    *("\u2028", "\u2029", "\ud800"),
]


@pytest.mark.parametrize("sign", ACTING)
def test_signs_that_act_are_shown_as_escapes(sign):
    assert visible(f"a{sign}b").isprintable()
    assert visible(f"a{sign}b")[1] == "\\"
    assert one_line(f"a{sign}b") == "a b"


@pytest.mark.parametrize(
    "text",
    ["chair", "Stuhl grün", "椅子\u3000大", "كرسي", "🪑", "👩\u200d🚀", "a\u00a0b", r"C:\x", ""],
)
def test_signs_that_show_themselves_stay(text):
    assert visible(text) == text


def test_a_line_is_bounded():
    assert len(one_line("x" * 10**6)) == LONGEST
