"""The wire formats: each decodes a request and encodes a prediction and an error, in a file of its own."""
