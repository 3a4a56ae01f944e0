"""The doctor: what is wrong with an installation is told with its remedy, and nothing is raised."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

import axonlab as al
from axonlab import installation, machine, samples
from axonlab.installation import Problem, Report

CUDA = SimpleNamespace(is_available=lambda: False)


def problems(probe: Callable[[dict[str, str]], Any]) -> tuple[dict[str, str], list[Problem]]:
    """Return the facts and the problems that a probe finds."""
    facts: dict[str, str] = {}
    return facts, list(probe(facts))


def installed(monkeypatch: pytest.MonkeyPatch, versions: dict[str, str], needs: list[str]) -> None:
    """Let there be packages of these versions, and axonlab with these needs."""

    def version(name: str) -> str:
        if name not in versions:
            raise PackageNotFoundError(name)
        return versions[name]

    def requires(name: str) -> list[str] | None:
        version(name)
        return needs if name == "axonlab" else None

    monkeypatch.setattr(installation, "version", version)
    monkeypatch.setattr(installation, "requires", requires)


def modules(monkeypatch: pytest.MonkeyPatch, **found: Any) -> None:
    """Let imports give these; an exception is raised."""

    def import_module(name: str) -> Any:
        if isinstance(found[name], Exception):
            raise found[name]
        return found[name]

    monkeypatch.setattr(installation, "import_module", import_module)


def test_this_installation() -> None:
    """It is told, and the tests run in one that works."""
    report = al.doctor()
    assert {"Python", "torch", "device", "memory", "data sets"} <= set(report.facts)
    told = [p for p in report.problems if "torch" in p.found or "missing" in p.found]
    assert told == []
    assert "doctor" in dir(al)


def test_a_package_is_missing_or_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found, expected, and the command of this very Python; extras are not needed."""
    needs = ["bokeh>=3.6", "zarr>=3.0", "torch>=2.6", 'onnx>=1.17; extra == "onnx"']
    installed(monkeypatch, {"axonlab": "1", "bokeh": "3.2", "torch": "2.13.0+cpu"}, needs)
    facts, (old, missing) = problems(installation._versions)
    assert (old.found, old.expected) == ("bokeh 3.2", "bokeh>=3.6, for axonlab")
    assert old.mend == f'"{sys.executable}" -m pip install --upgrade "bokeh>=3.6"'
    assert missing.found == "zarr is missing"
    assert facts["torch"] == "2.13.0+cpu" and facts["panel"] == "missing"


def test_metadata_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a problem like others."""
    installed(monkeypatch, {"axonlab": "1"}, ["bokeh >= = 3"])
    _, (problem,) = problems(installation._versions)
    assert problem.found.startswith("axonlab: ") and "--force-reinstall axonlab" in problem.mend


@pytest.mark.parametrize(
    ("torch", "vision", "index"),
    [
        ("2.14.1+cpu", "0.29.1+cu130", "/cpu --no-deps torch torchvision"),
        ("2.14.1+cpu", "0.29.1", "/cpu --no-deps torch torchvision"),
        ("2.14.1+cu128", "0.29.1+cu130", "/cu128 "),
        ("2.14.1", "0.29.1+cpu", "install --force-reinstall torch"),
        (
            "2.14.1+cpu",
            RuntimeError("operator torchvision::nms does not exist"),
            "/cpu --no-deps torch torchvision",
        ),
        ("2.14.1", ImportError("No module named 'torchvision'"), "reinstall torch torchvision"),
    ],
)
def test_torch_beside_another_torchvision(
    monkeypatch: pytest.MonkeyPatch, torch: str, vision: Any, index: str
) -> None:
    """Both are installed again, from where torch came."""
    if not isinstance(vision, Exception):
        vision = SimpleNamespace(__version__=vision)
    modules(monkeypatch, torch=SimpleNamespace(__version__=torch, cuda=CUDA), torchvision=vision)
    _, (problem,) = problems(installation._torch)
    assert torch in problem.found and index in problem.mend
    if isinstance(vision, Exception):
        assert str(vision) in problem.found


@pytest.mark.parametrize("versions", [("2.14.1", "0.29.1"), ("2.14+cpu", "0.29+cpu")])
def test_torch_with_its_torchvision(
    monkeypatch: pytest.MonkeyPatch, versions: tuple[str, str]
) -> None:
    """Two that fit are no problem; neither are tags that are no builds."""
    for tag in ("", "+git1234"):
        torch = SimpleNamespace(__version__=versions[0] + tag, cuda=CUDA)
        if "+" in versions[0] and tag:
            continue
        vision = SimpleNamespace(__version__=versions[1])
        modules(monkeypatch, torch=torch, torchvision=vision)
        facts, found = problems(installation._torch)
        assert found == [] and facts["device"] == "cpu"


def test_torch_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the report is made all the same."""
    modules(monkeypatch, torch=OSError("libtorch_cpu.so: cannot open\nmore"))
    facts, (problem,) = problems(installation._torch)
    assert facts["device"] == "unknown"
    assert problem.found == "torch cannot be imported: libtorch_cpu.so: cannot open"
    assert problem in installation.examine().problems


