"""When a fault has ended: all goes on by itself, and every promise of the ledger was kept, at each instance and in the
servers."""

import time

import jwt

import feed_reader
import rules
from callers import LEASE_S
from cluster import COUNT, RECOVERY_S
from ledger import Line, make_rule, revoke

ALGORITHMS = ["ES256"]
LATER_S = 3 * 86400  # rules expire one after the other, and a clock that is off keeps them for a day
TTL_GRAIN_S = 2  # of a life that Redis tells in whole seconds, from a time of day in whole seconds
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
    repeat_doubtful(line, ledger, chance)
    acknowledged_at = time.monotonic()
    check_keys(cluster, ledger, chance)  # a good token of a key that an instance has not heard of would be refused
    spared = [token for token in ledger.live if ledger.rules.spares(token)]
    check_tokens(line, ledger, sample(ledger.live, 200, chance) + chance.sample(spared, min(len(spared), 50)), True)
    check_servers(cluster, ledger)
    check_rules_in_servers(cluster, ledger)
    check_feed(line, ledger, chance)
    time.sleep(max(0, acknowledged_at + LEASE_S - time.monotonic()))
    check_tokens(line, ledger, sample(ledger.revoked, 300, chance) + sample(ledger.ruled, 100, chance), False)
    line.close()
    check_memory(cluster, ledger)


def repeat_doubtful(line, ledger, chance):
    """Revocations and rules, until none is in doubt."""
    end = time.monotonic() + RECOVERY_S
    while ledger.doubtful or ledger.rules.doubtful:
        if ledger.doubtful:
            is_done = revoke(line, chance.randrange(COUNT), ledger.to_revoke(chance))
        else:
            is_done = make_rule(line, chance.randrange(COUNT), *ledger.rules.doubtful.pop(0))
        if not is_done and time.monotonic() > end:
            ledger.violation("a revocation that is repeated is not acknowledged, although all is well")
            return


def check_tokens(line, ledger, tokens, good):
    for token in tokens:
        wrong = [i for i in range(COUNT) if is_good(line, i, token) is not good]
        if wrong:
            ledger.broken(token, f"at the end instances {wrong} don't say of a {token.kind} token that it is "
                                 f"{'good' if good else 'revoked'}")


def is_good(line, i, token):
    end = time.monotonic() + RECOVERY_S
    while True:
        answer = line.post(i, "/token/verify", token.question, 200, 401, 503)
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
    while revoked - (stored := {row[0] for row in cluster.rows("SELECT token_hash FROM token_service_revocations")}):
        if not cluster.lagged or time.monotonic() > end:  # what was lost by a fail-over is written back, soon
            break
        time.sleep(0.2)
    if revoked - stored:
        ledger.violation(f"the store lacks {len(revoked - stored)} of {len(revoked)} revocations")
    issued = {row[0] for row in cluster.rows(
        "SELECT token_hash FROM oauth_access_tokens UNION ALL SELECT token_hash FROM oauth_refresh_tokens UNION ALL "
        "SELECT token_hash FROM token_service_unlinked_tokens")}
    # A wrong clock's iat says nothing of when that was.
    wanted = {token.hash for token in ledger.live + ledger.revoked if token.kind != "id"
              and not (cluster.lagged and token.by_wrong_clock)
              and not any(first <= token.known_at and token.issued_at <= last + 1 for first, last in cluster.lagged)}
    if wanted - issued:
        ledger.violation(f"the store lacks {len(wanted - issued)} of {len(wanted)} tokens")


def check_rules_in_servers(cluster, ledger):
    """The same for rules, with their times."""
    wanted = {rules.hash_of(target).hex(): (rule.before, rule.expires_at)
              for target, rule in ledger.rules.in_force(time.time() + RECOVERY_S).items()}
    end = time.monotonic() + RECOVERY_S
    while lacking := lacks(wanted, rules_in(cluster.redis_master())):
        if time.monotonic() > end:
            ledger.violation(f"Redis lacks {len(lacking)} of {len(wanted)} rules, or has other times: {lacking}")
            break
        time.sleep(0.2)
    while lacking := lacks(wanted, rules_stored(cluster)):
        if not cluster.lagged or time.monotonic() > end:
            ledger.violation(f"the store lacks {len(lacking)} of {len(wanted)} rules, or has other times: {lacking}")
            break
        time.sleep(0.2)


