"""A share over builds: one line a run, the newest build at the right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from featreport.figures import canvas
from featreport.figures.depth import Chart, chart_of, dashes, legend
from featreport.results.schema import PastBuild, PastRun, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKED = 40  # builds up to which each has a mark


@dataclass(frozen=True)
class Track:
    """One run: its share in each build, None where the build has none."""

    name: str
    shares: tuple[float | None, ...]

    @property
    def latest(self) -> float:
        """The newest share there is."""
        return next((share for share in reversed(self.shares) if share is not None), 0.0)

    @property
    def moved(self) -> float:
        """How far its shares lie apart."""
        known = [share for share in self.shares if share is not None]
        return max(known) - min(known) if known else 0.0


def tracks_of(results: Results, metric: str) -> tuple[list[str], list[Track]]:
    """Return what the builds are called, this one last, and the share of each of its runs that an earlier one has too.

    Args:
        results: with their history.
        metric: a share among the headline numbers, e.g. "dead_fraction".
    """
    if results.history is None:
        return [], []
    now = PastBuild(number=0, runs=[PastRun.of(run) for run in results.runs])
    builds = [*results.history.builds, now]
    known = {run.id for build in results.history.builds for run in build.runs}
    tracks = [
        Track(run.id, tuple(_share(build, run.id, metric) for build in builds))
        for run in results.runs
        if run.id in known
    ]
    names = [*(f"build {build.number}" for build in results.history.builds), "this build"]
    return names, [track for track in tracks if any(share is not None for share in track.shares)]


def _share(build: PastBuild, run: str, metric: str) -> float | None:
    found = next((one for one in build.runs if one.id == run), None)
    return None if found is None else getattr(found, metric)


def colours_of(tracks: Sequence[Track]) -> dict[str, str]:
    """Return the colours of the four runs that changed most, by name; the first is the one that changed most."""
    order = sorted(tracks, key=lambda track: (-track.moved, -track.latest))
    return {track.name: hue for track, hue in zip(order, canvas.HUES, strict=False)}


def curves(axes: Axes, tracks: Sequence[Track], builds: Sequence[str], hues: Mapping[str, str]) -> float:
    """Draw the shares over builds, those with a colour on top; return the share at the top of the axis."""
    top = max((share for track in tracks for share in track.shares if share is not None), default=0)
    limit = canvas.percent_axis(axes, top)
    last = max(1, len(builds) - 1)
    axes.set_xlim(-0.02 * last, 1.02 * last)
    axes.set_xticks([0, len(builds) - 1], [builds[0], builds[-1]])
    axes.get_xticklabels()[0].set_horizontalalignment("left")
    axes.get_xticklabels()[-1].set_horizontalalignment("right")
    same: dict[tuple[float | None, ...], list[int]] = {}
    for place, track in enumerate(tracks):
        if track.name in hues:
            same.setdefault(track.shares, []).append(place)
    for at, track in sorted(enumerate(tracks), key=lambda entry: entry[1].name in hues):
        known = [(place, share) for place, share in enumerate(track.shares) if share is not None]
        axes.plot(
            [place for place, _ in known],
            [share for _, share in known],
            color=hues.get(track.name, canvas.MUTED),
            linewidth=1.8 if track.name in hues else 0.8,
            linestyle=dashes(at, same.get(track.shares, [])),
            marker="o" if len(builds) <= MARKED else None,
            markersize=3.5 if track.name in hues else 2,
            clip_on=False,
        )
    return limit


def trend(tracks: Sequence[Track], builds: Sequence[str], salt: str, hues: Mapping[str, str]) -> Chart:
    """Return the shares of runs over builds.

    Args:
        tracks: as many shares each as there are builds.
        builds: what each build is called.
        salt: what tells the chart's ids from other charts'.
        hues: the colours of the runs that have one, by name; the others are grey.
    """
    figure, axes, settings = canvas.blank(salt, width=5.6, height=2.1, **canvas.WIDE)
    curves(axes, tracks, builds, hues)
    axes.tick_params(axis="x", pad=8)
    coloured = sorted((track for track in tracks if track.name in hues), key=lambda track: -track.latest)
    named = [(track.name, hues[track.name]) for track in coloured]
    table = [("build", "run", "share")]
    table += [
        (build, track.name, "" if track.shares[place] is None else repr(track.shares[place]))
        for place, build in enumerate(builds)
        for track in tracks
    ]
    return replace(chart_of(figure, settings, table), legend=legend(named, len(tracks) - len(named)))
