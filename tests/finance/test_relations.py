"""The canonical form of rows: one for each row, reproducible by hand, whatever an intruder put into a column."""

from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.finance.proving.relations import ENTRIES, TRANSACTIONS, canonical_rows, digests_of, leaf_hashes

ANY_VALUE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.decimals(),
    st.lists(st.integers()),
)


def test_a_row_is_its_table_and_its_values_as_json_a_line_each() -> None:
    assert canonical_rows(TRANSACTIONS, [(7, "ü\n", None, 0, None, None)]) == [
        '"transactions"\n7\n"ü\\n"\nnull\n0'.encode()
    ]
    assert leaf_hashes(ENTRIES, [(1, 1, 2, 0, -5, 0)]) == sha256(b'\x00"entries"\n1\n1\n2\n0\n-5\n0').digest()


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, "1"), (1, 1.0), (1, True), (None, "null"), (b"a", "a"), (b"a", '{"bytes":"61"}'), (Decimal(1), 1), ([1], 1)],
)
def test_values_of_two_types_have_two_forms(one: Any, other: Any) -> None:
    first, second = digests_of(ENTRIES, [(1, one, 0), (1, other, 0)])
    assert first != second


@given(st.lists(st.lists(ANY_VALUE, min_size=1, max_size=4), max_size=5))
def test_many_rows_together_have_the_forms_that_each_has_alone(rows: list[list[Any]]) -> None:
    together = canonical_rows(ENTRIES, rows)
    assert together == [canonical_rows(ENTRIES, [row])[0] for row in rows]


def test_lists_beside_one_another_do_not_look_like_rows() -> None:
    """Between two lists of a row stands what otherwise stands between two rows."""
    assert canonical_rows(ENTRIES, [(1, [2], [3]), (4, [5], [6])]) == [
        b'"entries"\n1\n[2]\n[3]',
        b'"entries"\n4\n[5]\n[6]',
    ]


def test_text_that_is_not_utf8_keeps_its_bytes() -> None:
    text = b"a\xff".decode("utf-8", "surrogateescape")
    assert canonical_rows(ENTRIES, [(1, text)]) == [b'"entries"\n1\n"a\xff"']


def test_a_nullable_column_that_is_added_later_changes_no_row_of_before() -> None:
    before, after, other = digests_of(ENTRIES, [(1, None), (1, None, None), (1, None, 0)])
    assert before == after != other
