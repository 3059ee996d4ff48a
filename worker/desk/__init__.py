"""The desk worker: everything about a job that needs no GPU."""