def test_a_jupyter_of_another_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The one that serves a kernel counts, otherwise the one that would be started."""
    program = tmp_path / "other" / "bin" / "jupyter-lab"
    monkeypatch.delitem(sys.modules, "ipykernel.kernelapp", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: str(program))
    facts, (problem,) = problems(installation._jupyter)
    assert facts["Jupyter"] == str(tmp_path / "other") and sys.prefix in problem.found
    assert problem.mend == f'"{sys.executable}" -m jupyterlab'

    monkeypatch.setitem(sys.modules, "ipykernel.kernelapp", SimpleNamespace())
    command = [str(Path(sys.prefix) / "bin" / "python"), "-m", "jupyterlab"]
    monkeypatch.setattr(psutil, "Process", lambda pid: SimpleNamespace(cmdline=lambda: command))
    assert problems(installation._jupyter)[1] == []

    def gone(pid: int) -> None:
        raise psutil.NoSuchProcess(pid)

    monkeypatch.setattr(psutil, "Process", gone)
    assert len(problems(installation._jupyter)[1]) == 1
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert problems(installation._jupyter) == ({"Jupyter": "none found"}, [])


def test_little_memory_and_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is told with what there is."""
    monkeypatch.setattr(machine, "memory_free", lambda: 300_000_000)
    monkeypatch.setattr(machine, "memory_limit", lambda: 2_000_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=200_000_000))
    facts, (memory, disk) = problems(installation._machine)
    assert facts["memory"] == "0.3 of 2.0 GB free"
    assert memory.found == "0.3 of 2.0 GB of memory are free" and "kernels" in memory.mend
    assert disk.found.startswith("0.2 GB of disk are free in ")


def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Results need one; nothing is left behind by looking."""
    monkeypatch.chdir(tmp_path)
    assert problems(installation._folders)[1] == []
    assert list(tmp_path.iterdir()) == []

    def refuse(dir: Path) -> None:  # noqa: A002
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    _, (problem,) = problems(installation._folders)
    assert problem.found == f"{tmp_path / 'runs'} cannot be written: Permission denied"


def test_the_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What lies in it is named; a folder that is none is a problem."""
    (tmp_path / "rat-sem").mkdir()
    monkeypatch.setenv("AXONLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(samples.DATA_VARIABLE, str(tmp_path))
    facts, found = problems(installation._folders)
    assert found == [] and facts["data sets"] == "rat-sem"
    assert facts["downloads"] == str(tmp_path / "cache")
    monkeypatch.delenv(samples.DATA_VARIABLE)
    assert problems(installation._folders)[0]["data sets"] == "none but phantoms"
    monkeypatch.setenv(samples.DATA_VARIABLE, str(tmp_path / "dta"))
    _, (problem,) = problems(installation._folders)
    assert "dta" in problem.found and "unset AXONLAB_DATA" in problem.mend


def test_a_report_is_read_in_a_notebook_and_in_a_terminal() -> None:
    """What it says is shown as it is, whatever characters it has."""
    report = Report({"Python": "3.11"}, [Problem("a < 1", "a > 2", 'pip install "a>2"')])
    html = report._repr_html_()
    assert "a &lt; 1" in html and "<code>pip install &quot;a&gt;2&quot;</code>" in html
    assert "1 problem found." in html and '<th scope="row"' in html
    told = str(report)
    assert told == repr(report)
    assert "✖ a < 1\n  expected: a > 2\n" in told and told.endswith("1 problem found.")
    assert str(Report({})).endswith("Nothing wrong was found.")


def test_results_lie_where_notebooks_leave_them(tmp_path, monkeypatch):
    """Seen from the folder of the notebooks, results are beside it."""
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert installation.examine().facts["results"] == str(tmp_path / "runs")
