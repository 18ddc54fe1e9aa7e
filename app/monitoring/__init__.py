"""What is watched while models are served: metrics now, predictions, drift and feedback later."""
