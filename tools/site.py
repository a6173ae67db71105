"""Hooks of the documentation site (mkdocs.yml).

One page of reference for each public package is made from its `__all__`; the READMEs that stand beside shipped files
are pages of it too.
"""

import ast
import pathlib
import re

from mkdocs.structure.files import File, Files

_OUTSIDE = re.compile(r"\]\((?:\.\./)+hoijax/assets/(\w+)/README\.md\)")
ROOT = pathlib.Path(__file__).resolve().parents[1]
_PARTS = ("hoijax", "body_models", "nets", "optim", "data")


def public_packages(root: pathlib.Path = ROOT) -> dict[str, list[str]]:
    """Every package that names what it offers, with these names in their order.

    Args:
      root: a checkout.

    Returns:
      dotted name of the package -> its `__all__`; command-line verbs are told by `--help`, not here.
    """
    packages = {}
    for part in _PARTS:
        for path in sorted((root / part).rglob("__init__.py"), key=lambda path: path.parent):
            folders = path.parent.relative_to(root).parts
            name = ".".join(folders if folders[0] == "hoijax" else ("hoijax", *folders))
            names = _offered(path)
            if names and name not in ("hoijax", "hoijax.cli"):
                packages[name] = names
    return dict(sorted(packages.items()))


def _offered(path: pathlib.Path) -> list[str]:
    """The literal `__all__` of a module; empty where it has none."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [getattr(target, "id", None) for target in node.targets] == ["__all__"]:
            return sorted(ast.literal_eval(node.value), key=str.lower)
    return []


def reference_page(package: str, names: list[str]) -> str:
    """The Markdown of one package's page."""
    body = "\n\n".join(f"::: {package}.{name}" for name in names)
    options = "\n".join(f"      {name}: false" for name in ("members", "show_root_heading", "show_root_toc_entry"))
    return f"# {package}\n\n::: {package}\n    options:\n{options}\n\n{body}\n"


def on_config(config):
    """Adds to the table of contents what comes in numbers."""
    docs = pathlib.Path(config.docs_dir)
    provenance = [path.parent.name for path in sorted((ROOT / "hoijax/assets").glob("*/README.md"))]
    config.nav += [
        {"Results": [f"results/{path.name}" for path in sorted((docs / "results").glob("*.md"))]},
        {"Provenance": [f"provenance/{name}.md" for name in provenance]},
        {"Reference": ["api/index.md", *(f"api/{name}.md" for name in public_packages())]},
    ]
    return config


def on_files(files: Files, config) -> Files:
    """Adds the pages of reference and a list of them."""
    packages = public_packages()
    rows = "\n".join(f"| [`{name}`]({name}.md) | {len(names)} |" for name, names in packages.items())
    head = (
        "# Reference\n\nEvery public name of every package, from its own docstring.\n\n| package | names |\n|---|---|\n"
    )
    files.append(File.generated(config, "api/index.md", content=head + rows + "\n"))
    for name, names in packages.items():
        files.append(File.generated(config, f"api/{name}.md", content=reference_page(name, names)))
    for path in sorted((ROOT / "hoijax/assets").glob("*/README.md")):
        files.append(File.generated(config, f"provenance/{path.parent.name}.md", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page, config, files) -> str:
    """Points links to shipped files' READMEs, right in a checkout, to their pages of the site."""
    up = "../" * page.file.src_uri.count("/")
    return _OUTSIDE.sub(lambda link: f"]({up}provenance/{link[1]}.md)", markdown)
