"""A CSV file in the file browser is scored where it lies, beside itself, with nothing overwritten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest

if TYPE_CHECKING:
    from tests.browser.conftest import Jupyter, Kernel, Lab


def test_a_file_is_scored_by_its_context_menu_and_the_result_lies_beside_it(
    lab: Lab, jupyter: Jupyter, houses: str, houses_kernel: Kernel
) -> None:
    # `rooms` is called otherwise in the file, one row holds a word, and there is a column that nobody needs.
    lines = ["street,area,number_of_rooms", "Oak Lane,100,3", "Elm Row,about 90,2", '"Ash, the old",150.5,5']
    (jupyter.files / "street.csv").write_text("\n".join(lines) + "\n")
    lab.open()
    lab.page.locator(".jp-DirListing-item", has_text="street.csv").click(button="right")
    lab.page.get_by_role("menuitem", name="Score with Model…").click()

    dialog = lab.page.locator(".tt-CsvDialog")
    dialog.get_by_text("No column is chosen for: rooms.").wait_for()
    dialog.get_by_label("Model").select_option(label="houses/1")
    assert dialog.get_by_label("area").input_value() == "area"
    dialog.get_by_label("rooms").select_option("number_of_rooms")
    lab.page.locator(".jp-Dialog").get_by_role("button", name="Start").click()

    lab.page.get_by_text("street.scored.csv is written. 1 of 3 rows could not be scored").wait_for()
    scored = pd.read_csv(jupyter.files / "street.scored.csv")
    assert list(scored.columns[:3]) == ["street", "area", "number_of_rooms"]
    assert list(scored["street"]) == ["Oak Lane", "Elm Row", "Ash, the old"]
    here = houses_kernel.run(
        "print(model.predict(np.array([[100, 3], [150.5, 5]], 'float32'), verbose=0)[:, 0].tolist())"
    )
    answers = scored.iloc[:, 3]
    assert [answers[0], answers[2]] == pytest.approx(eval(here), rel=1e-4)
    assert pd.isna(answers[1])
    rejects = (jupyter.files / "street.rejects.csv").read_text()
    assert "about 90" in rejects or "area" in rejects

    lab.page.get_by_role("button", name="Rejected rows").click()
    lab.panel.get_by_role("region", name="Rejected rows").get_by_role(
        "cell", name="'about 90' is not"
    ).wait_for()

    # Once more: the first result stays as it is.
    lab.command("tensortrigger:score-csv", path="street.csv")
    dialog.get_by_label("Model").select_option(label="houses/1")
    dialog.get_by_label("rooms").select_option("number_of_rooms")
    lab.page.locator(".jp-Dialog").get_by_role("button", name="Start").click()
    lab.page.get_by_text("street.scored-2.csv is written.").wait_for()
    assert (jupyter.files / "street.scored-2.csv").read_text() == (
        jupyter.files / "street.scored.csv"
    ).read_text()
