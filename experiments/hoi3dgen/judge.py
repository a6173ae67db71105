"""Win shares of methods on the prompts that all of them made, by a judge that sees pictures (HOI3DGen's GPT scores).

    python -m hoijax.experiments.hoi3dgen.judge --folders compose=OUT theirs=OUT2 --llm NAME \
        --llm-url http://localhost:8000/v1 --out docs/results/hoi3dgen_judge.json

A folder of results holds what `hoijax generate` wrote, a folder for each prompt, or runs in HOI3DGen's layout:
`prompts.csv` beside `images` (and `render`, whose views are taken where they are there). Both criteria of
`hoijax.systems.hoi3dgen.judging` are asked, every method once in each place; `tables` reads the shares.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, Literal, get_args

from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.io import write_json
from hoijax.io.reading import shown
from hoijax.language import LanguageModel, Recorder, Replay, ServerModel, encode_image
from hoijax.systems.hoi3dgen.judging import ModelJudge, win_shares
from hoijax.systems.hoi3dgen.layout import VIEW_TAGS, RunFolder, picture_index, read_picture, read_prompts

Criterion = Literal["text", "quality"]
_AROUND = (0, -1, 1)
"""Of a ring of eight views: front, left diagonal, right diagonal."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Who is compared, and by whom."""

    folders: tuple[str, ...]
    """NAME=FOLDER of each method, two or more."""
    llm: str | None = None
    """Name of a model that sees pictures."""
    llm_url: str | None = None
    """Its server, OpenAI-compatible; None: OpenAI's."""
    transcript: pathlib.Path | None = None
    """Answers of an earlier run, instead of a model; or, with `llm`, where they are kept."""
    out: pathlib.Path = pathlib.Path("hoi3dgen_judge.json")
    """The numbers."""
    trials: int | None = None
    """Questions per prompt and criterion; None: as many as methods."""
    seed: int = 0

    def __post_init__(self):
        if len(self.folders) < 2 or not all(name and path for name, _, path in map(_parted, self.folders)):
            raise InputError(f"wanted --folders NAME=FOLDER NAME=FOLDER, got {' '.join(self.folders)!r}")
        if len({name for name, _, _ in map(_parted, self.folders)}) < len(self.folders):
            raise InputError(f"two methods have one name in {' '.join(self.folders)!r}")
        if self.llm is None and self.transcript is None:
            raise InputError("somebody must judge: wanted --llm NAME, or the --transcript of an earlier run")


def main(config: Config) -> dict[str, Any]:
    """Asks the judge; writes and answers the numbers."""
    methods = {name: pictures_of(pathlib.Path(path)) for name, _, path in map(_parted, config.folders)}
    prompts = [prompt for prompt in next(iter(methods.values())) if all(prompt in own for own in methods.values())]
    if not prompts:
        raise InputError(f"{', '.join(methods)} have no prompt in common")
    pool = {name: [own[prompt] for prompt in prompts] for name, own in methods.items()}
    recorder = None
    if config.llm is not None:
        recorder = Recorder(ServerModel(config.llm, config.llm_url))
        model: LanguageModel = recorder
    else:
        model = Replay.read(config.transcript)
    try:
        found = {
            criterion: win_shares(prompts, pool, ModelJudge(model, criterion), trials=config.trials, seed=config.seed)
            for criterion in get_args(Criterion)
        }
    finally:
        if recorder is not None and config.transcript is not None:
            recorder.write(config.transcript)
    result = {
        "judge": config.llm or f"transcript {config.transcript.name}",
        "prompts": prompts,
        "shares": {name: {c: won.shares[name] for c, won in found.items()} for name in methods},
        "votes": {name: {c: won.votes[name] for c, won in found.items()} for name in methods},
        "undecided": {c: won.undecided for c, won in found.items()},
    }
    write_json(config.out, result)
    for name, row in result["shares"].items():
        print(f"{name}: text {row['text']:.2f}, quality {row['quality']:.2f} ({len(prompts)} prompts)")
    return result


def pictures_of(folder: pathlib.Path) -> Mapping[str, list[bytes]]:
    """The pictures of every prompt in a folder of results, by prompt.

    Raises:
      InputError: no results, or pictures that are missing or damaged.
    """
    tables = sorted({*folder.glob("prompts.csv"), *folder.glob("*/prompts.csv"), *folder.glob("*/run/prompts.csv")})
    tables += sorted(folder.glob("run/prompts.csv"))
    found: dict[str, list[bytes]] = {}
    for table in tables:
        run = RunFolder(table.parent)
        for number, row in enumerate(read_prompts(table)):
            if row.text in found:
                raise InputError(f"{shown(folder)} has {row.text!r} twice")
            found[row.text] = [encode_image(read_picture(path)[..., :3]) for path in _views(run, number)]
    if not found:
        raise InputError(f"{shown(folder)} holds no results: no prompts.csv in it, in its folders or in their run")
    return found


def _views(run: RunFolder, number: int) -> list[pathlib.Path]:
    """Pictures of what was made: renders of the mesh, otherwise the stage `images`."""
    rendered = sorted(path for path in run.path("render", picture_index(number)).glob("*.png") if path.stem.isdecimal())
    if len(rendered) == 8:
        return [rendered[k] for k in _AROUND]
    return rendered or [run.path("images", picture_index(number, view)) for view in range(len(VIEW_TAGS))]


def _parted(given: str) -> tuple[str, str, str]:
    return given.partition("=")


if __name__ == "__main__":
    run_command(main, Config)
