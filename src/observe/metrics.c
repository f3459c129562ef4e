/* observe/metrics.c: counters and latency histograms. Only its own thread writes a block, so an addition is a plain
 * load and store (no locked instruction); a scrape reads all blocks. Blocks are linked once and are never freed, also
 * not after their thread's end, so no count is ever lost. Threads are started with the service and not later, so the
 * list doesn't grow. */
#include "observe/metrics.h"
#include "base/proc.h"
#include "version.h"
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const char *const operation_names[] = {
    [OP_ISSUE] = "issue",
    [OP_VERIFY] = "verify",
    [OP_INTROSPECT] = "introspect",
    [OP_REVOKE] = "revoke",
    [OP_REVOKE_RULE] = "revoke_rule",
    [OP_ROTATE] = "rotate_keys",
    [OP_CLIENTS] = "clients",
    [OP_JWKS] = "jwks",
    [OP_FEED] = "revocations",
    [OP_HEALTH] = "health",
    [OP_METRICS] = "metrics",
    [OP_INDEX] = "index",
    [OP_TOKEN] = "token",
    [OP_METADATA] = "metadata",
    [OP_AUTHORIZE] = "authorize",
    [OP_LOGIN] = "login",
    [OP_LOGIN_REQUEST] = "login_request",
    [OP_USERINFO] = "userinfo",
    [OP_LOGOUT] = "logout",
    [OP_SESSIONS] = "sessions",
    [OP_OTHER] = "other",
};
_Static_assert(sizeof operation_names / sizeof *operation_names == OP_COUNT, "every operation needs a name");

