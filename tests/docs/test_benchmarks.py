"""docs/benchmarks.md has a section for every benchmark and every stored result, and tells no other."""

from benchmarks import page
from benchmarks.__main__ import main
from tests.docs.markdown import read


def test_every_benchmark_has_a_section_that_says_what_it_measures() -> None:
    found = page.benchmarks()
    assert {"admission", "decide", "launch", "ledger", "submit"} <= set(found)
    for name, about in found.items():
        assert about, name
        assert f"\n## {name}\n\n{about.splitlines()[0]}" in read(page.PAGE)


def test_the_page_of_benchmarks_is_current() -> None:
    assert read(page.PAGE) == page.reference(), "run python -m benchmarks.page"


def test_every_stored_result_is_on_the_page() -> None:
    stored = [result.name for result in page.RESULTS.glob("*.json")]
    assert stored
    assert [name for name in stored if f"`results/{name}`" not in read(page.PAGE)] == []


def test_a_benchmark_that_is_none_is_refused_before_anything_runs() -> None:
    assert main(["no-such-benchmark"]) == 2
