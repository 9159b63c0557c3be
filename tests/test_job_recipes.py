"""Every recipe of docs/jobs.md is taken from that page and tried, as far as a machine without its scheduler can."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from featreport import process

ROOT = Path(__file__).parent.parent
DIGITS = ROOT / "examples" / "digits"
PAGE = (ROOT / "docs" / "jobs.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\w*\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def recipe(name: str) -> str:
    """The one block of the page whose first lines name it."""
    (found,) = [
        block for block in BLOCKS if re.search(rf"\A(#!.*\n)?# {re.escape(name)}(:| *$)", block, re.MULTILINE)
    ]
    return found


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the page assumes it, with a baseline, and a `featreport` to be found on the PATH."""
    folder = tmp_path_factory.mktemp("jobs") / "models"
    shutil.copytree(DIGITS / "images", folder / "images")
    shutil.copy(DIGITS / "net.py", folder)
    (folder / "runs").mkdir()
    for name, source in (("good", "trained"), ("last", "trained"), ("bad", "lr-too-high")):
        shutil.copy(DIGITS / "checkpoints" / f"{source}.pt", folder / "runs" / f"{name}.pt")
    (folder / "nightly.yaml").write_text(recipe("nightly.yaml"))
    tools = folder / ".venv" / "bin"
    tools.mkdir(parents=True)
    (tools / "featreport").write_text(f'#!/bin/sh\nexec {sys.executable} -m featreport "$@"\n')
    (tools / "featreport").chmod(0o755)
    done = shell(recipe("baseline.sh"), folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def project(prepared: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    shutil.copytree(prepared, folder)
    return folder


def environment(folder: Path, **env: str) -> dict[str, str]:
    path = f"{folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    kept = {
        key: value for key, value in os.environ.items() if key not in {"CHECKPOINT", "GITHUB_STEP_SUMMARY"}
    }
    return {"OMP_NUM_THREADS": "1", **kept, "PATH": path, **env}


def shell(script: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-e", "-c", script], cwd=folder, env=environment(folder, **env),
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def suites(folder: Path) -> dict[str, str]:
    root = ET.parse(folder / "nightly/checks.xml").getroot()
    return {key: root.attrib[key] for key in ("tests", "failures", "errors")}


def test_every_block_of_the_page_is_tried_here() -> None:
    named = {re.search(r"^# ([\w./-]+)", block, re.MULTILINE)[1] for block in BLOCKS}
    source = Path(__file__).read_text(encoding="utf-8")
    assert len(named) == len(BLOCKS) == 12
    assert all(f'"{name}"' in source for name in named)


def test_a_good_night_is_exit_0_and_a_bad_one_names_the_layer_with_exit_1(project: Path) -> None:
    line = recipe("nightly.sbatch").splitlines()[-1].removeprefix("exec ")
    good = shell(line, project)
    assert good.returncode == 0, good.stderr
    bad = shell(line, project, CHECKPOINT="runs/bad.pt")
    assert bad.returncode == 1, bad.stderr
    assert "× error digits/candidate: activations.dead" in bad.stderr
    assert suites(project)["failures"] == "1"
    assert "featreport store gc --keep 30d" in PAGE
    assert shell("featreport store gc --keep 30d", project).returncode == 0
    missing = shell(line, project, CHECKPOINT="runs/none.pt")
    assert missing.returncode == 2
    assert "models[0].checkpoints[0].path: no such file or folder 'runs/none.pt'" in missing.stderr


def test_two_nights_are_compared_without_a_baseline(project: Path) -> None:
    assert shell("featreport build nightly.yaml", project).returncode == 0
    done = shell(recipe("between.sh"), project, CHECKPOINT="runs/good.pt")
    assert done.returncode == 0, done.stderr
    assert (project / "nightly/diff.md").is_file()
    assert (project / "nightly/diff.html").is_file()


def test_a_program_of_ones_own_begins_with_the_memory_that_a_build_has(project: Path) -> None:
    (project / "own.py").write_text("import os\nprint(os.environ['GLIBC_TUNABLES'])\n")
    done = shell(recipe("own.sh").replace("python own.py", f"{sys.executable} own.py"), project)
    assert done.stdout.strip() == ":".join(f"{name}={value}" for name, value in process.HEAP.items()), (
        done.stderr
    )


def test_with_a_history_no_baseline_is_made_by_hand(project: Path) -> None:
    (project / "baseline.json").unlink()
    line = "featreport build nightly.yaml --set history=nightly/history --set compare.baseline=latest"
    assert shell(line, project).returncode == 0
    assert shell(line, project, CHECKPOINT="runs/bad.pt").returncode == 1


def test_the_script_of_cron_is_silent_unless_something_is_wrong(project: Path) -> None:
    script = project / "nightly.sh"
    script.write_text(recipe("nightly.sh"))
    script.chmod(0o755)
    for checkpoint, code in (("runs/last.pt", 0), ("runs/bad.pt", 1), ("runs/none.pt", 2)):
        done = subprocess.run(
            [script], cwd="/", env=environment(project, CHECKPOINT=checkpoint),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout
        assert done.stderr == ""
        assert done.stdout == "" if not code else done.stdout.startswith(f"featreport ended with {code}\n")


def test_the_crontab_has_variables_and_one_line_of_five_fields_and_a_command() -> None:
    *variables, line = [text for text in recipe("crontab").splitlines() if not text.startswith("#")]
    assert all(re.fullmatch(r"[A-Z]+=\S+", text) for text in variables)
    assert re.fullmatch(r"([0-9*]+ ){5}/srv/models/nightly\.sh", line)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_units_of_systemd_are_valid_and_their_command_runs(project: Path) -> None:
    units = {}
    for name in ("featreport-nightly.service", "featreport-nightly.timer"):
        units[name] = project / name
        units[name].write_text(recipe(name).replace("/srv/models", str(project)))
    done = subprocess.run(
        ["systemd-analyze", "verify", *units.values()], capture_output=True, text=True, check=False
    )
    said = [line for line in done.stderr.splitlines() if "featreport-nightly" in line]
    assert (done.returncode, said) == (0, []), done.stderr
    when = re.search(r"^OnCalendar=(.*)$", recipe("featreport-nightly.timer"), re.MULTILINE)[1]
    subprocess.run(["systemd-analyze", "calendar", when], capture_output=True, check=True)
    command = re.search(r"^ExecStart=(.*)$", units["featreport-nightly.service"].read_text(), re.MULTILINE)[1]
    done = shell(command, project)
    assert done.returncode == 0, done.stderr


def test_the_job_of_github_actions_builds_and_adds_to_its_summary(project: Path) -> None:
    workflow: Any = yaml.safe_load(recipe(".github/workflows/nightly.yml"))
    assert workflow[True]["schedule"] == [{"cron": "30 2 * * *"}]  # YAML 1.1 reads `on` as yes
    job = workflow["jobs"]["compare"]
    assert all(("uses" in step) != ("run" in step) for step in job["steps"])
    (line,) = [step["run"] for step in job["steps"] if "featreport build" in step.get("run", "")]
    summary = project / "summary.md"
    done = shell(line, project, GITHUB_STEP_SUMMARY=str(summary), **job["env"])
    assert done.returncode == 0, done.stderr
    assert "activations.dead" in summary.read_text()
    (artifact,) = [step["with"] for step in job["steps"] if "upload-artifact" in step.get("uses", "")]
    assert (project / artifact["path"] / "report.html").is_file()
    assert (project / "nightly/checks.xml").is_file()
    (kept,) = [step["with"]["path"] for step in job["steps"] if "actions/cache" in step.get("uses", "")]
    assert (project / kept).is_dir()


def test_the_job_of_gitlab_builds_what_it_uploads(project: Path) -> None:
    job = yaml.safe_load(recipe(".gitlab-ci.yml"))["nightly"]
    done = shell("\n".join(job["script"]), project, **job["variables"])
    assert done.returncode == 0, done.stderr
    assert (project / job["artifacts"]["reports"]["junit"]).is_file()
    assert all((project / path).is_dir() for path in (*job["artifacts"]["paths"], *job["cache"]["paths"]))


def test_the_job_of_slurm_ends_at_its_signal_and_the_next_goes_on(project: Path) -> None:
    script = project / "nightly.sbatch"
    script.write_text(recipe("nightly.sbatch"))
    net = (project / "net.py").read_text()
    (project / "net.py").write_text(f"import time\ntime.sleep(60)\n{net}")
    env = environment(project, SLURM_SUBMIT_DIR=str(project), SLURM_CPUS_PER_TASK="1")
    job = subprocess.Popen(["bash", script], cwd="/", env=env, stderr=subprocess.PIPE, text=True)
    assert job.stderr is not None
    for line in job.stderr:
        if "digits/candidate" in line:
            break
    time.sleep(0.2)
    job.send_signal(signal.SIGTERM)
    job.communicate(timeout=20)
    assert job.returncode == 143
    (project / "net.py").write_text(net)
    done = subprocess.run(["bash", script], cwd="/", env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("task", "name"), [("0", "good"), ("1", "last")])
def test_each_task_of_an_array_writes_its_own_report(project: Path, task: str, name: str) -> None:
    done = shell(recipe("many.sbatch"), project, SLURM_ARRAY_TASK_ID=task)
    assert done.returncode == 0, done.stderr
    assert f"Nightly of {name}" in (project / f"nightly/{name}.html").read_text()
