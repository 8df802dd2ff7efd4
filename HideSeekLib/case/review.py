"""The reader's decisions on candidates. Pure Python: no MRML, no numpy.

A candidate is kept when its Δ reaches the threshold, unless the reader decided otherwise. Every
change can be undone; all of it goes to JSON and back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from HideSeekLib.wire.records import Candidate, Verdict

ACCEPT: Verdict = "accept"
REJECT: Verdict = "reject"
STATES = ("all", "kept", "dropped", "undecided", "accepted", "rejected")
# Deep enough for an afternoon; it also bounds what is saved with the scene.
HISTORY = 200


@dataclass(frozen=True)
class Decision:
    """A verdict on one candidate ("accept", "reject" or "") and the reason given for it, if any."""

    verdict: Verdict = ""
    reason: str = ""

    def __bool__(self) -> bool:
        return bool(self.verdict or self.reason)


_UNDECIDED = Decision()


@dataclass(frozen=True)
class Filters:
    """Which candidates to show. None or the default of a field lets everything through."""

    vertebrae: frozenset[str] | None = None
    polarities: frozenset[str] | None = None
    delta: tuple[float, float] | None = None
    volume_mm3: tuple[float, float] | None = None
    state: str = "all"


@dataclass
class _Step:
    """One undoable change: candidate key -> (before, after), the threshold's two values, and keys
    of regions that were taken away."""

    label: str
    decisions: dict[str, tuple[Decision, Decision]]
    threshold: tuple[float, float] | None = None
    live: bool = False
    withdrawn: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "threshold": list(self.threshold) if self.threshold else None,
            "withdrawn": list(self.withdrawn),
            "decisions": {
                key: [[d.verdict, d.reason] for d in pair] for key, pair in self.decisions.items()
            },
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> _Step:
        pair = data.get("threshold")
        return cls(
            str(data["label"]),
            {
                key: (Decision(*before), Decision(*after))
                for key, (before, after) in data["decisions"].items()
            },
            (float(pair[0]), float(pair[1])) if pair else None,
            withdrawn=tuple(data.get("withdrawn", ())),
        )


class Review:
    """Candidates, a threshold, decisions, and the way back.

    Changing methods return the set of candidate keys whose kept state changed.
    """

    def __init__(self, threshold: float = 0.5) -> None:
        self._threshold = float(threshold)
        self._candidates: dict[str, Candidate] = {}
        self._held_back: set[str] = set()
        self._decisions: dict[str, Decision] = {}
        self._withdrawn: set[str] = set()
        self._undo: list[_Step] = []
        self._redo: list[_Step] = []

    # -- candidates ---------------------------------------------------------------------------
    @property
    def threshold(self) -> float:
        """Smallest Δ that is kept without a decision."""
        return self._threshold

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """All candidates, in the order in which they came."""
        return tuple(self._candidates.values())

    @property
    def decisions(self) -> dict[str, Decision]:
        """Copy of the decisions: candidate key -> Decision."""
        return dict(self._decisions)

    def candidate(self, key: str) -> Candidate:
        """The candidate with this key. Raises KeyError when there is none."""
        return self._candidates[key]

    def decision(self, key: str) -> Decision:
        """The decision on a candidate; an empty one when there is none."""
        return self._decisions.get(key, _UNDECIDED)

    def decision_map(self) -> dict[str, str]:
        """Verdicts alone, as the backend's report takes them: {"T12:3": "accept"}."""
        return {key: d.verdict for key, d in self._decisions.items() if d.verdict}

    def reviewed(self, level: str) -> bool:
        """Tell whether the reader decided anything about a vertebra, or drew a region in it."""
        return any(self._candidates[key].vertebra == level for key in self._decisions) or any(
            c.vertebra == level and c.source == "reader" for c in self._candidates.values()
        )

    def add_candidate(self, candidate: Candidate) -> None:
        """Put one more candidate beside those of its vertebra; what was decided stays."""
        self._candidates[candidate.key] = candidate

    def set_candidates(
        self, level: str, candidates: Iterable[Candidate], tau: float | None = None
    ) -> None:
        """Put a vertebra's candidates in, in place of those it had.

        tau: threshold that the backend applied. A candidate that reached it and still was not kept
        was held back for another reason (too small, say): only an accept keeps it.
        """
        for key in [k for k, c in self._candidates.items() if c.vertebra == level]:
            del self._candidates[key]
            self._held_back.discard(key)
            self._withdrawn.discard(key)
            self._decisions.pop(key, None)
            for step in (*self._undo, *self._redo):
                step.decisions.pop(key, None)
                step.withdrawn = tuple(k for k in step.withdrawn if k != key)
        for stack in (self._undo, self._redo):
            stack[:] = [s for s in stack if s.decisions or s.threshold or s.withdrawn]
        for candidate in candidates:
            self._candidates[candidate.key] = candidate
            if tau is not None and candidate.delta >= tau and not candidate.kept:
                self._held_back.add(candidate.key)

    def kept(self, key: str) -> bool:
        """Tell whether a candidate counts now: accepted, or Δ ≥ threshold and not rejected."""
        if key in self._withdrawn:
            return False
        verdict = self.decision(key).verdict
        if verdict:
            return verdict == ACCEPT
        return self._candidates[key].delta >= self._threshold and key not in self._held_back

    def withdrawn(self, key: str) -> bool:
        """Tell whether a region of the reader's was taken away; it is shown nowhere then."""
        return key in self._withdrawn

    def kept_keys(self) -> set[str]:
        """Keys of all candidates that count now."""
        return {key for key in self._candidates if self.kept(key)}

    def volume_mm3(self, level: str, polarity: str) -> float:
        """Volume of what is kept in a vertebra, mm³."""
        return sum(
            c.volume_mm3
            for key, c in self._candidates.items()
            if c.vertebra == level and c.polarity == polarity and self.kept(key)
        )

    def filter(self, filters: Filters) -> list[str]:
        """Keys of the candidates that pass, in their own order. A NaN Δ passes no Δ filter."""
        if filters.state not in STATES:
            raise ValueError(f"state must be one of {STATES}, got {filters.state!r}")
        return [
            key
            for key, c in self._candidates.items()
            if key not in self._withdrawn and self._passes(key, c, filters)
        ]

    def _passes(self, key: str, c: Candidate, f: Filters) -> bool:
        if f.vertebrae is not None and c.vertebra not in f.vertebrae:
            return False
        if f.polarities is not None and c.polarity not in f.polarities:
            return False
        if f.delta is not None and not f.delta[0] <= c.delta <= f.delta[1]:
            return False
        if f.volume_mm3 is not None and not f.volume_mm3[0] <= c.volume_mm3 <= f.volume_mm3[1]:
            return False
        verdict = self.decision(key).verdict
        return {
            "all": True,
            "kept": self.kept(key),
            "dropped": not self.kept(key),
            "undecided": not verdict,
            "accepted": verdict == ACCEPT,
            "rejected": verdict == REJECT,
        }[f.state]

    @property
    def untouched(self) -> bool:
        """Tell whether the reader has done nothing yet that could be undone or redone."""
        return not (self._decisions or self._undo or self._redo)

    def start_at(self, threshold: float) -> bool:
        """Begin with the backend's threshold, only while untouched. Returns whether it did."""
        if not self.untouched or threshold != threshold:
            return False
        self._threshold = float(threshold)
        return True

    # -- changes ------------------------------------------------------------------------------
    def set_threshold(self, threshold: float, *, live: bool = False) -> set[str]:
        """Set the Δ threshold. live: part of a drag; a whole drag is one step to undo.

        Raises ValueError for NaN.
        """
        threshold = float(threshold)
        if threshold != threshold:
            raise ValueError("the Δ threshold must be a number, got NaN")
        last = self._undo[-1] if self._undo else None
        if last is not None and last.live and last.threshold is not None:
            # The drag goes on, or ends with this call.
            before = self.kept_keys()
            last.threshold = (last.threshold[0], threshold)
            last.live = live
            self._threshold = threshold
            if last.threshold[0] == threshold and not live:
                self._undo.pop()
            return before ^ self.kept_keys()
        if threshold == self._threshold:
            return set()
        return self._do(_Step("threshold", {}, (self._threshold, threshold), live))

    def decide(
        self, keys: Iterable[str], verdict: str | None, reason: str | None = None
    ) -> set[str]:
        """Accept, reject, or (None) reset candidates, all as one step.

        reason: a text to keep with the decision; None leaves the one that is there. A reset also
        drops the reason. Raises KeyError for an unknown candidate, ValueError for a verdict.
        """
        if verdict not in (ACCEPT, REJECT, None):
            raise ValueError(f"a verdict is 'accept', 'reject' or None, got {verdict!r}")
        changes = {}
        for key in keys:
            self._candidates[key]  # a stale key fails here, before anything changes
            before = self.decision(key)
            after = Decision()
            if verdict is not None:
                after = Decision(
                    ACCEPT if verdict == ACCEPT else REJECT,
                    before.reason if reason is None else reason,
                )
            if after != before:
                changes[key] = (before, after)
        return self._do(_Step(verdict or "reset", changes)) if changes else set()

    def set_reason(self, keys: Iterable[str], reason: str) -> set[str]:
        """Write a reason beside the verdicts that are there (or for none yet), as one step."""
        changes = {}
        for key in keys:
            self._candidates[key]
            before = self.decision(key)
            after = Decision(before.verdict, reason)
            if after != before:
                changes[key] = (before, after)
        return self._do(_Step("reason", changes)) if changes else set()

    def withdraw(self, keys: Iterable[str]) -> set[str]:
        """Take regions that the reader drew away, as one step to undo.

        Raises KeyError for an unknown candidate, ValueError for one of the model's.
        """
        gone = tuple(key for key in keys if key not in self._withdrawn)
        if any(self._candidates[key].source != "reader" for key in gone):
            raise ValueError("only what a reader drew can be taken away; reject the others")
        return self._do(_Step("withdraw", {}, withdrawn=gone)) if gone else set()

    @property
    def can_undo(self) -> bool:
        """Tell whether there is a step to take back."""
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        """Tell whether a step that was taken back can be done again."""
        return bool(self._redo)

    def undo(self) -> set[str]:
        """Take the last step back; nothing happens when there is none."""
        if not self._undo:
            return set()
        step = self._undo.pop()
        step.live = False
        self._redo.append(step)
        return self._play(step, 0)

    def redo(self) -> set[str]:
        """Do the last step that was taken back again; nothing happens when there is none."""
        if not self._redo:
            return set()
        step = self._redo.pop()
        self._undo.append(step)
        return self._play(step, 1)

    def _do(self, step: _Step) -> set[str]:
        if self._undo:
            self._undo[-1].live = False
        self._redo.clear()
        self._undo.append(step)
        del self._undo[:-HISTORY]
        return self._play(step, 1)

    def _play(self, step: _Step, side: int) -> set[str]:
        before = self.kept_keys()
        for key, pair in step.decisions.items():
            if pair[side]:
                self._decisions[key] = pair[side]
            else:
                self._decisions.pop(key, None)
        if step.threshold is not None:
            self._threshold = step.threshold[side]
        if side:
            self._withdrawn.update(step.withdrawn)
        else:
            self._withdrawn.difference_update(step.withdrawn)
        return before ^ self.kept_keys()

    # -- JSON ---------------------------------------------------------------------------------
    def to_json(self) -> dict[str, Any]:
        """Everything the reader did, for the scene; the candidates are stored with the results."""
        return {
            "threshold": self._threshold,
            "decisions": {k: [d.verdict, d.reason] for k, d in self._decisions.items()},
            "withdrawn": sorted(self._withdrawn),
            "undo": [step.to_json() for step in self._undo],
            "redo": [step.to_json() for step in self._redo],
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take up what `to_json` wrote; decisions on candidates that are not here are left out."""
        self._threshold = float(data["threshold"])
        self._decisions = {
            key: Decision(*pair)
            for key, pair in data["decisions"].items()
            if key in self._candidates
        }
        self._withdrawn = {k for k in data.get("withdrawn", ()) if k in self._candidates}
        self._undo = [_Step.from_json(step) for step in data.get("undo", ())]
        self._redo = [_Step.from_json(step) for step in data.get("redo", ())]
