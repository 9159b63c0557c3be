"""Where the process begins: the command `featreport`, and `python -m featreport`."""

import sys
from typing import NoReturn

from featreport import process


def main() -> NoReturn:
    """Run the command line."""
    process.begin_again(measuring=sys.argv[1:2] == ["build"])
    from featreport import cli  # not before: a process that begins again would import it twice

    cli.main()


if __name__ == "__main__":
    main()
