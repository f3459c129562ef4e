/* service/verify.c: the one decision whether a token is valid, and POST /token/verify.
 *
 * What stays true of a token (this key signed these claims) is found once and kept in the cache of verified tokens.
 * What can change (time, revocation, the key's state) or differs by caller (audience, kind, age, …) is checked on every
 * call, whether the token was in the cache or not. So the cache can make a response faster, but never change it. */
#include "service/verify.h"
#include "base/clock.h"
#include "base/settings.h"
#include "jose/b64.h"
#include "keys/keyring.h"
#include "keys/pair.h"
#include "revocation/revocations.h"
#include "service/call.h"
#include "service/events.h"
#include "service/housekeeping.h"
#include "service/introspect.h"
#include "service/operations.h"
#include "service/sealed_rules.h"
#include "service/service.h"
#include "service/usage.h"
#include <stddef.h>

/* Room for the payload's bytes, its members (one in some 20 bytes), and the answer made of them. */
static size_t verify_room_for(struct str payload)
{
    return payload.len * 4 + 512;
}

/* What a token says of itself, and how to check it. */
struct spelling {
    struct jws_parts parts;
    struct jws_header header;
    enum token_kind kind;
};

static struct err verify_read_spelling(struct arena *arena, struct str token, struct spelling *out)
{
    TRY(jws_split(token, &out->parts));
    TRY(jws_read_header(arena, out->parts.header, &out->header));
    if (!token_kind_of_typ(out->header.typ, &out->kind))
        return failed(ERR_TOKEN_KIND, "the token's typ is not one that this service issues");
    return OK;
}

/* All that a token says of the one that it was issued with, or nothing. False: neither. */
static bool verify_read_parent(struct verified *entry)
{
    const struct claims *claims = &entry->claims;
    const struct str text = claims->parent_hash;
    char bytes[64];
    size_t len;
    entry->has_parent = text.at != NULL;
    if (!entry->has_parent)
        return !claims->parent_client_id.at && !json_member(claims->all, STR("parent_iat"));
    if (text.len != b64url_encoded_len(32) || !b64url_decode(text, bytes, &len) || len != 32)
        return false;
    memcpy(entry->parent, bytes, 32);
    return claims->parent_client_id.len > 0 && json_member(claims->all, STR("parent_iat"));
}

/* Those of an id token that doesn't name its user; kept with the entry, since they stay the same. */
static void verify_open_rules(const struct settings *settings, struct verified *entry)
{
    const struct claims *claims = &entry->claims;
    if (!claims->sealed_rules.at)
        return;
    unsigned char(*hashes)[32] = arena_alloc(&entry->arena, SEALED_RULES * sizeof *hashes);
    entry->is_sealed_for_others = !sealed_rules_open(settings, claims->jti, claims->sealed_rules, hashes);
    if (!entry->is_sealed_for_others)
        entry->sealed_rules = (const unsigned char(*)[32])hashes;
}

/* The signature and the form of a token never seen before; *out is a new entry with a reference for the caller. */
static struct err verify_with(const struct settings *settings, const struct jwk *key, const struct spelling *spelling,
                              struct verified **out)
{
    struct str payload;
    TRY(jws_verify(key, &spelling->parts, &spelling->header));
    AUTO(verified_releasep) struct verified *entry = verified_new(verify_room_for(spelling->parts.payload));
    struct arena *arena = &entry->arena;
    entry->kind = spelling->kind;
    entry->key_serial = key->serial;
    TRY(jws_read_payload(arena, spelling->parts.payload, &payload));
    TRY(claims_read(arena, payload, &entry->claims));
    if (!verify_read_parent(entry))
        return failed(ERR_TOKEN_CLAIM, "a registered claim of the token has a wrong form");
    verify_open_rules(settings, entry);
    struct buf answer;
    buf_init(&answer, arena, payload.len + 128, 4 * JWS_HEADER_MAX + 2 * payload.len);
    introspection_write(&answer, &entry->claims);
    if (answer.overflowed)
        return failed(ERR_TOKEN_MALFORMED, "the token is too large");
    entry->introspection = buf_str(&answer);
    *out = entry;
    entry = NULL;
    return OK;
}

static struct err verify_new(const struct settings *settings, const struct keyring_view *view, struct str token,
                             struct verified **out)
{
    char room[1024]; /* enough for the headers that this service writes */
    AUTO(arena_release) struct arena arena;
    struct spelling spelling;
    arena_init(&arena, room, sizeof room);
    TRY(verify_read_spelling(&arena, token, &spelling));
    const struct keyring_key *key = keyring_find(view, spelling.header.kid);
    return key ? verify_with(settings, key->jwk, &spelling, out) : failed(ERR_TOKEN_KEY, "the token's key is unknown");
}

