"""What was loaded, what was looked at, how it was made: the words around the numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from featreport.judge import Level
from featreport.judge.findings import lacking
from featreport.report import formats
from featreport.report.anchors import Anchors
from featreport.report.cells import Name, UnmeasuredRow
from featreport.report.drawings import thumbnail
from featreport.report.page import Fact, ImageItem, ImageList, LoadAudit, Method
from featreport.report.rows import name
from featreport.report.shelf import Shelf
from featreport.results.schema import Faithfulness, Images, Load, Results, Run, Unmeasured, weights_alone

FEW = 3  # layers without numbers whose names stand in the open, of each reason
_NUMBER, _NUMBERS = re.compile(r"\d+"), re.compile(r"(\d+)")  # the latter keeps what it splits at


def load(shown: Load | None, anchor: str, *, measured: bool = True) -> LoadAudit | None:
    """Return the audit of what was loaded, or None where nothing was opened."""
    if shown is None:
        return None
    level, word = load_level(shown, measured=measured)
    found = (
        ("File", shown.path),
        ("Format", shown.format),
        ("Size", None if shown.bytes is None else formats.size(shown.bytes)),
        ("SHA-256", shown.sha256),
        ("Written by", shown.producer),
        ("Checksums", shown.checksums),
        ("Key chosen", shown.key),
        ("Other state dicts", ", ".join(shown.alternatives)),
        ("Prefix removed", shown.prefix),
        ("Suffix removed", shown.suffix),
        ("Stored types", ", ".join(f"{formats.integer(n)} {what}" for what, n in shown.dtypes.items())),
        ("Strict", None if shown.strict else "no: what does not fit was left out"),
    )
    facts = tuple(Fact(term, text) for term, text in found if text)
    shapes = tuple(
        name(f"{entry.name}: model {formats.shape(entry.expected)}, file {formats.shape(entry.got)}")
        for entry in shown.mismatched
    )
    lists = (
        ("Missing from the file", tuple(name(entry) for entry in shown.missing)),
        ("Not used by the model", tuple(name(entry) for entry in shown.unexpected)),
        ("Of another shape", shapes),
        ("Done to the tensors", tuple(name(entry) for entry in shown.applied)),
        ("BatchNorm never updated", tuple(name(entry) for entry in shown.idle_norms)),
        ("Found beside the tensors", tuple(name(f"{what}: {text}") for what, text in shown.facts.items())),
        ("Code the file names; none of it was run", tuple(name(entry) for entry in shown.objects)),
    )
    kept = tuple(entry for entry in lists if entry[1])
    return LoadAudit(anchor, level, word, _sentence(shown, measured=measured), facts, kept)


def load_level(shown: Load, *, measured: bool = True) -> tuple[Level, str]:
    """Return how complete a load was, as a level and in a word or three; nothing was loaded of what failed to fit."""
    if shown.format == "random":
        return "ok", "untrained, seeded"
    lost = len(lacking(shown)) + len(shown.mismatched)
    if lost and not measured:
        return "fail", f"{formats.plural(lost, 'tensor')} without a match"
    if lost:
        return "warn", f"partial: {formats.integer(lost)} not loaded"
    if shown.untrained:
        return "warn", "looks untrained"
    if shown.unexpected:
        return "warn", f"complete, {formats.integer(len(shown.unexpected))} unused"
    if shown.alone:
        return "ok", "read as data"
    return ("note", "complete, prefix removed") if shown.prefix else ("ok", "complete")


def _sentence(shown: Load, *, measured: bool) -> str:
    if shown.format == "random":
        return "Nothing was loaded: the network has its seeded initial values."
    if shown.alone:
        key = f", read from key “{shown.key}”" if shown.key else ""
        return f"{formats.plural(shown.matched, 'tensor')} read as data, without a network{key}."
    parts = [f"{formats.plural(shown.matched, 'tensor')} matched by name and shape"]
    parts.append(
        f"{formats.integer(len(shown.missing))} missing, {formats.integer(len(shown.unexpected))} unexpected"
    )
    parts.append(f"{formats.integer(len(shown.mismatched))} of another shape")
    if shown.prefix:
        parts.append(f"prefix “{shown.prefix}” removed")
    if shown.key:
        parts.append(f"read from key “{shown.key}”")
    lost = measured and (lacking(shown) or shown.mismatched)
    partial = " The numbers of this run include initial values." if lost else ""
    return ", ".join(parts) + "." + partial


def images(run: Run, anchor: str, shelf: Shelf, listed: dict[str, tuple[str, str]]) -> ImageList:
    """Return the list of images of a run with their thumbnails, or where the very same list stands already.

    Args:
        run: the run.
        anchor: the id of its list.
        shelf: where thumbnails are.
        listed: the lists before this one, by what is in them: run and id; this one is added.
    """
    shown = run.images
    if weights_alone(run):
        return ImageList(anchor, "None: the tensors alone were measured.", (), (), ())
    first = listed.setdefault(_contents(shown), (run.id, anchor))
    if first[1] != anchor and shown.files:
        same = formats.plural(shown.count, "image")
        return ImageList(anchor, f"The same {same} as in", (), (), (), (name(first[0]), f"#{first[1]}"))
    used = (
        f"{formats.plural(shown.count, 'image')} used"
        if run.status == "ok"
        else formats.plural(shown.count, "image")
    )
    sentence = f"{used}, {formats.integer(len(shown.failed))} could not be." if shown.failed else f"{used}."
    items, others = [], []
    for file in shown.files:
        note = f"; {file.note}" if file.note else ""
        text = f"{file.width} × {file.height}{note}"
        picture = thumbnail(file, shelf)
        if picture is not None:
            items.append(ImageItem(name(file.name), text, picture))
        else:
            others.append(name(f"{file.name} ({text})"))
    failed = tuple((name(entry.path), entry.reason) for entry in shown.failed)
    return ImageList(anchor, sentence, tuple(items), tuple(others), failed)


def _contents(shown: Images) -> str:
    """Return what tells one list of images from another: not which of them have a thumbnail."""
    return repr((shown.failed, [(file.name, file.sha256, file.note) for file in shown.files]))


def facts(run: Run) -> tuple[Fact, ...]:
    """Return the line of facts under a run's heading."""
    found = [Fact("Architecture", "none: the tensors alone" if weights_alone(run) else run.source)]
    if run.parameters is not None:
        found.append(Fact("Parameters", formats.integer(run.parameters)))
    if weights_alone(run):
        return tuple(found)
    found.append(Fact("Images", formats.integer(run.images.count)))
    found.append(Fact("Transform", run.transform))
    if run.device:
        found.append(Fact("Device", run.device))
    found.append(Fact("Precision", run.precision))
    if run.batch_size is not None:
        found.append(Fact("Batch size", formats.integer(run.batch_size)))
    if run.faithfulness is not None:
        found.append(Fact("Faithfulness", faithfulness(run.faithfulness)))
    if run.status == "ok" and run.images.count > 1:
        rate = formats.rate_bound(run.images.count)
        bound = f"a silent channel fires on fewer than {rate} of images (95{formats.NBSP}% confidence)"
        found.append(Fact("Evidence", bound))
    if run.summary is not None and run.summary.dead_fraction_macro is not None:
        found.append(Fact("Mean over layers", f"{formats.percent(run.summary.dead_fraction_macro)} silent"))
    return tuple(found)


