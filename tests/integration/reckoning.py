"""When a fault has ended: all goes on by itself, and every promise of the ledger was kept, at each instance and in the
servers."""

import time

import jwt

from callers import LEASE_S
from cluster import COUNT, RECOVERY_S
from ledger import Line, revoke

ALGORITHMS = ["ES256"]
EMPTY_BYTES = 32 * 1024  # of the set of revocations, before there is anything in it


def recover(cluster):
    """After a fault has ended: all are ready, without a restart, and do what they are for."""
    cluster.wait_until_ready()
    for i, server in enumerate(cluster.servers):
        server.until(lambda server=server: server.ask(cluster.agent).status_code == 200,
                     f"instance {i} issues nothing", RECOVERY_S)


def sample(page, count, chance):
    """The newest, which the last fault was about, and as many of the others as chance names."""
    newest, older = page[-count:], page[:-count]
    return newest + chance.sample(older, min(len(older), count // 2))


def settle(cluster, ledger, chance):
    """With nobody at work, and all of them ready: every promise is kept by each instance, by Redis and by the store."""
    line = Line(cluster, ledger)
    ledger.drop_expired()
    end = time.monotonic() + RECOVERY_S
    while token := (ledger.to_revoke(chance) if ledger.doubtful else None):
        if not revoke(line, chance.randrange(COUNT), token) and time.monotonic() > end:
            ledger.violation("a revocation that is repeated is not acknowledged, although all is well")
            break
    time.sleep(LEASE_S)
    for page, good, count in ((ledger.revoked, False, 300), (ledger.live, True, 200)):
        for token in sample(page, count, chance):
            wrong = [i for i in range(COUNT) if is_good(line, i, token) is not good]
            if wrong:
                ledger.broken(token, f"at the end instances {wrong} don't say of a {token.kind} token that it is "
                                     f"{'good' if good else 'revoked'}")
    line.close()
    check_servers(cluster, ledger)
    check_keys(cluster, ledger, chance)
    check_memory(cluster, ledger)


def is_good(line, i, token):
    end = time.monotonic() + RECOVERY_S
    while True:
        answer = line.post(i, "/token/verify", {"token": token.text}, 200, 401, 503)
        if answer and answer.status != 503:  # a busy machine may let the lease end for a moment
            return answer.status == 200
        if time.monotonic() > end:
            return None
        time.sleep(0.05)


def check_servers(cluster, ledger):
    """Redis, for all who read it, and the store hold what was acknowledged."""
    revoked = {token.hash for token in ledger.revoked}
    end = time.monotonic() + RECOVERY_S
    while missing := revoked - {key.removeprefix("revoked:") for key in cluster.redis_master().keys()}:
        if time.monotonic() > end:
            ledger.violation(f"Redis lacks {len(missing)} of {len(revoked)} revocations")
            break
        time.sleep(0.2)
    stored = {row[0] for row in cluster.rows("SELECT token_hash FROM token_service_revocations")}
    if revoked - stored:
        ledger.violation(f"the store lacks {len(revoked - stored)} of {len(revoked)} revocations")
    issued = {row[0] for row in cluster.rows(
        "SELECT token_hash FROM oauth_access_tokens UNION ALL SELECT token_hash FROM oauth_refresh_tokens UNION ALL "
        "SELECT token_hash FROM token_service_unlinked_tokens")}
    wanted = {token.hash for token in ledger.live + ledger.revoked if token.kind != "id"}
    if wanted - issued:
        ledger.violation(f"the store lacks {len(wanted - issued)} of {len(wanted)} tokens")


def check_keys(cluster, ledger, chance):
    """One key is active, each instance publishes it and those of all good tokens, and these verify by PyJWT."""
    (active,), = cluster.rows("SELECT kid FROM oauth_jwks WHERE state = 'active'")
    known = {row[0] for row in cluster.rows("SELECT kid FROM oauth_jwks WHERE activated_at IS NOT NULL")}
    if ledger.rotated_to - known:
        ledger.violation("the store does not know of a rotation that was acknowledged")
    needed = {active} | {token.kid for token in ledger.live}
    for i, server in enumerate(cluster.servers):
        server.until(lambda server=server: needed <= {key["kid"] for key in server.jwks()["keys"]},
                     f"instance {i} does not publish all keys", RECOVERY_S)
    published = jwt.PyJWKSet.from_dict(chance.choice(cluster.servers).jwks())
    for token in ledger.live:
        jwt.decode(token.text, published[token.kid], algorithms=ALGORITHMS, audience="agent")


def check_memory(cluster, ledger):
    for i, server in enumerate(cluster.servers):
        entries, held = server.metric("revocations"), server.metric("revocations_bytes")
        if entries < len(ledger.revoked):
            ledger.violation(f"instance {i} holds {entries} revocations of {len(ledger.revoked)}")
        if held > 64 * entries + EMPTY_BYTES:
            ledger.violation(f"instance {i} holds {entries} revocations in {held} bytes")
