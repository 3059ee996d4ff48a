"""The render worker: claims segments, has the engine render them, uploads and settles the clips."""
