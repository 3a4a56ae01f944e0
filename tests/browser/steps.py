"""What browser tests and benchmarks do again and again in JupyterLab."""

import io
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import nbformat
import numpy as np
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

FIRST_RUN_MS = 180_000
"""A first import on a cold machine takes its time."""


@contextmanager
def jupyterlab(root):
    """Start JupyterLab on a folder; yield the address of its subfolder ``notebooks``."""
    port = _free_port()
    # nothing of this machine's user: no settings, no workspaces, no data at hand
    places = {f"JUPYTER_{kind}_DIR": str(root / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    environment = os.environ | places | {"AXONLAB_CACHE": str(root / "cache")}
    environment.pop("AXONLAB_DATA", None)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--port={port}", f"--ServerApp.root_dir={root}", "--IdentityProvider.token="]
    command += ["--LabApp.news_url=None", "--ServerApp.port_retries=0"]
    with _server(command, environment, root / "lab.log", f"http://127.0.0.1:{port}/api"):
        yield f"http://127.0.0.1:{port}/lab/tree/notebooks"


@contextmanager
def served(path):
    """Serve a script or a notebook as an app; yield its address."""
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "panel", "serve", str(path), f"--port={port}", "--liveness"]
    with _server(command, os.environ, path.with_suffix(".log"), f"{address}/liveness"):
        yield f"{address}/{path.stem}"


@contextmanager
def _server(command, environment, log_path, address):
    """Start a server, wait until it answers, and stop it."""
    with log_path.open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            _wait_for(address)
            yield
        finally:
            server.terminate()
            server.wait(timeout=30)


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def cell_with(page, source):
    """Return the code cell that holds a piece of source."""
    return page.locator(".jp-CodeCell", has_text=source)


def count_colour(locator, colour):
    """Count the pixels of one colour, as ``#rrggbb``, in what an element shows."""
    picture = Image.open(io.BytesIO(locator.screenshot())).convert("RGB")
    wanted = list(bytes.fromhex(colour[1:]))
    return int((np.abs(np.asarray(picture).astype(int) - wanted).max(-1) < 8).sum())


def run_all(page, address):
    """Open a notebook and start all its cells."""
    page.goto(f"{address}?reset")
    page.locator(".jp-Notebook").wait_for(timeout=FIRST_RUN_MS)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=FIRST_RUN_MS)
    page.get_by_text("Run", exact=True).first.click()
    page.get_by_text("Run All Cells", exact=True).click()


def stop_kernels(page, address):
    """End all kernels of a JupyterLab that a page was opened in: each may hold 2 GB."""
    kernels = f"{address.split('/lab/')[0]}/api/kernels"
    cookies = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}
    headers = {"X-XSRFToken": cookies.get("_xsrf", "")}
    for kernel in page.request.get(kernels).json():
        page.request.delete(f"{kernels}/{kernel['id']}", headers=headers, timeout=FIRST_RUN_MS)


def wait_for_cells(page, seconds=2 * FIRST_RUN_MS // 1000):
    """Wait until no cell runs or waits, and see that all of them have run, in their order."""
    prompts = page.locator(".jp-CodeCell .jp-InputPrompt")
    wait_until(lambda: not any("*" in text for text in prompts.all_text_contents()), page, seconds)
    told = prompts.all_text_contents()
    assert told == [f"[{n}]:" for n in range(1, len(told) + 1)]  # none after an error has run


def wait_for_panel(page):
    """Wait until all cells have run, and the kernel hears what is done in Panel's outputs.

    What an output says while another cell runs may reach the kernel before its channel is open,
    and is lost; Panel then keeps what follows back, for 5 s.
    """
    wait_for_cells(page)
    page.wait_for_timeout(6000)


def wait_until(condition, page, seconds=30):
    """Look again and again, until something is so."""
    for _ in range(seconds * 5):
        if condition():
            return
        page.wait_for_timeout(200)
    raise AssertionError(f"not so after {seconds} s")


def write_notebook(path, cells):
    """Write code cells to a notebook."""
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    content = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell.strip()) for cell in cells],
        metadata={"kernelspec": kernel},
    )
    nbformat.write(content, path)


def _wait_for(url, seconds=60):
    for _ in range(seconds * 2):
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(f"{url} does not answer after {seconds} s")
