"""Refines interactions: a body estimate and an object mesh go in, a physically plausible interaction comes out.

BODY is an .npz in the field's own keys (global_orient, body_pose, ..., obj_rot, obj_trans), one whose arrays have a
leading axis, a file of another method (docs/sources.md; `hoijax inspect FILE` says what it is), or a folder of such.
Finished interactions are skipped when a command is run again. Many objects in one run: --pairs instead of --body and
--object.

With --scene instead of --object the body, or all people of BODY, are fitted to a room: see docs/graft.md.
"""

import dataclasses
import functools
import math
import pathlib
from typing import TYPE_CHECKING, Any, Literal

from hoijax.cli.cache import grid_folder
from hoijax.errors import InputError

if TYPE_CHECKING:
    from hoijax.jobs.bodies import BodyChoice
    from hoijax.jobs.estimates import Reading
    from hoijax.jobs.requests import RefineRequest
    from hoijax.jobs.seen import PictureFiles
    from hoijax.optim.gradient import RefineConfig


PICTURE = ("object_mask", "human_mask", "instances", "focal")
"""Options that say something of --image."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `hoijax refine`."""

    out: pathlib.Path
    """Folder for the results."""
    body: pathlib.Path | None = None
    """Body parameters: an .npz, one with a leading axis, or a folder of them."""
    object: pathlib.Path | None = None
    """The object's mesh: OBJ, PLY, STL, OFF, GLB, glTF, COLLADA or 3MF; obj_rot and obj_trans of BODY place it."""
    pairs: pathlib.Path | None = None
    """Instead of --body and --object, many of both: a CSV table with the columns body and object, and if wanted name,
    contact, regions, floor, up, object_up, units; or a folder of bodies and meshes with the same stem."""
    scene: pathlib.Path | None = None
    """Instead of an object, the scene around BODY's people: a mesh, a cloud (PLY), or an .npz with a depth map and
    intrinsics, a point map or points."""
    prior: Literal["graft", "scorehoi", "gradient"] | None = None
    """gradient: gradient steps on contact and penetration alone. With --object, scorehoi: before them ScoreHOI's
    diffusion prior, which knows how people use things. With --scene, graft: GRAFT's network instead of them. Without it
    gradient with --object, and with --scene graft where the shipped weights, or those of --weights, fit the body."""
    weights: pathlib.Path | None = None
    """Of the prior's network, as hoijax.experiments trains them; without it those that are shipped."""
    object_pose: pathlib.Path | None = None
    """The object's pose where BODY has none: a file of docs/sources.md, or a folder of 4 x 4 poses, one a frame."""
    object_name: str | None = None
    """Which object of OBJECT_POSE, where it has several."""
    source: str | None = None
    """The method that BODY is of, where its keys do not say: a name of docs/sources.md."""
    person: str | None = None
    """Whom to take where BODY has several people, "all" for each of them; `hoijax inspect` names them."""
    ignore: str = ""
    """Keys of BODY and OBJECT_POSE that look like a pose and are to be left out, separated by commas."""
    betas: Literal["auto", "mean", "keep"] = "auto"
    """Shape coefficients of one body model on another: auto leaves those out of which the file says so, mean all, keep
    takes the numbers as they are."""
    sequence: bool = False
    """Rows of BODY are frames of one person: they are refined together, smooth in time, with one shape and floor.
    Files that say so (docs/sequences.md) need no such word."""
    each_frame: bool = False
    """Refine every frame by itself, also where BODY says that rows are frames."""
    fps: float | None = None
    """Frames a second of a sequence; without it as the file says, else 30."""
    features: pathlib.Path | None = None
    """With --prior graft, a depth or point map, and weights of the full mode: image features of the scene's camera, an
    .npz with features_0, features_1, ... and intrinsics, such as MapAnything's."""
    align_heads: pathlib.Path | None = None
    """With --scene as a depth or point map: another one by the same camera, of the image with the people. Each person
    is first scaled about the camera until the head is as deep as it is seen there."""
    body_model: pathlib.Path | None = None
    """SMPL, SMPL-H or SMPL-X model file that the parameters belong to; without it the free body."""
    hands: Literal["flat", "mean"] = "flat"
    """What a hand pose of zero is in BODY: the flat hand, or the model's mean hand (smplx's flat_hand_mean=False)."""
    contact: str = "auto"
    """Body parts that must touch the object, such as right_hand,back; "auto" proposes them, "none" asks for none. A
    part may be asked to a region of the object: "buttocks, left hand: armrest", "right hand: box(x y z x y z)", or
    "back: vertices(ids.txt)"."""
    regions: pathlib.Path | None = None
    """What --contact calls regions of the object: JSON, or lines such as "armrest: box(x y z x y z)". Groups, nodes and
    materials of the mesh need no such file."""
    contacts: pathlib.Path | None = None
    """A file of contacts (docs/sources.md): probabilities for the vertices of the body, of the object or both (DECO,
    InteractVLM, DAMON, LEMON, PICO), or lines of text such as "right hand: handle"."""
    contacts_of: str | None = None
    """Which object of CONTACTS, where it has labels for several."""
    contacts_body: Literal["smpl", "smplx"] | None = None
    """The body whose vertices a bare list in CONTACTS numbers, where no key says so."""
    floor: str = "none"
    """Height of the floor in metres; "auto" takes the lowest points of the estimated body; a plane "a,b,c,d"; a scan's
    file (PLY, .npz, a mesh), whose floor is found; "none" for no floor."""
    image: pathlib.Path | None = None
    """The photograph that BODY was estimated from: landmarks, outlines and what is in front of what hold the refined
    interaction to it. BODY is one interaction in the picture's camera frame (x right, y down, z forward)."""
    object_mask: pathlib.Path | None = None
    """With --image, mask of the object, bright where it is seen."""
    human_mask: pathlib.Path | None = None
    """With --image, mask of the person; without it MediaPipe's networks'."""
    instances: pathlib.Path | None = None
    """With --image, instead of both masks a PNG of numbers: person 1, object 2."""
    focal: float | None = None
    """With --image, focal length in pixels; without it the intrinsics of BODY's file, EXIF entries, or a guess."""
    up: str | None = None
    """Which way is up in BODY's frame, for the floor and the pictures: an axis such as -y, or any direction as x,y,z.
    Without it what the method's frame says, -y for cameras, and +y where the file does not say."""
    object_up: str | None = None
    """Which way is up in the mesh's file, an axis or x,y,z: the mesh is turned before anything else; without it, it is
    taken as it is."""
    units: Literal["m", "cm", "mm", "in"] | None = None
    """Unit of the mesh; without it metres, refused if the size cannot be."""
    freeze: str = ""
    """What must not move: any of object, object_scale, pose, hands, betas, ..., separated by commas; with --scene of
    orient, pose, hands, translation, betas, scale. pose,hands,betas leaves where the whole body is."""
    upright: bool = True
    """With --floor, an object that stands on it is set upright and then only slides and turns about the vertical;
    --no-upright lets it turn any way."""
    fit_scale: bool = False
    """Let the object's scale be refined too."""
    steps: int | None = None
    """Gradient steps in all; without it the refiner's own number."""
    lod: Literal["default", "render", "light", "test"] = "default"
    """Level of detail of the free body."""
    batch_size: int = 16
    """How many interactions, or people of a scene, are refined at a time."""
    pictures: int = 4
    """How many interactions get pictures and a place in report.html."""
    redo: bool = False
    """Refine again what is finished already."""
    strict: bool = False
    """End with exit code 1 if an interaction is not good: a part is missed, something penetrates, or it moved far or
    tipped."""
    runner: str = "local"
    """Where batches are computed: local, in this process; or on Apache Beam (extra [beam]): direct, on this machine;
    flink, spark, dataflow or any other runner that Beam knows. Files must lie where all workers see them."""
    beam_options: tuple[str, ...] = ()
    """With --runner, options of Beam's pipeline: --beam-options direct_num_workers=2 region=europe-west1 ..."""


