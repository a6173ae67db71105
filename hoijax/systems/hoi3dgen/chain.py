"""HOI3DGen's chain through its stage files: text, pictures, cut-outs, mesh, views, masks, parts, body.

A stage whose file is there is not made again, so any of them can be another program's: pictures that were painted anew
(`run/retex`), cut-outs (`run/white_bg`), a mesh, masks, a body to begin with.
"""

import dataclasses
import pathlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from scipy import ndimage

from hoijax.body_models import BodyModel, BodyParams
from hoijax.camera import Camera
from hoijax.errors import InputError
from hoijax.io import ScenePart, read_json, read_npz, write_glb, write_json, write_npz
from hoijax.io.reading import PathLike
from hoijax.nets.sana import VIEWS, view_text
from hoijax.optim.fitting.surface import SurfaceFitConfig
from hoijax.systems.hoi3dgen.compose.garments import GARMENTS
from hoijax.systems.hoi3dgen.image_to_mesh import ImageToMesh, VisualHull
from hoijax.systems.hoi3dgen.layout import (
    RunFolder,
    once,
    picture_index,
    read_masks,
    read_picture,
    read_surface,
    write_labels,
    write_masks,
    write_picture,
    write_surface,
)
from hoijax.systems.hoi3dgen.registration import Registered, register
from hoijax.systems.hoi3dgen.segmentation import Segmentation, masks_from_colors, segment
from hoijax.systems.hoi3dgen.small import COLORS, PERSON_TONES, view_cameras
from hoijax.systems.hoi3dgen.template import FrontBody, LabelledLift, LabelledSurface, label_masks
from hoijax.systems.hoi3dgen.text_to_image import TextToImage
from hoijax.systems.hoi3dgen.views import SurfaceViews, read_views, render_surface, write_views
from hoijax.viz import NamedMesh

LEAST = 128
"""Pictures with fewer rows are enlarged before they are cut out."""
WHITE = 0.86
"""A pixel with a channel below belongs to the thing."""
FAR = 3.0
"""A body that was begun with the front picture's and is so far from the surface is begun all round too, centimetres."""


@dataclasses.dataclass(frozen=True)
class ChainConfig:
    """How the stages after the pictures are made."""

    seed: int = 0
    """Of the pictures and the mesh."""
    views: int = 8
    """Around the mesh."""
    size: int = 256
    """Of their sides, pixels."""
    fit: SurfaceFitConfig = dataclasses.field(default_factory=SurfaceFitConfig)
    """Of the body."""


@dataclasses.dataclass(frozen=True)
class Chained:
    """What came out of a chain."""

    segmentation: Segmentation
    registered: Registered
    report: dict[str, Any]
    """What `report.json` says."""


def run_chain(
    folder: RunFolder,
    text: str,
    model: BodyModel,
    *,
    draw: TextToImage | Callable[..., np.ndarray] | None,
    lift: ImageToMesh | LabelledLift | None = None,
    front: FrontBody | None = None,
    config: ChainConfig | None = None,
    prompt: int = 0,
) -> Chained:
    """Makes what is missing of a prompt's stages.

    Args:
      folder: of the run.
      text: what is wanted, without a view.
      model: of the body.
      draw: networks that draw; None where all pictures are there.
      lift: from pictures to a mesh; None: the visual hull, for which the pictures must be from `view_cameras`. Of a
        `LabelledLift` such as `TemplateMesh` the masks and the body to begin with are taken too, where none are there.
      front: where no `run/smpl` is there, makes it of the front cut-out; None: registration begins all round.
      config: how.
      prompt: number of the prompt in the run.

    Raises:
      InputError: a stage cannot be made, or a file is damaged.
    """
    config = ChainConfig() if config is None else config
    first = picture_index(prompt)
    surface = once(
        folder.path("mesh", first), lambda: _lift(folder, text, draw, lift, model, config, first), read_surface
    )
    rendered = folder.path("render", first)
    if (rendered / "transforms.json").is_file():
        views = read_views(rendered)
    else:
        views = render_surface(surface, count=config.views, size=config.size)
        write_views(folder.place("render", first), views)
    masks, given = _masks(folder, text, surface, views, first)
    parts = segment(surface, views, masks, given)
    body, begun = _register(folder, parts, model, front, config, first)
    return Chained(parts, body, _write(folder, text, parts, body, begun, surface.colors, model, first))


