"""Cursors come back as they went out, and anything else is refused with a code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.entrypoints.api.cursors import seal, unseal, unseal_number


@given(st.text(min_size=1, max_size=60).filter(lambda text: text.isprintable()))
def test_a_position_survives_the_round_trip(position: str) -> None:
    assert unseal(seal(position)) == position


def test_no_cursor_is_no_position() -> None:
    assert seal(None) is None
    assert unseal(None) is None
    assert unseal_number(None) is None


@pytest.mark.parametrize("cursor", ["", "!", "é", "AAAA", "MTo", "=" * 10, "A" * 5000, "Mjpvb3Bz"])
def test_what_we_did_not_make_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        unseal(cursor)
    assert caught.value.code is RefusalCode.INVALID_CURSOR


def test_a_number_comes_back_as_a_number() -> None:
    assert unseal_number(seal("17")) == 17


@pytest.mark.parametrize("position", ["w-1", "-1", "1.0", "9" * 19, "٣"])
def test_a_cursor_of_another_list_is_refused(position: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        unseal_number(seal(position))
    assert caught.value.code is RefusalCode.INVALID_CURSOR
