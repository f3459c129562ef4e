/* aws/kms_call.c: a call is tried until it succeeds, can't succeed, or its time is up. Each attempt needs its turn in
 * the quota (if it signs), the breaker's permission, credentials and a signature of the request; then the response is
 * judged. */
#include "aws/kms_call.h"
#include "aws/endpoint.h"
#include "aws/kms_error.h"
#include "aws/region.h"
#include "aws/retry.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/sentence.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include <stdlib.h>
#include <time.h>

enum { TRIES_MAX = 8, ANSWER_MAX = 256 * 1024, HEADERS = 6, LEAST_PART = 4, NO_ANSWER = -1 };

/* Now, as AWS has it. */
static int64_t kms_call_aws_time_s(const struct kms *kms)
{
    return (int64_t)time(NULL) + atomic_load_explicit(&kms->skew_s, memory_order_relaxed);
}

/* --- where -------------------------------------------------------------------------------------------------------- */

struct kms_place kms_place_in(const struct settings *settings, struct arena *arena, struct str region)
{
    const struct str url = endpoint_url(settings, arena, "kms", region);
    return (struct kms_place){ region, url, arena_copy(arena, endpoint_host(url)), endpoint_path(url) };
}

/* A key's ARN knows its region better than any setting. */
static struct kms_place kms_call_place_of(const struct kms *kms, struct arena *arena, struct str key)
{
    const struct str region = region_of_arn(key);
    return region.len == 0 || str_eq(region, kms->place.region) ? kms->place
                                                                : kms_place_in(kms->settings, arena, region);
}

/* --- signing the request ----------------------------------------------------------------------------------------- */

/* The derived key of this day, region and these credentials; derived again when one of them changes. The caller wipes
 * it. */
static struct err kms_call_signing_key(struct kms *kms, const struct aws_credentials *credentials,
                                       const struct sigv4_scope *scope, unsigned char out[SIGV4_KEY_LEN])
{
    struct err err = OK;
    pthread_mutex_lock(&kms->lock);
    if (kms->signing.serial != credentials->serial || memcmp(kms->signing.day, scope->time, SIGV4_DATE_LEN) != 0 ||
        !str_eq(str_of(kms->signing.region), scope->region)) {
        kms->signing.serial = 0;
        err = sigv4_derive_key(credentials->secret_key, scope, kms->signing.key);
        if (!err.code) {
            memcpy(kms->signing.day, scope->time, SIGV4_DATE_LEN);
            memcpy(kms->signing.region, scope->region.at, scope->region.len);
            kms->signing.region[scope->region.len] = '\0';
            kms->signing.serial = credentials->serial;
        }
    }
    memcpy(out, kms->signing.key, SIGV4_KEY_LEN);
    pthread_mutex_unlock(&kms->lock);
    return err;
}

/* The headers to sign, the last of them empty unless there is a session token. */
static size_t kms_call_fill_headers(const struct kms_place *place, struct arena *arena, const struct kms_call *call,
                                    const struct aws_credentials *credentials, const char *time,
                                    struct net_header headers[HEADERS])
{
    size_t count = 0;
    headers[count++] = (struct net_header){ "Content-Type", "application/x-amz-json-1.1" };
    headers[count++] = (struct net_header){ "Host", place->host.at };
    headers[count++] = (struct net_header){ "X-Amz-Date", time };
    headers[count++] = (struct net_header){
        "X-Amz-Target", arena_printf(arena, "TrentService.%s", kms_operation_name(call->operation)).at
    };
    if (credentials->token.len > 0)
        headers[count++] = (struct net_header){ "X-Amz-Security-Token", credentials->token.at };
    return count;
}

/* Adds the Authorization header. */
static struct err kms_call_sign_request(struct kms *kms, struct arena *arena, const struct aws_credentials *credentials,
                                        const struct sigv4_scope *scope, const struct kms_place *place,
                                        struct net_header *headers, size_t *count, struct str body)
{
    struct sigv4_header signed_headers[HEADERS];
    unsigned char key[SIGV4_KEY_LEN];
    struct str authorization = { 0, 0 };
    for (size_t i = 0; i < *count; i++)
        signed_headers[i] = (struct sigv4_header){ str_of(headers[i].name), str_of(headers[i].value) };
    const struct sigv4_request request = { .method = STR("POST"),
                                           .path = place->path,
                                           .headers = signed_headers,
                                           .header_count = *count,
                                           .body = body,
                                           .normalize_path = true };
    TRY(kms_call_signing_key(kms, credentials, scope, key));
    struct err err = sigv4_authorization(arena, &request, scope, credentials->access_key, key, &authorization);
    mem_wipe(key, sizeof key);
    headers[(*count)++] = (struct net_header){ "Authorization", authorization.at };
    return err;
}

