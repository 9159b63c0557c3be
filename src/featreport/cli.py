"""Commands, exit codes, progress. Standard output carries the result, standard error everything else."""

from __future__ import annotations

import gc
import json
import sys
import traceback
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from featreport import __version__, collector, gate, pipeline, process, upkeep
from featreport.errors import FeatreportError, ManifestError, OutputError, Terminated
from featreport.plan.words import describe

INTERRUPTED = "interrupted; what was finished is kept"
app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="What do these checkpoints contain, and what do they do to these images? One static HTML report.",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"featreport {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Collect the options that stand before a command."""


ConfigArgument = Annotated[Path, typer.Argument(metavar="CONFIG", help="The manifest (YAML).")]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Report to write instead of the manifest's.", show_default=False),
]
DeviceOption = Annotated[
    str | None, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps or xpu.", show_default=False)
]
OnlyOption = Annotated[
    str | None, typer.Option("--only", metavar="GLOB", help="Only runs whose id matches.", show_default=False)
]

StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        metavar="DIR",
        help="Where finished runs are kept; .featreport beside the manifest if not given.",
        show_default=False,
    ),
]
NoCodeOption = Annotated[
    bool, typer.Option("--no-code", help="Refuse python: sources and transforms; nothing is run.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Put a value into the manifest, e.g. batch_size=8 or 'models[0].checkpoints[0]=new.pt'; repeatable.",
        show_default=False,
    ),
]


@app.command()
def build(
    config: ConfigArgument,
    output: OutputOption = None,
    device: DeviceOption = None,
    only: OnlyOption = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Measure every run anew, also those that an earlier build did.")
    ] = False,
    store: StoreOption = None,
    fail_on: Annotated[
        str, typer.Option("--fail-on", metavar="error|warn", help="Which findings make the exit code 1.")
    ] = "error",
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write the checks as JUnit XML as well.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="Write them as Markdown as well.")
    ] = None,
    no_code: NoCodeOption = False,
    overrides: SetOption = None,
) -> None:
    """Run the manifest; write the report and its results."""
    from featreport.progress import progress_on

    if fail_on not in {"error", "warn"}:
        raise ManifestError(f"--fail-on: expected error or warn, got {fail_on!r}; nothing was run.")
    plan = pipeline.make_plan(
        config,
        output=output,
        device=device,
        only=only,
        code=not no_code,
        store=store,
        overrides=overrides or (),
    )
    gate.check_files(plan, junit=junit, markdown=markdown)
    with progress_on(sys.stderr, process.raise_again) as progress:
        built = pipeline.run_plan(plan, progress, fresh=no_cache)
    level: gate.FailOn = "warn" if fail_on == "warn" else "error"
    typer.echo(built.report)
    typer.echo(gate.verdict(built.results))
    gate.tell(built.results, junit=junit, markdown=markdown, fail_on=level)
    raise typer.Exit(gate.exit_code(built.results, level))


@app.command()
def check(
    config: ConfigArgument,
    only: OnlyOption = None,
    no_code: NoCodeOption = False,
    overrides: SetOption = None,
) -> None:
    """Validate the manifest and print the plan; nothing is run."""
    plan = pipeline.make_plan(config, only=only, code=not no_code, overrides=overrides or ())
    *lines, last = describe(plan)
    for line in (*lines, *gate.describe(plan), last):
        typer.echo(line)


