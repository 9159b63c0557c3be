"""Kernels: the first layer's filters, and the norms of others."""

from __future__ import annotations

from featreport.figures.cells import lattice
from featreport.report import formats, pictured, pixels
from featreport.report.drawn import KernelFigure, MatrixFigure, Placed, Scale
from featreport.report.rows import name
from featreport.report.shelf import Shelf
from featreport.results.schema import Kernels, Run

MATRIX, NARROWEST = 256, 12  # of a picture of norms, at most and at least, in CSS pixels
KERNEL = 34.0


def matrices(run: Run, shelf: Shelf, anchor: str) -> tuple[MatrixFigure, ...]:
    """Return the figures of the kernels' norms that the manifest asks for."""
    figures = []
    for one in run.kernel_norms:
        if not shelf.holds(one.picture) or min(one.size) < 1:
            continue
        zoom = max(1, min(MATRIX // max(one.size), 8))
        height, width = (max(side * zoom, NARROWEST) for side in one.size)
        what = f"L2 norm of each {' × '.join(map(str, one.kernel))} kernel" if one.kernel else "|w|"
        averaged = " Averaged over areas." if [one.outputs, one.inputs] != one.size else ""
        sizes = f"{formats.integer(one.outputs)} outputs down, {formats.integer(one.inputs)} inputs across"
        figures.append(
            MatrixFigure(
                title=name(one.name),
                picture=Placed(0, 0, width, height, shelf.show(one.picture, width, height)),
                caption=f"{what}: {sizes}.{averaged}",
                scale=Scale("0", formats.number(one.high)),
                alt=f"{what} of {one.name}, from 0 (black) to {formats.number(one.high)} (white)",
                values=pixels.of_norms(one),
                data=pictured.of_norms(one, shelf, anchor),
            )
        )
    return tuple(figures)


def kernels(shown: Kernels | None, shelf: Shelf, anchor: str, planes: int = 3) -> KernelFigure | None:
    """Return the figure of the first layer's filters."""
    if shown is None or min(*shown.tile, shown.columns, shown.shown) < 1:
        return None
    scale = max(1.0, KERNEL // shown.tile[0])
    tile, gap = (shown.tile[0] * scale, shown.tile[1] * scale), shown.gap * scale
    rows = -(-shown.shown // shown.columns)
    width = shown.columns * tile[1] + (shown.columns - 1) * gap
    height = rows * tile[0] + (rows - 1) * gap
    low, high = formats.number(-shown.limit), formats.number(shown.limit)
    caption = (
        f"{formats.part(shown.shown, shown.total)} filters of {shown.name}, numbered row by row from 0. Mid grey is "
        f"weight 0; structure such as edges and colours is learned, even noise is not."
    )
    return KernelFigure(
        sprite=Placed(0, 0, width, height, shelf.show(shown.picture, width, height)),
        gaps=lattice(rows, shown.columns, tile, (gap, gap)),
        caption=caption,
        scale=Scale(low, high),
        alt=f"{shown.shown} filters of {shown.name}, from {low} to {high}",
        values=pixels.of_kernels(shown, planes),
        data=pictured.of_kernels(shown, planes, shelf, anchor),
    )
