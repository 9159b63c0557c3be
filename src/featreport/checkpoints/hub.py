"""Published timm weights: found by tag, fetched once into the Hugging Face cache, then read as any other file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from featreport.errors import CheckpointError
from featreport.plan.types import SourceRef

FILES = ("model.safetensors", "pytorch_model.bin")


def fetch(source: SourceRef, name: str) -> Path:
    """Return the local file of timm's published weights `name` (a tag, or DEFAULT).

    Raises:
        CheckpointError: timm publishes no such weights, or they cannot be fetched.
    """
    repository, files = _place(source, name)
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
    except ImportError as error:
        raise CheckpointError(
            f"weights:{name} needs huggingface_hub: {error}", "pip install huggingface_hub"
        ) from error
    for file in files:
        try:
            return Path(hf_hub_download(repository, file))
        except Exception as error:
            if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
                continue  # reached, but without this file
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise CheckpointError(
                f"weights:{name} of {source.text} could not be fetched from {repository}: {reason}",
                f"fetch {file} of {repository} elsewhere and name it as a file",
            ) from error
    raise CheckpointError(f"{repository} holds none of {', '.join(files)}", "name a file instead")


def _place(source: SourceRef, name: str) -> tuple[str, tuple[str, ...]]:
    """Return the repository that timm names for these weights, and the files to try."""
    import timm

    architecture = source.name.partition(".")[0]
    named = source.name if name == "DEFAULT" else f"{architecture}.{name}"
    try:
        config: Any = timm.get_pretrained_cfg(named)
    except RuntimeError:
        config = None
    if config is None or not config.hf_hub_id:
        tags = sorted(text.partition(".")[2] for text in timm.list_pretrained(f"{architecture}.*"))
        raise CheckpointError(
            f"weights:{name} were not published for {source.text}; there are: {', '.join(tags[:20]) or 'none'}",
            f"write weights:{tags[0]} or weights:DEFAULT" if tags else "name a file instead",
        )
    repository = str(config.hf_hub_id)
    return repository, (str(config.hf_hub_filename),) if config.hf_hub_filename else FILES
