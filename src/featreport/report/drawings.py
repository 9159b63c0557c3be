"""Feature maps: where each tile, thumbnail, index and hatching stands."""

from __future__ import annotations

from dataclasses import replace

from featreport.figures.cells import lattice, unit_blocks
from featreport.report import formats, pictured, pixels
from featreport.report.cells import Name
from featreport.report.drawn import Frame, Label, MapFigure, Placed, Scale
from featreport.report.overlay import overlay
from featreport.report.rows import flagged, name
from featreport.report.shelf import WHOLE, Shelf
from featreport.results.schema import Activation, FeatureMaps, ImageFile, Run

TILE = 56.0  # height of a map on the page, in CSS pixels
BROADEST, NARROWEST = 120.0, 16.0  # of a map
HEAD = 16.0  # room for the channel indices
BASELINE = 11.0  # of the words above and below the maps, from the top of the line they stand in
SPACE = 8.0
WIDEST, THINNEST = 96.0, 1.0  # of a thumbnail
GRID = 640.0  # the widest grid of units
LARGEST_CELL = 24.0
LOUDEST = 36.0  # height of the image that fires a channel most
MARKUP = 470  # bytes of a figure beside what it holds, about:
LABELS, PHOTOS, HATCHES, VEILS = (
    19,
    34,
    60,
    73,
)  # of each word over a column, image below it, dead map, and veil
_RULES = {
    "first": "",
    "strongest": ", the strongest first",
    "rarest": ", the rarest to fire first",
    "dead": ", dead ones first",
}


def maps(run: Run, shelf: Shelf, anchor: str) -> tuple[MapFigure, ...]:
    """Return the figures of a run's feature maps, in the order of the model; their files' names begin with `anchor`."""
    taps = {(tap.layer, tap.call, tap.output): tap for tap in run.activations}
    figures = []
    for shown in run.maps:
        tap = taps.get((shown.layer, shown.call, shown.output))
        if shown.images and shown.channels and min(shown.tile) > 0 and shelf.holds(*_pictures(shown)):
            figure = (_units if shown.kind == "units" else _maps)(run, shown, tap, shelf)
            link = pictured.of_maps(run, shown, tap, shelf, anchor)
            figure = replace(figure, values=pixels.of_maps(shown), data=link)
            markup = _markup(figure)
            weight = markup + sum(shelf.size(key) for key in figure.pictures)
            figures.append(replace(figure, markup=markup, weight=weight))
    return tuple(figures)


def _markup(figure: MapFigure) -> int:
    """Return about how many bytes a figure takes beside its pictures."""
    words = [figure.alt, figure.caption, figure.values, figure.module, *2 * [figure.title.text]]
    if figure.data is not None:
        words += [figure.data.href, figure.data.filename, figure.data.label]
    held = LABELS * (len(figure.labels) + len(figure.numbers)) + PHOTOS * len(figure.loudest)
    held += HATCHES * len(figure.hatched) + VEILS * (figure.veil is not None)
    held += len(figure.units) * len(figure.unit_grids)
    return MARKUP + held + sum(len(text.encode(errors="replace")) for text in words)


def absent(run: Run, shelf: Shelf) -> int:
    """Count the taps whose maps the results describe and no longer hold: an earlier page had no room for them."""
    return sum(not shelf.holds(*_pictures(shown)) for shown in run.maps) if shelf.any else 0


def _pictures(shown: FeatureMaps) -> tuple[str, ...]:
    return (shown.picture,) if shown.contrast is None else (shown.picture, shown.contrast)


