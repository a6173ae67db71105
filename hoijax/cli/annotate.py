"""A dataset of interactions in, annotated records out: looks and action by a language model or offline, contact by
geometry, one text from all of it; what is bad is dropped with its reason, the few to train on are chosen and drawn.

    hoijax annotate --dataset synth_hoi --root DIR --out OUT
    hoijax annotate --dataset behave --root DIR --body-model SMPLH --out OUT --annotator openai --llm NAME

Writes records.jsonl, selected.jsonl, images, report.html, metrics.json and shards, from which the same command goes on.
See docs/hoi3dgen.md.
"""

import dataclasses
import pathlib
from typing import Literal

from hoijax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `hoijax annotate`."""

    dataset: Literal["procigen", "behave", "synth_hoi"]
    """Whose samples."""
    root: pathlib.Path
    """Where the dataset lies."""
    out: pathlib.Path
    """Folder for the results."""
    split: str | None = None
    """Split of the dataset; without it all."""
    body_model: pathlib.Path | None = None
    """File or folder of the SMPL-H body of BEHAVE and ProciGen."""
    limit: int | None = None
    """At most so many samples, spread over all."""
    annotator: Literal["offline", "openai", "transcript"] = "offline"
    """Who says how things look, what is done, and writes: labels, pixels and a template; a language model on a server
    that speaks OpenAI's chat completions; or what one has said before."""
    llm: str | None = None
    """With --annotator openai, the model's name on the server; it must see pictures."""
    llm_url: str | None = None
    """The server, such as http://localhost:8000/v1; without it OpenAI's own."""
    votes: int = 1
    """How often each question is asked; most win."""
    transcript: pathlib.Path | None = None
    """With --annotator transcript, a transcript or a folder of them, such as OUT/shards of an earlier run."""
    contact_rule: Literal["auto", "paper", "loose", "exact"] = "auto"
    """When a part touches: paper, any vertex within 4 cm; loose, some of its vertices; exact, also within a centimetre
    of the nearest part; auto, exact for synth_hoi and loose for the others."""
    per_configuration: int = 50
    """Records that are taken of each of the eight contact configurations."""
    per_category: int = 12
    """Of these, of one kind of object."""
    seed: int = 0
    """Of where the choice begins."""
    views: int = 512
    """Side of the pictures of what is taken, pixels; 0 draws none."""
    shard: int = 50
    """Samples that are written together; a kill loses at most these."""
    redo: bool = False
    """Make again what is finished."""
    workers: int = 1
    """Processes on this machine."""
    runner: str = "local"
    """Where it is computed: local; or on Apache Beam (extra [beam]): beam or direct, flink, spark, dataflow, ..."""
    beam_options: tuple[str, ...] = ()
    """With --runner, options of Beam's pipeline."""


def run(options: Options) -> int:
    """Checks everything, annotates, writes.

    Args:
      options: see `Options`.

    Returns:
      0; 1 if some samples cannot be used, each is named.

    Raises:
      InputError: nothing can be annotated; raised before anything is written.
    """
    from hoijax.io import check_output_directory

    if (options.annotator == "openai") != (options.llm is not None):
        raise InputError("--annotator openai needs --llm, the model's name on the server, and --llm needs it")
    if options.llm is None and options.llm_url is not None:
        raise InputError("--llm-url says where a language model is; name it with --annotator openai --llm")
    if (options.annotator == "transcript") != (options.transcript is not None):
        raise InputError(
            "--annotator transcript needs --transcript, a file or folder of one, and --transcript needs it"
        )
    if options.annotator == "offline" and options.votes != 1:
        raise InputError("--votes says how often a language model is asked; the offline annotator always says the same")
    check_output_directory(options.out)
    from hoijax.jobs.annotation import annotate
    from hoijax.jobs.annotation_request import AnnotationRequest
    from hoijax.jobs.runners import executor
    from hoijax.language import ServerModel
    from hoijax.systems.hoi3dgen.annotation import FilterConfig

    request = AnnotationRequest(
        dataset=options.dataset, root=options.root, out=options.out, split=options.split,
        body_model=options.body_model, limit=options.limit, shard=options.shard, rule=options.contact_rule,
        model=None if options.llm is None else ServerModel(options.llm, options.llm_url),
        transcript=options.transcript, votes=options.votes, views=options.views,
        config=FilterConfig(
            per_configuration=options.per_configuration, per_category=options.per_category, seed=options.seed
        ),
        options={field.name: getattr(options, field.name) for field in dataclasses.fields(options)},
    )  # fmt: skip
    runner = "direct" if options.runner == "beam" else options.runner

    def execute(prepare):
        return executor(runner, options.beam_options, prepare, options.out, options.workers)

    return 0 if annotate(request, execute=execute, redo=options.redo) else 1
