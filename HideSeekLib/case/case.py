"""A case in the scene: the backend's results as nodes, and the review that drives them.

One text node, the hub, stands for a case. It holds the decisions and refers to every other node
of the case by role, so that a reopened scene finds all of it again. The CT and the segmentations
are only referred to: nothing of the user's is changed or moved.
"""

from __future__ import annotations

import json
import logging
import math
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import slicer

from HideSeekLib import __version__
from HideSeekLib.anatomy import terminology
from HideSeekLib.anatomy.geometry import grid_of, in_scene, need
from HideSeekLib.case import evidence, folders, lesion_segments, lesions_view, table_nodes
from HideSeekLib.case import rows as case_rows
from HideSeekLib.case.dicom_database import acquisition
from HideSeekLib.case.nodes import CaseNodes
from HideSeekLib.case.record import Record, same_grid
from HideSeekLib.case.reply import VertebraReply, parse_candidate, parse_screened, parse_vertebra
from HideSeekLib.case.review import Review
from HideSeekLib.case.segments import LesionSegments
from HideSeekLib.errors import ReplyError, SceneError
from HideSeekLib.i18n import _
from HideSeekLib.wire.codec import shared, to_plain
from HideSeekLib.wire.records import Candidate, Vertebra

__all__ = [
    "ApplyReport",
    "Case",
    "begin_run",
    "case_from_node",
    "cases_in_scene",
]

log = logging.getLogger(__name__)

HUB_ATTRIBUTE = "HideSeek.Case"
_DEFAULT_TAU = 0.5


@dataclass(frozen=True)
class ApplyReport:
    """What a change did. changed: candidate keys kept now and not before, or the reverse;
    segments: names of the segments rewritten; edited_by_hand: those that were left alone."""

    changed: frozenset[str]
    segments: tuple[str, ...]
    edited_by_hand: tuple[str, ...]
    seconds: float


# The scene's own nodes know nothing of Python objects: this finds the Case of a hub again.
_open_cases: weakref.WeakValueDictionary[str, Case] = weakref.WeakValueDictionary()


def begin_run(
    ct_node: Any,
    vertebra_node: Any = None,
    *,
    model: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    levels: Sequence[str] = (),
    body_node: Any = None,
    overrides: Mapping[str, str] | None = None,
) -> Case:
    """Give the case that a run shall write into.

    That is the newest case of this CT, segmentation and model, unless something was decided there
    about one of `levels`: then a new version is made beside it, so a reviewed result is never
    overwritten. model: what the worker told of the loaded model ("name", "hash"); options: what
    the run is asked for, its "tau" being the first Δ threshold.
    Raises NodeGone or InputError when the CT cannot be used.
    """
    need(ct_node, _("The CT"))
    grid = grid_of(ct_node)
    digest = (model or {}).get("hash")
    own = [
        case
        for case in reversed(cases_in_scene())
        if case.ct is ct_node
        and case.nodes.vertebrae is vertebra_node
        and case.record.model.get("hash") == digest
        and same_grid(case.record.grid, grid)
    ]
    # A version that a cancelled run left empty stands behind the results, and is used up first.
    own.sort(key=lambda case: not case.record.levels())
    if own and any(own[0].review.reviewed(level) for level in levels):
        own = [case for case in own if not case.record.levels()]
    if own:
        own[0].record.overrides = dict(overrides or {})
        own[0].record.options = dict(options or {})
        return own[0]
    scan = acquisition(ct_node)
    record = Record(
        name=folders.free_name(ct_node.GetScene(), ct_node.GetName()),
        grid=grid,
        model=dict(model or {}),
        options=dict(options or {}),
        overrides=dict(overrides or {}),
        provenance={"hideseek": __version__, **({"scan": to_plain(scan)} if scan else {})},
    )
    return Case.create(record, ct_node, vertebra_node, body_node)


def cases_in_scene(scene: Any = None) -> list[Case]:
    """All cases of the scene, the newest last. Damaged ones are left out."""
    scene = scene or slicer.mrmlScene
    found = []
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLTextNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLTextNode")
        if node.GetAttribute(HUB_ATTRIBUTE):
            try:
                found.append(case_from_node(node))
            except SceneError as error:
                log.warning("A HideSeek case of the scene cannot be used: %s", error)
    return found


def case_from_node(hub: Any) -> Case:
    """The case of a hub node, as it is or as it was saved.

    Raises NodeGone when the hub or its record is gone, SceneError when what is stored is damaged.
    """
    need(hub, _("The HideSeek case"))
    known = _open_cases.get(hub.GetID())
    if known is not None and known.node is hub:
        return known
    record_node = hub.GetNodeReference("record")
    need(record_node, _("The stored result of this HideSeek case"))
    return Case(hub, Record.loads(record_node.GetText() or ""))


