"""Work of a replay that allowances in hours of a class and in money pay for, as the service has it (ADR 24)."""

from scheduler.domain.quantities import TOKENS, class_unit, money_unit
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR
from scheduler.ledger.journal import AccountKind
from scheduler.simulation.replay.report import report
from scheduler.simulation.replay.submissions import Stream
from tests.simulation.replay.build import GPU, POLICY, START, asks, replayed

EUR = money_unit("EUR")
HOURS = class_unit(GPU)


def granting(beside: str, hours: int = 4, weight: int = 500) -> str:
    return POLICY.replace("allowance_gpu_hours: 1000", f"allowance_gpu_hours: {hours}, allowances: {beside}").replace(
        "weight_per_mille: 1000", f"weight_per_mille: {weight}"
    )


PRICES = """
version: 1
currency: EUR
time_zone: UTC
billing: {account_id: a, account_name: A, service_provider: P}
off_peak: {hours: [2, 3]}
rates:
  - {gpu_class: gpu, from: 2026-01-01, list: 3.00, off_peak: {list: 1.50}}
"""


def test_hours_of_a_class_pay_for_what_standard_hours_do_not() -> None:
    # Of urgent work an hour is two, standard or of its class: four pay for two, and eight for the other four.
    urgent = asks(0, 6, limit_hours=6, priority_class="urgent")
    outcome = replayed([urgent], granting("{gpu/gpu: {amount: 10}}", weight=1000))

    assert outcome.works[0].outcome is Reason.COMPLETED
    assert outcome.books.totals[AccountKind.CHARGED] == 4 * MS_PER_HOUR
    assert outcome.books.totals_in[HOURS][AccountKind.CHARGED] == 8 * MS_PER_HOUR
    assert not any(sum(totals.values()) for totals in outcome.books.totals_in.values())


def test_money_is_held_at_the_highest_price_and_charged_at_the_one_in_force() -> None:
    # Four hours from midnight: two at 3.00, two at 1.50. Held for five at 3.00 of fifteen.
    work, another = asks(0, 4, limit_hours=5), asks(0.5, 1, limit_hours=1)
    outcome = replayed([work, another], granting("{EUR: {amount: 15}}", hours=0), prices=PRICES)

    first, second = outcome.works
    assert first.outcome is Reason.COMPLETED
    assert outcome.books.totals_in[EUR][AccountKind.CHARGED] == 12_000_000
    # The other found nothing left while the first was held for, and ran on what came back.
    assert second.first_launch_at == START + 4 * MS_PER_HOUR


def test_a_rolling_hold_is_renewed_in_money_until_there_is_none() -> None:
    text = granting("{EUR: {amount: 3}}", hours=0)
    outcome = replayed([asks(5, 3, priority_class="rolling", limit_hours=3)], text, prices=PRICES)

    # An hour at 3.00; what it has done by then is lost with it, and a week later the next grant comes.
    (work,) = outcome.works
    assert work.ends[0] is Reason.ALLOWANCE_EXHAUSTED
    assert outcome.measures.exhausted >= 1
    assert outcome.books.totals_in[EUR][AccountKind.CHARGED] >= 3_000_000


def test_money_without_a_price_book_is_not_granted() -> None:
    outcome = replayed([asks(0, 1, limit_hours=2)], granting("{EUR: {amount: 15}}", hours=1, weight=1000))

    assert EUR not in outcome.books.totals_in
    assert outcome.works == [] or outcome.works[0].first_launch_at is None


def test_tokens_are_granted_and_pay_for_no_gpu() -> None:
    outcome = replayed([asks(0, 1, limit_hours=2)], granting("{tokens: {amount: 100}}", hours=1, weight=1000))

    assert outcome.works[0].first_launch_at is None
    assert outcome.books.totals_in[TOKENS][AccountKind.ISSUED] < 0


def test_the_report_tells_of_every_unit_what_was_granted_and_charged() -> None:
    submissions = [asks(0, 12, limit_hours=12)]
    outcome = replayed(submissions, granting("{gpu/gpu: {amount: 10}}", weight=1000))

    cost = report(Stream({}, [], submissions), [outcome])["policies"][0]["cost"]

    # Two people, one period.
    assert cost["in_units"] == {"gpu/gpu": {"granted": 20.0, "charged": 8.0, "refunded": 0.0, "expired": 0.0}}
