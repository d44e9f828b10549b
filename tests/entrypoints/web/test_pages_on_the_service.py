"""The pages over the real views and commands: every page for every role, and a workload's life through its forms."""

from dataclasses import fields, replace

import pytest

from scheduler.adapters.policy_files import read_prices
from scheduler.domain.units import MS_PER_MINUTE, GpuUuid, Instant, NodeName
from scheduler.entrypoints.running import Service
from scheduler.entrypoints.web.refusals import REFUSED_WORDS
from scheduler.lifecycle.sensing.meter import REFUSED_FOR
from scheduler.lifecycle.views.gpu_faults import FaultOutcome, GpuFaultView
from scheduler.lifecycle.views.misuses import Misuses, MisuseView, WorkView
from scheduler.lifecycle.views.resting import Resting, RestView
from scheduler.lifecycle.views.usage_shapes import ReclaimView
from scheduler.metering.misuse import Misuse, MisuseKind
from scheduler.metering.never_idle import NeverIdle
from scheduler.metering.refusals import RefusedSample
from tests.entrypoints.at_work import ran_unseen
from tests.entrypoints.company import NOON, PEOPLE, POLICY, SYSTEM, engineer_id
from tests.entrypoints.web.reading import read
from tests.entrypoints.web.signed_in import client_of, started

PATHS = (
    "/hours",
    "/workloads",
    "/statement",
    "/cluster",
    "/cluster?colour=owner",
    "/cluster/nodes/node-1",
    "/policies",
)


@pytest.mark.parametrize("subject", sorted(PEOPLE))
async def test_every_page_reads_for_everybody(subject: str, company: Service) -> None:
    async with client_of(company, subject) as client:
        for path in PATHS:
            response = await client.get(path)
            assert response.status_code == 200, f"{path} for {subject}: {read(response).text}"
            assert subject.capitalize() in read(response).text


@pytest.mark.parametrize("subject", sorted(PEOPLE))
async def test_every_link_to_work_opens_for_who_is_shown_it(subject: str, company: Service) -> None:
    for owner in ("ada", "bob"):
        async with client_of(company, owner) as client:
            for name in ("one", "two"):
                await started(client, name)
    await company.cycle.run_once()
    async with client_of(company, "bob") as client:
        await started(client, "waits")
    async with client_of(company, subject) as client:
        pages = [read(await client.get(path)) for path in (*PATHS, "/cluster/nodes/node-0")]
        links = {link for page in pages for link in page.links if link.startswith("/workloads/")}
        assert dict.fromkeys(links, 200) == {link: (await client.get(link)).status_code for link in links}
    assert bool(links) == (subject in {"ada", "bob", "lea", "olga", "aud", "fin"})


@pytest.mark.parametrize("subject", sorted(PEOPLE))
async def test_the_books_open_for_those_who_may_read_them(subject: str, company: Service) -> None:
    async with client_of(company, subject) as client:
        response = await client.get("/books")
        offers = "/books" in read(await client.get("/policies")).links
    assert (response.status_code == 200) == (subject in {"fin", "aud", "olga"}) == offers


async def test_the_books_show_finance_what_it_cost_and_what_nobody_used(company: Service) -> None:
    prices = (POLICY.parents[2] / "policies/prices.yaml").read_text(encoding="utf-8")
    company.pricing.apply(SYSTEM, prices, read_prices(prices, "prices.yaml"), now=NOON)
    async with client_of(company, "fin") as client:
        shown = (await client.get("/books")).text
    async with client_of(company, "pam") as client:
        hidden = (await client.get("/books")).text
    assert ("What it cost the company" in shown, "What it cost the company" in hidden) == (True, False)
    assert "Not recovered" in shown
    assert "not known" not in shown


async def test_what_was_recovered_beyond_the_cost_is_called_so(company: Service) -> None:
    prices = (POLICY.parents[2] / "policies/prices.yaml").read_text(encoding="utf-8")
    company.pricing.apply(SYSTEM, prices, read_prices(prices, "prices.yaml"), now=NOON)
    ran_unseen(company, "ada")  # and no node that could cost anything was seen
    async with client_of(company, "fin") as client:
        text = read(await client.get("/books?period=2026-W46")).text
    assert "Recovered beyond the cost 2.50 EUR" in text