/* A row without a name is one more of the name above it. */
static const struct {
    const char *labels, *name, *help;
} counters[] = {
    [COUNT_ISSUED_ACCESS] = { "type=\"access\"", "token_service_tokens_issued_total", "Tokens issued" },
    [COUNT_ISSUED_REFRESH] = { "type=\"refresh\"", NULL, NULL },
    [COUNT_ISSUED_ID] = { "type=\"id\"", NULL, NULL },
    [COUNT_VERIFY_VALID] = { "result=\"valid\"", "token_service_verifications_total", "Tokens verified" },
    [COUNT_VERIFY_INVALID] = { "result=\"invalid\"", NULL, NULL },
    [COUNT_INTROSPECT_ACTIVE] = { "result=\"active\"", "token_service_introspections_total", "Tokens introspected" },
    [COUNT_INTROSPECT_INACTIVE] = { "result=\"inactive\"", NULL, NULL },
    [COUNT_REVOKED] = { "result=\"revoked\"", "token_service_revocations_total", "Revocations asked for" },
    [COUNT_REVOKED_RULE] = { "result=\"rule\"", NULL, NULL },
    [COUNT_REVOKED_UNKNOWN] = { "result=\"unknown\"", NULL, NULL },
    [COUNT_VERIFIED_HIT] = { "result=\"hit\"", "token_service_verified_cache_total", "Look-ups of verified tokens" },
    [COUNT_VERIFIED_MISS] = { "result=\"miss\"", NULL, NULL },
    [COUNT_AUTH_BASIC] = { "method=\"client_secret_basic\",result=\"ok\"", "token_service_authentications_total",
                           "Authentications of callers" },
    [COUNT_AUTH_POST] = { "method=\"client_secret_post\",result=\"ok\"", NULL, NULL },
    [COUNT_AUTH_BEARER] = { "method=\"bearer\",result=\"ok\"", NULL, NULL },
    [COUNT_AUTH_ASSERTION] = { "method=\"private_key_jwt\",result=\"ok\"", NULL, NULL },
    [COUNT_AUTH_NONE] = { "method=\"none\",result=\"ok\"", NULL, NULL },
    [COUNT_AUTH_VOUCHED] = { "method=\"event\",result=\"ok\"", NULL, NULL },
    [COUNT_AUTH_FAILED] = { "method=\"any\",result=\"failed\"", NULL, NULL },
    [COUNT_AUTH_LIMITED] = { "method=\"any\",result=\"limited\"", NULL, NULL },
    [COUNT_LOGINS_OK] = { "by=\"builtin\",result=\"succeeded\"", "token_service_logins_total",
                          "Log-ins: by the built-in login, and as LOGIN_URL answered" },
    [COUNT_LOGINS_FAILED] = { "by=\"builtin\",result=\"failed\"", NULL, NULL },
    [COUNT_LOGINS_SLOWED] = { "by=\"builtin\",result=\"slowed\"", NULL, NULL },
    [COUNT_LOGINS_ACCEPTED] = { "by=\"login_url\",result=\"accepted\"", NULL, NULL },
    [COUNT_LOGINS_REJECTED] = { "by=\"login_url\",result=\"rejected\"", NULL, NULL },
    [COUNT_FETCHES_OK] = { "result=\"ok\"", "token_service_client_fetches_total",
                           "Calls to URLs that clients name: answered, refused by the URL, failed, or answered with "
                           "what can't be used" },
    [COUNT_FETCHES_REFUSED] = { "result=\"refused\"", NULL, NULL },
    [COUNT_FETCHES_FAILED] = { "result=\"failed\"", NULL, NULL },
    [COUNT_FETCHES_UNFIT] = { "result=\"unfit\"", NULL, NULL },
    [COUNT_LOGOUTS_DELIVERED] = { "result=\"delivered\"", "token_service_backchannel_logouts_total",
                                  "Calls that tell clients of a session's end: delivered, failed and to be made again, "
                                  "or given up after a day" },
    [COUNT_LOGOUTS_RETRIED] = { "result=\"retried\"", NULL, NULL },
    [COUNT_LOGOUTS_GIVEN_UP] = { "result=\"given_up\"", NULL, NULL },
    [COUNT_LOGIN_REQUESTS_LIMITED] = { "", "token_service_login_requests_limited_total",
                                       "Authorization requests refused: too many from one address" },
    [COUNT_QUEUE_FULL] = { "", "token_service_queue_full_total", "Requests refused: the workers' queue was full" },
    [COUNT_COMMITS] = { "", "token_service_commits_total", "Transactions of the group commit" },
    [COUNT_COMMITTED_RECORDS] = { "", "token_service_committed_records_total", "Records made durable by commits" },
    [COUNT_STORE_ERRORS] = { "dependency=\"store\"", "token_service_dependency_errors_total",
                             "Failures of dependencies" },
    [COUNT_SIGNER_ERRORS] = { "dependency=\"signer\"", NULL, NULL },
    [COUNT_REDIS_ERRORS] = { "dependency=\"redis\"", NULL, NULL },
    [COUNT_EVENT_BUS_ERRORS] = { "dependency=\"eventbridge\"", NULL, NULL },
    [COUNT_EVENTS_PUBLISHED] = { "result=\"published\"", "token_service_events_total",
                                 "Events put on the event bus: taken, not taken at that try, or dropped for want of "
                                 "room" },
    [COUNT_EVENTS_THROTTLED] = { "result=\"throttled\"", NULL, NULL },
    [COUNT_EVENTS_FAILED] = { "result=\"failed\"", NULL, NULL },
    [COUNT_EVENTS_REFUSED] = { "result=\"refused\"", NULL, NULL },
    [COUNT_EVENTS_DROPPED] = { "result=\"dropped\"", NULL, NULL },
    [COUNT_KEYS_PUBLISHED] = { "to=\"pending\"", "token_service_key_transitions_total",
                               "Transitions of signing keys that this process performed" },
    [COUNT_KEYS_ACTIVATED] = { "to=\"active\"", NULL, NULL },
    [COUNT_KEYS_RETIRED] = { "to=\"retired\"", NULL, NULL },
    [COUNT_KEYS_REVOKED] = { "to=\"revoked\"", NULL, NULL },
    [COUNT_PURGED] = { "", "token_service_purged_rows_total", "Expired rows deleted from the store" },
    [COUNT_RECORDS_UNLINKED] = { "", "token_service_unlinked_records_total",
                                 "Tokens recorded apart, and items without a row of the platform's: their subject is "
                                 "not a user, or their client is not in its tables" },
    [COUNT_TIMEOUTS] = { "", "token_service_request_timeouts_total", "Connections cut: the request took too long" },
    [COUNT_REDIS_RECONNECTS] = { "", "token_service_redis_reconnects_total",
                                 "Connections to Redis made again after one was lost" },
    [COUNT_REDIS_REDIRECTIONS] = { "", "token_service_redis_redirections_total", "MOVED replies of a Redis Cluster" },
    [COUNT_REVOCATIONS_RESYNCS] = { "", "token_service_revocations_resyncs_total",
                                    "Times that all revocations were read from Redis" },
    [COUNT_KEYS_RESTORED] = { "", "token_service_revocation_keys_restored_total",
                              "Single keys that Redis had lost, and that were put back" },
    [COUNT_STORE_EPOCHS] = { "", "token_service_store_epochs_total",
                             "Times that the store was found to be another one, or an older state of itself" },
    [COUNT_USES_WRITTEN] = { "result=\"written\"", "token_service_token_uses_total",
                             "Uses of recorded tokens, written to the store or lost because there was no room" },
    [COUNT_USES_DROPPED] = { "result=\"dropped\"", NULL, NULL },
    [COUNT_FEED_SIGNED] = { "", "token_service_feed_pages_signed_total", "Pages of the revocation feed signed" },
    [COUNT_FEED_LIMITED] = { "", "token_service_feed_limited_total",
                             "Pages of the revocation feed refused: too many new ones were requested" },
    [COUNT_RULE_REFUSALS] = { "", "token_service_rule_refusals_total", "Tokens refused because a rule revokes them" },
    [COUNT_CONNECTIONS_SPARED] = { "", "token_service_spared_connections_total",
                                   "Connections closed between requests, to make room for others" },
    [COUNT_CONNECTIONS_REFUSED] = { "", "token_service_refused_connections_total",
                                    "Connections refused: there were as many as may be, and none was idle" },
    [COUNT_TLS_FULL] = { "result=\"full\"", "token_service_tls_handshakes_total",
                         "TLS handshakes before a first request, and those that failed" },
    [COUNT_TLS_RESUMED] = { "result=\"resumed\"", NULL, NULL },
    [COUNT_TLS_FAILED] = { "result=\"failed\"", NULL, NULL },
    [COUNT_MEMORY_FULL] = { "", "token_service_request_memory_full_total",
                            "Requests refused: those in progress used all the memory that they may" },
    [COUNT_LAMBDA_HTTP] = { "kind=\"http\"", "token_service_lambda_invocations_total",
                            "Events that AWS Lambda brought" },
    [COUNT_LAMBDA_BUS] = { "kind=\"event\"", NULL, NULL },
    [COUNT_LAMBDA_SCHEDULE] = { "kind=\"schedule\"", NULL, NULL },
    [COUNT_LAMBDA_REFUSED] = { "kind=\"refused\"", NULL, NULL },
    [COUNT_LAMBDA_DEADLINES] = { "", "token_service_lambda_deadlines_total",
                                 "Events that were given up because AWS Lambda was about to end them" },
    [COUNT_LAMBDA_DUPLICATES] = { "", "token_service_lambda_duplicates_total",
                                  "Events that came again after they had been dealt with" },
    [COUNT_CLOCK_STOPS] = { "", "token_service_clock_stops_total",
                            "Times that the process was frozen and its clock stood still" },
    [COUNT_LOG_LIMITED] = { "reason=\"rate\"", "token_service_log_lines_lost_total",
                            "Lines not logged: too many in a second, no room in the queue, or not written" },
    [COUNT_LOG_FULL] = { "reason=\"queue\"", NULL, NULL },
    [COUNT_LOG_FAILED] = { "reason=\"error\"", NULL, NULL },
    [COUNT_RULES_FULL] = { "", "token_service_rules_full_total", "Rules refused: as many as are allowed are in force" },
    [COUNT_CLOCK_STEPS] = { "", "token_service_clock_steps_total", "Steps of the system's time of day" },
    [COUNT_COLD_STARTS] = { "", "token_service_cold_starts_total", "Starts of this process by AWS Lambda" },
};
_Static_assert(sizeof counters / sizeof *counters == COUNT_COUNT, "every counter needs a row");

