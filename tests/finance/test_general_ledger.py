"""Journal lines for a general ledger: balanced whatever happened, and what was not recovered is a line."""

from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.money import Currency, Micro
from scheduler.domain.periods import period_named
from scheduler.finance.general_ledger import GlAccounts, GlLine, Recharge, gl_journal

OCTOBER = period_named("2026-10", "UTC")
EUR = Currency("EUR")
AMOUNTS = st.dictionaries(st.sampled_from(["research", "apps", ""]), st.integers(-(10**12), 10**12))


def test_a_team_s_use_is_its_expense_and_the_platform_s_recovery() -> None:
    made = gl_journal(OCTOBER, EUR, Recharge({"research": 5_000_000}, {"research": -1_000_000}), {}, GlAccounts())
    text = "compute of research, 2026-10"
    assert made.lines == (
        GlLine("recharge", "compute-expense", "research", Micro(5_000_000), Micro(0), text),
        GlLine("recharge", "compute-recovery", "platform", Micro(0), Micro(5_000_000), text),
        GlLine("given back and corrected", "compute-recovery", "platform", Micro(1_000_000), Micro(0), text),
        GlLine("given back and corrected", "compute-expense", "research", Micro(0), Micro(1_000_000), text),
    )
    assert made.recovered_micro == 4_000_000


def test_a_team_that_is_called_platform_has_a_cost_centre_of_its_own() -> None:
    recharge = Recharge({"platform": 5_000_000, "": 3_000_000}, {"platform": -1_000_000})
    made = gl_journal(OCTOBER, EUR, recharge, {"electricity": Micro(2_000_000)}, GlAccounts())
    spent: dict[str, int] = {}
    for line in made.lines:
        spent[line.cost_centre] = spent.get(line.cost_centre, 0) + line.debit_micro - line.credit_micro
    assert spent == {"team:platform": 4_000_000, "platform": -4_000_000}
    assert made.lines[2] == GlLine(
        "recharge",
        "compute-expense",
        "team:platform",
        Micro(5_000_000),
        Micro(0),
        "compute of team:platform, 2026-10",
    )


def test_what_it_cost_and_nobody_paid_is_told() -> None:
    actual = {"electricity": Micro(2_000_000), "depreciation": Micro(9_000_000)}
    made = gl_journal(OCTOBER, EUR, Recharge({"research": 5_000_000}), actual, GlAccounts())
    assert (made.actual_micro, made.unrecovered_micro) == (11_000_000, 6_000_000)
    spent = [line for line in made.lines if line.entry == "actual cost"]
    assert [(line.account, line.debit_micro, line.credit_micro) for line in spent] == [
        ("electricity", 2_000_000, 0),
        ("accrued-cost", 0, 2_000_000),
        ("depreciation", 9_000_000, 0),
        ("accrued-cost", 0, 9_000_000),
    ]


@given(charged=AMOUNTS, corrected=AMOUNTS, electricity=st.integers(0, 10**12))
def test_debits_equal_credits_and_none_is_below_zero(
    charged: dict[str, int], corrected: dict[str, int], electricity: int
) -> None:
    made = gl_journal(OCTOBER, EUR, Recharge(charged, corrected), {"electricity": Micro(electricity)}, GlAccounts())
    assert sum(line.debit_micro for line in made.lines) == sum(line.credit_micro for line in made.lines)
    assert all(line.debit_micro >= 0 and line.credit_micro >= 0 for line in made.lines)
    assert all((line.debit_micro == 0) != (line.credit_micro == 0) for line in made.lines)
