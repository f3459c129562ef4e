/* revocation/rule.c: what a rule is about, and whether it refuses a token. */
#include "revocation/rule.h"
#include "jose/jws.h"
#include "revocation/rules.h"

/* The state of a verified token's hashes: the first thread makes them, and no other waits for that. */
enum { HASHES_NONE, HASHES_UNDER_WAY, HASHES_READY };

enum { RULE_OF_SEALED_SUBJECT = 3, RULE_OF_SEALED_SESSION };

static const struct str prefixes[REVOCATION_KINDS] = { [REVOKED_SUBJECT] = STR_INIT("sub:"),
                                                       [REVOKED_CLIENT] = STR_INIT("client_id:"),
                                                       [REVOKED_SESSION] = STR_INIT("sid:"),
                                                       [REVOKED_ALL] = STR_INIT("all:") };

void rule_hash(enum revocation_kind kind, struct str value, unsigned char out[32])
{
    const struct str parts[] = { prefixes[kind], value };
    sha256_parts(parts, kind == REVOKED_ALL ? 1 : 2, out);
}

struct str rule_offline_target(struct arena *arena, struct str sid)
{
    static const struct str prefix = STR_INIT("offline:");
    struct buf target;
    buf_init(&target, arena, prefix.len + sid.len, prefix.len + sid.len);
    buf_add(&target, prefix);
    buf_add(&target, sid);
    return buf_str(&target);
}

void rule_hashes(const struct claims *claims, const unsigned char (*sealed)[32], unsigned char out[VERIFIED_RULES][32])
{
    const struct {
        enum revocation_kind kind;
        struct str value; /* at == NULL: there is no such claim; then the rule about all, which does no harm twice */
    } about[VERIFIED_RULES] = {
        { REVOKED_SUBJECT, claims->sub },
        { REVOKED_CLIENT, claims_owner(claims) },
        { REVOKED_SESSION, claims->sid },
        [RULE_OF_SEALED_SUBJECT] = { REVOKED_SUBJECT, { 0, 0 } },
        [RULE_OF_SEALED_SESSION] = { REVOKED_SESSION, { 0, 0 } },
        [RULE_OF_ALL] = { REVOKED_ALL, { 0, 0 } },
        { REVOKED_CLIENT, claims->parent_client_id },
        { REVOKED_SUBJECT, claims->parent_client_id },
    };
    rule_hash(REVOKED_ALL, (struct str){ 0, 0 }, out[RULE_OF_ALL]);
    for (size_t i = 0; i < VERIFIED_RULES; i++) {
        if (about[i].value.at)
            rule_hash(about[i].kind, about[i].value, out[i]);
        else
            memmove(out[i], out[RULE_OF_ALL], sizeof out[i]);
    }
    if (sealed) {
        memcpy(out[RULE_OF_SEALED_SUBJECT], sealed[0], sizeof out[0]);
        memcpy(out[RULE_OF_SEALED_SESSION], sealed[1], sizeof out[0]);
    }
}

/* Whether a rule that is known here is about the token, or about the one that it was issued with. */
static bool rule_are_covering(struct rules *rules, const unsigned char (*hashes)[32], const struct claims *claims)
{
    return rules_cover(rules, hashes, RULES_OF_TOKEN, claims->iat, claims->issued_after) ||
           (claims->parent_hash.at &&
            rules_cover(rules, hashes + RULE_OF_ALL, RULES_OF_PARENT, claims->parent_iat, claims->issued_after));
}

const unsigned char (*rule_hashes_of(struct verified *entry, unsigned char room[VERIFIED_RULES][32]))[32]
{
    unsigned state = __atomic_load_n(&entry->rule_state, __ATOMIC_ACQUIRE), none = HASHES_NONE;
    if (state == HASHES_READY)
        return (const unsigned char(*)[32])entry->rule_hashes;
    if (state == HASHES_NONE && __atomic_compare_exchange_n(&entry->rule_state, &none, HASHES_UNDER_WAY, false,
                                                            __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        rule_hashes(&entry->claims, entry->sealed_rules, entry->rule_hashes);
        __atomic_store_n(&entry->rule_state, HASHES_READY, __ATOMIC_RELEASE);
        return (const unsigned char(*)[32])entry->rule_hashes;
    }
    rule_hashes(&entry->claims, entry->sealed_rules, room);
    return (const unsigned char(*)[32])room;
}

bool rule_refuses(struct rules *rules, struct verified *entry)
{
    unsigned char room[VERIFIED_RULES][32];
    if (hash_set_count(rules_set(rules)) == 0)
        return false;
    return rule_are_covering(rules, rule_hashes_of(entry, room), &entry->claims);
}

bool rule_refuses_new(struct rules *rules, const struct claims *claims)
{
    unsigned char hashes[VERIFIED_RULES][32];
    if (hash_set_count(rules_set(rules)) == 0)
        return false;
    rule_hashes(claims, NULL, hashes);
    return rule_are_covering(rules, (const unsigned char(*)[32])hashes, claims);
}
