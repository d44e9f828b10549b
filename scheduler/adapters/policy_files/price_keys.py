"""Every key of a price file: its kind, its default and its meaning. The documentation's tables are made from this."""

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from scheduler.adapters.policy_files.document import Node, Scalar, found
from scheduler.adapters.policy_files.kinds import Choice, Kind, ListOf, Name, Reading, Text, Whole
from scheduler.adapters.policy_files.sections import Field, Section
from scheduler.domain.money import micro_of


@dataclass(frozen=True, slots=True)
class Money(Kind[int]):
    """An amount as people write it, kept in micro-units. 1e3, 1_000, "2.50" and -1 are none."""

    @property
    def expected(self) -> str:
        return "an amount of at least 0 with at most six decimals, such as 2.50"

    def read(self, node: Node, path: str, reading: Reading) -> int | None:
        if isinstance(node, Scalar) and node.is_plain:
            value = micro_of(node.text)
            if value is not None:
                return value
        reading.refuse(node.mark, path, found(node), self.expected)
        return None


@dataclass(frozen=True, slots=True)
class Day(Kind[date]):
    """A day, from its midnight on the book's wall clock."""

    @property
    def expected(self) -> str:
        return "a day such as 2026-10-01"

    def read(self, node: Node, path: str, reading: Reading) -> date | None:
        if isinstance(node, Scalar) and node.is_plain and re.fullmatch(r"\d{4}-\d{2}-\d{2}", node.text):
            try:
                return date.fromisoformat(node.text)
            except ValueError:
                pass  # 2026-02-30 is refused below, like everything else that is no day
        reading.refuse(node.mark, path, found(node), self.expected)
        return None


class Weekday(StrEnum):
    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


_LABEL = Text("a name of up to 255 characters", length_max=255)
_MONEY_A_GPU_HOUR = Money()

LIST = Field("list", _MONEY_A_GPU_HOUR, "the public price of a GPU-hour", is_required=True)
CONTRACTED = Field("contracted", _MONEY_A_GPU_HOUR, "the agreed price", absent="`list`")
EFFECTIVE = Field("effective", _MONEY_A_GPU_HOUR, "what is charged", absent="`contracted`")
UNIT_PRICE = Section("rates[].off_peak", "Prices at the hours of `off_peak`.", (LIST, CONTRACTED, EFFECTIVE))

FROM = Field("from", Day(), "the first day on which it holds", is_required=True)
UNTIL = Field("until", Day(), "the first day on which it holds no more", absent="the `from` of the next, or for ever")
RATE_CLASS = Field("gpu_class", Name(), "the GPU class of the policy", is_required=True)
RATE_POOL = Field("pool", Name(), "the pool of the policy", absent="every pool without a rate of its own")
RATE_OFF_PEAK = Field("off_peak", UNIT_PRICE, "other prices at off-peak hours", absent="the same at all hours")
RATE = Section(
    "rates[]",
    "What a GPU-hour of a class costs. The rates of a class and pool leave no gap and do not overlap.",
    (RATE_CLASS, RATE_POOL, FROM, UNTIL, LIST, CONTRACTED, EFFECTIVE, RATE_OFF_PEAK),
)

TOKEN_LIST = Field("list", Money(), "the public price of a million tokens", is_required=True)
TOKEN_MODEL = Field(
    "model",
    Text("a model's name of up to 120 characters", length_max=120),
    "the model, as a gateway names it",
    absent="every model without a rate of its own",
)
TOKEN_RATE = Section(
    "tokens[]",
    "What a million tokens of a model cost. The rates of a model leave no gap and do not overlap.",
    (TOKEN_MODEL, FROM, UNTIL, TOKEN_LIST, CONTRACTED, EFFECTIVE),
)

HOURS = Field("hours", ListOf(Whole(0, 23)), "hours of the wall clock; 22 is 22:00 to 23:00", default=())
DAYS = Field("days", ListOf(Choice(Weekday)), "whole days", default=())
OFF_PEAK = Section("off_peak", "When off-peak prices hold: at these hours, and on these days.", (HOURS, DAYS))

PUE = Field("pue_per_mille", Whole(1000, 5000, "per mille"), "watts of the building per watt of a GPU", default=1000)
PER_KWH = Field("per_kwh", Money(), "what a kilowatt-hour costs", absent="`by_hour`")
BY_HOUR = Field("by_hour", ListOf(Money(), 24, 24, is_distinct=False), "the same, hour by hour", absent="`per_kwh`")
TARIFF = Section(
    "electricity[]",
    "What electricity costs: measured energy × PUE × the tariff.",
    (FROM, UNTIL, PUE, PER_KWH, BY_HOUR),
)

HARDWARE_CLASS = Field("gpu_class", Name(), "the GPU class of the policy", is_required=True)
COST_PER_GPU = Field("cost_per_gpu", Money(), "one GPU with its share of node and network", is_required=True)
LIFE = Field("life_months", Whole(1, 240, "months of 730 hours"), "written off in a straight line", is_required=True)
HARDWARE = Section(
    "hardware[]", "What the hardware costs an hour, used or not.", (HARDWARE_CLASS, FROM, UNTIL, COST_PER_GPU, LIFE)
)

ACCOUNT_ID = Field("account_id", _LABEL, "BillingAccountId of exports", is_required=True)
ACCOUNT_NAME = Field("account_name", _LABEL, "BillingAccountName", is_required=True)
SERVICE_PROVIDER = Field(
    "service_provider",
    _LABEL,
    "who serves; readers of FOCUS take charges for a third party's where `invoice_issuer` is another",
    absent="`account_name`",
)
HOST_PROVIDER = Field("host_provider", _LABEL, "who hosts", absent="`account_name`")
INVOICE_ISSUER = Field("invoice_issuer", _LABEL, "who charges", absent="`account_name`")
BILLING = Section(
    "billing",
    "Who is billed and by whom, as exports name them.",
    (ACCOUNT_ID, ACCOUNT_NAME, SERVICE_PROVIDER, HOST_PROVIDER, INVOICE_ISSUER),
)

TIME_ZONE = Field(
    "time_zone",
    Text("a time zone such as Europe/Berlin", r"[A-Za-z0-9+_/-]+"),
    "of the days and hours in the file",
    default="UTC",
)
VERSION = Field("version", Whole(1, 1), "the version of this format", is_required=True)
CURRENCY = Field(
    "currency",
    Text("the ISO 4217 code of a currency, such as EUR", length_max=16),
    "of all amounts",
    is_required=True,
)
WHO = Field("billing", BILLING, "names for exports", is_required=True)
WHEN = Field("off_peak", OFF_PEAK, "when off-peak prices hold", absent="never")
RATES = Field("rates", ListOf(RATE, is_distinct=False), "the prices", is_required=True)
TOKENS = Field(
    "tokens", ListOf(TOKEN_RATE, low=0, is_distinct=False), "the prices of tokens", absent="tokens cost nothing"
)
TARIFFS = Field("electricity", ListOf(TARIFF, low=0, is_distinct=False), "the tariffs", default=())
HARDWARES = Field("hardware", ListOf(HARDWARE, low=0, is_distinct=False), "the hardware", default=())
PRICES = Section(
    "the file", "A price book.", (VERSION, CURRENCY, TIME_ZONE, WHO, WHEN, RATES, TOKENS, TARIFFS, HARDWARES)
)

SECTIONS: tuple[Section, ...] = (PRICES, BILLING, OFF_PEAK, RATE, UNIT_PRICE, TOKEN_RATE, TARIFF, HARDWARE)