def faithfulness(proof: Faithfulness) -> str:
    """Return what was proved of the measuring itself, in a line."""
    images = formats.plural(proof.compared_images, "image")
    output = {
        True: f"output of the first {images} bit for bit as without hooks",
        False: f"output of the first {images} differs from the one without hooks",
        None: "two plain forward passes differ" if proof.repeats is False else "no output to compare",
    }[proof.output_identical]
    state = "unchanged" if proof.state_unchanged else f"changed ({formats.integer(len(proof.changed))})"
    hooks = "no hook left" if not proof.hooks_left else f"{formats.plural(proof.hooks_left, 'hook')} left"
    off = f"; switched off: {', '.join(proof.switched_off)}" if proof.switched_off else ""
    return f"{output}; parameters and buffers {state}; {hooks}{off}"


def method(results: Results, comparisons: Sequence[Fact] = ()) -> Method:
    """Return how the numbers were made, and what those of its comparisons mean."""
    made = results.provenance
    thresholds = (
        Fact("Dead", f"max |a| ≤ {formats.plain(results.thresholds.dead)} over all images and positions"),
        Fact("Constant", f"max − min ≤ {formats.plain(results.thresholds.constant)}, and not dead"),
        Fact("Near zero", f"|value| ≤ {formats.plain(results.thresholds.near_zero)}"),
    )
    counts = sorted(
        {run.images.count for run in results.runs if run.status == "ok" and run.images.count} | {1, 100, 300}
    )
    if results.runs and all(weights_alone(run) for run in results.runs):
        counts = []  # no network looked at an image
    versions = ", ".join(f"{what} {version}" for what, version in made.versions.items())
    provenance = (
        Fact("Versions", versions),
        Fact("Device", made.device),
        Fact("Precision", f"{made.precision} forward pass, float64 sums"),
        *(Fact("Section of", f"{one.made_by} ({one.name})") for one in results.extras if one.made_by),
        Fact("Manifest", f"{made.manifest_name}, SHA-256 {made.manifest_sha256}"),
        *(Fact("It extends", f"{base.name}, SHA-256 {base.sha256}") for base in made.bases),
        *((Fact("Its variables", ", ".join(made.variables)),) if made.variables else ()),
        *(Fact("Set for this build", one) for one in made.overrides),
    )
    return Method(
        definitions=(*(Fact(entry.label, entry.sentence) for entry in results.definitions), *comparisons),
        thresholds=thresholds,
        certainty=tuple((formats.integer(count), formats.rate_bound(count)) for count in counts),
        provenance=provenance,
        transforms=tuple((name(run.id), run.transform) for run in results.runs if not weights_alone(run)),
        checksums=tuple(_checksum(run) for run in results.runs if run.load and run.load.sha256),
        code_run=tuple(made.code_run),
        manifest_name=made.manifest_name,
        manifest_text=made.manifest_text,
        bases=tuple((base.name, base.text) for base in made.bases),
        paragraph=_paragraph(results),
    )


