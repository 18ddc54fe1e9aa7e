"""The Flask front end: every view converts, delegates to the engine, and converts back."""
