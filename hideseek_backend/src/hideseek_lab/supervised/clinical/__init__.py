"""Clinical analysis of any prediction against truth, as the two papers report theirs."""
