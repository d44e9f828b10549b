"""My hours: the number, the day, the work, the allowances, and the form that starts a sandbox."""

from dataclasses import replace

import pytest

from scheduler.domain.errors import Exhausted, RefusalCode
from scheduler.domain.units import Instant
from scheduler.domain.workloads import WorkloadKind, WorkloadSpec
from scheduler.finance.burn import Jump
from scheduler.lifecycle.views.shapes import WorkloadPage
from tests.entrypoints.web.conftest import SITE, SignIn
from tests.entrypoints.web.reading import read
from tests.entrypoints.web.sample_people import DAY, FINN, MARA, MONTH_END, NOW, H
from tests.entrypoints.web.sample_values import balance, my_past, my_workloads
from tests.entrypoints.web.sample_views import SampleService


async def test_the_page_says_what_the_views_say(sign_in: SignIn) -> None:
    async with sign_in(MARA) as client:
        text = read(await client.get("/hours")).text
    assert "Left for you 214.7 GPU-hours" in text
    assert "At this pace they last until 27 Nov – 3 Dec" in text
    assert "9 % behind plan." in text
    assert "4.5 h more are held" in text
    for workload in (*my_workloads(), *my_past()):
        assert workload.name in text
        assert workload.verdict.sentence in text
    for allowance in balance().allowances:
        assert allowance.name in text
        assert allowance.note.partition("; ends")[0] in text
    assert "h100 only; ends Tue 1 Dec, 00:00" in text, "on the wall clock, as the period's end beside it"
    assert text.index("Project aurora") < text.index("Tier, 2026-11") < text.index("Compensation")


async def test_of_what_has_ended_the_last_to_end_comes_first_however_early_it_was_submitted(
    service: SampleService, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    long, short, never = (
        replace(my_past()[0], id=name, name=name, submitted_at=Instant(NOW - hours * H), ended_at=ended_at)
        for name, hours, ended_at in (
            ("ran-long", 30, NOW),
            ("ran-short", 2, Instant(NOW - H)),
            ("never-ran", 9, None),
        )
    )
    monkeypatch.setattr(service.views, "workloads", lambda *_, **__: WorkloadPage((short, never, long), None))
    async with sign_in(MARA) as client:
        text = read(await client.get("/hours")).text
    assert text.rindex("ran-long") < text.rindex("ran-short") < text.rindex("never-ran")


async def test_the_reason_its_numbers_and_the_next_step_are_one_click_behind_the_sentence(sign_in: SignIn) -> None:
    async with sign_in(MARA) as client:
        text = read(await client.get("/hours")).text
    assert (
        "reason Preempted preemptor prod-canary comparison urgent over standard rule withinPool: LowerPriority"
        in text
    )
    assert "A smaller request or another GPU class may start sooner." in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"runs_out": None}, "Nothing is being spent."),
        ({"runs_out": None, "available": 0}, "Nothing is left to start work with."),
        (
            {"runs_out": (Instant(MONTH_END + DAY), Instant(MONTH_END + 9 * DAY))},
            "At this pace they outlast the period, which ends 1 Dec.",
        ),
        ({"pace": -120}, "12 % ahead of plan: burning fast."),
        ({"pace": -60}, "6 % ahead of plan."),
        (
            {"jumps": (Jump(Instant(NOW - NOW % DAY), 90 * H, 10 * H),)},
            "Your use jumped on 20 Nov: 90.0 GPU-hours, 10.0 are usual.",
        ),
        ({"pace": 0}, "On plan."),
        ({"pace": -19}, "On plan."),
        ({"available": -H}, "−1.0 GPU-hours"),
    ],
)
async def test_the_sentence_under_the_number_fits_it(
    changes: dict[str, object], said: str, service: SampleService, sign_in: SignIn
) -> None:
    service.views.balance_value = balance(**changes)
    async with sign_in(MARA) as client:
        assert said in read(await client.get("/hours")).text


async def test_somebody_new_is_told_where_to_begin(service: SampleService, sign_in: SignIn) -> None:
    service.views.current = service.views.past = ()
    service.views.balance_value = balance(available=0, granted=0, history=(), allowances=(), runs_out=None)
    async with sign_in(MARA) as client:
        text = read(await client.get("/hours")).text
    assert "Nothing of yours has run yet." in text
    assert "No allowance is open for you." in text


async def test_each_state_offers_what_can_be_done_with_it(service: SampleService, sign_in: SignIn) -> None:
    sandbox, job, queued, _ = my_workloads()
    stopped = replace(sandbox, id="w-stopped", state="stopped")
    service.views.current = (sandbox, job, queued, stopped)
    async with sign_in(MARA) as client:
        page = read(await client.get("/hours"))

    def acts(id_: str) -> set[str]:
        return {form.action.rsplit("/", 1)[1] for form in page.forms if form.action.startswith(f"/workloads/{id_}/")}

    assert acts(sandbox.id) == {"extend", "stop", "cancel"}
    assert acts(job.id) == {"extend", "cancel"}
    assert acts(queued.id) == {"cancel"}
    assert acts(stopped.id) == {"resume", "cancel"}
    assert f"/workloads/{queued.id}" in page.links


