"""The price book in force, read from the books as it was applied: what was closed under earlier ones keeps theirs."""

from scheduler.adapters.policy_files.prices import read_prices
from scheduler.finance.prices.price_book import PriceBook, in_force
from scheduler.finance.reconciling.closing import ClosingState, standing
from scheduler.ports import Books

_ALL = 100_000


def stored_price_book(books: Books) -> PriceBook | None:
    """None where none was ever applied."""
    applied = [(v.applied_at, read_prices(v.text, v.name)) for v in reversed(books.prices.versions(limit=_ALL))]
    steps = standing(books.periods.steps()).values()
    closings = [(step.at, step.starts_at, step.ends_at) for step in steps if step.state is ClosingState.CLOSED]
    return in_force(applied, closings)
