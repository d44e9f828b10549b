"""`allot simulate replay`: policies over one stream of work in virtual time, and what each would have made of it."""

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

from scheduler.adapters.policy_files import read_bytes, read_prices
from scheduler.domain.cluster import Node
from scheduler.domain.errors import InvalidInput
from scheduler.domain.money import CURRENCIES, micro_of
from scheduler.domain.policy import Policy
from scheduler.domain.units import Instant
from scheduler.entrypoints.cli.bad_rows import BadRows, SkipBad, print_bad_rows
from scheduler.entrypoints.cli.durations import parse_duration
from scheduler.entrypoints.cli.output import WHOLE_MAX, AsJson, err, print_json
from scheduler.entrypoints.cli.replay_shown import print_report
from scheduler.entrypoints.cli.replay_sources import (
    Files,
    Synthetic,
    read_names,
    read_nodes_of,
    read_policies,
    read_stream,
)
from scheduler.entrypoints.replay_page.page import page
from scheduler.finance.prices.price_book import PriceBook
from scheduler.simulation.replay.adopting import Names
from scheduler.simulation.replay.cluster import under
from scheduler.simulation.replay.collecting import collecting_seldom
from scheduler.simulation.replay.engine import Outcome, Replay, Tempo
from scheduler.simulation.replay.measures import Window
from scheduler.simulation.replay.report import report
from scheduler.simulation.replay.submissions import Stream
from scheduler.simulation.replay.synthetic import STARTS_AT

_Policy = Annotated[
    list[Path],
    typer.Option(exists=True, readable=True, show_default=False, help="A policy file, or a folder of them; repeat."),
]
_Nodes = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        show_default="as large as the first policy's quotas",
        help="The cluster: YAML groups of nodes, or openb's CSV.",
    ),
]
_Pods = Annotated[
    list[Path] | None, typer.Option(exists=True, dir_okay=False, help="Work: openb's CSV of tasks; repeat.")
]
_Sacct = Annotated[
    list[Path] | None,
    typer.Option(exists=True, dir_okay=False, help="Work: what `sacct -P` or `sacct --json` printed; repeat."),
]
_History = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="Work: what `allot export history` wrote.")
]
_People = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="Who there is; without it, people are invented.")
]
_Days = Annotated[int, typer.Option(min=1, max=3660, help="Without a trace: days of synthetic work.")]
_Workloads = Annotated[
    int | None, typer.Option(min=1, max=10_000_000, help="So many synthetic workloads; else by --busy.")
]
_Busy = Annotated[
    float, typer.Option(min=0.01, max=100, help="GPU-hours asked per GPU-hour there is, at the busiest.")
]
_Engineers = Annotated[int, typer.Option(min=1, max=100_000, help="How many people are invented.")]
_Seed = Annotated[int, typer.Option(min=0, max=WHOLE_MAX, help="Of everything that chance decides.")]
_GpuClass = Annotated[
    list[str] | None, typer.Option(metavar="MODEL=CLASS", help="What a trace's GPU model is in the policies.")
]
_PriorityClass = Annotated[
    list[str] | None, typer.Option(metavar="NAME=CLASS", help="What a trace's QOS or partition is in the policies.")
]
_Cycle = Annotated[str, typer.Option(metavar="DURATION", help="How often is decided at most.")]
_Drain = Annotated[str, typer.Option(metavar="DURATION", help="How long it goes on after the last submission.")]
_Html = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", dir_okay=False, help="Also write one self-contained page.")
]
_Price = Annotated[
    str | None, typer.Option(metavar="AMOUNT", help='Of a standard GPU-hour, with its currency: "2.50 EUR".')
]
_Prices = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, show_default=False, help="A price book: what allowances of money buy."),
]


