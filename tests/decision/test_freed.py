"""What a set of attempts would free is the same, whether it was kept up to date or is counted anew."""

from scheduler.decision.placing.fit_table import FitTable
from scheduler.decision.placing.freed import Freed
from scheduler.domain.workloads import Attempt
from tests.decision.builders import attempt, node


def _table(*names: str) -> FitTable:
    table = FitTable()
    table.replace_nodes([node(name) for name in names], {})
    return table


def _gpus(freed: Freed, attempts: list[Attempt], table: FitTable) -> list[int]:
    gpus: list[int] = freed.of({each.id: each for each in attempts}, table)[0].tolist()
    return gpus


def test_what_comes_and_goes_changes_the_nodes_it_is_on() -> None:
    freed, table = Freed(), _table("a", "b")
    first, second = attempt("w1", {"a": 1, "b": 2}, gpus=2), attempt("w2", "b", gpus=1)
    freed.change(first, 1)
    assert _gpus(freed, [first], table) == [2, 4]
    freed.change(second, 1)
    assert _gpus(freed, [first, second], table) == [2, 5]
    freed.change(first, -1)
    assert _gpus(freed, [second], table) == [0, 1]


def test_nodes_that_are_laid_out_anew_are_counted_anew() -> None:
    freed, here = Freed(), attempt("w1", {"a": 1, "c": 1}, gpus=4)
    assert _gpus(freed, [here], _table("a", "b")) == [4, 0]
    assert _gpus(freed, [here], _table("b", "c")) == [0, 4]


def test_more_changes_than_are_worth_keeping_lead_to_the_same_sum() -> None:
    freed, table = Freed(), _table("a")
    stays, passes = attempt("w1", "a", gpus=3), attempt("w2", "a", gpus=1)
    assert _gpus(freed, [stays], table) == [3]
    for _ in range(600):
        freed.change(passes, 1)
        freed.change(passes, -1)
    freed.change(passes, 1)
    assert _gpus(freed, [stays, passes], table) == [4]


def test_what_ran_on_nodes_that_are_gone_frees_nothing() -> None:
    freed, table = Freed(), _table("a")
    lost = attempt("w1", "gone", gpus=3)
    assert _gpus(freed, [lost], table) == [0]
    freed.change(lost, -1)
    assert _gpus(freed, [], table) == [0]
