"""The settings, and how they are read from the environment."""

from app.config.environment import ConfigError, load_settings
from app.config.settings import SETTINGS, VERSION, Setting, Settings, cpu_quota

__all__ = ["SETTINGS", "VERSION", "ConfigError", "Setting", "Settings", "cpu_quota", "load_settings"]
