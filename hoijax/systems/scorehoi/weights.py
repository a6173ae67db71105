"""Files of ScoreHOI's weights that come with hoijax."""

import pathlib

from hoijax.nets.weights import load_network, read_facts, save_network, shipped_file

__all__ = ["load_network", "read_facts", "save_network", "weights_file"]


def weights_file(name: str) -> pathlib.Path:
    """A file that is shipped: "regressor", "denoiser" or "prior"."""
    return shipped_file(f"scorehoi_{name}")
