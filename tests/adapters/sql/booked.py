"""Books with something in every table that is proven, and heads published over them as the work went on."""

from dataclasses import replace
from pathlib import Path

from scheduler.adapters.head_folder import HeadFolder
from scheduler.adapters.signing import KeyFile, open_key
from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.access import RoleChange
from scheduler.domain.allowances import Allowance, Freeze
from scheduler.domain.quantities import TOKENS
from scheduler.domain.records import AuditEvent, EndEvidence, PodRun, PriceBookVersion
from scheduler.domain.units import AllowanceId, AttemptId, HoldId, Instant, PodUid, ProjectName, TeamName, WorkloadId
from scheduler.domain.workloads import Attempt, AttemptState, Workload, WorkloadState
from scheduler.finance.reconciling.closing import Closing, ClosingState
from scheduler.finance.reconciling.reconciliation import Difference, DifferenceKind, Settlement, SettlementKind
from scheduler.ledger.charging import charge
from scheduler.ledger.grants import grant
from scheduler.ledger.holding import hold, release
from scheduler.ledger.holds import Hold
from scheduler.ledger.token_holds import TokenHold, TokenHoldState, TokenShare
from scheduler.lifecycle.accounting.publish import Publisher
from scheduler.ports import Books
from tests.adapters.sql.values import ATTEMPT, AWARD, MOVE, POD, POLICY, PROPOSAL, WORKLOAD
from tests.ledger.build import allowance

HOUR = 3_600_000
RESOLVED = TokenHoldState.RESOLVED


