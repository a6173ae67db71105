"""Reconstructs body and object: a picture, the object's mask and mesh go in, meshes and parameters come out.

IMAGE is a picture, a folder of pictures that all show the same object (then the masks are folders with files of the
same names), or, with --method fit, a video. --method fit finds the person by itself and fits body and object to the
picture; where the object is a mask says, or a box or click from which one is grown. --method scorehoi runs ScoreHOI's
networks, which need both masks. Masks may be left out where --instances gives a PNG with person 1 and object 2, or
where the picture has an alpha channel. Finished pictures are skipped when a command is run again. docs/reconstruct.md
has the rest.
"""

import dataclasses
import functools
import pathlib
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from hoijax.cli.cache import grid_folder
from hoijax.cli.photographs import check_photograph
from hoijax.errors import InputError

if TYPE_CHECKING:
    from hoijax.jobs.photographs import Spot
    from hoijax.systems.scorehoi import GuidedConfig


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `hoijax reconstruct`."""

    image: pathlib.Path
    """A picture, a folder of pictures, or a video."""
    object: pathlib.Path
    """The object's mesh: OBJ, PLY, STL, OFF, GLB, glTF, COLLADA or 3MF."""
    out: pathlib.Path
    """Folder for the results."""
    method: Literal["fit", "scorehoi"] = "fit"
    """How: fit finds the person by MediaPipe's networks and fits body and object to the picture; scorehoi is ScoreHOI's
    regressor, diffusion and refiner."""
    focal: float | None = None
    """With fit, the focal length in pixels; without it the picture's EXIF entries, or else a guess."""
    size_std: float = 0.1
    """With fit, how well the mesh's size is known: 0.1 is a standard deviation of a tenth, 0.3 suits a stand-in."""
    strict: bool = False
    """With fit, exit with 1 if an answer agrees badly with its picture."""
    object_box: Annotated[str | None, tyro.conf.arg(metavar="X0,Y0,X1,Y1")] = None
    """With fit, instead of the object's mask: left, top, right, bottom of a box about it, pixels; a mask is grown in it
    by colours and edges (extra [masks]). Of a video, in its first frame."""
    object_click: Annotated[str | None, tyro.conf.arg(metavar="X,Y")] = None
    """With fit, a point on the object, pixels, from which its mask is grown; with --object-box it helps."""
    human_box: Annotated[str | None, tyro.conf.arg(metavar="X0,Y0,X1,Y1")] = None
    """With fit, a box about the person who is meant, if several are seen; their mask is the networks'. Of a video, in
    its first frame."""
    human_click: Annotated[str | None, tyro.conf.arg(metavar="X,Y")] = None
    """With fit, instead of or beside the box, a point on the person."""
    label: str | None = None
    """With fit, what the object is called, if its mesh's file is not: a chair or a cup is looked for by itself where
    neither a mask nor a box or click is given."""
    every: int = 1
    """Of a video, every how many frames one is fitted; between them the object is followed."""
    human_mask: pathlib.Path | None = None
    """Mask of the person, bright where they are seen; a folder with a folder of pictures."""
    object_mask: pathlib.Path | None = None
    """Mask of the object, likewise."""
    instances: pathlib.Path | None = None
    """Instead of both masks, a PNG of numbers: person 1, object 2; a folder with a folder of pictures."""
    regressor: pathlib.Path | None = None
    """With scorehoi, as are all options down to --batch-size: weights of the regressor, made by
    hoijax.experiments.scorehoi.train --stage 1."""
    denoiser: pathlib.Path | None = None
    """Weights of the denoiser, made by hoijax.experiments.scorehoi.train --stage 2 under that regressor."""
    body_model: pathlib.Path | None = None
    """File or folder of SMPL-H, for networks that were trained on it."""
    units: Literal["m", "cm", "mm", "in"] | None = None
    """Unit of the mesh; without it metres, refused if the size cannot be."""
    setting: Literal["denoising", "paper", "faster", "released"] = "denoising"
    """How the estimate is refined: hoijax's own, which trusts the estimate least; the paper's; its faster one of two
    rounds; that of the released code."""
    iterations: int | None = None
    """N: rounds of guided refinement; without it the setting's."""
    step: int | None = None
    """Time indices between two evaluations of the denoiser; without it the setting's."""
    show: Literal["estimate", "guided", "refined"] = "guided"
    """Which stage becomes the GLB and the overlay: the regressor's estimate, the diffusion's answer, or the mesh
    refiner's; reconstruction.npz has all three."""
    batch_size: int = 4
    """How many pictures are reconstructed at a time."""
    pictures: int = 4
    """How many pictures get a section of report.html."""
    redo: bool = False
    """Reconstruct again what is finished."""
    runner: str = "local"
    """Where batches are computed: local, in this process; or on Apache Beam (extra [beam]): direct, on this machine;
    flink, spark, dataflow or any other runner that Beam knows. Files must lie where all workers see them."""
    beam_options: tuple[str, ...] = ()
    """With --runner, options of Beam's pipeline: --beam-options direct_num_workers=2 region=europe-west1 ..."""


