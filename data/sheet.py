"""Contact sheets: many samples of a dataset in one picture, with what their labels say drawn over them."""

import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

HUMAN, OBJECT, JOINT = (60, 130, 255), (255, 150, 30), (40, 220, 90)
_INK, _PAPER = (50, 55, 65), (255, 255, 255)


def spread_indices(count: int, wanted: int) -> list[int]:
    """At most `wanted` of `count` indices, spread over all of them."""
    wanted = min(count, wanted)
    return [int(i) for i in np.floor((np.arange(wanted) + 0.5) * count / wanted)] if wanted else []


def contact_sheet(cells: Sequence[tuple[np.ndarray, str]], *, cell: int = 256, columns: int = 6) -> np.ndarray:
    """Pictures in a grid, each scaled into a square, with a caption of at most three lines under it.

    Args:
      cells: picture `(H, W, 3)` uint8 and caption.
      cell: side of each square, pixels.
      columns: most pictures in a row.

    Returns:
      The sheet, `(H, W, 3)` uint8.
    """
    columns = min(columns, len(cells))
    size = max(10, cell // 18)
    font = ImageFont.load_default(size=size)
    band = 3 * (size + 3) + 4
    rows = math.ceil(len(cells) / columns)
    sheet = Image.new("RGB", (columns * cell, rows * (cell + band)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, (picture, caption) in enumerate(cells):
        x, y = (i % columns) * cell, (i // columns) * (cell + band)
        tile = Image.fromarray(picture)
        tile.thumbnail((cell - 4, cell - 4), Image.Resampling.LANCZOS)
        sheet.paste(tile, (x + (cell - tile.width) // 2, y + (cell - tile.height) // 2))
        for k, line in enumerate(_wrap(caption, draw, font, cell - 8)[:3]):
            draw.text((x + 4, y + cell + k * (size + 3)), line, fill=_INK, font=font)
    return np.asarray(sheet)


def draw_outline(image: np.ndarray, mask: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """The picture with a mask's border drawn into it and its inside tinted."""
    mask = np.asarray(mask, bool)
    inner = mask.copy()
    inner[1:] &= mask[:-1]
    inner[:-1] &= mask[1:]
    inner[:, 1:] &= mask[:, :-1]
    inner[:, :-1] &= mask[:, 1:]
    out = image.astype(np.float32)
    out[mask] = 0.8 * out[mask] + 0.2 * np.asarray(color, np.float32)
    out[mask & ~inner] = color
    return out.astype(np.uint8)


def annotate(sample: Mapping[str, Any]) -> tuple[np.ndarray, str]:
    """A sample of SynthHOI: masks outlined, visible keypoints as dots; its text and numbers of contacts below."""
    image = np.asarray(sample["image"])
    for name, color in (("object_mask", OBJECT), ("human_mask", HUMAN)):
        if name in sample:
            image = draw_outline(image, sample[name], color)
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    radius = max(1.0, image.shape[0] / 200)
    seen = np.asarray(sample["keypoints_visible"], bool)
    for x, y in np.asarray(sample["keypoints_2d"])[seen]:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=JOINT)
    touching = int(np.asarray(sample["body_contact"]).sum())
    grounded = int(np.asarray(sample["body_floor_contact"]).sum())
    depth = 1000 * float(sample["max_penetration"])
    caption = f"{sample['text']}\n{touching} vertices touch, {grounded} on the floor, {depth:.1f} mm deep"
    return np.asarray(picture), caption


def parts_of(subject: Any) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Name, vertices and faces of what a `hoijax.data.evaluation.Subject` has: body, object, the scene around."""
    truth, scene, parts = subject.truth, subject.scene, []
    if truth.body is not None and subject.body_faces is not None:
        parts.append(("body", truth.body, subject.body_faces))
    if truth.object is not None and subject.object_faces is not None:
        parts.append(("object", truth.object, subject.object_faces))
    if scene is not None and scene.faces is not None and truth.body is not None:
        near = np.linalg.norm(scene.points - truth.body.mean(axis=0), axis=1) < 1.3
        used, index = np.unique(scene.faces[near[scene.faces].all(axis=1)], return_inverse=True)
        if len(used):
            parts.append(("scene", scene.points[used], index.reshape(-1, 3)))
    return parts


def _wrap(text: str, draw: ImageDraw.ImageDraw, font: Any, width: int) -> list[str]:
    lines = []
    for part in text.split("\n"):
        line = ""
        for word in part.replace("/", "/ ").split():
            longer = f"{line} {word}".strip()
            if line and draw.textlength(longer, font=font) > width:
                lines.append(line)
                line = word
            else:
                line = longer
        lines.append(line)
    return [line.replace("/ ", "/") for line in lines]


def existing_image(root: pathlib.Path, name: str) -> np.ndarray | None:
    """An image of the dataset as RGB, or None where it was not downloaded.

    Raises:
      OSError: the file is no image.
    """
    if not name or not (root / name).is_file():
        return None
    with Image.open(root / name) as image:
        return np.asarray(image.convert("RGB"))
