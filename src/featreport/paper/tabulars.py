"""Tables as booktabs longtables: a choice of columns, numbers rounded as on the page."""

from __future__ import annotations

from featreport import tables
from featreport.judge.findings import lacking
from featreport.paper import latex
from featreport.paper.longtable import Row, Shown, count, longtable, moments, name, part, shape, share, wide
from featreport.paper.sentences import Formula, Name, Sentence, at_most
from featreport.report import formats
from featreport.results.schema import Results, Run, Thresholds
from featreport.tables import Table


def overview(results: Results) -> str:
    """Return the overview of all runs."""
    limits, status = results.thresholds, {run.id: _status(run) for run in results.runs}
    shown = [
        Shown("Run", wide(46), lambda row: name(row["run"])),
        Shown("Parameters", "r", lambda row: count(row["parameters"])),
        Shown("Images", "r", lambda row: count(None if row["source"] == "none" else row["images"])),
        Shown("Dead", "r", lambda row: part(row["dead_channels"], row["channels"])),
        Shown("", "r", lambda row: share(row["dead_fraction"])),
        Shown("Near zero", "r", lambda row: share(row["near_zero_fraction"])),
        Shown("Zero", "r", lambda row: share(row["zero_fraction"])),
        Shown("Non-finite", "r", lambda row: count(row["nonfinite"])),
        Shown("Status", wide(20), lambda row: status[str(row["run"])]),
    ]
    caption: Sentence = (
        "All runs. Dead: channels at the outputs of rectifiers with ",
        at_most("a", limits.dead),
        " at every position of every image. Near zero and zero: weights of convolutions and linear layers with ",
        at_most("w", limits.near_zero),
        " and ",
        at_most("w", 0),
        ". Non-finite: NaN and infinite values in activations and parameters together.",
    )
    return longtable(tables.overview(results), shown, caption, "overview")


def layers(table: Table, limits: Thresholds, run: str, label: str) -> str:
    """Return the taps of one run."""
    shown = [
        Shown("Layer", wide(39), _tap),
        Shown("Module", wide(20), lambda row: latex.kind(formats.shorten(str(row["module"])))),
        Shown("Shape", "l", lambda row: shape(row["shape"])),
        Shown("Dead", "r", lambda row: part(row["dead"], row["channels"])),
        Shown("Zero", "r", lambda row: share(row["zero_fraction"])),
        Shown("Near zero", "r", lambda row: share(row["near_zero_fraction"])),
        *moments(table),
    ]
    images = sorted({int(count) for count in table.column("images") if isinstance(count, int)})
    over = f" over {formats.plural(images[0], 'image')}" if len(images) == 1 else ""
    caption: Sentence = (
        "Activations of the measured layers of ",
        Name(formats.shorten(run, 80)),
        f"{over}. Dead: channels with ",
        at_most("a", limits.dead),
        " at every position of every image. Zero, near zero: values with ",
        at_most("a", 0),
        " and ",
        at_most("a", limits.near_zero),
        ". Mean, population standard deviation, least and greatest: of all finite values.",
    )
    return longtable(table, shown, caption, label)


def weights(table: Table, limits: Thresholds, run: str, label: str) -> str:
    """Return the parameter tensors of one run."""
    shown = [
        Shown("Tensor", wide(46), lambda row: name(row["name"])),
        Shown("Shape", "l", lambda row: shape(row["shape"])),
        Shown("Dead filters", "r", lambda row: part(row["dead"], row["channels"])),
        Shown("Zero", "r", lambda row: share(row["zero_fraction"])),
        Shown("Near zero", "r", lambda row: share(row["near_zero_fraction"])),
        *moments(table),
    ]
    caption: Sentence = (
        "Parameters of ",
        Name(formats.shorten(run, 80)),
        ". Dead filters: output channels of conv and linear weights with ",
        at_most("w", limits.near_zero),
        " throughout. Zero, near zero: values with ",
        at_most("w", 0),
        " and ",
        at_most("w", limits.near_zero),
        ". Mean, standard deviation with ",
        Formula("n − 1", "n - 1"),
        ", least and greatest: of all finite values.",
    )
    return longtable(table, shown, caption, label)


def checkpoints(compared: tables.Compared, limits: Thresholds, label: str) -> str:
    """Return a share by checkpoint, at most as many checkpoints side by side as a page is wide."""
    table = compared.table
    kept = table.columns[1 : 1 + _ACROSS]
    shown = [Shown("Layer", wide(40), lambda row: name(row["layer"]))]
    each = min(24, 125 // max(1, len(kept)))
    shown += [_checkpoint(column.key, column.label, each) for column in kept]
    rest = len(table.columns) - 1 - len(kept)
    more = (
        f" The first {len(kept)} checkpoints; {formats.integer(rest)} more are in the CSV file."
        if rest
        else ""
    )
    limit = at_most("a", limits.dead) if compared.unit == "dead" else at_most("w", limits.near_zero)
    model = Name(formats.shorten(compared.model, 80))
    return longtable(table, shown, (f"{compared.what} (", limit, ") of ", model, f".{more}"), label)


_ACROSS = 8  # checkpoints side by side


def _checkpoint(key: str, label: str, millimetres: int) -> Shown:
    head = latex.name(formats.shorten(label, 28))
    align = rf">{{\raggedleft\arraybackslash}}p{{{millimetres}mm}}"
    return Shown(head, align, lambda row: share(row[key]))


def _tap(row: Row) -> str:
    text = name(row["layer"])
    if row["output"] is not None:
        text += f" ({name(row['output'])})"
    return f"{text} (call {row['call']})" if row["call"] else text


def _status(run: Run) -> str:
    if run.status == "failed":
        return f"failed ({run.error.stage if run.error else 'unknown'})"
    lost = len(lacking(run.load)) + len(run.load.mismatched) if run.load else 0
    return f"{formats.integer(lost)} not loaded" if lost else "complete"
