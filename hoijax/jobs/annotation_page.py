"""The page of an annotation: counts by configuration, drops by reason, pictures of what was taken; one HTML file."""

import base64
import html
import importlib.metadata
import io
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from hoijax.io import write_text
from hoijax.systems.hoi3dgen.annotation import REASONS

SHOWN, SIDE = 12, 160
"""Pictures of a configuration, and their side, pixels."""
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:1em 0}"
    "td,th{padding:.25em .7em;border-bottom:1px solid #ddd;text-align:right}"
    "td:first-child,th:first-child{text-align:left}.row{display:flex;flex-wrap:wrap;gap:12px}"
    f"figure{{margin:0;width:{SIDE}px;font-size:12px}}img{{width:{SIDE}px;height:{SIDE}px;object-fit:contain;"
    "border:1px solid #e5e5e5}.scroll{overflow-x:auto}"
)


def write_annotation_page(out: pathlib.Path, summary: Mapping[str, Any]) -> None:
    """Writes `report.html` from what lies in the folder of an annotation.

    Args:
      out: the folder, with `selected.jsonl` and, where there are any, pictures.
      summary: counts, as `metrics.json` has them.
    """
    records = [json.loads(line) for line in (out / "selected.jsonl").read_text("utf-8").splitlines()]
    rows = summary["configurations"]
    reasons = [name for name in REASONS if summary["dropped"].get(name)]
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ("records", *reasons, "good, not taken", "taken"))
    body = ""
    for name, row in rows.items():
        drops = [row["dropped"].get(reason, 0) for reason in reasons]
        spare = row["records"] - sum(row["dropped"].values()) - row["taken"]
        cells = "".join(f"<td>{value}</td>" for value in (row["records"], *drops, spare, row["taken"]))
        body += f"<tr><td>{_words(name)}</td>{cells}</tr>"
    meanings = "".join(f"<li><b>{html.escape(n)}</b>: {html.escape(REASONS[n])}</li>" for n in reasons)
    failures = "".join(
        f"<li>{html.escape(key)}: {html.escape(why)}</li>" for key, why in list(summary["failures"].items())[:50]
    )
    sections = ""
    for name in rows:
        mine = [record for record in records if record["contact"]["config"] == name]
        if mine:
            figures = "".join(_figure(out, record) for record in mine[:SHOWN])
            sections += f"<h2>{_words(name)}: {len(mine)}</h2><div class='row'>{figures}</div>"
    title = f"Annotation of {html.escape(str(summary['dataset']))}"
    write_text(
        out / "report.html",
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title><style>{_STYLE}</style>"
        f"</head><body><h1>{title}</h1><p>{summary['records']} records, {len(records)} taken, "
        f"{len(summary['failures'])} samples that cannot be used. hoijax {importlib.metadata.version('hoijax')}</p>"
        f"<div class='scroll'><table><thead><tr><th>contact</th>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        f"{f'<p>Dropped, each for the first of:</p><ul>{meanings}</ul>' if meanings else ''}"
        f"{f'<h2>Samples that cannot be used</h2><ul>{failures}</ul>' if failures else ''}{sections}</body></html>\n",
    )


def _words(config: str) -> str:
    return html.escape(config.replace("_", " "))


def _figure(out: pathlib.Path, record: Mapping[str, Any]) -> str:
    text = html.escape(record["text"])
    image = ""
    path = out / record["views"][0]["image"] if record["views"] else None
    if path is not None and path.is_file():
        with Image.open(path) as picture:
            small = picture.convert("RGB")
        small.thumbnail((SIDE * 2, SIDE * 2))
        file = io.BytesIO()
        Image.fromarray(np.asarray(small)).save(file, "JPEG", quality=85)
        image = f'<img src="data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}" alt="{text}">'
    return f"<figure>{image}<figcaption>{text} ({html.escape(record['id'])})</figcaption></figure>"
