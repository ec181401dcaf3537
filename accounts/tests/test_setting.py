"""A setting that is read at each request."""

from pytest_django import Settings

from accounts.setting import setting


def test_a_setting_follows_a_change(settings: Settings):
    settings.GATEWAY_KNOWN_KEYS_S = 1
    assert setting("GATEWAY_KNOWN_KEYS_S") == 1
    settings.GATEWAY_KNOWN_KEYS_S = 2
    assert setting("GATEWAY_KNOWN_KEYS_S") == 2
