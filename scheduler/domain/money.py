"""Money: integer micro-units of a named currency. Text in, integers kept, text out; nothing is rounded in between."""

import re
from typing import Final, NewType

Currency = NewType("Currency", str)
"""An ISO 4217 code of a national currency."""

Micro = NewType("Micro", int)
"""Millionths of a currency's unit."""

MICRO_PER_UNIT: Final = 1_000_000
_PLACES: Final = 6

_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,11})(\.([0-9]{1,6}))?")

_CODES: Final = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF
CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL
HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD
MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG
QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD
TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""

CURRENCIES: Final = frozenset(_CODES.split())
"""The national currencies of ISO 4217; funds, metals and test codes are none."""


def micro_of(text: str) -> Micro | None:
    """`2.50` as 2,500,000; None for what is no amount of at least zero with at most six decimals."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        return None
    whole, _, decimals = match.groups()
    return Micro(int(whole) * MICRO_PER_UNIT + int((decimals or "").ljust(_PLACES, "0")))


def decimal_text(value: int, places: int = _PLACES, *, least: int = 0) -> str:
    """An integer of `10 ** -places` parts in plain notation, exact: without trailing zeros beyond `least` decimals."""
    digits = str(abs(value)).rjust(places + 1, "0")
    whole, decimals = digits[: len(digits) - places], digits[len(digits) - places :]
    decimals = decimals.rstrip("0").ljust(least, "0")
    sign = "-" if value < 0 else ""
    return f"{sign}{whole}.{decimals}" if decimals else f"{sign}{whole}"
