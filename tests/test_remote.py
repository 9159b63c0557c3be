"""Files elsewhere: fetched once, verified, told without secrets; what cannot be had fails its own run alone."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from typer.testing import CliRunner

import featreport
from featreport import pipeline, upkeep
from featreport.cli import app
from featreport.errors import BusyError, ManifestError, OutputError
from featreport.remote import Address, Copies, RemoteError, address, find
from featreport.results.lock import held, is_free

NET = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))
        self(__import__("torch").zeros(1, 3, 8, 8))
"""
SECRET = "X-Signature=0123456789abcdef"


@dataclass
class Site:
    """A small web server: its files, what it was asked, and how it misbehaves."""

    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    tags: bool = True
    sizes: bool = True
    fails: list[int] = field(default_factory=list)  # the status of the next answers to GET
    cut: int = 0  # how many of the next answers to GET end early
    moved: dict[str, str] = field(default_factory=dict)  # path → where it is sent on to
    dates: bool = False  # whether it tells when a file was changed: just now
    blind: bool = False  # whether HEAD says that every file is empty
    clock: int = 0
    refuse: int = 0  # the status of every answer
    slow: float = 0.0  # seconds between two pieces of an answer
    meet: threading.Barrier | None = None  # questions that are answered when all of them are there
    late: dict[str, float] = field(default_factory=dict)  # path → seconds before its answer
    url: str = ""

    def gets(self) -> list[str]:
        return [path for method, path in self.asked if method == "GET"]


class Handler(BaseHTTPRequestHandler):
    def __init__(self, site: Site, *rest) -> None:
        self.site = site
        super().__init__(*rest)

    def log_message(self, *_) -> None:
        pass

    def do_HEAD(self) -> None:
        if self.site.meet is not None:
            self.site.meet.wait(10)
        time.sleep(self.site.late.get(self.path, 0.0))
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        site, path = self.site, self.path.split("?")[0]
        site.asked.append((self.command, path))
        if path in site.moved:
            self.send_response(302)
            self.send_header("Location", site.moved[path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = site.files.get(self.path, site.files.get(path))
        status = site.fails.pop(0) if body and site.fails else 200 if content is not None else 404
        status = site.refuse or status
        self.send_response(status)
        content = content or b""
        if site.sizes:
            told = len(content) if status == 200 and (body or not site.blind) else 0
            self.send_header("Content-Length", str(told))
        if site.dates:
            site.clock += 1
            self.send_header("Last-Modified", f"Thu, 26 Nov 2026 07:00:{site.clock % 60:02} GMT")
        if site.tags and status == 200:
            self.send_header("ETag", f'"{hashlib.md5(content).hexdigest()}"')
        self.end_headers()
        if body and status == 200:
            whole = not site.cut
            site.cut = max(0, site.cut - 1)
            content = content if whole else content[: len(content) // 2]
            pieces = (
                [content]
                if not site.slow
                else [content[at : at + 1000] for at in range(0, len(content), 1000)]
            )
            for piece in pieces:
                time.sleep(site.slow)
                self.wfile.write(piece)
        self.close_connection = True


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, found))
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "PAUSE", 0.01)
    monkeypatch.setattr("featreport.remote.copies.PAUSE", 0.01)


def photo(seed: int) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def project(tmp_path: Path, site: Site) -> Path:
    """A manifest with a checkpoint and an image elsewhere, beside those of this machine."""
    (tmp_path / "net.py").write_text(NET)
    namespace: dict = {}
    exec(NET, namespace)  # the network above
    torch.manual_seed(0)
    stream = io.BytesIO()
    torch.save(namespace["Net"]().state_dict(), stream)
    site.files = {"/runs/last.pt": stream.getvalue(), "/photos/one.png": photo(1)}
    (tmp_path / "last.pt").write_bytes(stream.getvalue())
    (tmp_path / "two.png").write_bytes(photo(2))
    (tmp_path / "config.yaml").write_text(
        f"""version: 1
output: report.html
device: cpu
transform: none
images: ["{site.url}/photos/one.png?{SECRET}", two.png]
models:
  - name: net
    source: python:net.py:Net
    checkpoints:
      - {{name: elsewhere, path: "{site.url}/runs/last.pt?{SECRET}"}}
      - {{name: here, path: last.pt}}
"""
    )
    return tmp_path / "config.yaml"