def _maps(run: Run, shown: FeatureMaps, tap: Activation | None, shelf: Shelf) -> MapFigure:
    tall, width = _on_page(shown.tile)
    under, gap = shown.gap * tall / shown.tile[0], shown.gap * width / shown.tile[1]
    rows, columns = len(shown.images), len(shown.channels)
    across, down = columns * width + (columns - 1) * gap, rows * tall + (rows - 1) * under
    tops = [HEAD + row * (tall + under) for row in range(rows)]
    thumbnails = _thumbnails(run, shown, shelf, tops, tall)
    left = max((thumb.width for thumb in thumbnails), default=0.0) + (SPACE if thumbnails else 0)
    dead = set(tap.dead) if tap else set()
    columns_at = [(channel, left + place * (width + gap)) for place, channel in enumerate(shown.channels)]
    silent = [channel for channel in shown.channels if channel in dead]
    sprite = Placed(left, HEAD, round(across, 2), round(down, 2), shelf.show(shown.picture, across, down))
    loudest = _loudest(run, shown, tap, shelf, columns_at, (width, HEAD + down + SPACE)) if tap else ()
    below = HEAD + down + SPACE + LOUDEST / 2
    numbers = _numbers(run, shown, columns_at, width) if tap is not None and tap.rectifier else ()
    bottom = max((thumb.y + thumb.height for thumb in loudest), default=HEAD + down)
    bottom = max(bottom, below + 4) if numbers else bottom
    gaps = lattice(rows, columns, (tall, width), (under, gap), behind=shown.contrast is not None)
    return MapFigure(
        title=_title(shown),
        module=tap.module if tap else "",
        rectifier=bool(tap and tap.rectifier),
        width=round(left + across, 1),
        height=round(bottom, 1),
        sprite=sprite,
        veil=_veil(shown, shelf, left, (rows * (tall + under), columns * (width + gap))),
        thumbnails=thumbnails,
        labels=tuple(Label(round(x + width / 2), str(channel), channel in dead) for channel, x in columns_at),
        gaps=gaps,
        hatched=tuple(
            Placed(round(x, 1), HEAD, round(width, 1), round(down, 1))
            for channel, x in columns_at
            if channel in dead
        ),
        units="",
        unit_grids=(),
        caption=_caption(shown, tap, silent),
        scale=_scale(shown),
        alt=_alt(shown, silent),
        flagged=bool(tap and flagged(tap)),
        pictures=_pictures(shown),
        loudest=loudest,
        numbers=numbers,
        numbers_y=round(below - BASELINE, 1),
        frame=shelf.frame(Frame(left, HEAD, thumbnails, gaps)),
        overlay=overlay(run, shown, shelf, (across, down), (tall, width)),
    )


def _on_page(tile: list[int]) -> tuple[float, float]:
    """Return height and width of a map on the page: 56 pixels high, or lower for a wide one; never a mere line."""
    scale = min(TILE / tile[0], BROADEST / tile[1])
    return max(tile[0] * scale, NARROWEST), max(tile[1] * scale, NARROWEST)


def _veil(shown: FeatureMaps, shelf: Shelf, left: float, size: tuple[float, float]) -> Placed | None:
    """Place the veil so that each of its pixels covers one tile and the gap after it."""
    if shown.contrast is None:
        return None
    height, width = size
    return Placed(left, HEAD, round(width, 2), round(height, 2), shelf.show(shown.contrast, width, height))


def _numbers(
    run: Run, shown: FeatureMaps, columns_at: list[tuple[int, float]], width: float
) -> tuple[Label, ...]:
    """Return the numbers of the images that have no thumbnail to stand under the channel they fire most."""
    found = []
    for number, (_, x) in zip(shown.loudest, columns_at, strict=False):
        file = run.images.files[number] if number is not None and number < len(run.images.files) else None
        if number is not None and (file is None or file.picture is None):
            found.append(Label(round(x + width / 2), f"no. {number}", struck=False))
    return tuple(found)


def _loudest(
    run: Run,
    shown: FeatureMaps,
    tap: Activation,
    shelf: Shelf,
    columns_at: list[tuple[int, float]],
    place: tuple[float, float],
) -> tuple[Placed, ...]:
    """Place under each channel of a rectifier the image that fires it most."""
    if not tap.rectifier or len(shown.loudest) != len(columns_at) or tap.images <= 1:
        return ()
    width, top = place
    placed = []
    for number, (_, x) in zip(shown.loudest, columns_at, strict=True):
        file = run.images.files[number] if number is not None and number < len(run.images.files) else None
        if file is not None:
            wide, tall = _fitting(file, width, LOUDEST)
            picture = shelf.part(file.picture, file.seen or WHOLE, wide, tall)
            if picture is not None:
                placed.append(Placed(round(x + (width - wide) / 2, 1), round(top, 1), wide, tall, picture))
    return tuple(placed)


