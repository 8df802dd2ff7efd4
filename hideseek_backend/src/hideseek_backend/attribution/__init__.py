"""Attribution: classifier, healthy edit, candidates and Hide-and-Seek scores."""