def left(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file() and file.name != ".gitignore"]


def test_a_run_over_files_elsewhere_is_the_run_over_the_same_files_here(project: Path, site: Site) -> None:
    far, here = featreport.build(project).runs
    assert far.status == here.status == "ok"
    assert far.weights == here.weights
    assert [tap.mean for tap in far.activations] == [tap.mean for tap in here.activations]
    assert far.load is not None
    assert here.load is not None
    assert far.load.sha256 == here.load.sha256 == hashlib.sha256(site.files["/runs/last.pt"]).hexdigest()
    assert far.load.path == f"{site.url}/runs/last.pt"
    assert far.images.files[0].name == f"{site.url}/photos/one.png"


def test_no_secret_of_an_address_leaves_the_manifest(project: Path) -> None:
    featreport.build(project)
    results = json.loads(project.with_name("report.json").read_text())
    told = results["provenance"].pop("manifest_text")
    assert SECRET in told  # as it is written there; ${NAME} keeps it out
    assert SECRET not in json.dumps(results)
    for note in project.parent.glob(".featreport/remote/*/copy.json"):
        assert "Signature" not in note.read_text()


def test_a_second_build_asks_and_fetches_nothing(project: Path, site: Site) -> None:
    featreport.build(project)
    report = project.with_name("report.html").read_bytes()
    assert sorted(site.gets()) == ["/photos/one.png", "/runs/last.pt"]
    site.asked.clear()
    featreport.build(project)
    assert site.gets() == []
    assert {path for _, path in site.asked} == {"/photos/one.png", "/runs/last.pt"}
    assert project.with_name("report.html").read_bytes() == report


def test_another_signature_is_the_same_file(project: Path, site: Site) -> None:
    featreport.build(project)
    site.asked.clear()
    project.write_text(project.read_text().replace(SECRET, "X-Signature=fedcba9876543210"))
    mentioned: list[str] = []
    plan = pipeline.make_plan(project)
    pipeline.run_plan(plan, Listener(mentioned))
    assert site.gets() == []
    assert mentioned.count("kept") == 2


class Listener:
    def __init__(self, said: list[str]) -> None:
        self.said = said

    def run_started(self, *_) -> None:
        self.said.append("measured")

    def images_done(self, *_) -> None: ...

    def run_finished(self, *_) -> None: ...

    def run_kept(self, *_) -> None:
        self.said.append("kept")

    def mention(self, line: str) -> None:
        self.said.append(line)


def test_a_file_that_changed_is_fetched_and_measured_anew(project: Path, site: Site) -> None:
    featreport.build(project)
    site.asked.clear()
    site.files["/photos/one.png"] = photo(3)
    said: list[str] = []
    built = pipeline.run_plan(pipeline.make_plan(project), Listener(said))
    assert site.gets() == ["/photos/one.png"]
    assert said.count("measured") == 2
    assert built.results.runs[0].images.files[0].sha256 == hashlib.sha256(photo(3)).hexdigest()


def test_a_server_that_does_not_tell_versions_is_asked_for_the_file_every_time(
    project: Path, site: Site
) -> None:
    site.tags = False
    featreport.build(project)
    site.asked.clear()
    featreport.build(project)
    assert sorted(site.gets()) == ["/photos/one.png", "/runs/last.pt"]


def test_a_damaged_copy_is_removed_mentioned_and_fetched_again(project: Path, site: Site) -> None:
    featreport.build(project)
    report = project.with_name("report.html").read_bytes()
    copy = next(project.parent.glob(".featreport/remote/*/*/last.pt"))
    content = bytearray(copy.read_bytes())
    content[100] ^= 1
    copy.write_bytes(content)
    site.asked.clear()
    said: list[str] = []
    pipeline.run_plan(pipeline.make_plan(project), Listener(said))
    assert site.gets() == ["/runs/last.pt"]
    assert any("is damaged; fetched again" in line and "last.pt" in line for line in said)
    assert project.with_name("report.html").read_bytes() == report


