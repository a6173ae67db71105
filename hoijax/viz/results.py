"""What a folder holds: results of refine, synthesize, generate and reconstruct with their candidates, and scenes.

Everything is told from the files; nothing of a result is loaded. A record (`metrics.json`) may be anybody's, half
written or damaged: what is wrong with a result is said with it, and the others are found all the same.
"""

import dataclasses
import json
import math
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from hoijax.errors import InputError
from hoijax.io.scenes import format_of
from hoijax.viz.read import SCENE_FORMATS

Kind = Literal["refine", "sequence", "reconstruct", "synthesize", "generate", "scene"]
RECORD = "metrics.json"
SCENE = "interaction.glb"
LARGEST_RECORD = 64 << 20
"""Bytes; a larger record is no record."""
PARAMETERS = {"refine": "refined.npz", "sequence": "refined.npz", "reconstruct": "reconstruction.npz"}
"""What a result of one candidate keeps its numbers in."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One answer of a result."""

    name: str
    """What the page calls it."""
    scene: pathlib.Path | None
    """Its scene; None: it is to be made from the numbers."""
    parameters: pathlib.Path | None = None
    """Its numbers."""
    score: str = ""
    """What ranks it, in words; empty if nothing does."""
    verdict: str = ""
    """What became of it."""
    good: bool | None = None
    """Whether that is good; None: nobody said."""
    reason: str = ""
    """Why."""
    missing: tuple[str, ...] = ()
    """Names of its files that are not there."""

    @property
    def label(self) -> str:
        """Its line in the list."""
        judged = {True: "good", False: "not good", None: ""}[self.good]
        broken = f"{', '.join(self.missing)} missing" if self.missing else ""
        return ", ".join(filter(None, (self.name, self.score, judged, self.verdict, broken)))


