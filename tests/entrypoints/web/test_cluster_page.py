"""The operator's page: figures, every GPU, the queue, verdicts, brakes."""

from dataclasses import replace

import pytest

from scheduler.domain.brakes import Brake
from scheduler.domain.units import Instant, WorkloadId
from scheduler.lifecycle.memory.observed_only import Observed, Would
from scheduler.lifecycle.views.shapes import ObservedView
from tests.entrypoints.web.conftest import SignIn
from tests.entrypoints.web.reading import read
from tests.entrypoints.web.sample_cluster import cluster
from tests.entrypoints.web.sample_people import MARA, NOW, OTTO, H
from tests.entrypoints.web.sample_values import fallen, queue
from tests.entrypoints.web.sample_views import SampleService


async def test_the_page_says_what_the_views_say(service: SampleService, sign_in: SignIn) -> None:
    view = service.views.cluster_value
    async with sign_in(OTTO) as client:
        text = read(await client.get("/cluster")).text
    assert f"{view.in_use} of 800 GPUs" in text
    assert "Waiting 27 oldest 2 h 10 min, 94 running" in text
    assert "Not read 2 GPUs in use, without a fresh reading" in text
    assert "and 22 more" in text
    positions = [text.index(f"{w.rank} {w.name}") for w in queue()]
    assert positions == sorted(positions)
    for verdict in fallen():
        assert verdict.sentence in text


async def test_the_colours_are_links_and_need_no_script(sign_in: SignIn) -> None:
    async with sign_in(OTTO) as client:
        page = read(await client.get("/cluster"))
        switches = [link for link in page.links if link.startswith("/cluster?colour=")]
        by_owner = read(await client.get("/cluster?colour=owner"))
        odd = await client.get("/cluster?colour=mauve")
    assert switches == [f"/cluster?colour={name}" for name in ("utilisation", "owner", "class", "state")]
    assert "Léa Moreau" in by_owner.text
    assert odd.status_code == 200


async def test_an_empty_cluster_says_what_to_expect(service: SampleService, sign_in: SignIn) -> None:
    service.views.cluster_value = cluster(0)
    service.views.queue_value = ()
    service.views.verdicts_value = ()
    async with sign_in(OTTO) as client:
        text = read(await client.get("/cluster")).text
    assert "The cluster has no GPU node yet." in text
    assert "In use – 0 of 0 GPUs" in text
    assert "Nothing waits" in text
    assert "No verdict has fallen yet." in text


async def test_an_engineers_empty_verdicts_are_said_to_be_their_own(service: SampleService, sign_in: SignIn) -> None:
    service.views.verdicts_value = ()
    async with sign_in(MARA) as client:
        text = read(await client.get("/cluster")).text
    assert "Verdicts on your work No verdict on your work has fallen yet." in text


async def test_where_nothing_has_been_read_busy_is_a_dash_and_never_zero(
    service: SampleService, sign_in: SignIn
) -> None:
    node = service.views.cluster_value.nodes[0]
    unread = replace(node, gpus=tuple(replace(gpu, state="unknown", utilization_percent=None) for gpu in node.gpus))
    service.views.cluster_value = replace(cluster(0), nodes=(unread,), gpus=8, in_use=8)
    async with sign_in(OTTO) as client:
        text = read(await client.get("/cluster")).text
    assert "Busy – shown with the first readings" in text
    assert "Not read – readings are awaited" in text
    assert "nexplained" not in text


async def test_the_rest_of_the_queue_is_a_link_away(service: SampleService, sign_in: SignIn) -> None:
    service.views.queue_value = queue() * 4
    async with sign_in(OTTO) as client:
        short = read(await client.get("/cluster"))
        whole = read(await client.get("/cluster?queue=all"))
    assert "/cluster?queue=all#queue" in short.links
    assert whole.text.count("agents-night") > short.text.count("agents-night")


async def test_a_nodes_page_shows_each_gpu_and_a_dash_for_what_was_not_read(sign_in: SignIn) -> None:
    async with sign_in(OTTO) as client:
        page = read(await client.get("/cluster/nodes/g-017"))
        missing = await client.get("/cluster/nodes/g-9999")
    assert "0 unknown" in page.text
    assert "A dash is an absent reading, never a zero." in page.text
    assert missing.status_code == 404
    assert "g-9999" in read(missing).text


@pytest.mark.parametrize("brake", list(Brake))
async def test_an_operator_puts_a_brake_on_and_takes_it_off(
    brake: Brake, service: SampleService, sign_in: SignIn
) -> None:
    async with sign_in(OTTO) as client:
        form = read(await client.get("/cluster")).form(f"/brakes/{brake.value}/pause")
        paused = await client.post(form.action, data={**form.fields, "why": "power work"})
        resumed = await client.post(f"/brakes/{brake.value}/resume", data={"then": "/hours"})
    assert (paused.headers["location"], resumed.headers["location"]) == ("/cluster", "/hours")
    (pause, resume) = service.administration.asked
    assert (pause[0], pause[1][1:]) == ("pause", (brake, "power work"))
    assert (resume[0], resume[1][1:]) == ("resume_brake", (brake,))


async def test_a_brake_without_a_reason_is_refused(service: SampleService, sign_in: SignIn) -> None:
    async with sign_in(OTTO) as client:
        for why in ("", "x" * 201):
            response = await client.post("/brakes/launch/pause", data={"why": why})
            assert response.status_code == 422
        unknown = await client.post("/brakes/hand/pause", data={"why": "x"})
    assert unknown.status_code == 404
    assert service.administration.asked == []


async def test_who_is_no_operator_sees_no_brake_to_pull(sign_in: SignIn) -> None:
    async with sign_in(MARA) as client:
        page = read(await client.get("/cluster"))
    assert not [form for form in page.forms if form.action.startswith("/brakes")]


def _would_launch(seq: int, name: str, until: Instant | None = None) -> Observed:
    sentence = f"Would have launched 8 × h100 on g-{seq:03d}, holding 4.0 h."
    workload_id = WorkloadId(f"w-{name}")
    return Observed(seq, Would.LAUNCH, NOW, until, workload_id, name, MARA.id, 8, sentence, 4 * H, 0, 0)


async def test_what_would_have_been_done_is_on_the_page_where_it_only_observes(
    service: SampleService, sign_in: SignIn
) -> None:
    items = (_would_launch(2, "canary"), _would_launch(1, "sweep", until=NOW))
    service.views.observed_value = ObservedView(True, {"launch": 1, "preempt": 0}, items)
    async with sign_in(OTTO) as client:
        text = read(await client.get("/cluster")).text
    assert "Now it would launch 1, preempt 0." in text
    assert "canary Would have launched 8 × h100 on g-002, holding 4.0 h." in text
    assert text.index("canary Would") < text.index("sweep Would")


async def test_where_it_acts_nothing_would_have_been(sign_in: SignIn) -> None:
    async with sign_in(OTTO) as client:
        assert "would have been" not in read(await client.get("/cluster")).text
