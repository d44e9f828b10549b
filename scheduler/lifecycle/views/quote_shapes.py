"""The values of a quote. Instants are UTC milliseconds, hours are in integer standard GPU-milliseconds."""

from dataclasses import dataclass

from scheduler.domain.reasons import Reason
from scheduler.domain.units import Instant


@dataclass(frozen=True, slots=True)
class SoonerView:
    """A change that would let it start sooner: what to ask for instead, from when, and what that costs."""

    change: str
    starts_now: bool
    starts_from: Instant | None
    starts_until: Instant | None
    asked: int
    cost_micro: int | None


@dataclass(frozen=True, slots=True)
class ClassView:
    """A GPU class on which it may be the first to find room: between when, and what its whole time limit costs there."""

    gpu_class: str
    starts_from: Instant | None
    starts_until: Instant | None
    asked: int
    cost_micro: int | None


@dataclass(frozen=True, slots=True)
class PayerView:
    """An allowance that would be held from: `quantity` in its unit's smallest part, `shown` as people read it.

    `name` says which it is and whose, `allowance_id` is for programs. `terms` says for how much in standard time pay
    pays at the terms of its grant; empty of all else.
    """

    allowance_id: str
    name: str
    source: str
    unit: str
    quantity: int
    shown: str
    terms: str = ""


@dataclass(frozen=True, slots=True)
class QuoteView:
    """What would become of a workload, or of an array. `starts_from` … `starts_until` is a band and no promise: None where
    nothing that is known lets it start; of an array, for its first index. It starts on whichever of its GPU classes has
    room first: `classes` are those that may be it (all, where no room is known), in the order asked, each at its price;
    what else is said is said of `gpu_class`, the one that has room by the end of the band.

    `asked` is what its whole time limit is charged, that of all `indexes` together. `held` is what is held when it starts,
    by each index of its own, of which `at_once` may run together (None: any number): of elastic work for the `held_pods`
    that can be paid for (None of any other), and nothing where it starts unfunded.
    `available` is what the allowances that may pay have together, other units at what they buy, and `overdraft` how much of
    that policy lets them go below zero; `payers` are those that would be held from, nobody where it would not be paid.
    Inside the booking `booking_id` it costs nothing: that is charged for its GPUs.

    `warning` says that it would start beyond a soft limit of a spend guard; empty where it would not, or has to wait.
    `confirmation` says what its owner would be asked to confirm when they submit it; empty where nothing.
    `cost_micro` is what is asked in `currency`, at the prices from its start on, by the dearest instant of the band;
    None where some of that time has no price. `usual_per_mille` is the share of time limits that the earlier end of the
    band assumes.
    """

    starts_now: bool
    reason: Reason
    sentence: str
    next_step: str
    gpu_class: str
    starts_from: Instant | None
    starts_until: Instant | None
    victims: int
    asked: int
    held: int
    available: int
    overdraft: int
    cost_micro: int | None
    currency: str
    usual_per_mille: int
    sooner: tuple[SoonerView, ...]
    classes: tuple[ClassView, ...]
    payers: tuple[PayerView, ...] = ()
    warning: str = ""
    confirmation: str = ""
    indexes: int = 1
    at_once: int | None = None
    held_pods: int | None = None
    booking_id: str = ""
