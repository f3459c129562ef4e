/* service/issue.c: what is asked for against client, settings and authority; then claims, rules, signature, record. The
 * order of the checks is that of what a caller is told first. */
#include "service/issue.h"
#include "base/random.h"
#include "base/settings.h"
#include "jose/b64.h"
#include "keys/keyring.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "revocation/revocations.h"
#include "service/authn.h"
#include "service/authority.h"
#include "service/custom_claims.h"
#include "service/events.h"
#include "service/pairwise.h"
#include "service/sealed_rules.h"
#include "store/store.h"
#include <time.h>

enum { CLAIMS_MAX = 8192, JTI_BYTES = 16 };

/* --- what may be had --------------------------------------------------------------------------------------------- */

/* RFC 6749 section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ), each allowed to the client. *out is a list as
 * the section has it: one space between two words, each word once. */
static struct err issue_check_scope(struct arena *arena, struct str allowed, struct str scope, struct str *out)
{
    for (size_t i = 0; i < scope.len; i++) {
        unsigned char c = (unsigned char)scope.at[i];
        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
            return failed(ERR_INVALID_SCOPE, "the scope has a character that is not allowed");
    }
    struct str word, rest = scope;
    struct buf words;
    buf_init(&words, arena, scope.len + 1, scope.len + 1);
    while (str_next_word(&rest, &word)) {
        if (!str_has_word(allowed, word))
            return failed(ERR_INVALID_SCOPE, "the client is not allowed a scope that was asked for");
        if (str_has_word(buf_str(&words), word))
            continue;
        buf_add_word(&words, word);
    }
    *out = buf_str(&words);
    return OK;
}

static bool issue_issues_for_any(const struct issue *issue)
{
    return issue->authority && caller_may(issue->authority, STR("token:issue:any"));
}

/* RFC 8707: any audience for those who issue for anyone; else one that the service is configured for, or itself. */
static struct err issue_check_audience(const struct service *service, const struct issue *issue)
{
    if (issue->audience_count == 0)
        return OK;
    if (issue->kind != TOKEN_ACCESS)
        return failed(ERR_INVALID_TARGET, "only an access token can be given an audience");
    if (issue->audience_is_granted || issue_issues_for_any(issue))
        return OK;
    for (size_t i = 0; i < issue->audience_count; i++)
        if (!str_eq(issue->audience[i], issue->client->id) &&
            !str_eq(issue->audience[i], str_of(service->settings->issuer)) &&
            !str_has_item(service->audience, issue->audience[i]))
            return failed(ERR_INVALID_TARGET, "the audience is not one that the client may ask for");
    return OK;
}

/* A client's own lifetime is its default and its maximum; without one, the service's settings are. No token lasts
 * longer than the one that it was asked for with. */
static struct err issue_decide_lifetime(const struct settings *settings, struct arena *arena, const struct issue *issue,
                                        int64_t *out)
{
    const struct client *client = issue->client;
    const int64_t of_kind[][3] = {
        [TOKEN_ACCESS] = { client->access_ttl_s, settings->access_ttl_s, settings->access_ttl_max_s },
        [TOKEN_REFRESH] = { client->refresh_ttl_s, settings->refresh_ttl_s, settings->refresh_ttl_max_s },
        [TOKEN_ID] = { client->id_ttl_s, settings->id_ttl_s, settings->id_ttl_max_s },
    };
    const int64_t *ttl = of_kind[issue->kind];
    int64_t usual = ttl[0] ? ttl[0] : ttl[1], most = ttl[0] ? ttl[0] : ttl[2];
    int64_t left = authority_lasts_s(issue->authority, issue->now_s);
    most = left < most ? left : most;
    usual = left < usual ? left : usual;
    if (issue->lifetime_s > most)
        return failed(ERR_INVALID_REQUEST,
                      arena_printf(arena, "expiresIn is at most %lld seconds for this caller, client and kind",
                                   (long long)most)
                          .at);
    *out = issue->lifetime_s ? issue->lifetime_s : usual;
    return OK;
}

/* A session stands in one place. */
static struct err issue_check_session(const struct issue *issue)
{
    if (issue->sid.at && issue->custom && json_member(issue->custom, STR("sid")))
        return failed(ERR_INVALID_REQUEST, "the claim \"sid\" belongs to the session and can't be set");
    return OK;
}

