/* service/revoke_rule.c: POST /admin/revocations: revokes by subject, by client, by session, or everything, up to a
 * time. The order is that of revoke.c, for the same reasons: first in memory here, then in the shared cache, then in
 * the store, and only then the response; a caller that gets 503 may repeat the call. */
#include "base/settings.h"
#include "keys/lifecycle.h"
#include "observe/log.h"
#include "revocation/revocations.h"
#include "revocation/rule.h"
#include "service/call.h"
#include "service/operations.h"
#include "service/reason.h"
#include "service/revoke_rule.h"
#include "service/service.h"
#include "store/store.h"
#include <stddef.h>

enum {
    BEFORE_NOW = -1, /* not given */
    /* Of a session that ends, all is revoked, whenever it seems to be issued: by a clock that is ahead, or by another
     * instance while the end was on its way to the store. No more than that comes of it. */
    SESSION_ENDING_S = 60,
};

struct rule_body {
    struct str subject, client, session, reason;
    bool everything;
    int64_t before;
};

static const struct field body_fields[] = {
    { "subject", FIELD_STR, false, offsetof(struct rule_body, subject), 0, 1024 },
    { "clientId", FIELD_STR, false, offsetof(struct rule_body, client), 0, 1024 },
    { "sessionId", FIELD_STR, false, offsetof(struct rule_body, session), 0, 1024 },
    { "everything", FIELD_BOOL, false, offsetof(struct rule_body, everything), 0, 0 },
    { "before", FIELD_INT, false, offsetof(struct rule_body, before), 0, CLAIMS_TIME_MAX },
    { "reason", FIELD_TEXT, false, offsetof(struct rule_body, reason), 0, 256 },
};

/* Exactly one of the four says whose tokens. */
static struct err revoke_rule_read_target(const struct rule_body *body, struct record *record)
{
    const struct {
        struct str value;
        enum revocation_kind kind;
        bool given;
    } rows[] = { { body->subject, REVOKED_SUBJECT, body->subject.at != NULL },
                 { body->client, REVOKED_CLIENT, body->client.at != NULL },
                 { body->session, REVOKED_SESSION, body->session.at != NULL },
                 { STR(""), REVOKED_ALL, body->everything } };
    size_t given = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].given) {
            given++;
            record->revokes = rows[i].kind;
            record->target = rows[i].value;
        }
    if (given != 1)
        return failed(ERR_INVALID_REQUEST, "name exactly one of subject, clientId, sessionId and \"everything\": true");
    rule_hash(record->revokes, record->target, record->token_hash);
    return OK;
}

/* Now, by this machine's clock and by that of the store which instances share: the later one, since one may be behind
 * what others issue. But a clock that is ahead by more than clocks may differ counts only for what was issued by it. */
static struct err revoke_rule_read_now(struct service *service, int64_t here_s, int64_t *out)
{
    int64_t shared_ms = 0, now_s = here_s, latest_iat = atomic_load(&service->latest_iat);
    if (service->store->ops->now) {
        TRY(service->store->ops->now(service->store, &shared_ms));
        int64_t shared_s = shared_ms / 1000;
        bool is_far_ahead = here_s - shared_s > service->settings->clock_skew_s;
        now_s = is_far_ahead || shared_s > here_s ? shared_s : here_s;
    }
    *out = latest_iat > now_s ? latest_iat : now_s;
    return OK;
}

static struct err revoke_rule_decide_before(struct service *service, int64_t asked, int64_t here_s, int64_t *out)
{
    if (asked == BEFORE_NOW)
        TRY(revoke_rule_read_now(service, here_s, &asked));
    *out = asked < CLAIMS_TIME_MAX ? asked : CLAIMS_TIME_MAX;
    return OK;
}

static struct err revoke_rule_read_rule(struct call *call, struct record *record)
{
    const int64_t now = call->request->now_s;
    struct rule_body body = { .before = BEFORE_NOW };
    TRY(request_fields(call->request, body_fields, sizeof body_fields / sizeof *body_fields, &body));
    *record = (struct record){ .kind = RECORD_REVOCATION,
                               .issued_at = now,
                               .reason = reason_to_keep(body.reason),
                               .revoked_by = call->caller.client_id };
    TRY(revoke_rule_read_target(&body, record));
    if (body.before > now + call->service->settings->clock_skew_s)
        return failed(ERR_INVALID_REQUEST,
                      "before lies in the future: tokens that are still to be issued can't be revoked");
    return revoke_rule_decide_before(call->service, body.before, now, &record->before);
}

