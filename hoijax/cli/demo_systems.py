"""The demo's case of each system: the verb itself, on inputs that ship, at small settings, and its part of the page."""

import dataclasses
import pathlib
import shlex
import time
from typing import TYPE_CHECKING

from hoijax.errors import InputError

if TYPE_CHECKING:
    from hoijax.viz import Case

_SCENES = ("interaction.glb", "scene.glb", "contact.glb")
_PICTURES = ("before_after.png", "overlay.png", "contact.png", "candidates.png")
_OWN_PAGE = "report.html"


@dataclasses.dataclass(frozen=True)
class SystemCase:
    """One system."""

    name: str
    """Of its folder, and what `--only` calls it."""
    title: str
    """What a person reads."""
    words: str
    """The command after `hoijax`; ASSETS stands for the folder of the shipped inputs."""
    text: str
    """What is to be seen."""

    @property
    def verb(self) -> str:
        """Which command it is."""
        return shlex.split(self.words)[0]


SYSTEMS = (
    SystemCase(
        "scorehoi",
        "ScoreHOI: an estimate, moved first by a diffusion prior",
        "refine --prior scorehoi --body ASSETS/sit_chair.npz --object ASSETS/sit_chair.glb --contact buttocks,back "
        "--floor 0 --pictures 1 --lod light",
        "The prior knows how the people of SynthHOI use things; the gradients have the last word.",
    ),
    SystemCase(
        "graft",
        "GRAFT: a person and a room",
        "refine --prior graft --scene ASSETS/systems/room.ply --body ASSETS/systems/people.npz --lod light",
        "One pass of the network brings a person, eight centimetres in the air, down to the bench.",
    ),
    SystemCase(
        "interactvlm",
        "InteractVLM: where a photograph's person and object touch",
        "contact --image ASSETS/systems/photograph.jpg --object ASSETS/systems/helmet.ply "
        "--object-mask ASSETS/systems/helmet.png --label helmet --size-std 0.2 --method geometry",
        "NASA's portrait of Eileen Collins (public domain), a ball for the helmet, no focal length: depth is a guess. "
        "The body is fitted to MediaPipe's landmarks and outline, the ball to the mask; contact is read off distances "
        "and drawn on four views of a body in a pose of its own.",
    ),
    SystemCase(
        "interactanything",
        "InteractAnything: a sentence and a mesh",
        'synthesize "A person sits on the chair" --object ASSETS/sit_chair.glb --count 2 --lod light --no-physics',
        "The mesh is not labelled: what the sentence asks for is placed on it, drawn, refined and ranked.",
    ),
    SystemCase(
        "hoi3dgen",
        "HOI3DGen: a sentence",
        'generate "A woman in a red jacket carries a blue box with both hands" --count 1 --size 256 --lod light '
        "--no-physics",
        "Composed from what ships: a textured person on a skeleton with an object, its contact measured.",
    ),
)


def run_system(case: SystemCase, assets: pathlib.Path, out: pathlib.Path, *, redo: bool) -> float:
    """Runs a case into `out / case.name`.

    Args:
      case: the case.
      assets: folder of the shipped inputs.
      out: of the demo.
      redo: begin anew.

    Returns:
      Seconds it took.

    Raises:
      InputError: as the verb does.
    """
    import importlib

    import tyro

    from hoijax.cli import VERBS

    module = importlib.import_module(VERBS[case.verb].module)
    words = [word.replace("ASSETS", str(assets)) for word in shlex.split(case.words)[1:]]
    options = tyro.cli(
        module.Options, args=[*words, "--out", str(out / case.name)], config=(tyro.conf.OmitArgPrefixes,)
    )
    began = time.perf_counter()
    module.run(dataclasses.replace(options, redo=redo))
    return time.perf_counter() - began


def section(case: SystemCase, out: pathlib.Path, seconds: float) -> "Case":
    """A case's part of the page.

    Args:
      case: the case.
      out: of the demo.
      seconds: it took.

    Raises:
      InputError: its result has no scene.
    """
    from hoijax.viz import Case, read_scene

    folder = out / case.name
    scenes = [folder / name for name in _SCENES if (folder / name).is_file()]
    if not scenes:
        raise InputError(f"{folder} has no {', '.join(_SCENES)}")
    pictures = [(name.partition(".")[0].replace("_", " "), folder / name) for name in _PICTURES]
    command = "hoijax " + case.words.replace("ASSETS/", "").replace("systems/", "")
    more = f" All of it: {case.name}/{_OWN_PAGE}." if (folder / _OWN_PAGE).is_file() else ""
    return Case(
        case.title, None, read_scene(scenes[0]), pictures=[p for p in pictures if p[1].is_file()],
        text=f"{case.text}\n{command}\n{seconds:.0f} s.{more}",
    )  # fmt: skip