/* Upper bounds of the histograms; one more bucket has no bound. `le` is the same in seconds. */
static const struct {
    int64_t up_to_ns;
    const char *le;
} buckets[] = {
    { 10000, "0.00001" },  { 25000, "0.000025" }, { 50000, "0.00005" },  { 100000, "0.0001" },  { 250000, "0.00025" },
    { 500000, "0.0005" },  { 1000000, "0.001" },  { 2500000, "0.0025" }, { 5000000, "0.005" },  { 10000000, "0.01" },
    { 25000000, "0.025" }, { 50000000, "0.05" },  { 100000000, "0.1" },  { 250000000, "0.25" }, { 500000000, "0.5" },
    { 1000000000, "1" },   { 2500000000, "2.5" }, { 5000000000, "5" },   { 10000000000, "10" },
};

/* Where each count lies in a block. */
enum {
    BUCKETS = sizeof buckets / sizeof *buckets,
    CELL_COUNTERS = 0,
    CELL_OUTCOMES = CELL_COUNTERS + COUNT_COUNT,                   /* [operation][err_code] */
    CELL_BUCKETS = CELL_OUTCOMES + (int)OP_COUNT * ERR_CODE_COUNT, /* [histogram][BUCKETS + 1] */
    CELL_SUMS = CELL_BUCKETS + (int)HISTOGRAMS * (BUCKETS + 1),    /* [histogram], nanoseconds: 584 years of them */
    CELL_REMOTE = CELL_SUMS + HISTOGRAMS,                          /* [operation][outcome] of the remote service */
    CELLS = CELL_REMOTE + METRICS_REMOTE_CELLS
};
_Static_assert(BUCKETS + 1 == (int)METRICS_BUCKETS, "as metrics.h says");

