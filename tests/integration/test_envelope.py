"""A data key pair whose private half only KMS can unwrap: it signs in the process, and lies nowhere in plain."""

import base64
import functools
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

import tokens
from issued import ISSUER, check_by_jose, check_by_pyjwt, published_spki, refuses_to_serve
from kms import KEY_SPECS
from tokens import ALGORITHMS


@pytest.fixture
def start(start):  # pylint: disable=redefined-outer-name
    """A call that takes a busy machine some seconds is not made twice."""
    return functools.partial(start, TOKEN_KMS_TIMEOUT="30", TOKEN_KMS_TRY_TIMEOUT="20")


@pytest.fixture
def key(kms):
    return kms.create_symmetric_key()


def pair_call(kms):
    """The first pair's that was unwrapped. The next key is made soon after; and when an RSA pair takes the tests' KMS
    longer than a try may last, another one is asked for."""
    unwrapped = {call.body["CiphertextBlob"] for call in kms.calls("Decrypt")}
    return next(call for call in kms.calls("GenerateDataKeyPairWithoutPlaintext")
                if (call.answer or {}).get("PrivateKeyCiphertextBlob") in unwrapped)


def private_key_of(kms, call):
    """The private half in plain, which KMS gives to the test as to anyone with the right context."""
    wrapped = base64.b64decode(call.answer["PrivateKeyCiphertextBlob"])
    plain = kms.admin.decrypt(KeyId=call.key_id, CiphertextBlob=wrapped,
                              EncryptionContext=call.body["EncryptionContext"])["Plaintext"]
    return plain, serialization.load_der_private_key(plain, None)


