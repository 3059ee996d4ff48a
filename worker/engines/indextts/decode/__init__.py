"""The autoregressive half: prompts into codes, many rows at a time."""
