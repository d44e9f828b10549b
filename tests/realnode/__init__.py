"""A real Kubernetes node for the end-to-end tests: containerd, kubelet and a device plugin, in namespaces of their own.

Containers, processes, cgroups, signals and stamps are real; the GPUs are those of the fake NVML library.
"""
