/* observe/emf.c: a row for each metric, and from that the lines: each a JSON object whose member _aws says which of the
 * others are metrics (the specification "Embedded metric format" of CloudWatch). Counts are differences to the last
 * time, so that CloudWatch's Sum over instances and periods is right whatever is lost or starts anew.
 *
 * A duration is an array of values, of which that format allows 100: bounds of the histogram's buckets, each as often
 * as the bucket was hit. When that were more, they are thinned out, and no bucket that was hit is left out. So
 * percentiles are right to a hundredth and never too low; how many there were is told by the counts. */
#include "observe/emf.h"
#include "observe/log_writer.h"
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* --- which metrics ----------------------------------------------------------------------------------------------- */

enum source { COUNTERS, ANSWERS, REMOTE, DURATION, GAUGE };

/* Rows of one group are written together: where one of them has changed, 0 of another is news too, and a share can be
 * reckoned from the two. A duration and a gauge are no counts, and written when there is one. */
enum group { GENERATION, VERIFICATION, REQUESTS, KEYS, CALLERS, KMS, DEPENDENCIES, FUNCTION, NO_GROUP };

#define BIT(number) (UINT64_C(1) << (number))
#define GENERATING (BIT(OP_ISSUE) | BIT(OP_TOKEN))
#define VERIFYING (BIT(OP_VERIFY) | BIT(OP_INTROSPECT))
#define SERVING ((BIT(OP_COUNT) - 1) & ~(BIT(OP_HEALTH) | BIT(OP_METRICS))) /* but for what probes and scrapers ask */

