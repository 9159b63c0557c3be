"""Whatever the bytes: the readers answer with a tree of plain data or one CheckpointError."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featreport.checkpoints import read
from featreport.checkpoints.builders import BUILDERS, Storage
from featreport.checkpoints.layout import candidates
from featreport.checkpoints.machine import Machine, measure_depth
from featreport.errors import CheckpointError

BUDGET = settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2), "step": torch.tensor(3)}


def files() -> dict[str, bytes]:
    new, old = io.BytesIO(), io.BytesIO()
    torch.save({"model": STATE, "epoch": 3}, new)
    torch.save({"model": STATE, "epoch": 3}, old, _use_new_zipfile_serialization=False)
    return {"zip": new.getvalue(), "legacy": old.getvalue(), "safetensors": safetensors.torch.save(STATE)}


FILES = files()
EDIT = st.tuples(st.floats(0, 1), st.one_of(st.binary(max_size=12), st.integers(0, 7)))


def edited(whole: bytes, edits: list[tuple[float, bytes | int]]) -> bytes:
    """Flip a bit, or put bytes in the place of as many (or none: cut), at shares of the length."""
    for share, change in edits:
        at = int(share * (len(whole) - 1))
        if isinstance(change, int):
            whole = whole[:at] + bytes([whole[at] ^ (1 << change)]) + whole[at + 1 :]
        else:
            whole = whole[:at] + change + whole[at + len(change) :] if change else whole[: at + 1]
    return whole


def refusal(path: Path, content: bytes) -> str:
    """Return the message of the refusal, nothing where the file was read."""
    path.write_bytes(content)
    try:
        found = read(path)
        candidates(found.tree, found.bytes)
    except CheckpointError as error:
        return error.message
    return ""


def answer(path: Path, content: bytes) -> None:
    message = refusal(path, content)
    assert "\n" not in message
    assert "weights_only" not in message


@pytest.mark.parametrize("kind", FILES)
@given(edits=st.lists(EDIT, min_size=1, max_size=4))
@BUDGET
def test_an_edited_file_is_read_or_refused(
    tmp_path: Path, kind: str, edits: list[tuple[float, bytes | int]]
) -> None:
    answer(tmp_path / "a.pth", edited(FILES[kind], edits))


@given(raw=st.binary(max_size=200), head=st.sampled_from([b"", b"\x80\x02", b"PK\x03\x04", b"\x89PNG", b"{"]))
@BUDGET
def test_noise_is_named(tmp_path: Path, head: bytes, raw: bytes) -> None:
    answer(tmp_path / "a.pth", head + raw)


@given(raw=st.binary(max_size=300), length=st.integers(0, 400))
@BUDGET
def test_a_table_of_noise_is_refused(tmp_path: Path, raw: bytes, length: int) -> None:
    answer(tmp_path / "a.safetensors", struct.pack("<Q", length) + b"{" + raw)


NAMES = [*sorted(BUILDERS), "os.system", "torch.FloatStorage", "torch.float32", "numpy.dtype", "a.b"]
ORDINARY = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)  # reported as damage
FRAGMENTS = st.one_of(
    st.sampled_from(
        [bytes([code]) for code in b"()0120NR]}abdelostu.\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94Q"]
    ),
    st.sampled_from(NAMES).map(
        lambda name: f"c{name.rpartition('.')[0]}\n{name.rpartition('.')[2]}\n".encode()
    ),
    st.integers(0, 255).map(lambda value: b"K" + bytes([value])),
    st.integers(0, 5).map(lambda value: b"q" + bytes([value])),
    st.integers(0, 5).map(lambda value: b"h" + bytes([value])),
    st.sampled_from(["storage", "0", "cpu", "<", "f4", "latin1"]).map(
        lambda t: b"\x8c" + bytes([len(t)]) + t.encode()
    ),
    st.binary(max_size=4).map(lambda raw: b"C" + bytes([len(raw)]) + raw),
)


@given(parts=st.lists(FRAGMENTS, max_size=40))
@settings(BUDGET, max_examples=3_000)
def test_any_row_of_instructions_ends_in_plain_data_or_an_error(parts: list[bytes]) -> None:
    one = Storage(torch.zeros(64, dtype=torch.uint8).untyped_storage(), torch.float32, "Float")
    machine = Machine(BUILDERS, lambda _: one, 2**20)
    tree: object = None
    with contextlib.suppress(CheckpointError, *ORDINARY):
        tree = machine.run(io.BytesIO(b"".join(parts) + b"."))
    measure_depth(tree)
    assert type(tree).__module__.split(".")[0] in {"builtins", "torch", "featreport"}


@given(
    names=st.lists(st.text(max_size=12), max_size=6),
    content=st.binary(max_size=40),
    index=st.booleans(),
)
@BUDGET
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_any_zip_is_walked_or_refused(tmp_path: Path, names: list[str], content: bytes, index: bool) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name in [f"x/{n}" for n in names] + (["x/data.pkl"] if index else []):
            file.writestr(name.encode("utf-8", "replace").decode(), content)
    answer(tmp_path / "a.pth", out.getvalue())