static struct err issue_check(const struct service *service, struct arena *arena, const struct issue *issue,
                              struct issued *out)
{
    const struct settings *settings = service->settings;
    TRY(issue_check_scope(arena, issue->client->scopes, issue->scope, &out->scope));
    TRY(custom_claims_check(settings, arena, issue->authority, issue->custom));
    TRY(issue_check_session(issue));
    if (issue->auth_time > issue->now_s + settings->clock_skew_s)
        return failed(ERR_INVALID_REQUEST, "authTime lies in the future");
    TRY(issue_check_audience(service, issue));
    return issue_decide_lifetime(settings, arena, issue, &out->lifetime_s);
}

/* --- building ---------------------------------------------------------------------------------------------------- */

struct audience {
    struct str list[CLAIMS_AUD_MAX + 1];
    size_t count;
};

static void issue_add_audience(struct audience *audience, struct str one)
{
    for (size_t i = 0; i < audience->count; i++)
        if (str_eq(audience->list[i], one))
            return;
    if (one.len > 0 && audience->count < CLAIMS_AUD_MAX)
        audience->list[audience->count++] = one;
}

static void issue_add_list(struct audience *audience, const struct str *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        issue_add_audience(audience, list[i]);
}

/* docs/contract.md, "Claims": an access token is for its client and the configured audiences, unless others were asked
 * for; an id token for its client; a refresh token comes back here, so it is for the issuer too. Who comes with a token
 * that is for less passes that on. */
static void issue_decide_audience(const struct service *service, const struct issue *issue, struct audience *out)
{
    const struct bearer *bearer = issue->authority ? issue->authority->bearer : NULL;
    if (issue->audience_count > 0) {
        issue_add_list(out, issue->audience, issue->audience_count);
        return;
    }
    if (bearer && issue->kind == TOKEN_ACCESS && !issue_issues_for_any(issue)) {
        issue_add_list(out, bearer->aud, bearer->aud_count);
        return;
    }
    issue_add_audience(out, issue->client->id);
    if (issue->kind == TOKEN_REFRESH)
        issue_add_audience(out, str_of(service->settings->issuer));
    struct str rest = issue->kind == TOKEN_ACCESS ? service->audience : STR(""), one;
    while (str_next_item(&rest, ',', &one))
        issue_add_audience(out, str_trim(one));
}

static struct str issue_encoded(struct arena *arena, struct str bytes)
{
    struct str text = { arena_alloc(arena, b64url_encoded_len(bytes.len)), b64url_encoded_len(bytes.len) };
    b64url_encode(bytes, (char *)text.at);
    return text;
}

static struct str issue_new_jti(struct arena *arena)
{
    char random[JTI_BYTES];
    random_bytes(random, sizeof random);
    return issue_encoded(arena, (struct str){ random, sizeof random });
}

/* The token that the caller came with, with which the new one is revoked, by itself and by rules. It is the caller's
 * own (authority.h). An issued_after of its own goes with its iat. A grant is the parent in its place. */
static void issue_name_parent(struct arena *arena, const struct issue *issue, struct claims_new *claims)
{
    const struct bearer *bearer = issue->authority ? issue->authority->bearer : NULL;
    struct issue_parent parent;
    if (!issue->parent && !bearer)
        return;
    if (issue->parent) {
        parent = *issue->parent;
    } else {
        parent = (struct issue_parent){ .client_id = issue->authority->client_id, .iat = bearer->iat };
        memcpy(parent.hash, bearer->hash, sizeof parent.hash);
        claims->issued_after = bearer->issued_after;
    }
    claims->parent_hash = issue_encoded(arena, (struct str){ (const char *)parent.hash, sizeof parent.hash });
    claims->parent_client_id = parent.client_id;
    claims->parent_iat = parent.iat;
}

