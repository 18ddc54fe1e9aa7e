"""How models are served: settings, the serving engine, monitoring, and the Flask front end."""
