"""The review engine alone: threshold, decisions, undo and redo, filters, JSON."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from HideSeekLib.case.review import HISTORY, Decision, Filters, Review
from HideSeekLib.wire.records import Candidate


def candidate(level, number, delta, polarity="lytic", kept=None, volume=100.0):
    return Candidate(
        level, number, polarity, delta, delta >= 0.5 if kept is None else kept, 0.5, (32,), 10,
        volume, 100.0, (0.0, 0.0, 0.0),
    )  # fmt: skip


def review_of(*deltas, level="T10"):
    review = Review(0.5)
    review.set_candidates(level, [candidate(level, n + 1, d) for n, d in enumerate(deltas)], 0.5)
    return review


def test_kept_means_delta_reaches_the_threshold_unless_decided():
    review = review_of(0.5, 0.49, 0.9, math.nan)
    assert review.kept_keys() == {"T10:1", "T10:3"}
    assert review.set_threshold(0.95) == {"T10:1", "T10:3"}
    assert review.decide(["T10:2", "T10:4"], "accept") == {"T10:2", "T10:4"}
    assert review.set_threshold(0.0) == {"T10:1", "T10:3"}
    assert review.decide(["T10:3"], "reject", "bone island") == {"T10:3"}
    assert review.kept_keys() == {"T10:1", "T10:2", "T10:4"}
    assert review.decide(["T10:4"], None) == {"T10:4"}, "NaN reaches no threshold"


def test_what_the_backend_held_back_needs_an_accept():
    review = Review(0.5)
    review.set_candidates("T10", [candidate("T10", 1, 0.9, kept=False)], 0.5)
    assert review.kept_keys() == set()
    assert review.set_threshold(0.0) == set()
    assert review.decide(["T10:1"], "accept") == {"T10:1"}


def test_reset_drops_verdict_and_reason_and_undo_brings_both_back():
    review = review_of(0.9)
    review.decide(["T10:1"], "reject", "artefact")
    review.decide(["T10:1"], None)
    assert review.decision("T10:1") == Decision()
    assert not review.reviewed("T10")
    review.undo()
    assert review.decision("T10:1") == Decision("reject", "artefact")


def test_reason_is_kept_when_the_verdict_changes_without_one():
    review = review_of(0.9)
    review.decide(["T10:1"], "accept", "typical")
    review.decide(["T10:1"], "reject")
    assert review.decision("T10:1") == Decision("reject", "typical")
    review.set_reason(["T10:1"], "other")
    assert review.decision("T10:1") == Decision("reject", "other")
    assert review.undo() == set()
    assert review.decision("T10:1").reason == "typical"


def test_a_drag_is_one_step():
    review = review_of(0.3, 0.6, 0.9)
    for t in (0.6, 0.7, 0.8, 0.95):
        review.set_threshold(t, live=True)
    review.set_threshold(0.95)
    assert review.kept_keys() == set()
    review.set_threshold(0.2)
    review.undo()
    assert review.threshold == 0.95
    assert review.undo() == {"T10:2", "T10:3"}
    assert review.threshold == 0.5 and not review.can_undo
    review.redo()
    assert review.threshold == 0.95


def test_a_drag_back_to_the_start_leaves_no_step():
    review = review_of(0.6)
    review.set_threshold(0.8, live=True)
    review.set_threshold(0.5)
    assert not review.can_undo and review.kept_keys() == {"T10:1"}


def test_bad_words_change_nothing():
    review = review_of(0.9)
    with pytest.raises(KeyError):
        review.decide(["T10:1", "T10:7"], "reject")
    with pytest.raises(ValueError, match="verdict"):
        review.decide(["T10:1"], "maybe")
    with pytest.raises(ValueError, match="NaN"):
        review.set_threshold(math.nan)
    with pytest.raises(ValueError, match="state"):
        review.filter(Filters(state="odd"))
    assert not review.can_undo and review.kept_keys() == {"T10:1"}


def test_filters():
    review = Review(0.5)
    review.set_candidates(
        "T10", [candidate("T10", 1, 0.9), candidate("T10", 2, 0.2, "blastic", volume=5)]
    )
    review.set_candidates("L1", [candidate("L1", 1, 0.6, "blastic"), candidate("L1", 2, math.nan)])
    review.decide(["L1:1"], "reject")
    review.decide(["T10:2"], "accept")

    def keys(**fields):
        return review.filter(Filters(**fields))

    assert keys() == ["T10:1", "T10:2", "L1:1", "L1:2"]
    assert keys(vertebrae=frozenset({"L1"})) == ["L1:1", "L1:2"]
    assert keys(polarities=frozenset({"blastic"})) == ["T10:2", "L1:1"]
    assert keys(delta=(0.5, 1.0)) == ["T10:1", "L1:1"]
    assert keys(volume_mm3=(0, 10)) == ["T10:2"]
    assert keys(state="kept") == ["T10:1", "T10:2"]
    assert keys(state="dropped") == ["L1:1", "L1:2"]
    assert keys(state="undecided") == ["T10:1", "L1:2"]
    assert keys(state="accepted") == ["T10:2"]
    assert keys(state="rejected") == ["L1:1"]


def test_new_results_take_the_place_of_old_ones_and_their_history():
    review = review_of(0.9, 0.8)
    review.set_candidates("L1", [candidate("L1", 1, 0.7)], 0.5)
    review.decide(["T10:1", "L1:1"], "reject")
    review.decide(["T10:2"], "reject")
    review.set_candidates("T10", [candidate("T10", 1, 0.3)], 0.5)
    assert review.kept_keys() == set() and review.decision_map() == {"L1:1": "reject"}
    review.undo()
    assert review.kept_keys() == {"L1:1"} and not review.can_undo


def test_history_is_bounded():
    review = review_of(0.9)
    for n in range(HISTORY + 50):
        review.set_threshold(n / 1000)
    assert len(review.to_json()["undo"]) == HISTORY


actions = st.one_of(
    st.tuples(st.just("threshold"), st.floats(0, 1)),
    st.tuples(st.just("live"), st.floats(0, 1)),
    st.tuples(
        st.sampled_from(["accept", "reject", "reset"]), st.sets(st.integers(1, 6), min_size=1)
    ),
    st.tuples(st.just("reason"), st.sets(st.integers(1, 6), min_size=1)),
    st.tuples(st.sampled_from(["undo", "redo"]), st.none()),
)


def act(review, name, value):
    if name in ("threshold", "live"):
        return review.set_threshold(value, live=name == "live")
    if name in ("undo", "redo"):
        return getattr(review, name)()
    keys = [f"T10:{n}" for n in value]
    if name == "reason":
        return review.set_reason(keys, "because")
    return review.decide(keys, None if name == "reset" else name)


def state(review):
    return review.threshold, review.decisions, review.kept_keys()


@settings(max_examples=60, deadline=None)
@given(st.lists(actions, max_size=25))
def test_changes_are_told_and_all_can_be_undone_and_redone(steps):
    review = review_of(0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
    start = state(review)
    for name, value in steps:
        before = review.kept_keys()
        changed = act(review, name, value)
        assert changed == before ^ review.kept_keys()
    end = state(review)
    # Through JSON and back at any point, history included.
    copy = review_of(0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
    copy.restore(json.loads(json.dumps(review.to_json())))
    assert state(copy) == end
    redoable = copy.can_redo
    undone = 0
    while copy.can_undo:
        copy.undo()
        undone += 1
    assert state(copy) == start
    for _n in range(undone):
        copy.redo()
    assert state(copy) == end and copy.can_redo == redoable