static struct claims_new issue_claims_of(const struct service *service, struct arena *arena, const struct issue *issue,
                                         const struct audience *audience, const struct issued *issued)
{
    struct claims_new claims = { .kind = issue->kind,
                                 .iss = str_of(service->settings->issuer),
                                 .sub = issue->subject,
                                 .client_id = issue->client->id,
                                 .scope = issued->scope,
                                 .nonce = issue->nonce,
                                 .sid = issue->sid,
                                 .jti = issue_new_jti(arena),
                                 .aud = audience->list,
                                 .aud_count = audience->count,
                                 .aud_as_list = issue->kind != TOKEN_ID,
                                 .iat = issue->now_s,
                                 .exp = issue->now_s + issued->lifetime_s,
                                 .auth_time = issue->auth_time,
                                 .at_hash = issue->at_hash,
                                 .custom = issue->custom };
    issue_name_parent(arena, issue, &claims);
    return claims;
}

/* A rule that revokes all that is issued up to now would refuse the token at once: the next second's will be good.
 * Where the clock was set back since the rule was made, the token says that it is the later one. */
static struct err issue_check_rules(struct service *service, struct claims_new *claims, int64_t *retry_after_s)
{
    const struct json *custom = claims->custom ? json_member(claims->custom, STR("sid")) : NULL;
    const struct claims issued = { .sub = claims->sub,
                                   .client_id = claims->client_id,
                                   .sid = custom ? custom->text : claims->sid,
                                   .iat = claims->iat,
                                   .issued_after = claims->issued_after };
    const struct claims parent = { .sub = claims->parent_client_id,
                                   .client_id = claims->parent_client_id,
                                   .iat = claims->parent_iat,
                                   .issued_after = claims->issued_after };
    const bool is_orphan = claims->parent_hash.at && revocations_refuse_new(service->revocations, &parent);
    if (!is_orphan && !revocations_refuse_new(service->revocations, &issued))
        return OK;
    /* asked of the clock once more: since the request was read, a rule may have come from a clock that is as right */
    const int64_t after_all = revocations_after_all(service->revocations);
    if (!is_orphan && revocations_clock_is_behind(service->revocations, (int64_t)time(NULL)) &&
        after_all <= CLAIMS_TIME_MAX) {
        claims->issued_after = after_all;
        return OK;
    }
    *retry_after_s = 1;
    return failed(ERR_UNAVAILABLE, "tokens issued in this second have been revoked; try again");
}

/* An id token is for its client, and names user and session as that one knows them (pairwise.h). An access token is for
 * resource servers, and a refresh token for this service: both keep the platform's own subject, by which rules of
 * revocation go (RFC 9068 section 6 speaks of what that means). So this comes after the rules have been looked at. */
static struct err issue_name_user(const struct service *service, struct arena *arena, const struct issue *issue,
                                  struct claims_new *claims)
{
    if (issue->kind != TOKEN_ID)
        return OK;
    const struct client_metadata *registered = client_metadata_of(arena, issue->client);
    if (registered->subject == SUBJECT_PUBLIC)
        return OK;
    const struct str subject = claims->sub, sid = claims->sid;
    TRY(pairwise_subject(service->settings, arena, registered, subject, &claims->sub));
    TRY(sealed_rules_write(service->settings, arena, claims->jti, subject, sid, &claims->sealed_rules));
    return sid.at ? pairwise_session(service->settings, arena, registered, sid, &claims->sid) : OK;
}

/* Before the token is signed: a rule that revokes everything issued up to now must not miss it. */
static void issue_note_iat(struct service *service, int64_t iat)
{
    long long latest = atomic_load(&service->latest_iat);
    while (latest < iat && !atomic_compare_exchange_weak(&service->latest_iat, &latest, iat))
        ;
}

/* The payload, and the token around it. */
static struct err issue_sign(struct service *service, struct arena *arena, const struct issue *issue,
                             const struct claims_new *claims, struct issued *out)
{
    struct buf payload, token;
    buf_init(&payload, arena, 1024, CLAIMS_MAX);
    claims_write(&payload, claims);
    buf_init(&token, arena, payload.len * 2 + 1024, (size_t)service->settings->token_max_bytes);
    if (payload.overflowed)
        return failed(ERR_INVALID_REQUEST, "the claims are too large for a token");
    AUTO(keyring_releasep) const struct keyring_view *view = keyring_acquire(service->keyring);
    if (issue->at_once && view->signing_waits)
        return failed(ERR_NEEDS_WORKER, "the signature has to be waited for");
    TRY(keyring_sign(service->keyring, view, issue->priority, token_kind_typ(issue->kind), buf_str(&payload), &token));
    if (token.overflowed)
        return failed(ERR_INVALID_REQUEST, "the claims are too large for a token");
    out->token = buf_str(&token);
    out->payload = buf_str(&payload);
    return OK;
}