static size_t metrics_outcome_cell(size_t operation, size_t outcome)
{
    return CELL_OUTCOMES + operation * ERR_CODE_COUNT + outcome;
}

static size_t metrics_bucket_cell(size_t histogram, size_t bucket)
{
    return CELL_BUCKETS + histogram * (BUCKETS + 1) + bucket;
}

static size_t metrics_remote_cell(const struct metrics_remote *remote, size_t operation, size_t outcome)
{
    return CELL_REMOTE + operation * remote->outcome_count + outcome;
}

/* --- counting ---------------------------------------------------------------------------------------------------- */

struct block {
    _Alignas(64) struct block *next; /* fixed once linked */
    _Atomic uint64_t cells[CELLS];
};

static _Atomic(struct block *) blocks;
static _Thread_local struct block *own;
static _Atomic(const struct metrics_remote *) remote_shown;
static atomic_bool is_breaker_open;

__attribute__((noinline, cold)) static struct block *link_block(void)
{
    struct block *block = aligned_alloc(_Alignof(struct block), sizeof *block);
    if (!block)
        abort(); /* as mem_alloc() does, which takes no alignment */
    memset(block, 0, sizeof *block);
    block->next = atomic_load_explicit(&blocks, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&blocks, &block->next, block, memory_order_release,
                                                  memory_order_relaxed))
        continue; /* another thread linked its block first: block->next is that one now */
    own = block;
    return block;
}

static struct block *metrics_own_block(void)
{
    return own ? own : link_block();
}

