"""JupyterLab in a tab of the browser, with what the tests do there over and over."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import ConsoleMessage, Locator, Page
from running_jupyter import TOKEN, Jupyter

PATIENCE = 90_000
"""Milliseconds that a slow machine may take for one step."""


class Lab:
    """JupyterLab in one tab, with what the tests do over and over."""

    def __init__(self, page: Page, jupyter: Jupyter) -> None:
        self.page = page
        self.jupyter = jupyter
        self.complaints: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "tensortrigger" in message.text.lower():
            self.complaints.append(message.text)

    def open(self, path: str = "", workspace: str = "") -> Lab:
        """Load the page anew, with a file open, in an empty workspace."""
        where = f"lab/workspaces/{workspace}" if workspace else "lab"
        tree = f"/tree/{path}" if path else ""
        reset = "" if workspace else "&reset"
        self.page.goto(f"{self.jupyter.url}{where}{tree}?token={TOKEN}{reset}")
        self.page.wait_for_selector("#jupyterlab-splash", state="detached")
        self.page.wait_for_function(
            "() => window.jupyterapp?.shell && document.querySelector('.jp-FileBrowser, .jp-NotebookPanel')"
        )
        if path.endswith(".ipynb"):
            self.wait_for_kernel("idle")
        return self

    def command(self, name: str, **arguments: Any) -> Any:
        """Run a command of the application, as a menu or shortcut would, without waiting for its end."""
        return self.page.evaluate(
            "([name, args]) => { void window.jupyterapp.commands.execute(name, args); }", [name, arguments]
        )

    def cell_runs(self) -> bool:
        """Whether a cell of the notebook in front runs; an answer beside it may make the kernel look idle."""
        return self.page.locator(".jp-NotebookPanel:visible .jp-InputArea-prompt", has_text="[*]").count() > 0

    def wait_for_cells(self) -> None:
        """Until no cell of the notebook in front runs."""
        self.page.locator(".jp-NotebookPanel:visible .jp-InputArea-prompt", has_text="[*]").wait_for(
            state="detached"
        )

    def wait_for_kernel(self, status: str) -> None:
        self.page.wait_for_function(
            "(status) => window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === status",
            arg=status,
        )

    def run_all(self) -> None:
        """Run every cell of the notebook in front and wait until the kernel is idle again."""
        self.start_all()
        self.page.wait_for_function(
            "() => window.jupyterapp.shell.currentWidget.content.widgets"
            ".every(cell => cell.model.type !== 'code' || cell.model.executionCount)"
        )
        self.wait_for_kernel("idle")

    def start_all(self) -> None:
        self.command("notebook:run-all-cells")

    def widen_panel(self, width: int) -> None:
        """Drag the border of the side panel until it is so many pixels wide."""
        box = self.panel.bounding_box()
        assert box is not None
        top = box["y"] + box["height"] / 2
        self.page.mouse.move(box["x"] - 2, top)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] - 2 + box["width"] - width, top, steps=5)
        self.page.mouse.up()

    def set_theme(self, name: str) -> None:
        """Choose a theme; it goes into the settings, so who needs a certain one chooses it."""
        self.page.evaluate(
            "name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})", name
        )
        light = "false" if "Dark" in name else "true"
        self.page.locator(f"body[data-jp-theme-light={light}]").wait_for(state="attached")

    def add_cell(self, source: str) -> None:
        """Put a cell below the active one and start it."""
        self.page.evaluate(
            """async source => {
                const { commands, shell } = window.jupyterapp;
                await commands.execute('notebook:insert-cell-below');
                shell.currentWidget.content.activeCell.model.sharedModel.setSource(source);
                void commands.execute('notebook:run-cell');
            }""",
            source,
        )
        self.page.locator(".jp-Cell.jp-mod-active .jp-InputArea-prompt", has_text="[*]").wait_for()

    def wait_for_output(self, text: str) -> None:
        """Until a cell of the notebook in front has printed this; only then does the page know that it runs."""
        self.page.locator(".jp-NotebookPanel:visible .jp-OutputArea-output", has_text=text).first.wait_for()

    def outputs(self) -> list[str]:
        """The text that stands below the cells of the notebook in front."""
        return self.page.locator(".jp-NotebookPanel:visible .jp-OutputArea-output").all_inner_texts()

    @property
    def publish_button(self) -> Locator:
        return self.page.locator(
            ".jp-NotebookPanel:visible [data-jp-item-name='tensortrigger-publish'] [role=button], "
            ".jp-NotebookPanel:visible [data-jp-item-name='tensortrigger-publish'] jp-button"
        )

    @property
    def dialog(self) -> Locator:
        return self.page.locator(".tt-PublishDialog")

    def button(self, name: str) -> Locator:
        """A button of the publish dialog."""
        return self.dialog.get_by_role("button", name=name, exact=True)

    def wait_until_published(self, name: str) -> None:
        """Until the dialog says so; where nothing is warm, the backend imports TensorFlow first, with low priority."""
        self.dialog.get_by_text(f"{name} is ready.").wait_for(timeout=4 * PATIENCE)

    @property
    def panel(self) -> Locator:
        return self.page.locator(".tt-PanelBody")

    def open_panel(self, tab: str, **arguments: Any) -> Locator:
        """Open the side panel at one of its tabs."""
        self.command("tensortrigger:open-panel", tab=tab, **arguments)
        self.panel.locator(f"#tt-tabpanel-{tab}").wait_for()
        return self.panel