def run(options: Options) -> int:
    """Checks everything, refines, writes.

    Args:
      options: see `Options`.

    Returns:
      0; 1 if some interactions of a batch could not be used, or with --strict if some are not good.

    Raises:
      InputError: nothing can be refined; raised before anything is written.
    """
    from hoijax.io import check_output_directory
    from hoijax.jobs.bodies import BodyChoice
    from hoijax.jobs.directions import parse_direction

    _check_numbers(options)
    _check_inputs(options)
    _check_prior(options)
    _check_companions(options)
    _check_picture(options)
    _check_sequence(options)
    check_output_directory(options.out)
    if options.pairs is None:
        options = dataclasses.replace(options, up=options.up or _up(options))
    choice = BodyChoice(options.body_model, options.hands == "flat", options.lod)
    asked = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    run_of = _run_scene if options.scene is not None else _run_object
    up = None if options.up is None else parse_direction(options.up, "--up")
    return 1 if run_of(options, choice, up, asked) else 0


def reading(options: Options) -> "Reading":
    """How BODY and OBJECT_POSE are to be read."""
    from hoijax.jobs.estimates import Reading, keys_of

    ignore = keys_of(options.ignore)
    return Reading(
        options.source, options.person, ignore, options.betas, options.object_pose, options.object_name, grid_folder()
    )  # fmt: skip


def _up(options: Options) -> str:
    """Which way is up in the first file of BODY, as far as its method says; against a photograph's rows."""
    from hoijax.jobs.estimates import up_of

    said = None if options.scene is not None else up_of(options.body, reading(options))
    return said or ("+y" if options.image is None else "-y")


