"""npm's express-oauth2-jwt-bearer, unchanged, which is told the issuer's URL and the API's name and nothing else."""

import pytest

import tokens
from node import NODE
from other_clients import API, HERE, Api


@pytest.fixture(scope="module")
def api(provider):
    if not (HERE / "node_modules/express-oauth2-jwt-bearer").is_dir():
        pytest.skip("npm's express-oauth2-jwt-bearer is not installed here: `npm ci` in tests/integration")
    provider.settled()  # the next key is among those that the middleware fetches
    made = Api(provider, str(NODE), "express_api.mjs", provider.issuer, API)
    yield made
    made.close()


@pytest.fixture(scope="module")
def machine(provider):
    return provider.register_machine(resources=["https://other.example/"])


def test_a_machine_is_let_in_as_far_as_its_scope_goes(provider, api, machine):
    token = provider.machine_token(machine, scope="stories:read")
    answer = api.ask(token)
    assert answer.status_code == 200 and answer.json()["client_id"] == "machine"
    refused = api.ask(token, "/write")
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
    assert api.ask(provider.machine_token(machine), "/write").status_code == 200


def test_a_user_is_let_in_and_the_id_token_is_not(provider, api, person):
    got = provider.sign_in(person, provider.register_web())
    assert api.ask(got["access_token"]).json()["sub"] == "user-1"
    assert api.ask(got["access_token"], "/amr").status_code == 200
    for other in (got["id_token"], got["refresh_token"]):
        assert api.ask(other).status_code == 401


def test_what_is_not_for_it_is_refused(provider, api, machine):
    token = provider.machine_token(machine)
    assert api.ask(token).status_code == 200
    for other in (None, tokens.flip(token, -9), provider.machine_token(machine, resource="https://other.example/")):
        assert api.ask(other).status_code == 401


def test_a_new_key_needs_no_restart(provider, api, machine):
    before = provider.machine_token(machine)
    provider.run("keys", "rotate", "--immediate")
    provider.until(lambda: tokens.header_of(provider.machine_token(machine))["kid"] != tokens.header_of(before)["kid"],
                   "it still signs with the old key")
    for token in (before, provider.machine_token(machine)):
        assert api.ask(token).status_code == 200
