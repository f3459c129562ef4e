"""Spring Boot with Spring Security's resource server (java-api), which is told the issuer's URL and the API's name and
nothing else."""

import subprocess

import pytest

import tokens
from other_clients import API, Api
from service import ROOT

FOLDER = ROOT / "build/tools/java-api"
OTHER = "https://other.example/"


@pytest.fixture(scope="module")
def api(provider):
    if not (FOLDER / "api/Api.class").exists():
        pytest.skip(f"there is no {FOLDER.name}: `./dev test integration` builds it, where its libraries can be had")
    store = provider.home / "trust.p12"
    subprocess.run(["keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", provider.ca, "-keystore", store,
                    "-storetype", "PKCS12", "-storepass", "changeit"], check=True, capture_output=True, timeout=60)
    made = Api(provider, "java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", f"-Djavax.net.ssl.trustStore={store}",
               "-Djavax.net.ssl.trustStorePassword=changeit", "-cp", f"{FOLDER}:{FOLDER}/lib/*", "api.Api",
               provider.issuer, API)
    yield made
    made.close()


def test_it_takes_what_is_for_it_and_nothing_else(provider, api, person):
    machine = provider.register_machine(resources=[OTHER])
    token = provider.machine_token(machine, scope="stories:read")
    answer = api.ask(token)
    assert answer.status_code == 200, answer.headers["WWW-Authenticate"]
    assert answer.json()["client_id"] == "machine"
    assert api.ask(token, "/write").status_code == 403
    assert api.ask(provider.machine_token(machine), "/write").status_code == 200
    user = provider.sign_in(person, provider.register_web())
    assert api.ask(user["access_token"]).json()["sub"] == "user-1"
    for other in (None, tokens.flip(token, -9), user["id_token"], user["refresh_token"],
                  provider.machine_token(machine, resource=OTHER)):
        assert api.ask(other).status_code == 401
