"""The acoustic half: content rows into samples, many pieces at a time."""
