"""Tables as booktabs longtables: a choice of columns, numbers rounded as on the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from featreport import tables
from featreport.paper import latex
from featreport.report import formats
from featreport.tables import Table, Value

NEEDS = "booktabs, longtable, array"
Row = dict[str, Value]


@dataclass(frozen=True)
class _Shown:
    """One column of a LaTeX table: its head, its alignment, and the text of a row's cell, already LaTeX."""

    head: str
    align: str
    text: Callable[[Row], str]


def overview(table: Table) -> str:
    """Return the overview of all runs."""
    shown = [
        _Shown("Run", _wide(46), lambda row: _name(row["run"])),
        _Shown("Parameters", "r", lambda row: _count(row["parameters"])),
        _Shown("Images", "r", lambda row: _count(row["images"])),
        _Shown("Dead", "r", lambda row: _part(row["dead_channels"], row["channels"])),
        _Shown("", "r", lambda row: _share(row["dead_fraction"])),
        _Shown("Near zero", "r", lambda row: _share(row["near_zero_fraction"])),
        _Shown("Zero", "r", lambda row: _share(row["zero_fraction"])),
        _Shown("Non-finite", "r", lambda row: _count(row["nonfinite"])),
        _Shown("Status", _wide(20), _status),
    ]
    caption = (
        "All runs. Dead: channels at rectifier outputs that never exceed the threshold on any image; near zero and "
        "zero: shares of the weights of convolutions and linear layers."
    )
    return _longtable(table, shown, caption, "overview")


def layers(table: Table, run: str, label: str) -> str:
    """Return the taps of one run."""
    shown = [
        _Shown("Layer", _wide(39), _tap),
        _Shown("Module", _wide(20), lambda row: _name(row["module"])),
        _Shown("Shape", "l", lambda row: _shape(row["shape"])),
        _Shown("Dead", "r", lambda row: _part(row["dead"], row["channels"])),
        _Shown("Zero", "r", lambda row: _share(row["zero_fraction"])),
        _Shown("Near zero", "r", lambda row: _share(row["near_zero_fraction"])),
        *_moments(table),
    ]
    caption = "Activations of every layer of "
    return _longtable(table, shown, caption, label, of=run)


def weights(table: Table, run: str, label: str) -> str:
    """Return the parameter tensors of one run."""
    shown = [
        _Shown("Tensor", _wide(46), lambda row: _name(row["name"])),
        _Shown("Shape", "l", lambda row: _shape(row["shape"])),
        _Shown("Dead filters", "r", lambda row: _part(row["dead"], row["channels"])),
        _Shown("Zero", "r", lambda row: _share(row["zero_fraction"])),
        _Shown("Near zero", "r", lambda row: _share(row["near_zero_fraction"])),
        *_moments(table),
    ]
    return _longtable(table, shown, "Parameters of ", label, of=run)


def checkpoints(table: Table, model: str, label: str) -> str:
    """Return the dead shares of a model's checkpoints side by side, at most as many as a page is wide."""
    kept = table.columns[1 : 1 + _ACROSS]
    shown = [_Shown("Layer", _wide(40), lambda row: _name(row["layer"]))]
    wide = min(24, 125 // max(1, len(kept)))
    shown += [_checkpoint(column.key, column.label, wide) for column in kept]
    rest = len(table.columns) - 1 - len(kept)
    note = f" The first {len(kept)} checkpoints; {rest} more are in the CSV file." if rest else ""
    return _longtable(table, shown, f"Dead channels by checkpoint.{note} Model ", label, of=model)


_ACROSS = 8  # checkpoints side by side


def _checkpoint(key: str, label: str, wide: int) -> _Shown:
    head = latex.name(formats.shorten(label, 28))
    align = rf">{{\raggedleft\arraybackslash}}p{{{wide}mm}}"
    return _Shown(head, align, lambda row: _share(row[key]))


def _longtable(table: Table, shown: Sequence[_Shown], caption: str, label: str, of: str | None = None) -> str:
    """Return the table; its head is repeated on every page. `of` is a name that ends the caption."""
    keys = [column.key for column in table.columns]
    words = latex.prose(caption) + ("" if of is None else latex.name(formats.shorten(of, 80)) + ".")
    head = " & ".join(column.head for column in shown) + r" \\"
    lines = [
        f"% Needs the packages {NEEDS}.",
        r"{\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\begin{{longtable}}{{@{{}}{''.join(column.align for column in shown)}@{{}}}}",
        rf"\caption{{{words}}}\label{{tab:{label}}}\\",
        r"\toprule",
        head,
        r"\midrule",
        r"\endfirsthead",
        r"\toprule",
        head,
        r"\midrule",
        r"\endhead",
        r"\bottomrule",
        r"\endlastfoot",
    ]
    for row in table.rows:
        values = dict(zip(keys, row, strict=True))
        lines.append(" & ".join(column.text(values) for column in shown) + r" \\")
    if not table.rows:
        lines.append(rf"\multicolumn{{{len(shown)}}}{{@{{}}l@{{}}}}{{None.}} \\")
    return "\n".join([*lines, r"\end{longtable}}", ""])


def _moments(table: Table) -> list[_Shown]:
    return [
        _moment(table, key, head)
        for key, head in (("mean", "Mean"), ("std", "Std"), ("min", "Min"), ("max", "Max"))
    ]


def _moment(table: Table, key: str, head: str) -> _Shown:
    """Return a column of numbers with as many decimals as its typical value needs."""
    values = [value for value in table.column(key) if isinstance(value, float | int)]
    places = formats.decimals(values)
    return _Shown(head, "r", lambda row: latex.prose(formats.fixed(_number(row[key]), places)))


def _wide(millimetres: int) -> str:
    return rf">{{\raggedright\arraybackslash}}p{{{millimetres}mm}}"


def _tap(row: Row) -> str:
    text = _name(row["layer"])
    if row["output"] is not None:
        text += f" ({_name(row['output'])})"
    return f"{text} (call {row['call']})" if row["call"] else text


def _status(row: Row) -> str:
    if row["status"] == "failed":
        return f"failed ({latex.escape(_text(row['failed_stage'] or 'unknown'))})"
    lost = sum(int(row[key] or 0) for key in ("load_missing", "load_mismatched"))
    return f"{formats.integer(lost)} not loaded" if lost else "complete"


def _part(count: Value, whole: Value) -> str:
    known = isinstance(count, int) and isinstance(whole, int) and whole > 0
    return formats.part(count, whole) if known and isinstance(count, int) and isinstance(whole, int) else "--"


def _share(value: Value) -> str:
    return latex.prose(formats.percent(_number(value)))


def _count(value: Value) -> str:
    return latex.prose(formats.integer(value if isinstance(value, int) else None))


def _shape(value: Value) -> str:
    return latex.prose(_text(value).replace("x", "×")) or "scalar"


def _number(value: Value) -> float | None:
    return value if isinstance(value, float | int) else None


def _name(value: Value) -> str:
    """Return a name that fits a few lines of its column; the CSV file has it in full."""
    return latex.name(formats.shorten(_text(value), 100))


def _text(value: Value) -> str:
    return tables.cell_text(value)
