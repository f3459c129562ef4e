"""npm's oauth4webapi: each step by itself, with all the checks that this library has, as a client that proves itself by
a key, as one with a secret, and as a resource server."""

import json

import pytest
from jwcrypto import jwk

from other_clients import API, CALLBACK, CLAIMS, USER_SCOPES

PARAMETERS = {"redirect_uri": CALLBACK, "scope": USER_SCOPES, "max_age": "600"}
OTHER = "https://other.example/"


@pytest.fixture(scope="module")
def library(start_node):
    return start_node("oauth4webapi.mjs", "oauth4webapi")


@pytest.fixture(scope="module")
def keyed(provider):
    key = jwk.JWK.generate(kty="OKP", crv="Ed25519", alg="EdDSA", kid="own")
    provider.register_web("keyed", token_endpoint_auth_method="private_key_jwt", userinfo_signed_response_alg="RS256",
                          jwks={"keys": [key.export_public(as_dict=True)]}, resources=[OTHER])
    return {"client_id": "keyed", "key": key.export_private(as_dict=True),
            "metadata": {"userinfo_signed_response_alg": "RS256"}}


@pytest.fixture(scope="module")
def machine(provider):
    client = provider.register_machine(resources=[OTHER])
    return {"client_id": client.id, "secret": client.secret}


def test_both_documents_say_the_same(provider, library, machine):
    documents = [library.do("discover", issuer=provider.issuer, algorithm=algorithm, **machine)
                 for algorithm in ("oidc", "oauth2")]
    assert documents[0] == documents[1]
    assert documents[0]["metadata"]["issuer"] == provider.issuer


def test_each_step_of_a_login_passes_each_check(provider, library, person, keyed):
    library.do("discover", issuer=provider.issuer, algorithm="oidc", **keyed)
    back = person.go(library.do("begin", parameters=PARAMETERS)["url"])
    first = library.do("finish", url=back)["tokens"]
    assert first["claims"]["azp"] == "keyed" and first["claims"]["amr"] == ["pwd"]
    assert library.do("userinfo", subject="user-1")["userinfo"]["name"] == CLAIMS["name"]
    assert library.refused("userinfo", subject="user-2") == "OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED"
    second = library.do("refresh")["tokens"]
    for name in ("iss", "sub", "aud", "auth_time", "sid", "azp"):
        assert second["claims"][name] == first["claims"][name]  # OpenID Connect Core section 12.2
    library.do("revoke", token=second["refresh_token"])
    assert library.refused("refresh") == "invalid_grant"


def test_a_client_may_publish_its_keys(provider, library, endpoint):
    """At its jwks_uri, which the provider fetches: two of three."""
    provider.register_machine("publishes", token_endpoint_auth_method="private_key_jwt",
                              jwks_uri=endpoint.url + "/keys")
    keys = [jwk.JWK.generate(kty="RSA", size=2048, alg="PS256", kid=f"{number}") for number in range(3)]
    endpoint.content_type = "application/jwk-set+json"
    endpoint.page = json.dumps({"keys": [key.export_public(as_dict=True) for key in keys[:2]]})

    def is_taken(key):
        library.do("discover", issuer=provider.issuer, algorithm="oauth2", client_id="publishes",
                   key=key.export_private(as_dict=True))
        return library.ask("client_credentials", parameters={})["ok"]

    provider.until(lambda: is_taken(keys[0]), "its keys were not fetched")  # at once, or again when that took too long
    assert [is_taken(key) for key in keys] == [True, True, False]


def test_an_answer_of_another_issuer_is_noticed(provider, library, person, keyed):
    """RFC 9207."""
    library.do("discover", issuer=provider.issuer, algorithm="oidc", **keyed)
    back = person.go(library.do("begin", parameters=PARAMETERS)["url"])
    assert library.refused("finish", url=back, sent_to=OTHER) == "OAUTH_INVALID_RESPONSE"
    library.do("finish", url=back)


def test_a_resource_server_takes_the_tokens_that_are_for_it(provider, library, machine):
    """RFC 9068 section 4, with the keys of the issuer's metadata."""
    library.do("discover", issuer=provider.issuer, algorithm="oauth2", **machine)
    for resource, audience in (({}, API), ({"resource": API}, API), ({"resource": OTHER}, OTHER)):
        token = library.do("client_credentials", parameters={"scope": "stories:read"} | resource)["tokens"]
        claims = library.do("validate", token=token["access_token"], audience=audience)["claims"]
        assert claims["client_id"] == claims["sub"] == "machine" and claims["scope"] == "stories:read"
    assert library.refused("validate", token=token["access_token"], audience=API) == "OAUTH_JWT_CLAIM_COMPARISON_FAILED"
    assert OTHER in library.do("introspect", token=token["access_token"])["introspected"]["aud"]


def test_a_resource_server_takes_no_id_token(provider, library, person, keyed):
    library.do("discover", issuer=provider.issuer, algorithm="oidc", **keyed)
    tokens = library.do("finish", url=person.go(library.do("begin", parameters=PARAMETERS)["url"]))["tokens"]
    assert library.do("validate", token=tokens["access_token"], audience=API)["claims"]["sub"] == "user-1"
    assert library.refused("validate", token=tokens["id_token"], audience="keyed") == "OAUTH_INVALID_RESPONSE"
