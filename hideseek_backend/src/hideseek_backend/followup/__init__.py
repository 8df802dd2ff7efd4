"""Two dates of one spine: which vertebra is which, where it lies, what became of its lesions."""
