"""A result of `hoijax refine` as an export needs it: frames of a body and an object, with what was said of them."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from hoijax.body_models import BodyModel
from hoijax.body_models.host import host_vertices
from hoijax.errors import InputError
from hoijax.io import LoadedMesh, ParameterFile, read_mesh, read_parameters
from hoijax.io.params import in_own_keys
from hoijax.io.skinned_glb import Track
from hoijax.jobs.bodies import BodyChoice, load_body, start_of
from hoijax.jobs.directions import Direction, parse_direction
from hoijax.jobs.estimates import settle, up_in
from hoijax.jobs.objects import set_up
from hoijax.jobs.record import read_record


@dataclasses.dataclass(frozen=True)
class ExportRequest:
    """What is to be written, and what of it the result does not say."""

    result: pathlib.Path
    """A `refined.npz`, the folder of one, a folder of such folders as frames, or a file of `docs/sources.md`."""
    out: pathlib.Path
    """The file to write."""
    format: str
    """Of `FORMATS`."""
    fps: float = 30.0
    """Frames a second."""
    row: int | None = None
    """One row of the result; None: all, as frames."""
    body_model: pathlib.Path | None = None
    """Body's file; None: what the result's record says, or the free body."""
    hands: str | None = None
    """"flat" or "mean"; None: what the record says, or flat."""
    lod: str | None = None
    """Level of detail of the free body; None: what the record says, or the default one."""
    object: pathlib.Path | None = None
    """The object's mesh; None: what the record says."""
    units: str | None = None
    """Of the mesh; None: what the record says."""
    object_up: str | None = None
    """Which way is up in the mesh's file; None: what the record says."""
    up: str | None = None
    """Which way is up in the result; None: what the file or the record says, or +y."""
    method: str | None = None
    """Of an `.npz`, whose keys: a name of `LAYOUTS`; None: hoijax's own."""
    influences: int | None = None
    """Of a GLB, joints that move a vertex: 4 or 8; None: 4, or 8 where that brings the skin nearer by a millimetre."""
    colors: str = "contact"
    """Of a GLB: "contact" or "plain"."""
    length: str = "cm"
    """Of a BVH: unit of length."""


@dataclasses.dataclass(frozen=True)
class Result:
    """A result in the terms of its body model; T frames."""

    file: ParameterFile
    """What was read."""
    model: BodyModel
    """The body."""
    rotations: np.ndarray
    """`(T, J, 3, 3)`."""
    betas: np.ndarray
    """`(T, S)`."""
    translations: np.ndarray
    """`(T, 3)` metres."""
    track: Track
    """The object; the identity where the file has none."""
    mesh: LoadedMesh | None
    """The object; None: nobody says which."""
    up: Direction
    """Against gravity."""
    records: tuple[Mapping[str, Any], ...]
    """What the refinement said of the rows, as far as it is there."""
    notes: tuple[str, ...]
    """What its user should know."""
    frames: np.ndarray | None = None
    """`(T,)` numbers of the frames, where they are known: some may be missing."""

    @property
    def times(self) -> np.ndarray:
        """`(T,)` of the frames from the first on, in frames."""
        return np.arange(self.count) if self.frames is None else self.frames - self.frames[0]

    @property
    def count(self) -> int:
        """Frames, T."""
        return len(self.translations)

    def vertices(self, frame: int) -> np.ndarray:
        """`(V, 3)` of the body in one frame, metres, as `pose_body` has them."""
        return host_vertices(self.model, self.rotations[frame], self.betas[frame], self.translations[frame])


