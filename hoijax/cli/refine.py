"""Refines interactions: a body estimate and an object mesh go in, a physically plausible interaction comes out.

BODY is an .npz in the field's own keys (global_orient, body_pose, ..., obj_rot, obj_trans), an .npz whose arrays have a
leading axis, or a folder of such files. Finished interactions are skipped when a command is run again.

With --scene instead of --object the body, or all people of BODY, are fitted to a room: see docs/graft.md.
"""

import dataclasses
import math
import pathlib
from typing import TYPE_CHECKING, Literal

from hoijax.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hoijax.body_models import BodyModel
    from hoijax.io import ParameterFile
    from hoijax.jobs.refinement import FloorRule
    from hoijax.optim.gradient import RefineConfig

AXES: dict[str, tuple[float, float, float]] = {
    "+x": (1.0, 0.0, 0.0),
    "-x": (-1.0, 0.0, 0.0),
    "+y": (0.0, 1.0, 0.0),
    "-y": (0.0, -1.0, 0.0),
    "+z": (0.0, 0.0, 1.0),
    "-z": (0.0, 0.0, -1.0),
}
"""Directions by the name that `--up` takes."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `hoijax refine`."""

    body: pathlib.Path
    """Body parameters: an .npz, one with a leading axis, or a folder of them."""
    out: pathlib.Path
    """Folder for the results."""
    object: pathlib.Path | None = None
    """The object's mesh: OBJ, PLY, STL, OFF, GLB or glTF; obj_rot and obj_trans of BODY place it."""
    scene: pathlib.Path | None = None
    """Instead of an object, the scene around BODY's people: a mesh, a cloud (PLY), or an .npz with a depth map and
    intrinsics, a point map or points."""
    prior: Literal["graft", "scorehoi", "gradient"] = "gradient"
    """gradient: gradient steps on contact and penetration alone. With --object, scorehoi: before them ScoreHOI's
    diffusion prior, which knows how people use things. With --scene, graft: GRAFT's network instead of them."""
    weights: pathlib.Path | None = None
    """Of the prior's network, as hoijax.experiments trains them; without it those that are shipped."""
    features: pathlib.Path | None = None
    """With --prior graft, a depth or point map, and weights of the full mode: image features of the scene's camera, an
    .npz with features_0, features_1, ... and intrinsics, such as MapAnything's."""
    body_model: pathlib.Path | None = None
    """SMPL, SMPL-H or SMPL-X model file that the parameters belong to; without it the free body."""
    hands: Literal["flat", "mean"] = "flat"
    """What a hand pose of zero is in BODY: the flat hand, or the model's mean hand (smplx's flat_hand_mean=False)."""
    contact: str = "auto"
    """Body parts that must touch the object, such as right_hand,back; "auto" proposes them, "none" asks for none."""
    floor: str = "none"
    """Height of the floor in metres; "auto" takes the lowest points of the estimated body; "none" for no floor."""
    up: Literal["+x", "-x", "+y", "-y", "+z", "-z"] = "+y"
    """Which way is up in BODY's frame, for the floor and the pictures; --up=-y for camera frames."""
    units: Literal["m", "cm", "mm", "in"] | None = None
    """Unit of the mesh; without it metres, refused if the size cannot be."""
    freeze: str = ""
    """What must not move: any of object, object_scale, pose, hands, betas, ..., separated by commas; with --scene of
    orient, pose, hands, translation, betas, scale. pose,hands,betas leaves where the whole body is."""
    fit_scale: bool = False
    """Let the object's scale be refined too."""
    steps: int | None = None
    """Gradient steps in all; without it the refiner's own number."""
    lod: Literal["default", "render", "light", "test"] = "default"
    """Level of detail of the free body."""
    batch_size: int = 16
    """How many interactions are refined at a time."""
    pictures: int = 4
    """How many interactions get pictures and a place in report.html."""
    redo: bool = False
    """Refine again what is finished already."""


def run(options: Options) -> int:
    """Checks everything, refines, writes.

    Args:
      options: see `Options`.

    Returns:
      0; 1 if some interactions of a batch could not be used.

    Raises:
      InputError: nothing can be refined; raised before anything is written.
    """
    from hoijax.io import check_output_directory, file_digest, read_mesh
    from hoijax.jobs.plans import plan_files, read_files
    from hoijax.jobs.refinement import ObjectAsset
    from hoijax.jobs.running import run_plans, tell

    _check_numbers(options)
    if (options.object is None) == (options.scene is None):
        given = "neither" if options.object is None else "both"
        raise InputError(f"wanted --object MESH or --scene SCENE, one of the two; {given} was given")
    _check_prior(options)
    check_output_directory(options.out)
    if options.scene is not None:
        _check_scene_options(options)
        from hoijax.jobs.scene import run_scene

        return run_scene(options, *load_model(options, _whole_files(options.body)), AXES[options.up])
    config, floor = refine_config(options), floor_rule(options.floor, options.up)
    files, failures = read_files(options.body)
    mesh = read_mesh(options.object, units=options.units)
    model, digest = load_model(options, list(files.values()))
    contacts = contact_names(options.contact, model)
    plans = plan_files(files, options.out, model, config, contacts, floor, failures)
    prior = None
    if options.prior == "scorehoi":
        from hoijax.systems.scorehoi.score_prior import ScorePrior

        prior = ScorePrior(model, options.weights, AXES[options.up])
    count = sum(len(plan.starts) for plan in plans)
    tell(f"{count} interaction{'s' * (count != 1)}, {model.kind} body of {model.num_vertices:,} vertices")
    asset = ObjectAsset.of(mesh)
    for note in asset.light.report.notes():
        tell(f"{options.object.name}: {note}")
    inputs = {"object": file_digest(options.object), "units": options.units, "model": digest}
    if prior is not None:
        inputs |= {"prior": prior.digest, "guidance": dataclasses.asdict(prior.config), "up": options.up}
    record = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    run_plans(
        model,
        [plan.with_object(asset, inputs) for plan in plans],
        options.out,
        record,
        failures,
        up=AXES[options.up],
        batch_size=options.batch_size,
        pictures=options.pictures,
        redo=options.redo,
        prior=prior,
    )
    return 1 if failures else 0


