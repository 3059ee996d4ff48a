"""What renders, one file or folder per engine."""
