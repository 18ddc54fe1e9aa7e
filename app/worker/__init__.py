"""The gunicorn worker class: a fast lane for plain requests, and gunicorn's own loop for all others."""

from app.worker.greenlets import GreenletWorker
from app.worker.worker import PlumblineWorker

__all__ = ["GreenletWorker", "PlumblineWorker"]