def _whole_files(path: pathlib.Path) -> "list[ParameterFile]":
    """The file, for its numbers of shape coefficients; none if it is of a method that names its arrays otherwise."""
    from hoijax.io import read_parameters

    try:
        return [read_parameters(path)]
    except InputError:
        return []  # read_people says what is wrong with it


def load_model(options: Options, files: "Iterable[ParameterFile]") -> "tuple[BodyModel, str]":
    """The body model that was asked for, with the shape coefficients that the files have, and a digest of it.

    Raises:
      InputError: a file that is no body model, or not a whole body's.
    """
    if options.body_model is None:
        from hoijax.body_models import free_body

        return free_body(options.lod), f"free {options.lod}"
    from hoijax.body_models import load
    from hoijax.io import file_digest
    from hoijax.jobs.bodies import joint_ranges, with_coefficients

    model = load(options.body_model, flat_hand_mean=options.hands == "flat")
    joint_ranges(model)
    betas, expression = (
        max((file.values[name].shape[1] for file in files if name in file.values), default=default)
        for name, default in (("betas", 10), ("expression", 0))
    )
    return with_coefficients(model, betas, expression), f"{file_digest(options.body_model)} {options.hands}"


def refine_config(options: Options) -> "RefineConfig":
    """The refiner's settings.

    Raises:
      InputError: `--freeze` names a group that does not exist.
    """
    from hoijax.optim.gradient import RefineConfig

    config = RefineConfig()
    if options.prior == "scorehoi":
        from hoijax.systems.scorehoi.score_prior import polish_config

        config = polish_config()
    names = tuple(name.strip() for name in options.freeze.split(",") if name.strip())
    kept = () if options.fit_scale else config.freeze
    try:
        config = dataclasses.replace(config, freeze=tuple(dict.fromkeys((*kept, *names))))
    except ValueError as error:
        raise InputError(f"--freeze: {error}") from None
    return config if options.steps is None else config.with_steps(options.steps)


def floor_rule(floor: str, up: str) -> "FloorRule | None":
    """The floor that `--floor` and `--up` describe.

    Raises:
      InputError: neither a number nor "auto" nor "none".
    """
    from hoijax.jobs.refinement import FloorRule

    if floor == "none":
        return None
    x, y, z = AXES[up]
    down = (-x, -y, -z)
    if floor == "auto":
        return FloorRule(gravity=down, level=None)
    try:
        level = float(floor)
    except ValueError:
        level = math.nan
    if not math.isfinite(level):
        raise InputError(f"--floor {floor}: wanted a height in metres, 'auto' or 'none'")
    return FloorRule(gravity=down, level=level)


def contact_names(contact: str, model: "BodyModel") -> tuple[str, ...] | None:
    """The parts that `--contact` names; None to propose them.

    Raises:
      InputError: a part that the model does not have.
    """
    from hoijax.body_models import contact_regions

    if contact == "auto":
        return None
    if contact == "none":
        return ()
    names = tuple(dict.fromkeys(name.strip() for name in contact.split(",") if name.strip()))
    known = contact_regions(model)
    wrong = [name for name in names if name not in known]
    if wrong or not names:
        raise InputError(
            f"--contact {contact}: {', '.join(map(repr, wrong)) or 'nothing'} is no part of the body; wanted 'auto', "
            f"'none' or any of {', '.join(known)}"
        )
    return names


def _check_prior(options: Options) -> None:
    """Refuses a prior that does not go with what is refined, and weights without a network."""
    other = {"graft": options.scene, "scorehoi": options.object}.get(options.prior, options.body)
    if other is None:
        wanted = {"graft": "--scene", "scorehoi": "--object"}[options.prior]
        raise InputError(f"--prior {options.prior} goes with {wanted}; without one the prior is 'gradient'")
    if options.weights is not None and options.prior == "gradient":
        raise InputError(f"--weights {options.weights}: which network? Give --prior scorehoi or --prior graft with it")
    if options.features is not None and options.prior != "graft":
        raise InputError(f"--features {options.features}: only GRAFT's network looks at images; give --prior graft")


def _check_scene_options(options: Options) -> None:
    """Refuses what only interactions with an object have."""
    fields = {field.name: field.default for field in dataclasses.fields(options)}
    for name in ("contact", "floor", "fit_scale", "batch_size", "redo"):
        if getattr(options, name) != fields[name]:
            raise InputError(f"--{name.replace('_', '-')} goes with --object; people in a scene have no such setting")


def _check_numbers(options: Options) -> None:
    """Refuses numbers out of range."""
    if options.steps is not None and options.steps < 0:
        raise InputError(f"--steps {options.steps}: wanted 0 or more")
    if options.batch_size < 1:
        raise InputError(f"--batch-size {options.batch_size}: wanted 1 or more")
    if options.pictures < 0:
        raise InputError(f"--pictures {options.pictures}: wanted 0 or more")