/* --- what is kept and told of it --------------------------------------------------------------------------------- */

static struct str issue_audience_json(struct arena *arena, const struct claims_new *claims)
{
    struct buf out;
    buf_init(&out, arena, 128, CLAIMS_MAX);
    buf_add_char(&out, '[');
    for (size_t i = 0; i < claims->aud_count; i++) {
        if (i > 0)
            buf_add_char(&out, ',');
        json_write_str(&out, claims->aud[i]);
    }
    buf_add_char(&out, ']');
    return buf_str(&out);
}

/* TOKEN_RECORDS: every refresh token; an access token where all are recorded. NULL: nothing. */
static struct record *issue_record_of(const struct service *service, struct arena *arena,
                                      const struct claims_new *claims, const unsigned char hash[32])
{
    bool kept = claims->kind == TOKEN_REFRESH ||
                (claims->kind == TOKEN_ACCESS && service->settings->records == RECORDS_ALL);
    if (!kept)
        return NULL;
    struct record *record = arena_zalloc(arena, sizeof *record);
    *record = (struct record){ .kind = RECORD_TOKEN,
                               .token_kind = claims->kind,
                               .jti = claims->jti,
                               .subject = claims->sub,
                               .client_id = claims->client_id,
                               .scope = claims->scope,
                               .audience = issue_audience_json(arena, claims),
                               .issued_at = claims->iat,
                               .expires_at = claims->exp };
    memcpy(record->token_hash, hash, sizeof record->token_hash);
    return record;
}

/* With the event that tells of it, if anybody is told. */
static struct record *issue_tell(const struct service *service, struct arena *arena, const struct claims_new *claims,
                                 const unsigned char hash[32], struct record *record)
{
    const struct told_token token = { .kind = claims->kind,
                                      .hash = hash,
                                      .subject = claims->sub,
                                      .client_id = claims->client_id,
                                      .issued_at = claims->iat,
                                      .expires_at = claims->exp };
    return events_of_token(service, arena, &token, record);
}

/* A refresh token is a grant, and worth a line; of the others there are thousands a second. */
static void issue_log_issued(const struct issue *issue, int64_t lifetime_s, const unsigned char hash[32])
{
    char id[13];
    log_token_id(hash, id);
    LOG(issue->kind == TOKEN_REFRESH ? LOG_INFO : LOG_DEBUG, "token_issued", LOG_STR("request_id", issue->request_id),
        LOG_TEXT_("token", id), LOG_STR("type", token_kind_name(issue->kind)), LOG_STR("client_id", issue->client->id),
        LOG_STR("sub", issue->subject),
        LOG_STR("caller", issue->authority ? issue->authority->client_id : issue->client->id),
        LOG_INT("expires_in", lifetime_s));
}

struct err token_issue(struct service *service, struct arena *arena, const struct issue *issue, struct issued *out)
{
    static const enum counter counters[] = {
        [TOKEN_ACCESS] = COUNT_ISSUED_ACCESS, [TOKEN_REFRESH] = COUNT_ISSUED_REFRESH, [TOKEN_ID] = COUNT_ISSUED_ID
    };
    struct audience audience = { .count = 0 };
    unsigned char hash[32];
    out->retry_after_s = 0;
    TRY(issue_check(service, arena, issue, out));
    issue_decide_audience(service, issue, &audience);
    struct claims_new claims = issue_claims_of(service, arena, issue, &audience, out);
    TRY(authority_check(issue->authority, &claims));
    issue_note_iat(service, claims.iat);
    TRY(issue_check_rules(service, &claims, &out->retry_after_s));
    TRY(issue_name_user(service, arena, issue, &claims));
    TRY(issue_sign(service, arena, issue, &claims, out));
    sha256(out->token, hash);
    out->expires_at = claims.exp;
    out->record = issue_tell(service, arena, &claims, hash, issue_record_of(service, arena, &claims, hash));
    metrics_count(counters[issue->kind], 1);
    issue_log_issued(issue, out->lifetime_s, hash);
    return OK;
}