def draw_views(folder: RunFolder, text: str, draw: Any, seed: int = 0, first: int = 0) -> UInt8[np.ndarray, "V H W 3"]:
    """The stage `images`: the views that are missing are drawn, all at once; `retex` is taken where it is there."""
    paths = [folder.path("images", first + i) for i in range(len(VIEWS))]
    painted = [folder.path("retex", first + i) for i in range(len(VIEWS))]
    missing = [old.name for new, old in zip(painted, paths) if not (new.is_file() or old.is_file())]
    if missing:
        if draw is None:
            raise InputError(f"pictures are missing, such as {missing[0]}, and nothing that draws was given")
        drawn = (draw.draw if hasattr(draw, "draw") else draw)([view_text(text, view) for view in VIEWS], seed=seed)
        for i, (path, picture) in enumerate(zip(paths, drawn)):
            if not path.is_file():
                write_picture(folder.place("images", first + i), picture)
    return np.stack([read_picture(new if new.is_file() else old)[..., :3] for new, old in zip(painted, paths)])


def missing_pictures(folder: RunFolder, first: int = 0) -> bool:
    """Whether something that draws is needed: neither a mesh nor all cut-outs nor all pictures are there."""
    if folder.path("mesh", first).is_file():
        return False
    views = range(first, first + len(VIEWS))
    there = lambda view, *stages: any(folder.path(stage, view).is_file() for stage in stages)  # noqa: E731
    return not (all(there(v, "white_bg") for v in views) or all(there(v, "retex", "images") for v in views))