static const struct row {
    const char *name, *unit;
    enum group group;
    enum source source;
    /* COUNTERS: the first and the last one. ANSWERS: the lowest and the highest status. REMOTE: the enum remote_part */
    int first, last;
    uint64_t operations; /* ANSWERS, DURATION: bits, by operation or, DURATION, by histogram */
    const char *gauge;
} rows[] = {
    { "TokensGenerated", "Count", GENERATION, COUNTERS, COUNT_ISSUED_ACCESS, COUNT_ISSUED_ID, 0, NULL },
    { "TokenGenerationsRefused", "Count", GENERATION, ANSWERS, 400, 499, GENERATING, NULL },
    { "TokenGenerationsFailed", "Count", GENERATION, ANSWERS, FAILURE_FROM, FAILURE_TO, GENERATING, NULL },
    { "VerificationsValid", "Count", VERIFICATION, COUNTERS, COUNT_VERIFY_VALID, COUNT_VERIFY_VALID, 0, NULL },
    { "VerificationsInvalid", "Count", VERIFICATION, COUNTERS, COUNT_VERIFY_INVALID, COUNT_VERIFY_INVALID, 0, NULL },
    { "IntrospectionsActive", "Count", VERIFICATION, COUNTERS, COUNT_INTROSPECT_ACTIVE, COUNT_INTROSPECT_ACTIVE, 0,
      NULL },
    { "IntrospectionsInactive", "Count", VERIFICATION, COUNTERS, COUNT_INTROSPECT_INACTIVE, COUNT_INTROSPECT_INACTIVE,
      0, NULL },
    { "VerificationsFailed", "Count", VERIFICATION, ANSWERS, FAILURE_FROM, FAILURE_TO, VERIFYING, NULL },
    { "Requests", "Count", REQUESTS, ANSWERS, 100, 599, SERVING, NULL },
    { "RequestsFailed", "Count", REQUESTS, ANSWERS, FAILURE_FROM, FAILURE_TO, SERVING, NULL },
    { "Revocations", "Count", KEYS, COUNTERS, COUNT_REVOKED, COUNT_REVOKED_RULE, 0, NULL },
    { "KeysRotated", "Count", KEYS, COUNTERS, COUNT_KEYS_ACTIVATED, COUNT_KEYS_ACTIVATED, 0, NULL },
    { "KeysRevoked", "Count", KEYS, COUNTERS, COUNT_KEYS_REVOKED, COUNT_KEYS_REVOKED, 0, NULL },
    { "AuthenticationsFailed", "Count", CALLERS, COUNTERS, COUNT_AUTH_FAILED, COUNT_AUTH_FAILED, 0, NULL },
    { "AuthenticationsLimited", "Count", CALLERS, COUNTERS, COUNT_AUTH_LIMITED, COUNT_AUTH_LIMITED, 0, NULL },
    { "KmsCalls", "Count", KMS, REMOTE, REMOTE_ALL, 0, 0, NULL },
    { "KmsCallsFailed", "Count", KMS, REMOTE, REMOTE_FAILED, 0, 0, NULL },
    { "KmsCallsThrottled", "Count", KMS, REMOTE, REMOTE_THROTTLED, 0, 0, NULL },
    { "SignerErrors", "Count", DEPENDENCIES, COUNTERS, COUNT_SIGNER_ERRORS, COUNT_SIGNER_ERRORS, 0, NULL },
    { "StoreErrors", "Count", DEPENDENCIES, COUNTERS, COUNT_STORE_ERRORS, COUNT_STORE_ERRORS, 0, NULL },
    { "RedisErrors", "Count", DEPENDENCIES, COUNTERS, COUNT_REDIS_ERRORS, COUNT_REDIS_ERRORS, 0, NULL },
    { "ColdStarts", "Count", FUNCTION, COUNTERS, COUNT_COLD_STARTS, COUNT_COLD_STARTS, 0, NULL },
    { "TokenGenerationDuration", "Milliseconds", NO_GROUP, DURATION, 0, 0, GENERATING, NULL },
    { "VerificationDuration", "Milliseconds", NO_GROUP, DURATION, 0, 0, VERIFYING, NULL },
    { "KmsSignDuration", "Milliseconds", NO_GROUP, DURATION, 0, 0, BIT(HISTOGRAM_REMOTE), NULL },
    { "RedisDuration", "Milliseconds", NO_GROUP, DURATION, 0, 0, BIT(HISTOGRAM_REDIS), NULL },
    { "ActiveKeyAge", "Seconds", NO_GROUP, GAUGE, 0, 0, 0, "token_service_active_key_age_seconds" },
    { "ActiveKeyRemaining", "Seconds", NO_GROUP, GAUGE, 0, 0, 0, "token_service_active_key_remaining_seconds" },
    { "NextKeyPublished", "None", NO_GROUP, GAUGE, 0, 0, 0, "token_service_key_standby" },
    { "SignerUp", "None", NO_GROUP, GAUGE, 0, 0, 0, "token_service_keys_up" },
    { "StoreUp", "None", NO_GROUP, GAUGE, 0, 0, 0, "token_service_store_up" },
    { "RedisUp", "None", NO_GROUP, GAUGE, 0, 0, 0, "token_service_cache_up" },
    { "RevocationsKnown", "None", NO_GROUP, GAUGE, 0, 0, 0, "token_service_revocations_known" },
    { "RevocationsStaleness", "Seconds", NO_GROUP, GAUGE, 0, 0, 0, "token_service_revocations_staleness_seconds" },
    { "EventsOutboxLength", "Count", NO_GROUP, GAUGE, 0, 0, 0, "token_service_events_outbox_length" },
    { "EventsOldest", "Seconds", NO_GROUP, GAUGE, 0, 0, 0, "token_service_events_oldest_seconds" },
};
enum { ROWS = sizeof rows / sizeof *rows };
_Static_assert((int)HISTOGRAMS < 64, "each needs a bit");

/* --- what is written --------------------------------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all that follows */
static const char *service;                              /* NULL: closed */
static struct metrics_totals *last, *now;

enum {
    VALUES_MAX = 100, /* in one array: the specification's limit */
    NAME_ROOM = 96,
    HEAD_ROOM = 320, /* of a line, without the value of Service */
    PART_ROOM = (LOG_LINE_MAX - HEAD_ROOM - EMF_SERVICE_MAX) / 2,
};

/* A text that grows up to `max`, and then takes no more. */
struct text {
    char at[PART_ROOM];
    size_t len;
};

