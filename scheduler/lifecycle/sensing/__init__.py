"""Readings of GPUs: taken in, attributed, judged idle or not, and idle hours handed back."""
