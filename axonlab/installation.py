"""What is installed here, what is wrong with it, and how to mend it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import escape
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import psutil

SHOWN = (
    "axonlab",
    "torch",
    "torchvision",
    "fastai",
    "jupyterlab",
    "ipykernel",
    "ipywidgets",
    "anywidget",
    "holoviews",
    "panel",
    "bokeh",
)
"""Packages whose versions are told, and whose own needs are looked at."""

LITTLE_MEMORY = 1_000_000_000
"""Bytes: less is not enough for the models that come with axonlab."""

LITTLE_DISK = 1_000_000_000
"""Bytes: less is soon filled by the checkpoints of a training."""

PYTORCH_INDEX = "https://download.pytorch.org/whl"

_BROKEN = (ImportError, OSError, RuntimeError, AttributeError)
"""What the import of a package raises that is only half there, or does not fit another one."""


@dataclass(frozen=True)
class Problem:
    """Something that is wrong.

    Parameters
    ----------
    found, expected : str
    mend : str
        The command or step that mends it.
    """

    found: str
    expected: str
    mend: str


@dataclass(frozen=True)
class Report:
    """What there is and what is wrong; ends a cell to be seen, or is printed.

    Parameters
    ----------
    facts : dict of str to str
        By what they are about.
    problems : list of Problem
    """

    facts: dict[str, str]
    problems: list[Problem] = field(default_factory=list)

    def __str__(self) -> str:
        width = max(map(len, self.facts), default=0)
        lines = [f"{name:<{width}}  {fact}" for name, fact in self.facts.items()]
        for problem in self.problems:
            lines += ["", f"✖ {problem.found}", f"  expected: {problem.expected}"]
            lines += [f"  to mend:  {problem.mend}"]
        return "\n".join([*lines, "", self.summary])

    __repr__ = __str__

    @property
    def summary(self) -> str:
        """One sentence."""
        n = len(self.problems)
        return f"{n} problem{'' if n == 1 else 's'} found." if n else "Nothing wrong was found."

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th scope="row" style="text-align: left">{escape(name)}</th>'
            f'<td style="text-align: left">{escape(fact)}</td></tr>'
            for name, fact in self.facts.items()
        )
        problems = "".join(
            f"<li><b>✖ {escape(p.found)}</b><br>expected: {escape(p.expected)}<br>"
            f"to mend: <code>{escape(p.mend)}</code></li>"
            for p in self.problems
        )
        return f"<p><b>{self.summary}</b></p><ul>{problems}</ul><table>{rows}</table>"


Probe = Callable[[dict[str, str]], Iterator[Problem]]
"""Adds what it finds to the facts, and yields what is wrong."""


def examine() -> Report:
    """Look at this installation: versions, device, memory, disk, data, and what does not fit.

    Needs no network, changes nothing, and does not fail where a package is broken.

    Returns
    -------
    Report
    """
    facts: dict[str, str] = {}
    problems = [problem for probe in PROBES for problem in probe(facts)]
    return Report(facts, problems)


def _versions(facts: dict[str, str]) -> Iterator[Problem]:
    """Tell the versions, and what is missing or too old for something else."""
    facts["Python"] = f"{platform.python_version()}, {sys.prefix}"
    facts |= {name: _version(name) or "missing" for name in SHOWN}
    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ImportError as error:
        yield Problem(
            f"packaging: {error}", "packaging, which compares versions", _pip("packaging")
        )
        return
    told = set()
    for name in SHOWN:
        try:
            needs = [Requirement(text) for text in requires(name) or []]
        except PackageNotFoundError:
            continue  # said where it is needed
        except InvalidRequirement as error:
            yield Problem(f"{name}: {error}", "readable metadata", _pip(name, "--force-reinstall"))
            continue
        for need in needs:
            if need.marker is not None and not need.marker.evaluate({"extra": ""}):
                continue
            found = _version(need.name)
            if found is not None and need.specifier.contains(found, prereleases=True):
                continue
            wanted = f"{need.name}{need.specifier}"
            if wanted not in told:
                told.add(wanted)
                there = f"{need.name} {found}" if found else f"{need.name} is missing"
                yield Problem(there, f"{wanted}, for {name}", _pip(f'"{wanted}"', "--upgrade"))


def _torch(facts: dict[str, str]) -> Iterator[Problem]:
    """Tell where networks run, and whether torch and torchvision are built for each other."""
    try:
        torch = import_module("torch")
        facts["torch"] = torch_version = str(torch.__version__)  # says what it was built for
        facts["device"] = "cuda" if torch.cuda.is_available() else "cpu"
    except _BROKEN as error:
        facts["device"] = "unknown"
        yield Problem(
            f"torch cannot be imported: {_first_line(error)}",
            "torch, with the torchvision that fits it",
            _pip("torch torchvision", "--force-reinstall"),
        )
        return
    build = _build(torch_version)
    place = ["--index-url", f"{PYTORCH_INDEX}/{build}"] if build else []
    if build == "cpu":
        place.append("--no-deps")  # they are here already; that index has old ones of some
    mend = _pip("torch torchvision", "--force-reinstall", *place)
    try:
        facts["torchvision"] = vision_version = str(import_module("torchvision").__version__)
    except _BROKEN as error:
        yield Problem(
            f"torchvision cannot be imported beside torch {torch_version}: {_first_line(error)}",
            "both from one place, of releases that belong together",
            mend,
        )
        return
    other = _build(vision_version)
    if build != other and ("cpu" in (build, other) or (build and other)):  # else one does not tell
        yield Problem(
            f"torch {torch_version} beside torchvision {vision_version}",
            "two builds for the CPU, or two for the same CUDA",
            mend,
        )


def _jupyter(facts: dict[str, str]) -> Iterator[Problem]:
    """Tell whether the notebooks are served from the environment that computes."""
    prefix = _jupyter_prefix()
    facts["Jupyter"] = str(prefix or "none found")
    if prefix is not None and prefix.resolve() != Path(sys.prefix).resolve():
        yield Problem(
            f"Jupyter is that of {prefix}, this Python that of {sys.prefix}",
            "one environment: widgets need their part in Jupyter, in the same version",
            f'"{sys.executable}" -m jupyterlab',
        )


def _machine(facts: dict[str, str]) -> Iterator[Problem]:
    """Tell processors, memory and disk."""
    from axonlab import machine

    affinity = getattr(os, "sched_getaffinity", None)
    facts["processors"] = str(len(affinity(0)) if affinity else os.cpu_count())
    free, limit = machine.memory_free(), machine.memory_limit()
    facts["memory"] = f"{free / 1e9:.1f} of {limit / 1e9:.1f} GB free"
    if free < LITTLE_MEMORY:
        yield Problem(
            f"{free / 1e9:.1f} of {limit / 1e9:.1f} GB of memory are free",
            f"at least {LITTLE_MEMORY / 1e9:.0f} GB",
            "Shut down other kernels: in JupyterLab, Kernel → Shut Down All Kernels",
        )
    disk = shutil.disk_usage(Path.cwd()).free
    facts["disk"] = f"{disk / 1e9:.1f} GB free in {Path.cwd()}"
    if disk < LITTLE_DISK:
        yield Problem(
            f"{disk / 1e9:.1f} GB of disk are free in {Path.cwd()}",
            f"at least {LITTLE_DISK / 1e9:.0f} GB",
            "Delete old folders in runs/, or begin in a folder on another disk",
        )


def _folders(facts: dict[str, str]) -> Iterator[Problem]:
    """Tell whether results can be written, and what data are at hand."""
    try:
        from axonlab import io, samples
    except _BROKEN as error:
        yield Problem(
            f"axonlab cannot read files: {_first_line(error)}",
            "axonlab as it was installed",
            _pip("axonlab", "--force-reinstall"),
        )
        return
    runs = io.run_folder("any").parent
    facts["results"] = str(runs)
    try:
        with tempfile.TemporaryFile(dir=runs if runs.is_dir() else runs.parent):
            pass
    except OSError as error:
        yield Problem(
            f"{runs} cannot be written: {error.strerror or error}",
            "a folder of your own",
            "Copy the notebooks to a folder of your own, and start Jupyter there",
        )
    given = os.environ.get(samples.DATA_VARIABLE)
    facts["data"] = f"{samples.DATA_VARIABLE}={given}" if given else "bundled and downloaded"
    facts["downloads"] = str(samples.cache_folder())
    try:
        found = [name for name in samples.datasets().index if samples.local_folder(name)]
    except ValueError as error:  # it is no folder
        yield Problem(
            str(error),
            "a folder with the public data sets, one subfolder each, or nothing",
            f"unset {samples.DATA_VARIABLE}, or set it to a folder, and start Jupyter again",
        )
        return
    except OSError as error:
        yield Problem(str(error), "data that can be read", "Give yourself permission to read it")
        return
    facts["data sets"] = ", ".join(found) or "none but phantoms"


PROBES: tuple[Probe, ...] = (_versions, _torch, _jupyter, _machine, _folders)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _pip(what: str, *options: str) -> str:
    """Return the command that installs something into this environment."""
    return " ".join([f'"{sys.executable}"', "-m pip install", *options, what])


def _build(found: str) -> str:
    """Return what a version was built for: "cpu", "cu130"; nothing where it does not say so."""
    tag = found.partition("+")[2]
    return tag if tag.startswith(("cpu", "cu", "rocm", "xpu")) else ""


def _first_line(error: BaseException) -> str:
    return (str(error) or repr(error)).splitlines()[0]


def _jupyter_prefix() -> Path | None:
    """Return the environment of the Jupyter that runs this kernel, or else would be started."""
    program = shutil.which("jupyter-lab")
    if "ipykernel.kernelapp" in sys.modules:
        try:
            command = psutil.Process(os.getppid()).cmdline()
        except psutil.Error:
            command = []
        if command and Path(command[0]).is_absolute():  # symbolic links are what tells venvs apart
            program = command[0]
    if program is None:
        return None
    folder = Path(program).absolute().parent
    return folder.parent if folder.name.lower() in ("bin", "scripts") else folder
