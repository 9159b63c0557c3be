"""Hostile and odd checkpoint files: every one has its expected outcome, and none runs, hangs, bloats or kills.

Each case is written by this test. Most hold a good state dict beside the hostile part, so that "loads" is a claim
about tensors, not only about survival.
"""

from __future__ import annotations

import functools
import io
import json
import os
import pickle
import queue
import re
import struct
import subprocess
import sys
import tarfile
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from hostile_worker import net

SECONDS = 10
MIB = 512
LOADS = "loads"  # the good tensors, all of them
ANY = "refused or the same"  # a flipped bit may fall on padding

STATE = net(seed=1).state_dict()
WORDS = ("weights_only", "add_safe_globals", "torch.load", "unpickl", "Traceback")


# Building blocks ------------------------------------------------------------------------------------------


def zipped(value: object) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(value, out)
    return out.getvalue()


def legacy(value: object) -> bytes:
    out = io.BytesIO()
    torch.save(value, out, _use_new_zipfile_serialization=False)
    return out.getvalue()


def rewritten(
    whole: bytes, change: Callable[[str, bytes], bytes | None], extra: dict[str, bytes] | None = None
) -> bytes:
    """Return a zip with every record through `change` (None leaves it out) and `extra` records, by short names."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(out, "w") as new:
        top = old.namelist()[0].split("/")[0]
        for entry in old.infolist():
            content = change(entry.filename.partition("/")[2], old.read(entry))
            if content is not None:
                new.writestr(entry.filename, content)
        for name, content in (extra or {}).items():
            new.writestr(f"{top}/{name}", content)
    return out.getvalue()


def with_pickle(raw: bytes) -> bytes:
    """Return the good zip with `raw` as its index."""
    return rewritten(zipped(STATE), lambda name, content: raw if name == "data.pkl" else content)


@functools.cache
def good_pickle() -> bytes:
    """The good index: from PROTO to STOP."""
    with zipfile.ZipFile(io.BytesIO(zipped(STATE))) as file:
        return file.read(next(name for name in file.namelist() if name.endswith("data.pkl")))


def beside(part: bytes) -> bytes:
    """Return a zip whose index is {"state_dict": the good one, "x": what `part` pushes}."""
    inner = good_pickle()[2:-1]
    return with_pickle(b"\x80\x02}(X\x0a\0\0\0state_dict" + inner + b"X\x01\0\0\0x" + part + b"u.")


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value: int) -> bytes:
    raw = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def storage(count: int, key: str = "0", kind: str = "FloatStorage") -> bytes:
    return (
        b"("
        + text("storage")
        + b"ctorch\n"
        + kind.encode()
        + b"\n"
        + text(key)
        + text("cpu")
        + number(count)
        + b"tQ"
    )


def row(*values: int) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def rebuilt(size: bytes, stride: bytes, offset: int = 0, count: int = 108) -> bytes:
    head = b"ctorch._utils\n_rebuild_tensor_v2\n("
    return head + storage(count) + number(offset) + size + stride + b"\x89ccollections\nOrderedDict\n)RtR"


def table(entries: dict[str, object] | str, data: bytes = b"") -> bytes:
    raw = (entries if isinstance(entries, str) else json.dumps(entries)).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def entry(
    start: int = 0, end: int = 4, shape: tuple[object, ...] = (1,), dtype: str = "F32"
) -> dict[str, object]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


def record_at(whole: bytes, name: str) -> int:
    with zipfile.ZipFile(io.BytesIO(whole)) as file:
        found = next(e for e in file.infolist() if e.filename.partition("/")[2] == name)
    lengths = struct.unpack_from("<HH", whole, found.header_offset + 26)
    return found.header_offset + 30 + sum(lengths)


def flipped(whole: bytes, at: int, bit: int = 0) -> bytes:
    return whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :]


def scripted() -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(net(seed=1)), out)
    return out.getvalue()


def exported() -> bytes:
    out = io.BytesIO()
    model = net(seed=1).eval()
    model.head = torch.nn.Identity()  # the rest does not fit behind each other; its tensors are what matters
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(model, (torch.randn(1, 3, 8, 8),)), out)
    return out.getvalue()


# The table ------------------------------------------------------------------------------------------------

Case = tuple[bytes | Callable[[Path], None], str]
CALLS = {  # what a hostile pickle calls: module, name, arguments (the command names the canary)
    "os.system": ("os", "system"),
    "posix.system": ("posix", "system"),
    "subprocess.getoutput": ("subprocess", "getoutput"),
    "builtins.eval": ("builtins", "eval"),
    "builtins.exec": ("builtins", "exec"),
    "builtins.open": ("builtins", "open"),
    "runpy.run_path": ("runpy", "run_path"),
    "pathlib.Path.touch": ("pathlib", "Path.touch"),
    "torch.hub.load": ("torch.hub", "load"),
    "torch.load": ("torch", "load"),
    "io.FileIO": ("io", "FileIO"),
    "torch._utils._rebuild_wrapper_subclass": ("torch._utils", "_rebuild_wrapper_subclass"),
}


def argument(name: str, canary: Path) -> str:
    if name.endswith(("system", "getoutput")):
        return f"touch {canary}"
    return f"open({str(canary)!r}, 'w')" if name.endswith(("eval", "exec")) else str(canary)


def call(name: str, canary: Path, how: str) -> bytes:
    module, function = CALLS[name]
    given = text(argument(name, canary))
    reference = f"c{module}\n{function}\n".encode()
    return {
        "REDUCE": reference + given + b"\x85R",
        "INST": b"(" + given + f"i{module}\n{function}\n".encode(),
        "OBJ": b"(" + reference + given + b"o",
        "NEWOBJ": reference + given + b"\x85\x81",
        "NEWOBJ_EX": reference + given + b"\x85}\x92",
        "STACK_GLOBAL": text(module) + text(function) + b"\x93" + given + b"\x85R",
        "BUILD": reference + b")R" + given + b"b",
        "SETITEM": reference + b")R" + given + given + b"s",
        "APPEND": reference + b")R" + given + b"a",
    }[how]


def gadgets(canary: Path) -> dict[str, Case]:
    ways = ("REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "STACK_GLOBAL", "BUILD", "SETITEM", "APPEND")
    found: dict[str, Case] = {
        f"{way}: os.system": (beside(call("os.system", canary, way)), LOADS) for way in ways
    }
    found |= {f"calls {name}": (beside(call(name, canary, "REDUCE")), LOADS) for name in CALLS}

    class Gadget:
        def __reduce__(self) -> tuple[object, ...]:
            return os.system, (f"touch {canary}",)

    for protocol in range(6):
        raw = pickle.dumps(Gadget(), protocol)
        found[f"alone, protocol {protocol}"] = (with_pickle(raw), "holds no state dict")
        found[f"plain pickle, protocol {protocol}"] = (raw, "is ")
        inner = re.sub(rb"^\x80.(\x95.{8})?", b"", raw, flags=re.DOTALL)[:-1]
        found[f"beside, protocol {protocol}"] = (beside(inner), LOADS)
        found[f"before a legacy index, protocol {protocol}"] = (
            legacy(STATE)[:15] + raw + legacy(STATE)[15:],
            "is ",
        )
    found["legacy"] = (legacy({"state_dict": STATE, "x": Gadget()}), LOADS)
    found["legacy, behind the index"] = (
        legacy(STATE).replace(b"(lp", pickle.dumps(Gadget(), 2)[2:-1] + b"(lp", 1)
        + pickle.dumps(Gadget(), 2),
        ANY,
    )
    hostile = b"\x80\x02" + call("os.system", canary, "REDUCE") + b"."
    keep: Callable[[str, bytes], bytes] = lambda name, content: content  # noqa: E731
    found["TorchScript, constants.pkl"] = (
        rewritten(scripted(), lambda name, content: hostile if name == "constants.pkl" else content),
        LOADS,
    )
    found["TorchScript, data.pkl"] = (
        rewritten(scripted(), lambda name, content: hostile if name == "data.pkl" else content),
        "holds no state dict",
    )
    found["TorchScript, extra record"] = (rewritten(scripted(), keep, {"extra/x.pkl": hostile}), LOADS)
    found["torch.export, sample inputs"] = (
        rewritten(exported(), lambda n, c: zipped(Gadget()) if n == "data/sample_inputs/model.pt" else c),
        "does not fit",  # the exported part lacks the head
    )
    found["torch.export of before 2.8"] = (
        rewritten(
            zipped({}),
            lambda n, c: None if n == "data.pkl" else c,
            {
                "serialized_exported_program.json": b"{}",
                "serialized_state_dict.pt": zipped({**STATE, "x": Gadget()}),
            },
        ),
        LOADS,
    )
    found["as a storage's kind"] = (
        beside(
            b"ctorch._utils\n_rebuild_tensor_v2\n(("
            + text("storage")
            + call("os.system", canary, "REDUCE")
            + b"tQtR"
        ),
        "is damaged or cut short",
    )
    found["as a key"] = (
        with_pickle(b"\x80\x02}" + call("os.system", canary, "REDUCE") + b"Ns."),
        "holds no state dict",
    )
    found["a builder by another name"] = (beside(b"ctorch._utils\n_rebuild_tensor_v2.__globals__\n)R"), LOADS)
    found["a rebuilt type with a function of its own"] = (
        beside(b"ctorch._tensor\n_rebuild_from_type_v2\n(cos\nsystem\nNX\1\0\0\0a\x85NtR"),
        LOADS,
    )
    found["__setstate__ of a module"] = (
        beside(
            b"ctorch.nn.modules.module\nModule\n)\x81}"
            + text("_modules")
            + call("os.system", canary, "REDUCE")
            + b"sb"
        ),
        LOADS,
    )
    return found


def bombs() -> dict[str, Case]:
    deep = b"N" + b"\x85" * 200_000
    lists = b"]" + b"q\x000](h\0h\0e" * 60
    keys = b"N" + b"q\x000h\0h\0\x86" * 60
    collide = b"".join(number(i * (2**61 - 1)) + b"N" for i in range(30_000))
    long_text = text("a" * 2**20) + b"q\x05"
    encode = b"(" + b"c_codecs\nencode\nh\x05X\x06\0\0\0latin1\x86R" * 400 + b"t"
    ordered = b"(" + b"ccollections\nOrderedDict\nh\x06\x85R" * 3_000 + b"t"
    big = b"](" + b"(NNt" * 20_000 + b"eq\x06"
    half = b"ctorch._utils\n_rebuild_qtensor\n("
    affine = b"(ctorch\nper_channel_affine\n" + row(1) + row(0) + number(9) + b"t"
    sparse = b"ctorch._utils\n_rebuild_sparse_tensor\n("
    coo = b"ctorch.serialization\n_get_layout\nX\x10\0\0\0torch.sparse_coo\x85R"
    tensor = rebuilt(row(1), row(1))
    longs = (
        tensor.replace(b"FloatStorage", b"LongStorage")
        .replace(text("0"), text("8"), 1)
        .replace(number(108), number(1))
    )
    return {
        "2^50 elements of stride 0": (beside(rebuilt(row(2**50), row(0))), "claims more than it holds"),
        "2^31 × 2^31 of stride 0": (
            beside(rebuilt(row(2**31, 2**31), row(0, 0))),
            "claims more than it holds",
        ),
        "2^64 elements": (beside(rebuilt(row(2**32, 2**32), row(0, 0))), "claims more than it holds"),
        "a size of 2^70": (beside(rebuilt(row(2**70), row(0))), "not a row of whole numbers"),
        "0 × 2^62": (beside(rebuilt(row(0, 2**61), row(1, 1))), LOADS),
        "a negative size": (beside(rebuilt(row(-1), row(1))), "not a row of whole numbers"),
        "a negative stride": (beside(rebuilt(row(2), row(-1))), "not a row of whole numbers"),
        "a negative offset": (beside(rebuilt(row(2), row(1), -5)), "not a row of whole numbers"),
        "an offset behind the end": (beside(rebuilt(row(2), row(1), 107)), "reaches beyond its storage"),
        "a stride behind the end": (beside(rebuilt(row(2), row(108))), "reaches beyond its storage"),
        "sizes without strides": (beside(rebuilt(row(2, 2), row(1))), "2 sizes and 1 strides"),
        "100 dimensions": (beside(rebuilt(row(*[1] * 100), row(*[1] * 100))), "100 sizes"),
        "a size that is a text": (
            beside(rebuilt(b"(" + text("4") + b"t", row(1))),
            "not a row of whole numbers",
        ),
        "a size that is True": (beside(rebuilt(b"\x88\x85", row(1))), "not a row of whole numbers"),
        "a storage of 2^60": (beside(rebuilt(row(1), row(1), count=2**60)), "its index claims"),
        "a storage of -1": (beside(rebuilt(row(1), row(1), count=-1)), "damaged or cut short"),
        "a storage that is not there": (
            beside(rebuilt(row(1), row(1)).replace(text("0"), text("99"))),
            "is missing",
        ),
        "a storage outside data/": (
            beside(rebuilt(row(1), row(1)).replace(text("0"), text("../version"))),
            "is missing",
        ),
        "an unknown kind of storage": (
            beside(rebuilt(row(1), row(1)).replace(b"FloatStorage", b"EvilStorage")),
            "unknown kind: torch.EvilStorage",
        ),
        "a tensor on a list": (
            beside(b"ctorch._utils\n_rebuild_tensor_v2\n(]" + row(1) * 3 + b"tR"),
            "damaged",
        ),
        "a tensor of nothing": (beside(b"ctorch._utils\n_rebuild_tensor_v2\n)R"), "damaged"),
        "200,000 nested tuples": (beside(deep), "nests its values more than 512 deep"),
        "200,000 nested tuples as a key": (beside(b"}" + deep + b"Ns"), LOADS),
        "a list of lists, doubled 60 times": (beside(lists), LOADS),
        "a tuple of tuples, doubled 60 times": (beside(keys), LOADS),
        "a key doubled 60 times": (beside(b"}" + keys + b"Ns"), LOADS),
        "a set member doubled 60 times": (beside(b"\x8f(" + keys + b"\x90"), LOADS),
        "30,000 colliding integers": (beside(b"}(" + collide + b"u"), LOADS),
        "a dict that holds itself": (beside(b"}q\x09X\1\0\0\0ah\x09s"), LOADS),
        "a list that holds itself": (beside(b"]q\x09h\x09a"), LOADS),
        "400 copies of a megabyte": (beside(long_text + b"0" + encode), "unpacks to far more than it holds"),
        "3,000 copies of a long list": (beside(big + b"0" + ordered), "unpacks to far more than it holds"),
        "memo 2^31": (beside(b"Nr\xff\xff\xff\x7f"), "keeps its value number"),
        "memo by text": (beside(b"Np99999999999\n"), "keeps its value number"),
        "a memo that was never kept": (beside(b"j\xff\xff\0\0"), "damaged or cut short"),
        "2^40 bytes": (beside(b"\x8e" + struct.pack("<Q", 2**40) + b"x"), "damaged or cut short"),
        "2^63 bytes": (beside(b"\x8e" + struct.pack("<Q", 2**63) + b"x"), "damaged or cut short"),
        "a bytearray of 2^40": (beside(b"\x96" + struct.pack("<Q", 2**40) + b"x"), "damaged or cut short"),
        "a bytearray of 2^32 by call": (beside(b"cbuiltins\nbytearray\n" + number(2**32) + b"\x85R"), LOADS),
        "bytes of 2^40 by call": (beside(b"c__builtin__\nbytes\n" + number(2**40) + b"\x85R"), LOADS),
        "a range turned into a list": (
            beside(b"cbuiltins\nlist\ncbuiltins\nrange\n" + number(2**40) + b"\x85R\x85R"),
            LOADS,
        ),
        "a text of 2^31": (beside(b"X\xff\xff\xff\x7fx"), "damaged or cut short"),
        "a number of 2^31 bytes": (beside(b"\x8b\xff\xff\xff\x7fx"), "damaged or cut short"),
        "a number of a million digits": (beside(b"I" + b"9" * 10**6 + b"\n"), "damaged or cut short"),
        "four million steps": (
            with_pickle(b"\x80\x02" + b"N0" * 2 * 10**6 + b"N."),
            "more than 3,000,000 steps",
        ),
        "a frame of 2^60": (beside(b"\x95" + struct.pack("<Q", 2**60) + b"N"), ANY),
        "a quantized tensor without the axis": (
            beside(
                half
                + storage(108, kind="QInt8Storage")
                + row(1)[:0]
                + number(0)
                + row(4)
                + row(1)
                + affine
                + b"\x89NtR"
            ),
            "damaged",
        ),
        "a sparse tensor of 2^40": (
            beside(sparse + coo + b"(" + longs + tensor + row(2**40) + b"\x89ttR"),
            "damaged|unpacks to far more",
        ),
        "a layout that is not there": (
            beside(
                sparse
                + coo.replace(b"sparse_coo", b"sparse_xyz")
                + b"("
                + tensor
                + tensor
                + tensor
                + row(1)
                + b"ttR"
            ),
            "unknown layout",
        ),
        "a NumPy array of another size": (
            beside(
                b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85C\1b\x87R(K\1"
                + row(10)
                + b"cnumpy\ndtype\nX\2\0\0\0f8\x85RNC\4abcdtb"
            ),
            "a NumPy array's bytes do not fit",
        ),
        "a NumPy array of objects": (
            beside(
                b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85C\1b\x87R(K\1"
                + row(1)
                + b"cnumpy\ndtype\nX\2\0\0\0O8\x85RN]tb"
            ),
            LOADS,
        ),
        "meta tensors": (zipped({"w": torch.empty(2**40, device="meta"), **STATE}), "holds meta tensors"),
        "legacy: a storage of 2^40": (
            legacy({"w": torch.ones(1)}).replace(b"K\x01Nt", number(2**40) + b"Nt"),
            "claims more than it holds",
        ),
        "legacy: more bytes than are there": (legacy(STATE)[:-40], "damaged or cut short"),
        "nested state dicts, 300 deep": (
            zipped(functools.reduce(lambda inner, _: {"a": inner}, range(300), STATE)),
            LOADS,
        ),
    }


def malformed() -> dict[str, Case]:
    raws = {
        "empty": b"",
        "STOP alone": b".",
        "no STOP": b"\x80\x02N",
        "an unknown instruction": b"\x80\x02\xff.",
        "POP of nothing": b"\x80\x020.",
        "TUPLE without a mark": b"\x80\x02t.",
        "REDUCE of nothing": b"\x80\x02R.",
        "REDUCE with a list": b"\x80\x02cos\nsystem\n]R.",
        "BUILD of nothing": b"\x80\x02Nb.",
        "SETITEMS with one": b"\x80\x02}(Nu.",
        "APPEND to a text": b"\x80\x02X\1\0\0\0aNa.",
        "ADDITEMS to None": b"\x80\x02N(N\x90.",
        "DUP of nothing": b"\x80\x022.",
        "STACK_GLOBAL of numbers": b"\x80\x02K\1K\2\x93.",
        "EXT1": b"\x80\x02\x82\x01.",
        "EXT4": b"\x80\x02\x84\x01\0\0\0.",
        "PERSID": b"\x80\x02P0\n.",
        "NEXT_BUFFER": b"\x80\x05\x97.",
        "GLOBAL without a line end": b"\x80\x02cos",
        "protocol 200": b"\x80\xc8N.",
        "text that is no UTF-8": b"\x80\x02X\1\0\0\0\xff.",
    }
    refuse = "holds no state dict|damaged or cut short|no checkpoint uses"
    return {f"index: {name}": (with_pickle(raw), refuse) for name, raw in raws.items()}


def swap(name: str, content: bytes) -> bytes:
    if name == "byteorder":
        return b"big"
    if not name.startswith("data/"):
        return content
    return np.frombuffer(content, np.int64 if len(content) == 8 else np.float32).byteswap().tobytes()


def zips() -> dict[str, Case]:
    whole = zipped(STATE)
    keep: Callable[[str, bytes], bytes] = lambda _, content: content  # noqa: E731
    squeezed = io.BytesIO()
    with zipfile.ZipFile(squeezed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", good_pickle())
        file.writestr("archive/data/0", bytes(2**27))
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w") as file:
        for index in range(200_001):
            file.writestr(f"a/{index}", b"")
    directory = whole.rindex(b"PK\x01\x02")  # the last entry of the table of contents
    start = whole.index(b"PK\x01\x02")
    return {
        "deflated, 128 MiB": (squeezed.getvalue(), "holds a compressed record"),
        "200,001 records": (many.getvalue(), "records, more than any model|no checkpoint"),
        "an entry of 4 GiB": (
            whole[: directory + 20] + b"\xf0\xff\xff\xff" * 2 + whole[directory + 28 :],
            "claims 4,294,967,280 bytes|truncated zip|damaged",
        ),
        "an entry that points outside": (
            whole[: directory + 42] + b"\xf0\xff\xff\x7f" + whole[directory + 46 :],
            "outside the file|damaged",
        ),
        "an entry that points at another's bytes": (
            whole[: directory + 42] + whole[start + 42 : start + 46] + whole[directory + 46 :],
            "disagrees with the table of contents",
        ),
        "another folder": (
            rewritten(whole, keep).replace(b"archive/version", b"brchive/version"),
            "more than one folder",
        ),
        "a record that climbs": (rewritten(whole, keep, {"../../x": b"x"}), "is ambiguous"),
        "a record with a backslash": (
            rewritten(whole, keep, {"data\\..\\x": b"x"}),
            "is ambiguous|LOADS|disagrees",
        ),
        "the index twice, in capitals": (rewritten(whole, keep, {"DATA.PKL": b"x"}), "is ambiguous"),
        "a storage twice, in capitals": (rewritten(whole, keep, {"DATA/0": b"x"}), "is ambiguous"),
        "encrypted": (flipped(whole, directory + 8), "compressed record|disagrees|damaged"),
        "bytes before": (b"#!/bin/sh\n" + whole, "is "),
        "bytes behind": (whole + b"\0" * 100, LOADS),
        "HTML behind": (whole + b"<html>", LOADS),
        "a foreign record": (rewritten(whole, keep, {"notes.txt": b"hello"}), LOADS),
        "big-endian": (rewritten(whole, swap), LOADS),
        "an empty storage record": (
            rewritten(whole, lambda n, c: b"" if n == "data/0" else c),
            "its index claims 432",
        ),
        "no storage record": (rewritten(whole, lambda n, c: None if n == "data/0" else c), "is missing"),
        "no index": (rewritten(whole, lambda n, c: None if n == "data.pkl" else c), "without data.pkl"),
    }


def tables() -> dict[str, Case]:
    whole = safetensors.torch.save(STATE)
    length = struct.unpack("<Q", whole[:8])[0]
    header, data = json.loads(whole[8 : 8 + length]), whole[8 + length :]
    damaged = "damaged or cut short|truncated|allows|ambiguous|names more than|of no known format|JSON text"
    deep = "[" * 100_000 + "]" * 100_000
    changes: dict[str, bytes] = {
        "a table of 2^62 bytes": struct.pack("<Q", 2**62) + whole[8:],
        "a table of 99 GB": struct.pack("<Q", 99 * 10**9) + whole[8:],
        "a table of 0 bytes": struct.pack("<Q", 0) + whole[8:],
        "a table that ends early": struct.pack("<Q", length - 5) + whole[8:],
        "a table that is a list": table("[1, 2]"),
        "a table that is text": table("{hello"),
        "a table that is deep": table('{"a": ' + deep + "}"),
        "a table twice the same": table('{"a": 1, "a": 2}'),
        "a tensor behind the end": table(header | {"x": entry(len(data), len(data) + 400, (100,))}, data),
        "a tensor before the start": table(header | {"x": entry(-4, 0)}, data),
        "a tensor upside down": table(header | {"x": entry(len(data), len(data) - 4)}, data),
        "two tensors on one another": table(header | {"x": entry(0, 4)}, data),
        "a gap": table({"x": entry(4, 8)}, bytes(8)),
        "bytes that belong to none": table(header, data + bytes(64)),
        "a shape that does not fit": table({"x": entry(0, 4, (7,))}, bytes(4)),
        "a shape of 2^64": table({"x": entry(0, 4, (2**32, 2**32))}, bytes(4)),
        "a negative shape": table({"x": entry(0, 4, (-1,))}, bytes(4)),
        "a shape of texts": table({"x": entry(0, 4, ("1",))}, bytes(4)),
        "a shape of fractions": table({"x": entry(0, 4, (1.5,))}, bytes(4)),
        "an unknown type": table({"x": entry(0, 4, dtype="X99")}, bytes(4)),
        "an entry without offsets": table({"x": {"dtype": "F32", "shape": [1]}}, bytes(4)),
        "an entry that is a number": table({"x": 5}, bytes(4)),
        "metadata that is a list": table({"__metadata__": [1]}, b""),
        "60,000 empty tensors": table({f"t{i}": entry(0, 0, (0,)) for i in range(60_000)}),
    }
    found: dict[str, Case] = {f"safetensors: {name}": (raw, damaged) for name, raw in changes.items()}
    found["safetensors: empty"] = (table({}), "holds no state dict|names")
    found["safetensors: blanks behind the table"] = (table(json.dumps(header) + " " * 64, data), LOADS)
    return found


def damage() -> dict[str, Case]:
    kinds = {
        "zip": zipped(STATE),
        "legacy": legacy(STATE),
        "safetensors": safetensors.torch.save(STATE),
        "TorchScript": scripted(),
        "torch.export": exported(),
    }
    found: dict[str, Case] = {}
    for kind, whole in kinds.items():
        for part in (1, 3, 7, 12, 15, 31):
            found[f"{kind}, {part}/32 of it"] = (whole[: len(whole) * part // 32], "is |claims more")
        found[f"{kind} without its last byte"] = (whole[:-1], "is |damaged")
    for kind in ("zip", "TorchScript", "torch.export"):
        whole = kinds[kind]
        with zipfile.ZipFile(io.BytesIO(whole)) as file:
            names = [
                e.filename.partition("/")[2]
                for e in file.infolist()
                if e.file_size and "code/" not in e.filename
            ]
        for name in names:
            at = record_at(whole, name)
            found[f"{kind}: a bit of {name}"] = (flipped(whole, at), "do not match their checksum")
    for at in range(0, 400, 20):
        found[f"zip: a bit at {at}"] = (flipped(kinds["zip"], at, at % 8), ANY)
    for at in range(1, 300, 23):
        found[f"legacy: a bit at {at}"] = (flipped(kinds["legacy"], at, at % 8), "|")
        found[f"safetensors: a bit at {at}"] = (flipped(kinds["safetensors"], at, at % 8), "|")
    for back in range(1, 120, 13):
        whole = kinds["zip"]
        found[f"zip: a bit {back} from the end"] = (flipped(whole, len(whole) - back, back % 8), ANY)
    return found


def strangers() -> dict[str, Case]:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as file:
        file.addfile(tarfile.TarInfo("weights.pth"))
    return {
        "empty": (b"", "is empty"),
        "one byte": (b"\x80", "is "),
        "HTML": (b"<!DOCTYPE html><html>404</html>", "is an HTML page"),
        "git-LFS": (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n",
            "is a git-LFS pointer",
        ),
        "tar": (tar.getvalue(), "is a tar archive"),
        "gzip": (b"\x1f\x8b\x08abc", "is a gzip archive"),
        "JSON": (b'{"architectures": ["ResNet"]}', "is a JSON text"),
        "zeros": (bytes(4096), "is "),
        "noise": (bytes(range(1, 256)) * 9, "is of no known format"),
        "text": (b"hello\n", "is a text file"),
        "another encoding": ("Gewichte".encode("utf-16"), "is "),
        "a pickle of a dict": (pickle.dumps({"a": 1}), "is a plain Python pickle"),
    }


def shards() -> dict[str, Case]:
    def index(
        entries: dict[str, object] | str, files: dict[str, bytes] | None = None
    ) -> Callable[[Path], None]:
        def write(path: Path) -> None:
            raw = entries if isinstance(entries, str) else json.dumps({"weight_map": entries})
            path.write_text(raw)
            for name, content in (files or {}).items():
                (path.parent / name).write_bytes(content)

        return write

    names = list(STATE)
    one = safetensors.torch.save({name: STATE[name] for name in names[:4]})
    two = zipped({name: STATE[name] for name in names[4:]})
    halves: dict[str, object] = {
        name: "1.bin" if position < 4 else "2.bin" for position, name in enumerate(names)
    }
    return {
        "index: two shards of two formats": (index(halves, {"1.bin": one, "2.bin": two}), LOADS),
        "index: a shard that is absent": (index({"a": "absent.bin"}), "not beside it"),
        "index: a shard that climbs": (index({"a": "../../etc/passwd"}), "outside its folder"),
        "index: an absolute shard": (index({"a": "/etc/passwd"}), "outside its folder"),
        "index: a shard with a backslash": (index({"a": "..\\x"}), "outside its folder"),
        "index: a shard that is HTML": (index({"a": "h.bin"}, {"h.bin": b"<html>"}), "is an HTML page"),
        "index: a shard that is cut": (
            index(halves, {"1.bin": one[:-9], "2.bin": two}),
            "cannot be used: 1.bin",
        ),
        "index: a tensor that is elsewhere": (
            index({"a": "1.bin"}, {"1.bin": one}),
            "expects 1 tensors in 1.bin that are not there",
        ),
        "index: numbers for names": (index({"a": 5}), "without names of files"),
        "index: empty": (index({}), "without names of files"),
        "index: a list": (index('{"weight_map": [1]}'), "without names of files"),
        "index: cut": (index('{"weight_map": {"a": "b"'), "damaged or cut short"),
        "index: of an index": (
            index({"a": "i.json"}, {"i.json": b'{"weight_map": {"a": "i.json"}}'}),
            "is an index itself",
        ),
    }


# The tests ------------------------------------------------------------------------------------------------

CANARY = Path("/tmp") / f"featreport-canary-{os.getpid()}"
CASES: dict[str, Case] = {
    **gadgets(CANARY),
    **bombs(),
    **malformed(),
    **zips(),
    **tables(),
    **damage(),
    **strangers(),
    **shards(),
}


class Worker:
    """The reader in a process of its own."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        script = Path(__file__).with_name("hostile_worker.py")
        self.process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"},
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self.pump = threading.Thread(target=self._pump, args=(self.process, self.lines), daemon=True)
        self.pump.start()
        assert self.lines.get(timeout=120) == "ready\n"

    @staticmethod
    def _pump(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put("")

    def load(self, path: Path) -> dict[str, object]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        try:
            answer = self.lines.get(timeout=SECONDS)
        except queue.Empty:
            answer = "hangs"
        if not answer.startswith("{"):
            self.close()
            self._start()
            pytest.fail(f"the reader {answer or 'died'}")
        found: dict[str, object] = json.loads(answer)
        return found

    def close(self) -> None:
        self.process.kill()
        self.pump.join()
        self.process.communicate()


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    one = Worker()
    yield one
    one.close()


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_file_has_its_outcome_and_nothing_else(tmp_path: Path, worker: Worker, case: str) -> None:
    content, expected = CASES[case]
    path = tmp_path / "weights.pth"
    if callable(content):
        content(path)
    else:
        path.write_bytes(content)
    found = worker.load(path)
    assert not CANARY.exists()
    assert int(str(found["mib"])) <= MIB
    if expected == LOADS:
        assert found.get("same") is True, found
        return
    if "refused" not in found:
        assert expected in {ANY, "|"}, found
        assert expected == "|" or found["same"] is True, found
        return
    message = str(found["refused"])
    assert re.search("" if expected == ANY else expected, message), message
    assert found["hint"]
    assert "\n" not in message
    assert not any(word in message + str(found["hint"]) for word in WORDS), found


def test_there_are_many_cases() -> None:
    assert len(CASES) >= 150
