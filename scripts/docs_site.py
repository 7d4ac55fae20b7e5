"""Hooks of mkdocs: README, CHANGELOG and examples/ lie outside docs/, where GitHub's readers look for them."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

BESIDE_DOCS = ("CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    root = Path(config.config_file_path).parent
    readme = (root / "README.md").read_text().replace("](docs/", "](")
    files.append(File.generated(config, "index.md", content=readme))
    paths = [root / name for name in BESIDE_DOCS] + [p for p in (root / "examples").rglob("*") if p.is_file()]
    for path in paths:
        files.append(File.generated(config, path.relative_to(root).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """A page of docs/ says ../examples/, a page of examples/ says ../docs/; on the site both are at the top."""
    if page.file.src_uri.startswith("examples/"):
        return markdown.replace("](../docs/", "](../").replace("](../../docs/", "](../../")
    if page.file.src_uri in BESIDE_DOCS:
        return markdown.replace("](docs/", "](")
    return markdown.replace("](../examples/", "](examples/")
