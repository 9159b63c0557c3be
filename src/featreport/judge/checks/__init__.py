"""Checks: rules of the manifest held against measured numbers, each on its own; pure functions of results."""

from featreport.judge.checks.gate import failing, severities
from featreport.judge.checks.words import headline, lines, rule, said

__all__ = ["failing", "headline", "lines", "rule", "said", "severities"]