@app.command()
def render(
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="Results JSON, or a report's own HTML.")],
    output: OutputOption = None,
    max_bytes: Annotated[
        str | None,
        typer.Option(
            "--max-bytes",
            metavar="SIZE",
            help="Size of the page, e.g. 30MB, instead of the manifest's.",
            show_default=False,
        ),
    ] = None,
    templates: Annotated[
        Path | None,
        typer.Option(
            "--templates",
            metavar="DIR",
            help="Templates that override the page's own; results do not carry them.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Rebuild the HTML from results or from a report; the same bytes, no torch."""
    path = pipeline.render(
        results,
        output,
        max_bytes=max_bytes,
        templates=templates,
        mention=lambda line: print(line, file=sys.stderr),
    )
    typer.echo(path)


@app.command()
def init(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it.")] = Path("config.yaml"),
) -> None:
    """Write a starter manifest."""
    from featreport.manifest import missing, starter

    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(starter())
    except FileExistsError:
        raise ManifestError(f"{path}: exists already; name another file") from None
    except OSError as error:
        raise ManifestError(f"{path}: cannot be written: {error.strerror or error}") from error
    typer.echo(path)
    for line in missing(path):
        print(line, file=sys.stderr)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the manifest, for editors."""
    from featreport.manifest import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


@app.command()
def diff(
    before: Annotated[
        Path, typer.Argument(metavar="A", help="The baseline: results JSON, or a report's HTML.")
    ],
    after: Annotated[Path, typer.Argument(metavar="B", help="The candidate.")],
    pairs: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="A_ID=B_ID", help="Runs that are the same under two ids; repeatable."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Compare what is not comparable.")] = False,
    checkpoints: Annotated[
        list[Path] | None,
        typer.Option(
            "--checkpoints",
            metavar="PATH",
            help="A folder or file of A's and B's checkpoints: drift is then exact (imports torch); repeatable.",
            show_default=False,
        ),
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page.")] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="Write Markdown.")
    ] = None,
    numbers: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write everything.")] = None,
    only: OnlyOption = None,
) -> None:
    """Compare two results or reports; no torch, no checkpoint needed."""
    from featreport import differences, terminal

    outputs = {"html": html, "markdown": markdown, "json": numbers}
    found = differences.diff(
        before, after, mapped=pairs or (), force=force, only=only, checkpoints=checkpoints or (), **outputs
    )
    terminal.show(found, sys.stdout)
    raise typer.Exit(differences.exit_code(found))


@app.command()
def export(
    report: Annotated[Path, typer.Argument(metavar="REPORT", help="A report's HTML, or results JSON.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write the kit.")],
    max_figures: Annotated[
        int, typer.Option("--max-figures", min=0, help="Most figures of each run; 0 writes all.")
    ] = 60,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            help="Processes that draw; by default a core each, at most 8.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write the paper kit: vector figures, LaTeX and CSV tables, methods text, BibTeX; no torch."""
    from featreport import paper

    done = paper.export(
        report,
        folder,
        max_figures=max_figures,
        workers=workers or paper.usual_workers(),
        progress=lambda line: print(f"  ✓ {line}", file=sys.stderr, flush=True),
    )
    typer.echo(done.folder)
    typer.echo(done.verdict)


store_app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Finished runs that builds keep: look after them.",
)
app.add_typer(store_app, name="store")
FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The store.")]


@store_app.command()
def verify(folder: FolderArgument = Path(".featreport")) -> None:
    """Read every entry and copy; set aside those that are damaged."""
    whole, bad = upkeep.verify_store(folder)
    typer.echo(f"{folder}: {whole} whole, {bad} damaged, set aside or removed")
    raise typer.Exit(1 if bad else 0)


@store_app.command("gc")
def clear(
    folder: FolderArgument = Path(".featreport"),
    keep: Annotated[
        str, typer.Option("--keep", metavar="TIME", help="Entries used within this time stay, e.g. 30d, 12h.")
    ] = "30d",
    max_size: Annotated[
        str | None,
        typer.Option(
            "--max-size",
            metavar="SIZE",
            help="Largest size of all entries, e.g. 2GB: the longest unused go first.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Remove entries that were not used for long, and what killed builds left behind."""
    count, size = upkeep.clear_store(folder, keep, max_size)
    typer.echo(f"{folder}: {count} entries removed, {size:,} bytes")


def main() -> NoReturn:
    """Run the command line; every expected error is its message and its exit code."""
    process.steady_streams()
    process.hear_signals(Terminated)
    collector.process.ours = True
    gc.set_threshold(100_000, 20, 100)  # torch makes a million objects that stay: do not walk them again
    try:
        code = _code()
    except Terminated:  # while the outcome was being told
        code = process.TERMINATED
    except KeyboardInterrupt:
        code = process.INTERRUPTED
    process.leave(code)


def _code() -> int:
    """Run the command; return its exit code. Every expected error is a message, a bug keeps its traceback."""
    try:
        code = app(standalone_mode=False)
        if code == process.INTERRUPTED:  # what some versions of typer make of Ctrl-C
            print(INTERRUPTED, file=sys.stderr)
    except typer.Exit as done:
        code = done.exit_code
    except FeatreportError as error:
        print(error, file=sys.stderr)
        code = error.exit_code
    except Terminated:
        print("terminated; what was finished is kept", file=sys.stderr)
        code = process.TERMINATED
    except (KeyboardInterrupt, typer.Abort):
        print(INTERRUPTED, file=sys.stderr)
        code = process.INTERRUPTED
    except process.Unread:
        code = OutputError.exit_code
    except Exception as error:  # noqa: BLE001 - the last resort, which prints it whole
        if hasattr(error, "format_message") and hasattr(error, "show"):  # a usage error of the command line
            error.show()
            return ManifestError.exit_code
        traceback.print_exc()
        print(f"this is a bug in featreport {__version__}; please report the lines above", file=sys.stderr)
        code = FeatreportError.exit_code
    return code if isinstance(code, int) else 0
