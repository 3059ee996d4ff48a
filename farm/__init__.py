"""The contract: what the api and the workers both stand on, and the client and command line of its users."""
