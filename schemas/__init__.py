"""What a payload looks like: JSON bodies in, rows and parameters out, and the shapes that the documents show."""
