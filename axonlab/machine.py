"""What this machine has: where networks run, and the memory that is left to us."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

_CGROUP = Path("/sys/fs/cgroup")


def device() -> str:
    """Return "cuda" where there is such a graphics card, otherwise "cpu"."""
    import torch  # takes a second, which the rest of this module does not need

    return "cuda" if torch.cuda.is_available() else "cpu"


def memory_limit() -> int:
    """Return the bytes of memory this process may use with all others under the same limit."""
    return min(limit for limit, _ in _limits())


def memory_free() -> int:
    """Return the bytes of memory that are left below the limit."""
    return max(0, min(limit - used for limit, used in _limits()))


def _limits() -> list[tuple[int, int]]:
    """Return pairs of limit and use: of the hardware, the control groups and JupyterHub."""
    memory = psutil.virtual_memory()
    found = [(memory.total, memory.total - memory.available)]
    for folder, names in _control_groups():
        limit, used = (_number(folder / name) for name in names)
        if limit is not None and used is not None:
            found.append((limit, used - _cache(folder)))
    if os.environ.get("MEM_LIMIT", "").isdigit():  # JupyterHub and Binder tell it this way
        found.append((int(os.environ["MEM_LIMIT"]), psutil.Process().memory_info().rss))
    return found


def _control_groups() -> list[tuple[Path, tuple[str, str]]]:
    """Return the folders of this process's memory control groups, innermost first."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        return []
    groups = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        inner = Path(path.lstrip("/"))
        places = [inner, *inner.parents]
        if not controllers:
            groups += [(_CGROUP / p, ("memory.max", "memory.current")) for p in places]
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
            groups += [(_CGROUP / "memory" / p, names) for p in places]
    return groups


def _cache(folder: Path) -> int:
    """Return the bytes counted as used that the system gives back when they are needed."""
    try:
        lines = (folder / "memory.stat").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    values = dict(line.split() for line in lines)
    return int(values.get("total_inactive_file", values.get("inactive_file", 0)))


def _number(path: Path) -> int | None:
    """Return the number in a file; None where there is none, or no limit ("max")."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
