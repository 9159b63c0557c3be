"""What the measured numbers mean, in words: the verdict and the findings, worst first."""

from featreport.judge.findings import Finding, Level, Target
from featreport.judge.verdict import Verdict, evidence, judge

__all__ = ["Finding", "Level", "Target", "Verdict", "evidence", "judge"]