async def test_the_form_offers_what_policy_and_tier_allow(sign_in: SignIn) -> None:
    async with sign_in(MARA) as client:
        staff = read(await client.get("/hours")).form("/hours/sandboxes")
    async with sign_in(FINN) as client:
        associate = read(await client.get("/hours")).form("/hours/sandboxes")
    assert staff.options["gpu_class"] == ["l40s", "a100", "h100"]
    assert staff.options["project"] == ["aurora", "atlas", "personal"]
    assert staff.options["priority_class"] == ["standard", "urgent", "off-peak"]
    assert associate.options["priority_class"] == ["standard", "off-peak"]
    assert associate.options["hours"][-1] == "24"
    assert "team/*" not in staff.options["image"]


async def test_a_sandbox_is_started_by_the_form_without_a_script(service: SampleService, sign_in: SignIn) -> None:
    async with sign_in(MARA) as client:
        form = read(await client.get("/hours")).form("/hours/sandboxes")
        sent = {**form.fields, "name": "notebook", "gpus": "2", "gpu_class": "h100", "project": "personal"}
        response = await client.post(form.action, data=sent)
    assert response.status_code == 303
    assert response.headers["location"] == "/hours#w-new"
    ((name, (caller, spec), keywords),) = service.commands.asked
    assert (name, caller.engineer) == ("submit", MARA.id)
    assert isinstance(spec, WorkloadSpec)
    assert (spec.kind, spec.gpus, spec.project, spec.time_limit_ms) == (WorkloadKind.SANDBOX, 2, None, 4 * H)
    assert keywords["now"] == NOW
    assert keywords["command"].id == "e-mara:f-7k2m9q"


async def test_the_same_form_sent_twice_is_the_same_command(service: SampleService, sign_in: SignIn) -> None:
    sent = {"name": "n", "gpus": "1", "hours": "4", "gpu_class": "h100", "project": "aurora", "command": "f-1"}
    async with sign_in(MARA) as client:
        await client.post("/hours/sandboxes", data=sent)
        await client.post("/hours/sandboxes", data=sent)
        await client.post("/hours/sandboxes", data={**sent, "hours": "8"})
    first, second, other = (keywords["command"] for _, _, keywords in service.commands.asked)
    assert first == second
    assert first.id == other.id
    assert first.body_hash != other.body_hash


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("gpus", "-1", RefusalCode.INVALID_GPUS),
        ("gpus", "1.5", RefusalCode.INVALID_GPUS),
        ("gpus", "0", RefusalCode.INVALID_GPUS),
        ("gpus", "9223372036854775807", RefusalCode.INVALID_GPUS),
        ("gpus", "²", RefusalCode.INVALID_GPUS),
        ("hours", "0", RefusalCode.INVALID_TIME_LIMIT),
        ("hours", "soon", RefusalCode.INVALID_TIME_LIMIT),
        ("hours", "999999999", RefusalCode.INVALID_TIME_LIMIT),
        ("name", "", RefusalCode.INVALID_VALUE),
        ("gpu_class", "", RefusalCode.INVALID_VALUE),
    ],
)
async def test_a_bad_field_is_refused_with_its_code_and_nothing_that_was_filled_in_is_lost(
    field: str, value: str, code: RefusalCode, service: SampleService, sign_in: SignIn
) -> None:
    sent = {"name": "mine", "gpus": "1", "hours": "8", "gpu_class": "h100", "project": "atlas", field: value}
    async with sign_in(MARA) as client:
        response = await client.post("/hours/sandboxes", data=sent)
    page = read(response)
    assert response.status_code == 422
    assert code.value in page.text
    assert service.commands.asked == []
    assert page.form("/hours/sandboxes").fields["project"] == "atlas"
    assert 'id="start" open' in page.html


async def test_a_refusal_says_what_to_do_and_keeps_the_form(service: SampleService, sign_in: SignIn) -> None:
    service.commands.refusal = Exhausted(
        "no allowance pays for it", expected="64.0 h, 12.0 h are available", remedy="ask for a shorter time limit"
    )
    sent = {"name": "mine", "gpus": "8", "hours": "8", "gpu_class": "h100", "project": "atlas"}
    async with sign_in(MARA) as client:
        response = await client.post("/hours/sandboxes", data=sent)
    text = read(response).text
    assert response.status_code >= 400
    assert "No allowance pays for it. Expected 64.0 h, 12.0 h are available." in text
    assert "Ask for a shorter time limit." in text
    assert 'value="mine"' in response.text


async def test_another_sites_page_cannot_send_the_form(service: SampleService, sign_in: SignIn) -> None:
    sent = {"name": "mine", "gpus": "8", "hours": "8", "gpu_class": "h100", "project": "atlas"}
    for headers in ({"Origin": "http://evil.test"}, {"Sec-Fetch-Site": "cross-site", "Origin": SITE}, {"Origin": ""}):
        async with sign_in(MARA) as client:
            response = await client.post("/hours/sandboxes", data=sent, headers=headers)
        assert response.status_code == 403
        assert "cross-site" in response.text
    assert service.commands.asked == []
