"""Prometheus, where it keeps what dcgm-exporter tells: a recording to judge, or sensors without an agent of ours."""