/* No token lives longer than the longest that a key in force may have signed, which its row knows (clients with a
 * lifetime of their own are in it), or that the settings allow now. */
struct err rule_end_of_tokens(struct call *call, int64_t until_s, int64_t *out)
{
    struct service *service = call->service;
    struct key *keys = NULL;
    size_t count = 0;
    int64_t longest_s = lifecycle_terms(service->settings).lifetime_s;
    TRY(service->store->ops->list_keys(service->store, call->request->arena, &keys, &count));
    for (size_t i = 0; i < count; i++)
        if (keys[i].lifetime_s > longest_s)
            longest_s = keys[i].lifetime_s;
    *out = until_s + longest_s + service->settings->clock_tolerance_max_s + 1;
    return OK;
}

static struct err revoke_rule_decide_expiry(struct call *call, struct record *record)
{
    TRY(rule_end_of_tokens(call, record->before, &record->expires_at));
    if (record->expires_at <= call->request->now_s) /* each of those tokens has expired, if this clock is right */
        record->expires_at = call->request->now_s + CLOCK_DOUBT_S;
    return OK;
}

static struct err revoke_rule_revoke(struct call *call, struct record *record, uint64_t *announced)
{
    TRY(revocations_make(call->service->revocations, record, announced));
    metrics_count(COUNT_REVOKED_RULE, 1);
    LOG(LOG_INFO, "rule_revoked", LOG_STR("request_id", call->request->id),
        LOG_STR("kind", revocation_kind_name(record->revokes)), LOG_STR("target", record->target),
        LOG_INT("before", record->before), LOG_INT("expires_at", record->expires_at),
        LOG_STR("caller", call->caller.client_id), LOG_STR("reason", record->reason));
    return OK;
}

struct err rule_revoke(struct call *call, enum revocation_kind kind, struct str target, struct str reason,
                       struct record **out, uint64_t *announced)
{
    struct record *record = arena_zalloc(call->request->arena, sizeof *record);
    *record = (struct record){ .kind = RECORD_REVOCATION,
                               .issued_at = call->request->now_s,
                               .reason = reason,
                               .revoked_by = call->caller.client_id.at ? call->caller.client_id : STR(""),
                               .revokes = kind,
                               .target = target };
    rule_hash(kind, target, record->token_hash);
    TRY(revoke_rule_decide_before(call->service, BEFORE_NOW, call->request->now_s, &record->before));
    if (kind == REVOKED_SESSION)
        record->before += call->service->settings->clock_skew_s + SESSION_ENDING_S;
    TRY(revoke_rule_decide_expiry(call, record));
    TRY(revoke_rule_revoke(call, record, announced));
    *out = record;
    return OK;
}

/* Both are relied upon together, so both must have been announced to one Redis (revocations_confirm()). */
struct err rule_revoke_offline(struct call *call, struct record *rule, uint64_t *announced)
{
    struct record *record = arena_alloc(call->request->arena, sizeof *record);
    const uint64_t before = *announced;
    *record = *rule;
    record->target = rule_offline_target(call->request->arena, rule->target);
    rule_hash(record->revokes, record->target, record->token_hash);
    TRY(revocations_make(call->service->revocations, record, announced));
    rule->next = record;
    return before == *announced ? OK : failed(ERR_UNAVAILABLE, "Redis changed during the revocation; try again");
}

/* Sessions of users are refused by a rule as well, and are not ended by it (but those that rule_revoke() is about): so
 * it outlives them, also where no token lives that long. */
static void revoke_rule_outlive_sessions(const struct call *call, struct record *record)
{
    const int64_t end = record->before + SESSION_LASTING_MAX_S + call->service->settings->clock_tolerance_max_s + 1;
    if (record->revokes != REVOKED_CLIENT && record->expires_at < end)
        record->expires_at = end;
}

struct err revoke_by_rule(struct call *call, struct response *response)
{
    struct record *record = arena_zalloc(call->request->arena, sizeof *record);
    TRY(revoke_rule_read_rule(call, record));
    TRY(revoke_rule_decide_expiry(call, record));
    revoke_rule_outlive_sessions(call, record);
    TRY(revoke_rule_revoke(call, record, &response->announced));
    if (record->revokes == REVOKED_SESSION)
        TRY(rule_revoke_offline(call, record, &response->announced));
    response->records = record;
    struct buf *body = &response->body;
    buf_add(body, STR("{\"revoked\":true,\"before\":"));
    buf_add_int(body, record->before);
    buf_add(body, STR(",\"expiresAt\":"));
    write_time_ms(body, record->expires_at * 1000);
    buf_add_char(body, '}');
    return OK;
}
