"""The GPUs of this node through NVIDIA's management library (nvidia-ml-py)."""
