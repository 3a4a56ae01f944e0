"""The package as a whole: what importing it costs."""

import subprocess
import sys

import pytest

import axonlab as al

WITHOUT_TORCH = ["io", "samples", "phantom", "objects", "measure", "score", "pairs", "dataset"]
WITHOUT_TORCH += ["blank", "calibration", "job", "machine", "maps", "micrograph", "strokes"]
WITHOUT_TORCH += ["convert", "slide", "source"]


def modules_after(code):
    """Return the modules a fresh interpreter has imported after running `code`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_import_is_cheap():
    """`import axonlab` imports none of the heavy libraries."""
    assert not modules_after("import axonlab") & {"numpy", "pandas", "torch", "holoviews"}


def test_modules_without_torch():
    """Reading, phantoms, measuring and scoring work without torch."""
    code = "import axonlab as al\n" + "\n".join(f"al.{name}" for name in WITHOUT_TORCH)
    assert not modules_after(code) & {"torch", "fastai", "holoviews"}


def test_modules_by_name():
    """Every module is reached as an attribute, and listed."""
    assert set(WITHOUT_TORCH) < set(dir(al))
    assert al.io.CLASSES["axon"] == 2


def test_unknown_module():
    """A misspelt module is answered with the ones there are."""
    with pytest.raises(AttributeError, match=r"no module 'seggment'; it has .*segment"):
        _ = al.seggment
