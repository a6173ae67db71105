"""`generate --backend sana` as a job: HOI3DGen's chain with the user's weights, or with the small ones that ship."""

import importlib.metadata
from collections.abc import Sequence
from typing import Any

import numpy as np

from hoijax.body_models import free_body
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.io import file_digest, output_directory, value_digest, write_bytes
from hoijax.jobs.engine import Item, Job, Watch
from hoijax.jobs.front_body import body_of_front
from hoijax.jobs.generation_request import GenerationRequest
from hoijax.jobs.record import plain_options
from hoijax.nets.sana import VIEWS, view_text
from hoijax.optim.fitting.surface import SurfaceFitConfig
from hoijax.systems.hoi3dgen.annotation.contact import measure_contact
from hoijax.systems.hoi3dgen.chain import ChainConfig, Chained, missing_pictures, named_colors, run_chain
from hoijax.systems.hoi3dgen.compose import SeveralPeopleError, asked_configuration, read_prompt, set_up
from hoijax.systems.hoi3dgen.image_to_mesh import HunyuanServer
from hoijax.systems.hoi3dgen.layout import STAGES, Prompt, RunFolder, read_prompts, write_prompts
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
    # Masks told by colours want a painted mesh.
    lift = None if request.mesh_server is None else HunyuanServer(request.mesh_server, texture=by_colors)
    if by_colors:
        named_colors(request.prompt)
    check_weights(request.weights)
    networks = _networks(request, run)
    files = () if request.weights is None else sorted(request.weights.glob("*")) or (request.weights,)
    key = value_digest({
        "version": importlib.metadata.version("hoijax"), "record": 1, "prompt": request.prompt, "seed": request.seed,
        "size": request.size, "lod": request.lod, "server": request.mesh_server or "",
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
        return [
            run_chain(each.inputs, request.prompt, body, draw=draw, lift=lift, front=body_of_front, config=config)
            for each in batch
        ]

    def write(item: Item, made: Chained) -> dict[str, Any]:
        for name, source in (("interaction.glb", "segmented.glb"), ("interaction.npz", "body.npz")):
            write_bytes(item.folder / name, run.file("seg", 0, source).read_bytes())
        return _record(request, made, asked)

    return Job((item,), compute, write, units="prompts"), _notes(request, run, networks)


def _networks(request: GenerationRequest, run: RunFolder) -> TextToImage | None:
    """Small networks, which say at once whether they know the prompt's words; others are loaded when they draw."""
    folder = request.weights is not None and request.weights.is_dir()
    if folder or not missing_pictures(run):
        return None
    networks = load_text_to_image(request.weights)
    for view in VIEWS:
        networks.tokenizer.encode(view_text(request.prompt, view))
    return networks


def _notes(request: GenerationRequest, run: RunFolder, networks: TextToImage | None) -> tuple[str, ...]:
    notes = []
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