static bool emf_has_room(const struct text *text, size_t len)
{
    return len <= sizeof text->at - text->len;
}

static void emf_add(struct text *text, const char *from, size_t len)
{
    memcpy(text->at + text->len, from, len);
    text->len += len;
}

/* The two halves of a line that grow: which of its members are metrics, and the members. */
struct line {
    struct text names, members;
};

/* Names, units and the value of Service hold nothing that JSON escapes (settings_fault_of_service()). */
static void emf_flush_line(struct line *line)
{
    char whole[LOG_LINE_MAX], time[32];
    struct timespec at;
    struct tm tm = { 0 };
    if (line->names.len == 0)
        return;
    clock_gettime(CLOCK_REALTIME, &at);
    gmtime_r(&at.tv_sec, &tm);
    (void)strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%S", &tm);
    const int len = snprintf(whole, sizeof whole,
                             "{\"time\":\"%s.%03ldZ\",\"level\":\"info\",\"event\":\"metrics\",\"_aws\":{\"Timestamp\":"
                             "%lld,\"CloudWatchMetrics\":[{\"Namespace\":\"TokenService\",\"Dimensions\":[[\"Service\"]"
                             "],\"Metrics\":[%.*s]}]},\"Service\":\"%s\"%.*s}\n",
                             time, at.tv_nsec / 1000000, (long long)at.tv_sec * 1000 + at.tv_nsec / 1000000,
                             (int)line->names.len, line->names.at, service, (int)line->members.len, line->members.at);
    if (len > 0 && (size_t)len < sizeof whole)
        log_writer_put((struct str){ whole, (size_t)len }, true);
    line->names.len = line->members.len = 0;
}

/* `value`: a number or an array, as JSON. */
static void emf_add_metric(struct line *line, const struct row *row, const char *value)
{
    char name[NAME_ROOM], member[PART_ROOM];
    const int name_len = snprintf(name, sizeof name, ",{\"Name\":\"%s\",\"Unit\":\"%s\"}", row->name, row->unit);
    const int member_len = snprintf(member, sizeof member, ",\"%s\":%s", row->name, value);
    if (name_len < 0 || member_len < 0 || (size_t)member_len >= sizeof member)
        return;
    if (!emf_has_room(&line->names, (size_t)name_len) || !emf_has_room(&line->members, (size_t)member_len))
        emf_flush_line(line);
    const size_t comma = line->names.len == 0 ? 1 : 0; /* the first one has none before it */
    emf_add(&line->names, name + comma, (size_t)name_len - comma);
    emf_add(&line->members, member, (size_t)member_len);
}

static void emf_add_number(struct line *line, const struct row *row, double value)
{
    char text[32];
    if (!isfinite(value)) /* CloudWatch takes no such number */
        return;
    snprintf(text, sizeof text, "%.15g", value);
    emf_add_metric(line, row, text);
}

/* --- counts ------------------------------------------------------------------------------------------------------ */

static uint64_t emf_answers(const struct row *row, const struct metrics_totals *totals)
{
    uint64_t sum = 0;
    for (int op = 0; op < OP_COUNT; op++)
        if (row->operations & BIT(op))
            sum += metrics_totals_answers(totals, (enum operation)op, row->first, row->last);
    return sum;
}

static uint64_t emf_total(const struct row *row, const struct metrics_totals *totals)
{
    uint64_t sum = 0;
    if (row->source == ANSWERS)
        return emf_answers(row, totals);
    if (row->source == REMOTE)
        return metrics_totals_remote(totals, (enum remote_part)row->first);
    for (int counter = row->first; counter <= row->last; counter++)
        sum += metrics_totals_counter(totals, (enum counter)counter);
    return sum;
}

/* What was counted since the last time. Readers of totals that grow meanwhile may see one part of a sum and not the
 * other, but never less than before. */
static uint64_t emf_new(const struct row *row)
{
    return emf_total(row, now) - emf_total(row, last);
}

