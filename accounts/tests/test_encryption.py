import base64

import pytest
from hypothesis import given, strategies as st
from pytest_django import Settings

from accounts.encryption import CannotDecrypt, key_id, seal, unseal

PLACE = "proxy_provider:0b9e:api_key"


@given(plain=st.text(), place=st.text())
def test_what_was_sealed_opens_in_its_place(plain: str, place: str):
    assert unseal(seal(plain, place), place) == plain


def test_the_same_text_is_sealed_differently_each_time():
    assert seal("sk-secret", PLACE) != seal("sk-secret", PLACE)


def test_a_sealed_value_tells_its_version_and_key_and_nothing_else():
    version, sealed_with, payload = seal("sk-secret", PLACE).split(".")

    assert (version, sealed_with) == ("v1", key_id())
    assert b"secret" not in base64.urlsafe_b64decode(payload)


@given(place=st.text().filter(lambda place: place != PLACE))
def test_a_value_moved_to_another_place_does_not_open(place: str):
    with pytest.raises(CannotDecrypt, match="another row"):
        unseal(seal("sk-secret", PLACE), place)


@given(data=st.data())
def test_a_value_with_one_bit_changed_does_not_open(data: st.DataObject):
    head, _, payload = seal("sk-secret", PLACE).rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(payload))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(CannotDecrypt):
        unseal(f"{head}.{base64.urlsafe_b64encode(raw).decode()}", PLACE)


def test_a_value_cut_off_anywhere_does_not_open():
    sealed = seal("sk-secret", PLACE)

    for length in range(len(sealed)):
        with pytest.raises(CannotDecrypt):
            unseal(sealed[:length], PLACE)


def test_a_value_sealed_with_another_key_does_not_open_and_says_what_to_restore(settings: Settings):
    sealed = seal("sk-secret", PLACE)
    settings.GATEWAY_FIELD_KEY = b"k" * 32

    with pytest.raises(CannotDecrypt, match="Restore SECRET_KEY or GATEWAY_ENCRYPTION_KEY"):
        unseal(sealed, PLACE)


def test_another_key_under_the_old_keys_name_does_not_open(settings: Settings):
    payload = seal("sk-secret", PLACE).rpartition(".")[2]
    settings.GATEWAY_FIELD_KEY = b"k" * 32

    with pytest.raises(CannotDecrypt):
        unseal(f"v1.{key_id()}.{payload}", PLACE)


@given(text=st.text())
def test_what_was_never_sealed_is_never_taken_for_a_secret(text: str):
    for token in (text, f"v1.{key_id()}.{text}"):
        with pytest.raises(CannotDecrypt):
            unseal(token, PLACE)


def test_the_error_tells_neither_the_secret_nor_the_sealed_value():
    sealed = seal("sk-secret", PLACE)

    with pytest.raises(CannotDecrypt) as error:
        unseal(sealed, "elsewhere")
    assert "sk-secret" not in str(error.value)
    assert sealed not in str(error.value)
