"""Small clusters and tasks for the packing experiment, generated and by hand."""

from hypothesis import strategies as st

from scheduler.simulation.traces.openb import OpenbNode, OpenbPod

MODELS = ("A10", "G2", "T4")


def node(name: str, gpus: int = 2, cpu_milli: int = 16_000, model: str = "G2", memory_mib: int = 65_536) -> OpenbNode:
    return OpenbNode(name, cpu_milli, memory_mib, gpus, model if gpus else "")


def pod(
    name: str, gpus: int = 1, milli: int = 1000, cpu_milli: int = 1_000, models: tuple[str, ...] = ()
) -> OpenbPod:
    return OpenbPod(name, cpu_milli, 1_024, gpus, milli if gpus else 0, models)


@st.composite
def clusters(draw: st.DrawFn) -> tuple[OpenbNode, ...]:
    sizes = draw(st.lists(st.sampled_from([0, 1, 2, 4, 8]), min_size=1, max_size=6))
    nodes = [
        node(f"n-{number}", gpus, draw(st.sampled_from([4_000, 16_000, 96_000])), draw(st.sampled_from(MODELS)))
        for number, gpus in enumerate(sizes)
    ]
    return (*nodes, node("n-last", 4))


@st.composite
def workloads(draw: st.DrawFn) -> tuple[OpenbPod, ...]:
    asked = st.one_of(
        st.tuples(st.just(1), st.sampled_from([110, 320, 470, 810, 1000])),
        st.tuples(st.sampled_from([0, 2, 4, 8]), st.just(1000)),
    )
    kinds = draw(
        st.lists(
            st.tuples(
                asked,
                st.sampled_from([0, 1_000, 6_000, 20_000]),
                st.sampled_from([(), (), ("T4",), ("A10", "G2")]),
            ),
            min_size=1,
            max_size=12,
        )
    )
    return tuple(
        pod(f"p-{number}", gpus, milli, cpu_milli, models)
        for number, ((gpus, milli), cpu_milli, models) in enumerate(kinds)
    )
