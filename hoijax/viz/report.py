"""The report page: one HTML file with pictures, metrics and an orbitable 3D view, readable without a network."""

import base64
import dataclasses
import hashlib
import html
import importlib.metadata
import importlib.resources
import json
import math
import mimetypes
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from hoijax.errors import InputError
from hoijax.io.files import write_text
from hoijax.viz.moments import Motion3D, MovingMesh
from hoijax.viz.scene import NamedMesh, SceneMeshes, corner_normals, scene_bounds, vertex_colors

__all__ = ["Case", "Metric", "write_page", "write_report"]


@dataclasses.dataclass(frozen=True)
class Metric:
    """One row of the table."""

    before: float | None
    """Value before, None where it does not exist."""
    after: float | None
    """Value after, None where it does not exist."""
    unit: str = ""
    """Printed behind the name, e.g. "mm"."""
    better: Literal["lower", "higher"] | None = None
    """Which change is an improvement; None leaves the change without judgement."""
    limit: float | None = None
    """Worst value that is good, on the side that `better` says; colours then tell good from bad, not up from down."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One section of a page: what was done to one scene."""

    name: str
    """Heading; links lead to it."""
    before: SceneMeshes | None
    """The scene before, None if there is only one state."""
    after: SceneMeshes
    """The scene after."""
    metrics: Mapping[str, Metric | tuple[float | None, float | None]] = dataclasses.field(default_factory=dict)
    """Rows of the table by name; a pair stands for `Metric(before, after)`."""
    pictures: Sequence[tuple[str, pathlib.Path | str]] = ()
    """Caption and image file (PNG, JPEG, GIF) of each picture; the bytes go into the page."""
    text: str = ""
    """A paragraph under the heading, plain text."""
    floor: float | None = None
    """Height of the floor that the view shows, metres; None: the lowest vertex."""
    motion: Motion3D | None = None
    """How the meshes move, in the order of `before` and `after`; None: they stand."""


def write_report(
    path: pathlib.Path | str,
    title: str,
    before: SceneMeshes | None,
    after: SceneMeshes,
    metrics: Mapping[str, Metric | tuple[float | None, float | None]],
    *,
    pictures: Sequence[tuple[str, pathlib.Path | str]] = (),
    text: str = "",
    floor: float | None = None,
) -> pathlib.Path:
    """Writes a page about one scene before and after.

    Args:
      path: the HTML file; its folder must exist.
      title: heading of the page.
      before: the scene before, or None.
      after: the scene after.
      metrics: rows of the table by name.
      pictures: captions and image files.
      text: a paragraph under the heading, plain text.
      floor: height of the floor, metres; None: the lowest vertex.

    Returns:
      The path.

    Raises:
      InputError: a picture cannot be read, or a scene is empty.
    """
    return write_page(path, title, [Case("", before, after, metrics, pictures, floor=floor)], text=text)


def write_page(path: pathlib.Path | str, title: str, cases: Sequence[Case], *, text: str = "") -> pathlib.Path:
    """Writes a page with a section per case.

    The views need a browser with WebGL; without one the pictures and tables are still there. About 0.5 MB per case
    with a body of 7,000 vertices.

    Args:
      path: the HTML file; its folder must exist.
      title: heading of the page.
      cases: the sections; named ones are listed on top.
      text: a paragraph under the heading, plain text.

    Returns:
      The path.

    Raises:
      InputError: a picture cannot be read, or a scene is empty.
    """
    path = pathlib.Path(path)
    buffers: dict[str, tuple[str, str]] = {}
    scenes = [_scene(case, buffers) for case in cases]
    data = json.dumps({"buffers": buffers, "scenes": scenes}, separators=(",", ":"), allow_nan=False)
    links = [f'<a href="#case{i}">{html.escape(case.name)}</a>' for i, case in enumerate(cases) if case.name]
    files = importlib.resources.files("hoijax.viz")
    parts = {
        "title": html.escape(title),
        "text": _paragraph(text),
        "contents": f"<nav>{''.join(links)}</nav>" if len(links) > 1 else "",
        "cases": "\n".join(_section(i, case) for i, case in enumerate(cases)),
        "version": importlib.metadata.version("hoijax"),
        "scenes": data.replace("<", "\\u003c"),  # no name in it can open or close the script that holds it
        "viewer": files.joinpath("viewer.js").read_text("utf-8"),
    }
    template = files.joinpath("report.html").read_text("utf-8")
    page = re.sub(r"@(\w+)@", lambda match: parts[match[1]], template)
    write_text(path, page)
    return path