def run(options: Options) -> int:
    """Checks everything, reconstructs, writes.

    Args:
      options: see `Options`.

    Returns:
      0; 1 if some pictures of a folder could not be used, or, with --strict, were fitted badly.

    Raises:
      InputError: nothing can be reconstructed; raised before anything is written.
    """
    from hoijax.io import check_output_directory

    for name, least in (("iterations", 1), ("step", 1), ("batch_size", 1), ("pictures", 0), ("every", 1)):
        if getattr(options, name) is not None and getattr(options, name) < least:
            shown = name.replace("_", "-")
            raise InputError(f"--{shown} {getattr(options, name)}: wanted {least} or more")
    check_method(options)
    if options.method == "fit":
        return _fit(options)
    config = guidance(options)
    check_output_directory(options.out)
    from hoijax.jobs.pictures import ReconstructRequest, prepare_job, reconstruct_pictures
    from hoijax.jobs.runners import executor

    asked = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    request = ReconstructRequest(
        image=options.image, object=options.object, out=options.out, config=config, human_mask=options.human_mask,
        object_mask=options.object_mask, instances=options.instances, regressor=options.regressor,
        denoiser=options.denoiser, body_model=options.body_model, units=options.units, show=options.show,
        batch_size=options.batch_size, cache=grid_folder(), options=asked,
    )  # fmt: skip
    execute = executor(options.runner, options.beam_options, functools.partial(prepare_job, request), options.out)
    failures = reconstruct_pictures(request, pictures=options.pictures, redo=options.redo, execute=execute)
    return 1 if failures else 0


SCOREHOI = ("regressor", "denoiser", "body_model", "setting", "iterations", "step", "show", "batch_size")
FIT = ("focal", "size_std", "strict", "object_box", "object_click", "human_box", "human_click", "label", "every")


def check_method(options: Options) -> None:
    """Refuses options of the other method.

    Raises:
      InputError: one was given.
    """
    others = SCOREHOI if options.method == "fit" else FIT
    for field in dataclasses.fields(options):
        if field.name in others and getattr(options, field.name) != field.default:
            other = "scorehoi" if options.method == "fit" else "fit"
            raise InputError(f"--{field.name.replace('_', '-')} is an option of --method {other}; give that too")
    check_photograph(options.focal, options.size_std)


def _numbers(option: str, text: str | None, wanted: str) -> tuple[float, ...] | None:
    """The numbers of an option; `wanted` names them.

    Raises:
      InputError: they are others.
    """
    if text is None:
        return None
    try:
        numbers = tuple(float(part) for part in text.replace(" ", ",").split(",") if part)
    except ValueError:
        numbers = ()
    if len(numbers) != len(wanted.split(",")) or not all(abs(x) < 1e6 for x in numbers):
        raise InputError(f"{option} {text}: wanted are pixels of the picture, {wanted}")
    return numbers


def _spot(options: Options, of: str) -> "Spot | None":
    """The box and click of "object" or "human".

    Raises:
      InputError: they are none, or the pictures are many.
    """
    from hoijax.jobs.photographs import Spot

    drawn = getattr(options, f"{of}_box")
    box = _numbers(f"--{of}-box", drawn, "left,top,right,bottom")
    click = _numbers(f"--{of}-click", getattr(options, f"{of}_click"), "x,y")
    if box is not None and not (box[0] < box[2] and box[1] < box[3]):
        raise InputError(f"--{of}-box {drawn}: wanted is left < right and top < bottom, in this order")
    if (box or click) and options.image.is_dir():
        raise InputError(f"--{of}-box and --{of}-click are those of one picture; with a folder give --{of}-mask")
    return Spot(box, click) if box or click else None


def _fit(options: Options) -> int:
    from hoijax.io import check_output_directory

    spot, who = _spot(options, "object"), _spot(options, "human")
    if who is not None and (options.human_mask or options.instances):
        raise InputError("--human-box and --human-click say who is meant, as the person's mask does; give one of them")
    check_output_directory(options.out)
    from hoijax.jobs.videos import is_video

    if options.every != 1 and not is_video(options.image):
        raise InputError(f"--every {options.every} is for videos, and {options.image} is none")
    if is_video(options.image) and options.runner != "local":
        raise InputError("--runner: frames of a video follow one another; fit it with --runner local")
    from hoijax.jobs.photo_fit import UPRIGHT_COST
    from hoijax.jobs.photo_fits import FitRequest, fit_photographs, prepare_job
    from hoijax.jobs.runners import executor
    from hoijax.optim.fitting import ObjectFitConfig

    asked = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    request = FitRequest(
        image=options.image, object=options.object, out=options.out, focal=options.focal,
        config=ObjectFitConfig(size_std=options.size_std, upright=UPRIGHT_COST),
        human_mask=options.human_mask, object_mask=options.object_mask, instances=options.instances,
        units=options.units, cache=grid_folder(), options=asked, spot=spot, who=who, label=options.label,
        every=options.every,
    )  # fmt: skip
    execute = executor(options.runner, options.beam_options, functools.partial(prepare_job, request), options.out)
    failures, poor = fit_photographs(request, pictures=options.pictures, redo=options.redo, execute=execute)
    return 1 if failures or (options.strict and poor) else 0


def guidance(options: Options) -> "GuidedConfig":
    """The settings that the options name.

    Raises:
      InputError: the step is wider than the noise level.
    """
    from hoijax.systems.scorehoi import GuidedConfig

    config = GuidedConfig() if options.setting == "paper" else getattr(GuidedConfig, options.setting)()
    if options.step is not None and options.step > config.noise_level:
        raise InputError(
            f"--step {options.step}: wanted at most {config.noise_level}, the time index that --setting "
            f"{options.setting} starts from"
        )
    changes = {name: getattr(options, name) for name in ("iterations", "step") if getattr(options, name) is not None}
    return dataclasses.replace(config, **changes)
