"""Memory that is left to us, under every kind of limit that a machine may set."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from axonlab import machine

TOTAL, AVAILABLE, OWN = 64_000, 40_000, 1_000  # of the hardware, and used by this process
NO_LIMIT_V1 = 9223372036854771712


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty tree of files that stands for that of the system."""
    memory = SimpleNamespace(total=TOTAL, available=AVAILABLE)
    process = SimpleNamespace(memory_info=lambda: SimpleNamespace(rss=OWN))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(psutil, "Process", lambda: process)
    monkeypatch.setattr(machine, "_CGROUP", tmp_path / "cgroup")
    monkeypatch.delenv("MEM_LIMIT", raising=False)
    monkeypatch.setattr(machine, "Path", lambda text: fake_path(tmp_path, text))
    return tmp_path


def fake_path(root: Path, text: str) -> Path:
    """Return the path of a file of /proc in the fake tree, and any other as it is."""
    return root / text.lstrip("/") if text.startswith("/proc") else Path(text)


def write(path: Path, content: object) -> None:
    """Write a file of the system, which ends in a line break."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{content}\n", encoding="utf-8")


def group(
    system: Path, path: str, limit: object, used: int, *, version: int = 2, stat: str = ""
) -> None:
    """Write a control group."""
    folder = system / "cgroup" / ("memory" if version == 1 else "") / path
    names = ("memory.max", "memory.current")
    if version == 1:
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
    write(folder / names[0], limit)
    write(folder / names[1], used)
    if stat:
        write(folder / "memory.stat", stat)


def member(system: Path, *lines: str) -> None:
    """Say of which control groups this process is."""
    write(system / "proc" / "self" / "cgroup", "\n".join(lines))


def test_this_machine() -> None:
    """Whatever it is, there is memory, and some of it is free."""
    assert 0 < machine.memory_free() <= machine.memory_limit()
    assert machine.memory_limit() <= psutil.virtual_memory().total
    assert machine.device() in ("cpu", "cuda")


def test_no_control_groups(system: Path) -> None:
    """Without Linux, or outside of them, the hardware is the limit."""
    assert (machine.memory_limit(), machine.memory_free()) == (TOTAL, AVAILABLE)
    member(system, "0::/")
    assert (machine.memory_limit(), machine.memory_free()) == (TOTAL, AVAILABLE)


def test_version_2(system: Path) -> None:
    """A container that sees its own group as the root."""
    member(system, "0::/")
    group(system, "", 10_000, 4_000)
    assert (machine.memory_limit(), machine.memory_free()) == (10_000, 6_000)


def test_version_1(system: Path) -> None:
    """The line of the memory controller counts, not those of others."""
    member(system, "3:cpu,cpuacct:/pods/one", "2:hugetlb,memory:/pods/one", "1:name=systemd:/x:y")
    group(system, "pods/one", 8_000, 3_000, version=1)
    group(system, "pods", NO_LIMIT_V1, 5_000, version=1)
    assert (machine.memory_limit(), machine.memory_free()) == (8_000, 5_000)


def test_version_1_of_a_container(system: Path) -> None:
    """It is told its path on the host, and sees its group as the root."""
    member(system, "4:memory:/docker/0123abc", "0::/system.slice/docker.service")
    group(system, "", 8_000, 3_000, version=1)
    assert machine.memory_free() == 5_000


def test_no_limit(system: Path) -> None:
    """The word max, and the largest number of version 1."""
    member(system, "0::/a", "4:memory:/a")
    group(system, "a", "max", 4_000)
    group(system, "a", NO_LIMIT_V1, 4_000, version=1)
    assert (machine.memory_limit(), machine.memory_free()) == (TOTAL, AVAILABLE)


@pytest.mark.parametrize("missing", ["memory.max", "memory.current"])
def test_a_file_that_is_missing(system: Path, missing: str) -> None:
    """Half of what is needed is as good as nothing; other groups still count."""
    member(system, "0::/a/b")
    group(system, "a/b", 1_000, 900)
    group(system, "a", 5_000, 900)
    (system / "cgroup" / "a/b" / missing).unlink()
    assert (machine.memory_limit(), machine.memory_free()) == (5_000, 4_100)


def test_nested_groups(system: Path) -> None:
    """The tightest of the groups around counts, for the limit and for what is free."""
    member(system, "0::/user/session/job")
    group(system, "user/session/job", 20_000, 1_000)
    group(system, "user/session", 9_000, 2_000)
    group(system, "user", 12_000, 11_500)
    assert (machine.memory_limit(), machine.memory_free()) == (9_000, 500)


def test_cache_is_free(system: Path) -> None:
    """Files that were read and can be forgotten are not counted as used."""
    member(system, "0::/")
    group(system, "", 10_000, 9_000, stat="anon 2000\ninactive_file 6000\nactive_file 1000")
    assert machine.memory_free() == 7_000
    member(system, "4:memory:/")
    stat = "inactive_file 10\ntotal_cache 7000\ntotal_inactive_file 6500"
    group(system, "", 10_000, 9_000, version=1, stat=stat)
    assert machine.memory_free() == 7_500


def test_a_group_over_its_limit(system: Path) -> None:
    """Nothing is free, not less."""
    member(system, "0::/")
    group(system, "", 10_000, 10_400)
    assert machine.memory_free() == 0


@pytest.mark.parametrize(("value", "free"), [("3000", 2_000), ("", AVAILABLE), ("2G", AVAILABLE)])
def test_the_limit_of_a_hub(
    system: Path, monkeypatch: pytest.MonkeyPatch, value: str, free: int
) -> None:
    """JupyterHub and Binder tell it in bytes; anything else is passed over."""
    monkeypatch.setenv("MEM_LIMIT", value)
    assert machine.memory_free() == free
