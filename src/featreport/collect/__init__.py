"""Taps on a running network, and a run from start to finish."""
