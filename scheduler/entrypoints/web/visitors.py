"""Who looks at a page: the caller behind the session cookie, with the person, where it is one."""

from dataclasses import dataclass

from fastapi import Request

from scheduler.domain.errors import NotPermitted, RefusalCode
from scheduler.domain.people import Caller, Engineer, Role
from scheduler.domain.units import EngineerId
from scheduler.entrypoints.api.auth import find_caller
from scheduler.entrypoints.running import Service
from scheduler.lifecycle.views.owners import SEES_ALL, SEES_MONEY, sees_work_of
from scheduler.lifecycle.views.shapes import WorkloadView


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who is signed in. `engineer` is None for a token that belongs to no person in the directory."""

    caller: Caller
    engineer: Engineer | None

    @property
    def name(self) -> str:
        return self.engineer.name or self.engineer.subject if self.engineer else self.caller.subject

    @property
    def acts_as(self) -> str:
        """What they may do beyond an engineer's own, or else the tier of what they may use."""
        beyond = [role.value for role in Role if role is not Role.ENGINEER and role in self.caller.roles]
        return ", ".join(beyond) or (self.engineer.tier if self.engineer else "")

    @property
    def is_operator(self) -> bool:
        return self.caller.has(Role.OPERATOR)

    @property
    def sees_all(self) -> bool:
        """Whether what everybody runs is shown to them, and not their own alone."""
        return self.caller.has(*SEES_ALL)

    def opens(self, work: WorkloadView) -> bool:
        """Whether the page of this workload is shown to them."""
        return sees_work_of(self.caller, EngineerId(work.owner), work.team)

    @property
    def sees_money(self) -> bool:
        """Whether statements of others are shown to them, the company's among these."""
        return self.caller.has(*SEES_MONEY)

    @property
    def exports(self) -> bool:
        """Whether they may take files of the books away."""
        return self.caller.has(Role.FINANCE, Role.AUDITOR)

    @property
    def reads_books(self) -> bool:
        return self.caller.has(Role.FINANCE, Role.AUDITOR, Role.OPERATOR)


def visitor_of(request: Request, service: Service) -> Visitor | None:
    """Who the session stands for; None where there is none, or it is no longer good. Refuses other sites' forms."""
    caller = find_caller(request, service.store, service.clock.now())
    return Visitor(caller, service.views.me(caller)) if caller else None


def signed_in(request: Request, service: Service) -> Visitor:
    """The visitor, or a refusal that leads to the sign-in page."""
    visitor = visitor_of(request, service)
    if visitor is None:
        raise NotPermitted("nobody is signed in here", code=RefusalCode.UNAUTHENTICATED, remedy="sign in")
    return visitor
