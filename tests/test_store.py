"""Finished runs are kept: what did not change is not measured again, and nothing that is damaged is ever believed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import featreport
import sample_results as samples
from featreport import pipeline, upkeep
from featreport.errors import BusyError, ManifestError
from featreport.executors import serial
from featreport.plan import fingerprint
from featreport.report import environment, where
from featreport.results import entries
from featreport.results.entries import Entry, Made, Store
from featreport.results.lock import held

NET = """
import time
from torch import nn
from helper import WIDTH

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, WIDTH, 3), nn.ReLU())
"""
COMMAND = [sys.executable, "-m", "featreport", "build"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a network of two files, three checkpoints, three pictures and a manifest."""
    folder = tmp_path / "project"
    (folder / "photos").mkdir(parents=True)
    (folder / "net.py").write_text(NET)
    (folder / "helper.py").write_text("WIDTH = 4\n")
    noise = np.random.default_rng(0)
    for index in range(3):
        Image.fromarray(noise.integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(
            folder / f"photos/{index}.png"
        )
    for index in (1, 2, 3):
        torch.manual_seed(index)
        torch.save(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)).state_dict(), folder / f"e{index}.pt")
    (folder / "config.yaml").write_text(
        "version: 1\noutput: out/report.html\nimages: [photos/]\ntransform: none\n"
        'models: [{name: net, source: "python:net.py:Net", checkpoints: ["e*.pt"]}]\n'
    )
    return folder


def build(folder: Path, **more: object) -> bytes:
    featreport.build(folder / "config.yaml", **more)
    return (folder / "out/report.html").read_bytes()


def test_what_did_not_change_is_not_measured_again(project: Path, measured: list[str]) -> None:
    first = build(project)
    assert measured == ["net/e1", "net/e2", "net/e3"]
    assert build(project) == first
    (project / "out/report.html").unlink()
    assert build(project) == first
    assert len(measured) == 3


def test_of_several_checkpoints_the_one_that_changed_is_measured(project: Path, measured: list[str]) -> None:
    build(project)
    torch.save({"0.weight": torch.zeros(4, 3, 3, 3), "0.bias": torch.ones(4)}, project / "e2.pt")
    measured.clear()
    page = build(project)
    assert measured == ["net/e2"]
    shutil.rmtree(project / ".featreport")
    assert build(project) == page


def test_a_build_without_changes_imports_no_torch(project: Path) -> None:
    build(project)
    code = (
        "import sys, featreport\n"
        "results = featreport.build('config.yaml')\n"
        "assert len(results.runs) == 3\n"
        "print([name for name in ('torch', 'torchvision', 'matplotlib', 'jinja2') if name in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"
    (project / "config.yaml").write_text((project / "config.yaml").read_text() + "title: Another\n")
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True
    )
    assert "torch" not in out.stdout.replace("matplotlib", "")  # rendered anew, measured not


def test_no_cache_measures_everything_and_gives_the_same_bytes(project: Path, measured: list[str]) -> None:
    first = build(project)
    assert build(project, fresh=True) == first
    assert len(measured) == 6


def test_a_failed_run_is_tried_again_and_its_neighbours_are_kept(project: Path, measured: list[str]) -> None:
    whole = (project / "e2.pt").read_bytes()
    (project / "e2.pt").write_bytes(b"no checkpoint")
    build(project)
    measured.clear()
    build(project)
    assert measured == ["net/e2"]
    (project / "e2.pt").write_bytes(whole)
    page = build(project)
    shutil.rmtree(project / ".featreport")
    assert build(project) == page


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


def rename_image(folder: Path) -> None:
    (folder / "photos/0.png").rename(folder / "photos/9.png")


def repaint(folder: Path) -> None:
    Image.new("RGB", (9, 9)).save(folder / "photos/1.png")


