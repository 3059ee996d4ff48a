"""The HTTP front end: validates, accepts, answers; renders nothing."""
