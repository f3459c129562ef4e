"""npm's openid-client, a certified relying party, from the issuer's URL alone: what it checks of every answer is what
is held here against the service."""

import jwt
import pytest
from jwcrypto import jwk

from other_clients import API, BYE, CALLBACK, CLAIMS, USER_SCOPES, Person

PARAMETERS = {"redirect_uri": CALLBACK, "scope": USER_SCOPES}


@pytest.fixture(scope="module")
def library(start_node):
    return start_node("openid_client.mjs", "openid-client")


@pytest.fixture(scope="module")
def web(provider):
    return provider.register_web()


@pytest.fixture(scope="module")
def key():
    """A client's own."""
    return jwk.JWK.generate(kty="EC", crv="P-256", alg="ES256", kid="own")


@pytest.fixture(scope="module")
def keyed(provider, key):
    provider.register_web("keyed", token_endpoint_auth_method="private_key_jwt", request_object_signing_alg="ES256",
                          jwks={"keys": [key.export_public(as_dict=True)]}, userinfo_signed_response_alg="RS256",
                          grant_types=["authorization_code", "refresh_token", "client_credentials"])
    return {"client_id": "keyed", "method": "private_key_jwt", "key": key.export_private(as_dict=True)}


def discover(library, provider, client, method="client_secret_basic", **members):
    return library.do("discover", issuer=provider.issuer, client_id=client.id, secret=client.secret, method=method,
                      **members)["metadata"]


def sign_in(library, person, signed_with=None, **parameters):
    url = library.do("begin", parameters=PARAMETERS | parameters, signed_with=signed_with)["url"]
    back = person.go(url)
    return library.do("finish", url=back, form=person.posted)["tokens"]


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
def test_a_user_signs_in_whatever_the_client_is(provider, library, person, method):
    client = provider.register_web(f"web-{method}", token_endpoint_auth_method=method)
    discover(library, provider, client, method)
    tokens = sign_in(library, person)
    assert person.pages == ["Sign in", "Allow access?"]
    assert tokens["claims"]["sub"] == "user-1" and tokens["claims"]["aud"] == client.id
    assert tokens["scope"] == USER_SCOPES
    told = library.do("userinfo")["userinfo"]
    assert told == told | {"sub": "user-1"} | CLAIMS | {"email_verified": True}
    again = library.do("refresh")["tokens"]
    assert again["refresh_token"] != tokens["refresh_token"] and again["access_token"] != tokens["access_token"]


def test_a_client_with_a_key_signs_in_with_a_signed_request(provider, library, person, keyed, key):
    library.do("discover", issuer=provider.issuer, **keyed, metadata={"userinfo_signed_response_alg": "RS256"})
    tokens = sign_in(library, person, signed_with=key.export_private(as_dict=True))
    assert tokens["claims"]["aud"] == "keyed"
    assert library.do("userinfo")["userinfo"]["email"] == CLAIMS["email"]  # that too is signed
    assert library.do("refresh")["tokens"]["id_token"]
    machine = library.do("client_credentials", parameters={"resource": API})["tokens"]
    assert library.do("introspect", token=machine["access_token"])["introspected"]["sub"] == "keyed"


def test_the_answer_may_come_as_a_form(provider, library, person, web):
    discover(library, provider, web)
    tokens = sign_in(library, person, response_mode="form_post")
    assert person.posted["code"] and tokens["claims"]["sub"] == "user-1"


def test_a_session_answers_without_a_page_as_long_as_it_may(provider, library):
    discover(library, provider, provider.register_web("remembered"))
    person = Person(provider, remembers=True)
    first = sign_in(library, person)
    second = sign_in(library, person, prompt="none")
    assert person.pages == []
    assert second["claims"]["auth_time"] == first["claims"]["auth_time"]
    third = sign_in(library, person, max_age="10000", claims='{"id_token":{"email":null}}')
    assert third["claims"]["email"] == CLAIMS["email"]