async def test_the_books_say_what_has_no_cost_where_its_cost_would_stand(company: Service) -> None:
    prices = (POLICY.parents[2] / "policies/prices.yaml").read_text(encoding="utf-8")
    bare = prices[: prices.index("# Measured energy")]
    company.pricing.apply(SYSTEM, bare, read_prices(bare, "prices.yaml"), now=NOON)
    async with client_of(company, "fin") as client:
        text = read(await client.get("/books")).text
    assert "Electricity not known from" in text
    assert "the price book has no electricity" in text
    assert "Not recovered, as far as known" in text


ADAS, BOBS = WorkView("w-1", "train", "Ada"), WorkView("w-2", "serve", "")


async def test_misuse_is_a_page_for_operators_with_its_evidence(
    company: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Misuse(
        MisuseKind.HOST_PROCESS,
        *(NodeName("node-1"), GpuUuid("GPU-7"), 4242, 7, "xmrig", None, None, None, NOON, NOON),
        windows=3,
        memory_bytes_max=2 << 30,
    )
    async with client_of(company, "olga") as client:
        empty = read(await client.get("/cluster/misuse"))
        with company.store.writing() as books:
            books.samples.note_misuses([seen, replace(seen, kind=MisuseKind.SUSPECTED_MINING, name=None)])
        page = read(await client.get("/cluster/misuse"))
        other = MisuseView(
            **{each.name: getattr(seen, each.name) for each in fields(seen)}, work=ADAS, holder_work=BOBS
        )
        with monkeypatch.context() as patched:
            patched.setattr(company.views, "misuses", lambda *_, **__: Misuses((other,), ()))
            named = read(await client.get("/cluster/misuse"))
        assert "/cluster/misuse" in read(await client.get("/cluster")).links
    assert "Nobody was seen where they had no business." in empty.text
    assert "Unavailable on 4 nodes, where processes cannot be seen: node-0," in empty.text
    assert "xmrig 4242 no pod’s, on the host itself node-1 GPU-7" in page.text
    assert "looks like mining" in page.text
    assert "of train (Ada) ; the GPU was given to serve" in " ".join(named.text.split()).replace("(Ada);", "(Ada) ;")
    assert {"/workloads/w-1", "/workloads/w-2"} <= set(named.links)
    assert "/cluster/nodes/node-1" in page.links
    async with client_of(company, "ada") as client:
        assert (await client.get("/cluster/misuse")).status_code == 403
        assert "/cluster/misuse" not in read(await client.get("/cluster")).links


async def test_refusals_are_a_page_for_operators_with_their_counts(company: Service) -> None:
    async with client_of(company, "olga") as client:
        empty = read(await client.get("/cluster/refusals"))
        with company.store.writing() as books:
            books.samples.refuse(
                [
                    RefusedSample("node-1", "GPU-7", "overlaps", 1234, NOON, NOON, "what is kept ends at noon"),
                    RefusedSample("node:*", "", "unknown-node", 1, NOON, NOON, "<b>it has not told</b>"),
                ]
            )
        page = read(await client.get("/cluster/refusals"))
        assert "/cluster/refusals" in read(await client.get("/cluster")).links
    assert "Nothing was refused." in empty.text
    assert "overlaps of time that is kept already; the last: what is kept ends at noon 1 234" in page.text
    assert "node:* unknown-node" in page.text
    assert "<b>it has not told</b>" in page.text
    nodes = {link for link in page.links if link.startswith("/cluster/nodes/")}
    assert nodes == {"/cluster/nodes/node-1"}
    async with client_of(company, "ada") as client:
        assert (await client.get("/cluster/refusals")).status_code == 403
        assert "/cluster/refusals" not in read(await client.get("/cluster")).links


def test_every_code_that_is_counted_has_its_words() -> None:
    assert REFUSED_WORDS.keys() == set(REFUSED_FOR)


async def test_gpu_faults_are_a_page_for_operators_with_the_work_that_had_them(
    company: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = GpuFaultView(GpuUuid("GPU-7"), NodeName("node-1"), 79, NOON, NOON, means="fallen off the bus")
    async with client_of(company, "olga") as client:
        empty = read(await client.get("/cluster/faults"))
        with monkeypatch.context() as patched:
            theirs = replace(seen, outcome=FaultOutcome.ENDED, work=ADAS)
            patched.setattr(company.gpu_faults, "latest", lambda *_, **__: [theirs, seen])
            page = read(await client.get("/cluster/faults"))
        assert "/cluster/faults" in read(await client.get("/cluster")).links
    assert "No GPU reported an error of its hardware." in empty.text
    assert "Xid 79 fallen off the bus node-1 GPU-7 failed with it train (Ada)" in " ".join(page.text.split())
    assert page.text.count("GPU-7 none") == 1
    assert {"/workloads/w-1", "/cluster/nodes/node-1"} <= set(page.links)
    async with client_of(company, "ada") as client:
        assert (await client.get("/cluster/faults")).status_code == 403
        assert "/cluster/faults" not in read(await client.get("/cluster")).links


async def test_idle_work_is_a_page_for_operators_that_leads_to_what_explains_it(
    company: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour = 60 * MS_PER_MINUTE
    rest = RestView("w-7", "forgotten", "Ada", 2, NOON, hour // 2, 1, hour // 2, "suspend", is_dry_run=False)
    spared = replace(rest, workload_name="spared", left_ms=0, hindrance="no-home")
    short = replace(rest, left_ms=hour // 2 - 1)
    due = ("w-8.1", "w-8", NOON, Instant(NOON - hour), hour, "suspend", True, "", 3 * hour // 2, ())
    done = ReclaimView(*due, "abandoned", "e-1", "Bob", 5_280_000, ("12.50 EUR",))
    ending = replace(done, workload_name="going", came_back_ms=None)
    left = replace(done, workload_name="homeless", owner_name="", is_taken=False, hindrance="no-home")
    async with client_of(company, "ada") as client:
        assert (await client.get("/cluster/idle")).status_code == 403
        assert "/cluster/idle" not in read(await client.get("/cluster")).links
    async with client_of(company, "olga") as client:
        empty = read(await client.get("/cluster/idle"))
        found = Resting(
            (rest, spared, short), 5, (done, left, ending), (NeverIdle(GpuUuid("GPU-a"), NodeName("n0"), 171_900),)
        )
        monkeypatch.setattr(company.views, "resting", lambda *_, **__: found)
        page = read(await client.get("/cluster/idle"))
        assert "/cluster/idle" in read(await client.get("/cluster")).links
    assert "No work rests." in empty.text
    assert "Nothing was due yet." in empty.text
    assert page.text.count("suspend in 30 min of rest") == 2, "what is left is rounded up"
    assert "left alone: it has neither a home nor a preStop hook" in page.text
    assert "is due" not in page.text
    assert "and 2 more." in page.text
    assert "1 GPU drew 171 W or more without use, above" in page.text
    assert "baseline_watts_max" not in empty.text
    assert "forgotten Ada, since 0 s ago" in page.text
    assert "abandoned Bob, suspended after 1 h of rest 1 h 28 min, 12.50 EUR" in page.text
    assert "going Bob, suspended after 1 h of rest ending" in page.text
    assert "homeless left alone: it has neither a home nor a preStop hook; after 1 h of rest –" in page.text
    assert {"/workloads/w-7", "/workloads/w-8"} <= set(page.links)


async def test_a_sandbox_lives_through_its_forms(company: Service) -> None:
    async with client_of(company, "ada") as client:
        page = await started(client, "notebook")
        assert "notebook" in page.text
        assert "Submitted; the next cycle looks at it." in page.text
        (cancel,) = [form for form in page.forms if form.action.endswith("/cancel")]
        workload_id = cancel.action.split("/")[2]
        explained = read(await client.get(f"/workloads/{workload_id}"))
        after = read(await client.post(cancel.action, data=cancel.fields))
    assert "Cost at most" in explained.text
    assert "Cancelled by ada." in after.text
    assert not [form for form in after.forms if form.action.endswith("/cancel")]


async def test_nobody_sees_or_stops_another_engineers_work(company: Service) -> None:
    async with client_of(company, "ada") as client:
        page = await started(client, "adas-own")
    (cancel,) = [form for form in page.forms if form.action.endswith("/cancel")]
    async with client_of(company, "bob") as client:
        assert "adas-own" not in read(await client.get("/hours")).text
        assert (await client.get(cancel.action.removesuffix("/cancel"))).status_code == 404
        assert (await client.post(cancel.action)).status_code == 404
        assert (await client.get("/statement", params={"owner": engineer_id(company, "ada")})).status_code == 403


async def test_what_the_policy_refuses_comes_back_with_the_form(company: Service) -> None:
    async with client_of(company, "ada") as client:
        form = read(await client.get("/hours")).form("/hours/sandboxes")
        sent = {**form.fields, "name": "too-long", "gpu_class": "H100", "hours": "100000"}
        response = await client.post(form.action, data=sent)
    assert response.status_code == 422
    assert "time-limit-too-long" in read(response).text
    assert 'value="too-long"' in response.text


async def test_a_brake_is_pulled_and_released(company: Service) -> None:
    async with client_of(company, "olga") as client:
        paused = read(await client.post("/brakes/launch/pause", data={"why": "power work"}))
        elsewhere = read(await client.get("/policies"))
        released = read(await client.post("/brakes/launch/resume"))
    assert "Launching is paused by olga" in paused.text
    assert "power work" in elsewhere.text
    assert "Launching is paused" not in released.text
    async with client_of(company, "ada") as client:
        assert (await client.post("/brakes/launch/pause", data={"why": "mine"})).status_code == 403


async def test_every_page_says_so_while_the_cluster_does_not_answer(
    company: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with client_of(company, "ada") as client:
        before = read(await client.get("/workloads"))
        monkeypatch.setattr(company.cluster, "is_reachable", False, raising=False)
        during = read(await client.get("/workloads"))
    assert "The cluster does not answer" not in before.text
    assert "The cluster does not answer" in during.text


@pytest.mark.parametrize(
    ("subject", "shown"),
    [("ada", "engineer"), ("lea", "lead"), ("olga", "operator"), ("fin", "finance"), ("aud", "auditor")],
)
async def test_the_corner_says_what_a_visitor_acts_as(company: Service, subject: str, shown: str) -> None:
    async with client_of(company, subject) as client:
        answer = await client.get("/cluster")
    assert f'<span class="faint wide"> · {shown}</span>' in answer.text


async def test_the_books_lead_only_to_what_their_reader_may_see(company: Service) -> None:
    """An operator reads the month, and neither the company's statement nor its exports."""
    for subject in ("olga", "fin", "aud"):
        async with client_of(company, subject) as client:
            links = [link for link in read(await client.get("/books")).links if link.startswith(("/", "?"))]
            answers = {link: (await client.get(link)).status_code for link in links if not link.startswith("/static")}
        assert set(answers.values()) <= {200, 303}, (subject, answers)
        assert any(link.startswith("/statement?owner=company") for link in links) is (subject != "olga")


async def test_who_has_no_workload_is_told_how_to_get_one(company: Service) -> None:
    async with client_of(company, "ada") as client:
        every, failed = read(await client.get("/workloads")), read(await client.get("/workloads?state=failed"))
    assert (
        "Nothing of yours has run yet. Start a sandbox on My hours , or submit a job with allot submit" in every.text
    )
    assert "Nothing of yours is failed." in failed.text


async def test_what_the_service_applied_itself_came_with_its_first_start(company: Service) -> None:
    async with client_of(company, "ada") as client:
        text = read(await client.get("/policies")).text
    assert "applied at the first start" in text
    assert "system:bootstrap" not in text
