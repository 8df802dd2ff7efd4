"""The sections of the page's column: inputs, vertebrae, candidates, evidence, files.

Each is given the `page.Page` that it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from trame.widgets import html
from trame.widgets import vuetify3 as v3

from HideSeekLib.i18n import _
from HideSeekLib.wire.levels import LEVELS

SCHEMES = [
    {"title": "choose …", "value": ""},
    {"title": "VerSe, SPINEPS (20 = L1)", "value": "verse"},
    {"title": "TotalSegmentator 2 (31 = L1)", "value": "totalsegmentator"},
    {"title": "TotalSegmentator 1 (22 = L1)", "value": "totalsegmentator-v1"},
]
SLICES = [
    {"title": "Central slices (quick)", "value": "central"},
    {"title": "All slices (volumes)", "value": "all"},
]
HEADS = (
    ("", ""),
    ("", ""),
    ("Δ", _("share of the suspicion that this candidate alone explains")),
    ("", ""),
    (_("P w/o"), _("malignancy of the vertebra with only this candidate hidden")),
    ("mm³", _("of its voxels; central slices alone give one slab, not a lesion")),
    ("HU", _("mean over it")),
)
CSS = """
html { overflow-y: hidden; }
/* While the page moves anything, it takes the processor that draws the views. */
*, *::before, *::after { transition: none !important; }
.v-progress-linear:not(.v-progress-linear--active) * { animation: none !important; }
.hs-drawer input[type=checkbox] { margin-right: 6px; }
.hs-drawer .v-navigation-drawer__content { padding: 10px 14px 34px; }
.hs-drawer h3 { margin: 14px 0 4px; font-size: 15px; font-weight: 600; }
.hs-drawer table { width: 100%; border-collapse: collapse; font-size: 13px; }
.hs-drawer th { text-align: left; font-weight: 500; opacity: .75; padding: 2px 5px; }
.hs-drawer td { padding: 3px 5px; white-space: nowrap; }
.hs-vertebra td.p { text-align: right; width: 52px; border-radius: 3px; }
.hs-drawer td.hs-state { white-space: normal; opacity: .8; }
.hs-scroll { max-height: 31vh; overflow-y: auto; }
.hs-scroll thead th { position: sticky; top: 0; background: #212121; z-index: 1; opacity: 1; }
.hs-candidate { cursor: pointer; }
.hs-candidate:hover { background: rgba(255, 255, 255, .06); }
.hs-candidate.selected { background: rgba(255, 217, 26, .20); box-shadow: inset 3px 0 #ffd91a; }
.hs-candidate.dropped { opacity: .5; }
.hs-right { text-align: right; }
.hs-select { font-size: 12px; color: inherit; background: #333; padding: 4px 6px;
  border: 1px solid #555; border-radius: 4px; max-width: 100%; }
.hs-bar { width: 64px; height: 9px; background: #444; border-radius: 2px; }
.hs-bar div { height: 100%; border-radius: 2px; }
.lytic { color: #ff7d72; } .blastic { color: #7db0ff; }
.hs-bar .lytic { background: #d03b32; } .hs-bar .blastic { background: #2f6fd0; }
.hs-row { display: flex; gap: 6px; align-items: center; flex-wrap: wrap; margin: 4px 0; }
.hs-note { font-size: 12px; opacity: .8; min-height: 18px; }
.hs-message { font-size: 13px; padding: 5px 8px; border-radius: 4px; background: #333; }
.hs-message.problem { background: #6b3f00; }
.hs-label { width: 88px; font-size: 13px; }
.hs-side { position: absolute; font-size: 14px; color: #e8d9a0; pointer-events: none;
  text-shadow: 0 0 3px #000; z-index: 2; }
.hs-views { display: flex; width: 100%; height: calc(100vh - 26px); }
.hs-warning { position: fixed; right: 0; bottom: 0; left: 460px; height: 26px; z-index: 5;
  font-size: 13px; text-align: center; line-height: 26px; background: #6b3f00; color: #fff; }
kbd { background: #444; border-radius: 3px; padding: 0 4px; font-size: 11px; }
"""


def build(page: Any) -> None:
    """Build all sections, from top to bottom."""
    levels = [{"title": level or "choose …", "value": level} for level in ("", *LEVELS)]
    page.state.update({"slice_choices": SLICES, "schemes": SCHEMES, "all_levels": levels})
    html.Div("HideSeek review", style="font-size: 18px; font-weight: 600")
    _inputs(page)
    with html.Div(v_if=("!blind",)):
        _vertebrae(page)
    _job(page)
    with html.Div(v_if=("!blind",)):
        _candidates(page)
        _evidence(page)
        _region(page)
    page.worklist.build()
    with html.Div(v_if=("!blind",)):
        _files(page)


def _button(page: Any, text: str, action: Any, name: str, **more: Any) -> None:
    v3.VBtn(
        text,
        click=lambda: page.act(action),
        size="small",
        variant="tonal",
        classes=f"hs-{name}",
        **more,
    )


def _choice(name: str, choices: str, chosen: Callable[[str], None]) -> None:
    """A drop-down list. name, choices: in the page's state."""
    with html.Select(
        value=(name,), change=(chosen, "[$event.target.value]"), classes=f"hs-select hs-{name}"
    ):
        html.Option("{{ c.title }}", v_for=f"c in {choices}", key="c.value", value=("c.value",))


def _inputs(page: Any) -> None:
    reviewer = page.reviewer
    html.H3(_("1  Inputs"))
    html.Div(
        "{{ ct_name || 'No CT yet' }} · {{ vertebrae_name || 'no vertebrae' }}", classes="hs-note"
    )
    with html.Div(classes="hs-row"):
        html.Input(
            type="file",
            multiple=True,
            classes="hs-upload",
            style="font-size: 12px; max-width: 100%",
            change="window.hideseekUpload($event.target.files); $event.target.value = ''",
        )
    with html.Div(classes="hs-row"):
        v3.VTextField(
            v_model=("path",),
            label=_("or a file or folder on the computer that runs this"),
            density="compact",
            hide_details=True,
            variant="outlined",
            classes="hs-path",
        )
        _button(page, _("Open"), lambda: reviewer.open([_path(page.state.path)]), "open")
    with html.Div(v_if=("needs_scheme",), classes="hs-row"):
        html.Span(_("Which label values are these?"), classes="hs-note")
        _choice("scheme", "schemes", lambda v: page.act(partial(reviewer.use_scheme, v)))


def _path(text: str) -> Path:
    return Path(str(text).strip()).expanduser()


def _vertebrae(page: Any) -> None:
    reviewer = page.reviewer
    html.H3(_("2  Vertebrae"))
    with (
        html.Div(classes="hs-scroll", style="max-height: 24vh"),
        html.Table(v_if=("vertebrae.length",)),
        html.Tbody(),
        html.Tr(v_for="v in vertebrae", key="v.level", classes="hs-vertebra"),
    ):
        with html.Td(style="width: 74px"), html.Label():
            html.Input(
                type="checkbox",
                checked=("v.ticked",),
                change=(lambda level: page.act(partial(page.tick, level)), "[v.level]"),
            )
            html.Span(" {{ v.level }}")
        html.Td("{{ v.p }}", classes="p", style=("v.tint",))
        html.Td("{{ v.state }}", title=("v.doubt",), classes="hs-state")
    with html.Div(classes="hs-row"):
        _button(page, _("Screen all"), reviewer.screen, "screen", disabled=("!vertebrae.length",))
        _button(page, _("Analyse ticked"), reviewer.analyse, "analyse")
        v3.VBtn(
            "{{ picking ? 'Click a vertebra …' : 'Click in a view' }}",
            click=lambda: page.act(lambda: page.pick(not reviewer.picking)),
            color=("picking ? 'amber' : undefined",),
            size="small",
            variant="tonal",
            classes="hs-pick",
        )
    with html.Div(classes="hs-row"):
        _choice("slices", "slice_choices", lambda v: page.act(partial(reviewer.use_slices, v)))
    with html.Div(v_if=("ct_name && !vertebrae_name",), classes="hs-row"):
        html.Span(_("Level to click"), classes="hs-note")
        _choice("pick_level", "all_levels", partial(_choose_level, page))
        _button(page, _("Analyse this body"), reviewer.analyse_body, "body", v_if=("has_body",))


def _choose_level(page: Any, level: str) -> None:
    page.reviewer.pick_level = page.state.pick_level = level


def _job(page: Any) -> None:
    with html.Div(v_if=("busy",), classes="hs-row"):
        v3.VProgressLinear(
            model_value=("progress",), indeterminate=("!progress",), height=6, color="amber",
            style="flex: 1",
        )  # fmt: skip
        _button(page, _("Cancel"), page.reviewer.cancel, "cancel")
    html.Div("{{ progress_text }}", v_if=("busy",), classes="hs-note")
    html.Div(
        "{{ message }}", v_if=("message",), classes=("'hs-message' + (problem ? ' problem' : '')",)
    )


def _candidates(page: Any) -> None:
    reviewer = page.reviewer
    html.H3(_("3  Candidates"))
    with html.Div(v_if=("cases.length > 1",), classes="hs-row"):
        html.Span(_("What was reviewed is never overwritten:"), classes="hs-note")
        _choice("case", "cases", lambda v: page.act(partial(reviewer.choose_case, v)))
    with html.Div(classes="hs-row"):
        html.Span("{{ 'Keep Δ ≥ ' + Number(threshold).toFixed(2) }}", classes="hs-label")
        v3.VSlider(
            v_model_number=("threshold", 0.5), min=0, max=1, step=0.01, hide_details=True,
            density="compact", style="flex: 1", classes="hs-threshold", end=page.drag_ends,
        )  # fmt: skip
    with html.Div(classes="hs-scroll"), html.Table(v_if=("candidates.length",)):
        with html.Thead(), html.Tr():
            for head, meaning in HEADS:
                html.Th(head, title=meaning)
        with (
            html.Tbody(),
            html.Tr(
                v_for="c in candidates",
                key="c.key",
                classes=(
                    "'hs-candidate' + (c.key == selected ? ' selected' : '')"
                    " + (c.kept ? '' : ' dropped')",
                ),
                id=("c.key",),
                click=(lambda key: page.look(partial(reviewer.select, key)), "[c.key]"),
            ),
        ):
            html.Td(
                "{{ c.mark }} {{ c.key.replace(':', ' · ') }} {{ c.doubt ? '⚠' : '' }}",
                title=("c.doubt",),
                classes="hs-name",
            )
            html.Td("{{ c.polarity }}", classes=("c.polarity",))
            html.Td("{{ c.delta }}", classes="hs-right")
            with html.Td(), html.Div(classes="hs-bar"):
                html.Div(classes=("c.polarity",), style=("'width: ' + c.bar + '%'",))
            html.Td("{{ c.without }}", classes="hs-right")
            html.Td("{{ c.volume }}", classes="hs-right")
            html.Td("{{ c.hu }}", classes="hs-right")
    html.Div("{{ counts }}", classes="hs-note hs-counts")
    html.Div("{{ volume_note }}", v_if=("volume_note",), classes="hs-note")
    html.Div("{{ vertebra_text }}", classes="hs-note")
    with html.Div(classes="hs-row"):
        off = {"disabled": ("!selected",)}
        _button(page, _("Accept (A)"), lambda: reviewer.decide("accept"), "accept", **off)
        _button(page, _("Reject (X)"), lambda: reviewer.decide("reject"), "reject", **off)
        _button(page, _("Reset (U)"), lambda: reviewer.decide(None), "reset", **off)
        _button(page, "↶", reviewer.undo, "undo", disabled=("!can_undo",))
        _button(page, "↷", reviewer.redo, "redo", disabled=("!can_redo",))
    v3.VTextField(
        v_if=("selected",), v_model=("reason",), label=_("Reason, if you want one (Enter)"),
        density="compact", hide_details=True, variant="outlined", classes="hs-reason",
        keyup_enter=lambda: page.act(lambda: reviewer.set_reason(str(page.state.reason))),
    )  # fmt: skip


def _evidence(page: Any) -> None:
    evidence = page.reviewer.evidence
    html.H3(_("4  Evidence"))
    with html.Div(classes="hs-row"):
        html.Span(_("CT → healthy"), classes="hs-label")
        v3.VSlider(
            v_model_number=("fade", 0.0), min=0, max=1, step=0.05, hide_details=True,
            density="compact", style="flex: 1", classes="hs-fade", disabled=("!selected",),
        )  # fmt: skip
    with html.Div(classes="hs-row"):
        v3.VBtn(
            "{{ flickering ? 'Stop flicker (F)' : 'Flicker (F)' }}",
            click=lambda: page.act(evidence.toggle_flicker),
            size="small", variant="tonal", classes="hs-flicker", disabled=("!selected",),
        )  # fmt: skip
        v3.VBtn(
            "{{ difference ? 'Hide difference (D)' : 'Difference (D)' }}",
            click=lambda: page.act(evidence.toggle_difference),
            size="small", variant="tonal", classes="hs-difference", disabled=("!selected",),
        )  # fmt: skip
        html.Span(_("red: missing bone, blue: excess bone"), classes="hs-note")


def _region(page: Any) -> None:
    reviewer, regions = page.reviewer, page.reviewer.regions
    html.H3(_("5  Score a region of your own"))
    with html.Div(v_if=("has_case",)):
        with html.Div(classes="hs-row"):
            v3.VBtn(
                "{{ drawing && !erasing ? 'Drawing … (Esc)' : 'Draw' }}",
                click=lambda: page.act(lambda: page.draw_with(erase=False)),
                color=("drawing && !erasing ? 'teal' : undefined",),
                size="small", variant="tonal", classes="hs-draw",
            )  # fmt: skip
            v3.VBtn(
                "{{ drawing && erasing ? 'Erasing … (Esc)' : 'Erase' }}",
                click=lambda: page.act(lambda: page.draw_with(erase=True)),
                color=("drawing && erasing ? 'teal' : undefined",),
                size="small", variant="tonal", classes="hs-erase", disabled=("!region",),
            )  # fmt: skip
            _button(page, _("New"), page.new_region, "new-region", disabled=("!region",))
            _button(page, _("Score"), reviewer.score_region, "score", disabled=("!can_score",))
        with html.Div(classes="hs-row"):
            html.Span("{{ 'Ball ' + Number(radius).toFixed(1) + ' mm' }}", classes="hs-label")
            v3.VSlider(
                v_model_number=("radius", 4.0), min=1, max=15, step=0.5, hide_details=True,
                density="compact", style="flex: 1", classes="hs-radius",
            )  # fmt: skip
            html.Span("{{ drawn }}", classes="hs-note")
        with html.Div(v_if=("regions.length",), classes="hs-row"):
            _choice("region", "regions", lambda v: page.act(partial(regions.choose, v)))
        with html.Div(classes="hs-row"):
            html.Span(_("or segments of a file:"), classes="hs-note")
            html.Input(
                type="file",
                classes="hs-upload-regions",
                style="font-size: 12px; max-width: 250px",
                change="window.hideseekUpload($event.target.files, 'regions');"
                " $event.target.value = ''",
            )
    html.Div(_("Screen or analyse first."), v_if=("!has_case",), classes="hs-note")


def _files(page: Any) -> None:
    html.H3(_("6  Report and files"))
    with html.Div(classes="hs-row"):
        off = {"disabled": ("!candidates.length",)}
        _button(page, _("Export"), page.reviewer.export, "export", **off)
        _button(page, _("Save scene (.mrb)"), page.reviewer.save, "save", disabled=("!ct_name",))
    with html.Div(classes="hs-row hs-files"):
        html.A(
            "{{ f }}", v_for="f in files", key="f", href=("window.hideseekFile(f)",),
            target="_blank", style="font-size: 12px; color: #9cc4ff",
        )  # fmt: skip
    html.Div(_("DICOM objects for the PACS"), classes="hs-note", style="margin-top: 8px")
    for name, label in (
        ("study", _("Study: folder, zip or DICOMDIR on the computer that runs this")),
        ("reader", _("Reader (Family^Given), if named")),
    ):
        v3.VTextField(
            v_model=(name,), label=label, density="compact", hide_details=True,
            variant="outlined", classes=f"hs-{name}", style="margin-bottom: 5px",
        )  # fmt: skip
    with html.Label(v_if=("odd_levels",), classes="hs-note"):
        html.Input(type="checkbox", v_model=("levels_checked", False))
        html.Span("{{ odd_levels }} I have counted them in the images.")
    with html.Div(classes="hs-row"):
        state = page.state
        _button(
            page, _("Write DICOM"),
            lambda: page.reviewer.export_dicom(
                str(state.study or ""), str(state.reader or ""), bool(state.levels_checked)
            ),
            "dicom", disabled=("!candidates.length || writing_dicom",),
        )  # fmt: skip
        _button(page, _("Cancel"), page.reviewer.dicom.writing.cancel, "cancel-dicom",
                v_if=("writing_dicom",))  # fmt: skip
        html.Span("{{ dicom_progress }} %", v_if=("writing_dicom",), classes="hs-note")
