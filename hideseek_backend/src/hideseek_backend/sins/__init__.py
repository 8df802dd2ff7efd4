"""A worksheet of the Spinal Instability Neoplastic Score: suggestions with numbers, no score."""