/* Not atomic_fetch_add: this thread is the only writer. */
static void metrics_add(struct block *block, size_t cell, uint64_t by)
{
    _Atomic uint64_t *to = &block->cells[cell];
    atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + by, memory_order_relaxed);
}

static void metrics_add_duration(struct block *block, size_t histogram, int64_t duration_ns)
{
    size_t bucket = 0;
    if (duration_ns < 0)
        duration_ns = 0;
    while (bucket < BUCKETS && duration_ns > buckets[bucket].up_to_ns) /* most answers end in one of the first */
        bucket++;
    metrics_add(block, metrics_bucket_cell(histogram, bucket), 1);
    metrics_add(block, CELL_SUMS + histogram, (uint64_t)duration_ns);
}

void metrics_request(enum operation operation, enum err_code outcome, int64_t duration_ns)
{
    struct block *block = metrics_own_block();
    metrics_add(block, metrics_outcome_cell(operation, outcome), 1);
    metrics_add_duration(block, operation, duration_ns);
}

void metrics_remote_show(const struct metrics_remote *remote)
{
    atomic_store_explicit(&remote_shown, remote, memory_order_release);
}

static const struct metrics_remote *metrics_shown(void)
{
    return atomic_load_explicit(&remote_shown, memory_order_acquire);
}

void metrics_remote_call(size_t operation, size_t outcome)
{
    const struct metrics_remote *remote = metrics_shown();
    if (remote)
        metrics_add(metrics_own_block(), metrics_remote_cell(remote, operation, outcome), 1);
}

void metrics_remote_took(int64_t duration_ns)
{
    metrics_add_duration(metrics_own_block(), HISTOGRAM_REMOTE, duration_ns);
}

void metrics_remote_breaker(bool is_open)
{
    atomic_store_explicit(&is_breaker_open, is_open, memory_order_relaxed);
}

void metrics_redis_command(int64_t duration_ns)
{
    metrics_add_duration(metrics_own_block(), HISTOGRAM_REDIS, duration_ns);
}

void metrics_count(enum counter counter, uint64_t by)
{
    metrics_add(metrics_own_block(), CELL_COUNTERS + (size_t)counter, by);
}

const char *operation_name(enum operation operation)
{
    return operation_names[operation];
}

static void metrics_add_up(uint64_t totals[CELLS])
{
    memset(totals, 0, CELLS * sizeof *totals);
    for (struct block *block = atomic_load_explicit(&blocks, memory_order_acquire); block; block = block->next)
        for (size_t i = 0; i < CELLS; i++)
            totals[i] += atomic_load_explicit(&block->cells[i], memory_order_relaxed);
}

/* --- numbers ----------------------------------------------------------------------------------------------------- */

struct metrics_totals {
    uint64_t cells[CELLS];
};

struct metrics_totals *metrics_totals_new(void)
{
    struct metrics_totals *totals = mem_alloc(sizeof *totals);
    memset(totals, 0, sizeof *totals);
    return totals;
}

void metrics_totals_take(struct metrics_totals *totals)
{
    metrics_add_up(totals->cells);
}

uint64_t metrics_totals_counter(const struct metrics_totals *totals, enum counter counter)
{
    return totals->cells[CELL_COUNTERS + (size_t)counter];
}

static uint64_t metrics_answers(const uint64_t totals[CELLS], size_t operation, int from, int to)
{
    uint64_t sum = 0;
    for (size_t code = 0; code < ERR_CODE_COUNT; code++)
        if (err_status((enum err_code)code) >= from && err_status((enum err_code)code) <= to)
            sum += totals[metrics_outcome_cell(operation, code)];
    return sum;
}

uint64_t metrics_totals_answers(const struct metrics_totals *totals, enum operation operation, int from, int to)
{
    return metrics_answers(totals->cells, operation, from, to);
}

static bool metrics_is_in(const struct metrics_remote *remote, size_t outcome, enum remote_part part)
{
    const bool is_throttled = outcome == remote->throttled_outcome;
    return part == REMOTE_ALL || (part == REMOTE_THROTTLED ? is_throttled : !is_throttled && outcome != 0);
}

