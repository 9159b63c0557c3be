"""The page model: everything templates may see. Frozen, and every number in it is already text."""

from __future__ import annotations

from dataclasses import dataclass, field

from featreport.figures.depth import Chart
from featreport.judge.findings import Level
from featreport.report.cells import (
    BufferRow,
    Cell,
    LikeRow,
    MeasureTable,
    Name,
    NormRow,
    TapRow,
    UnmeasuredRow,
    WeightGroup,
)
from featreport.report.drawn import DataLink, Frame, KernelFigure, MapFigure, MatrixFigure, Picture, Placed
from featreport.report.trajectories import TrajectoryTable


@dataclass(frozen=True)
class ChartFigure:
    """A chart with what to see, its key numbers in words, and the name of its CSV file."""

    chart: Chart
    title: str
    caption: str
    alt: str
    filename: str
    picture: str = ""  # key, where it is one of the results' pictures


@dataclass(frozen=True)
class Fact:
    """A term and what it is here."""

    term: str
    text: str


@dataclass(frozen=True)
class LoadAudit:
    """What was loaded, in a sentence, then in detail."""

    anchor: str
    level: Level
    word: str
    sentence: str
    facts: tuple[Fact, ...]
    lists: tuple[tuple[str, tuple[Name, ...]], ...]


@dataclass(frozen=True)
class ImageItem:
    """An image the run saw."""

    name: Name
    text: str
    thumbnail: Placed


@dataclass(frozen=True)
class ImageList:
    """The images of a run, and those that could not be used."""

    anchor: str
    sentence: str
    items: tuple[ImageItem, ...]  # with thumbnails
    others: tuple[Name, ...]
    failed: tuple[tuple[Name, str], ...]
    same: tuple[Name, str] | None = None  # the run that lists them, and the link there


@dataclass(frozen=True)
class FindingLine:
    """A finding with the name of its run and the row that shows it."""

    level: Level
    run: Name
    text: str
    href: str


@dataclass(frozen=True)
class CheckLine:
    """What a check found that did not pass; `href` may be empty."""

    level: Level
    word: str
    run: Name
    text: str
    href: str


@dataclass(frozen=True)
class CheckRow:
    """One check on one run; `severity` is the level the manifest gives it."""

    place: str
    verdict: str
    rule: str
    run: Name
    href: str
    level: Level
    word: str
    severity: str
    examined: str
    reason: str


@dataclass(frozen=True)
class ChecksView:
    """How the checks went; `default`: they are the set that is used where a manifest has none."""

    level: Level
    sentence: str
    default: bool
    first: tuple[CheckLine, ...]
    more: tuple[CheckLine, ...]
    rest: str  # how many lines only the results have
    rows: tuple[CheckRow, ...]
    rows_left_out: str


@dataclass(frozen=True)
class Failure:
    """Why a run has no numbers."""

    stage: str
    message: str
    hint: str


@dataclass(frozen=True)
class RunPage:
    """The section of one run."""

    id: str
    anchor: str
    name: Name
    status: str
    level: Level
    verdict: str
    open: bool
    facts: tuple[Fact, ...]
    failure: Failure | None
    findings: tuple[FindingLine, ...]
    notes: tuple[str, ...]
    charts: tuple[ChartFigure, ...]
    remark: str  # what stands in place of a chart
    taps: tuple[TapRow, ...]
    measures: MeasureTable
    maps: tuple[MapFigure, ...]  # at rectifiers, or everywhere if there are none
    other_maps: tuple[MapFigure, ...]
    photos: str  # what the photos beside the maps show
    kernels: KernelFigure | None
    matrices: tuple[MatrixFigure, ...]
    groups: tuple[WeightGroup, ...]
    norms: tuple[NormRow, ...]
    buffers: tuple[BufferRow, ...]
    load: LoadAudit | None
    images: ImageList
    unmeasured_anchor: str
    unmeasured: tuple[UnmeasuredRow, ...]
    switches: tuple[str, str]  # anchors of the two contrast switches
    data: tuple[DataLink, ...] = ()  # the tables of this run
    files: str = "{}"  # names of the images that maps are shown of, as JSON


@dataclass(frozen=True)
class StripCell:
    """One layer in a strip."""

    x: float
    heat: int
    title: str


