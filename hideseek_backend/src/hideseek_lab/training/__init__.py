"""Training: data, loop, fitted classifier, model folder."""
