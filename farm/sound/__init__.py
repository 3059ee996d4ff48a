"""Sound as the farm keeps and joins it: the clip of one segment, and the line on which clips follow each other."""