@pytest.mark.parametrize("trouble", ["busy", "cut"])
def test_a_transfer_that_breaks_is_tried_again(tmp_path: Path, site: Site, trouble: str) -> None:
    site.files["/x.bin"] = os.urandom(100_000)
    if trouble == "busy":
        site.fails = [503, 503]
    else:
        site.cut = 2
    said: list[str] = []
    path = Copies(tmp_path, 10**6, said.append).get(Address(f"{site.url}/x.bin"))
    assert path.read_bytes() == site.files["/x.bin"]
    assert sum("trying again" in line for line in said) == 2
    assert [file.name for file in path.parent.iterdir() if file.name.startswith(".")] == []


def test_a_transfer_that_keeps_breaking_says_so_and_leaves_nothing(tmp_path: Path, site: Site) -> None:
    site.files["/x.bin"] = os.urandom(100_000)
    site.cut = 99
    with pytest.raises(RemoteError, match=r"127\.0\.0\.1:\d+/x\.bin.*tried 3 times"):
        Copies(tmp_path, 10**6, lambda _: None).get(Address(f"{site.url}/x.bin"))
    assert left(tmp_path) == []


@pytest.mark.parametrize("sizes", [True, False])
def test_a_file_larger_than_allowed_is_refused_also_where_its_size_is_not_told(
    tmp_path: Path, site: Site, sizes: bool
) -> None:
    site.sizes = sizes
    site.files["/x.bin"] = bytes(30_000_000)
    with pytest.raises(RemoteError, match=r"remote\.max_bytes allows 1,000"):
        Copies(tmp_path, 1000, lambda _: None).get(Address(f"{site.url}/x.bin"))
    assert left(tmp_path) == []


def test_a_checksum_pins_the_file_and_needs_no_server_later(tmp_path: Path, site: Site) -> None:
    site.files["/x.bin"] = b"content"
    digest = hashlib.sha256(b"content").hexdigest()
    copies, there = Copies(tmp_path, 10**6, lambda _: None), Address(f"{site.url}/x.bin")
    path = copies.get(there, digest)
    site.asked.clear()
    assert copies.get(there, digest) == path
    assert site.asked == []
    with pytest.raises(RemoteError, match="another file than was meant"):
        copies.get(there, "0" * 64)


def test_a_checkpoint_with_another_checksum_fails_its_run_alone(project: Path) -> None:
    wrong = "f" * 64
    project.write_text(project.read_text().replace("name: here,", f"name: here, sha256: {wrong},"))
    far, here = featreport.build(project).runs
    assert far.status == "ok"
    assert here.status == "failed"
    assert here.error is not None
    assert here.error.stage == "checkpoint"
    assert f"expected sha256 {wrong}, got " in here.error.message


def test_what_goes_away_between_plan_and_build_fails_its_run_alone(project: Path, site: Site) -> None:
    plan = pipeline.make_plan(project)
    del site.files["/runs/last.pt"]
    far, here = pipeline.run_plan(plan).results.runs
    assert far.status == "failed"
    assert far.error is not None
    assert far.error.stage == "checkpoint"
    assert far.error.message == f"no such file: {site.url}/runs/last.pt"
    assert here.status == "ok"


def test_an_image_that_cannot_be_had_is_listed_with_the_reason(project: Path, site: Site) -> None:
    plan = pipeline.make_plan(project)
    del site.files["/photos/one.png"]
    for run in pipeline.run_plan(plan).results.runs:
        assert run.status == "ok"
        assert run.images.count == 1
        assert run.images.failed[0].reason == f"no such file: {site.url}/photos/one.png"


