"""Webhooks: the payload of a delivery, and one attempt to post it."""
