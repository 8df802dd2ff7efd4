"""The polarity head finds which of two latent directions is which phenotype."""

from __future__ import annotations

import numpy as np
import pytest

from hideseek_backend.attribution.classifier import LatentClassifier
from hideseek_backend.attribution.polarity_head import PolarityHead
from hideseek_backend.errors import ModelError


def test_it_survives_storing_and_is_optional() -> None:
    head = PolarityHead(np.ones((2, 3)), np.zeros(2))
    classifier = LatentClassifier(np.zeros(3), np.ones(3), np.ones(3), 0.0, head=head)
    again = LatentClassifier.from_tensors(classifier.tensors())
    assert np.array_equal(again.presence(np.zeros((1, 3))), [[0.5, 0.5]])
    plain = LatentClassifier(np.zeros(3), np.ones(3), np.ones(3), 0.0)
    assert np.array_equal(plain.presence(np.zeros((4, 3))), np.ones((4, 2)))


def test_shapes_are_checked() -> None:
    with pytest.raises(ModelError, match="polarity head"):
        PolarityHead(np.ones((3, 2)), np.zeros(2))
