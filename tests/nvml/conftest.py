"""The fake library, a machine of one's own per test, and the agent as a real process."""

import os
from pathlib import Path

import pytest

from tests.nvml.agent_process import AgentProcess
from tests.nvml.api_server import ApiServer
from tests.nvml.machine import FakeMachine, build_library, compiler

HERE = f"{Path(__file__).parent}{os.sep}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the C compiler, and is left out with one plain line where there is none."""
    left_out = pytest.mark.skip(reason="no C compiler: tests of the GPU sensors are left out (install cc or gcc)")
    for item in items:
        if str(item.path).startswith(HERE):
            item.add_marker(pytest.mark.nvml)
            if compiler() is None:
                item.add_marker(left_out)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.getbasetemp()
    # Test workers have folders of their own below one that they share.
    return build_library(base.parent if base.name.startswith("popen-") else base)


@pytest.fixture
def fake(library: Path, tmp_path: Path) -> FakeMachine:
    return FakeMachine(tmp_path / "machine", library)


@pytest.fixture
def api(tmp_path: Path) -> ApiServer:
    return ApiServer()


@pytest.fixture
def agent_process(fake: FakeMachine, tmp_path: Path) -> AgentProcess:
    return AgentProcess(fake, tmp_path)
