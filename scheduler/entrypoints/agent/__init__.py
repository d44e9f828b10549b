"""`allot agent`: reads the GPUs of its node and tells the API, on every GPU node of the cluster.

A sampler in a process of its own reads NVML, because a call that hangs in the driver cannot be called off. This
process watches over it, integrates what it reads into windows, keeps them on disk, and posts them.
"""