def test_what_is_refused_comes_as_an_error_that_the_client_knows(provider, library, web):
    discover(library, provider, web)
    begin = {"parameters": PARAMETERS}
    stranger = Person(provider)
    back = stranger.go(library.do("begin", parameters=PARAMETERS | {"prompt": "none"})["url"])
    assert library.refused("finish", url=back) == "login_required"
    back = Person(provider, agrees=False).go(library.do("begin", **begin)["url"])
    assert library.refused("finish", url=back) == "access_denied"
    back = stranger.go(library.do("begin", **begin)["url"])
    library.do("begin", **begin)  # another verifier, state and nonce
    assert library.refused("finish", url=back) == "OAUTH_INVALID_RESPONSE", "the state is not its own"


def test_a_code_is_good_once_and_takes_its_tokens_along(provider, library, person, web):
    discover(library, provider, web)
    back = person.go(library.do("begin", parameters=PARAMETERS)["url"])
    tokens = library.do("finish", url=back)["tokens"]
    assert library.do("introspect", token=tokens["access_token"])["introspected"]["active"]
    assert library.refused("finish", url=back) == "invalid_grant"
    assert not library.do("introspect", token=tokens["access_token"])["introspected"]["active"]
    assert library.refused("refresh", token=tokens["refresh_token"]) == "invalid_grant"


def test_a_refresh_token_used_again_gives_the_same_successor_or_ends_all(provider, library, person):
    """In its grace period, and without one."""
    for grace in (60, 0):
        discover(library, provider, provider.register_web(f"grace-{grace}", refresh_token_grace=grace))
        first = sign_in(library, person)
        second = library.do("refresh", token=first["refresh_token"])["tokens"]
        if grace:
            again = library.do("refresh", token=first["refresh_token"])["tokens"]
            assert again["refresh_token"] == second["refresh_token"]
            library.do("refresh", token=second["refresh_token"])
        else:
            assert library.refused("refresh", token=first["refresh_token"]) == "invalid_grant"
            assert library.refused("refresh", token=second["refresh_token"]) == "invalid_grant"


def test_a_refreshed_scope_is_narrower_if_asked_for(provider, library, person, web):
    discover(library, provider, web)
    tokens = sign_in(library, person)
    narrow = library.do("refresh", token=tokens["refresh_token"], parameters={"scope": "openid"})["tokens"]
    assert narrow["scope"] == "openid"
    assert library.refused("refresh", token=narrow["refresh_token"],
                           parameters={"scope": "openid stories:read"}) == "invalid_scope"


def test_a_machine_has_tokens_of_its_own_and_revokes_them(provider, library):
    machine = provider.register_machine()
    discover(library, provider, machine)
    tokens = library.do("client_credentials", parameters={"scope": "stories:read"})["tokens"]
    assert tokens["scope"] == "stories:read" and tokens["token_type"] == "bearer" and "refresh_token" not in tokens
    told = library.do("introspect", token=tokens["access_token"])["introspected"]
    assert told["active"] and told["client_id"] == "machine" and told["iss"] == provider.issuer
    library.do("revoke", token=tokens["access_token"])
    assert not library.do("introspect", token=tokens["access_token"])["introspected"]["active"]
    assert library.refused("client_credentials", parameters={"scope": "openid"}) == "invalid_scope"
    assert library.refused("client_credentials", parameters={"resource": "https://other.example/"}) == "invalid_target"


def test_a_user_who_signs_out_is_gone(provider, library, person, web):
    discover(library, provider, web)
    tokens = sign_in(library, person)
    url = library.do("logout_url", parameters={"post_logout_redirect_uri": BYE, "state": "s t"})["url"]
    assert person.go(url) == BYE + "?state=s%20t"
    # The grant has offline_access, so it goes on (Back-Channel Logout 1.0 section 2.7), of no session.
    later = library.do("refresh", token=tokens["refresh_token"])["tokens"]["id_token"]
    assert "sid" not in jwt.decode(later, options={"verify_signature": False})
    back = person.go(library.do("begin", parameters=PARAMETERS | {"prompt": "none"})["url"])
    assert library.refused("finish", url=back) == "login_required"
