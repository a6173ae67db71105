"""Makes the README's moving picture: two shipped estimates, and what `hoijax refine` makes of them, turning.

    python -m tools.moving

Refines two of the demo's cases as `hoijax demo` does and renders them with the library's own renderer: first the
estimates, then the refined interactions. Vertices are blended in the frames between. Writes docs/images/refined.webp;
two minutes.
"""

import argparse
import dataclasses
import functools
import io
import math
import pathlib

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hoijax import cli
from hoijax.cli.asked_before import request_of
from hoijax.jobs.shown_results import load_candidate
from hoijax.render import Studio
from hoijax.viz import NamedMesh, render_views
from hoijax.viz.figures import make_rig
from hoijax.viz.results import find_results

PICTURE = pathlib.Path(__file__).resolve().parents[1] / "docs" / "images" / "refined.webp"
CASES = ("sit_chair", "carry_box")
ESTIMATE, BETWEEN, REFINED = 14, 6, 20
"""Frames; all of them are one turn."""
SIDE, ROWS, APART, SECONDS = 600, slice(56, 496), 1.5, 0.14
"""Side of what is drawn and the rows of it that are kept, pixels; metres between the two; seconds of a frame."""


def refined(work: pathlib.Path) -> list[tuple[list[NamedMesh], list[NamedMesh]]]:
    """Meshes of each case before and after, standing on the floor."""
    cli.main(["demo", "--only", ",".join(CASES), "--out", str(work), "--no-pictures"])
    load = functools.partial(load_candidate, request_of=request_of)
    shown = {one.name: load(one, one.candidates[0]) for one in find_results(work)}
    return [(shown[name].scene("before", 0), shown[name].scene("after", 0)) for name in CASES]


def blended(before: list[NamedMesh], after: list[NamedMesh], share: float) -> list[NamedMesh]:
    """The meshes on their way."""
    return [
        dataclasses.replace(b, vertices=(1 - share) * b.vertices + share * a.vertices) for a, b in zip(after, before)
    ]


def turned(scene: list[NamedMesh], angle: float, centre: np.ndarray, place: float) -> list[NamedMesh]:
    """Turned about the vertical through `centre` and put at x = `place`."""
    cosine, sine = math.cos(angle), math.sin(angle)
    turn = np.array([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]])
    return [
        dataclasses.replace(m, vertices=np.float32((m.vertices - centre) @ turn.T + [place, 0.0, 0.0])) for m in scene
    ]


def frames(cases: list[tuple[list[NamedMesh], list[NamedMesh]]]) -> list[Image.Image]:
    """The pictures."""
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(BETWEEN) + 1) / (BETWEEN + 1))
    shares = [*np.zeros(ESTIMATE), *rise, *np.ones(REFINED)]
    centres = []
    for before, after in cases:
        points = np.concatenate([mesh.vertices for mesh in (*before, *after)])
        middle = 0.5 * (points.min(axis=0) + points.max(axis=0))
        centres.append(np.array([middle[0], 0.0, middle[2]]))
    places = APART * (np.arange(len(cases)) - 0.5 * (len(cases) - 1))
    scenes = [
        [
            mesh
            for (before, after), centre, place in zip(cases, centres, places)
            for mesh in turned(blended(before, after, share), 2 * math.pi * k / len(shares), centre, place)
        ]
        for k, share in enumerate(shares)
    ]
    rig = make_rig(((0.0, math.radians(12)),), SIDE, *scenes[:: len(scenes) // 12])
    studio, font, pictures = Studio(samples=8, sky_lights=4), ImageFont.load_default(size=20), []
    for scene, share in zip(scenes, shares):
        picture = Image.fromarray(render_views(scene, rig, floor=0.0, studio=studio)[0][ROWS])
        words = {0.0: "estimate", 1.0: "refined"}.get(float(share))
        if words is not None:
            ImageDraw.Draw(picture).text((12, 10), words, fill=(60, 66, 76), font=font)
        pictures.append(picture)
    return pictures


def main() -> None:
    """Refines, renders, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("runs/moving"), help="kept between runs")
    work = parser.parse_args().work
    first, *rest = frames(refined(work))
    data = io.BytesIO()
    first.save(
        data, "WEBP", save_all=True, append_images=rest, duration=round(1000 * SECONDS), loop=0, quality=70, method=4
    )
    PICTURE.write_bytes(data.getvalue())


if __name__ == "__main__":
    main()