class Booked:
    """A store, what publishes its heads, and how much was booked on it."""

    def __init__(self, store: SqlStore, folder: Path) -> None:
        self.store = store
        self.heads = folder / "heads"
        self.key: KeyFile = open_key(folder / "signing.pem")
        self.now = 1_000_000
        self.count = 0
        self.publisher = Publisher(store, HeadFolder(self.heads), self.key, lambda: Instant(self.now))

    def tick(self) -> Instant:
        self.now += 1_000
        return Instant(self.now)

    def work(self, attempts: int) -> None:
        """So many attempts, each held, charged, ended and released, on allowances of their own."""
        for _ in range(attempts):
            self.count += 1
            with self.store.writing() as books:
                awarded = self._award()
                books.allowances.add(awarded)
                books.journal.post([grant(awarded, actor="e-9", memo="für ü")], self.tick())
                workload, attempt, made = self._launched()
                books.workloads.add([workload])
                books.attempts.add([attempt])
                books.holds.open([made])
                books.journal.post(hold([made]), self.tick())
                charged = charge(attempt, [made], 40_000, self.tick())
                assert charged.transactions
                books.journal.post(charged.transactions, self.tick())
                books.holds.charge(charged.from_holds)
                held = books.holds.of_attempt(attempt.id)
                books.journal.post(release(held, self.tick()), self.tick())
                books.holds.resolve([made.id], self.tick())
                books.attempts.save_pods([self._pod(attempt)])
                ended = replace(
                    attempt,
                    state=AttemptState.ENDED,
                    ended_at=self.tick(),
                    charged_gpu_ms=charged.gpu_ms,
                    charged=charged.total,
                )
                books.attempts.save([ended])
                books.workloads.save([replace(workload, state=WorkloadState.COMPLETED, version=2)])
                books.control.add_events(
                    [AuditEvent(self.tick(), "e-9", "finance", "grant", awarded.id, "r-1", "", "x")]
                )
                books.control.add_policy(replace(POLICY, hash=f"hash-{self.count}"))
                self._govern(books)

    def _govern(self, books: Books) -> None:
        """One row more in every other tree (prices, roles, proposals, freezes, closed periods and their differences),
        and a hold of tokens."""
        number, at = self.count, self.tick()
        period, proposal = f"1970-{number}", f"p-{number}"
        books.prices.add(PriceBookVersion(f"hash-{number}", "prices.yaml", "version: 1 # ü", at, "e-9"))
        books.people.add_role_changes([RoleChange(at, f"e-{number}", "directory", "lead", True, "e-9", "r-1")])
        books.approvals.add(replace(PROPOSAL, id=proposal, hash=f"{number:064d}", award=AWARD, name="x", text="y"))
        books.approvals.move(replace(MOVE, proposal_id=proposal, reason="so", request_id="r-2"))
        books.allowances.add_freeze(Freeze(AllowanceId(f"a-{number}"), True, at, "e-9", "a dispute", "r-3"))
        closed = Closing(
            period, Instant(number), Instant(number + 1), ClosingState.CLOSED, at, "e-9", "finance", "r", "{}"
        )
        books.periods.add_step(closed)
        tokens = (TokenShare(AllowanceId(f"a-{number}"), TOKENS, 9),)
        drawn = TokenHold(f"k-{number}", ATTEMPT.owner, "llama", ProjectName("x"), tokens, at, at, "gateway:eu")
        books.token_holds.add(replace(drawn, team=TeamName("research")))
        books.token_holds.save(replace(drawn, team=TeamName("research"), used=9, state=RESOLVED, resolved_at=at))
        found = Difference(f"{period}/overhead/x", period, DifferenceKind.OVERHEAD, "x", 7, "ü")
        books.periods.add_differences([found], at)
        books.periods.add_settlements([Settlement(found.id, 7, SettlementKind.OWNER, "t", "why", "e-9", at, "r-4")])

    def run(self) -> None:
        """One attempt more, launched, started and charged for a while, that goes on."""
        self.count += 1
        with self.store.writing() as books:
            awarded = self._award()
            books.allowances.add(awarded)
            books.journal.post([grant(awarded, actor="e-9", memo="")], self.tick())
            workload, attempt, made = self._launched()
            books.workloads.add([workload])
            books.attempts.add([replace(attempt, started_at=None)])
            books.holds.open([made])
            books.journal.post(hold([made]), self.tick())
        with self.store.writing() as books:
            books.attempts.save_pods([replace(self._pod(attempt), ended_at=None, end_evidence=None, exit_code=None)])
            charged = charge(attempt, [made], 30_000, self.tick())
            assert charged.transactions
            books.journal.post(charged.transactions, self.tick())
            books.holds.charge(charged.from_holds)
            books.attempts.save([replace(attempt, charged_gpu_ms=charged.gpu_ms, charged=charged.total)])

    def publish(self) -> None:
        self.tick()
        assert self.publisher.publish() is not None

    def _award(self) -> Allowance:
        return replace(allowance(100 * HOUR, overdraft=self.count), id=AllowanceId(f"a-{self.count}"))

    def _launched(self) -> tuple[Workload, Attempt, Hold]:
        number = self.count
        workload = replace(WORKLOAD, id=WorkloadId(f"w-{number}"), state=WorkloadState.RUNNING, version=1)
        attempt = replace(
            ATTEMPT,
            id=AttemptId(f"t-{number}"),
            workload_id=workload.id,
            state=AttemptState.RUNNING,
            is_funded=True,
            charged=0,
            charged_gpu_ms=0,
            ended_at=None,
        )
        made = Hold(HoldId(f"h-{number}"), workload.id, AllowanceId(f"a-{number}"), 0, HOUR, self.tick(), attempt.id)
        return workload, attempt, made

    def _pod(self, attempt: Attempt) -> PodRun:
        uid = PodUid(f"p-{self.count}")
        return replace(POD, pod_uid=uid, attempt_id=attempt.id, end_evidence=EndEvidence.FINISHED)


def booked(store: SqlStore, folder: Path) -> Booked:
    """Nine attempts: three under each of two heads, and three that no head is over yet."""
    made = Booked(store, folder)
    for _ in range(2):
        made.work(3)
        made.publish()
    made.work(3)
    return made