CHANGES: dict[str, Callable[[Path], None]] = {
    "an image's bytes": repaint,
    "order and names of the images": rename_image,
    "the network's code": edit("net.py", "nn.ReLU()", "nn.ReLU6()"),
    "code beside it": edit("helper.py", "4", "2 + 2"),
    "its arguments": edit("config.yaml", "checkpoints", "args: {}, layers: {exclude: ['1']}, checkpoints"),
    "the transform": edit("config.yaml", "transform: none", "transform: {size: [9, 9]}"),
    "a threshold": edit("config.yaml", "version: 1", "version: 1\nstatistics: {near_zero: 0.01}"),
    "the precision": edit("config.yaml", "version: 1", "version: 1\nprecision: bfloat16"),
    "the batch": edit("config.yaml", "version: 1", "version: 1\nbatch_size: 2"),
    "what is shown": edit("config.yaml", "version: 1", "version: 1\nreport: {channels: 3}"),
    "how channels are chosen": edit("config.yaml", "version: 1", "version: 1\nreport: {select: rarest}"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_shapes_a_number_or_a_picture_has_every_run_measured_again(
    project: Path, change: str
) -> None:
    before = serial.keys(pipeline.make_plan(project / "config.yaml"))
    CHANGES[change](project)
    after = serial.keys(pipeline.make_plan(project / "config.yaml"))
    assert not set(before) & set(after)


@pytest.mark.parametrize("what", ["torch", "featreport", "accelerator"])
def test_other_versions_code_of_ours_or_another_device_measure_again(
    project: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = serial.keys(pipeline.make_plan(project / "config.yaml"))
    known = fingerprint.made_by()
    if what == "accelerator":
        monkeypatch.setattr(fingerprint, "accelerator", lambda: "nvidia ['nvidia0'] '' render []")
    else:
        monkeypatch.setattr(fingerprint, "made_by", lambda **_: known | {what: "another"})
    assert not set(before) & set(serial.keys(pipeline.make_plan(project / "config.yaml")))


def test_other_numbers_of_threads_measure_again_on_the_cpu_alone(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last bits of torch's convolution depend on them: no report is made of runs from both."""
    plan = pipeline.make_plan(project / "config.yaml")
    gpu = replace(plan, device="cuda")
    found = []
    for number in ("1", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", number)
        found.append((serial.keys(plan), serial.keys(gpu)))
    assert not set(found[0][0]) & set(found[1][0])
    assert found[0][1] == found[1][1]


def test_place_time_title_and_page_measure_nothing_again(project: Path, tmp_path: Path) -> None:
    before = serial.keys(pipeline.make_plan(project / "config.yaml"))
    other = tmp_path / "elsewhere"
    shutil.copytree(project, other)
    for path in other.rglob("*"):
        os.utime(path, (1, 1))
    edit("config.yaml", "version: 1", "version: 1\ntitle: Other words\nreport: {sections: [method]}")(other)
    assert serial.keys(pipeline.make_plan(other / "config.yaml")) == before


def entry() -> Entry:
    results = samples.sample()
    made = Made(device="cpu", engine="compiled", definitions=results.definitions)
    return Entry(run=results.runs[0], pictures=dict(list(results.pictures.items())[:2]), made=made)


def test_every_flipped_bit_and_every_cut_of_an_entry_is_found() -> None:
    key = "ab" * 32
    whole = entries.pack(key, entry()).encode()
    assert entries.unpack(key, whole) == entry()
    assert entries.unpack("cd" * 32, whole) is None
    chance = random.Random(1)
    head = whole.index(b"\n") + 1
    places = [*range(head * 8), *(chance.randrange(head * 8, len(whole) * 8) for _ in range(2500))]
    for place in places:
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        assert entries.unpack(key, bytes(damaged)) is None, place
    for length in [*range(head + 2), *(chance.randrange(len(whole)) for _ in range(1500))]:
        assert entries.unpack(key, whole[:length]) is None, length
    assert entries.unpack(key, whole + b" ") is None


def test_a_damaged_entry_is_set_aside_mentioned_and_measured_again(
    project: Path, measured: list[str]
) -> None:
    page = build(project)
    key, path = sorted(Store(project / ".featreport").entries())[1]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    (project / "out/report.html").unlink()
    measured.clear()
    out = subprocess.run([*COMMAND, "config.yaml"], cwd=project, capture_output=True, text=True, check=True)
    assert "damaged, set aside as" in out.stderr
    assert (project / ".featreport/bad" / path.name).read_bytes() == bytes(content)
    assert (project / "out/report.html").read_bytes() == page
    assert Store(project / ".featreport").read(key) is not None


def test_a_store_that_cannot_be_written_stops_no_build(project: Path) -> None:
    (project / ".featreport").write_text("a file where the folder should be")
    out = subprocess.run([*COMMAND, "config.yaml"], cwd=project, capture_output=True, text=True, check=True)
    assert "this run is not kept for the next build" in out.stderr
    assert (project / "out/report.html").exists()


def test_the_store_says_of_itself_that_it_is_not_to_be_committed(project: Path) -> None:
    build(project)
    assert (project / ".featreport/.gitignore").read_text() == "*\n"


# one build at a time


def test_a_second_build_of_one_output_ends_with_75_and_says_who_holds_it(project: Path) -> None:
    with held(project / "out/report.html"):
        out = subprocess.run(
            [*COMMAND, "config.yaml"], cwd=project, capture_output=True, text=True, check=False
        )
    assert out.returncode == 75
    assert f"process {os.getpid()} on " in out.stderr
    assert not list((project / "out").iterdir())  # the lock is gone with its holder
    build(project)


def test_a_holder_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from featreport.results.lock import held\n"
        "with held(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    output = tmp_path / "report.html"
    with subprocess.Popen([sys.executable, "-c", code, str(output)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(BusyError, match=f"process {holder.pid}"), held(output):
            pass
        holder.kill()
    with held(output):
        pass
    assert not list(tmp_path.iterdir())


def test_builds_of_other_outputs_do_not_wait(tmp_path: Path) -> None:
    with held(tmp_path / "a.html"), held(tmp_path / "b.html"):
        pass


# interruption


def slow(folder: Path) -> None:
    """Let every forward pass take a while."""
    text = (folder / "net.py").read_text()
    more = "    def forward(self, x):\n        time.sleep(0.4)\n        return super().forward(x)\n"
    (folder / "net.py").write_text(text + more)


def test_terminated_it_ends_soon_and_goes_on_from_what_was_finished(project: Path) -> None:
    slow(project)
    with subprocess.Popen([*COMMAND, "config.yaml"], cwd=project, stderr=subprocess.PIPE, text=True) as going:
        assert going.stderr is not None
        for line in going.stderr:
            if "[2/3]" in line:
                break
        began = time.monotonic()
        going.send_signal(signal.SIGTERM)
        assert going.wait(10) == 143
        assert time.monotonic() - began < 10
        going.stderr.read()
    assert not (project / "out/report.html").exists()
    out = subprocess.run([*COMMAND, "config.yaml"], cwd=project, capture_output=True, text=True, check=True)
    assert "[1/3] net/e1: unchanged" in out.stderr
    page = (project / "out/report.html").read_bytes()
    shutil.rmtree(project / ".featreport")
    assert build(project) == page


def test_killed_at_any_moment_the_next_build_gives_the_same_bytes(project: Path) -> None:
    page = build(project)
    old = b"<!doctype html> an older report"
    chance = random.Random(7)
    for _ in range(8):
        shutil.rmtree(project / ".featreport")
        (project / "out/report.html").write_bytes(old)
        with subprocess.Popen([*COMMAND, "config.yaml"], cwd=project, stderr=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL) as going:  # fmt: skip
            time.sleep(chance.uniform(0.3, 4.0))
            going.kill()
        assert (project / "out/report.html").read_bytes() in {old, page}
        assert build(project) == page


# looking after it


def test_what_was_not_used_for_long_goes_and_the_rest_stays(tmp_path: Path) -> None:
    store = Store(tmp_path)
    names = [f"{number:02d}" * 32 for number in range(4)]
    for age, key in enumerate(names):
        store.write(key, entry())
        used = time.time() - age * 86400
        os.utime(tmp_path / "runs" / key[:2] / f"{key}.run", (used, used))
    size = (tmp_path / "runs" / "00" / f"{names[0]}.run").stat().st_size
    (tmp_path / "runs/00/.left.part").write_text("x")
    os.utime(tmp_path / "runs/00/.left.part", (1, 1))
    assert upkeep.clear_store(tmp_path, "2.5d", None) == (1, size)
    assert not (tmp_path / "runs/00/.left.part").exists()
    assert upkeep.clear_store(tmp_path, "30d", str(2 * size)) == (1, size)
    assert [key for key, _ in store.entries()] == names[:2]


@pytest.mark.parametrize(
    ("keep", "size", "says"),
    [
        ("soon", None, "--keep: expected a time"),
        ("3w", None, "--keep"),
        ("1d", "much", "--max-size: expected a size"),
    ],
)
def test_a_time_or_size_that_is_none_is_refused(
    tmp_path: Path, keep: str, size: str | None, says: str
) -> None:
    with pytest.raises(ManifestError, match=says):
        upkeep.clear_store(tmp_path, keep, size)


def test_the_commands_look_after_a_store(project: Path) -> None:
    build(project)
    path = next(iter(Store(project / ".featreport").entries()))[1]
    path.write_bytes(path.read_bytes()[:-1])
    run = [sys.executable, "-m", "featreport", "store"]
    out = subprocess.run([*run, "verify"], cwd=project, capture_output=True, text=True, check=False)
    assert (out.returncode, out.stdout) == (1, ".featreport: 2 whole, 1 damaged, set aside or removed\n")
    out = subprocess.run(
        [*run, "gc", "--keep", "0s"], cwd=project, capture_output=True, text=True, check=False
    )
    assert out.returncode == 0
    assert out.stdout.startswith(".featreport: 2 entries removed")
    out = subprocess.run([*run, "verify", "gone"], cwd=project, capture_output=True, text=True, check=False)
    assert (out.returncode, "no such folder" in out.stderr) == (2, True)


def test_an_entry_written_by_json_is_read_the_same() -> None:
    text = entries.pack("ef" * 32, entry())
    assert json.loads(text.partition("\n")[0])["format"] == "featreport/run"


def test_a_page_is_made_again_when_one_of_our_templates_changed(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: list[str]
) -> None:
    """An installation that is upgraded, or worked on, may differ in its templates alone."""
    page = build(project)
    shutil.copytree(where.templates_folder(), tmp_path / "templates")
    with (tmp_path / "templates/page.css").open("a") as css:
        css.write(".verdict{color:#123456}\n")
    monkeypatch.setattr(where, "templates_folder", lambda: tmp_path / "templates")
    monkeypatch.setattr(environment, "templates_folder", lambda: tmp_path / "templates")
    environment._ours.cache_clear()
    measured.clear()
    try:
        assert b"#123456" in build(project)
    finally:
        environment._ours.cache_clear()
    assert b"#123456" not in page
    assert measured == []
