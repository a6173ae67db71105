"""Readers of the field's datasets, on their layouts as published; no image is read and nothing is downloaded."""

from hoijax.data.real import behave, contact_sets, imhd, intercap, procigen, prox, rich
from hoijax.data.real.schema import (
    ContactSample,
    Dataset,
    DatasetItem,
    Defect,
    HOIFrame,
    Index,
    Sample,
    SceneFrame,
    read_all,
)

DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        behave.BEHAVE,
        behave.BEHAVE_30FPS,
        intercap.INTERCAP,
        imhd.IMHD,
        contact_sets.DAMON,
        contact_sets.LEMON,
        contact_sets.PIAD,
        contact_sets.RICH,
        prox.PROX,
        rich.RICH_SCENES,
        procigen.PROCIGEN,
    )
}

__all__ = [
    "DATASETS",
    "ContactSample",
    "Dataset",
    "DatasetItem",
    "Defect",
    "HOIFrame",
    "Index",
    "Sample",
    "SceneFrame",
    "behave",
    "contact_sets",
    "imhd",
    "intercap",
    "procigen",
    "prox",
    "read_all",
    "rich",
]
