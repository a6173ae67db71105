"""What `hoijax generate --backend compose` writes: the scene, the body, the stages of a run, pictures, a page."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from scipy.spatial.transform import Rotation

from hoijax.io import write_bytes, write_npz
from hoijax.io.motion import Motion
from hoijax.io.textured_glb import Skeleton, SurfaceMaterial, TexturedPart, write_textured_glb
from hoijax.jobs.record import plain_options
from hoijax.nets.sana import VIEWS
from hoijax.render import Studio
from hoijax.render.framing import frame_points
from hoijax.systems.hoi3dgen.annotation.contact import configuration
from hoijax.systems.hoi3dgen.compose import Composed, Dressed, Made, Painted, dress, paint_object
from hoijax.systems.hoi3dgen.compose.system import DEEP
from hoijax.systems.hoi3dgen.layout import (
    VIEW_TAGS,
    Prompt,
    RunFolder,
    picture_index,
    write_labels,
    write_picture,
    write_prompts,
)
from hoijax.viz import Case, Metric, NamedMesh, render_views, write_page

ELEVATION = 8.0
STUDIO = Studio(samples=2, background=((1.0, 1.0, 1.0), (1.0, 1.0, 1.0)), floor_shadow=0.5)
"""White background, as the paper's pictures have it."""
RUN = "run"
"""Folder of the stages within a result."""


def files_of(views: Sequence[str]) -> tuple[str, ...]:
    """Names of what is written, the record aside."""
    images = [f"{RUN}/images/{picture_index(0, VIEW_TAGS.index(view)):04d}.png" for view in views]
    return ("interaction.glb", "interaction.npz", "relations.json", "report.html", *images)


