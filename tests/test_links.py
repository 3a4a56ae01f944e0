"""Links in pages and notebooks: internal ones lead somewhere, external ones are well-formed."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("notebooks/**/*.md"), *ROOT.glob("notebooks/*.ipynb")]
)
LINK = re.compile(r"(?<!\\)\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)|<(https?://[^>\s]+)>")
HEADING = re.compile(r"^#+ +(.+)$", re.M)


def text_of(path):
    """Return the prose of a page or a notebook."""
    if path.suffix == ".md":
        return re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    cells = nbformat.read(path, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def anchors(path):
    """Return what a page can be entered at, as GitHub makes it of headings."""
    titles = HEADING.findall(text_of(path))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links(path):
    """Files exist, headings too; addresses have a host and no spaces or placeholders."""
    for internal, external in LINK.findall(text_of(path)):
        address = urlsplit(internal or external)
        if address.scheme:
            assert address.scheme == "https", address.geturl()
            assert re.fullmatch(r"[\w-]+(\.[\w-]+)+", address.netloc), address.geturl()
            continue
        target = path.parent / address.path if address.path else path
        assert target.exists(), f"{path.name} leads to {internal}"
        if address.fragment:
            assert address.fragment in anchors(target), f"{path.name} leads to {internal}"


def test_pictures_have_words():
    """Every picture of a page has a text for those who cannot see it."""
    for path in PAGES:
        for words in re.findall(r"!\[([^\]]*)\]\(", text_of(path)):
            assert len(words) > 8, f"{path.name}: a picture is called {words!r}"
