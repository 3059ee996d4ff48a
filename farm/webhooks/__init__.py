"""Webhooks, as far as the API and the desk share them: where one may go, how it is signed, when it is tried again."""