/* Whether the key that once verified an entry may still verify: it may have been revoked or retired since. */
static bool verify_key_is_good(const struct keyring_view *view, uint64_t serial)
{
    for (size_t i = 0; i < view->count; i++)
        if (view->keys[i].jwk->serial == serial)
            return true;
    return false;
}

static struct err verify_find_verified(struct service *service, struct str token, const unsigned char hash[32],
                                       struct verified **out)
{
    AUTO(keyring_releasep) const struct keyring_view *view = keyring_acquire(service->keyring);
    *out = verified_get(service->verified, hash);
    metrics_count(*out ? COUNT_VERIFIED_HIT : COUNT_VERIFIED_MISS, 1);
    if (*out)
        return verify_key_is_good(view, (*out)->key_serial)
                   ? OK
                   : failed(ERR_TOKEN_KEY, "the token's key is no longer valid");
    struct err err = verify_new(service->settings, view, token, out);
    if (err.code == ERR_TOKEN_KEY)
        housekeeping_unknown_kid(service);
    TRY(err);
    memcpy((*out)->hash, hash, sizeof(*out)->hash);
    (*out)->use = usage_begin(service, hash, (*out)->kind);
    verified_put(service->verified, *out);
    return OK;
}

/* The hash by which a token is known everywhere. */
static struct err verify_hash_token(const struct service *service, struct str token, unsigned char hash[32])
{
    if (token.len == 0 || token.len > (size_t)service->settings->token_max_bytes)
        return failed(ERR_TOKEN_MALFORMED, "the token is empty or too long");
    sha256(token, hash);
    return OK;
}

struct err token_check(struct service *service, struct str token, const struct token_ask *ask, int64_t now_s,
                       struct verified **out)
{
    unsigned char hash[32];
    TRY(verify_hash_token(service, token, hash));
    AUTO(verified_releasep) struct verified *entry = NULL;
    TRY(verify_find_verified(service, token, hash, &entry));
    if (!(ask->kinds & 1U << entry->kind))
        return failed(ERR_TOKEN_KIND, "the token is not of the kind (access, refresh, id) that was asked for");
    if (!str_eq(entry->claims.iss, str_of(service->settings->issuer)))
        return failed(ERR_TOKEN_CLAIM, "the token's issuer is not this service");
    if (entry->is_sealed_for_others)
        return failed(ERR_TOKEN_CLAIM, "which revocation rules are about the token can't be known here");
    if (revocations_refuse(service->revocations, entry))
        return failed(ERR_TOKEN_REVOKED, "the token has been revoked");
    struct claims_expect expect = ask->expect;
    expect.skew_s = service->settings->clock_skew_s;
    TRY(claims_check(&entry->claims, &expect, now_s));
    /* last: whatever is wrong with the token is wrong without asking others */
    TRY(revocations_check_elsewhere(service->revocations, entry));
    *out = entry;
    entry = NULL;
    return OK;
}

/* By a key that is not in force here: one that has been retired or revoked, or that another instance has just made. */
static struct err verify_by_store(struct service *service, struct str token, struct verified **out)
{
    AUTO(arena_release) struct arena arena;
    AUTO(jwk_freep) struct jwk *jwk = NULL;
    struct spelling spelling;
    struct key key;
    arena_init(&arena, NULL, 0);
    TRY(verify_read_spelling(&arena, token, &spelling));
    struct err err = service->store->ops->find_key(service->store, &arena, spelling.header.kid, &key);
    if (err.code == ERR_NOT_FOUND)
        return failed(ERR_TOKEN_KEY, "the token's key is unknown");
    if (err.code)
        return failed(ERR_UNAVAILABLE, "which key signed the token can't be known now; try again");
    TRY(pair_read_public(&arena, &key, &jwk));
    return verify_with(service->settings, jwk, &spelling, out);
}

struct err token_find(struct service *service, struct str token, struct verified **out)
{
    unsigned char hash[32];
    TRY(verify_hash_token(service, token, hash));
    AUTO(verified_releasep) struct verified *entry = NULL;
    struct err err = verify_find_verified(service, token, hash, &entry);
    if (err.code == ERR_TOKEN_KEY && !entry) { /* else its key was good once: that is enough */
        TRY(verify_by_store(service, token, &entry));
        memcpy(entry->hash, hash, sizeof entry->hash); /* one in the cache has its own, and is others' to read */
    } else if (err.code != ERR_TOKEN_KEY) {
        TRY(err);
    }
    *out = entry;
    entry = NULL;
    return OK;
}