def cut_out(picture: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "S T 4"]:
    """A picture on white with what is not white as its fourth channel; small ones enlarged, specks left out.

    Raises:
      InputError: all is white.
    """
    scale = -(-LEAST // min(picture.shape[:2]))
    size = (picture.shape[1] * scale, picture.shape[0] * scale)
    picture = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
    thing = ndimage.binary_fill_holes(picture.min(axis=-1) < WHITE * 255)
    labels, count = ndimage.label(thing)
    if not count:
        raise InputError("a picture is white all over: nothing could be cut out")
    sizes = np.bincount(labels.ravel())[1:]
    kept = np.isin(labels, 1 + np.flatnonzero(sizes >= 0.05 * sizes.max()))
    alpha = np.where(kept, np.uint8(255), np.uint8(0))
    return np.dstack([np.where(kept[..., None], picture, np.uint8(255)), alpha])


def named_colors(text: str) -> tuple[list[tuple[float, float, float]], list[tuple[float, float, float]]]:
    """Colours of the person and of the object: the last colour that a text names is the object's.

    Raises:
      InputError: it names none, the last is a garment's, or the object's is one of the garments' too.
    """
    every = re.findall(r"[a-z-]+", text.lower())
    places = [i for i, word in enumerate(every) if word in COLORS]
    words = [every[i] for i in places]
    worn = bool(places) and any(word in GARMENTS for word in every[places[-1] + 1 : places[-1] + 3])
    if not words or worn or words[-1] in words[:-1]:
        raise InputError(
            f"masks cannot be told by colours in {text!r}: wanted a colour of the object that no garment has, such as "
            "'a red shirt ... a blue box'; or put masks into run/masks"
        )
    return [*PERSON_TONES, *(COLORS[word] for word in words[:-1])], [COLORS[words[-1]]]


def _lift(
    folder: RunFolder, text: str, draw: Any, lift: Any, model: BodyModel, config: ChainConfig, first: int
) -> NamedMesh:
    cut = [folder.path("white_bg", first + i) for i in range(len(VIEWS))]
    if not all(path.is_file() for path in cut):
        for i, picture in enumerate(draw_views(folder, text, draw, config.seed, first)):
            if not cut[i].is_file():
                write_picture(folder.place("white_bg", first + i), cut_out(picture))
    pictures = [read_picture(path) for path in cut]
    if len({picture.shape for picture in pictures}) > 1:
        raise InputError(f"the cut-outs of {folder.root.name} have several sizes; make them alike")
    cameras = view_cameras(pictures[0].shape[0])
    if isinstance(lift, LabelledLift):
        surface = _known(folder, lift.lift_parts(np.stack(pictures), cameras, seed=config.seed), model, config, first)
    else:
        surface = (VisualHull() if lift is None else lift).lift(np.stack(pictures), cameras, seed=config.seed)
    write_surface(folder.place("mesh", first), surface)
    return surface


def _known(folder: RunFolder, made: LabelledSurface, model: BodyModel, config: ChainConfig, first: int) -> NamedMesh:
    """Writes what a backend knows beside its surface: views with masks of the parts, and the body."""
    if not _there(folder.path("masks", first)):
        views = render_surface(made.surface, count=config.views, size=config.size)
        write_views(folder.place("render", first), views)
        write_masks(folder.place("masks", first), label_masks(views, made.surface.faces, made.labels))
    if not folder.path("smpl", first).is_file():
        _write_start(folder.place("smpl", first), made.body, model)
    return made.surface


def _there(path: pathlib.Path) -> bool:
    return path.is_dir() and any(path.iterdir())


def _masks(
    folder: RunFolder, text: str, surface: NamedMesh, views: SurfaceViews, first: int
) -> tuple[Bool[np.ndarray, "2 N H W"], Bool[np.ndarray, "2 N"]]:
    path = folder.path("masks", first)
    if not _there(path):
        human, thing = named_colors(text)
        if surface.colors is None or np.ptp(np.asarray(surface.colors).reshape(-1, 3), axis=0).max() < 1 / 255:
            raise InputError(
                f"{folder.path('mesh', first)} has no colours and no texture, so person and object cannot be told "
                "apart: wanted a painted mesh, or masks in run/masks"
            )
        write_masks(folder.place("masks", first), masks_from_colors(views.images, human, thing))
    return read_masks(path, len(views.images), views.images.shape[1:3])


def _register(
    folder: RunFolder, parts: Segmentation, model: BodyModel, front: FrontBody | None, config: ChainConfig, first: int
) -> tuple[Registered, str]:
    """The body in the person's part, and what it was begun with."""
    start, picture = folder.path("smpl", first), folder.path("white_bg", first)
    begun, initial = "all round", None
    if start.is_file():
        begun, initial = "run/smpl", read_start(model, start)
    elif front is not None and picture.is_file():
        cut = read_picture(picture)
        cameras = view_cameras(cut.shape[0])
        camera = Camera(cameras.intrinsics[0], cameras.T_camera_world[0], cameras.image_size)
        initial = front(cut, camera, model)
        if initial is not None:
            begun = "the front picture"
            _write_start(folder.place("smpl", first), initial, model)
    body = register(parts.parts[0], model, initial=initial, config=config.fit, quick=True)
    if begun == "the front picture" and body.distances.points > FAR:
        other = register(parts.parts[0], model, config=config.fit, quick=True)
        if other.distances.points < body.distances.points:
            return other, "all round"
    return body, begun


def _write_start(path: pathlib.Path, params: BodyParams, model: BodyModel) -> None:
    write_npz(path, {key: np.asarray(value) for key, value in params.to_axis_angle(model).items()})


def read_start(model: BodyModel, path: PathLike) -> BodyParams:
    """The body of `run/smpl`, the field's keys.

    Raises:
      InputError: damaged, or keys are missing.
    """
    arrays = read_npz(path)
    keys = ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose", "betas", "transl")
    return BodyParams.from_axis_angle(model, **{key: np.asarray(arrays[key]) for key in keys if key in arrays})


def _write(
    folder: RunFolder, text: str, parts: Segmentation, body: Registered, begun: str,
    colors: Float[np.ndarray, "V 3"] | None, model: BodyModel, first: int,
) -> dict[str, Any]:  # fmt: skip
    place = folder.place("seg", first)
    write_labels(place / "labels.npz", parts.mesh.vertices, parts.mesh.faces, parts.labels)
    meshes = parts.named(colors)
    plain = (0.7, 0.7, 0.7)
    scene = [ScenePart(m.name, m.vertices, m.faces, plain if m.colors is None else m.colors) for m in meshes]
    write_glb(place / "segmented.glb", scene)
    keys = {key: np.asarray(value) for key, value in body.fit.params.to_axis_angle(model).items()}
    scale = np.float32(body.fit.scale)
    write_npz(place / "body.npz", keys | {"similarity": np.asarray(body.fit.similarity), "scale": scale})
    write_glb(place / "body.glb", [ScenePart("body", body.vertices, np.asarray(model.faces), plain)])
    report = {
        "text": text,
        "vertices": len(parts.labels),
        "object_share": float(np.mean(parts.labels == 1)),
        "closed": [bool(part.closed) for part in parts.parts],
        "registered_from": begun,
        "chamfer_cm": body.distances.points,
        "surface_cm": body.distances.surface,
    }
    write_json(place / "report.json", report)
    return read_json(place / "report.json")
