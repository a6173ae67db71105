"""Pictures of scenes as files: contact sheets, before and after, turntables."""

import io
import math
import pathlib
from collections.abc import Sequence

import jax
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hoijax.errors import InputError
from hoijax.io.files import write_bytes
from hoijax.render.framing import frame_points
from hoijax.render.rigs import CameraRig
from hoijax.render.scene import Scene, Textures
from hoijax.render.studio import Studio, render_studio, sky_maps
from hoijax.viz.film import gif, mp4
from hoijax.viz.scene import NamedMesh, SceneMeshes, corner_normals, scene_bounds, vertex_colors

__all__ = ["join_scene", "render_views", "write_comparison", "write_turntable", "write_views"]

Views = int | Sequence[tuple[float, float]]
"""A number of views in equal steps around the scene, or the azimuth and elevation of each in radians."""

_FIRST_AZIMUTH, _ELEVATION = math.radians(30.0), math.radians(14.0)
_INK, _PAPER = (70, 76, 86), (255, 255, 255)

_render = jax.jit(render_studio)
_sky_maps = jax.jit(sky_maps)


def write_views(
    path: pathlib.Path | str,
    scene: SceneMeshes,
    *,
    views: Views = 4,
    size: int = 512,
    floor: float | None = None,
    studio: Studio | None = None,
) -> pathlib.Path:
    """Writes one PNG that shows a scene from several sides, in a grid.

    Args:
      path: the PNG.
      scene: named meshes.
      views: how many, or which.
      size: side of each view, pixels.
      floor: height of the floor, metres; None: the lowest vertex.
      studio: lights and quality.

    Returns:
      The path.

    Raises:
      InputError: the scene is empty, or the file cannot be written.
    """
    images = list(render_views(scene, make_rig(views, size, scene), floor=floor, studio=studio))
    columns = math.ceil(math.sqrt(len(images))) if len(images) != 3 else 3
    blank = np.full_like(images[0], 255)
    cells = [*images, *[blank] * (-len(images) % columns)]
    rows = [np.concatenate(cells[i : i + columns], axis=1) for i in range(0, len(cells), columns)]
    return write_png(path, np.concatenate(rows, axis=0))