def _run_object(
    options: Options, choice: "BodyChoice", up: tuple[float, float, float] | None, asked: dict[str, Any]
) -> dict[str, str]:
    """Interactions with an object; name to message of what could not be used."""
    from hoijax.jobs.interactions import refine_files
    from hoijax.jobs.requests import prepare_job, prepare_sequences
    from hoijax.jobs.runners import executor

    request = request_of(options, choice, up, asked)
    where = options.runner, options.beam_options
    execute = executor(*where, functools.partial(prepare_job, request), options.out)
    return refine_files(
        request, pictures=options.pictures, redo=options.redo, strict=options.strict, execute=execute,
        execute_sequences=executor(*where, functools.partial(prepare_sequences, request), options.out),
    )  # fmt: skip


def request_of(
    options: Options, choice: "BodyChoice", up: tuple[float, float, float] | None, asked: dict[str, Any]
) -> "RefineRequest":
    """What options with an object ask for.

    Args:
      options: of the command, checked.
      choice: the body.
      up: against gravity; None with pairs.
      asked: the options for the record.
    """
    from hoijax.jobs.directions import parse_direction
    from hoijax.jobs.requests import RefineRequest

    object_up = None if options.object_up is None else parse_direction(options.object_up, "--object-up")
    return RefineRequest(
        body=options.body, object=options.object, pairs=options.pairs, out=options.out, choice=choice,
        config=refine_config(options), contact=options.contact, regions=options.regions,
        contacts=options.contacts, contacts_of=options.contacts_of, contacts_body=options.contacts_body,
        floor=options.floor, units=options.units, object_up=object_up, scorehoi=options.prior == "scorehoi",
        weights=options.weights, up=up, batch_size=options.batch_size, cache=grid_folder(), options=asked,
        reading=reading(options),
        sequence=True if options.sequence else False if options.each_frame else None, fps=options.fps,
        whole=options.steps is None, picture=picture_files(options),
    )  # fmt: skip


def picture_files(options: Options) -> "PictureFiles | None":
    """The photograph and its masks; None without one."""
    if options.image is None:
        return None
    from hoijax.jobs.seen import PictureFiles

    return PictureFiles(options.image, options.human_mask, options.object_mask, options.instances, options.focal)


def _run_scene(
    options: Options, choice: "BodyChoice", up: tuple[float, float, float], asked: dict[str, Any]
) -> dict[str, str]:
    """People in a scene; name to message of who could not be refined."""
    _check_scene_options(options)
    from hoijax.jobs.people import PeopleRequest, prepare_job, refine_people
    from hoijax.jobs.runners import executor

    request = PeopleRequest(
        body=options.body, scene=options.scene, out=options.out, choice=choice, units=options.units, up=up,
        graft=_graft(options), weights=options.weights, features=options.features, freeze=options.freeze,
        heads=options.align_heads,
        steps=options.steps, batch_size=options.batch_size, options=asked,
    )  # fmt: skip
    execute = executor(options.runner, options.beam_options, functools.partial(prepare_job, request), options.out)
    return refine_people(request, pictures=options.pictures, redo=options.redo, execute=execute)


def _graft(options: Options) -> bool | None:
    """Whether GRAFT's network refines people in a scene; None: as the body decides."""
    if options.prior is None:
        return True if options.weights is not None else None
    return options.prior == "graft"


def refine_config(options: Options) -> "RefineConfig":
    """The refiner's settings.

    Raises:
      InputError: `--freeze` names a group that does not exist.
    """
    from hoijax.optim.gradient import RefineConfig, Starts

    config = RefineConfig(starts=Starts(tries=2), upright=options.upright)
    if options.prior == "scorehoi":
        from hoijax.systems.scorehoi.score_prior import polish_config

        config = dataclasses.replace(polish_config(), upright=options.upright)
    if options.image is not None:
        from hoijax.jobs.photo_refine import CONFIG

        config = dataclasses.replace(CONFIG, freeze=RefineConfig().freeze, upright=options.upright)
    names = tuple(name.strip() for name in options.freeze.split(",") if name.strip())
    kept = () if options.fit_scale else config.freeze
    try:
        config = dataclasses.replace(config, freeze=tuple(dict.fromkeys((*kept, *names))))
    except ValueError as error:
        raise InputError(f"--freeze: {error}") from None
    return config if options.steps is None else config.with_steps(options.steps)


