"""Sending webhooks: what is sent, and one attempt to send it."""
