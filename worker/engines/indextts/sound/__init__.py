"""The acoustic half: codes into samples, many pieces at a time."""