def test_what_is_not_there_is_a_mistake_in_the_manifest_with_its_place(project: Path, site: Site) -> None:
    project.write_text(project.read_text().replace("runs/last.pt", "runs/lost.pt"))
    with pytest.raises(ManifestError) as caught:
        pipeline.make_plan(project)
    assert "config.yaml:10:" in str(caught.value)
    assert f"models[0].checkpoints[0].path: no such file: {site.url}/runs/lost.pt" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_files_of_one_name_are_told_apart_by_their_folders(project: Path, site: Site) -> None:
    site.files["/other/last.pt"] = site.files["/runs/last.pt"]
    text = (
        project.read_text()
        .replace("name: elsewhere, ", "")
        .replace("      - {name: here, path: last.pt}", f'      - "{site.url}/other/last.pt"')
    )
    project.write_text(text)
    runs = pipeline.make_plan(project).runs
    assert [run.id for run in runs] == ["net/runs/last", "net/other/last"]


def test_an_index_of_shards_elsewhere_is_refused_with_what_to_do(project: Path, site: Site) -> None:
    site.files["/runs/model.safetensors.index.json"] = b"{}"
    project.write_text(project.read_text().replace("runs/last.pt", "runs/model.safetensors.index.json"))
    with pytest.raises(ManifestError, match="fetch its folder first"):
        pipeline.make_plan(project)


def test_checking_a_manifest_fetches_nothing(project: Path, site: Site) -> None:
    outcome = CliRunner().invoke(app, ["check", str(project)])
    assert outcome.exit_code == 0, outcome.output
    assert site.gets() == []
    assert not (project.parent / ".featreport").exists()
    assert SECRET not in outcome.output


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://host/x.pt", "expected https://, http://, s3://"),
        ("htps://host/x.pt", r"did you mean https://\?"),
        ("file:///etc/passwd", "expected https://"),
        ("simplecache::s3://bucket/x.pt", None),
        ("https://host/x::file:///etc/passwd", "expected https://"),
        ("gs://bucket/x.pt", "needs the package gcsfs: pip install gcsfs"),
    ],
)
def test_an_address_that_is_not_read_says_which_are(url: str, said: str | None) -> None:
    if said is None:
        from featreport.remote import is_remote

        assert not is_remote(url)  # a path like any other, which is not there
        return
    with pytest.raises(RemoteError, match=said):
        find(url)


def test_a_server_that_is_not_there_is_told_apart_from_a_file_that_is_not_there() -> None:
    with pytest.raises(RemoteError, match=r"http://127\.0\.0\.1:9/x\.pt cannot be read \(Client\w+"):
        find("http://user:geheim@127.0.0.1:9/x.pt?token=abcdefgh")
    with pytest.raises(RemoteError) as caught:
        find("http://user:geheim@127.0.0.1:9/x.pt?token=abcdefgh")
    assert "geheim" not in str(caught.value)
    assert "abcdefgh" not in str(caught.value)


