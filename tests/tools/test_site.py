"""The reference names every public name, and nothing that cannot be imported."""

import ast
import importlib
import pathlib
import re

import pytest

pytest.importorskip("mkdocs", reason="extra [site]")

from tools import site

PACKAGES = site.public_packages()
OFFERED = {name for names in PACKAGES.values() for name in names}
ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_the_parts_of_the_house_are_in_the_reference():
    assert {
        "hoijax.geometry",
        "hoijax.body_models",
        "hoijax.nets.graft",
        "hoijax.optim.gradient",
        "hoijax.data.real",
    } <= set(PACKAGES)
    assert "hoijax" not in PACKAGES  # its names are those of other packages


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there_and_on_its_page(package):
    module = importlib.import_module(package)
    if hasattr(module, "__all__"):
        assert set(PACKAGES[package]) == set(module.__all__)
    else:
        things = {name: thing for name, thing in vars(module).items() if name[0] != "_" and callable(thing)}
        assert {name for name, thing in things.items() if thing.__module__ == package} <= set(PACKAGES[package])
    lines = site.reference_page(package, PACKAGES[package]).splitlines()
    assert [line for line in lines if line.startswith("::: ")] == [
        f"::: {package}",
        *(f"::: {package}.{name}" for name in PACKAGES[package]),
    ]
    for name in PACKAGES[package]:
        assert hasattr(module, name)


def test_links_to_shipped_readmes_lead_to_their_pages():
    class Page:
        class file:
            src_uri = "results/x.md"

    text = "see [it](../../hoijax/assets/graft/README.md), [that](../graft.md)"
    assert site.on_page_markdown(text, Page, None, None) == "see [it](../provenance/graft.md), [that](../graft.md)"


def in_reference(module: str, name: str) -> bool:
    return name in PACKAGES.get(module, ()) or f"{module}.{name}" in PACKAGES


@pytest.mark.parametrize("part", ["hoijax", "body_models", "nets", "optim", "data"])
def test_every_package_with_a_list_of_names_is_in_the_reference(part):
    for path in (ROOT / part).rglob("__init__.py"):
        parts = path.parent.relative_to(ROOT).parts
        module = ".".join(parts if parts[0] == "hoijax" else ("hoijax", *parts))
        for name in () if module == "hoijax" else getattr(importlib.import_module(module), "__all__", ()):
            assert in_reference(module, name), (module, name)


def test_every_name_of_the_front_door_is_in_the_reference():
    import hoijax

    parts = {part for module in PACKAGES for part in module.split(".")[1:2]}
    assert [name for name in hoijax.__all__ if name not in OFFERED | parts] == []


def test_every_name_that_pages_and_examples_import_is_in_the_reference():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    blocks = [
        block for page in pages for block in re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    ]
    blocks += [path.read_text("utf-8") for path in (ROOT / "examples").glob("*.py")]
    missing = {
        (node.module, alias.name)
        for block in blocks
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "hoijax"
        for alias in node.names
        if not in_reference(node.module, alias.name)
    }
    assert len(blocks) > 40 and missing == set()
