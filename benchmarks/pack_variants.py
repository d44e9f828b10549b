"""Variants of a trace's tasks, as the FGD paper has them: more sharing, more multi-GPU, more GPU models, more CPU-only;
and of ours, more or less CPU and memory for every task, and several of these at once.

Made by chance with a seed of their own; the tasks' other figures stay as they are.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from scheduler.simulation.traces.openb import OpenbNode, OpenbPod

Variant = Callable[[Sequence[OpenbPod], Sequence[OpenbNode], Random], list[OpenbPod]]


def sharing(part: float) -> Variant:
    """So much of the tasks that ask for whole GPUs ask for a share instead, drawn from the shares there are."""

    def vary(pods: Sequence[OpenbPod], nodes: Sequence[OpenbNode], random: Random) -> list[OpenbPod]:
        del nodes
        shares = [pod.gpu_milli for pod in pods if pod.gpus == 1 and pod.gpu_milli < 1000]
        return [
            replace(pod, gpus=1, gpu_milli=random.choice(shares))
            if pod.gpus * pod.gpu_milli >= 1000 and random.random() < part
            else pod
            for pod in pods
        ]

    return vary


def multi_gpu(part: float) -> Variant:
    """So much of the tasks that ask for one whole GPU ask for 2, 4 or 8, with as many times the CPU, up to a node's."""

    def vary(pods: Sequence[OpenbPod], nodes: Sequence[OpenbNode], random: Random) -> list[OpenbPod]:
        cpu_max = max(node.cpu_milli for node in nodes if node.gpus == 8)
        varied = []
        for pod in pods:
            if pod.gpus == 1 and pod.gpu_milli == 1000 and random.random() < part:
                gpus = random.choice([2, 4, 8])
                varied.append(replace(pod, gpus=gpus, cpu_milli=min(cpu_max, gpus * pod.cpu_milli)))
            else:
                varied.append(pod)
        return varied

    return vary


def constrained(part: float, models_max: int = 2) -> Variant:
    """So much of the tasks with GPUs run on one model alone, or on so many at most, drawn by how many nodes have them."""

    def vary(pods: Sequence[OpenbPod], nodes: Sequence[OpenbNode], random: Random) -> list[OpenbPod]:
        models = [node.model for node in nodes if node.gpus]
        return [
            replace(pod, models=tuple(sorted({random.choice(models) for _ in range(random.randint(1, models_max))})))
            if pod.gpus and random.random() < part
            else pod
            for pod in pods
        ]

    return vary


def cpu_only(times: float) -> Variant:
    """So many times the tasks without GPUs."""

    def vary(pods: Sequence[OpenbPod], nodes: Sequence[OpenbNode], random: Random) -> list[OpenbPod]:
        del nodes
        without = [pod for pod in pods if not pod.gpus]
        return [*pods, *random.choices(without, k=round((times - 1) * len(without)))]

    return vary


def asking(cpu: float = 1, memory: float = 1) -> Variant:
    """Every task asks for so many times its CPU and its memory, GPUs as before."""

    def vary(pods: Sequence[OpenbPod], nodes: Sequence[OpenbNode], random: Random) -> list[OpenbPod]:
        del nodes, random
        return [
            replace(pod, cpu_milli=round(cpu * pod.cpu_milli), memory_mib=round(memory * pod.memory_mib))
            for pod in pods
        ]

    return vary


def together(*variants: Variant) -> Variant:
    """One after the other."""

    def vary(pods: Sequence[OpenbPod], nodes: Sequence[OpenbNode], random: Random) -> list[OpenbPod]:
        varied = list(pods)
        for each in variants:
            varied = each(varied, nodes, random)
        return varied

    return vary


VARIANTS: dict[str, Variant] = {
    "sharing 40 %": sharing(0.4),
    "sharing all": sharing(1.0),
    "multi-GPU 10 %": multi_gpu(0.1),
    "multi-GPU 40 %": multi_gpu(0.4),
    "models 10 %": constrained(0.1),
    "models 33 %": constrained(0.33),
    "CPU-only x2": cpu_only(2.0),
    "CPU-only x2.5": cpu_only(2.5),
    "CPU-only x4": cpu_only(4.0),
    "CPU x3": asking(cpu=3),
    "memory x8": asking(memory=8),
    "multi-GPU 30 %": multi_gpu(0.3),
    "multi-GPU, CPU-only": together(multi_gpu(0.3), cpu_only(2.0)),
    "all together": together(sharing(0.2), multi_gpu(0.2), constrained(0.2), cpu_only(2.0)),
    "multi-GPU, CPU x2": together(multi_gpu(0.4), asking(cpu=2)),
    "multi-GPU, models": together(multi_gpu(0.3), constrained(0.3)),
    "CPU x0.5": asking(cpu=0.5),
    "10 % multi, CPU-only x3": together(multi_gpu(0.1), cpu_only(3.0)),
    "models 100 %": constrained(1.0),
    "one model each": constrained(1.0, models_max=1),
}
