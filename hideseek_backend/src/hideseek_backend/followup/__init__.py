"""Two dates of one spine: which vertebra is which, where it lies, and what became of its lesions."""
