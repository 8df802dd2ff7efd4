"""The worker: requests, client, process."""
