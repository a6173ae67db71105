"""Results of `hoijax synthesize` by the paper's two measures: CLIP score, and which one a judge prefers.

    python -m hoijax.experiments.interactanything.compare ours=out/ours other=out/other \\
        --clip clip_l.safetensors --tokenizer tokenizer.json --llm NAME --llm-url URL

A method is a folder: one result, or results below it. CLIP is the user's (`hoijax convert clip_l`), with its
`tokenizer.json`; the judge is a model that sees pictures, behind any OpenAI-compatible server. Without either its
measure is left out. Pictures are those of each result's best candidate.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from PIL import Image

from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.io import read_json, write_json
from hoijax.metrics import clip_score
from hoijax.systems.hoi3dgen.judging import Judge, ModelJudge, win_shares

PICTURE = "candidates/00.png"


@dataclasses.dataclass(frozen=True)
class Config:
    """What is compared, and by whom."""

    methods: Annotated[tuple[str, ...], tyro.conf.Positional]
    """NAME=FOLDER of each."""
    clip: pathlib.Path | None = None
    """Weights of CLIP, both towers."""
    tokenizer: pathlib.Path | None = None
    """Its `tokenizer.json`."""
    llm: str | None = None
    """Name of the judge's model at its server."""
    llm_url: str | None = None
    """Of the server; the key is OPENAI_API_KEY."""
    criterion: Literal["text", "quality"] = "text"
    """What is judged: the text's contact and action, or how natural it looks."""
    trials: int | None = None
    """Questions for each sentence; as many as methods where None, so that each stands once in every place."""
    seed: int = 0
    out: pathlib.Path | None = None
    """Where the numbers go as JSON."""

    def __post_init__(self):
        names = [text.partition("=")[0] for text in self.methods]
        if not names or "" in names or not all("=" in text for text in self.methods) or len(set(names)) < len(names):
            raise InputError(
                f"methods are given as NAME=FOLDER, each name once; got {' '.join(self.methods) or 'none'}"
            )
        if (self.clip is None) != (self.tokenizer is None):
            raise InputError("CLIP needs both its weights (--clip) and its words (--tokenizer tokenizer.json)")
        if self.clip is None and self.llm is None:
            raise InputError("nobody compares: give --clip with --tokenizer, or --llm, or both")
        if self.llm is not None and len(names) < 2:
            raise InputError(f"a judge chooses between two methods or more, got {names[0]} alone")


def pictures_of(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """The best candidate's picture of each sentence that a folder has results of.

    Raises:
      InputError: no result, a result without its picture, or two of one sentence.
    """
    found: dict[str, pathlib.Path] = {}
    for path in sorted([folder / "metrics.json", *folder.glob("*/metrics.json")]):
        record = read_json(path) if path.is_file() else {}
        if "sentence" not in record:
            continue
        sentence, picture = str(record["sentence"]), path.parent / PICTURE
        if not picture.is_file():
            raise InputError(f"{path.parent} has no {PICTURE}; make it again with hoijax synthesize")
        if sentence in found:
            raise InputError(f"{folder} has two results of {sentence!r}")
        found[sentence] = picture
    if not found:
        raise InputError(f"{folder} holds no result of hoijax synthesize, nor do the folders in it")
    return found


def clip_scores(network: Any, tokenizer: Any, texts: Sequence[str], images: Sequence[np.ndarray]) -> np.ndarray:
    """Each picture's CLIP score with its own text.

    Args:
      network: `hoijax.nets.clip.Model`.
      tokenizer: CLIP's.
      texts: one for each picture.
      images: (H, W, 3) of bytes.
    """
    from hoijax.nets import clip

    ids = clip.token_ids(tokenizer, texts, positions=network.text.config.positions)
    seen = np.stack([clip.crop(image, network.vision.config.image) for image in images])
    return np.asarray(clip_score(network.vision(clip.normalise(seen)).projected, network.text(ids).projected))


def compare(
    methods: Mapping[str, Mapping[str, pathlib.Path]],
    *,
    network: Any = None,
    tokenizer: Any = None,
    judge: Judge | None = None,
    trials: int | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Scores of methods on the sentences that all of them have.

    Args:
      methods: name to `pictures_of`.
      network: CLIP; None: no CLIP score.
      tokenizer: CLIP's.
      judge: who chooses; None: nobody.
      trials: see `win_shares`.
      seed: of the orders in which methods are shown.

    Raises:
      InputError: they have no sentence in common.
    """
    sentences = sorted(set.intersection(*(set(own) for own in methods.values())))
    if not sentences:
        raise InputError(f"{', '.join(methods)} have no sentence in common")
    left = sorted(set.union(*(set(own) for own in methods.values())) - set(sentences))
    record: dict[str, Any] = {"sentences": sentences, "left_out": left}
    if network is not None:
        record["clip"] = {}
        for name, own in methods.items():
            images = [np.asarray(Image.open(own[s]).convert("RGB")) for s in sentences]
            scores = clip_scores(network, tokenizer, sentences, images)
            record["clip"][name] = {"mean": float(scores.mean()), "each": dict(zip(sentences, map(float, scores)))}
    if judge is not None:
        pictures = {name: [[own[s].read_bytes()] for s in sentences] for name, own in methods.items()}
        record["judge"] = dataclasses.asdict(win_shares(sentences, pictures, judge, trials=trials, seed=seed))
    return record


def run(config: Config) -> dict[str, Any]:
    """Compares and prints."""
    methods = {name: pictures_of(pathlib.Path(path)) for name, _, path in (m.partition("=") for m in config.methods)}
    network = tokenizer = judge = None
    if config.clip is not None and config.tokenizer is not None:
        from hoijax.language import load_tokenizer
        from hoijax.nets import clip

        tokenizer, network = load_tokenizer(config.tokenizer), clip.load(config.clip)
    if config.llm is not None:
        from hoijax.language import ServerModel

        judge = ModelJudge(ServerModel(config.llm, config.llm_url), config.criterion)
    how = {"network": network, "tokenizer": tokenizer, "judge": judge, "trials": config.trials, "seed": config.seed}
    record = compare(methods, **how)
    print(json.dumps(record, indent=1))
    if config.out is not None:
        write_json(config.out, record)
    return record


if __name__ == "__main__":
    run_command(run, Config)