/* --- one try ----------------------------------------------------------------------------------------------------- */

static struct err kms_call_send_signed(struct kms *kms, struct arena *arena, const struct kms_call *call,
                                       int64_t timeout_ms, const struct aws_credentials *credentials,
                                       struct net_answer *out)
{
    struct net_header headers[HEADERS];
    const struct kms_place place = kms_call_place_of(kms, arena, call->key);
    struct sigv4_scope scope = { .region = place.region, .service = STR("kms") };
    sigv4_time(kms_call_aws_time_s(kms), scope.time);
    size_t count = kms_call_fill_headers(&place, arena, call, credentials, scope.time, headers);
    TRY(kms_call_sign_request(kms, arena, credentials, &scope, &place, headers, &count, call->body));
    const struct net_request request = { .method = "POST",
                                         .url = place.url.at,
                                         .headers = headers,
                                         .header_count = count,
                                         .body = call->body,
                                         .timeout_ms = timeout_ms,
                                         .answer_max = ANSWER_MAX,
                                         .is_secret = call->is_secret,
                                         .is_unique = call->is_unique };
    return net_send(kms->net, arena, &request, out);
}

static void kms_call_report(struct kms *kms, bool answered)
{
    if (!breaker_report(&kms->breaker, clock_ms(), answered))
        return;
    metrics_remote_breaker(!answered);
    LOG(LOG_WARN, answered ? "kms_breaker_closed" : "kms_breaker_opened", LOG_STR("host", kms->place.host));
}

/* How a call stands after a try. */
struct progress {
    int64_t deadline_ns;
    unsigned tries, throttled;             /* of them */
    bool moved_clock, changed_credentials; /* each mends a call once */
    bool again;
    struct err err;
};

/* The clock is set right when the answer's own time differs from the one signed with by more than a few seconds. */
static bool kms_call_move_clock(struct kms *kms, const struct net_answer *answer)
{
    int64_t skew_s = answer->date_s - (int64_t)time(NULL);
    int64_t now_s = atomic_load_explicit(&kms->skew_s, memory_order_relaxed);
    if (answer->date_s == 0 || (skew_s - now_s < 5 && now_s - skew_s < 5))
        return false;
    atomic_store_explicit(&kms->skew_s, skew_s, memory_order_relaxed);
    LOG(LOG_WARN, "clock_corrected", LOG_INT("aws_is_ahead_s", skew_s));
    return true;
}

static void kms_call_judge(struct kms *kms, struct arena *arena, const struct kms_call *call, uint64_t serial,
                           const struct net_answer *answer, struct progress *progress)
{
    struct kms_error error;
    kms_error_read(arena, answer->status, answer->error_type, answer->body, &error);
    bool is_throttled = error.verdict == KMS_THROTTLED;
    metrics_remote_call(call->operation, is_throttled            ? KMS_OUTCOME_THROTTLED
                                         : answer->status >= 500 ? KMS_OUTCOME_FAILED
                                                                 : KMS_OUTCOME_REFUSED);
    LOG(is_throttled ? LOG_DEBUG : LOG_WARN, "kms_error", LOG_TEXT_("operation", kms_operation_name(call->operation)),
        LOG_INT("status", answer->status), LOG_STR("code", error.code), LOG_STR("request_id", answer->request_id),
        LOG_INT("try", progress->tries));
    if (is_throttled && call->draws_on_quota)
        budget_throttled(kms->budget);
    if (answer->status >= 500)
        atomic_store(&kms->fault, error.err.why);
    progress->throttled += is_throttled;
    progress->err = error.err;
    progress->again = is_throttled || (error.verdict == KMS_AGAIN && !call->is_unique);
    if (error.verdict == KMS_WRONG_CLOCK && !progress->moved_clock) {
        progress->moved_clock = true;
        (void)kms_call_move_clock(kms, answer); /* also when another caller has: this one signed before that */
        progress->again = answer->date_s != 0;
    }
    if (error.verdict == KMS_BAD_CREDENTIALS && !progress->changed_credentials) {
        progress->changed_credentials = progress->again = true;
        credentials_refused(kms->credentials, serial);
    }
}

/* What an open breaker says: why nothing is sent, which is what failed before it opened. */
static struct err kms_call_breaker_refuses(struct kms *kms)
{
    static const char generic[] = "AWS KMS has not answered for a while, and is not called at present";
    const char *fault = atomic_load(&kms->fault);
    return failed(ERR_UNAVAILABLE,
                  fault ? sentence_keep(generic, "%s (it is called again in a moment)", fault) : generic);
}

