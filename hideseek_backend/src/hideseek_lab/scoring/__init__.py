"""Lesion masks against reference masks: what `hideseek evaluate` prints."""
