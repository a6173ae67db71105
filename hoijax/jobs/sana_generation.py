"""`generate --backend sana` as a job: HOI3DGen's chain with the user's weights, or with the small ones that ship."""

import dataclasses
import importlib.metadata
from collections.abc import Sequence
from typing import Any

import numpy as np

from hoijax.body_models import BodyModel, free_body
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.io import file_digest, output_directory, read_mesh, value_digest, write_bytes
from hoijax.jobs.engine import Item, Job, Watch
from hoijax.jobs.front_body import body_of_front
from hoijax.jobs.generation_request import GenerationRequest
from hoijax.jobs.record import plain_options
from hoijax.nets.sana import VIEWS, view_text
from hoijax.optim.fitting.surface import SurfaceFitConfig
from hoijax.systems.hoi3dgen.annotation.contact import measure_contact
from hoijax.systems.hoi3dgen.chain import ChainConfig, Chained, missing_pictures, named_colors, read_start, run_chain
from hoijax.systems.hoi3dgen.compose import SeveralPeopleError, asked_configuration, read_prompt, set_up
from hoijax.systems.hoi3dgen.compose.shapes import choose_shape
from hoijax.systems.hoi3dgen.image_to_mesh import HunyuanServer
from hoijax.systems.hoi3dgen.layout import STAGES, Prompt, RunFolder, read_prompts, write_prompts
from hoijax.systems.hoi3dgen.template import Parts, TemplateMesh, parts_by_color
from hoijax.systems.hoi3dgen.text_to_image import TextToImage, check_weights, load_text_to_image

FILES = ("interaction.glb", "interaction.npz", "run/seg/0000/labels.npz", "run/seg/0000/report.json")
"""Names of what is written, the record aside."""
FIT = SurfaceFitConfig()
"""How the body is fitted."""


def prepare_sana(request: GenerationRequest) -> tuple[Job, tuple[str, ...]]:
    """The backend of the paper's chain.

    Raises:
      InputError: more than one person, words that the text encoder does not know, weights that are missing or do not
        fit, a prompt whose parts cannot be told by colours while no masks are there, not all views, or a folder that
        holds another prompt's stages.
    """
    if set(request.views) != set(VIEWS):
        raise InputError(f"the backend sana draws the views {', '.join(VIEWS)}, got {', '.join(request.views)}")
    run = RunFolder(request.out / "run")
    table = run.root / "prompts.csv"
    if table.is_file() and read_prompts(table)[0].text != request.prompt:
        raise InputError(f"{run.root} holds the stages of {read_prompts(table)[0].text!r}; choose another --out")
    asked = asked_contact(request)
    by_colors = 0 not in run.indices("masks")
    lift = _lifter(request, run, by_colors)
    if by_colors and not isinstance(lift, Template):
        named_colors(request.prompt)
    check_weights(request.weights)
    networks = _networks(request, run)
    files = () if request.weights is None else sorted(request.weights.glob("*")) or (request.weights,)
    key = value_digest({
        "version": importlib.metadata.version("hoijax"), "record": 1, "prompt": request.prompt, "seed": request.seed,
        "size": request.size, "lod": request.lod, "server": request.mesh_server or "",
        "template": lift.key() if isinstance(lift, Template) else "",
        "weights": [file_digest(path) for path in files if path.is_file()],
    })  # fmt: skip
    item = Item("prompt", request.out, key, FILES, run)

    def compute(batch: Sequence[Item], watch: Watch) -> list[Any]:
        output_directory(run.root)
        write_prompts(table, [Prompt(request.prompt)])
        draw = networks
        if draw is None and missing_pictures(run):
            draw = load_text_to_image(request.weights)
        config = ChainConfig(seed=request.seed, size=request.size, fit=FIT)
        body = free_body(request.lod)
        made = []
        for each in batch:
            how = lift.mesh(each.inputs, body) if isinstance(lift, Template) else lift
            made.append(
                run_chain(each.inputs, request.prompt, body, draw=draw, lift=how, front=body_of_front, config=config)
            )
        return made

    def write(item: Item, made: Chained) -> dict[str, Any]:
        for name, source in (("interaction.glb", "segmented.glb"), ("interaction.npz", "body.npz")):
            write_bytes(item.folder / name, run.file("seg", 0, source).read_bytes())
        return _record(request, made, asked)

    return Job((item,), compute, write, units="prompts"), _notes(request, run, networks, lift)