def test_a_glob_and_a_folder_name_what_lies_there_in_natural_order(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    monkeypatch.setitem(address.SCHEMES, "memory", "fsspec")
    system = MemoryFileSystem()
    for name in ("epoch_10.pt", "epoch_2.pt", "notes.txt"):
        system.pipe(f"/runs/{name}", b"x")
    try:
        from featreport.plan import files

        found = files.checkpoints("memory://runs/epoch_*.pt", Path("/"))
        assert [file.name for file in found] == ["memory://runs/epoch_2.pt", "memory://runs/epoch_10.pt"]
        assert all(file.matched for file in found)
        with pytest.raises(files.NotFoundError, match=r"such as 'memory://runs/\*\.pt', got a folder"):
            files.checkpoints("memory://runs/", Path("/"))
        system.pipe("/runs/#1?.png", b"x")
        assert [one.name for one in files.images("memory://runs/", Path("/"))] == ["memory://runs/#1?.png"]
        assert [one.name for one in files.checkpoints("memory://runs/epoch_?.pt", Path("/"))] == [
            "memory://runs/epoch_2.pt"
        ]
        with pytest.raises(files.NotFoundError, match="is a folder: write memory://runs/"):
            files.checkpoints("memory://runs", Path("/"))
        with pytest.raises(files.NotFoundError, match="matches no file"):
            files.checkpoints("memory://runs/*.bin", Path("/"))
        with pytest.raises(files.NotFoundError, match="no image in"):
            files.images("memory://runs/*.txt", Path("/"))
    finally:
        system.rm("/runs", recursive=True)


def test_the_baseline_may_lie_elsewhere(project: Path, site: Site) -> None:
    featreport.build(project)
    site.files["/before.json"] = project.with_name("report.json").read_bytes()
    project.write_text(project.read_text() + f"compare: {{baseline: '{site.url}/before.json'}}\n")
    outcome = CliRunner().invoke(app, ["check", str(project)])
    assert "fetched when it is built" in outcome.output
    results = featreport.build(project)
    assert [one.run for one in results.compared] == [run.id for run in results.runs]
    assert all(one.reason is None for one in results.compared)
    site.files["/before.json"] = b"no results"
    with pytest.raises(ManifestError, match=r"config\.yaml:12:\d+ compare\.baseline"):
        featreport.build(project)


def test_copies_are_verified_and_go_when_they_were_not_used_for_long(project: Path) -> None:
    featreport.build(project)
    store = project.parent / ".featreport"
    copy = next(store.glob("remote/*/*/last.pt"))
    assert upkeep.verify_store(store) == (4, 0)
    old = copy.stat().st_mtime - 40 * 86400
    os.utime(copy, (old, old))
    size = copy.stat().st_size
    assert upkeep.clear_store(store, "30d", None) == (1, size)
    assert not copy.parent.parent.exists()
    other = next(store.glob("remote/*/*/one.png"))
    other.write_bytes(b"damaged")
    assert upkeep.verify_store(store) == (2, 1)


def test_only_what_is_asked_for_is_fetched(project: Path, site: Site) -> None:
    featreport.build(project, only="net/here")
    assert site.gets() == ["/photos/one.png"]


def test_addresses_that_a_query_tells_apart_are_different_files(project: Path, site: Site) -> None:
    for number in range(4):
        site.files[f"/get.png?id={number}&{SECRET}"] = photo(10 + number)
    paths = ", ".join(f'"{site.url}/get.png?id={number}&{SECRET}"' for number in range(4))
    project.write_text(re.sub(r"images: .*", f"images: [{paths}]", project.read_text()))
    files = featreport.build(project).runs[0].images.files
    assert [file.sha256 for file in files] == [
        hashlib.sha256(photo(10 + number)).hexdigest() for number in range(4)
    ]
    assert len({file.name for file in files}) == 4
    assert all(SECRET not in file.name for file in files)


def test_containers_versions_and_odd_keys_are_told_apart() -> None:
    pairs = [
        ("abfs://train@acct.dfs.core.windows.net/m/x.pt", "abfs://prod@acct.dfs.core.windows.net/m/x.pt"),
        ("s3://b/run#1/x.pt", "s3://b/run#2/x.pt"),
        ("s3://b/x.pt?versionId=1", "s3://b/x.pt?versionId=2"),
        ("https://h/x?id=1", "https://h/x?id=2"),
        ("https://h/x", "http://h/x"),
    ]
    for one, other in pairs:
        assert Address(one).place != Address(other).place
        assert Address(one).shown != Address(other).shown or one.startswith("http")
    signed = [
        "https://u:p@h/x.pt?X-Amz-Signature=1&X-Amz-Date=2",
        "https://h/x.pt?sig=a%2Fb&se=3",
        "https://h/x.pt",
    ]
    assert len({Address(url).place for url in signed}) == 1
    assert len(Address("https://h/" + "\u6f22" * 200 + ".pt").name.encode()) <= 100


def test_a_checksum_is_never_lost_among_entries_of_one_file(project: Path, site: Site) -> None:
    project.write_text(
        project.read_text().replace(
            "{name: here, path: last.pt}",
            f'{{name: pinned, path: "{site.url}/runs/last.pt", sha256: {"0" * 64}}}',
        )
    )
    far, pinned = featreport.build(project).runs
    assert far.status == "ok"
    assert pinned.status == "failed"
    site.asked.clear()
    featreport.build(project)
    assert site.gets() == []  # what is known to be another file is not fetched again


def test_an_argument_called_url_shapes_the_key_of_a_run(project: Path) -> None:
    from featreport.executors.serial import keys

    text = project.read_text()
    (project.parent / "net.py").write_text(NET.replace("def __init__(self)", 'def __init__(self, url="")'))
    found = set()
    for url in ("a", "b"):
        project.write_text(
            text.replace("source: python:net.py:Net", f"source: python:net.py:Net\n    args: {{url: {url}}}")
        )
        found.add(keys(pipeline.make_plan(project, only="net/here")))
    assert len(found) == 2


@pytest.mark.parametrize("where", ["address", "redirect"])
def test_a_refusal_tells_no_secret_however_it_is_spelled(site: Site, where: str) -> None:
    site.files["/x.pt"] = b"x"
    url = f"{site.url}/x.pt?sig=se%2Fcret%2Bvalue%3D&X-Amz-Security-Token=TOPSECRET"
    if where == "redirect":
        site.moved["/y.pt"] = url
        url = f"{site.url}/y.pt"
    site.refuse = 403
    with pytest.raises(RemoteError) as caught:
        find(url)
    assert "may not be read (403" in str(caught.value)
    for secret in ("se%2F", "se/cret", "TOPSECRET", "value"):
        assert secret not in str(caught.value)


@pytest.mark.parametrize("url", ["https://bob:ge[heim@h.invalid/a.pt", "https://bob:geheim@ho\u2100st/a.pt"])
def test_an_address_that_cannot_be_read_is_one_error_without_its_password(url: str, project: Path) -> None:
    with pytest.raises(RemoteError, match="no valid web address") as caught:
        find(url)
    assert "heim" not in str(caught.value)
    manifest = yaml.safe_load(project.read_text())
    manifest["models"][0]["checkpoints"] = [url]
    project.write_text(yaml.safe_dump(manifest))
    with pytest.raises(ManifestError, match=r"checkpoints\[0\].*no valid web address") as refused:
        pipeline.make_plan(project)
    assert "heim" not in str(refused.value)


def test_an_error_that_names_addresses_is_told_without_their_secrets() -> None:
    error = ValueError("cannot open https://me:geheim@h/x.pt?sig=se/cret or /x.pt?token=abc, see gs://b/x.pt")
    said = address.reason("https://h/x.pt", error)
    for secret in ("geheim", "se/cret", "abc"):
        assert secret not in said
    assert "https://h/x.pt" in said


def test_a_transfer_without_a_size_ends_when_it_is_too_large(tmp_path: Path, site: Site) -> None:
    site.sizes, site.slow = False, 0.01
    site.files["/x.bin"] = bytes(40_000_000)
    began = time.monotonic()
    with pytest.raises(RemoteError, match=r"is larger; remote\.max_bytes allows 100,000"):
        Copies(tmp_path, 100_000, lambda _: None).get(Address(f"{site.url}/x.bin"))
    assert time.monotonic() - began < 60  # all of it would take 400 s
    assert left(tmp_path) == []


@pytest.mark.parametrize("trait", ["dates", "blind"])
def test_servers_that_tell_little_serve(tmp_path: Path, site: Site, trait: str) -> None:
    site.tags = False
    setattr(site, trait, True)
    site.files["/x.bin"] = b"content"
    path = Copies(tmp_path, 10**6, lambda _: None).get(Address(f"{site.url}/x.bin"))
    assert path.read_bytes() == b"content"
    assert site.gets().count("/x.bin") <= 3


def test_a_file_that_changes_while_it_is_read_is_read_again(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.files["/x.bin"] = b"one"
    transfer, seen = Copies._transfer, []

    def change(self, there: Address, part: Path) -> None:
        transfer(self, there, part)
        if not seen:
            site.files["/x.bin"] = b"two"
        seen.append(part.read_bytes())

    monkeypatch.setattr(Copies, "_transfer", change)
    path = Copies(tmp_path, 10**6, lambda _: None).get(Address(f"{site.url}/x.bin"))
    assert seen == [b"one", b"two"]
    assert path.read_bytes() == b"two"


def test_a_copy_that_another_build_reads_is_never_written_over(tmp_path: Path, site: Site) -> None:
    site.files["/x.bin"] = b"one"
    copies, there = Copies(tmp_path, 10**6, lambda _: None), Address(f"{site.url}/x.bin")
    first = copies.get(there)
    site.files["/x.bin"] = b"two"
    assert copies.get(there).read_bytes() == b"two"
    assert first.read_bytes() == b"one"
    assert copies.verify() == (2, 0)


def test_a_copy_without_its_note_is_found_and_goes(project: Path) -> None:
    featreport.build(project)
    store = project.parent / ".featreport"
    for note in store.glob("remote/*/copy.json"):
        note.unlink()
    assert upkeep.verify_store(store) == (4, 0)
    assert upkeep.clear_store(store, "0s", None)[0] == 4
    assert [file for file in left(store / "remote") if file.suffix != ".json"] == []


def test_what_this_machine_cannot_write_is_said_of_this_machine(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.http import HTTPFileSystem

    def full(self, inside: str, part: str, **_) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", part)

    monkeypatch.setattr(HTTPFileSystem, "get_file", full)
    with pytest.raises(
        OutputError, match=r"the copy of http://.* cannot be written \(No space left on device\)"
    ):
        featreport.build(project)


def test_parts_of_killed_builds_go_with_the_next_one(project: Path) -> None:
    featreport.build(project)
    folder = next(project.parent.glob(".featreport/remote/*/*/last.pt")).parent.parent
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead = folder / f".{socket.gethostname()}-{gone.pid}-1.part"
    alive = folder / f".{socket.gethostname()}-{os.getpid()}-1.part"
    for part in (dead, alive):
        part.write_bytes(b"half")
    featreport.build(project)
    assert not dead.exists()
    assert alive.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_transfer_and_leaves_nothing_of_it(project: Path, site: Site, number: int) -> None:
    site.files["/runs/last.pt"] = bytes(20_000_000)
    site.slow = 0.02
    build = subprocess.Popen(
        [sys.executable, "-m", "featreport", "build", str(project)], stderr=subprocess.PIPE, text=True
    )
    try:
        while "/runs/last.pt" not in site.gets():
            time.sleep(0.05)
            assert build.poll() is None
        time.sleep(0.5)
        began = time.monotonic()
        build.send_signal(number)
        _, said = build.communicate(timeout=30)
    finally:
        build.kill()
    assert time.monotonic() - began < 10
    assert build.returncode == 128 + number
    assert "nterrupted" in said or "erminated" in said
    assert list(project.parent.rglob("*.part")) == []


def test_nothing_is_fetched_for_a_build_that_cannot_be(project: Path, site: Site) -> None:
    with pytest.raises(ManifestError, match="nothing was run"):
        featreport.build(project, device="xpu:7")
    assert site.gets() == []


def test_nothing_is_fetched_for_an_output_that_another_build_holds(project: Path, site: Site) -> None:
    with held(project.with_name("report.html")):
        with pytest.raises(BusyError, match=f"process {os.getpid()}"):
            featreport.build(project)
        with pytest.raises(ManifestError, match="nothing was run"):  # a mistake is said first
            featreport.build(project, device="xpu:7")
    assert site.gets() == []


def test_an_output_is_held_while_its_files_are_fetched(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transfer, free = Copies._transfer, []

    def seen(self, there: Address, part: Path) -> None:
        free.append(is_free(project.with_name("report.html")))
        transfer(self, there, part)

    monkeypatch.setattr(Copies, "_transfer", seen)
    featreport.build(project)
    assert free == [False, False]
    assert is_free(project.with_name("report.html"))


def test_a_lock_that_a_killed_build_left_is_taken_over_before_its_files_are_fetched(
    project: Path, site: Site
) -> None:
    featreport.build(project)
    lock, part = project.with_name(".report.html.lock"), project.with_name(".report.html.00ff.part")
    lock.write_text('{"host": "elsewhere", "pid": 1}')
    part.write_text("half a page")
    site.asked.clear()
    featreport.build(project)
    assert site.gets() == []
    assert not lock.exists()
    assert not part.exists()


def test_all_addresses_are_asked_at_once_and_each_once(project: Path, site: Site) -> None:
    for number in range(4):
        site.files[f"/more/{number}.png"] = photo(number)
    paths = ", ".join(f'"{site.url}/more/{number}.png"' for number in range(4))
    text = re.sub(r"images: .*", f"images: [{paths}]", project.read_text())
    project.write_text(f"{text}compare: {{baseline: '{site.url}/before.json'}}\n")
    site.files["/before.json"] = b"{}"
    site.meet = threading.Barrier(6)  # each of six waits for the others
    assert len(pipeline.make_plan(project).runs[0].images) == 4
    assert not site.meet.broken
    assert len(site.asked) == 6


def test_what_is_wrong_with_addresses_is_told_in_the_order_of_the_manifest(project: Path, site: Site) -> None:
    site.files.clear()
    site.late = {"/photos/one.png": 0.3, "/runs/last.pt": 0.1}
    project.write_text(project.read_text() + f"compare: {{baseline: '{site.url}/before.json'}}\n")
    with pytest.raises(ManifestError) as caught:
        pipeline.make_plan(project)
    said = re.findall(r"no such file: \S*/(\S+)", str(caught.value))
    assert said == ["one.png", "last.pt", "before.json"]


def test_a_copy_is_read_once_where_nothing_changed_and_once_more_where_it_is_used(
    project: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    featreport.build(project)
    site.files["/before.json"] = project.with_name("report.json").read_bytes()
    project.write_text(project.read_text() + f"compare: {{baseline: '{site.url}/before.json'}}\n")
    digest, read = hashlib.file_digest, Counter[str]()

    def counted(file, name):
        read[Path(file.name).name] += "remote" in file.name
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    featreport.build(project, fresh=True)
    # the run that uses a file hashes what it read of it, too
    assert {name: read[name] for name in ("last.pt", "one.png")} == {"last.pt": 1, "one.png": 1}
    opened: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr(
            io,
            "open",
            lambda file, *a, plain=io.open, **k: (opened.append(str(file)), plain(file, *a, **k))[1],
        )
        featreport.build(project)
    copies = Counter(
        Path(file).name for file in opened if "/remote/" in file and not file.endswith("copy.json")
    )
    assert copies == {"last.pt": 1, "one.png": 1, "before.json": 1}


def test_a_copy_that_was_damaged_after_it_was_used_is_found_by_the_next_build(
    project: Path, site: Site
) -> None:
    report = featreport.build(project)
    site.asked.clear()
    copy = next(project.parent.glob(".featreport/remote/*/*/one.png"))
    copy.write_bytes(copy.read_bytes()[:-1])
    assert featreport.build(project) == report
    assert site.gets() == ["/photos/one.png"]


@pytest.mark.parametrize(("asked", "printed"), [(False, ""), (True, "WARNING:gcsfs.retry:out of retries")])
def test_a_packages_own_log_is_printed_only_where_somebody_asked_for_it(asked: bool, printed: str) -> None:
    code = f"""
import logging
import fsspec
if {asked}:
    logging.basicConfig()
def url_to_fs(url, **settings):
    logging.getLogger("gcsfs.retry").warning("out of retries")
    raise OSError("cannot connect")
fsspec.url_to_fs = url_to_fs
from featreport.remote import RemoteError
from featreport.remote.address import open_system
try:
    open_system("gs://nightly/x.pt")
except RemoteError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "gs://nightly/x.pt cannot be read (OSError: cannot connect)"
    assert ran.stderr.strip() == printed
