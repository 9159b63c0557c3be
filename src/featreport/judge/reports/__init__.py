"""The outcomes of checks for other programs: JUnit XML and Markdown, as text and nothing else."""

from featreport.judge.reports.junit import junit
from featreport.judge.reports.markdown import markdown

__all__ = ["junit", "markdown"]
