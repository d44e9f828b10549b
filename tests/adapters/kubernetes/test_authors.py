"""Whose Jobs are, as the admission policies of manifests/ see to it: nobody names anybody else, now or for later."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from scheduler.adapters.kubernetes.connection import Answer, Connection
from scheduler.adapters.kubernetes.credentials import load_credentials
from scheduler.adapters.kubernetes.names import JSON, MERGE_PATCH
from scheduler.adapters.kubernetes.watching import status_message
from scheduler.entrypoints.devcluster.client import ApiClient
from scheduler.entrypoints.devcluster.cluster import ControlPlane
from tests.controlplane.planes import kubeconfig_of
from tests.plugins.deployed import kubectl_job
from tests.plugins.polling import eventually

pytestmark = pytest.mark.controlplane

AUTHOR = "allot.dev/author"


class Person:
    """Somebody who may edit some namespaces, and what the apiserver answers them."""

    def __init__(self, plane: ControlPlane, name: str) -> None:
        self.name = name
        self._credentials = load_credentials(str(kubeconfig_of(plane, name, "system:authenticated")))

    async def let_edit(self, api: ApiClient, namespace: str) -> None:
        binding = {
            "metadata": {"name": self.name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": self.name}],
        }
        await api.post(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings", binding)

    async def post(self, path: str, body: dict[str, Any]) -> Answer:
        return await self._send("POST", path, body, JSON)

    async def patch(self, path: str, body: dict[str, Any]) -> Answer:
        return await self._send("PATCH", path, body, MERGE_PATCH)

    async def _send(self, method: str, path: str, body: dict[str, Any], content_type: str) -> Answer:
        async with Connection(self._credentials, lambda: 0.5) as connection:
            return await connection.request(method, path, body=orjson.dumps(body), content_type=content_type)


@pytest.fixture
async def elsewhere(api: ApiClient, managed: str) -> AsyncIterator[str]:
    """A namespace that nobody manages yet, beside one that is."""
    name = f"{managed}-elsewhere"
    await api.post("/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    await api.delete(f"/api/v1/namespaces/{name}")


def path_of(namespace: str, kind: str, name: str = "") -> str:
    return f"/apis/batch/v1/namespaces/{namespace}/{kind}" + (f"/{name}" if name else "")


def cronjob(name: str, annotations: dict[str, str] | None = None) -> dict[str, Any]:
    job = kubectl_job(name)
    made = {"metadata": {"annotations": annotations or {}}, "spec": job["spec"]}
    return {"metadata": {"name": name}, "spec": {"schedule": "0 3 1 1 *", "jobTemplate": made}}


def author_of(raw: dict[str, Any]) -> str:
    return str(raw["spec"]["jobTemplate"]["metadata"]["annotations"][AUTHOR])


async def test_a_cronjob_is_whose_who_last_changed_its_spec(
    control_plane: ControlPlane, api: ApiClient, managed: str
) -> None:
    ada, bao = Person(control_plane, "ada"), Person(control_plane, "bao")
    for person in (ada, bao):
        await person.let_edit(api, managed)
    path = path_of(managed, "cronjobs", "nightly")

    async def made(query: str = "") -> Answer:
        return await ada.post(path_of(managed, "cronjobs") + query, cronjob("nightly", {AUTHOR: "bao"}))

    def is_ruled(tried: Answer) -> bool:
        return tried.status == 201 and author_of(orjson.loads(tried.body)) == "ada"

    # The policy and the binding of the role take a moment; until the latter, every answer is 403.
    await eventually(lambda: made("?dryRun=All"), is_ruled)
    assert (await made()).status == 201
    first = author_of(await api.get(path))
    await bao.patch(path, {"metadata": {"labels": {"seen": "yes"}}})
    looked_at = author_of(await api.get(path))
    await bao.patch(path, {"spec": {"schedule": "* * * * *", "suspend": True}})
    rescheduled = author_of(await api.get(path))
    await bao.patch(path, {"spec": {"jobTemplate": {"metadata": {"annotations": {AUTHOR: "ada"}}}}})
    forged = author_of(await api.get(path))

    assert (first, looked_at, rescheduled, forged) == ("ada", "ada", "bao", "bao")


async def test_where_no_name_is_compared_nobody_names_anybody_else_for_the_day_on_which_the_namespace_is_managed(
    control_plane: ControlPlane, api: ApiClient, elsewhere: str
) -> None:
    ada = Person(control_plane, "ada")
    await ada.let_edit(api, elsewhere)
    jobs, cronjobs = path_of(elsewhere, "jobs"), path_of(elsewhere, "cronjobs")

    async def forged() -> Answer:
        return await ada.post(f"{jobs}?dryRun=All", kubectl_job("forged", {AUTHOR: "bao"}))

    # The policy and the binding of the role take a moment; until the latter, every answer is 403.
    await eventually(lambda: ada.post(jobs, kubectl_job("plain")), lambda answer: answer.status in {201, 409})
    refused = await eventually(forged, lambda answer: answer.status == 403)
    own = await ada.post(jobs, kubectl_job("own", {AUTHOR: "ada"}))
    planted = await ada.post(cronjobs, cronjob("planted", {AUTHOR: "bao"}))
    plain = await ada.post(cronjobs, cronjob("plain"))
    later = [
        await ada.patch(f"{jobs}/plain", {"metadata": {"annotations": {AUTHOR: "bao"}}}),
        await ada.patch(
            f"{cronjobs}/plain", {"spec": {"jobTemplate": {"metadata": {"annotations": {AUTHOR: "bao"}}}}}
        ),
    ]

    assert "names somebody else" in status_message(refused)
    assert (own.status, planted.status, plain.status) == (201, 403, 201)
    assert [answer.status for answer in later] == [403, 403]


async def test_what_bears_a_name_from_when_its_namespace_was_managed_may_be_written_as_before(
    control_plane: ControlPlane, api: ApiClient, elsewhere: str
) -> None:
    bao = Person(control_plane, "bao")
    await bao.let_edit(api, elsewhere)
    await api.post(path_of(elsewhere, "jobs"), kubectl_job("adas", {AUTHOR: "ada"}))  # an administrator may
    await api.post(path_of(elsewhere, "cronjobs"), cronjob("adas", {AUTHOR: "ada"}))
    labelled = {"metadata": {"labels": {"seen": "yes"}}}

    async def relabelled() -> list[int]:
        paths = [path_of(elsewhere, kind, "adas") for kind in ("jobs", "cronjobs")]
        return [(await bao.patch(path, labelled)).status for path in paths]

    assert await eventually(relabelled, lambda statuses: statuses == [200, 200]) == [200, 200]
