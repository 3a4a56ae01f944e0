"""The environment for Binder: as repo2docker reads it, and pins that fit each other."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).parent.parent
BINDER = ROOT / "binder"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def lines():
    """Return what `requirements.txt` says, without its comments."""
    text = (BINDER / "requirements.txt").read_text(encoding="utf-8")
    return [line for line in (re.sub(r"(^|\s)#.*", "", row) for row in text.splitlines()) if line]


def requirements():
    """Return the requirements by their names."""
    found = [Requirement(line) for line in lines() if not line.startswith("-")]
    return {requirement.name: requirement for requirement in found}


def pin(name):
    """Return the version that a requirement is pinned to."""
    (specifier,) = requirements()[name].specifier
    assert specifier.operator == "=="
    return Version(specifier.version)


@pytest.fixture(scope="module")
def told():
    """Return what repo2docker says of this project, with the Dockerfile; nothing is built."""
    pytest.importorskip("repo2docker", reason="repo2docker is not installed")
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def test_repo2docker_takes_these_files(told):
    """One run of pip once the project is there, nothing built afterwards, and the start."""
    assert len(re.findall(r"^RUN .*pip install.* -r \"binder/requirements.txt\"", told, re.M)) == 1
    assert told.index("COPY --chown=") < told.index('-r "binder/requirements.txt"')
    assert not re.search(r"^RUN .*postBuild", told, re.M)
    assert re.search(r"^ENV R2D_ENTRYPOINT.*binder/start", told, re.M)


def test_repo2docker_takes_this_python(told):
    """One that the package works with."""
    version = (BINDER / "runtime.txt").read_text().strip().removeprefix("python-")
    assert version in SpecifierSet(PROJECT["requires-python"])
    assert f"environment.py-{version}" in told or f"python={version}" in told


def test_torch_and_torchvision_fit():
    """CPU builds of both, of releases that belong together: 0.N of 2.(N - 15)."""
    torch, vision = pin("torch"), pin("torchvision")
    assert torch.local == vision.local == "cpu"
    assert (vision.major, vision.minor) == (0, torch.minor + 15)
    assert torch.major == 2


def test_one_index_has_the_cpu_builds():
    """Beside PyPI there is that of PyTorch alone, and it has nothing for graphics cards."""
    options = [line for line in lines() if line.startswith("-") and "://" in line]
    assert options == ["--extra-index-url https://download.pytorch.org/whl/cpu"]


def test_nothing_for_graphics_cards():
    """No CUDA is asked for, neither by name nor by build."""
    text = "\n".join(lines()).lower()
    assert not re.search(r"nvidia|cuda|triton|\+cu\d", text)


def test_the_package_itself_is_installed():
    """With its own dependencies, and the pins are among what these allow."""
    assert "--editable ." in lines()
    for dependency in map(Requirement, PROJECT["dependencies"]):
        if dependency.name in ("torch", "torchvision"):
            assert pin(dependency.name) in dependency.specifier
        else:
            assert dependency.name not in requirements()  # pyproject.toml says it already


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
@pytest.mark.parametrize(
    ("limit", "threads"), [("2.0", "2"), ("1", "1"), ("0.5", "1"), ("", "none"), (None, "none")]
)
def test_threads_of_a_session(limit, threads):
    """As many as there are processors for it, at least one; unknown where Binder does not say."""
    environment = {k: v for k, v in os.environ.items() if k not in ("CPU_LIMIT", "OMP_NUM_THREADS")}
    environment |= {} if limit is None else {"CPU_LIMIT": limit}
    command = ["bash", str(BINDER / "start"), "bash", "-c", "echo ${OMP_NUM_THREADS-none}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == threads


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no such bit")
def test_start_can_be_executed():
    """It is called by its name."""
    assert os.access(BINDER / "start", os.X_OK)
