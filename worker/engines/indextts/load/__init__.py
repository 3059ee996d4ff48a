"""From the files of a checkpoint to an engine that is ready to render."""
