"""Having pods that would run for long end now: so that no test has to be quicker than what it started."""

from scheduler.entrypoints.devcluster import simulated
from scheduler.entrypoints.devcluster.client import ApiClient


async def end_running_pods(api: ApiClient, namespace: str) -> None:
    """Every pod of the namespace that runs ends by itself, well."""
    pods = f"/api/v1/namespaces/{namespace}/pods"
    for pod in await api.items(pods):
        if pod["status"]["phase"] == "Running":
            told = {"metadata": {"annotations": {simulated.RUN_SECONDS: "0"}}}
            await api.patch(f"{pods}/{pod['metadata']['name']}", told)
