"""`python -m featreport`."""

from featreport.cli import main

main()
