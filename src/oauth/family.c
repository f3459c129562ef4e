/* oauth/family.c: what a presented token is, and what becomes of its family. */
#include "oauth/family.h"
#include "base/random.h"
#include "jose/jws.h"

/* Entries are kept for so long after their grace period, since the clock of who drops them may be ahead of the clock by
 * which another instance judges. */
enum { SUCCESSOR_KEPT_S = 300 };

/* The idle end moves by steps of this part of the idle time. */
enum { IDLE_STEPS = 64 };

static const struct str successor_info = STR_INIT("token-service refresh successor");

static struct str family_hash_str(const unsigned char hash[32])
{
    return (struct str){ (const char *)hash, 32 };
}

void family_row_id(const unsigned char grant_id[GRANT_ID_LEN], unsigned char out[32])
{
    sha256((struct str){ (const char *)grant_id, GRANT_ID_LEN }, out);
}

void family_wipe(struct family *family)
{
    mem_wipe(family, sizeof *family);
}

/* --- deciding ---------------------------------------------------------------------------------------------------- */

const char *family_verdict_name(enum family_verdict verdict)
{
    static const char *const names[] = {
        [FAMILY_UNKNOWN] = "unknown", [FAMILY_REVOKED] = "revoked", [FAMILY_ENDED] = "ended",
        [FAMILY_ROTATE] = "rotate",   [FAMILY_KEEP] = "keep",       [FAMILY_AGAIN] = "again",
        [FAMILY_REUSED] = "reused"
    };
    return names[verdict];
}

/* A time of use that is still to come was written by a faster clock, and counts as now. */
static bool family_is_in_grace(const struct successor *entry, const struct family_terms *terms, int64_t now_s)
{
    return terms->grace_s > 0 && now_s - entry->used_at <= terms->grace_s;
}

static const struct successor *family_entry_of(const struct family *family, const struct refresh_token *token)
{
    for (size_t i = 0; i < family->successor_count; i++)
        if (str_eq_secret(family_hash_str(family->successors[i].follows), family_hash_str(token->hash)))
            return &family->successors[i];
    return NULL;
}

/* Without room for one more entry, a holder who uses the token twice would be taken for a thief. */
static bool family_may_rotate(const struct family *family, const struct family_terms *terms, int64_t now_s)
{
    return terms->rotates && family->rotation_count < UINT32_MAX &&
           (family->successor_count < FAMILY_SUCCESSORS_MAX ||
            !family_is_in_grace(&family->successors[0], terms, now_s));
}

enum family_verdict family_decide(const struct family *family, const struct refresh_token *token,
                                  const struct family_terms *terms, int64_t now_s)
{
    if (!str_eq(family->client_id, terms->client_id) || !refresh_token_is_of(token, family->reuse_key))
        return FAMILY_UNKNOWN;
    if (family->revoked_at > 0)
        return FAMILY_REVOKED;
    if (now_s >= family->expires_at || now_s >= family->idle_expires_at)
        return FAMILY_ENDED;
    if (str_eq_secret(family_hash_str(family->token_hash), family_hash_str(token->hash)))
        return family_may_rotate(family, terms, now_s) ? FAMILY_ROTATE : FAMILY_KEEP;
    /* Ours, but the row was never so far: the store has lost its last change, or the token was never given away. It is
     * no proof of theft, and it can't be told from a forgery by somebody who has read the row. */
    if ((int64_t)token->generation >= family->rotation_count)
        return FAMILY_UNKNOWN;
    const struct successor *entry = family_entry_of(family, token);
    return entry && family_is_in_grace(entry, terms, now_s) ? FAMILY_AGAIN : FAMILY_REUSED;
}

/* --- changing ---------------------------------------------------------------------------------------------------- */

static int64_t family_idle_end(const struct family *family, const struct family_terms *terms, int64_t now_s)
{
    const bool is_sooner = terms->idle_s > 0 && terms->idle_s < family->expires_at - now_s;
    return is_sooner ? now_s + terms->idle_s : family->expires_at;
}

