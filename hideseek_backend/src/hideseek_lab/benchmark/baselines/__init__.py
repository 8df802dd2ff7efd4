"""The paper's weakly supervised baselines and a supervised upper reference (its section A.1.3)."""