class Case:
    """One CT's results under review. Made by `begin_run` or `case_from_node`.

    Every method that needs the scene raises NodeGone when the case was deleted or the scene was
    closed. Other nodes of ours that were deleted are made again from the stored result.
    """

    def __init__(self, hub: Any, record: Record) -> None:
        self.nodes = CaseNodes(hub, record.name)
        self.record = record
        self.review = Review(float(record.options.get("tau", _DEFAULT_TAU)))
        self._segments: LesionSegments | None = None
        self._surfaces_lost = False
        self._faded: set[str] = set()  # changed during a drag, single lesions not yet told
        stored = self.nodes.stored()
        for reply in record.replies.values():
            self._put_candidates(reply)
        self._edited = {tuple(pair) for pair in stored.get("edited", ())}
        if "review" in stored:
            self.review.restore(stored["review"])
        # What the segments show: after a reload they are compared with this, not with what a
        # change that is under way makes of it.
        self._shown = self.review.kept_keys()
        _open_cases[hub.GetID()] = self

    @classmethod
    def create(cls, record: Record, ct: Any, vertebrae: Any, bodies: Any) -> Case:
        """Make the nodes of a new case; `begin_run` decides when."""
        terminology.register_in_slicer()
        scene = ct.GetScene()
        hub = scene.AddNewNodeByClass("vtkMRMLTextNode", record.name)
        hub.SetAttribute(HUB_ATTRIBUTE, "1")
        for role, node in (("ct", ct), ("vertebrae", vertebrae), ("bodies", bodies)):
            if node is not None:
                hub.SetNodeReferenceID(role, node.GetID())
        folder = folders.case_folder(scene, record.name, ct)
        folders.place(scene, hub, folder)
        case = cls(hub, record)
        case._save_record()
        case._save_review()
        case._lesions()
        case._fill_tables()
        return case

    @property
    def node(self) -> Any:
        """The hub, a text node."""
        return self.nodes.hub

    @property
    def alive(self) -> bool:
        """Tell whether the case is still in a scene."""
        return self.nodes.alive

    @property
    def name(self) -> str:
        """The case's name, as its folder and nodes have it."""
        return self.nodes.name

    @property
    def ct(self) -> Any:
        """The CT volume node, or None when it was deleted."""
        return self.nodes.ct

    @property
    def lesions(self) -> Any:
        """The segmentation node of kept lesions, or None when it was deleted."""
        return self.nodes.lesions

    # -- segments -------------------------------------------------------------------------------
    def _lesions(self) -> LesionSegments:
        """The lesion segments, in step with the node: adopted after a reload, made when gone."""
        before = need(self.node, _("The HideSeek case")).GetNodeReference("lesions")
        if self._segments is not None and before is self._segments.node:
            return self._segments
        node = self.nodes.ours("lesions", "vtkMRMLSegmentationNode", _("{case} lesions"))
        segments = LesionSegments(node, self.record.grid)
        self._segments = segments
        replies = self.record.replies.values()
        if before is not None:
            segments.edited = {(pair[0], pair[1]) for pair in self._edited}
            segments.adopt(replies, self._shown)
        else:
            lesions_view.prepare(node, self.ct, self.record.grid)
            for reply in replies:
                segments.put(reply)
            segments.apply(self._shown)
        return segments

    # -- results --------------------------------------------------------------------------------
    def set_screen(self, vertebrae: Iterable[Mapping[str, Any]]) -> None:
        """Take in a screening: vertebrae as the worker tells them.

        Analysed levels keep their own P. Raises ReplyError for a malformed one, NodeGone.
        """
        need(self.node, _("The HideSeek case"))
        for screened in [parse_screened(entry) for entry in vertebrae]:
            self.record.screen[screened.level] = screened
        self._save_record()
        self._fill_tables()

    def add_vertebra(
        self, message: Mapping[str, Any], options: Mapping[str, Any] | None = None
    ) -> Case:
        """Take in one finished vertebra, as the worker streamed it; returns the case it went to.

        That is this case, unless decisions were made about the vertebra meanwhile: then a new
        version takes the result and the reviewed one stays.
        Raises ReplyError for a malformed message (nothing is changed then), NodeGone.
        """
        need(self.node, _("The HideSeek case"))
        options = dict(self.record.options if options is None else options)
        reply = parse_vertebra(message, options)
        self.record.check_inside(reply)
        if self.review.reviewed(reply.level):
            newer = begin_run(
                need(self.ct, _("The CT")),
                self.nodes.vertebrae,
                model=self.record.model,
                options=self.record.options,
                levels=[reply.level],
                overrides=self.record.overrides,
            )
            return newer.add_vertebra(message, options)
        segments = self._lesions()
        shown = replace(reply, evidence=None)
        self.record.replies[reply.level] = shown
        self._put_candidates(shown)
        if "tau" in reply.options and self.review.start_at(reply.options["tau"]):
            segments.apply(self.review.kept_keys())
        segments.put(shown)
        self._shown = self.review.kept_keys()
        segments.apply(self._shown, [c.key for c in shown.candidates])
        if reply.evidence is not None:
            evidence.put(
                self.nodes.evidence("healthy", reply.level, _("{case} {level} healthy edit")),
                self.nodes.evidence("difference", reply.level, _("{case} {level} difference")),
                self.ct,
                reply.evidence,
            )
        self._update_single_lesions()
        self._save_record()
        self._save_review()
        self._fill_tables()
        return self

    def add_region(self, message: Mapping[str, Any], voxels: np.ndarray) -> Candidate:
        """Take in a region that the reader drew and the worker scored; returns the candidate.

        voxels: (N, 3) indices on the CT's grid. Raises ReplyError for a malformed message or a
        number that is taken, NodeGone.
        """
        need(self.node, _("The HideSeek case"))
        candidate = parse_candidate(message)
        level = candidate.vertebra
        reply = self.record.replies.get(level)
        if reply is None:
            screened = self.record.screen.get(level) or Vertebra(level, math.nan)
            reply = VertebraReply(**shared(screened, Vertebra))
        if any(c.number == candidate.number for c in reply.candidates):
            raise ReplyError(f"{candidate.key}: another candidate has this number")
        grown = replace(
            reply,
            candidates=(*reply.candidates, candidate),
            voxels={**reply.voxels, candidate.number: voxels},
        )
        self.record.check_inside(grown)
        segments = self._lesions()
        self.record.replies[level] = grown
        self.review.add_candidate(candidate)
        segments.extend(grown, candidate.polarity)
        self._shown = self.review.kept_keys()
        segments.apply(self._shown, [candidate.key])
        self._update_single_lesions()
        self._save_record()
        self._save_review()
        self._fill_tables()
        return candidate

    def finish(self, provenance: Mapping[str, Any]) -> None:
        """Keep the run's provenance (versions, model hash, device, timings) with the case.

        Its options tell the threshold that the backend applied, where no reply did: an untouched
        review takes it over, so that it begins with what the backend kept.
        """
        need(self.node, _("The HideSeek case"))
        self.record.provenance.update(provenance)
        tau = (provenance.get("options") or {}).get("tau")
        if isinstance(tau, (int, float)) and self.review.untouched:
            for level, reply in self.record.replies.items():
                if "tau" not in reply.options:
                    told = {**reply.options, "tau": float(tau)}
                    self.record.replies[level] = replace(reply, options=told)
                    self._put_candidates(self.record.replies[level])
            self.review.start_at(float(tau))
            self._shown = self.review.kept_keys()
            self._lesions().apply(self._shown)
            self._save_review()
            self._fill_tables()
        self._save_record()

    def _put_candidates(self, reply: VertebraReply) -> None:
        tau = reply.options.get("tau")
        self.review.set_candidates(
            reply.level, reply.candidates, None if tau is None else float(tau)
        )

    # -- review ---------------------------------------------------------------------------------
    def set_threshold(self, threshold: float, *, live: bool = False) -> ApplyReport:
        """Set the Δ threshold and apply it. live: while the slider is dragged."""
        return self._change(lambda: self.review.set_threshold(threshold, live=live), live)

    def decide(
        self, keys: Iterable[str], verdict: str | None, reason: str | None = None
    ) -> ApplyReport:
        """Accept, reject or (None) reset candidates as one step. Unknown keys raise KeyError."""
        return self._change(lambda: self.review.decide(keys, verdict, reason))

    def set_reason(self, keys: Iterable[str], reason: str) -> ApplyReport:
        """Write a reason beside decisions."""
        return self._change(lambda: self.review.set_reason(keys, reason))

    def remove_region(self, key: str) -> ApplyReport:
        """Take a region that the reader drew away; an undo brings it back.

        Raises ValueError for a candidate of the model's: reject that.
        """
        done = self._change(lambda: self.review.withdraw([key]))
        self._update_single_lesions()
        return done

    def undo(self) -> ApplyReport:
        """Take the last change back."""
        return self._change(self.review.undo)

    def redo(self) -> ApplyReport:
        """Do the last change that was taken back again."""
        return self._change(self.review.redo)

    def edited_by_hand(self, level: str) -> frozenset[str]:
        """Polarities of a level whose segment was edited by hand, or removed."""
        return self._lesions().edited_now(level)

    def restore_segment(self, level: str, polarity: str) -> None:
        """Draw a segment that was edited by hand from its candidates again; the edit is lost."""
        self._lesions().restore(level, polarity, self.review.kept_keys())
        self._save_review()
        self.refresh_surfaces()

    def refresh_surfaces(self) -> None:
        """Make the 3D surfaces again that a change of voxels threw away; call after a drag."""
        if self._surfaces_lost and in_scene(self.lesions):
            lesions_view.show_surfaces(self.lesions, True)
        self._surfaces_lost = False

    def _change(self, act: Callable[[], set[str]], live: bool = False) -> ApplyReport:
        """Change the review, then segments and tables, and save it."""
        started = time.perf_counter()
        need(self.node, _("The HideSeek case"))
        changed = act()
        segments = self._lesions()
        had_surfaces = lesions_view.has_surfaces(segments.node)
        self._shown = self.review.kept_keys()
        written, left = segments.apply(self._shown, changed)
        if had_surfaces and written:
            self._surfaces_lost = True
        self._faded |= changed
        if not live:
            self._update_single_lesions(self._faded)
            self._faded = set()
        self._save_review()
        self._fill_tables()
        if not live:
            self.refresh_surfaces()
        return ApplyReport(
            frozenset(changed), tuple(written), tuple(left), time.perf_counter() - started
        )

    # -- single lesions -------------------------------------------------------------------------
    def voxels(self, key: str) -> np.ndarray:
        """Voxels of a candidate, (N, 3) indices on the CT's grid. Raises KeyError if unknown."""
        candidate = self.review.candidate(key)
        found = self.record.replies[candidate.vertebra].voxels.get(candidate.number)
        return np.zeros((0, 3), np.int32) if found is None else found

    def lesion_segments(self, show: bool) -> Any:
        """Make a node with one segment per candidate, dropped ones faint; or take it away again."""
        hub = need(self.node, _("The HideSeek case"))
        if not show:
            if self.nodes.single_lesions is not None:
                hub.GetScene().RemoveNode(self.nodes.single_lesions)
            return None
        title = _("{case} single lesions")
        node = self.nodes.ours("perLesion", "vtkMRMLSegmentationNode", title)
        candidates = [(c, self.voxels(c.key)) for c in self.rows()]
        lesion_segments.fill(node, self.record.grid, candidates)
        lesions_view.prepare(node, self.ct, self.record.grid)
        lesion_segments.mark(node, {c.key: self.review.kept(c.key) for c, _voxels in candidates})
        return node

    def _update_single_lesions(self, changed: Iterable[str] | None = None) -> None:
        if self.nodes.single_lesions is None:
            return
        if changed is None:
            self.lesion_segments(True)
        else:
            kept = {key: self.review.kept(key) for key in changed}
            lesion_segments.mark(self.nodes.single_lesions, kept)

    # -- tables ---------------------------------------------------------------------------------
    def rows(self, keys: Iterable[str] | None = None) -> list[Candidate]:
        """Candidates as the table shows them, from head to foot; keys limits them (a filter)."""
        return case_rows.candidate_rows(self.record, self.review, keys)

    def volume_mm3(self, level: str, polarity: str) -> float:
        """Volume of what is kept, mm³: the backend's own figure while nothing was changed."""
        return case_rows.volume_mm3(self.record, self.review, level, polarity)

    def vertebra_rows(self) -> list[Vertebra]:
        """Vertebrae as the table shows them, from head to foot."""
        return case_rows.vertebra_rows(self.record, self.review)

    def _fill_tables(self) -> None:
        table_nodes.fill(
            self.nodes.ours("candidates", "vtkMRMLTableNode", _("{case} candidates")),
            Candidate,
            self.rows(),
        )
        table_nodes.fill(
            self.nodes.ours("vertebraTable", "vtkMRMLTableNode", _("{case} vertebrae")),
            Vertebra,
            self.vertebra_rows(),
        )

    # -- saving ---------------------------------------------------------------------------------
    def _save_record(self) -> None:
        self.nodes.keep_record(self.record.dumps())

    def _save_review(self) -> None:
        need(self.node, _("The HideSeek case"))
        if self._segments is not None:
            self._edited = set(self._segments.edited)
        self.node.SetText(
            json.dumps({"review": self.review.to_json(), "edited": sorted(map(list, self._edited))})
        )
