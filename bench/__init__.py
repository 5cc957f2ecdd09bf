"""Benchmarks: one command each, one JSON line per figure, each beside its floor of the same run."""
