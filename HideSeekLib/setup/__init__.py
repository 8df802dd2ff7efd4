"""Installing, checking and repairing the environment; sample data."""
