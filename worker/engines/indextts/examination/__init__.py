"""The engine examines itself: `comparison` holds one way of computing against another, in dB."""