def lacks(wanted, found):
    """Of rules, name -> (before, expiry), those that are not there as they were acknowledged. One that was asked for
    again expires somewhat later, also when nobody heard the answer."""
    return [(name, before, expires_at, found.get(name)) for name, (before, expires_at) in wanted.items()
            if found.get(name, (0, 0))[0] != before or not 0 <= found[name][1] - expires_at <= LATER_S]


def rules_stored(cluster):
    """The same of the store."""
    return {name: (before, expires_at) for name, before, expires_at in cluster.rows(
        "SELECT token_hash, extract(epoch FROM issued_before)::bigint, extract(epoch FROM expires_at)::bigint "
        "FROM token_service_revocations WHERE kind IS NOT NULL")}


def rules_in(redis):
    """Hash -> (before, expiry)."""
    keys = sorted(redis.keys("token-service:rule:*"))
    values = redis.ask("MGET", *keys).splitlines() if keys else []
    return {key.rpartition(":")[2]: tuple(map(int, value.split(" ")[:2]))
            for key, value in zip(keys, values, strict=True) if value}


def check_feed(line, ledger, chance):
    """Who reads all of it from one instance, and who has followed it from one to the other through all faults, are told
    of all that was acknowledged, until it ends, and of nothing else."""
    readers = [(i, feed_reader.Reader()) for i in range(COUNT)] + [(chance.randrange(COUNT), ledger.reader)]
    end = time.monotonic() + RECOVERY_S
    for i, reader in readers:
        while differs := differences_at(line, i, ledger, reader):
            if time.monotonic() > end:
                ledger.violation(f"the feed of instance {i} {', '.join(differs)}")
                break
            time.sleep(0.05)


def differences_at(line, i, ledger, reader):
    """When the reader has gone on to the tail."""
    while (is_tail := line.follow_feed(i, reader)) is False:
        pass
    return differences(ledger, reader, TTL_GRAIN_S + line.cluster.most_off_s) if is_tail else ["says nothing"]


def differences(ledger, reader, slack_s):
    """But for what ends just now. What an instance knows only by Redis, it keeps as long as the key lives: that was
    counted by the clock of whoever put it there, and Redis rounds."""
    until = time.time() + RECOVERY_S
    told = {name: expiry for name, expiry in reader.tokens.items() if expiry > until and name not in ledger.dropped}
    wanted = {name: expiry for name, expiry in ledger.to_be_told.items() if expiry > until}
    rules_asked = {(target[0], rules.hash_of(target)) for target in ledger.rules.asked}
    rules_wanted = {(target[0], rules.hash_of(target)): (rule.before, rule.expires_at)
                    for target, rule in ledger.rules.in_force(until).items()}
    # An instance whose clock is off keeps longer what it takes for expired, or for not valid yet.
    longer = {name: by for name, expiry in told.items() if name not in ledger.by_wrong_clocks
              and (by := expiry - ledger.to_be_told.get(name, expiry)) > slack_s}
    found = {"lacks revocations": [name for name, expiry in wanted.items() if told.get(name, 0) < expiry],
             "lacks rules": lacks(rules_wanted, reader.rules),
             "tells of revocations that nobody made": told.keys() - ledger.to_be_told.keys(),
             f"keeps revocations {max(longer.values(), default=0)} s too long": longer,
             "tells of rules that nobody made": reader.rules.keys() - rules_asked}
    return [f"{what}: {len(entries)}" for what, entries in found.items() if entries]


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
        jwt.decode(token.text, published[token.kid], algorithms=ALGORITHMS, audience=token.client)


def check_memory(cluster, ledger):
    for i, server in enumerate(cluster.servers):
        entries, held = server.metric("revocations"), server.metric("revocations_bytes")
        rule_count, rules_made = server.metric("revocation_rules"), len(ledger.rules.in_force(time.time()))
        if entries < len(ledger.revoked):
            ledger.violation(f"instance {i} holds {entries} revocations of {len(ledger.revoked)}")
        if rule_count < rules_made:
            ledger.violation(f"instance {i} holds {rule_count} rules of {rules_made}")
        if held > 112 * entries + 118 * rule_count + EMPTY_BYTES:
            ledger.violation(f"instance {i} holds {entries} revocations and {rule_count} rules in {held} bytes")
