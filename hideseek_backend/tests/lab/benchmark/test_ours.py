"""Our method on drawn slices with a model whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hideseek_backend.attribution.options import Options
from hideseek_backend.attribution.vertebra import analyse_vertebra
from hideseek_backend.volumes.crops import CropFrame, VertebraBlock
from hideseek_backend.volumes.volume import Volume
from hideseek_lab.benchmark.dataset import MIDDLE, SliceSet, slices_of
from hideseek_lab.benchmark.memo import Memory
from hideseek_lab.benchmark.ours import (
    analyse_set,
    found_phenotypes,
    kept_labels,
    malignancy,
)
from hideseek_lab.benchmark.ranking import (
    classifier_figures,
    polarity_rows,
    rank,
    ssim_of,
    true_candidates,
)

from .fake_model import fake_model

FRAME = CropFrame.centred((0.0, 0.0, 0.0))
OPTIONS = Options(
    direction="normal", p_target=1e-2, invert_steps=1, render_steps=1, min_contrast=20.0
)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def test_finds_drawn_lesions_and_their_phenotypes(vertebrae: SliceSet) -> None:
    findings = analyse_set(fake_model(), vertebrae, OPTIONS)
    np.testing.assert_array_equal(findings.p >= 0.5, vertebrae.malignant)
    labels = kept_labels(findings, OPTIONS)
    for index, truth in enumerate(vertebrae.truth[:, MIDDLE]):
        for value in (1, 2):
            if (truth == value).any():
                assert dice(labels[index] == value, truth == value) > 0.9
            else:
                assert not (labels[index] == value).any()
    np.testing.assert_array_equal(found_phenotypes(findings, OPTIONS), vertebrae.phenotype)


def test_agrees_with_the_analysis_of_a_single_vertebra() -> None:
    box = np.zeros((64, 64, 64), dtype=bool)
    box[16:48, 20:44, 22:43] = True
    hu = np.where(box, 200.0, 40.0)
    hu += np.random.default_rng(1).normal(0, 10, hu.shape)
    truth = np.zeros(hu.shape, dtype=np.uint8)
    truth[20:30, 24:34, 26:40], truth[36:44, 32:40, 26:40] = 1, 2
    hu[truth == 1], hu[truth == 2] = 20, 700
    block = VertebraBlock("L1", Volume(hu.astype(np.int16), FRAME.affine), box, box)
    expected = analyse_vertebra(fake_model(), block, OPTIONS)
    vertebrae = slices_of(block, truth, "mixed", "block")
    found = analyse_set(fake_model(), vertebrae, OPTIONS)
    assert found.p[0] == pytest.approx(expected.p_malignant)
    assert found.p_healthy[0] == pytest.approx(expected.p_healthy_image)
    assert found_phenotypes(found, OPTIONS)[0] == expected.phenotype == "mixed"
    deltas = [candidate.delta for candidate in expected.candidates]
    # the benchmark keeps whole HU
    np.testing.assert_allclose(sorted(found.candidates.delta, reverse=True), deltas, atol=0.02)
    areas = sorted(candidate.area_px for candidate in expected.candidates)
    np.testing.assert_allclose(sorted(found.candidates.area), areas, atol=2)


def test_known_phenotype_and_threshold_take_candidates_out(vertebrae: SliceSet) -> None:
    findings = analyse_set(fake_model(), vertebrae, OPTIONS)
    told = np.array(["lytic"] * len(vertebrae))
    labels = kept_labels(findings, OPTIONS, phenotype=told)
    assert not (labels == 2).any()
    assert (labels == 1).any()
    shy = OPTIONS.with_changes(p_threshold=1 - 1e-6)
    findings.p[:] = 0.9
    assert not kept_labels(findings, shy).any()
    assert kept_labels(findings, shy, gate=False).any()


def test_told_phenotypes_spare_the_other_polarity(vertebrae: SliceSet) -> None:
    vertebrae.hu[1, MIDDLE, 38:42, 36:40] = 900  # something bright in a lytic one
    told = analyse_set(fake_model(), vertebrae, OPTIONS, told=True)
    every = analyse_set(fake_model(), vertebrae, OPTIONS)
    np.testing.assert_array_equal(told.labels, every.labels)
    spared = (told.candidates.vertebra == 1) & (told.candidates.polarity == 2)
    assert spared.sum() == 1
    np.testing.assert_array_equal(np.isnan(told.candidates.delta), spared)
    np.testing.assert_allclose(
        told.candidates.delta[~spared], every.candidates.delta[~spared], atol=1e-6
    )
    assert not (kept_labels(told, OPTIONS.with_changes(polarity="both"))[1] == 2).any()


def test_chunks_are_kept_and_give_the_same_again(vertebrae: SliceSet, tmp_path: Path) -> None:
    model = fake_model()
    first = analyse_set(model, vertebrae, OPTIONS, cache=tmp_path)
    calls = model.dae.calls
    again = analyse_set(model, vertebrae, OPTIONS, cache=tmp_path)
    assert model.dae.calls == calls
    np.testing.assert_array_equal(first.labels, again.labels)
    np.testing.assert_array_equal(first.candidates.delta, again.candidates.delta)
    # the cut does not change what was found, other settings do
    analyse_set(model, vertebrae, OPTIONS.with_changes(tau=0.9), cache=tmp_path)
    assert model.dae.calls == calls
    analyse_set(model, vertebrae, OPTIONS.with_changes(p_target=1e-3), cache=tmp_path)
    assert model.dae.calls > calls


def test_vertebrae_do_not_depend_on_their_chunk(vertebrae: SliceSet) -> None:
    together = analyse_set(fake_model(), vertebrae, OPTIONS)
    for index in (1, 7):
        alone = analyse_set(fake_model(), vertebrae.take(np.array([index])), OPTIONS)
        np.testing.assert_array_equal(alone.labels[0], together.labels[index])
        mine = together.candidates.vertebra == index
        np.testing.assert_allclose(alone.candidates.delta, together.candidates.delta[mine])


def test_memory_spares_the_network_and_changes_nothing(vertebrae: SliceSet) -> None:
    model, memory = fake_model(), Memory()
    plain = analyse_set(model, vertebrae, OPTIONS)
    first = analyse_set(model, vertebrae, OPTIONS, memory=memory)
    misses = memory.misses
    again = analyse_set(model, vertebrae, OPTIONS, memory=memory)
    assert memory.misses == misses
    for other in (first, again):
        np.testing.assert_array_equal(plain.labels, other.labels)
        np.testing.assert_allclose(plain.candidates.delta, other.candidates.delta)


def test_full_memory_forgets_the_oldest() -> None:
    memory = Memory(limit_mb=3 * 4 / 2**20)  # three numbers
    for value in range(5):
        memory.rows("double", lambda x: x * 2, torch.full((1, 1), float(value)))
    assert memory.misses == 5
    memory.rows("double", lambda x: x * 2, torch.full((1, 1), 4.0))
    assert memory.hits == 1
    memory.rows("double", lambda x: x * 2, torch.full((1, 1), 0.0))
    assert memory.misses == 6
    repeated = memory.rows("double", lambda x: x * 2, torch.tensor([[7.0], [8.0], [7.0]]))
    np.testing.assert_allclose(repeated[:, 0], [14, 16, 14])


def test_screening_takes_the_mean_latent(vertebrae: SliceSet) -> None:
    odd = vertebrae.take(np.array([2]))
    odd.hu[:, MIDDLE][odd.truth[:, MIDDLE] > 0] = 200  # the lesion is gone from the central slice
    one, five = (malignancy(fake_model(), odd, OPTIONS.with_changes(p_slices=n))[0] for n in (1, 5))
    assert one < 0.5 < five


def test_candidates_are_ranked_against_truth(vertebrae: SliceSet) -> None:
    findings = analyse_set(fake_model(), vertebrae, OPTIONS)
    true = true_candidates(findings, vertebrae)
    rows = polarity_rows(findings.candidates, vertebrae, "blastic")
    assert rows.any()
    assert true[rows].all()
    ranking = rank(np.array([0.9, 0.8, 0.3, 0.1]), np.array([True, False, True, False]))
    assert ranking.roc_auc == pytest.approx(0.75)  # three of the four pairs are in order
    assert (ranking.true, ranking.false) == (2, 2)
    assert np.isnan(rank(np.array([0.5]), np.array([True])).roc_auc)


def test_classifier_figures_by_hand() -> None:
    p = np.array([0.9, 0.6, 0.4, 0.2, 0.7])
    malignant = np.array([True, True, True, False, False])
    figures = classifier_figures(p, malignant)
    assert figures["auc"] == pytest.approx(4 / 6)
    assert figures["f1"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert figures["sensitivity"] == pytest.approx(2 / 3)
    assert figures["specificity"] == pytest.approx(1 / 2)


def test_similarity_of_equal_pictures_is_one() -> None:
    pictures = np.random.default_rng(0).random((2, 64, 64)).astype(np.float32)
    assert ssim_of(pictures, pictures).mean == pytest.approx(1.0)
    assert ssim_of(pictures, 1 - pictures).mean < 0.1
