"""The secrets that the settings name: the store's key and the tokens of administrators.

No message shows a secret.
"""

from __future__ import annotations

from app.config import ConfigError, Settings

#: The most tokens at a time, and the least bytes of one.
MAX_TOKENS, TOKEN_BYTES = 2, 32


def read_key(settings: Settings) -> bytes | None:
    """Return the store's key, or None if no key is configured. Raises ConfigError."""
    if settings.store_key is None:
        return None
    try:
        key = settings.store_key.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"PLUMBLINE_STORE_KEY: {settings.store_key}: {error.strerror}") from error
    if len(key) < 32:
        raise ConfigError(
            f"PLUMBLINE_STORE_KEY: {settings.store_key} holds {len(key)} bytes; use at least 32"
        )
    return key


def read_admin_tokens(settings: Settings) -> tuple[bytes, ...]:
    """Return the tokens that /admin accepts; empty if none is configured.

    Raises ConfigError, which shows no token.
    """
    source, text = "PLUMBLINE_ADMIN_TOKEN", settings.admin_token
    if settings.admin_token_file is not None:
        source = f"PLUMBLINE_ADMIN_TOKEN_FILE: {settings.admin_token_file}"
        try:
            text = f"{text} {settings.admin_token_file.read_text()}"
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{source}: {getattr(error, 'strerror', '') or 'not a text file'}") from error
    tokens = tuple(token.encode() for token in text.split())
    if len(tokens) > MAX_TOKENS:
        raise ConfigError(f"{source}: {len(tokens)} tokens; use one, or two while replacing one")
    if short := [len(token) for token in tokens if len(token) < TOKEN_BYTES]:
        raise ConfigError(
            f"{source}: a token of {short[0]} bytes; use at least {TOKEN_BYTES} (openssl rand -hex 32)"
        )
    if settings.admin_token_file is not None and not tokens:
        raise ConfigError(f"{source}: contains no token")
    return tokens