@dataclasses.dataclass(frozen=True)
class Template:
    """What `TemplateMesh` is made of once the run's pictures are there."""

    thing: Mesh
    source: str
    """Where it comes from."""
    parts: Parts

    def key(self) -> list[Any]:
        """What a result depends on."""
        return [np.asarray(self.thing.vertices), np.asarray(self.thing.faces)]

    def mesh(self, run: RunFolder, model: BodyModel) -> TemplateMesh:
        """Begins with the body of `run/smpl` where one is there, else with the front picture's."""
        start = run.path("smpl", 0)
        body = read_start(model, start) if start.is_file() else body_of_front
        return TemplateMesh(model, self.thing, self.parts, body)


def _lifter(request: GenerationRequest, run: RunFolder, by_colors: bool) -> HunyuanServer | Template | None:
    """Who makes the mesh; None: the visual hull, or nobody, since one is there.

    Raises:
      InputError: two are asked for, the object has no shape, or the small networks would draw, whose 32 pixels show no
        body that can be found.
    """
    if request.mesh not in ("hull", "template"):
        raise InputError(f"--mesh {request.mesh}: wanted hull or template")
    if request.thing is not None and request.mesh != "template":
        raise InputError("--object is the mesh that --mesh template places; say both")
    if request.mesh_server is not None:
        if request.mesh == "template":
            raise InputError("--mesh template and --mesh-server each make the mesh; choose one")
        # Masks told by colours want a painted mesh.
        return HunyuanServer(request.mesh_server, texture=by_colors)
    if request.mesh == "hull" or run.path("mesh", 0).is_file():
        return None
    colors = named_colors(request.prompt)
    if request.thing is None:
        shape = choose_shape(read_prompt(request.prompt).thing, request.seed)
        thing, source = shape.mesh, shape.source
    else:
        mesh = read_mesh(request.thing)
        thing, source = Mesh(mesh.vertices, mesh.faces), request.thing.name
    drawn_small = request.weights is None and missing_pictures(run)
    if drawn_small and not run.path("smpl", 0).is_file():
        raise InputError(
            "--mesh template places the body that the front picture shows, and nobody is found in the 32 pixels of the "
            "small networks that ship; give --weights, put pictures into run/images or a body into run/smpl/0000.npz, "
            "or take --mesh hull"
        )
    return Template(thing, source, parts_by_color(*colors))


def _networks(request: GenerationRequest, run: RunFolder) -> TextToImage | None:
    """Small networks, which say at once whether they know the prompt's words; others are loaded when they draw."""
    folder = request.weights is not None and request.weights.is_dir()
    if folder or not missing_pictures(run):
        return None
    networks = load_text_to_image(request.weights)
    for view in VIEWS:
        networks.tokenizer.encode(view_text(request.prompt, view))
    return networks


def _notes(
    request: GenerationRequest, run: RunFolder, networks: TextToImage | None, lift: HunyuanServer | Template | None
) -> tuple[str, ...]:
    notes = [f"the object is {lift.source}"] if isinstance(lift, Template) else []
    if networks is not None and request.weights is None:
        notes.append(
            "drawn by the small SANA that ships: 32 pixels, seven things that people do, colours that often "
            "differ from the text's; --weights FOLDER takes HOI3DGen's (docs/hoi3dgen.md)"
        )
    there = [stage for stage in STAGES if stage != "seg" and {0, 1, 2} & set(run.indices(stage))]
    if there:
        notes.append(f"taken as they are there: {', '.join(f'run/{stage}' for stage in there)}; remove to make anew")
    return tuple(notes)


def asked_contact(request: GenerationRequest) -> str | None:
    """The contact that a prompt asks for; None where it is not known, as of objects for which no shape ships.

    Raises:
      SeveralPeopleError: only one person's surface can be told from the object's, and only one body is fitted.
    """
    try:
        setting = set_up(read_prompt(request.prompt), request.seed)
    except SeveralPeopleError:
        raise
    except InputError:
        return None
    return asked_configuration(setting.relations).replace("_", " ")


def _record(request: GenerationRequest, made: Chained, asked: str | None) -> dict[str, Any]:
    """Contact measured in metres of the registered body, beside the one that was asked for."""
    scale, thing = float(made.registered.fit.scale), made.segmentation.parts[1]
    measured = "no object"
    if len(thing.faces):
        mesh = Mesh(np.asarray(thing.vertices) / scale, thing.faces)
        contact = measure_contact(made.registered.vertices / scale, free_body(request.lod), mesh)
        measured = contact.config.replace("_", " ")
    told = f"contact as asked ({asked})" if asked == measured else f"contact is {measured}, asked was {asked}"
    if asked is None:
        told = f"contact is {measured}; which was asked is not understood"
    return {
        "prompt": request.prompt, "units": "metres, radians", "asked": asked, "measured": measured,
        "good": asked == measured, "verdict": f"{told}; body {made.report['chamfer_cm']:.1f} cm from the surface.",
        **made.report, "options": plain_options(request.options),
    }  # fmt: skip
