"""The desk worker: every step of a job but the rendering."""
