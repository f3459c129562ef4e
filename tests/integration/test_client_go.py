"""Go's clients: golang.org/x/oauth2 with coreos/go-oidc, as most programs in Go have them (go-client)."""

import pytest

from other_clients import CALLBACK, CLAIMS, USER_SCOPES, Library
from service import ROOT

PROGRAM = ROOT / "build/tools/go-client"


@pytest.fixture(scope="module")
def library(provider):
    if not PROGRAM.exists():
        pytest.skip(f"there is no {PROGRAM.name}: `./dev test integration` builds it, where Go's modules can be had")
    made = Library(provider, str(PROGRAM))
    yield made
    made.close()


@pytest.fixture(scope="module")
def web(provider, endpoint):
    return provider.register_web(backchannel_logout_uri=endpoint.url + "/bcl")


@pytest.fixture
def use(provider, library):
    """use(client): the program is that client from now on."""
    def become(client):
        library.do("discover", issuer=provider.issuer, client_id=client.id, secret=client.secret or "",
                   redirect_uri=CALLBACK, scopes=USER_SCOPES.split())
        return library

    return become


def sign_in(library, person):
    return library.do("finish", url=person.go(library.do("begin")["url"]))


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
def test_a_user_signs_in_however_the_client_authenticates(provider, use, person, method):
    """x/oauth2 is told nothing of the way: it tries Basic first, and the form when that is refused."""
    library = use(provider.register_web(f"web-{method}", token_endpoint_auth_method=method))
    claims = sign_in(library, person)["claims"]
    assert claims["sub"] == "user-1" and claims["aud"] == f"web-{method}"
    told = library.do("userinfo")
    assert told["userinfo"]["email"] == CLAIMS["email"] and told["email_verified"]


def test_a_code_is_not_taken_twice(use, web, person):
    library = use(web)
    back = person.go(library.do("begin")["url"])
    library.do("finish", url=back)
    assert library.refused("finish", url=back) == "invalid_grant"


def test_a_token_source_refreshes(use, web, person):
    library = use(web)
    first = sign_in(library, person)["tokens"]
    second = library.do("refresh", token=first["refresh_token"])
    assert second["claims"]["sub"] == "user-1" and second["tokens"]["access_token"] != first["access_token"]
    again = library.do("refresh", token=first["refresh_token"])  # its answer may have been lost
    assert again["tokens"]["refresh_token"] == second["tokens"]["refresh_token"] != first["refresh_token"]


def test_a_logout_token_is_what_its_verifier_takes(provider, use, web, person, endpoint):
    library = use(web)
    signed_in = sign_in(library, person)
    person.go(f"{provider.issuer}/logout?id_token_hint={signed_in['tokens']['id_token']}")
    claims = library.do("logout", token=endpoint.next_post()["logout_token"])["claims"]
    assert claims["sid"] == signed_in["claims"]["sid"] and "nonce" not in claims
    # The grant has offline_access, so it goes on (Back-Channel Logout 1.0 section 2.7), of no session.
    assert "sid" not in library.do("refresh", token=signed_in["tokens"]["refresh_token"])["claims"]


def test_a_machine_has_a_token(provider, use, web):
    machine = provider.register_machine()
    got = use(web).do("client_credentials", client_id=machine.id, secret=machine.secret, scopes=["stories:read"])
    assert got["tokens"]["type"] == "Bearer" and got["tokens"]["expires"]
    assert provider.is_active(machine, got["tokens"]["access_token"])