@dataclasses.dataclass(frozen=True)
class Found:
    """One result, or one scene."""

    name: str
    """Its path below the folder that was asked for."""
    folder: pathlib.Path
    """Where it is."""
    kind: Kind
    """What made it; "scene": a file by itself."""
    candidates: tuple[Candidate, ...]
    """The best first; at least one."""
    record: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What its record says; empty if there is none."""
    problems: tuple[str, ...] = ()
    """What is wrong with it, in sentences."""
    notes: tuple[str, ...] = ()
    """What its record tells its reader."""

    @property
    def options(self) -> Mapping[str, Any]:
        """What its command was asked for."""
        options = self.record.get("options")
        return options if isinstance(options, dict) else {}


def find_results(path: pathlib.Path | str) -> list[Found]:
    """The results and scenes at or below `path`: results first, each kind sorted by path.

    Raises:
      InputError: the path does not exist, or neither a result nor a scene is there.
    """
    path = pathlib.Path(path)
    if path.is_file():
        return [_scene_file(path, path.name)]
    if not path.is_dir():
        raise InputError(f"there is no file or folder '{path}'")
    folders = sorted({p.parent for name in (RECORD, SCENE) for p in path.rglob(name)})
    results: list[Found] = []
    for folder in folders:
        if not any(_belongs(folder, above.folder) for above in results):
            results += _result(folder, _name(folder, path))
    taken = {one.folder for one in results}
    scenes = [
        _scene_file(p, _name(p, path))
        for p in sorted(path.rglob("*"))
        if format_of(p) in SCENE_FORMATS and p.is_file() and not _is_part(p, taken)
    ]
    if not results and not scenes:
        raise InputError(
            f"'{path}' holds no result of hoijax and no scene; wanted a folder with {RECORD}, or files of the formats "
            f"{', '.join(SCENE_FORMATS)}"
        )
    return results + scenes


def _name(path: pathlib.Path, root: pathlib.Path) -> str:
    return root.name or str(root) if path == root else path.relative_to(root).as_posix()


def _belongs(path: pathlib.Path, result: pathlib.Path) -> bool:
    """Whether a path is among the files that a result of several candidates keeps in folders of its own."""
    return any(path.is_relative_to(result / name) for name in ("candidates", "run"))


def _is_part(path: pathlib.Path, results: set[pathlib.Path]) -> bool:
    """Whether a scene is one that its result shows already."""
    own = path.parent in results and path.name in (SCENE, "motion.glb")
    return own or any(_belongs(path, above) for above in path.parents if above in results)


def _scene_file(path: pathlib.Path, name: str) -> Found:
    return Found(name, path.parent, "scene", (Candidate(path.stem, path),))


def _result(folder: pathlib.Path, name: str) -> Iterator[Found]:
    """The result in a folder; none in one that only sums up others."""
    record, problem = read_record(folder / RECORD)
    kind = kind_of(record)
    if kind is None:
        if not (folder / SCENE).is_file():
            if problem and "not there" not in problem:
                yield Found(name, folder, "refine", (Candidate("result", None, missing=(SCENE,)),), {}, (problem,))
            return
        kind, problem = (
            "refine",
            problem or f"{RECORD} is of no kind that is known: the scene is shown without a verdict",
        )
    rows = record.get("candidates")
    if kind in ("synthesize", "generate") and isinstance(rows, list):
        candidates = tuple(_row(folder, kind, k, row) for k, row in enumerate(rows))
    else:
        candidates = (_single(folder, kind, record),)
    if not candidates:
        problem, candidates = "the result has no candidates", (_single(folder, kind, record),)
    lost = [c for c in candidates if c.missing]
    if lost:
        files = ", ".join(file for c in lost[:3] for file in c.missing)
        more = "" if len(lost) <= 3 else f" and of {len(lost) - 3} others"
        problem = " ".join(filter(None, (problem, f"Not there: {files}{more}. Run the command again.")))
    yield Found(name, folder, kind, candidates, record, (problem,) if problem else (), _texts(record.get("notes")))


def read_record(path: pathlib.Path) -> tuple[dict[str, Any], str]:
    """A record, and what is wrong with it; one of the two is empty."""
    if not path.is_file():
        return {}, f"{path.name} is not there: the result is not finished, or was not written by hoijax"
    try:
        if path.stat().st_size > LARGEST_RECORD:
            return {}, f"{path.name} is larger than {LARGEST_RECORD >> 20} MiB: it is no record"
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}, f"{path.name} cannot be read: it is damaged, or half written"
    if not isinstance(record, dict):
        return {}, f"{path.name} holds a {type(record).__name__}, wanted an object: it is no record"
    return record, ""


def kind_of(record: Mapping[str, Any]) -> Kind | None:
    """What a record is of; None: of several results together, or of nothing that is known."""
    if isinstance(record.get("sequence"), dict):
        return "sequence"
    if "candidates" in record:
        return "generate" if "prompt" in record else "synthesize"
    if isinstance(record.get("after"), dict) and "verdict" in record:
        return "refine"
    return "reconstruct" if "stages" in record or "overlap" in record else None


def _single(folder: pathlib.Path, kind: Kind, record: Mapping[str, Any]) -> Candidate:
    """The only candidate of a result."""
    parameters = folder / PARAMETERS.get(kind, "interaction.npz")
    score = ""
    if kind in ("refine", "sequence"):
        after = record.get("after")
        deepest = _number(after.get("max_penetration")) if isinstance(after, dict) else None
        score = "" if deepest is None else f"{1000 * deepest:.1f} mm deep"
    elif (sure := _number(record.get("confidence"))) is not None:
        score = f"confidence {sure:.2f}"
    verdict, missing = "; ".join(_texts(record.get("verdict"))), _absent(folder, folder / SCENE, parameters)
    if not record:
        missing = _absent(folder, folder / SCENE)
    good = _flag(record.get("good"))
    return Candidate("result", folder / SCENE, parameters, score, verdict, good, missing=missing)


def _row(folder: pathlib.Path, kind: Kind, k: int, row: Any) -> Candidate:
    """Candidate k of a result that has several."""
    row = row if isinstance(row, dict) else {}
    parameters = folder / "candidates" / f"{k:02d}.npz"
    scene = folder / "candidates" / f"{k:02d}.glb" if kind == "synthesize" else folder / "run" / "mesh" / "0000.glb"
    score = _number(row.get("score"))
    verdict = row.get("verdict") if kind == "synthesize" else row.get("measured")
    return Candidate(
        str(k + 1), scene, parameters, "" if score is None else f"score {score:.2f}", "; ".join(_texts(verdict)),
        _flag(row.get("valid" if kind == "synthesize" else "good")), "; ".join(_texts(row.get("reason"))),
        _absent(folder, scene, parameters),
    )  # fmt: skip


def _absent(folder: pathlib.Path, *files: pathlib.Path | None) -> tuple[str, ...]:
    return tuple(f.relative_to(folder).as_posix() for f in files if f is not None and not f.is_file())


def _number(value: Any) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _texts(value: Any) -> tuple[str, ...]:
    """A text, or the texts of a list."""
    values = value if isinstance(value, list) else [value]
    return tuple(v for v in values if isinstance(v, str) and v)
