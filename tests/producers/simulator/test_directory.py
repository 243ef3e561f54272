import random

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.simulator.directory import LIMIT, directory, holders, number, stranger, to_jsonl
from producers.simulator.roster import COUNTRY


def test_same_seed_same_customers() -> None:
    """Whoever asks again with the same seed gets the same contacts, to the byte."""
    assert to_jsonl(directory(7, 200)) == to_jsonl(directory(7, 200))
    assert to_jsonl(directory(7, 200)) != to_jsonl(directory(8, 200))


def test_typed_numbers_mean_the_same_number() -> None:
    """However a person typed a number, a telephone library reads the E.164 number beside it, and it is a valid one."""
    for customer in directory(3, 2000):
        for typed, e164 in zip(customer.numbers, customer.e164, strict=True):
            parsed = phonenumbers.parse(typed, COUNTRY)
            assert phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) == e164
            assert phonenumbers.is_valid_number(parsed)


def test_some_numbers_are_shared_by_two_and_none_by_more() -> None:
    """An ambiguous number has exactly two holders; most numbers have one."""
    counts = [len(found) for found in holders(directory(1, 1000)).values()]
    assert set(counts) == {1, 2}
    assert counts.count(1) > 5 * counts.count(2) > 0


def test_no_customer_holds_the_number_of_another_place() -> None:
    """Every place of the directory has a number of its own, up to the limit."""
    assert len({number(i) for i in range(2 * LIMIT)}) == 2 * LIMIT


@given(st.randoms(use_true_random=False))
def test_a_stranger_is_in_no_directory(rng: object) -> None:
    """Strangers come from a range that the directory never uses."""
    assert isinstance(rng, random.Random)
    assert stranger(rng) not in holders(directory(1, 500))


def test_more_customers_than_numbers_is_refused() -> None:
    """Beyond the fictional ranges the answer is an error that says how many there can be."""
    with pytest.raises(ValueError, match=str(LIMIT)):
        directory(1, LIMIT + 1)
