"""What becomes of keys when a rotation makes a new one in KMS, and when the settings ask for another signer: the old
key signs until verifiers know the new one, and its tokens stay good."""

import json

import tokens
from issued import check_by_pyjwt, refuses_to_serve

PENDING_S = 4
# A key becomes usable a few seconds after it is published: no cache keeps an older key set for longer.
HASTY = {"TOKEN_SIGNING_ALG": "ES256", "TOKEN_JWKS_MAX_AGE": "0", "TOKEN_JWKS_STALE_WHILE_REVALIDATE": "0",
         "TOKEN_JWKS_STALE_IF_ERROR": "0", "TOKEN_CLOCK_SKEW": "0", "TOKEN_KEY_PENDING": str(PENDING_S),
         "TOKEN_KMS_TIMEOUT": "30", "TOKEN_KMS_TRY_TIMEOUT": "20"}  # a machine that stands still is no failure


def keys_of(server, state):
    return [key for key in json.loads(server.run("keys", "list", "--json").stdout) if key["state"] == state]


def kid_of(server):
    return tokens.header_of(server.token(server.agent))["kid"]


def again(server, key_id, **settings):
    """The same server with another signer."""
    server.stop()
    server.settings["KMS_KEY_ID"] = key_id
    server.settings.update(settings)
    server.start()


def test_a_rotation_in_kms_makes_a_key_moves_the_alias_and_breaks_no_token(kms, start):
    first = kms.create_key("ES256")
    kms.create_alias("alias/rotated", first)
    server = start("alias/rotated", **HASTY)
    old_token = server.token(server.agent)
    old = tokens.header_of(old_token)["kid"]
    server.until(lambda: keys_of(server, "pending"), "no standby is made")
    server.run("keys", "rotate", "--immediate")
    server.until(lambda: kid_of(server) != old, "the next key does not sign")
    target = kms.admin.describe_key(KeyId="alias/rotated")["KeyMetadata"]
    assert target["Arn"] != first
    assert server.rows("SELECT private_key_ref FROM oauth_jwks WHERE state = 2") == [("kms:" + target["Arn"],)]
    assert target["KeySpec"] == "ECC_NIST_P256"
    assert check_by_pyjwt(server, server.token(server.agent), "ES256")
    assert check_by_pyjwt(server, old_token, "ES256")
    assert server.is_active(server.agent, old_token)


def test_from_a_key_file_to_kms_and_to_a_wrapped_key(kms, start):
    server = start("", **HASTY)
    kept = [server.token(server.agent)]
    for key_id, prefix in ((kms.create_key("ES256"), "kms:"), (kms.create_symmetric_key(), "envelope:")):
        before = kid_of(server)
        again(server, key_id)
        server.until(lambda old=before: kid_of(server) != old, "the new signer's key never signs")
        kept.append(server.token(server.agent))
        ((ref, known_s),) = server.rows("SELECT private_key_ref, activated_at - published_at FROM oauth_jwks "
                                        "WHERE state = 2")
        assert ref.startswith(prefix)
        assert known_s >= PENDING_S, "before that nobody knows the new one"
        for token in kept:
            assert check_by_pyjwt(server, token, "ES256")
            assert server.is_active(server.agent, token)


def test_from_kms_to_a_key_file_only_when_that_is_said(kms, start):
    server = start(kms.create_key("ES256"), **HASTY)
    token = server.token(server.agent)
    server.stop()
    server.settings["KMS_KEY_ID"] = ""
    refuses_to_serve(server, "KMS_KEY_ID")
    again(server, "", TOKEN_SIGNER="local")
    assert tokens.header_of(server.token(server.agent))["kid"] != tokens.header_of(token)["kid"]
    assert server.is_active(server.agent, token)
    assert check_by_pyjwt(server, token, "ES256")
