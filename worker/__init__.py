"""The Celery workers: render runs an engine, desk plans, assembles and delivers."""
