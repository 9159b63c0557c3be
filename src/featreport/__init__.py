"""featreport: what do these checkpoints contain, and what do they do to these images?"""

__version__ = "0.1.0"
