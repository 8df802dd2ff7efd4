"""The diffusion autoencoder network."""

from hideseek_backend.dae.autoencoder import DEFAULT_STEPS, DiffusionAutoencoder
from hideseek_backend.dae.config import DaeConfig
from hideseek_backend.dae.process import Solver

__all__ = ["DEFAULT_STEPS", "DaeConfig", "DiffusionAutoencoder", "Solver"]
