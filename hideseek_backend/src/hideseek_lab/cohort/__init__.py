"""Many cases on one machine or a cluster: bounded, resumable, and readable while it runs."""
