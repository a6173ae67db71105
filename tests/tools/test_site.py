"""The reference names every public name, and nothing that cannot be imported."""

import importlib

import pytest

pytest.importorskip("mkdocs", reason="extra [site]")

from tools import site

PACKAGES = site.public_packages()


def test_the_parts_of_the_house_are_in_the_reference():
    assert {
        "hoijax.geometry",
        "hoijax.body_models",
        "hoijax.nets.graft",
        "hoijax.optim.gradient",
        "hoijax.data.real",
    } <= set(PACKAGES)
    assert not {"hoijax", "hoijax.cli"} & set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there_and_on_its_page(package):
    module = importlib.import_module(package)
    assert set(PACKAGES[package]) == set(module.__all__)
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