static void emf_add_counts(struct line *line)
{
    bool changed[NO_GROUP + 1] = { false };
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].group != NO_GROUP && emf_new(&rows[i]) > 0)
            changed[rows[i].group] = true;
    for (size_t i = 0; i < ROWS; i++)
        if (changed[rows[i].group])
            emf_add_number(line, &rows[i], (double)emf_new(&rows[i]));
}

/* --- durations --------------------------------------------------------------------------------------------------- */

/* Of a bucket, in milliseconds: its bound; for the last one, which has none, ten times the bound before it. */
static double emf_value_of(size_t bucket)
{
    const int64_t up_to_ns = metrics_bucket_up_to_ns(bucket);
    return up_to_ns < INT64_MAX ? (double)up_to_ns / 1e6 : (double)metrics_bucket_up_to_ns(bucket - 1) / 1e5;
}

static uint64_t emf_hits(const struct row *row, size_t bucket)
{
    uint64_t sum = 0;
    for (size_t histogram = 0; histogram < HISTOGRAMS; histogram++)
        if (row->operations & BIT(histogram))
            sum += metrics_totals_bucket(now, histogram, bucket) - metrics_totals_bucket(last, histogram, bucket);
    return sum;
}

/* How many values stand for a bucket's hits, of `all` in all buckets. */
static uint64_t emf_share(uint64_t hits, uint64_t all)
{
    if (all <= VALUES_MAX || hits == 0)
        return hits;
    const double share = (double)hits / (double)all * (VALUES_MAX - METRICS_BUCKETS);
    return share < 1 ? 1 : (uint64_t)share;
}

static void emf_add_duration(struct line *line, const struct row *row)
{
    char array[PART_ROOM - NAME_ROOM];
    size_t len = 0;
    uint64_t all = 0;
    for (size_t bucket = 0; bucket < METRICS_BUCKETS; bucket++)
        all += emf_hits(row, bucket);
    for (size_t bucket = 0; bucket < METRICS_BUCKETS; bucket++) {
        const uint64_t values = emf_share(emf_hits(row, bucket), all);
        for (uint64_t i = 0; i < values; i++) {
            const int more = snprintf(array + len, sizeof array - len, "%c%.6g", len == 0 ? '[' : ',',
                                      emf_value_of(bucket));
            if (more < 0 || (size_t)more + 2 > sizeof array - len)
                return;
            len += (size_t)more;
        }
    }
    if (len == 0)
        return;
    memcpy(array + len, "]", 2);
    emf_add_metric(line, row, array);
}

/* --- gauges ------------------------------------------------------------------------------------------------------ */

static void emf_add_gauge(struct line *line, const struct row *row, const struct gauge *gauges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(gauges[i].name, row->gauge) == 0 && gauges[i].labels[0] == '\0') {
            emf_add_number(line, row, gauges[i].value);
            return;
        }
}

/* --- for all ----------------------------------------------------------------------------------------------------- */

void emf_open(const char *name)
{
    pthread_mutex_lock(&lock);
    if (!last) {
        last = metrics_totals_new();
        now = metrics_totals_new();
    }
    service = name;
    pthread_mutex_unlock(&lock);
}

void emf_close(void)
{
    pthread_mutex_lock(&lock);
    free(last);
    free(now);
    last = now = NULL;
    service = NULL;
    pthread_mutex_unlock(&lock);
}

bool emf_is_open(void)
{
    pthread_mutex_lock(&lock);
    const bool is_open = service != NULL;
    pthread_mutex_unlock(&lock);
    return is_open;
}

static void emf_write_all(const struct gauge *gauges, size_t count)
{
    struct line line;
    line.names.len = line.members.len = 0;
    metrics_totals_take(now);
    emf_add_counts(&line);
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].source == DURATION)
            emf_add_duration(&line, &rows[i]);
        else if (rows[i].source == GAUGE)
            emf_add_gauge(&line, &rows[i], gauges, count);
    }
    emf_flush_line(&line);
    struct metrics_totals *const older = last;
    last = now;
    now = older;
}

void emf_write(const struct gauge *gauges, size_t count)
{
    pthread_mutex_lock(&lock);
    if (service)
        emf_write_all(gauges, count);
    pthread_mutex_unlock(&lock);
}
