"""The part of webhooks that API and desk share: allowed addresses, signing secrets, and the schedule of attempts."""
