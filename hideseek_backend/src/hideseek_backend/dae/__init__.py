"""The diffusion autoencoder network."""

from hideseek_backend.dae.autoencoder import DEFAULT_STEPS, DiffusionAutoencoder, Solver
from hideseek_backend.dae.config import DaeConfig

__all__ = ["DEFAULT_STEPS", "DaeConfig", "DiffusionAutoencoder", "Solver"]
