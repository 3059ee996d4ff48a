"""IndexTTS: zero-shot narration in the voice of a reference, many utterances at a time on one GPU."""
