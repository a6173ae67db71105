"""What a result was made with: device, machine and versions, recorded in one way by every training and every table."""

import importlib.metadata
import os
import pathlib
import platform
import time
from typing import Any

import jax


def software() -> dict[str, str]:
    """Version of JAX and kind of device: what weights and tables carry."""
    return {"jax": jax.__version__, "device": jax.devices()[0].device_kind}


def environment(*packages: str) -> dict[str, Any]:
    """Machine, device and versions of jax, numpy and `packages`: what every measurement of speed carries."""
    versions = {}
    for name in ("hoijax", "jax", "jaxlib", "numpy", *packages):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "date": time.strftime("%Y-%m-%d"),
        "device": software()["device"],
        "backend": jax.default_backend(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": versions,
    }


def machine() -> str:
    """The same in a few words, for pages."""
    return f"{software()['device']}, {os.cpu_count()} cores, jax {jax.__version__}"


def _cpu_name() -> str:
    info = pathlib.Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
