"""What a model's spec says of its numbers."""

from __future__ import annotations

from dataclasses import replace

from hideseek_backend.attribution.intensity import Window
from hideseek_backend.dae import DaeConfig
from hideseek_backend.models.spec import ModelSpec


def test_numerics_leave_out_what_decides_no_number() -> None:
    spec = ModelSpec("one", DaeConfig(), Window(0.0, 1.0), "a" * 64)
    renamed = replace(spec, name="two", defaults={"fast": {"tau": 0.2}}, training={"steps": 1})
    assert renamed.numerics() == spec.numerics()
    assert replace(spec, weights_sha256="b" * 64).numerics() != spec.numerics()