def _checksum(run: Run) -> tuple[Name, str, str]:
    path, digest = (run.load.path or "", run.load.sha256 or "") if run.load else ("", "")
    return name(run.id), path, digest


def _paragraph(results: Results) -> str:
    made = results.provenance
    version = made.versions.get("featreport", "")
    dead, near = formats.plain(results.thresholds.dead), formats.plain(results.thresholds.near_zero)
    weights = f"Near-zero weights are those of convolutions and linear layers with |w| ≤ {near}."
    alone = sum(weights_alone(run) for run in results.runs)
    if alone:
        files = formats.plural(alone, "checkpoint")
        weights = f"The tensors of {files} were read as data and measured without a network. {weights}"
    if alone and alone == len(results.runs):
        return f"Made with featreport {version}. {weights}"
    return (
        f"Activations were captured with featreport {version} in evaluation mode without gradients, "
        f"in {made.precision} on {made.device}. A channel counts as dead when its largest absolute activation over "
        f"all images and positions is at most {dead}; the headline counts channels at rectifier outputs only. "
        f"{weights}"
    )


def unmeasured(run: Run, anchor: str, anchors: Anchors) -> tuple[str, tuple[UnmeasuredRow, ...]]:
    """Return the place and the rows of what has no numbers: one for all layers of one reason."""
    groups: dict[tuple[str, ...], list[Unmeasured]] = {}
    for entry in run.unmeasured:
        groups.setdefault(_kind(entry), []).append(entry)
    return anchors.take(anchor, "unmeasured"), tuple(
        UnmeasuredRow(
            first=tuple(name(entry.layer) for entry in entries[:FEW]),
            rest=tuple(name(entry.layer) for entry in entries[FEW:]),
            reason=_reason(entries),
        )
        for entries in groups.values()
    )


def _kind(entry: Unmeasured) -> tuple[str, ...]:
    """Return what is alike, in each block, of why a layer has no numbers: all but the numbers in the block's name."""
    around = entry.layer.rpartition(".")[0]
    named = re.search(rf"(?<![\w.]){re.escape(around)}$", entry.reason) if around else None
    return (entry.reason[: named.start()], *_NUMBER.split(around)) if named else (entry.reason,)


def _reason(entries: Sequence[Unmeasured]) -> str:
    """Return the reason of layers of one kind, with a star for each number that is not the same for all."""
    parts = zip(*(_NUMBERS.split(entry.reason) for entry in entries), strict=True)
    return "".join(part[0] if len({*part}) == 1 else "*" for part in parts)
