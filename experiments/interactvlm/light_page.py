r"""The light contact network's page: several seeds, each scored in a folder of its own by `light_scores`.

    python -m hoijax.experiments.interactvlm.light_page --folders runs/scores0 runs/scores1 runs/scores2 \
        --results docs/results

A sample's F1 is the mean over the seeds, so that intervals over samples are of what a seed gives on average.
"""

import dataclasses
import pathlib
from typing import Any

import numpy as np

from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.experiments.common.environment import software
from hoijax.experiments.common.pages import RESULTS, interval, page, settings_of, table, write_page
from hoijax.experiments.interactvlm.light_scores import SURFACES
from hoijax.io import read_json
from hoijax.metrics import bootstrap_mean

NETWORK = "network"


@dataclasses.dataclass(frozen=True)
class Config:
    """What becomes a page."""

    folders: tuple[pathlib.Path, ...]
    """Of `light_scores`, one for each seed."""
    splits: tuple[str, ...] = ("val", "test", "test_unseen_category")
    """Those that are there are shown."""
    results: pathlib.Path = RESULTS


def run(config: Config) -> dict[str, Any]:
    """Writes `interactvlm_light.json` and `.md`.

    Raises:
      InputError: a folder without scores, or folders with scores of other samples.
    """
    scores: dict[str, Any] = {}
    for split in config.splits:
        paths = [folder / f"{split}.json" for folder in config.folders]
        if not all(path.exists() for path in paths):
            continue
        scores[split] = merge([read_json(path) for path in paths])
    if not scores:
        raise InputError(f"no folder has scores of {', '.join(config.splits)}; run light_scores for each first")
    record = {"config": settings_of(config, ("folders", "results")), "scores": scores, **software()}
    write_page(config.results, "interactvlm_light", record, markdown(record))
    return scores


def merge(found: list[dict[str, Any]]) -> dict[str, Any]:
    """One split's scores over seeds.

    Args:
      found: of `light_scores`, one for each seed.

    Raises:
      InputError: they are of different samples.
    """
    each: dict[str, dict[str, np.ndarray]] = {}
    rows: dict[str, dict[str, Any]] = {}
    for row in found[0]["each"]:
        parts = [one["each"][row] for one in found if row in one["each"]]
        for surface in SURFACES:
            sizes = {len(part[surface]) for part in parts}
            if len(sizes) > 1:
                raise InputError(f"seeds are scored on different samples: {sorted(sizes)} in {row!r}")
        each[row] = {s: np.mean([part[s] for part in parts], axis=0) for s in SURFACES}
        rows[row] = {s: dataclasses.asdict(bootstrap_mean(each[row][s])) for s in SURFACES}
        rows[row] |= {"by_seed": [float(np.mean(part["body"])) for part in parts], "count": len(each[row]["body"])}
    for row, values in each.items():
        if row != NETWORK:
            # A row of fewer samples has the first ones.
            gain = {s: each[NETWORK][s][: len(values[s])] - values[s] for s in SURFACES}
            rows[row] |= {f"gain_{s}": dataclasses.asdict(bootstrap_mean(v)) for s, v in gain.items()}
    return {"samples": found[0]["samples"], "found": found[0]["found"], "seeds": len(found), "rows": rows}


def markdown(record: dict[str, Any]) -> str:
    """The page of a record."""
    columns = ("body", "gain_body", "object", "gain_object")
    cells = [
        [split, row, *(interval(values.get(column), 3) for column in columns), str(values["count"])]
        for split, score in record["scores"].items()
        for row, values in score["rows"].items()
    ]
    by_seed = "; ".join(
        f"{split} " + ", ".join(f"{value:.3f}" for value in score["rows"][NETWORK]["by_seed"])
        for split, score in record["scores"].items()
    )
    head = ["split", "", "body F1", "network has more", "object F1", "network has more", "samples"]
    return page(
        "The light contact network",
        "Made by `python -m hoijax.experiments.interactvlm.light_page` of what `light_scores` found for each seed: F1 "
        "of each sample, then the mean, with 95 % intervals of a bootstrap over samples; differences over the same "
        "samples. Rows of the network are means over seeds. Thresholds were chosen on val, those of the distances are "
        "one half.",
        table(head, cells),
        f"Body F1 of the network by seed: {by_seed}.",
    )


if __name__ == "__main__":
    run_command(run, Config)
