"""What may be wrong with a page on paper, measured in a browser that shows it as it would be printed."""

from __future__ import annotations

import os
import shutil
from typing import Any

import pytest

PAPER = {"width": 1031, "height": 702}  # a sheet of A4 across between margins of 12 mm, in CSS pixels

IN_PRINT = """([width, height]) => {
  const faults = [];
  const say = (what, element) => faults.push(
    `${what}: ${element.tagName} ${element.getAttribute("class")} ${element.textContent.trim().slice(0, 30)}`);
  const keep = "tr, figure, .findings li, .images li, .failure";
  for (const element of document.querySelectorAll(keep)) {
    const box = element.getBoundingClientRect();
    if (!box.height) say("not printed", element);
    if (box.height > height) say("taller than a sheet", element);
    if (getComputedStyle(element).breakInside !== "avoid") say("may be cut", element);
  }
  for (const element of document.querySelectorAll("main *:not(svg *)")) {
    if (!element.checkVisibility()) continue;
    const style = getComputedStyle(element), box = element.getBoundingClientRect();
    if (box.right > width + 1) say("wider than the sheet", element);
    if (style.position === "fixed" || style.position === "sticky") say("not in the flow", element);
    if (style.overflowX === "visible" || element.closest(".hidden")) continue;
    if (element.scrollHeight > element.clientHeight + 1) say("lower part cut", element);
    if (element.scrollWidth > element.clientWidth + 1) say("right part cut", element);
  }
  for (const element of document.querySelectorAll("main td, main th, main li, main p, main pre"))
    if (!element.checkVisibility()) say("not printed", element);
  return [...new Set(faults)];
}"""


def faults_in_print(page: Any) -> list[str]:
    page.emulate_media(media="print")
    return page.evaluate(IN_PRINT, [PAPER["width"], PAPER["height"]])


def need_pdftotext() -> None:
    """Skip without it; fail where every test has to run."""
    if not shutil.which("pdftotext"):
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say("pdftotext is not installed (Debian: apt-get install poppler-utils)")
