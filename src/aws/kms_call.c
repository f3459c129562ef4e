/* aws/kms_call.c: a call is tried until it succeeds, can't succeed, or its time is up. Each attempt needs its turn in
 * the quota (if it signs), the breaker's permission, credentials and a signature (signed_call.c); then the response is
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

enum { TRIES_MAX = 8, ANSWER_MAX = 256 * 1024, LEAST_PART = 4, NO_ANSWER = -1 };

/* A key's ARN knows its region better than any setting. */
static struct aws_place kms_call_place_of(const struct kms *kms, struct arena *arena, struct str key)
{
    const struct str region = region_of_arn(key);
    return region.len == 0 || str_eq(region, kms->place.region) ? kms->place
                                                                : aws_place_in(kms->settings, arena, "kms", region);
}

/* --- one try ----------------------------------------------------------------------------------------------------- */

static struct err kms_call_send(struct kms *kms, struct arena *arena, const struct kms_call *call, int64_t timeout_ms,
                                const struct aws_credentials *credentials, struct net_answer *out)
{
    const struct aws_place place = kms_call_place_of(kms, arena, call->key);
    const struct signed_call signed_call = {
        .place = &place,
        .target = arena_printf(arena, "TrentService.%s", kms_operation_name(call->operation)).at,
        .body = call->body,
        .timeout_ms = timeout_ms,
        .answer_max = ANSWER_MAX,
        .is_secret = call->is_secret,
        .is_unique = call->is_unique
    };
    return signed_call_send(&kms->caller, arena, &signed_call, credentials, out);
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

static void kms_call_judge(struct kms *kms, struct arena *arena, const struct kms_call *call, uint64_t serial,
                           const struct net_answer *answer, struct progress *progress)
{
    struct kms_error error;
    kms_error_read(arena, answer->status, answer->error_type, answer->body, &error);
    bool is_throttled = error.verdict == AWS_THROTTLED;
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
    progress->again = is_throttled || (error.verdict == AWS_AGAIN && !call->is_unique);
    if (error.verdict == AWS_WRONG_CLOCK && !progress->moved_clock) {
        progress->moved_clock = true;
        signed_caller_move_clock(&kms->caller, answer); /* also when another caller has: this one signed before that */
        progress->again = answer->date_s != 0;
    }
    if (error.verdict == AWS_BAD_CREDENTIALS && !progress->changed_credentials) {
        progress->changed_credentials = progress->again = true;
        credentials_refused(kms->caller.credentials, serial);
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
    struct err err = kms_call_send(kms, arena, call, left_ms < most_ms ? left_ms : most_ms, credentials, out);
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
    progress->err = credentials_get(kms->caller.credentials, signed_caller_time_s(&kms->caller), &credentials);
    if (progress->err.code)
        return;
    const uint64_t serial = credentials->serial;
    progress->err = kms_call_send_with_leave(kms, arena, call, progress->deadline_ns, credentials, &answer);
    credentials_put(kms->caller.credentials, credentials);
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
    bool is_mended = progress->moved_clock || progress->changed_credentials;
    int64_t delay_ms = is_mended && progress->tries == 1 ? 0 : retry_delay_ms(progress->tries, random_number());
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