def _check_inputs(options: Options) -> None:
    """Refuses what is to be refined with nothing, or with two things."""
    if options.pairs is not None:
        given = [name for name in ("body", "object", "scene") if getattr(options, name) is not None]
        if given:
            raise InputError(f"--pairs names bodies and objects by itself; leave out --{given[0]}")
        single = [name for name in ("object_pose", "contacts") if getattr(options, name) is not None]
        if single:
            shown = single[0].replace("_", "-")
            raise InputError(
                f"--{shown} {getattr(options, single[0])} is of one BODY, and --pairs names many; leave it out, and "
                f"refine what needs it with --body and --object"
            )
        return
    if options.body is None:
        raise InputError("wanted --body BODY with --object MESH or --scene SCENE, or --pairs TABLE")
    if (options.object is None) == (options.scene is None):
        given = "neither" if options.object is None else "both"
        raise InputError(f"wanted --object MESH or --scene SCENE, one of the two; {given} was given")


def _check_prior(options: Options) -> None:
    """Refuses a prior that does not go with what is refined, and weights without a network."""
    needed = {"graft": options.scene, "scorehoi": options.object or options.pairs}
    if options.prior in needed and needed[options.prior] is None:
        wanted = {"graft": "--scene", "scorehoi": "--object"}[options.prior]
        raise InputError(f"--prior {options.prior} goes with {wanted}; without one the prior is 'gradient'")
    if options.weights is not None and options.prior in (("gradient",) if options.scene else (None, "gradient")):
        raise InputError(f"--weights {options.weights}: which network? Give --prior scorehoi or --prior graft with it")
    if options.features is not None and options.prior != "graft":
        raise InputError(f"--features {options.features}: only GRAFT's network looks at images; give --prior graft")
    if options.align_heads is not None and options.scene is None:
        raise InputError(f"--align-heads {options.align_heads} goes with --scene")


def _check_companions(options: Options) -> None:
    """Refuses what only says something of a file that is not given."""
    for name, of in (("contacts_of", "contacts"), ("contacts_body", "contacts"), ("object_name", "object_pose")):
        if getattr(options, name) is not None and getattr(options, of) is None and options.scene is None:
            shown = (f"--{x.replace('_', '-')}" for x in (name, of))
            raise InputError("{} says something of {}; give that file too".format(*shown))


def _check_picture(options: Options) -> None:
    """Refuses a picture of what has none, and masks without a picture."""
    if options.image is None:
        lonely = [name for name in PICTURE if getattr(options, name) is not None]
        if lonely:
            shown = lonely[0].replace("_", "-")
            raise InputError(f"--{shown} {getattr(options, lonely[0])} says something of a picture; give --image too")
        return
    for name in ("pairs", "scene", "sequence"):
        if getattr(options, name):
            raise InputError(f"--image shows one interaction of --body and --object; leave out --{name}")
    if options.prior not in (None, "gradient"):
        raise InputError(f"--prior {options.prior} does not look at pictures; leave out --image or the prior")
    if options.focal is not None and not (math.isfinite(options.focal) and options.focal > 0):
        raise InputError(f"--focal {options.focal:g}: wanted pixels above zero")


def _check_sequence(options: Options) -> None:
    """Refuses what contradicts itself about frames."""
    if options.sequence and options.each_frame:
        raise InputError("--sequence and --each-frame contradict each other; leave one out")
    if options.pairs is not None and options.sequence:
        raise InputError("--pairs refines rows one by one; give a sequence as --body with --object")
    if options.fps is not None and not (math.isfinite(options.fps) and 0.1 <= options.fps <= 1000):
        raise InputError(f"--fps {options.fps:g}: wanted 0.1 to 1000 frames a second")
    if options.fps is not None and options.each_frame:
        raise InputError("--fps goes with a sequence; leave --each-frame out")


def _check_scene_options(options: Options) -> None:
    """Refuses what only interactions with an object have."""
    fields = {field.name: field.default for field in dataclasses.fields(options)}
    own = ("object_pose", "object_name", "source", "person", "ignore", "betas", "sequence", "each_frame", "fps")
    for name in (
        "contact",
        "contacts",
        "contacts_of",
        "contacts_body",
        "regions",
        "floor",
        "object_up",
        "fit_scale",
        "strict",
        "upright",
        *own,
    ):
        if getattr(options, name) != fields[name]:
            shown = "no-upright" if name == "upright" else name.replace("_", "-")
            raise InputError(f"--{shown} goes with --object; people in a scene have no such setting")


def _check_numbers(options: Options) -> None:
    """Refuses numbers out of range."""
    if options.steps is not None and options.steps < 0:
        raise InputError(f"--steps {options.steps}: wanted 0 or more")
    if options.steps is not None and options.steps > 1_000_000:
        raise InputError(f"--steps {options.steps}: wanted at most 1,000,000")
    if options.batch_size < 1:
        raise InputError(f"--batch-size {options.batch_size}: wanted 1 or more")
    if options.batch_size > 65_536:
        raise InputError(f"--batch-size {options.batch_size}: wanted at most 65,536")
    if options.pictures < 0:
        raise InputError(f"--pictures {options.pictures}: wanted 0 or more")
