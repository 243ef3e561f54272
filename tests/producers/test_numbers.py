"""The number plan: what is a customer's number, in whatever notation it comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.numbers import NumberPlan, e164

PLAN = NumberPlan(
    country="BE",
    extensions=r"2\d\d",
    dids=("02 555 01 00", "+3225550101"),
    trunk_contexts=("from-trunk",),
    outside_prefix="9",
)


@pytest.mark.parametrize(
    ("raw", "known"),
    [
        ("0470123401", "+32470123401"),
        ("0032470123401", "+32470123401"),
        ("+32 470 12.34-01", "+32470123401"),
        ("32470123401", "+32470123401"),
        ("+442079460000", "+442079460000"),
        ("90470123401", "+32470123401"),  # dialled with the outside prefix
        ("201", ""),
        ("112", ""),
        ("*8201", ""),
        ("<unknown>", ""),
        ("anonymous", ""),
        ("", ""),
        ("s", ""),
        ("٠٤٧٠١٢٣٤٠١", ""),
        ("0470123401" * 5, ""),
    ],
)
def test_any_notation_to_e164(raw: str, known: str) -> None:
    """National, international, with punctuation, with the outside prefix; extensions, words and codes are no number."""
    assert PLAN.e164(raw) == known


def test_an_outside_prefix_of_zero_is_read_by_what_exists() -> None:
    """With `0` for an outside line, 0 0470… was dialled and is Belgian, not Norwegian; 00 49… is German."""
    plan = NumberPlan(country="BE", outside_prefix="0")
    assert plan.dialled("00470123401") == "+32470123401"
    assert plan.e164("00470123401") == "+32470123401"
    assert plan.dialled("0004930123456") == "+4930123456"
    assert plan.e164("0470123401") == "+32470123401"


def test_own_numbers_are_no_customer() -> None:
    """The first outside number wins; the house's own, written in any way, never does."""
    assert PLAN.customer("025550100", "+3225550101", "201", "0470123401", "0470123402") == "+32470123401"
    assert PLAN.customer("025550100", "201", "anonymous") == ""
    assert PLAN.is_did("+3225550100")
    assert PLAN.is_did("025550101")
    assert not PLAN.is_did("025550102")
    assert not NumberPlan().is_did("025550100")


def test_withheld_numbers_are_words() -> None:
    """Carriers write a word in the place of a number, in any case."""
    assert PLAN.is_hidden("anonymous")
    assert PLAN.is_hidden("Restricted")
    assert not PLAN.is_hidden("")
    assert not PLAN.is_hidden("0470123401")


@given(st.text(max_size=60))
def test_any_text_has_an_answer(raw: str) -> None:
    """Numbers come from strangers: every text gives E.164 or nothing, and the answer reads as itself."""
    number = PLAN.e164(raw)
    assert number == "" or (number[0] == "+" and number[1:].isdigit() and len(number) <= 18)
    assert e164(number, "BE") == number
    PLAN.dialled(raw)
    PLAN.customer(raw)
