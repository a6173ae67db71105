"""Where a result comes from: the one record that every job keeps with its results."""

import importlib.metadata
import json
import pathlib
from collections.abc import Mapping
from typing import Any

PACKAGES = ("hoijax", "jax", "numpy")


def provenance() -> dict[str, Any]:
    """Versions and device of this process, as every `metrics.json` holds them."""
    import jax

    return {
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "device": jax.devices()[0].device_kind,
    }


def read_record(path: pathlib.Path) -> dict[str, Any]:
    """The contents of a record; empty if there is none, or a damaged one."""
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a command as JSON holds them: numbers and switches as they are, everything else as text."""
    return {k: v if isinstance(v, int | float | None) else str(v) for k, v in options.items()}
