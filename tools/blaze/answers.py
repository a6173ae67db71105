"""Writes tests/nets/blaze/answers.npz: what the published files answer under LiteRT, and MediaPipe's own pipeline.

    python -m tools.blaze.answers --packages=/tmp/packages [--mediapipe=/tmp/mediapipe.npz]

Two pictures per network: a made-up one of waves, and the test's photograph. MediaPipe needs numpy < 2 and so an
environment of its own (`pip install mediapipe==0.10.21`), where `python tools/blaze/mediapipe_answers.py
tests/nets/blaze/astronaut.jpg /tmp/mediapipe.npz` writes its part; without it the part in the file stays.
"""

import argparse
import pathlib

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from tools.blaze.sources import SOURCES, fetch

TESTS = pathlib.Path(__file__).resolve().parents[2] / "tests" / "nets" / "blaze"

KEPT = 400
"""At most about so many numbers of each output are kept."""


def waves(side):
    """A smooth coloured picture (side, side, 3) in [0, 1]."""
    x, y = np.meshgrid(np.arange(side) / side, np.arange(side) / side)
    phases = [9 * x + 4 * y, 5 * x - 11 * y + 1, 14 * x * y + 2]
    return (0.5 + 0.5 * np.sin(np.stack(phases, -1))).astype(np.float32)


def photograph(side):
    """The test's photograph (NASA, public domain) at that size."""
    picture = Image.open(TESTS / "astronaut.jpg").convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(picture, np.float32) / 255


def thin(array):
    """Evenly spaced entries of a flattened array."""
    flat = np.asarray(array).reshape(-1)
    return flat[:: max(1, flat.size // KEPT)]


def litert(data, threads=2):
    """A function from a picture in [0, 1] to the outputs by name of a network's tflite bytes."""
    interpreter = Interpreter(model_content=data, num_threads=threads)
    interpreter.allocate_tensors()
    entry, exits = interpreter.get_input_details()[0], interpreter.get_output_details()

    def run(picture):
        interpreter.set_tensor(entry["index"], picture[None])
        interpreter.invoke()
        return {out["name"]: interpreter.get_tensor(out["index"]) for out in exits}

    return run, int(entry["shape"][1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=pathlib.Path, required=True)
    parser.add_argument("--mediapipe", type=pathlib.Path)
    options = parser.parse_args()
    path, answers = TESTS / "answers.npz", {}
    part = options.mediapipe or path
    if part.exists():
        with np.load(part) as kept:
            answers |= {name: kept[name] for name in kept.files if name.startswith("mediapipe.")}
    for name in SOURCES:
        run, side = litert(fetch(name, options.packages))
        for label, picture in (("waves", waves(side)), ("photograph", photograph(side))):
            seen = 2 * picture - 1 if name == "detector" else picture
            answers |= {f"{name}.{label}.{key}": thin(value) for key, value in run(seen).items()}
    np.savez_compressed(path, **answers)
    print(f"{path}: {len(answers)} arrays, {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