struct err family_begin(struct family *family, const struct family_terms *terms, int64_t now_s,
                        struct refresh_token *out)
{
    random_bytes(family->grant_id, sizeof family->grant_id);
    random_bytes(family->reuse_key, sizeof family->reuse_key);
    TRY(refresh_token_make(family->grant_id, 0, family->reuse_key, out));
    memcpy(family->token_hash, out->hash, sizeof family->token_hash);
    memset(family->previous_token_hash, 0, sizeof family->previous_token_hash);
    family->client_id = terms->client_id;
    family->rotation_count = 0;
    family->issued_at = now_s;
    family->idle_expires_at = family_idle_end(family, terms, now_s);
    family->revoked_at = 0;
    family->revocation_reason = (struct str){ 0, 0 };
    family->successor_count = 0;
    return OK;
}

/* The key under which a token's successor lies. */
static bool family_key_of(const struct refresh_token *token, unsigned char key[SEAL_KEY_LEN])
{
    return seal_key(refresh_token_bytes(token), successor_info, key);
}

static struct str family_grant_id_str(const struct refresh_token *token)
{
    return (struct str){ (const char *)refresh_token_grant_id(token), GRANT_ID_LEN };
}

/* Those that nobody may open any more; and the oldest one when all places are taken, which is past its grace period
 * (family_may_rotate), or of no use when there is none. */
static void family_drop_old(struct family *family, const struct family_terms *terms, int64_t now_s)
{
    size_t kept = 0;
    for (size_t i = 0; i < family->successor_count; i++)
        if (now_s - family->successors[i].used_at <= terms->grace_s + SUCCESSOR_KEPT_S)
            family->successors[kept++] = family->successors[i];
    if (kept == FAMILY_SUCCESSORS_MAX)
        memmove(family->successors, family->successors + 1, --kept * sizeof *family->successors);
    family->successor_count = kept;
}

static struct err family_seal(struct family *family, const struct refresh_token *token,
                              const struct refresh_token *successor, int64_t now_s)
{
    struct successor *entry = &family->successors[family->successor_count];
    unsigned char key[SEAL_KEY_LEN], nonce[SEAL_NONCE_LEN];
    random_bytes(nonce, sizeof nonce);
    bool good = family_key_of(token, key) &&
                seal_write(key, nonce, family_grant_id_str(token), refresh_token_bytes(successor), entry->sealed);
    mem_wipe(key, sizeof key);
    if (!good)
        return failed(ERR_INTERNAL, "a refresh token could not be sealed");
    memcpy(entry->follows, token->hash, sizeof entry->follows);
    entry->used_at = now_s;
    family->successor_count++;
    return OK;
}

struct err family_rotate(struct family *family, const struct refresh_token *token, const struct family_terms *terms,
                         int64_t now_s, struct refresh_token *out)
{
    TRY(refresh_token_make(refresh_token_grant_id(token), token->generation + 1, family->reuse_key, out));
    family_drop_old(family, terms, now_s);
    if (terms->grace_s > 0)
        TRY(family_seal(family, token, out, now_s));
    memcpy(family->previous_token_hash, family->token_hash, sizeof family->previous_token_hash);
    memcpy(family->token_hash, out->hash, sizeof family->token_hash);
    family->rotation_count = out->generation;
    family->idle_expires_at = family_idle_end(family, terms, now_s);
    return OK;
}

bool family_keep(struct family *family, const struct family_terms *terms, int64_t now_s)
{
    const int64_t end = family_idle_end(family, terms, now_s);
    const int64_t step = terms->idle_s / IDLE_STEPS;
    if (end <= family->idle_expires_at || (end < family->expires_at && end - family->idle_expires_at < step))
        return false;
    family->idle_expires_at = end;
    return true;
}

struct err family_open(const struct family *family, const struct refresh_token *token, struct refresh_token *out)
{
    const struct successor *entry = family_entry_of(family, token);
    unsigned char key[SEAL_KEY_LEN], bytes[REFRESH_TOKEN_BYTES];
    bool good = entry && family_key_of(token, key) &&
                seal_open(key, family_grant_id_str(token),
                          (struct str){ (const char *)entry->sealed, sizeof entry->sealed }, bytes);
    if (good)
        refresh_token_of_bytes(bytes, out);
    mem_wipe(key, sizeof key);
    mem_wipe(bytes, sizeof bytes);
    return good ? OK : failed(ERR_INTERNAL, "the successor of a refresh token can't be opened");
}

void family_revoke(struct family *family, struct str reason, int64_t now_s)
{
    if (family->revoked_at > 0)
        return;
    family->revoked_at = now_s > 0 ? now_s : 1;
    family->revocation_reason = reason;
    family->successor_count = 0; /* nobody may open them any more */
}