static uint64_t metrics_remote_part(const uint64_t totals[CELLS], const struct metrics_remote *remote,
                                    enum remote_part part)
{
    uint64_t sum = 0;
    for (size_t op = 0; op < remote->operation_count; op++)
        for (size_t outcome = 0; outcome < remote->outcome_count; outcome++)
            if (metrics_is_in(remote, outcome, part))
                sum += totals[metrics_remote_cell(remote, op, outcome)];
    return sum;
}

uint64_t metrics_totals_remote(const struct metrics_totals *totals, enum remote_part part)
{
    const struct metrics_remote *remote = metrics_shown();
    return remote ? metrics_remote_part(totals->cells, remote, part) : 0;
}

uint64_t metrics_totals_bucket(const struct metrics_totals *totals, size_t histogram, size_t bucket)
{
    return totals->cells[metrics_bucket_cell(histogram, bucket)];
}

int64_t metrics_bucket_up_to_ns(size_t bucket)
{
    return bucket < BUCKETS ? buckets[bucket].up_to_ns : INT64_MAX;
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

static void metrics_write_head(struct buf *out, const char *name, const char *help, const char *type)
{
    const char *const parts[] = { "# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n" };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        buf_add(out, str_of(parts[i]));
}

/* `name{labels} `, without braces when there are no labels. */
static void metrics_write_name(struct buf *out, const char *name, const char *labels)
{
    buf_add(out, str_of(name));
    if (labels[0]) {
        buf_add_char(out, '{');
        buf_add(out, str_of(labels));
        buf_add_char(out, '}');
    }
    buf_add_char(out, ' ');
}

static void metrics_write_count(struct buf *out, const char *name, const char *labels, uint64_t value)
{
    metrics_write_name(out, name, labels);
    buf_add_int(out, (int64_t)value);
    buf_add_char(out, '\n');
}

/* The shortest text that reads back as the same double. */
static void metrics_write_double(struct buf *out, const char *name, const char *labels, double value)
{
    char text[32];
    metrics_write_name(out, name, labels);
    if (!isfinite(value)) {
        buf_add(out, isnan(value) ? STR("NaN") : value > 0 ? STR("+Inf") : STR("-Inf"));
    } else {
        for (int digits = 15; digits <= 17; digits++) {
            snprintf(text, sizeof text, "%.*g", digits, value);
            if (!(strtod(text, NULL) < value) && !(strtod(text, NULL) > value))
                break;
        }
        buf_add(out, str_of(text));
    }
    buf_add_char(out, '\n');
}

static void metrics_write_outcomes(struct buf *out, const uint64_t totals[CELLS])
{
    static const char name[] = "token_service_requests_total";
    char labels[96];
    metrics_write_head(out, name, "Answered requests", "counter");
    for (size_t op = 0; op < OP_COUNT; op++)
        for (size_t code = 0; code < ERR_CODE_COUNT; code++) {
            uint64_t value = totals[metrics_outcome_cell(op, code)];
            if (value == 0 && code != ERR_OK) /* what never happened needs no row */
                continue;
            snprintf(labels, sizeof labels, "operation=\"%s\",outcome=\"%s\"", operation_names[op],
                     err_label((enum err_code)code));
            metrics_write_count(out, name, labels, value);
        }
}

/* A part of the same, of which there is a row before the first: a rate can't be told from a row that begins with 1. */
static void metrics_write_failures(struct buf *out, const uint64_t totals[CELLS])
{
    static const char name[] = "token_service_server_errors_total";
    char labels[48];
    metrics_write_head(out, name, "Answers with a status of 500 to 504", "counter");
    for (size_t op = 0; op < OP_COUNT; op++) {
        snprintf(labels, sizeof labels, "operation=\"%s\"", operation_names[op]);
        metrics_write_count(out, name, labels, metrics_answers(totals, op, FAILURE_FROM, FAILURE_TO));
    }
}

static void metrics_write_part(struct buf *out, const char *name, const char *part, const char *labels,
                               struct str value)
{
    char whole[80];
    snprintf(whole, sizeof whole, "%s_%s", name, part);
    metrics_write_name(out, whole, labels);
    buf_add(out, value);
    buf_add_char(out, '\n');
}

/* _bucket is cumulative; _count is the last of them, so the two agree whatever was counted in between. `labels`: "" or
 * like `operation="issue"`. */
static void metrics_write_histogram(struct buf *out, const uint64_t totals[CELLS], size_t histogram, const char *name,
                                    const char *labels)
{
    char with_le[96], value[48];
    uint64_t below = 0, sum_ns = totals[CELL_SUMS + histogram];
    for (size_t i = 0; i <= BUCKETS; i++) {
        below += totals[metrics_bucket_cell(histogram, i)];
        snprintf(with_le, sizeof with_le, "%s%sle=\"%s\"", labels, labels[0] ? "," : "",
                 i < BUCKETS ? buckets[i].le : "+Inf");
        snprintf(value, sizeof value, "%llu", (unsigned long long)below);
        metrics_write_part(out, name, "bucket", with_le, str_of(value));
    }
    snprintf(value, sizeof value, "%llu.%09llu", (unsigned long long)(sum_ns / 1000000000),
             (unsigned long long)(sum_ns % 1000000000));
    metrics_write_part(out, name, "sum", labels, str_of(value));
    snprintf(value, sizeof value, "%llu", (unsigned long long)below);
    metrics_write_part(out, name, "count", labels, str_of(value));
}

static void metrics_write_durations(struct buf *out, const uint64_t totals[CELLS])
{
    static const char name[] = "token_service_request_duration_seconds";
    char labels[48];
    metrics_write_head(out, name, "Time from a request's headers to its response", "histogram");
    for (size_t op = 0; op < OP_COUNT; op++) {
        snprintf(labels, sizeof labels, "operation=\"%s\"", operation_names[op]);
        metrics_write_histogram(out, totals, op, name, labels);
    }
}

static void metrics_write_remote_calls(struct buf *out, const uint64_t totals[CELLS],
                                       const struct metrics_remote *remote)
{
    char labels[96];
    metrics_write_head(out, remote->calls.name, remote->calls.help, "counter");
    for (size_t op = 0; op < remote->operation_count; op++)
        for (size_t outcome = 0; outcome < remote->outcome_count; outcome++) {
            uint64_t value = totals[metrics_remote_cell(remote, op, outcome)];
            if (value == 0 && outcome != 0)
                continue;
            snprintf(labels, sizeof labels, "operation=\"%s\",outcome=\"%s\"", remote->operations[op],
                     remote->outcomes[outcome]);
            metrics_write_count(out, remote->calls.name, labels, value);
        }
}

/* Nothing, where none is in use. */
static void metrics_write_remote(struct buf *out, const uint64_t totals[CELLS])
{
    const struct metrics_remote *remote = metrics_shown();
    if (!remote)
        return;
    metrics_write_remote_calls(out, totals, remote);
    metrics_write_head(out, remote->throttled.name, remote->throttled.help, "counter");
    metrics_write_count(out, remote->throttled.name, "", metrics_remote_part(totals, remote, REMOTE_THROTTLED));
    metrics_write_head(out, remote->failures.name, remote->failures.help, "counter");
    metrics_write_count(out, remote->failures.name, "", metrics_remote_part(totals, remote, REMOTE_FAILED));
    metrics_write_head(out, remote->breaker.name, remote->breaker.help, "gauge");
    metrics_write_count(out, remote->breaker.name, "", atomic_load_explicit(&is_breaker_open, memory_order_relaxed));
    metrics_write_head(out, remote->duration.name, remote->duration.help, "histogram");
    metrics_write_histogram(out, totals, HISTOGRAM_REMOTE, remote->duration.name, "");
}

/* Nothing, where no command was ever sent. */
static void metrics_write_redis(struct buf *out, const uint64_t totals[CELLS])
{
    static const char name[] = "token_service_redis_command_duration_seconds";
    uint64_t commands = 0;
    for (size_t i = 0; i <= BUCKETS; i++)
        commands += totals[metrics_bucket_cell(HISTOGRAM_REDIS, i)];
    if (commands == 0)
        return;
    metrics_write_head(out, name, "Time from a command to Redis to its reply", "histogram");
    metrics_write_histogram(out, totals, HISTOGRAM_REDIS, name, "");
}

static void metrics_write_counters(struct buf *out, const uint64_t totals[CELLS])
{
    const char *name = NULL;
    for (size_t i = 0; i < COUNT_COUNT; i++) {
        if (counters[i].name) {
            name = counters[i].name;
            metrics_write_head(out, name, counters[i].help, "counter");
        }
        metrics_write_count(out, name, counters[i].labels, totals[CELL_COUNTERS + i]);
    }
}

/* Every name once, at its first row, with all its rows. */
static void metrics_write_gauges(struct buf *out, const struct gauge *gauges, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool seen = false;
        for (size_t before = 0; before < i && !seen; before++)
            seen = strcmp(gauges[before].name, gauges[i].name) == 0;
        if (seen)
            continue;
        metrics_write_head(out, gauges[i].name, gauges[i].help, "gauge");
        for (size_t j = i; j < count; j++)
            if (strcmp(gauges[j].name, gauges[i].name) == 0)
                metrics_write_double(out, gauges[j].name, gauges[j].labels, gauges[j].value);
    }
}

