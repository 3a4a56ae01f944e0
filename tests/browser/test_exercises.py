"""The exercises as a learner does them: run all, type a wrong answer, read a hint, find it."""

import pytest
from steps import FIRST_RUN_MS, cell_with, run_all

from axonlab import exercises, faults

TASK = "size"


@pytest.fixture(scope="module")
def notebook(page, lab):
    """Open the exercises and run all cells, once."""
    run_all(page, f"{lab}/09_exercises.ipynb")
    cell_with(page, "score(mine)").get_by_text("wrong_tries").last.wait_for(timeout=FIRST_RUN_MS)
    return page


def answer(page, text):
    """Type an answer in place of what stands there, and run the cell."""
    cell = cell_with(page, f'check("{TASK}"')
    cell.scroll_into_view_if_needed()
    cell.locator(".cm-line").first.click()
    page.keyboard.press("Home")
    page.keyboard.press("Shift+End")
    page.keyboard.insert_text(f'answer = "{text}"')
    page.keyboard.press("Control+Enter")
    return cell.locator(".jp-OutputArea-output")


def test_unanswered_is_no_error(notebook):
    """All cells run, nothing is printed to stderr, and the checks say that they wait."""
    assert notebook.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
    assert notebook.locator(".jp-OutputArea-output[data-mime-type*='stderr']").count() == 0
    cell = cell_with(notebook, f'check("{TASK}"')
    cell.scroll_into_view_if_needed()
    cell.get_by_text("Not answered yet").wait_for()


def test_a_wrong_answer_gives_a_hint_and_the_right_one_points(notebook):
    """Hints become more, an odd answer is no try, and the right one ends it."""
    right = exercises.solutions(1)[TASK]
    wrong = [animal for animal in faults.ANIMALS if animal != right]
    for n, animal in enumerate(wrong[:2], start=1):
        said = answer(notebook, animal)
        said.get_by_text(f"Not yet, it is not {animal}").wait_for()
        assert said.locator("li").count() == n
    assert right not in said.inner_text()
    said = answer(notebook, right.upper())
    said.get_by_text("has capitals").wait_for()
    said = answer(notebook, right)
    said.get_by_text("Right, 2 of 4 points").wait_for()
