"""A worklist in the browser: its section of the page, and what its buttons do."""

from __future__ import annotations

from typing import Any

from trame.widgets import html
from trame.widgets import vuetify3 as v3

from HideSeekLib.case import scene_file
from HideSeekLib.errors import InputError
from HideSeekLib.i18n import _
from HideSeekLib.run.reading import Readings, about_task, task_cells


class Worklist:
    """One reader at a folder of cases, one after the other. page: a `page.Page`."""

    def __init__(self, page: Any) -> None:
        self.page, self.readings = page, page.reviewer.readings

    def choose(self) -> None:
        """Take folder and reader from the page and show the list."""
        folder, reader = (
            str(self.page.state[n] or "").strip() for n in ("list_folder", "reads_as")
        )
        if not folder or not reader:
            raise InputError(_("Give the folder of the cases and your name."))
        self.readings.take(folder, reader)
        self.readings.todo()
        self.page.changed("inputs")

    def open_next(self) -> None:
        """Open the next case that is not done; the open one is kept as it is."""
        self.choose()
        reviewer = self.page.reviewer
        task = self.readings.open_next(lambda name, ct, mask: reviewer.open_listed(ct, mask))
        reviewer.board.say(about_task(task) if task else _("Every case of the list is done."))
        self.page.changed("inputs")

    def done(self) -> None:
        """Keep findings and time as final, and the scene beside them."""
        reviewer = self.page.reviewer
        if reviewer.board.analysis.busy():
            raise InputError(_("An analysis runs. Cancel it before you open another case."))
        path = self.readings.done()
        if path is not None:
            with reviewer.evidence.put_away():
                scene_file.save_mrb(self.page.app.scene, path.with_suffix(".mrb"))
            reviewer.close_case()
            self.page.changed("inputs")

    def cycle(self, level: str) -> None:
        """Say the next finding of a level."""
        self.readings.cycle(level)
        self.page.changed("inputs")

    def show_list(self) -> None:
        """Write the list into the page's state."""
        self.page.state.worklist = _rows(self.readings)

    def show_findings(self) -> None:
        """Write what is open and was said of it into the page's state."""
        readings, state = self.readings, self.page.state
        state.blind = readings.blind
        state.reading = readings.task.case if readings.task is not None else ""
        levels = self.page.reviewer.board.levels() if readings.task is not None else ()
        state.findings = [{"level": n, "label": _(readings.label(n))} for n in levels]

    def build(self) -> None:
        """Build the section."""
        page = self.page
        html.H3(_("Worklist"))
        with html.Div(classes="hs-row"):
            for name, label in (
                ("list_folder", _("folder of cases")),
                ("reads_as", _("your name")),
            ):
                v3.VTextField(
                    v_model=(name,), label=label, density="compact", hide_details=True,
                    variant="outlined", classes=f"hs-{name}",
                )  # fmt: skip
        with html.Div(classes="hs-row"):
            for text, action, name, more in (
                (_("Show"), self.choose, "list", {}),
                (_("Next case"), self.open_next, "next-case", {}),
                (_("Done"), self.done, "done", {"disabled": ("!reading",)}),
            ):
                v3.VBtn(
                    text, click=_acting(page, action), size="small", variant="tonal",
                    classes=f"hs-{name}", **more,
                )  # fmt: skip
        with (
            html.Div(v_if=("worklist.length",), classes="hs-scroll", style="max-height: 16vh"),
            html.Table(),
            html.Tbody(),
            html.Tr(v_for="t in worklist", key="t.key", classes="hs-task"),
        ):
            html.Td("{{ t.name }}")
            html.Td("{{ t.arm }}")
            html.Td("{{ t.state }}")
            html.Td("{{ t.time }}", classes="hs-right")
        with html.Div(v_if=("findings.length",), classes="hs-row"):
            v3.VBtn(
                "{{ f.level }} {{ f.label }}",
                v_for="f in findings", key="f.level", size="x-small", variant="tonal",
                color=("f.label === 'healthy' ? undefined : 'amber'",), classes="hs-finding",
                click=(lambda level: page.act(lambda: self.cycle(level)), "[f.level]"),
            )  # fmt: skip


def _acting(page: Any, action: Any) -> Any:
    return lambda: page.act(action)


def _rows(readings: Readings) -> list[dict[str, str]]:
    if not readings.reader:
        return []
    try:
        todo = readings.todo()
    except InputError:  # told where it was asked for
        return []
    names = ("name", "arm", "state", "time")
    return [
        {"key": f"{task.case} {task.arm}", **dict(zip(names, task_cells(task), strict=True))}
        for task in todo
    ]
