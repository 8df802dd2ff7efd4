"""Reader studies: agreement and time of readers, with and without the tool."""