/* The breaker's permission is taken last, just before sending: a caller that has it must send, and report. */
static struct err kms_call_send_with_leave(struct kms *kms, struct arena *arena, const struct kms_call *call,
                                           int64_t deadline_ns, const struct aws_credentials *credentials,
                                           struct net_answer *out)
{
    const int64_t most_ms = kms->settings->kms_try_timeout_s * 1000, now_ns = clock_ns();
    const int64_t left_ms = (deadline_ns - now_ns) / 1000000;
    if (left_ms < most_ms / LEAST_PART / 2) /* the credentials took long; KMS is not to blame */
        return failed(ERR_UNAVAILABLE, "there was no time left to call AWS KMS");
    if (!breaker_enter(&kms->breaker, now_ns / 1000000)) {
        metrics_remote_call(call->operation, KMS_OUTCOME_BREAKER);
        return kms_call_breaker_refuses(kms);
    }
    struct err err = kms_call_send_signed(kms, arena, call, left_ms < most_ms ? left_ms : most_ms, credentials, out);
    kms_call_report(kms, !err.code && out->status < 500);
    if (!err.code)
        return OK;
    metrics_remote_call(call->operation, KMS_OUTCOME_FAILED);
    out->status = NO_ANSWER;
    const char *why = sentence_keep("AWS KMS can't be reached; try again later", "AWS KMS (%s): %s",
                                    endpoint_setting(kms->settings, "kms"), err.why);
    atomic_store(&kms->fault, why);
    return failed(ERR_UNAVAILABLE, why);
}

static void kms_call_try_once(struct kms *kms, struct arena *arena, const struct kms_call *call,
                              struct progress *progress, struct str *answer_body)
{
    const struct aws_credentials *credentials = NULL;
    struct net_answer answer = { 0 };
    const int64_t began_ns = clock_ns();
    progress->again = false;
    progress->err = credentials_get(kms->credentials, kms_call_aws_time_s(kms), &credentials);
    if (progress->err.code)
        return;
    const uint64_t serial = credentials->serial;
    progress->err = kms_call_send_with_leave(kms, arena, call, progress->deadline_ns, credentials, &answer);
    credentials_put(kms->credentials, credentials);
    if (progress->err.code) {
        progress->again = answer.status == NO_ANSWER && !call->is_unique;
    } else if (answer.status != 200) {
        kms_call_judge(kms, arena, call, serial, &answer, progress);
    } else {
        metrics_remote_call(call->operation, KMS_OUTCOME_OK);
        if (call->operation == KMS_SIGN)
            metrics_remote_took(clock_ns() - began_ns);
        *answer_body = answer.body;
    }
}

/* --- a call ------------------------------------------------------------------------------------------------------ */

static struct err kms_call_wait_for_turn(struct kms *kms, const struct kms_call *call, int64_t last_start_ns)
{
    struct err err = call->draws_on_quota ? budget_take(kms->budget, call->priority, last_start_ns) : OK;
    if (err.code)
        metrics_remote_call(call->operation, KMS_OUTCOME_QUOTA);
    return err;
}

/* Waits before the next try; false when there is no time for one, or too many have failed. A throttled one has not: it
 * only came too early, and is back in the queue until its time is up. */
static bool kms_call_pause_before_next(const struct progress *progress, int64_t last_start_ns)
{
    uint64_t random;
    random_bytes(&random, sizeof random);
    bool is_mended = progress->moved_clock || progress->changed_credentials;
    int64_t delay_ms = is_mended && progress->tries == 1 ? 0 : retry_delay_ms(progress->tries, random);
    if (progress->tries - progress->throttled == TRIES_MAX || clock_ns() + delay_ms * 1000000 >= last_start_ns)
        return false;
    clock_sleep_ms(delay_ms);
    return true;
}

struct err kms_call(struct kms *kms, struct arena *arena, const struct kms_call *call, struct str *answer)
{
    const struct settings *settings = kms->settings;
    struct progress progress = { .deadline_ns = clock_ns() + settings->kms_timeout_s * 1000000000 };
    /* A try that begins later than this would have less than a part of its time, and KMS be blamed for it. */
    const int64_t last_start_ns = progress.deadline_ns - settings->kms_try_timeout_s * 1000000000 / LEAST_PART;
    do {
        TRY(kms_call_wait_for_turn(kms, call, last_start_ns));
        progress.tries++;
        kms_call_try_once(kms, arena, call, &progress, answer);
    } while (progress.err.code && progress.again && kms_call_pause_before_next(&progress, last_start_ns));
    return progress.err;
}
