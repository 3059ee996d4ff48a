"""Reference recordings and emotions into the vectors that the model is conditioned with."""