def read_result(request: ExportRequest) -> Result:
    """A result with its body and, where it is known, its object.

    Raises:
      InputError: nothing there; rows that are people of one scene; a body or a mesh that does not fit.
    """
    path, records = _find(request.result)
    if isinstance(path, list):
        files = [read_parameters(one) for one in path]
        file = _join(request.result, files)
    else:
        file = read_parameters(path)
    options = _options(records)
    if options.get("scene") is not None and file.count > 1 and request.row is None:
        raise InputError(
            f"{request.result}: its {file.count} rows are people of one scene, not frames; choose one with --row"
        )
    if request.row is not None and not 0 <= request.row < file.count:
        raise InputError(f"--row {request.row}: {request.result} has the rows 0 to {file.count - 1}")
    said = lambda name, default=None: _option_of(getattr(request, name), options.get(name), default)  # noqa: E731
    body, hands = said("body_model"), said("hands", "flat")
    choice = BodyChoice(None if body is None else pathlib.Path(body), hands == "flat", said("lod", "default"))
    model, _ = load_body(choice, [file])
    if file.estimate is not None or not records:  # what a refinement wrote is in the terms of its body already
        file = settle(model, file)
    if model.pose_basis is not None:  # once, not in every frame
        model = model.replace(pose_basis=np.asarray(model.pose_basis, np.float64))
    up = parse_direction(request.up or up_in(file) or options.get("up") or "+y", "--up")
    rows = range(file.count) if request.row is None else [request.row]
    starts = [start_of(model, file.item(row), f"{file.path} row {row}") for row in rows]
    mesh = None
    shown = request.format in ("glb", "report")
    if shown and (options.get("scene") is None or request.object is not None):
        own_up = parse_direction(options["up"], "--up") if "up" in options else up  # in which the refinement turned it
        mesh = _mesh(said("object"), said("units"), said("object_up"), own_up)
    kept = list(records.values())
    if request.row is not None and isinstance(path, list):
        kept = kept[request.row : request.row + 1]
    elif request.row is not None and path.parent.name not in records:  # a batch's file, its rows in folders
        kept = [records.get(f"{request.row:06d}", {})]
    return Result(
        file, model,
        np.stack([s.params.rotations for s in starts]).astype(np.float64),
        np.stack([s.params.betas for s in starts]).astype(np.float64),
        np.stack([s.params.translation for s in starts]).astype(np.float64),
        Track(*(np.stack([np.asarray(getattr(s.pose, name), np.float64) for s in starts])
                for name in ("rotation", "translation", "scale"))),
        mesh, up, tuple(kept), tuple(note for s in starts for note in (*s.notes, *file.notes)),
        None if file.frames is None or request.row is not None else file.frames,
    )  # fmt: skip


def _option_of(asked: Any, recorded: Any, default: Any) -> Any:
    return next((value for value in (asked, recorded) if value is not None), default)


def _options(records: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What the refinement was asked for, as far as it is text."""
    found = next((r["options"] for r in records.values() if isinstance(r.get("options"), dict)), {})
    return {name: value for name, value in found.items() if isinstance(value, str)}


def _find(result: pathlib.Path) -> tuple[pathlib.Path | list[pathlib.Path], dict[str, dict[str, Any]]]:
    """The file, or the files of the frames, and the records beside them by the names of their folders."""
    if not result.is_dir():
        folder, file = result.parent, result
        own = result.name == "refined.npz"
    else:
        folder, file, own = result, result / "refined.npz", True
    record = read_record(folder / "metrics.json") if own else {}
    below = sorted(path.parent for path in folder.glob("*/refined.npz")) if own else []
    whole = "options" in record
    records = {folder.name: record} if whole else {sub.name: read_record(sub / "metrics.json") for sub in below}
    if file.is_file() or not result.is_dir():
        return file, records
    if not below:
        raise InputError(f"{result} holds no refined.npz, nor folders that do; wanted a result of `hoijax refine`")
    return [sub / "refined.npz" for sub in below], records


def _join(folder: pathlib.Path, files: list[ParameterFile]) -> ParameterFile:
    """Files of one frame each as one."""
    first = files[0]
    for file in files:
        shapes = {name: value.shape for name, value in file.values.items()}
        if file.count != 1 or shapes != {name: value.shape for name, value in first.values.items()}:
            raise InputError(
                f"{file.path} has {file.count} rows of {', '.join(file.values)}, {first.path} has {first.count} of "
                f"{', '.join(first.values)}: they are no frames of one sequence; export them one by one"
            )
    values = {name: np.concatenate([file.values[name] for file in files]) for name in first.values}
    whole = dataclasses.replace(first, path=folder, count=len(files), leading=True, extras={})
    return in_own_keys(whole, values)


def _mesh(path: Any, units: Any, object_up: str | None, up: Direction) -> LoadedMesh | None:
    if path is None:
        return None
    if not pathlib.Path(path).is_file():
        raise InputError(f"the object's mesh {path} is not there; give it with --object MESH")
    direction = None if object_up is None else parse_direction(object_up, "--object-up")
    return set_up(read_mesh(path, units=units), direction, up)
