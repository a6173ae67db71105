"""What `hoijax reconstruct` says of pictures that are hard or wrong: cut off, small, crowded, empty, in odd formats.

    python -m tools.photo_failures --photograph skimage/data/astronaut.png

Each case is made from one photograph (NASA's portrait of Eileen Collins, public domain, scikit-image's example data;
`tests/nets/blaze/astronaut.jpg` is the same at 320 pixels) and run as a command; the page holds what was printed, times
and folders left out. The object is a ball for the helmet in her lap, its mask grown from a box where no mask is the
case. Writes `photo_failures.json` and `.md` to `--out`;
those of docs/results are held to the code by tests/tools/test_photo_failures.py. Two minutes on two idle cores.
"""

import contextlib
import dataclasses
import io
import pathlib
import re
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import trimesh
import tyro
from PIL import Image

from hoijax.cli import main as command
from hoijax.experiments.common.environment import machine
from hoijax.experiments.common.pages import page, write_page

BOX = (278, 340, 500, 512)
"""About the helmet: left, top, right, bottom."""
ORIENTATION = 0x0112
"""EXIF's entry that turns a picture."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Every setting of the run."""

    photograph: pathlib.Path
    """512 x 512 pixels."""
    only: tuple[str, ...] = ()
    """Names of cases; none: all."""
    out: pathlib.Path = pathlib.Path("docs/results")
    """Folder of photo_failures.json and .md."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """One command."""

    what: str
    """In words."""
    make: Callable[[Image.Image, pathlib.Path], list[str]]
    """Writes the files and returns the options that name them."""


def shown(image: Image.Image, folder: pathlib.Path, name: str = "photo.png", box: tuple[int, ...] = BOX, **save: Any):
    """The picture under a name, and the helmet's box."""
    image.save(folder / name, **save)
    return [f"--image={folder / name}", f"--object-box={','.join(map(str, box))}"]


def masked(image: Image.Image, folder: pathlib.Path, mask: np.ndarray) -> list[str]:
    """The picture and a mask of the object."""
    image.save(folder / "photo.png")
    Image.fromarray(255 * mask.astype(np.uint8)).save(folder / "mask.png")
    return [f"--image={folder / 'photo.png'}", f"--object-mask={folder / 'mask.png'}"]


def helmet(shape: tuple[int, int] = (512, 512)) -> np.ndarray:
    """A mask of it: an ellipse."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    return ((x - 392) / 106) ** 2 + ((y - 452) / 106) ** 2 < 1


def turned(image: Image.Image, folder: pathlib.Path) -> list[str]:
    """Stored lying on its side, with EXIF's entry that sets it up again."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return shown(image.transpose(Image.Transpose.ROTATE_90), folder, "photo.jpg", exif=exif, quality=95)


def small(image: Image.Image, folder: pathlib.Path) -> list[str]:
    """The person 60 pixels tall in a wide picture."""
    wide = Image.new("RGB", (640, 480), (120, 120, 120))
    wide.paste(image.resize((60, 60)), (200, 300))
    return shown(wide, folder, box=(231, 339, 261, 361))


def crowd(image: Image.Image, folder: pathlib.Path) -> list[str]:
    """The person twice, side by side."""
    both = Image.new("RGB", (1024, 512))
    both.paste(image, (0, 0))
    both.paste(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (512, 0))
    return shown(both, folder)


def captioned(image: Image.Image, folder: pathlib.Path) -> list[str]:
    """The helmet's mask with a caption and specks."""
    mask = helmet()
    mask[8:20, 10:200:3] = mask[30:33, 400:403] = True
    return masked(image, folder, mask)


TRIALS: dict[str, Trial] = {
    "plain": Trial("the photograph, a box about the helmet", shown),
    "truncated": Trial(
        "cut off below the chest", lambda i, f: shown(i.crop((0, 0, 512, 440)), f, box=(278, 340, 500, 440))
    ),
    "small": Trial("a person of 60 pixels", small),
    "several people": Trial("the person twice", crowd),
    "nobody": Trial("the flag alone", lambda i, f: shown(i.crop((0, 0, 100, 400)), f, box=(10, 10, 60, 90))),
    "turned by EXIF": Trial("stored on its side, orientation 6", turned),
    "grey": Trial("one channel", lambda i, f: shown(i.convert("L"), f)),
    "CMYK": Trial("four inks, TIFF", lambda i, f: shown(i.convert("CMYK"), f, "photo.tiff")),
    "20 megapixels": Trial(
        "4480 x 4480", lambda i, f: shown(i.resize((4480, 4480)), f, "photo.jpg", tuple(round(8.75 * x) for x in BOX))
    ),
    "mask of another size": Trial("a mask of half the size", lambda i, f: masked(i, f, helmet()[::2, ::2])),
    "mask on its side": Trial(
        "mask of a picture that EXIF does not turn",
        lambda i, f: masked(i.crop((0, 100, 512, 512)), f, np.rot90(helmet()[100:])),
    ),
    "empty mask": Trial("a mask of nothing", lambda i, f: masked(i, f, np.zeros((512, 512), bool))),
    "mask of a speck": Trial(
        "25 pixels", lambda i, f: masked(i, f, helmet() & (np.indices((512, 512)) // 5 == 80).all(0))
    ),
    "caption in the mask": Trial("a caption and specks beside the object", captioned),
    "no mask": Trial("nothing says where the object is", lambda i, f: shown(i, f)[:1]),
    "box outside": Trial("a box beyond the picture", lambda i, f: shown(i, f, box=(600, 340, 700, 512))),
    "no picture": Trial("a text file", lambda i, f: [f"--image={(f / 'a.png').write_text('no') and f / 'a.png'}"]),
}


def run_trial(trial: Trial, image: Image.Image) -> tuple[int, list[str]]:
    """Exit code and what was printed, times and folders left out."""
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        trimesh.creation.icosphere(3, 0.165).export(work / "helmet.obj")
        options = trial.make(image, work)
        told = io.StringIO()
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
            code = command(["reconstruct", f"--object={work / 'helmet.obj'}", f"--out={work / 'out'}", *options])
        text = told.getvalue().replace(f"{work}/", "")
    left_out = re.compile(r"\d+\.\d s\b|^\d+ picture|written$|^results:|%\|")
    return code, [line for line in text.splitlines() if line.strip() and not left_out.search(line)]


def markdown(record: dict[str, Any]) -> str:
    """The page of a record."""
    cases = [
        f"## {name}\n\n{row['what'][0].upper()}{row['what'][1:]}; exit code {row['code']}.\n\n```text\n"
        + "\n".join(row["told"]) + "\n```"
        for name, row in record["trials"].items()
    ]  # fmt: skip
    return page(
        "What `hoijax reconstruct` says of pictures that are hard or wrong",
        "Made by `python -m tools.photo_failures`, whose docstring says how.",
        *cases,
        f"{record['machine']}.",
    )


def main(config: Config) -> dict[str, Any]:
    """Runs every case, prints and writes."""
    image = Image.open(config.photograph).convert("RGB")
    trials = {}
    for name, trial in TRIALS.items():
        if config.only and name not in config.only:
            continue
        code, told = run_trial(trial, image)
        trials[name] = {"what": trial.what, "code": code, "told": told}
        print(name, code, *told, sep="\n  ", flush=True)
    record = {"machine": machine(), "trials": trials}
    write_page(config.out, "photo_failures", record, markdown(record))
    return record


if __name__ == "__main__":
    main(tyro.cli(Config))
