"""A TorchScript archive: a program with its tensors. The tensors are read as data; the program is not touched."""

from __future__ import annotations

from dataclasses import replace

from featreport.checkpoints.archive import open_archive
from featreport.checkpoints.contents import Bytes, Contents
from featreport.checkpoints.torch_zip import read_pickle


def load(data: Bytes) -> Contents:
    """Return the program's tree of modules, every one a record of its attributes.

    Raises:
        CheckpointError: it is ambiguous, damaged, or asks for more than it holds.
        Exception: it is damaged in another way; the caller reports it so.
    """
    archive = open_archive(data)
    version = archive.text("version")
    producer = f"TorchScript (file format {version[:20]})" if version else "TorchScript"
    found = read_pickle(archive, "data.pkl", "data/", producer)
    return replace(found, objects=tuple(name for name in found.objects if not name.startswith("__torch__.")))
