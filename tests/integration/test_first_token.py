"""The README's walk, as a new user takes it: a token is issued, verified, introspected, revoked and refused, and the
public keys, the health and the metrics can be read."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

REFUSED = {"active": False}


def test_a_token_is_issued_verified_introspected_revoked_and_then_refused(server, agent):
    issued = server.issue(agent, subject="user-1", scope="stories:read")
    token = issued["token"]
    assert issued["tokenType"] == "access"

    verified = server.verify(agent, token)
    assert verified.status_code == 200
    assert verified.json() == {"valid": True, "tokenType": "access", "claims": issued["claims"]}

    introspected = server.introspect(agent, token)
    assert introspected["active"] is True
    assert introspected["sub"] == "user-1"
    assert introspected["scope"] == "stories:read"

    revoked = server.revoke(agent, token, reason="logout")
    assert (revoked.status_code, revoked.json()) == (200, {"revoked": True})

    refused = server.verify(agent, token)
    assert refused.status_code == 401
    assert refused.json()["valid"] is False
    assert refused.json()["error"] == "invalid_token"
    assert server.introspect(agent, token) == REFUSED


def test_the_same_walk_with_the_forms_of_the_rfcs(server, agent):
    token = server.token(agent, subject="user-2", tokenType="refresh", scope="stories:read")

    introspected = server.post("/token/introspect", form={"token": token, "token_type_hint": "refresh_token"}
                               | agent.post())
    assert introspected.status_code == 200
    assert introspected.json()["active"] is True

    revoked = server.post("/token/revoke", form={"token": token, "token_type_hint": "refresh_token"} | agent.post())
    assert (revoked.status_code, revoked.content) == (200, b"")

    assert server.introspect(agent, token) == REFUSED


@pytest.mark.parametrize("kind", ["access", "refresh", "id"])
def test_every_kind_of_token_can_be_revoked(server, agent, kind):
    token = server.token(agent, tokenType=kind)
    assert server.verify(agent, token).status_code == 200
    assert server.revoke(agent, token).status_code == 200
    assert server.verify(agent, token).status_code == 401


def test_the_public_keys_can_be_cached_and_asked_for_again(server):
    answer = server.settled().get("/.well-known/jwks.json")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] in ("application/jwk-set+json", "application/json")
    assert answer.headers["Cache-Control"] == "public, max-age=300, stale-while-revalidate=60, stale-if-error=3600"
    for key in answer.json()["keys"]:
        assert {"kid", "kty", "use", "alg", "n", "e"} == key.keys(), "the public members, and no others"
        assert (key["kty"], key["use"], key["alg"]) == ("RSA", "sig", "RS256")

    etag = answer.headers["ETag"]
    for sent in (etag, f'"other", {etag}', "W/" + etag, "*"):
        again = server.get("/.well-known/jwks.json", headers={"If-None-Match": sent})
        assert (again.status_code, again.content) == (304, b""), sent
        assert again.headers["ETag"] == etag
        assert again.headers["Cache-Control"] == answer.headers["Cache-Control"]
    for sent in ('"other"', etag.strip('"'), etag[:-2] + '"', ""):
        assert server.get("/.well-known/jwks.json", headers={"If-None-Match": sent}).status_code == 200, sent


def test_health_is_told_to_anyone(server):
    assert server.get("/health/live").json() == {"status": "ok"}
    ready = server.get("/health/ready")
    assert ready.status_code == 200
    assert ready.json() == {
        "status": "ok", "checks": {"store": "ok", "keys": "ok"}, "signer": {"kind": "local"},
        "store": {"kind": "sqlite"}}


def test_metrics_are_what_prometheus_reads(server, agent):
    token = server.token(agent)
    server.verify(agent, token)
    server.verify(agent, "no.token.at-all")
    server.introspect(agent, token)
    server.revoke(agent, token)
    server.introspect(agent, token)

    answer = server.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert all(family.documentation for family in families.values())
    assert all(family.type != "unknown" for family in families.values()), [
        name for name, family in families.items() if family.type == "unknown"]

    histogram = families["token_service_request_duration_seconds"]
    for operation in ("issue", "verify", "introspect", "revoke"):
        mine = [sample for sample in histogram.samples if sample.labels["operation"] == operation]
        counts = [sample.value for sample in mine if sample.name.endswith("_bucket")]
        (total,) = [sample.value for sample in mine if sample.name.endswith("_count")]
        assert counts == sorted(counts) and counts[-1] == total > 0, "buckets are cumulative, and the last is all"

    assert server.metric("tokens_issued_total", type="access") >= 1
    assert server.metric("verifications_total", result="valid") >= 1
    assert server.metric("verifications_total", result="invalid") >= 1
    assert server.metric("introspections_total", result="active") >= 1
    assert server.metric("introspections_total", result="inactive") >= 1
    assert server.metric("revocations_total", result="revoked") >= 1
    assert server.metric("commits_total") >= 1
    assert server.metric("key_age_seconds", state="active") >= 0


def test_a_metric_counts_exactly_what_happened(server, agent):
    def counts():
        return [server.metric("tokens_issued_total", type="refresh"), server.metric("introspections_total")]

    token = server.token(agent)
    before = counts()
    for _ in range(7):
        server.token(agent, tokenType="refresh")
    for _ in range(5):
        server.introspect(agent, token)
    assert counts() == [before[0] + 7, before[1] + 5]


def test_the_program_says_where_it_serves(server):
    (event,) = server.events("serving")
    assert event["port"] == server.port
    assert event["level"] == "info"
