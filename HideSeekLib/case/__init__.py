"""One case in the scene: nodes, record, review, segments, evidence, views, files. No Qt."""
