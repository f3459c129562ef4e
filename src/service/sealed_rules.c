/* service/sealed_rules.c: each token has a key of its own, derived from the secret and its jti, so that nonces don't
 * have to be told apart for as long as a secret lasts; and the claim is good in no other token. */
#include "service/sealed_rules.h"
#include "base/random.h"
#include "base/settings.h"
#include "jose/b64.h"
#include "jose/seal.h"
#include "revocation/rule.h"

enum { HASHES_LEN = SEALED_RULES * 32, SEALED_LEN = HASHES_LEN + SEAL_ADDS };
_Static_assert((SEALED_LEN * 8 + 5) / 6 == SEALED_RULES_LEN, "base64url without padding");

/* False also for a jti that is longer than any of this service's. */
static bool sealed_rules_key(const struct settings *settings, struct str jti, unsigned char key[SEAL_KEY_LEN])
{
    char info[SEAL_INFO_MAX];
    static const struct str prefix = STR_INIT("rules of an id token: ");
    if (settings->pairwise_salt[0] == '\0' || jti.len > sizeof info - prefix.len)
        return false;
    memcpy(info, prefix.at, prefix.len);
    memcpy(info + prefix.len, jti.at, jti.len);
    return seal_key(str_of(settings->pairwise_salt), (struct str){ info, prefix.len + jti.len }, key);
}

struct err sealed_rules_write(const struct settings *settings, struct arena *arena, struct str jti, struct str subject,
                              struct str sid, struct str *out)
{
    unsigned char hashes[SEALED_RULES][32], key[SEAL_KEY_LEN], nonce[SEAL_NONCE_LEN], sealed[SEALED_LEN];
    rule_hash(REVOKED_SUBJECT, subject, hashes[0]);
    rule_hash(sid.at ? REVOKED_SESSION : REVOKED_ALL, sid, hashes[1]);
    random_bytes(nonce, sizeof nonce);
    const bool good = sealed_rules_key(settings, jti, key) &&
                      seal_write(key, nonce, STR(""), (struct str){ (const char *)hashes, sizeof hashes }, sealed);
    mem_wipe(key, sizeof key);
    if (!good)
        return failed(ERR_INTERNAL, "the rules about an id token could not be sealed");
    char *text = arena_alloc(arena, SEALED_RULES_LEN);
    b64url_encode((struct str){ (const char *)sealed, sizeof sealed }, text);
    *out = (struct str){ text, SEALED_RULES_LEN };
    return OK;
}

bool sealed_rules_open(const struct settings *settings, struct str jti, struct str text,
                       unsigned char hashes[SEALED_RULES][32])
{
    unsigned char key[SEAL_KEY_LEN];
    char sealed[SEALED_RULES_LEN / 4 * 3 + 2];
    size_t len = 0;
    const bool good = text.len == SEALED_RULES_LEN && b64url_decode(text, sealed, &len) && len == SEALED_LEN &&
                      sealed_rules_key(settings, jti, key) &&
                      seal_open(key, STR(""), (struct str){ sealed, len }, hashes[0]);
    mem_wipe(key, sizeof key);
    return good;
}
