"""What the browser tests do again and again in JupyterLab."""

FIRST_RUN_MS = 180_000
"""A first import on a cold machine takes its time."""


def cell_with(page, source):
    """Return the code cell that holds a piece of source."""
    return page.locator(".jp-CodeCell", has_text=source)


def run_all(page, address):
    """Open a notebook and start all its cells."""
    page.goto(f"{address}?reset")
    page.locator(".jp-Notebook").wait_for(timeout=FIRST_RUN_MS)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=FIRST_RUN_MS)
    page.get_by_text("Run", exact=True).first.click()
    page.get_by_text("Run All Cells", exact=True).click()


def wait_until(condition, page, seconds=30):
    """Look again and again, until something is so."""
    for _ in range(seconds * 5):
        if condition():
            return
        page.wait_for_timeout(200)
    raise AssertionError(f"not so after {seconds} s")
