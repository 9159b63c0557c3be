"""`${NAME}` in a manifest's text → the value of an environment variable."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from featreport.manifest.scalars import quote

LARGEST = 2**20  # characters that variables may bring in all: as large as a manifest may be
_FORM = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^{}]*))?\}|(?=\{))"
)


class TooMuchError(Exception):
    """The variables bring more text than a manifest may have."""


@dataclass(frozen=True)
class Filled:
    """A text with the values in place; with `wrong`, why some have none."""

    text: str
    whole: bool  # the text was one variable and nothing else
    wrong: tuple[str, ...] = ()


@dataclass
class Variables:
    """The environment, and what a manifest took of it."""

    values: Mapping[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)  # names, also of those that were not set
    size: int = 0  # characters put in

    def fill(self, text: str) -> Filled:
        """Return `text` with `${NAME}` and `${NAME:-default}` replaced and `$$` as one dollar.

        A default stands where the variable is not set or empty. What a value holds is not looked at again.

        Raises:
            TooMuchError: the values are longer than a manifest may be.
        """
        wrong: list[str] = []

        def value(match: re.Match[str]) -> str:
            if match["dollar"]:
                return "$"
            name, default = match["name"], match["default"]
            if name is None:
                shown = quote(text[match.start() : match.start() + 40])
                wrong.append(
                    f"expected ${{NAME}} or ${{NAME:-default}}, got {shown} (a literal dollar is $$)"
                )
                return ""
            self.used.add(name)
            found = self.values.get(name)
            if found is None and default is None:
                wrong.append(
                    f"the environment variable {quote(name)} is not set (set it, or write ${{{name}:-default}})"
                )
                return ""
            put = default if default is not None and not found else found or ""
            self.size += len(put)
            if self.size > LARGEST:
                raise TooMuchError
            return put

        filled = _FORM.sub(value, text)
        only = _FORM.fullmatch(text)
        return Filled(filled, only is not None and only["name"] is not None, tuple(dict.fromkeys(wrong)))