def replay(
    *,
    policy: _Policy,
    nodes: _Nodes = None,
    pods: _Pods = None,
    sacct: _Sacct = None,
    history: _History = None,
    people: _People = None,
    days: _Days = 28,
    workloads: _Workloads = None,
    busy: _Busy = 1.5,
    engineers: _Engineers = 40,
    seed: _Seed = 1,
    gpu_class: _GpuClass = None,
    priority_class: _PriorityClass = None,
    cycle: _Cycle = "10s",
    drain: _Drain = "1d",
    price: _Price = None,
    prices: _Prices = None,
    html: _Html = None,
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Run one stream of work under each policy in virtual time: the service's own decisions, on invented hours."""
    _require_one_source(history, [*(pods or []), *(sacct or []), *([people] if people is not None else [])])
    if html is not None:
        _require_writable(html, [*policy, *(pods or []), *(sacct or []), nodes, history, people, prices])
    price_micros, currency = price_of(price)
    bad = BadRows(skip_bad)
    policies = read_policies(policy)
    described = read_nodes_of(nodes, policies[0], bad)
    names = read_names(gpu_class or (), priority_class or (), policies)
    stream = read_stream(
        Files(tuple(pods or ()), tuple(sacct or ()), history),
        people,
        policies[0],
        described,
        names,
        Synthetic(days, workloads, engineers, busy, seed),
        bad,
    )
    tempo = Tempo(parse_duration(cycle, "--cycle"), parse_duration(drain, "--drain"))
    book = read_prices(read_bytes(prices), str(prices)) if prices is not None else None
    with collecting_seldom():
        outcomes = _run_all(policies, described, names, stream, tempo, book)
    made = report(stream, outcomes, price_micros, currency)
    made["stream"]["bad_rows"] = bad.as_object()
    print_bad_rows(bad)
    if as_json:
        print_json(made)
    else:
        print_report(made, [outcome.measures.first_refusals for outcome in outcomes])
    if html is not None:
        try:
            html.write_text(page(made), encoding="utf-8")
        except OSError as error:
            raise _unwritable(html, str(error.strerror)) from error


def _require_one_source(history: Path | None, others: Sequence[Path]) -> None:
    """A history is a stream of its own, with its people; traces may come together."""
    if history is not None and others:
        raise InvalidInput(
            f"{others[0]} does not go with {history}, which has its own work and people",
            where="--history",
            expected="a history alone, or --pods and --sacct, and --people",
        )


def _require_writable(html: Path, read: Sequence[Path | None]) -> None:
    """Told before an hour's replay, not after it: whether the page can be written, and would take no file's place that
    the replay is made from."""
    if not html.parent.is_dir():
        raise _unwritable(html, "its folder is not there")
    if html.exists() and any(file is not None and html.samefile(file) for file in read):
        raise _unwritable(html, "the replay reads it")
    if not os.access(html if html.exists() else html.parent, os.W_OK):
        raise _unwritable(html, os.strerror(errno.EACCES))


def _unwritable(file: Path, why: str) -> InvalidInput:
    return InvalidInput(f"{file} cannot be written: {why}", where="--html")


def price_of(text: str | None) -> tuple[int | None, str]:
    """Micro-units and the currency of `2.50 EUR`."""
    if text is None:
        return None, ""
    amount, _, currency = text.strip().partition(" ")
    micros = micro_of(amount)
    if micros is None or currency not in CURRENCIES:
        raise InvalidInput(
            f"{text[:40]!r} cannot be read", where="--price", expected='an amount and a currency, such as "2.50 EUR"'
        )
    return micros, currency


def _run_all(
    policies: Sequence[Policy],
    nodes: Sequence[Node],
    names: Names,
    stream: Stream,
    tempo: Tempo,
    book: PriceBook | None,
) -> list[Outcome]:
    window = window_of(stream)
    outcomes: list[Outcome] = []
    for policy in policies:
        classed = under(policy, nodes, names.gpu_classes)
        if len(classed) < len(nodes):
            left_out = len(nodes) - len(classed)
            err().print(f"{policy.name}: {left_out:,} of {len(nodes):,} nodes are of no GPU class of it; left out")
        progress = Progress(policy.name, len(stream.submissions), window)
        outcomes.append(Replay(policy, classed, stream, tempo, window, book).run(progress))
        progress.wipe()
    return outcomes


def window_of(stream: Stream) -> Window:
    """From the first submission to the last; a stream without any has a window without any length."""
    if not stream.submissions:
        return Window(STARTS_AT, Instant(STARTS_AT + 1))
    return Window(stream.submissions[0].at, Instant(stream.submissions[-1].at + 1))


_WIDTH = 79


class Progress:
    """How far it has come, on standard error: a line a second on a terminal, else one every ten; none in the first two."""

    def __init__(self, name: str, submissions: int, window: Window) -> None:
        self._name, self._submissions, self._window = name, submissions, window
        self._began = monotonic()
        self._is_terminal = sys.stderr.isatty()
        self._is_standing = False
        self._said = self._began + (1.0 if self._is_terminal else 0.0)
        self._calls = 0

    def __call__(self, taken_in: int, now: Instant) -> None:
        self._calls += 1
        if self._calls % 64:
            return
        moment = monotonic()
        if moment - self._said < (1.0 if self._is_terminal else 10.0):
            return
        self._said = moment
        share = (now - self._window.starts_at) / max(1, self._window.ends_at - self._window.starts_at)
        share = min(1.0, max(share, taken_in / max(1, self._submissions)))
        left_seconds = (moment - self._began) * (1 - share) / share if share else 0.0
        # How long what was submitted last will wait and run, nobody knows.
        left = f"about {left_seconds:.0f} s left" if share < 1 else "until they have ended"
        text = f"{self._name}: {share:.0%}, {taken_in:,} of {self._submissions:,} workloads, {left}"
        self._write(f"\r{text[:_WIDTH]:<{_WIDTH}}" if self._is_terminal else f"{text}\n")
        self._is_standing = self._is_terminal

    def wipe(self) -> None:
        """It is done: what comes next has the terminal's line to itself."""
        if self._is_standing:
            self._write(f"\r{'':<{_WIDTH}}\r")
            self._is_standing = False

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