def write_comparison(
    path: pathlib.Path | str,
    before: SceneMeshes,
    after: SceneMeshes,
    *,
    views: Views = 3,
    size: int = 512,
    labels: tuple[str, str] = ("before", "after"),
    title: str = "",
    floor: float | None = None,
    studio: Studio | None = None,
) -> pathlib.Path:
    """Writes one PNG with two rows, before and after, seen by the same cameras.

    Args:
      path: the PNG.
      before: named meshes before.
      after: named meshes after.
      views: how many columns, or which views.
      size: side of each view, pixels.
      labels: names of the rows.
      title: a line above the rows.
      floor: height of the floor, metres; None: the lowest vertex of both.
      studio: lights and quality.

    Returns:
      The path.

    Raises:
      InputError: a scene is empty, or the file cannot be written.
    """
    if floor is None:
        floor = float(scene_bounds(before, after)[0][1])
    rig = make_rig(views, size, before, after)
    rows = [
        np.concatenate(list(render_views(scene, rig, floor=floor, studio=studio)), axis=1) for scene in (before, after)
    ]
    pad, text = max(size // 64, 4), max(size // 22, 12)
    left, top = 0, (text + 3 * pad if title else 0)
    height, width = rows[0].shape[:2]
    sheet = Image.new("RGB", (left + width, top + 2 * height + pad), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=text)
    if title:
        draw.text((2 * pad, pad), title, fill=_INK, font=font)
    for i, (row, label) in enumerate(zip(rows, labels, strict=True)):
        y = top + i * (height + pad)
        sheet.paste(Image.fromarray(row), (left, y))
        draw.text((2 * pad, y + pad), label, fill=_INK, font=font)
    return write_png(path, np.asarray(sheet))


def write_turntable(
    path: pathlib.Path | str,
    scene: SceneMeshes,
    *,
    frames: int = 48,
    size: int = 512,
    fps: int = 16,
    azimuth: float = _FIRST_AZIMUTH,
    elevation: float = _ELEVATION,
    floor: float | None = None,
    studio: Studio | None = None,
) -> pathlib.Path:
    """Writes one turn around a scene as GIF or MP4.

    Args:
      path: ends in `.gif` or `.mp4`; MP4 needs the extra [video].
      scene: named meshes.
      frames: number of views.
      size: side of the picture, pixels; even for MP4.
      fps: frames per second.
      azimuth: of the first frame, radians.
      elevation: of the camera, radians.
      floor: height of the floor, metres; None: the lowest vertex.
      studio: lights and quality.

    Returns:
      The path.

    Raises:
      InputError: another suffix, an odd size for MP4, the extra is missing, or the file cannot be written.
    """
    path = pathlib.Path(path)
    kind = path.suffix.lower()
    if kind not in (".gif", ".mp4"):
        raise InputError(f"a turntable is a .gif or an .mp4 file, got '{path.name}'")
    if kind == ".mp4":
        if size % 2:
            raise InputError(f"an MP4 needs an even size, got {size}")
        try:
            import imageio_ffmpeg  # noqa: F401
        except ImportError as error:
            raise InputError("writing MP4 needs ffmpeg: pip install 'hoijax[video]', or choose .gif") from error
    turn = [(azimuth + 2 * math.pi * i / frames, elevation) for i in range(frames)]
    images = render_views(scene, make_rig(turn, size, scene), floor=floor, studio=studio)
    if kind == ".gif":
        write_bytes(path, gif(list(images), fps))
    else:
        write_bytes(path, mp4(images, fps))
    return path


def render_views(
    scene: SceneMeshes, rig: CameraRig, *, floor: float | None = None, studio: Studio | None = None
) -> Sequence[np.ndarray]:
    """Renders a scene for people, one view after the other.

    One compilation serves all views and all scenes of about the same size.

    Args:
      scene: named meshes.
      rig: the views.
      floor: height of the floor, metres; None: that of `studio`.
      studio: lights and quality.

    Returns:
      The pictures `(H, W, 3)` uint8; each is rendered when it is taken from the sequence.
    """
    studio = Studio() if studio is None else studio
    joined = join_scene(scene)
    if floor is None:
        floor = scene_bounds(scene)[0][1] if studio.floor is None else studio.floor
    background, floor = np.asarray(studio.background, np.float32), np.asarray(floor, np.float32)
    studio = studio.replace(background=background, floor=floor)
    return _Pictures(joined, rig, studio)


class _Pictures(Sequence):
    """The views of a scene, each rendered when asked for."""

    def __init__(self, scene: Scene, rig: CameraRig, studio: Studio):
        self._scene, self._rig, self._studio = jax.device_put(scene), rig, studio
        self._sky = None

    def __len__(self) -> int:
        return len(self._rig.names)

    def __getitem__(self, index: int) -> np.ndarray:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        if self._sky is None:
            self._sky = _sky_maps(self._scene, self._studio)
        picture = _render(self._scene, self._rig.camera(index), self._studio, self._sky)
        return np.round(255 * np.asarray(picture.color)).astype(np.uint8)


def join_scene(scene: SceneMeshes) -> Scene:
    """One mesh of all, with sharp edges kept, sizes rounded up so that similar scenes share a compilation."""
    scene_bounds(scene)
    colors, counts = vertex_colors(scene), np.cumsum([0] + [len(mesh.vertices) for mesh in scene])
    vertices = np.concatenate([mesh.vertices for mesh in scene])
    faces = np.concatenate([mesh.faces + start for mesh, start in zip(scene, counts)]).astype(np.int32)
    normals = np.concatenate([corner_normals(mesh.vertices, mesh.faces) for mesh in scene])
    extra_vertices = _round_up(len(vertices)) - len(vertices)
    extra_faces = _round_up(len(faces)) - len(faces)  # without area: nobody sees them

    def pad_rows(array: np.ndarray, extra: int, fill: float = 0) -> np.ndarray:
        """The array with `extra` more rows."""
        return np.concatenate([array, np.full((extra, *array.shape[1:]), fill, array.dtype)])

    return Scene(
        vertices=np.concatenate([vertices, np.repeat(vertices[:1], extra_vertices, axis=0)]),
        faces=pad_rows(faces, extra_faces),
        colors=pad_rows(np.concatenate(colors), extra_vertices),
        normals=pad_rows(normals, extra_faces),
        textures=_join_textures(scene, extra_faces),
    )


def _join_textures(scene: Sequence[NamedMesh], extra_faces: int) -> Textures | None:
    """The textures of all meshes in one stack, or None if there is none."""
    images = [mesh.texture for mesh in scene if mesh.texture is not None]
    if not images:
        return None
    sizes = np.asarray([image.shape[:2] for image in images], np.float32)
    stack = np.zeros((len(images), int(sizes[:, 0].max()), int(sizes[:, 1].max()), 3), np.float32)
    for place, image in zip(stack, images):
        place[: image.shape[0], : image.shape[1]] = image
    uv, index, number = [], [], 0
    for mesh in scene:
        count = len(mesh.faces)
        if mesh.texture is None:
            uv.append(np.zeros((count, 3, 2), np.float32))
            index.append(np.full(count, -1, np.int32))
        else:
            uv.append(mesh.uv[mesh.faces])
            index.append(np.full(count, number, np.int32))
            number += 1
    uv.append(np.zeros((extra_faces, 3, 2), np.float32))
    index.append(np.full(extra_faces, -1, np.int32))
    return Textures(stack, sizes, np.concatenate(uv), np.concatenate(index))


def _round_up(count: int) -> int:
    """The next of a series of sizes that grows by a quarter."""
    size = 1024
    while size < count:
        size = -(-size * 5 // 4 // 256) * 256
    return size


def make_rig(views: Views, size: int, *scenes: SceneMeshes) -> CameraRig:
    """Cameras that hold all of the scenes."""
    if isinstance(views, int):
        if views < 1:
            raise InputError(f"wanted at least one view, got {views}")
        views = [(_FIRST_AZIMUTH + 2 * math.pi * i / views, _ELEVATION) for i in range(views)]
    scene_bounds(*scenes)
    points = np.concatenate([mesh.vertices for scene in scenes for mesh in scene])
    angles = np.asarray(list(views), np.float32)
    return frame_points(points, azimuth=angles[:, 0], elevation=angles[:, 1], image_size=(size, size))


def write_png(path: pathlib.Path | str, image: np.ndarray) -> pathlib.Path:
    """Writes an RGB image, whole or not at all."""
    path = pathlib.Path(path)
    if path.suffix.lower() != ".png":
        raise InputError(f"pictures are PNG files, got '{path.name}'")
    data = io.BytesIO()
    Image.fromarray(image).save(data, "PNG")
    write_bytes(path, data.getvalue())
    return path
