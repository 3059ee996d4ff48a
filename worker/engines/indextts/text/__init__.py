"""Text into token ids, as each version of the model reads it."""