def spellings(plain, private):
    """How a private key could lie somewhere: PKCS #8 as bytes, in PEM, in base64, and its secret numbers."""
    found = {"PKCS #8": plain, "hex": plain.hex().encode(), "base64": base64.b64encode(plain)[8:-8],
             "base64url": base64.urlsafe_b64encode(plain)[8:-8]}
    if isinstance(private, rsa.RSAPrivateKey):
        numbers = private.private_numbers()
        for name in ("p", "q", "d"):
            number = getattr(numbers, name)
            found[name] = number.to_bytes((number.bit_length() + 7) // 8, "big")
    elif hasattr(private, "private_numbers"):
        found["d"] = private.private_numbers().private_value.to_bytes(32, "big")
    else:
        found["seed"] = private.private_bytes_raw()
    return found | {name + " backwards": value[::-1] for name, value in found.items() if len(name) <= 4}


def start_and_see_the_pair(kms, start, key, **settings):
    """The server, the call that made its key pair, and those that unwrapped it: others may be of the next key. (`start`
    forgets the calls of the start itself.)"""
    server = start(key, ready=False, **settings)
    server.start()
    made = pair_call(kms)
    unwrapped = [call for call in kms.calls("Decrypt")
                 if call.body["CiphertextBlob"] == made.answer["PrivateKeyCiphertextBlob"]]
    server.agent = server.add_client("agent")
    server.until(lambda: server.ask(server.agent).status_code == 200, "its client is not known")
    return server, made, unwrapped


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_token_of_a_wrapped_key_is_good_everywhere(kms, start, jose_cli, key, alg):
    server, made, unwrapped = start_and_see_the_pair(kms, start, key, TOKEN_SIGNING_ALG=alg)
    wrapped = [call.body["CiphertextBlob"] for call in unwrapped]
    kms.forget_calls()
    token = server.token(server.agent, subject="user-1")
    kid = tokens.header_of(token)["kid"]
    assert check_by_pyjwt(server, token, alg)["sub"] == "user-1"
    check_by_jose(jose_cli, server, token, alg)
    assert published_spki(server, kid) == base64.b64decode(made.answer["PublicKey"])
    assert made.body["KeyPairSpec"] == KEY_SPECS[alg]
    assert made.body["EncryptionContext"] == {"iss": ISSUER, "kid": kid}
    assert all(call.body["EncryptionContext"] == made.body["EncryptionContext"] for call in unwrapped)
    assert made.trusted and all(call.trusted for call in unwrapped)
    for _ in range(5):
        server.token(server.agent)
    assert not [call for call in kms.calls("Decrypt") if call.body["CiphertextBlob"] in wrapped], "it is kept unwrapped"


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA"])
def test_the_private_key_lies_nowhere_in_plain(kms, start, key, alg):
    server, made, _ = start_and_see_the_pair(kms, start, key, TOKEN_SIGNING_ALG=alg)
    server.token(server.agent)
    secret = spellings(*private_key_of(kms, made))
    files = [path for path in server.home.rglob("*") if path.is_file()]
    assert server.database_path in files and server.log_path in files
    wrapped = base64.b64decode(made.answer["PrivateKeyCiphertextBlob"])
    texts = {wrapped, base64.b64encode(wrapped), base64.urlsafe_b64encode(wrapped).rstrip(b"=")}
    assert [path for path in files if any(text in path.read_bytes() for text in texts)], "the search finds nothing"
    for path in files:
        data = path.read_bytes()
        assert not [name for name, value in secret.items() if value in data], path
    server.stop()
    for path in files:
        if path.exists():
            assert not [name for name, value in secret.items() if value in path.read_bytes()], path


def regions(pid):
    """Of a process's memory: its bytes, and the kernel's flags of it (proc(5): lo locked, dd not in core dumps)."""
    with open(f"/proc/{pid}/smaps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for text in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", maps.read(), flags=re.M)[1:]:
            begin, end, rights = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", text).groups()
            if "w" not in rights:
                continue
            memory.seek(int(begin, 16))
            try:
                data = memory.read(int(end, 16) - int(begin, 16))
            except OSError:
                continue  # a thread has given it back meanwhile
            yield data, re.search("VmFlags: (.*)", text).group(1).split()


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA"])
def test_in_memory_it_is_locked_and_in_no_core_dump(kms, start, key, alg, sanitizer):
    """Read from outside, after signatures: the secret numbers are found, and only where they may be."""
    if sanitizer:
        return  # its allocator keeps what was freed
    server, made, _ = start_and_see_the_pair(kms, start, key, TOKEN_SIGNING_ALG=alg)
    if os.geteuid() != 0:
        with pytest.raises(PermissionError):
            list(regions(server.process.pid))
        return
    for _ in range(5):
        server.token(server.agent)
    secret = spellings(*private_key_of(kms, made))
    found, astray = set(), []
    for data, flags in regions(server.process.pid):
        for name, value in secret.items():
            if value in data:
                found.add(name)
                if not {"lo", "dd"} <= set(flags):
                    astray.append((name, flags))
    assert found, "the search finds nothing"
    assert not astray
    assert re.search(r"Max core file size +0 +0 ", Path(f"/proc/{server.process.pid}/limits").read_text())


@pytest.mark.parametrize("way", ["revoked", "retiring"])
def test_a_key_that_signs_no_more_is_in_memory_no_more(kms, start, key, way, sanitizer):
    if sanitizer or os.geteuid() != 0:
        return
    server, made, _ = start_and_see_the_pair(kms, start, key, TOKEN_SIGNING_ALG="RS256")
    for _ in range(5):
        server.token(server.agent)
    secret = spellings(*private_key_of(kms, made))

    def places():
        return [name for data, _ in regions(server.process.pid) for name, value in secret.items() if value in data]

    assert places(), "the search finds nothing"
    server.settled()
    (active,) = server.kids("active")
    body = {"revoke": active} if way == "revoked" else {"immediate": True}
    assert server.post("/admin/rotate-keys", auth=server.agent, json=body).status_code == 200
    server.token(server.agent)
    server.until(lambda: not places(), "it is still there")


def test_kms_unwraps_once_a_start(kms, start, key):
    server, _, _ = start_and_see_the_pair(kms, start, key, TOKEN_SIGNING_ALG="ES256")
    before = server.settled().jwks()
    server.stop()
    kms.forget_calls()
    server.start()
    wrapped = [call.body["CiphertextBlob"] for call in kms.calls("Decrypt")]
    assert wrapped and len(wrapped) == len(set(wrapped)), "each key once"
    assert not kms.calls("GenerateDataKeyPairWithoutPlaintext")
    assert server.jwks() == before


def test_when_kms_is_away_it_signs_on(kms, start, key):
    server = start(key, TOKEN_SIGNING_ALG="ES256")
    kms.proxy.down()
    for _ in range(3):
        assert check_by_pyjwt(server, server.token(server.agent), "ES256")
    assert server.get("/health/ready").status_code == 200
    server.stop()
    refuses_to_serve(server, "(?i)KMS")
    kms.proxy.up()
    server.start()
    assert check_by_pyjwt(server, server.token(server.agent), "ES256")


@pytest.mark.parametrize("state", ["Disabled", "PendingDeletion"])
@pytest.mark.parametrize("again", [False, True])
def test_with_a_key_that_may_not_unwrap_it_does_not_start(kms, start, key, state, again):
    server = start(key, ready=again, TOKEN_SIGNING_ALG="ES256")
    if again:
        server.stop()
    if state == "Disabled":
        kms.admin.disable_key(KeyId=key)
    else:
        kms.admin.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    refuses_to_serve(server, "(?i)disabled" if state == "Disabled" else "(?i)deletion|deleted")


def test_faults_of_kms_at_the_start_are_tried_again(kms, start, key):
    for operation in ("GenerateDataKeyPairWithoutPlaintext", "Decrypt", "DescribeKey"):
        kms.throttle(operation=operation, times=1)
    kms.drop("before", operation="Decrypt", times=1)
    server = start(key, TOKEN_SIGNING_ALG="ES256")
    assert check_by_pyjwt(server, server.token(server.agent), "ES256")


# --- a wrapped key belongs to its issuer and its kid -----------------------------------------------------------------


def test_a_wrapped_key_of_another_issuer_is_refused(kms, start, key):
    server = start(key, TOKEN_SIGNING_ALG="ES256")
    server.stop()
    server.settings["TOKEN_ISSUER"] = "https://other.example"
    refuses_to_serve(server, "(?i)issuer|context|unwrap")


def test_a_wrapped_key_of_another_kid_is_refused(kms, start, key):
    """Two instances' stores: whoever can write to one puts the other's wrapped key under its own kid."""
    mine = start(key, TOKEN_SIGNING_ALG="ES256")
    other = start(key, TOKEN_SIGNING_ALG="ES256")
    mine.stop()
    other.stop()
    (stolen,) = other.rows("SELECT private_key_ref FROM oauth_jwks WHERE state = 2")
    with closing(sqlite3.connect(mine.database_path)) as database, database:
        assert database.execute("UPDATE oauth_jwks SET private_key_ref = ? WHERE state = 2", stolen).rowcount == 1
    refuses_to_serve(mine, "(?i)context|unwrap|belong|kid|wrapped")


def test_a_wrapped_key_that_was_changed_is_refused(kms, start, key):
    server, made, _ = start_and_see_the_pair(kms, start, key, TOKEN_SIGNING_ALG="ES256")
    server.stop()
    ((ref,),) = server.rows("SELECT private_key_ref FROM oauth_jwks WHERE state = 2")
    text = ref if isinstance(ref, str) else ref.decode()
    changed = tokens.flip(text, len(text) - 60)
    with closing(sqlite3.connect(server.database_path)) as database, database:
        database.execute("UPDATE oauth_jwks SET private_key_ref = ? WHERE state = 2", (changed,))
    refuses_to_serve(server, "(?i)wrapped|unwrap|InvalidCiphertext|context")
    assert made.trusted


def test_the_answers_key_must_be_the_published_one(kms, start, key):
    """KMS, or who poses as it, unwraps to another key: its signatures would verify nowhere."""
    server, made, _ = start_and_see_the_pair(kms, start, key, TOKEN_SIGNING_ALG="ES256")
    server.stop()
    strange = tokens.new_key("ES256").private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                                                    serialization.NoEncryption())
    kms.answer(('{"KeyId":"%s","EncryptionAlgorithm":"SYMMETRIC_DEFAULT","Plaintext":"%s"}'
                % (made.key_id, base64.b64encode(strange).decode())).encode(), operation="Decrypt")
    refuses_to_serve(server, "(?i)published")