def _paragraph(text: str) -> str:
    """A plain text as HTML."""
    return f'<p class="text">{html.escape(text)}</p>' if text else ""


def _section(index: int, case: Case) -> str:
    """The HTML of one case."""
    heading = f"<h2>{html.escape(case.name)}</h2>" if case.name else ""
    table = _table(case.metrics, case.before is not None)
    figures = "".join(
        f'<figure><img src="{_data_url(picture)}" alt="{html.escape(caption)}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for caption, picture in case.pictures
    )
    label = html.escape(f"3D view {case.name}".strip())
    return (
        f'<section id="case{index}">{heading}{_paragraph(case.text)}'
        f'<div class="columns{"" if table else " wide"}"><div class="viewer" data-scene="{index}">'
        f'<canvas tabindex="0" role="img" aria-label="{label}"></canvas><div class="controls"></div>'
        '<div class="hint">drag: turn · wheel or pinch: zoom · right button, shift or two fingers: move</div>'
        '<p class="missing">This browser offers no WebGL, so the 3D view is not shown.</p>'
        f"</div>{table}</div>{figures}</section>"
    )


def _table(metrics: Mapping[str, Metric | tuple[float | None, float | None]], both: bool) -> str:
    """The HTML of the metrics, or nothing."""
    if not metrics:
        return ""
    rows = []
    for name, metric in metrics.items():
        metric = metric if isinstance(metric, Metric) else Metric(*metric)
        unit = f" ({html.escape(metric.unit)})" if metric.unit else ""
        verdict = ""
        if metric.better and metric.limit is not None and metric.after is not None:
            over = (metric.after - metric.limit) * (1 if metric.better == "lower" else -1)
            verdict = ' class="better"' if over <= 0 else ' class="worse"'
        elif metric.better and metric.before is not None and metric.after is not None:
            gain = (metric.before - metric.after) * (1 if metric.better == "lower" else -1)
            verdict = ' class="better"' if gain > 0 else ' class="worse"' if gain < 0 else ""
        before = f"<td>{_number(metric.before)}</td>" if both else ""
        rows.append(f"<tr><td>{html.escape(name)}{unit}</td>{before}<td{verdict}>{_number(metric.after)}</td></tr>")
    head = "<th>before</th><th>after</th>" if both else "<th>value</th>"
    body = "".join(rows)
    return (
        f'<div class="scroll"><table><thead><tr><th>metric</th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _number(value: float | None) -> str:
    """Four significant digits; a dash for what does not exist."""
    if value is None or not math.isfinite(value):
        return "–" if value is None or math.isnan(value) else ("∞" if value > 0 else "-∞")
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        decimals = max(0, 3 - math.floor(math.log10(abs(value)))) if value else 0
        text = f"{value:.{min(decimals, 6)}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:.3g}"


def _data_url(path: pathlib.Path | str) -> str:
    """A picture's bytes as a URL."""
    path = pathlib.Path(path)
    kind = mimetypes.guess_type(path.name)[0] or ""
    if not kind.startswith("image/"):
        raise InputError(f"'{path}' is no picture a page can show; give a PNG, JPEG or GIF file")
    try:
        return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
    except OSError as error:
        raise InputError(f"the picture '{path}' cannot be read: {error.strerror}") from error


def _scene(case: Case, buffers: dict[str, tuple[str, str]]) -> dict:
    """What the viewer needs of one case; arrays go to `buffers`, equal ones once."""
    states = [("before", case.before), ("after", case.after)] if case.before is not None else [("scene", case.after)]
    lower, upper = scene_bounds(*(scene for _, scene in states))
    if case.motion is not None:
        return _moving_scene(case.motion, buffers)
    return {
        "lower": [float(x) for x in lower],
        "upper": [float(x) for x in upper],
        "floor": float(lower[1] if case.floor is None else case.floor),
        "states": [
            {
                "name": name,
                "meshes": [
                    _mesh(mesh, color, buffers)
                    for mesh, color in zip(scene, vertex_colors(scene, bake=True), strict=True)
                ],
            }
            for name, scene in states
        ],
    }


def _moving_scene(motion: Motion3D, buffers: dict[str, tuple[str, str]]) -> dict:
    """The same of a case that plays: the meshes stand as in the first frame, and hold where they go."""
    named = [("before", motion.before), ("after", motion.after)] if motion.before else [("scene", motion.after)]
    ends = [[mesh.at(k) for mesh in meshes] for _, meshes in named for k in range(len(motion.times))]
    lower, upper = scene_bounds(*ends)
    states = []
    for name, meshes in named:
        scene = [mesh.mesh if mesh.points is None else mesh.at(0) for mesh in meshes]
        colors = vertex_colors(scene, bake=True)
        states.append(
            {"name": name, "meshes": [_moving_mesh(*both, buffers) for both in zip(meshes, colors, strict=True)]}
        )
    return {
        "lower": [float(x) for x in lower], "upper": [float(x) for x in upper], "floor": float(lower[1]),
        "states": states, "times": [round(float(t), 4) for t in motion.times],
    }  # fmt: skip


def _moving_mesh(moving: MovingMesh, colors: np.ndarray, buffers: dict[str, tuple[str, str]]) -> dict:
    """A mesh with its frames: 3 x 4 matrices, or points in steps of a 65,535th of the box that holds them all."""
    if moving.rigid is not None:
        row = _mesh(moving.mesh, colors, buffers)
        return row | {"rigid": _buffer(np.asarray(moving.rigid, "<f4"), buffers)}
    mesh, points = moving.at(0), np.asarray(moving.points, np.float64)
    row = _mesh(mesh, colors, buffers)
    corner = mesh.faces.reshape(-1)
    normals = np.round(corner_normals(mesh.vertices, mesh.faces).reshape(-1, 3) * 127).astype(np.int8)
    keys = np.concatenate([corner[:, None].astype(np.int64), normals.astype(np.int64)], axis=1)
    source = np.unique(keys, axis=0)[:, 0]  # the order of `_mesh`
    low = points.min(axis=(0, 1))
    step = np.maximum(np.ptp(points, axis=(0, 1)), 1e-6) / 65535
    frames = np.round((points - low) / step).astype("<u2")
    return row | {
        "source": _buffer(source.astype("<u4"), buffers), "points": _buffer(frames, buffers),
        "low": low.tolist(), "step": step.tolist(), "own": len(mesh.vertices),
    }  # fmt: skip


def _mesh(mesh: NamedMesh, colors: np.ndarray, buffers: dict[str, tuple[str, str]]) -> dict:
    """One mesh with as many copies of a vertex as it has different normals."""
    corner = mesh.faces.reshape(-1)
    normals = np.round(corner_normals(mesh.vertices, mesh.faces).reshape(-1, 3) * 127).astype(np.int8)
    keys = np.concatenate([corner[:, None].astype(np.int64), normals.astype(np.int64)], axis=1)
    unique, faces = np.unique(keys, axis=0, return_inverse=True)
    source = unique[:, 0]
    padding = np.zeros((len(unique), 1))
    return {
        "name": mesh.name,
        "count": len(mesh.faces),
        "vertices": _buffer(mesh.vertices[source].astype("<f4"), buffers),
        "normals": _buffer(np.concatenate([unique[:, 1:], padding], axis=1).astype(np.int8), buffers),
        "colors": _buffer(np.concatenate([np.round(colors[source] * 255), padding], axis=1).astype(np.uint8), buffers),
        "faces": _buffer(faces.reshape(-1).astype("<u2" if len(unique) <= 0xFFFF else "<u4"), buffers),
    }


def _buffer(array: np.ndarray, buffers: dict[str, tuple[str, str]]) -> str:
    """Stores an array under the hash of its bytes; returns the key."""
    raw, kind = array.tobytes(), f"{array.dtype.kind}{array.dtype.itemsize}"
    key = hashlib.sha256(kind.encode() + raw).hexdigest()[:16]
    buffers.setdefault(key, (kind, base64.b64encode(raw).decode("ascii")))
    return key
