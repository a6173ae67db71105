"""Converts a checkpoint of InteractVLM 13 B whose arrays are holes of the true shapes, and says what memory that took.

    python -m hoijax.experiments.benchmarks.large_checkpoint --folder /tmp/large

Wants 28 GB of disk below the folder, and removes them.
"""

import argparse
import json
import pathlib
import resource
import struct
import subprocess
import sys
import time

import numpy as np

from hoijax.nets import weights

SHARDS = 3


def write_holes(path: pathlib.Path, table: dict[str, tuple[int, ...]]) -> None:
    """A safetensors file of bfloat16 arrays that take no room on a disk."""
    head, end = {}, 0
    for name, shape in table.items():
        size = 2 * int(np.prod(shape))
        head[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)


def main() -> None:
    """Writes the holes, converts them in a process of its own, prints a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    table, index = weights.key_table("interactvlm"), {}
    for i in range(SHARDS):
        part = {name: table[name] for name in list(table)[i::SHARDS]}
        file = f"model-{i + 1}-of-{SHARDS}.safetensors"
        write_holes(folder / file, part)
        index |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    out, began = folder / "out" / "interactvlm.safetensors", time.perf_counter()
    out.parent.mkdir(exist_ok=True)
    subprocess.run([sys.executable, "-m", "hoijax.cli", "convert", "interactvlm", str(folder), "--out", str(out),
                    "--dtype", "bfloat16"], check=True)  # fmt: skip
    row = {
        "parameters": sum(int(np.prod(shape)) for shape in table.values()),
        "bytes written": out.stat().st_size,
        "largest array": max(info.size for info in weights.open_tensors(out).table.values()),
        "peak resident bytes": 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,
        "seconds": time.perf_counter() - began,
    }
    for path in (out, *folder.glob("model-*.safetensors")):
        path.unlink()
    print(json.dumps(row))


if __name__ == "__main__":
    main()
