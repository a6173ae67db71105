"""Make your own data: SynthHOI builds interactions with pictures, masks, poses and contact, and reads like TFDS."""

import pathlib

import numpy as np
import tyro
from PIL import Image

from hoijax.data.synth import SynthConfig, build, open_split


def main(out: pathlib.Path = pathlib.Path("examples_out/11"), count: int = 8, small: bool = False) -> dict:
    """Builds a handful of samples and puts the pictures side by side."""
    count = 1 if small else count
    report = build(SynthConfig(train=count, val=0, test=0, test_unseen_category=0, scenes=0, workers=1), out)
    train = open_split(out, "train")
    samples = [train[i] for i in range(len(train))]
    print(f"{report.made} made in {report.seconds:.0f} s; each holds {sorted(samples[0])}")
    Image.fromarray(np.hstack([sample["image"] for sample in samples])).save(out / "pictures.png")
    return {"count": len(train), "keys": sorted(samples[0]), "sentences": [str(s.get("text", "")) for s in samples]}


if __name__ == "__main__":
    tyro.cli(main)