/* --- the process ------------------------------------------------------------------------------------------------- */

/* Seconds since 1970. Reckoned at the first scrape and kept: it may not move with the clock's later corrections. */
static double metrics_start_time(void)
{
    static _Atomic double known;
    double start = atomic_load_explicit(&known, memory_order_relaxed);
    long long ticks = start > 0 ? 0 : proc_number("/proc/self/stat", 19); /* proc(5): field 22, starttime */
    if (start > 0 || ticks < 0)
        return start;
    struct timespec now, up;
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &up);
    start = (double)(now.tv_sec - up.tv_sec) + (double)(now.tv_nsec - up.tv_nsec) / 1e9 +
            (double)ticks / (double)sysconf(_SC_CLK_TCK);
    start = round(start * 100) / 100; /* a tick is no finer */
    double none = 0;
    return atomic_compare_exchange_strong(&known, &none, start) ? start : none;
}

static void metrics_write_process(struct buf *out)
{
    const long long pages = proc_number("/proc/self/statm", 1);
    const double start = metrics_start_time();
    const struct gauge build = { "token_service_build_info", "The version that is running",
                                 "version=\"" TOKEN_SERVICE_VERSION "\"", 1 };
    const struct gauge resident = { "process_resident_memory_bytes", "Resident memory, in bytes", "",
                                    (double)pages * (double)sysconf(_SC_PAGESIZE) };
    const struct gauge started = { "process_start_time_seconds", "Start of the process, in seconds since 1970", "",
                                   start };
    metrics_write_gauges(out, &build, 1);
    metrics_write_gauges(out, &resident, pages >= 0 ? 1 : 0);
    metrics_write_gauges(out, &started, start > 0 ? 1 : 0);
}

void metrics_write(struct buf *out, const struct gauge *gauges, size_t count)
{
    uint64_t totals[CELLS];
    metrics_add_up(totals);
    metrics_write_outcomes(out, totals);
    metrics_write_failures(out, totals);
    metrics_write_durations(out, totals);
    metrics_write_counters(out, totals);
    metrics_write_remote(out, totals);
    metrics_write_redis(out, totals);
    metrics_write_gauges(out, gauges, count);
    metrics_write_process(out);
}
