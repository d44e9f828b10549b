"""Tokens as rows of FOCUS: one for each charge, its quantity in millions and exact; no attempt or GPU stands behind it."""

from scheduler.domain.money import decimal_text
from scheduler.finance.focus.columns import COST_PLACES, QUANTITY_PLACES, json_text
from scheduler.finance.prices.postings import Posting
from scheduler.finance.prices.price_book import UnitPrice
from scheduler.finance.prices.rating import MILLION
from scheduler.ledger.token_holds import TokenHold

MILLION_TOKENS, TOKENS = f"{MILLION} Tokens", "Tokens"
"""A unit with a quantity in front of it, by FOCUS's format of units."""

SERVICE = {
    "ServiceCategory": "AI and Machine Learning",
    "ServiceSubcategory": "Generative AI",
    "ServiceName": "Tokens of models",
}


def nano_millions(tokens: int) -> int:
    """Millions of tokens in 10⁻⁹: exact."""
    return tokens * 10**QUANTITY_PLACES // MILLION


def token_cells(posting: Posting, price: UnitPrice, since: str) -> dict[str, str]:
    """The quantity, price and costs of tokens that were drawn; `since` is the first day of the rate."""
    assert posting.model is not None, "only tokens have a rate of tokens"
    nano = nano_millions(posting.amount)
    effective = decimal_text(nano * price.effective, COST_PLACES)
    sku = f"tokens/{posting.model}"
    return {
        **SERVICE,
        "BilledCost": effective,
        "EffectiveCost": effective,
        "ContractedCost": decimal_text(nano * price.contracted, COST_PLACES),
        "ListCost": decimal_text(nano * price.list, COST_PLACES),
        "ListUnitPrice": decimal_text(price.list),
        "ContractedUnitPrice": decimal_text(price.contracted),
        "x_EffectiveUnitPrice": decimal_text(price.effective),
        "PricingQuantity": decimal_text(nano, QUANTITY_PLACES),
        "PricingUnit": MILLION_TOKENS,
        "PricingCategory": "Standard",
        "ConsumedQuantity": str(posting.amount),
        "ConsumedUnit": TOKENS,
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "ChargeDescription": f"Tokens of {posting.model}, {posting.hold_id}",
        "SkuId": sku,
        "SkuMeter": TOKENS,
        "SkuPriceId": f"{sku}/{since}",
        "SkuPriceDetails": json_text({"x_Model": posting.model, "x_Since": since}),
        "x_DrawnAmount": str(posting.amount),
        "x_GpuMs": "0",
        "x_StandardGpuMs": "0",
        "x_Model": posting.model,
    }


def tags_of(hold: TokenHold) -> dict[str, str]:
    return {"kind": "tokens", "project": hold.project or "personal", **({"team": hold.team} if hold.team else {})}
