"""Every refusal code is documented, and its page is current."""

from pathlib import Path

from scheduler.domain.errors import RefusalCode
from scheduler.entrypoints.api.codes import CODES, reference

ROOT = Path(__file__).parents[3]


def test_every_code_has_a_status_a_title_a_meaning_and_a_remedy() -> None:
    assert set(CODES) == set(RefusalCode)
    for code, text in CODES.items():
        assert 400 <= text.status < 600, code
        assert text.title, code
        assert text.meaning.endswith("."), code
        assert text.remedy.endswith("."), code


def test_the_page_of_errors_is_written_from_the_table() -> None:
    assert (ROOT / "docs" / "errors.md").read_text() == reference(), "run python -m scheduler.entrypoints.api.codes"