def write_composed(
    folder: pathlib.Path,
    made: Composed,
    *,
    lod: str,
    seed: int,
    size: int,
    views: Sequence[str],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Writes everything of one prompt.

    Args:
      folder: where.
      made: the result.
      lod: level of detail of the body.
      seed: of clothes that the prompt leaves open.
      size: side of the pictures, pixels.
      views: of `VIEW_TAGS`, which pictures are made.
      options: what the command was, for the record.

    Returns:
      The contents of the record.
    """
    prompt, best = made.setting.prompt, made.made[0]
    dressed = dress(made.prepared.model, prompt.person, lod, seed)
    painted = paint_object(made.setting.shape, prompt.thing)
    rows = [_row(m) for m in made.made]
    asked = best.measured.asked.replace("_", " ")
    facts = {"prompt": prompt.text, "asked": asked, **{k: rows[0][k] for k in ("measured", "parts", "depth_m")}}
    write_textured_glb(
        folder / "interaction.glb", [_rest_body(made, best, dressed), _thing(made, best, painted)],
        skeletons={"human": _skeleton(made, best, dressed)}, extras={"hoijax": facts},
    )  # fmt: skip
    for number, each in enumerate(made.made):
        write_npz(_place(folder / "candidates") / f"{number:02d}.npz", _arrays(made, each))
    write_npz(folder / "interaction.npz", _arrays(made, best))
    made.setting.relations.save(folder / "relations.json")
    run = RunFolder(folder / RUN)
    posed = [_posed_body(best, dressed), _thing(made, best, painted)]
    write_textured_glb(run.place("mesh", 0), posed, extras={"hoijax": facts})
    write_npz(run.place("smpl", 0), _arrays(made, best))
    _write_segments(run, made, best)
    write_prompts(folder / RUN / "prompts.csv", [Prompt(prompt.text, prompt.thing.noun, _camel(asked))])
    scene = _scene(best, dressed, made, painted)
    pictures = _pictures(scene, size, views)
    shown = []
    for view, picture in zip(views, pictures):
        path = run.place("images", picture_index(0, VIEW_TAGS.index(view)))
        write_picture(path, picture)
        shown.append((view, path))
    verdict = _verdict(best)
    table = {
        "deepest point": Metric(None, 1000 * best.measured.depth, "mm", "lower", 10.0),
        "nearest vertex": Metric(None, 1000 * best.measured.contact.min_distance, "mm", "lower", None),
    }
    text = f"{verdict} Shape: {made.setting.shape.source}. " + " ".join(f"{n}." for n in made.setting.notes)
    write_page(folder / "report.html", prompt.text, [Case("", None, scene, table, shown, text.strip(), floor=0.0)])
    return {
        "prompt": prompt.text,
        "sentence": prompt.sentence,
        "units": "metres, radians",
        "asked": asked,
        "good": best.measured.good,
        "verdict": verdict,
        "candidates": rows,
        "shape": made.setting.shape.source,
        "person": json.loads(json.dumps(dataclasses.asdict(prompt.person))),
        "materials": {"human": [m.name for m in dressed.materials], "object": [m.name for m in painted.materials]},
        "notes": list(made.setting.notes),
        "options": plain_options(options),
    }


def _place(folder: pathlib.Path) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _camel(words: str) -> str:
    first, *rest = words.split()
    return first + "".join(w.capitalize() for w in rest)


def _row(made: Made) -> dict[str, Any]:
    contact = made.measured.contact
    return {
        "measured": contact.config.replace("_", " "),
        "any_vertex": configuration(contact.near).replace("_", " "),
        "parts": list(contact.parts),
        "nearest_m": contact.min_distance,
        "depth_m": made.measured.depth,
        "good": made.measured.good,
        "score": round(made.candidate.score, 4),
        "reason": made.candidate.reason,
        "physics": None if made.physics is None else dataclasses.asdict(made.physics),
    }


def _verdict(made: Made) -> str:
    measured, asked = made.measured.contact.config.replace("_", " "), made.measured.asked.replace("_", " ")
    told = f"contact as asked ({asked})" if made.measured.contact_holds else f"contact is {measured}, asked was {asked}"
    deep = f"deepest point {1000 * made.measured.depth:.0f} mm{'' if made.measured.depth < DEEP else ', too deep'}"
    words = "" if made.physics is None else f"; {made.physics.words}"
    return f"{told}; {deep}{words}."


def _arrays(made: Composed, each: Made) -> dict[str, np.ndarray]:
    """The field's keys; obj_scale is 1, the mesh has its size."""
    keys = jax.tree.map(np.asarray, each.candidate.params.to_axis_angle(made.prepared.model))
    vector = Rotation.from_matrix(np.asarray(each.candidate.pose.rotation, np.float64)).as_rotvec()
    return keys | {
        "obj_rot": vector.astype(np.float32),
        "obj_trans": np.asarray(each.candidate.pose.translation, np.float32),
        "obj_scale": np.float32(1.0),
    }


def _materials(materials: Sequence[Any]) -> tuple[SurfaceMaterial, ...]:
    return tuple(SurfaceMaterial(m.name, m.metallic, m.roughness) for m in materials)


def _human(vertices: np.ndarray, dressed: Dressed) -> TexturedPart:
    atlas = dressed.atlas
    return TexturedPart(
        "human", np.asarray(vertices)[atlas.source], atlas.faces, atlas.uv, dressed.texture,
        _materials(dressed.materials), dressed.face_materials, atlas.source,
    )  # fmt: skip


def _posed_body(each: Made, dressed: Dressed) -> TexturedPart:
    return _human(each.candidate.body, dressed)


def _rest_body(made: Composed, each: Made, dressed: Dressed) -> TexturedPart:
    return _human(_rest(made, each)[0], dressed)


def _rest(made: Composed, each: Made) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and joints of the person's rest pose."""
    model, betas = made.prepared.model, np.asarray(each.candidate.params.betas, np.float64)
    vertices = np.asarray(model.v_template, np.float64) + np.asarray(model.shape_dirs, np.float64) @ betas
    joints = np.asarray(model.joint_template, np.float64) + np.asarray(model.joint_shape_dirs, np.float64) @ betas
    return vertices, joints


def _skeleton(made: Composed, each: Made, dressed: Dressed) -> Skeleton:
    model, params = made.prepared.model, each.candidate.params
    _, joints = _rest(made, each)
    motion = Motion(
        model.joint_names, model.parents, joints, np.asarray(params.rotations, np.float64)[None],
        (joints[0] + np.asarray(params.translation, np.float64))[None],
    )  # fmt: skip
    return Skeleton(np.asarray(model.skin_weights, np.float64)[dressed.atlas.source], motion)


def _thing(made: Composed, each: Made, painted: Painted) -> TexturedPart:
    atlas, pose = painted.atlas, each.candidate.pose
    return TexturedPart(
        "object", np.asarray(made.setting.shape.mesh.vertices)[atlas.source], atlas.faces, atlas.uv, painted.texture,
        _materials(painted.materials), painted.face_materials, atlas.source,
        np.asarray(pose.rotation, np.float64), np.asarray(pose.translation, np.float64),
    )  # fmt: skip


def _placed(made: Composed, each: Made) -> np.ndarray:
    pose = each.candidate.pose
    return np.asarray(made.setting.shape.mesh.vertices) @ np.asarray(pose.rotation).T + np.asarray(pose.translation)


def _write_segments(run: RunFolder, made: Composed, each: Made) -> None:
    """The stage `seg`: labels of the joint surface, both parts (those of the posed mesh), the body's parameters."""
    folder = run.place("seg", 0)
    body, thing = np.asarray(each.candidate.body), _placed(made, each)
    faces, own = np.asarray(made.prepared.model.faces), np.asarray(made.setting.shape.mesh.faces)
    labels = np.repeat([0, 1], [len(body), len(thing)])
    write_labels(folder / "labels.npz", np.concatenate([body, thing]), np.concatenate([faces, own + len(body)]), labels)
    write_bytes(folder / "segmented.glb", run.path("mesh", 0).read_bytes())
    write_npz(folder / "body.npz", _arrays(made, each) | {"similarity": np.eye(4, dtype=np.float32)})


def _scene(each: Made, dressed: Dressed, made: Composed, painted: Painted) -> list[NamedMesh]:
    scene = []
    for name, vertices, surface in (
        ("human", np.asarray(each.candidate.body), dressed), ("object", _placed(made, each), painted),
    ):  # fmt: skip
        atlas = surface.atlas
        texture = np.asarray(surface.texture, np.float32) / 255
        scene.append(NamedMesh(name, vertices[atlas.source], atlas.faces, None, texture, atlas.uv))
    return scene


def _pictures(scene: list[NamedMesh], size: int, views: Sequence[str]) -> Sequence[np.ndarray]:
    points = np.concatenate([m.vertices for m in scene])
    azimuth = np.radians(np.array([VIEWS[view] for view in views], np.float32))
    elevation = np.full(len(views), np.radians(ELEVATION), np.float32)
    rig = frame_points(points, azimuth=azimuth, elevation=elevation, image_size=(size, size), margin=0.1)
    return render_views(scene, rig, floor=0.0, studio=STUDIO)
