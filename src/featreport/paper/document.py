"""The documents that show the kit: paper.tex, which inputs and includes everything, and a README."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from featreport.paper import latex, letters, sheet
from featreport.report import formats
from featreport.results.schema import Results

_HEAD = r"""% Shows the whole kit: pdflatex paper && bibtex paper && pdflatex paper && pdflatex paper
\documentclass[10pt,a4paper]{article}
\usepackage{array,booktabs,graphicx,longtable}
\usepackage[margin=17.5mm]{geometry}
\setlength{\LTcapwidth}{\textwidth}
\setlength{\emergencystretch}{3em}
\raggedbottom
% A figure at full width with its caption, then the same at the width of a column.
\newcommand{\kitfigure}[2]{%
  \par\bigskip\noindent\begin{minipage}{\textwidth}%
  \includegraphics{#1-175mm.pdf}\par\smallskip\small#2\end{minipage}%
  \par\bigskip\noindent\includegraphics{#1-85mm.pdf}\par}
"""


@dataclass(frozen=True)
class Figure:
    """A figure that was written: its path without width and suffix, and its caption."""

    stem: str
    caption: str


@dataclass(frozen=True)
class Part:
    """A part of the document: of all runs, or of one."""

    title: str
    tables: tuple[str, ...]  # paths of LaTeX tables
    figures: tuple[Figure, ...]
    remark: str = ""


def tex(results: Results, parts: Sequence[Part]) -> str:
    """Return the main file."""
    lines = [
        _HEAD + r"\begin{document}",
        rf"\section*{{{latex.prose(formats.shorten(results.title, 100))}}}",
        r"\input{methods}",
    ]
    for part in parts:
        title = latex.name(formats.shorten(part.title, 100)) if part.title else "All runs"
        lines += [
            "",
            rf"\clearpage\section*{{{title}}}" if part.title and part.tables else rf"\section*{{{title}}}",
        ]
        lines += [latex.prose(part.remark)] if part.remark else []
        lines += [rf"\input{{{path.removesuffix('.tex')}}}" for path in part.tables]
        lines += [rf"\kitfigure{{{figure.stem}}}{{{latex.prose(figure.caption)}}}" for figure in part.figures]
    return "\n".join(
        [*lines, "", r"\bibliographystyle{plain}", r"\bibliography{references}", r"\end{document}", ""]
    )


def readme(results: Results, count: int, left_out: str) -> str:
    """Return what lies in the folder and how to use it."""
    version = results.provenance.versions.get("featreport", "")
    return f"""# Paper kit

Made by featreport {version}: {count} figures, each as PDF, SVG and PNG ({sheet.DPI} dpi) at {sheet.COLUMN:.0f} mm and
{sheet.FULL:.0f} mm, every word in {letters.SIZE:.0f}-point DejaVu Sans.

- `paper.tex` shows everything: `pdflatex paper && bibtex paper && pdflatex paper && pdflatex paper`
- `methods.tex`, `methods.md`: the methods paragraph with these settings, versions and numbers; `references.bib`
- `tables/`: of all runs, and a folder for each run; `.tex`: booktabs longtables (packages array, booktabs, longtable);
  `.csv`: the numbers behind every figure and table in full precision, empty where there is no value, UTF-8;
  `definitions.csv`: what each of them means
- `figures/`: of all runs, and a folder for each run; `…-values.csv.gz` holds the numbers that a figure of maps, units,
  kernels or norms shows, `…-values.png` the same as grey levels without any decoration, `tables/RUN/maps.csv` what
  black and white stand for

{left_out or "Nothing was left out."}
"""
