"""The whole farm on one machine: its processes, supervised."""
