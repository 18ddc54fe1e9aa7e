"""The gunicorn worker class: a fast lane for plain requests, gunicorn's own loop for everything else."""

from app.worker.greenlets import GreenletWorker
from app.worker.worker import PlumblineWorker

__all__ = ["GreenletWorker", "PlumblineWorker"]