def _units(run: Run, shown: FeatureMaps, tap: Activation | None, shelf: Shelf) -> MapFigure:
    rows = len(shown.images)
    cell = max(1.0, min(LARGEST_CELL, GRID // shown.tile[1]))
    across, tall, gap = shown.tile[1] * cell, shown.tile[0] * cell, shown.gap * cell
    step = max(tall + gap, 0)
    down = rows * tall + (rows - 1) * gap
    thumbnails = _thumbnails(run, shown, shelf, [row * step for row in range(rows)], min(TILE, tall))
    left = max((thumb.width for thumb in thumbnails), default=0.0) + (SPACE if thumbnails else 0)
    dead = list(tap.dead) if tap else []
    gaps = lattice(rows, 1, (tall, across), (gap, gap))
    return MapFigure(
        title=_title(shown),
        module=tap.module if tap else "",
        rectifier=bool(tap and tap.rectifier),
        width=round(left + across + 1, 1),
        height=round(down, 1),
        sprite=Placed(left, 0, across, round(down, 2), shelf.show(shown.picture, across, down)),
        veil=None,
        thumbnails=thumbnails,
        labels=(),
        gaps=gaps,
        hatched=(),
        units=unit_blocks(dead, shown.tile[1], cell),
        unit_grids=tuple(Placed(left, row * step, across, tall) for row in range(rows)),
        caption=_caption(shown, tap, dead),
        scale=_scale(shown),
        alt=_alt(shown, dead),
        flagged=bool(tap and flagged(tap)),
        pictures=_pictures(shown),
        frame=shelf.frame(Frame(left, 0, thumbnails, gaps)),
    )


def _thumbnails(
    run: Run, shown: FeatureMaps, shelf: Shelf, tops: list[float], height: float = TILE
) -> tuple[Placed, ...]:
    files = [run.images.files[index] if index < len(run.images.files) else None for index in shown.images]
    placed = []
    for file, top in zip(files, tops, strict=True):
        if file is not None:
            wide, tall = _fitting(file, WIDEST, height)
            picture = shelf.part(file.picture, file.seen or WHOLE, wide, tall)
            if picture is not None:
                placed.append(Placed(0, round(top, 1), wide, tall, picture))
    return tuple(placed)


def _fitting(file: ImageFile, width: float, height: float) -> tuple[float, float]:
    """Return width and height of what the network saw of an image, as large as there is room."""
    shape = _shape(file)
    wide, tall = min(width, height * shape), min(height, width / shape)
    return round(max(THINNEST, wide), 1), round(max(THINNEST, tall), 1)


def _shape(file: ImageFile) -> float:
    """Return the width of what the network saw of an image by its height."""
    if file.stretched is not None:
        return file.stretched
    _, _, across, down = file.seen or WHOLE
    return max(1, file.width) * across / (max(1, file.height) * down)


def photos(run: Run, shelf: Shelf) -> str:
    """Return a sentence of what the photos beside the maps show; empty: all of them, as the network saw them."""
    shown = [file for file in run.images.files if file.picture is not None and shelf.holds(file.picture)]
    if any(file.seen is None for file in shown):
        return (
            "Photos beside the maps are shown whole: which part of them the network was given, and in what "
            "proportions, is not known of this transform."
        )
    cut = any(tuple(file.seen or WHOLE) != WHOLE for file in shown)
    return "Photos beside the maps are cut to the part that the network was given." if cut else ""


def _width(file: ImageFile, height: float) -> float:
    return round(max(THINNEST, min(WIDEST, height * file.width / max(1, file.height))), 1)


def thumbnail(file: ImageFile, shelf: Shelf, height: float = TILE) -> Placed | None:
    """Return the thumbnail of an image, or None where there is no picture of it."""
    width = _width(file, height)
    picture = shelf.show(file.picture, width, height)
    return Placed(0, 0, width, height, picture) if picture else None


def _title(shown: FeatureMaps) -> Name:
    text = shown.layer if shown.output is None else f"{shown.layer} [{shown.output}]"
    return name(f"{text} (call {shown.call})" if shown.call else text)


def _caption(shown: FeatureMaps, tap: Activation | None, silent: list[int]) -> str:
    images = formats.plural(len(shown.images), "image")
    if shown.kind == "units":
        parts = [
            f"All {formats.plural(len(shown.channels), 'unit')}, {images}: one cell per unit, in order, row by row."
        ]
    else:
        whole = f" of {formats.integer(tap.channels)}" if tap else ""
        rule = _RULES[shown.chosen]
        parts = [f"{formats.plural(len(shown.channels), 'channel')}{whole}{rule}, {images}."]
    if shown.high <= shown.low:
        parts.append(f"Nearly every value is {formats.number(shown.low)}: there is no range to scale.")
    if silent and tap:
        noun = "unit" if shown.kind == "units" else "channel"
        over = "on this image" if tap.images == 1 else f"on all {formats.integer(tap.images)} images"
        parts.append(f"Hatched: silent {over} ({formats.plural(len(silent), noun)} shown here).")
    return " ".join(parts)


def _scale(shown: FeatureMaps) -> Scale | None:
    """Return what black and white stand for, or None where all that is shown is one value."""
    return Scale(formats.number(shown.low), formats.number(shown.high)) if shown.high > shown.low else None


def _alt(shown: FeatureMaps, silent: list[int]) -> str:
    what = "Units" if shown.kind == "units" else f"Channels {formats.ranges(shown.channels)}"
    text = f"{what} of {shown.layer}, from {formats.number(shown.low)} (black) to {formats.number(shown.high)} (white)"
    text = f"{text}; silent: {formats.ranges(silent)}" if silent else text
    loudest = ", ".join("none" if number is None else str(number) for number in shown.loudest)
    return f"{text}; most on image {loudest} of the list" if loudest else text
