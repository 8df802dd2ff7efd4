"""Benchmarks of speed and accuracy, and the baselines they compare with."""
