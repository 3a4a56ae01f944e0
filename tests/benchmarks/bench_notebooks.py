"""What every notebook takes where Binder would run it: on one processor, with 2 GB of memory.

    python tests/benchmarks/bench_notebooks.py [00_tour …]

runs all notebooks, or those that are named, one after another and each in an empty folder, with
the data that come with axonlab and started as Binder starts it. A notebook that takes more memory
is ended, by the control group that systemd makes for it where it can, and otherwise here, by
looking at its processes five times a second. Memory is the proportional set size of the kernel and
all beside it, but not of JupyterLab, which takes some 0.15 GB more.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "notebooks"

LIMIT = 2_000_000_000
"""Bytes."""

SECONDS = 0.2
"""Between two looks."""

PARAMETERS = {}
"""By the name of a notebook, where its own parameters are not what Binder could run."""


def main(names):
    """Print a table."""
    chosen = [p for p in sorted(NOTEBOOKS.glob("*.ipynb")) if not names or p.stem in names]
    prefix = _scope()
    how = "a control group" if prefix else "a look every 0.2 s"
    print(f"1 processor, {LIMIT / 1e9:.1f} GB, kept by {how}")
    print("| notebook | minutes | peak GB | |\n|---|---|---|---|")
    for path in chosen:
        with tempfile.TemporaryDirectory() as folder:
            minutes, peak, ended = run(path, Path(folder), prefix)
        print(f"| {path.stem} | {minutes:.1f} | {peak / 1e9:.2f} | {ended} |", flush=True)


def run(path, folder, prefix):
    """Run a notebook; return minutes, peak memory in bytes, and how it ended."""
    command = [*prefix, "bash", str(ROOT / "binder" / "start"), sys.executable, "-m", "papermill"]
    command += [str(path), str(folder / path.name)]
    command += ["--no-progress-bar", "--log-level", "ERROR"]
    command += ["-y", json.dumps(PARAMETERS.get(path.stem, {}))]
    environment = os.environ | {"CPU_LIMIT": "1", "MEM_LIMIT": str(LIMIT)}
    environment |= {"AXONLAB_CACHE": str(folder / "cache")}
    environment.pop("AXONLAB_DATA", None)
    began, peak = time.monotonic(), 0
    with (folder / "log").open("w+") as log:
        started = psutil.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        if hasattr(started, "cpu_affinity"):  # what it starts inherits it
            started.cpu_affinity(started.cpu_affinity()[-1:])
        ended = ""
        try:
            while started.poll() is None:
                used = sum(map(_memory, _family(started)))
                peak = max(peak, used)
                if used > LIMIT:
                    ended = f"ended: more than {LIMIT / 1e9:.1f} GB"
                    _end(started)
                time.sleep(SECONDS)
        finally:
            _end(started)  # nothing is left when this is interrupted
        log.seek(0)
        told = log.read().strip().splitlines()
    if started.returncode and not ended:
        ended = f"failed: {_plain(told[-1]) if told else started.returncode}"
    return (time.monotonic() - began) / 60, peak, ended or "ran"


def _scope():
    """Return what to put before a command to limit its memory; nothing without systemd."""
    limits = ["-p", f"MemoryMax={LIMIT}", "-p", "MemorySwapMax=0"]
    prefix = ["systemd-run", "--user", "--scope", "--quiet", "--collect", *limits]
    if shutil.which(prefix[0]) is None:
        return []
    return prefix if subprocess.run([*prefix, "true"], capture_output=True).returncode == 0 else []


def _family(process):
    """Return a process and all that it has started."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _memory(process):
    """Return the bytes of a process, what it shares counted in part; 0 when it has ended."""
    try:
        told = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Pss: +(\d+)", told, re.M)[1]) * 1024
    except (OSError, TypeError):  # no Linux, or it is just ending
        pass
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0


def _end(process):
    """End a process and all that it has started."""
    for each in reversed(_family(process)):
        with suppress(psutil.NoSuchProcess):
            each.kill()


def _plain(line):
    return re.sub(r"\x1b\[[0-9;]*m", "", line)[:100]


if __name__ == "__main__":
    main(sys.argv[1:])