@dataclass(frozen=True)
class OverviewRow:
    """One run in the first table."""

    id: str
    href: str
    name: Name
    level: Level
    status: str
    dead: Cell
    dead_parts: str
    strip: tuple[StripCell, ...]
    strip_width: float
    strip_alt: str
    numbers: tuple[Cell, ...]  # near-zero, zero, non-finite
    load: str
    load_level: Level
    images: Cell
    failed_images: str
    parameters: Cell


@dataclass(frozen=True)
class CompareCell:
    """One rectifier layer at one checkpoint."""

    text: str
    parts: str
    heat: int
    value: str


@dataclass(frozen=True)
class CompareTable:
    """Checkpoints of one model side by side: layers down, checkpoints across."""

    model: Name
    title: str
    caption: str
    checkpoints: tuple[Name, ...]
    rows: tuple[tuple[Name, tuple[CompareCell, ...]], ...]
    step: str = ""  # between which two checkpoints most happens


@dataclass(frozen=True)
class ExtraTable:
    """A plain table of a plug-in, every value already text; heads say whether their column holds numbers."""

    title: str
    heads: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[Cell, ...], ...]
    link: DataLink


@dataclass(frozen=True)
class ExtraSection:
    """A section of a plug-in, or why it is not there."""

    anchor: str
    title: str
    paragraphs: tuple[str, ...] = ()
    figures: tuple[ChartFigure, ...] = ()
    tables: tuple[ExtraTable, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Part:
    """One section of the page: where it is, what it is called, and the template that writes it."""

    name: str
    anchor: str
    title: str
    template: str
    extra: ExtraSection | None = None


@dataclass(frozen=True)
class Method:
    """How the numbers were made."""

    definitions: tuple[Fact, ...]
    thresholds: tuple[Fact, ...]
    certainty: tuple[tuple[str, str], ...]
    provenance: tuple[Fact, ...]
    transforms: tuple[tuple[Name, str], ...]
    checksums: tuple[tuple[Name, str, str], ...]
    code_run: tuple[str, ...]
    manifest_name: str
    manifest_text: str
    bases: tuple[tuple[str, str], ...]  # name and text of the manifests it extends
    paragraph: str


@dataclass(frozen=True)
class Likeness:
    """How alike two runs see the same images, layer by layer; without a figure `reason` says why not."""

    title: str
    reason: str
    figure: ChartFigure | None
    rows: tuple[LikeRow, ...]
    across: tuple[
        Name, ...
    ] = ()  # the layers of the other run in their order, where they are not called the same


@dataclass(frozen=True)
class Trends:
    """The builds before this one: charts, and a table of the newest, one row a build."""

    sentence: str
    charts: tuple[ChartFigure, ...]
    runs: tuple[Name, ...]  # the columns
    rows: tuple[
        tuple[str, tuple[tuple[Cell, str], ...]], ...
    ]  # a build's name; each cell, and what is under it
    caption: str


@dataclass(frozen=True)
class Page:
    """The whole page."""

    title: str
    level: Level
    verdict: str
    certainty: str
    findings: tuple[FindingLine, ...]
    overview: tuple[OverviewRow, ...]
    networks: bool  # whether any run has a network, so that images, channels and depth mean something
    comparisons: tuple[ChartFigure, ...]
    tables: tuple[CompareTable, ...]
    runs: tuple[RunPage, ...]
    method: Method
    order: tuple[Part, ...]
    logo: str  # a data: URI; empty: none
    logo_key: str
    shelf: tuple[Picture, ...]  # pictures shown more than once, or nowhere: embedded before the rest
    results_json: str = field(repr=False)
    frames: tuple[Frame, ...] = ()  # what figures of maps have in common, to be shown by reference
    left_out: str = ""  # what the page lacks to stay small, in a sentence
    absent: int = 0  # feature maps that are not here to keep the page small
    data: tuple[DataLink, ...] = ()  # the tables of all runs
    results_file: str = ""  # where the results are, if they are not embedded
    checks: ChecksView | None = None
    likeness: tuple[Likeness, ...] = ()
    trends: Trends | None = None
    trajectories: tuple[TrajectoryTable, ...] = ()  # every measure over a model's checkpoints
    against: str = ""  # what the first table tells changes against