/* --- POST /token/verify ------------------------------------------------------------------------------------------ */

struct verify_options {
    const struct json *audience;
    struct str issuer, subject, nonce, token_type;
    int64_t tolerance_s, max_age_s;
};

static const struct field option_fields[] = {
    { "audience", FIELD_STRINGS, false, offsetof(struct verify_options, audience), 0, 1024 },
    { "issuer", FIELD_STR, false, offsetof(struct verify_options, issuer), 0, 1024 },
    { "subject", FIELD_STR, false, offsetof(struct verify_options, subject), 0, 1024 },
    { "nonce", FIELD_STR, false, offsetof(struct verify_options, nonce), 0, 1024 },
    { "tokenType", FIELD_STR, false, offsetof(struct verify_options, token_type), 0, 16 },
    { "clockTolerance", FIELD_INT, false, offsetof(struct verify_options, tolerance_s), 0, INT32_MAX },
    { "maxAge", FIELD_INT, false, offsetof(struct verify_options, max_age_s), 0, INT32_MAX },
};

struct verify_body {
    struct str token;
    const struct json *options;
};

static const struct field body_fields[] = {
    { "token", FIELD_STR, true, offsetof(struct verify_body, token), 0, 0 },
    { "options", FIELD_OBJECT, false, offsetof(struct verify_body, options), 0, 0 },
};

static struct err verify_read_ask(struct call *call, const struct json *options, struct token_ask *ask)
{
    struct arena *arena = call->request->arena;
    struct verify_options read = { .max_age_s = -1 };
    TRY(fields_read(arena, options, option_fields, sizeof option_fields / sizeof *option_fields, &read));
    if (read.tolerance_s > call->service->settings->clock_tolerance_max_s)
        return failed(ERR_INVALID_REQUEST, arena_printf(arena, "clockTolerance is at most %lld seconds",
                                                        (long long)call->service->settings->clock_tolerance_max_s)
                                               .at);
    enum token_kind kind;
    if (read.token_type.at) {
        if (!token_kind_find(read.token_type, &kind))
            return failed(ERR_INVALID_REQUEST, "tokenType must be access, refresh or id");
        ask->kinds = 1U << kind;
    }
    ask->expect.issuer = read.issuer;
    ask->expect.subject = read.subject;
    ask->expect.nonce = read.nonce;
    ask->expect.tolerance_s = read.tolerance_s;
    ask->expect.max_age_s = read.max_age_s;
    const struct json *each = read.audience && read.audience->kind == JSON_ARRAY ? read.audience->child : read.audience;
    for (; each; each = read.audience->kind == JSON_ARRAY ? each->next : NULL)
        ask->expect.audience[ask->expect.audience_count++] = each->text;
    return OK;
}

struct err verify_token(struct call *call, struct response *response)
{
    struct arena *arena = call->request->arena;
    struct verify_body body = { 0 };
    struct token_ask ask = { .kinds = KIND_ACCESS, .expect.max_age_s = -1 };
    TRY(request_fields(call->request, body_fields, sizeof body_fields / sizeof *body_fields, &body));
    if (body.options)
        TRY(verify_read_ask(call, body.options, &ask));

    AUTO(verified_releasep) struct verified *entry = NULL;
    struct err err = token_check(call->service, body.token, &ask, call->request->now_s, &entry);
    if (err.code == ERR_UNAVAILABLE)
        return err; /* not known, which is neither valid nor not */
    metrics_count(err.code ? COUNT_VERIFY_INVALID : COUNT_VERIFY_VALID, 1);
    if (err.code) {
        events_note_unverified(call->service, err.code, call->request->now_s);
        response_fail(response, arena, err);
        struct str error = arena_copy(arena, buf_str(&response->body));
        response->body.len = 0;
        buf_add(&response->body, STR("{\"valid\":false,"));
        buf_add(&response->body, (struct str){ error.at + 1, error.len - 1 });
        return OK;
    }
    usage_note(call->service, entry, call->request->now_s);
    buf_add(&response->body, STR("{\"valid\":true,\"tokenType\":\""));
    buf_add(&response->body, token_kind_name(entry->kind));
    buf_add(&response->body, STR("\",\"claims\":"));
    buf_add(&response->body, entry->claims.text);
    buf_add(&response->body, STR("}"));
    return OK;
}
