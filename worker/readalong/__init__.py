"""Read-along books: EPUB 3 with Media Overlays, in which each sentence is marked while it is heard."""
