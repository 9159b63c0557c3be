"""A share over builds: one line a run, the newest build at the right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from featreport.figures import canvas
from featreport.figures.depth import Chart, chart_of
from featreport.report import formats

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


def trend(tracks: Sequence[Track], builds: Sequence[str], salt: str, hues: Mapping[str, str]) -> Chart:
    """Return the shares of runs over builds.

    Args:
        tracks: as many shares each as there are builds.
        builds: what each build is called.
        salt: what tells the chart's ids from other charts'.
        hues: the colours of the runs that have one, by name; the others are grey.
    """
    figure, axes, settings = canvas.blank(salt, width=5.6, height=2.1)
    limit = canvas.percent_axis(
        axes, max((s for track in tracks for s in track.shares if s is not None), default=0)
    )
    box = axes.get_position()
    axes.set_position((box.x0, box.y0, box.width * 0.62, box.height))
    last = max(1, len(builds) - 1)
    axes.set_xlim(-0.02 * last, 1.02 * last)
    axes.set_xticks([0, len(builds) - 1], [builds[0], builds[-1]])
    axes.get_xticklabels()[0].set_horizontalalignment("left")
    axes.get_xticklabels()[-1].set_horizontalalignment("right")
    for track in sorted(tracks, key=lambda track: track.name in hues):
        known = [(place, share) for place, share in enumerate(track.shares) if share is not None]
        axes.plot(
            [place for place, _ in known],
            [share for _, share in known],
            color=hues.get(track.name, canvas.MUTED),
            linewidth=1.8 if track.name in hues else 0.8,
            marker="o" if len(builds) <= MARKED else None,
            markersize=3.5 if track.name in hues else 2,
            clip_on=False,
        )
    coloured = sorted((track for track in tracks if track.name in hues), key=lambda track: -track.latest)
    for rank, track in enumerate(coloured):
        y = limit * (0.96 - 0.15 * rank)
        axes.plot([1.06 * last, 1.1 * last], [y, y], color=hues[track.name], linewidth=2.5, clip_on=False)
        how = {"va": "center", "fontsize": 9, "color": canvas.INK}
        canvas.label(axes, 1.13 * last, y, formats.shorten(track.name, 20), **how)
    table = [("build", "run", "share")]
    table += [
        (build, track.name, "" if track.shares[place] is None else repr(track.shares[place]))
        for place, build in enumerate(builds)
        for track in tracks
    ]
    return chart_of(figure, settings, table)
