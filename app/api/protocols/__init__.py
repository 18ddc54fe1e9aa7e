"""The wire formats: how a request is decoded, and how a prediction and an error are written. One file each."""
