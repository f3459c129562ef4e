/* observe/metrics.h: counters and latency histograms, in Prometheus text. Each thread counts in a block of its own
 * (relaxed atomics, no shared cache line); a scrape adds the blocks up. One row per counter in metrics.c. */
#ifndef OBSERVE_METRICS_H
#define OBSERVE_METRICS_H

#include "base/mem.h"

enum operation {
    OP_ISSUE,
    OP_VERIFY,
    OP_INTROSPECT,
    OP_REVOKE,
    OP_REVOKE_RULE,
    OP_ROTATE,
    OP_CLIENTS,
    OP_JWKS,
    OP_FEED,
    OP_HEALTH,
    OP_METRICS,
    OP_INDEX,
    OP_TOKEN,    /* POST /token as a form: OAuth grants */
    OP_METADATA, /* the provider's */
    OP_AUTHORIZE,
    OP_LOGIN,         /* the pages of the built-in login */
    OP_LOGIN_REQUEST, /* what the service that logs users in asks and answers */
    OP_USERINFO,
    OP_LOGOUT,
    OP_SESSIONS,
    OP_OTHER, /* unknown paths, preflights */
    OP_COUNT
};

/* The label of an operation: "issue", "verify", …; static. */
const char *operation_name(enum operation operation);

enum counter {
    COUNT_ISSUED_ACCESS,
    COUNT_ISSUED_REFRESH,
    COUNT_ISSUED_ID, /* token_service_tokens_issued_total{type} */
    COUNT_VERIFY_VALID,
    COUNT_VERIFY_INVALID, /* token_service_verifications_total{result} */
    COUNT_INTROSPECT_ACTIVE,
    COUNT_INTROSPECT_INACTIVE, /* token_service_introspections_total{result} */
    COUNT_REVOKED,
    COUNT_REVOKED_RULE,
    COUNT_REVOKED_UNKNOWN, /* token_service_revocations_total{result} */
    COUNT_VERIFIED_HIT,
    COUNT_VERIFIED_MISS, /* token_service_verified_cache_total{result} */
    COUNT_AUTH_BASIC,
    COUNT_AUTH_POST,
    COUNT_AUTH_BEARER,
    COUNT_AUTH_ASSERTION,
    COUNT_AUTH_NONE,    /* a public client */
    COUNT_AUTH_VOUCHED, /* token_service_authentications_total{method,…}; by its front */
    COUNT_AUTH_FAILED,
    COUNT_AUTH_LIMITED,
    COUNT_LOGINS_OK,
    COUNT_LOGINS_FAILED,
    COUNT_LOGINS_SLOWED,
    COUNT_LOGINS_ACCEPTED,
    COUNT_LOGINS_REJECTED, /* token_service_logins_total{by,result}; the last two at LOGIN_URL */
    COUNT_FETCHES_OK,
    COUNT_FETCHES_REFUSED,
    COUNT_FETCHES_FAILED,
    COUNT_FETCHES_UNFIT, /* token_service_client_fetches_total{result} */
    COUNT_LOGOUTS_DELIVERED,
    COUNT_LOGOUTS_RETRIED,
    COUNT_LOGOUTS_GIVEN_UP,       /* token_service_backchannel_logouts_total{result} */
    COUNT_LOGIN_REQUESTS_LIMITED, /* token_service_login_requests_limited_total */
    COUNT_QUEUE_FULL,             /* token_service_queue_full_total */
    COUNT_COMMITS,
    COUNT_COMMITTED_RECORDS, /* token_service_commits_total, …_records_total */
    COUNT_STORE_ERRORS,
    COUNT_SIGNER_ERRORS,
    COUNT_REDIS_ERRORS,
    COUNT_EVENT_BUS_ERRORS, /* token_service_dependency_errors_total{dependency} */
    COUNT_EVENTS_PUBLISHED,
    COUNT_EVENTS_THROTTLED,
    COUNT_EVENTS_FAILED,
    COUNT_EVENTS_REFUSED,
    COUNT_EVENTS_DROPPED, /* token_service_events_total{result} */
    COUNT_KEYS_PUBLISHED,
    COUNT_KEYS_ACTIVATED,
    COUNT_KEYS_RETIRED,
    COUNT_KEYS_REVOKED,        /* token_service_key_transitions_total{to} */
    COUNT_PURGED,              /* token_service_purged_rows_total */
    COUNT_RECORDS_UNLINKED,    /* token_service_unlinked_records_total */
    COUNT_TIMEOUTS,            /* token_service_request_timeouts_total */
    COUNT_REDIS_RECONNECTS,    /* token_service_redis_reconnects_total */
    COUNT_REDIS_REDIRECTIONS,  /* token_service_redis_redirections_total */
    COUNT_REVOCATIONS_RESYNCS, /* token_service_revocations_resyncs_total */
    COUNT_KEYS_RESTORED,       /* token_service_revocation_keys_restored_total */
    COUNT_STORE_EPOCHS,        /* token_service_store_epochs_total */
    COUNT_USES_WRITTEN,
    COUNT_USES_DROPPED,        /* token_service_token_uses_total{result} */
    COUNT_FEED_SIGNED,         /* token_service_feed_pages_signed_total */
    COUNT_FEED_LIMITED,        /* token_service_feed_limited_total */
    COUNT_RULE_REFUSALS,       /* token_service_rule_refusals_total */
    COUNT_RULES_FULL,          /* token_service_rules_full_total */
    COUNT_CLOCK_STEPS,         /* token_service_clock_steps_total */
    COUNT_COLD_STARTS,         /* token_service_cold_starts_total; of a function in AWS Lambda */
    COUNT_CONNECTIONS_SPARED,  /* token_service_spared_connections_total */
    COUNT_CONNECTIONS_REFUSED, /* token_service_refused_connections_total */
    COUNT_TLS_FULL,
    COUNT_TLS_RESUMED,
    COUNT_TLS_FAILED,  /* token_service_tls_handshakes_total{result} */
    COUNT_MEMORY_FULL, /* token_service_request_memory_full_total */
    COUNT_LAMBDA_HTTP,
    COUNT_LAMBDA_BUS,
    COUNT_LAMBDA_SCHEDULE,
    COUNT_LAMBDA_REFUSED,    /* token_service_lambda_invocations_total{kind} */
    COUNT_LAMBDA_DEADLINES,  /* token_service_lambda_deadlines_total */
    COUNT_LAMBDA_DUPLICATES, /* token_service_lambda_duplicates_total */
    COUNT_CLOCK_STOPS,       /* token_service_clock_stops_total */
    COUNT_LOG_LIMITED,
    COUNT_LOG_FULL,
    COUNT_LOG_FAILED, /* token_service_log_lines_lost_total{reason} */
    COUNT_COUNT
};

/* The metrics of calls to another service (AWS KMS), as its client describes them (static); there is one such client.
 */
enum { METRICS_REMOTE_CELLS = 64 };
struct metrics_remote {
    const char *const *operations, *const *outcomes; /* the labels' values, by number; the first outcome is success */
    size_t operation_count, outcome_count;           /* their product is at most METRICS_REMOTE_CELLS */
    size_t throttled_outcome;
    struct {
        const char *name, *help;
    } calls, throttled,
        failures; /* a counter {operation,outcome}, and two parts of it: throttled, neither that nor ok */
    struct {
        const char *name, *help;
    } breaker, duration; /* a gauge, a histogram */
};

/* Shows them from now on; before that, nothing is counted. */
void metrics_remote_show(const struct metrics_remote *remote);
void metrics_remote_call(size_t operation, size_t outcome); /* one try */
void metrics_remote_took(int64_t duration_ns);
void metrics_remote_breaker(bool is_open);

/* token_service_redis_command_duration_seconds: commands sent together count once. Shown once there was one. */
void metrics_redis_command(int64_t duration_ns);

/* One answered request: its outcome is the code (ERR_OK: "ok"), its duration in nanoseconds. */
void metrics_request(enum operation operation, enum err_code outcome, int64_t duration_ns);
void metrics_count(enum counter counter, uint64_t by);

/* A value that is read only when scraped. `labels` is "" or like `state="active",kid="…"`; already escaped. */
struct gauge {
    const char *name, *help, *labels;
    double value;
};

/* Appends everything: requests by operation and outcome, duration histograms by operation, counters, the gauges given
 * (rows of one name stand together), resident memory and start time of the process. Format: Prometheus text 0.0.4. */
void metrics_write(struct buf *out, const struct gauge *gauges, size_t count);

/* --- the same as numbers, for emf.c ------------------------------------------------------------------------------ */

/* The histograms: one for each operation, one for the remote service, one for commands of Redis. */
enum { HISTOGRAM_REMOTE = OP_COUNT, HISTOGRAM_REDIS, HISTOGRAMS };
enum { METRICS_BUCKETS = 20 }; /* of a histogram; the last one has no upper bound */

/* What all threads have counted up to a time. */
struct metrics_totals;
struct metrics_totals *metrics_totals_new(void); /* all 0; the caller frees */
void metrics_totals_take(struct metrics_totals *totals);
uint64_t metrics_totals_counter(const struct metrics_totals *totals, enum counter counter);
/* Answers of an operation whose HTTP status is one of `from` to `to`. A failure of ours is FAILURE_FROM to FAILURE_TO:
 * 505 is its caller's. */
enum { FAILURE_FROM = 500, FAILURE_TO = 504 };
uint64_t metrics_totals_answers(const struct metrics_totals *totals, enum operation operation, int from, int to);
/* Tries of calls to the remote service; 0 where none is in use. */
enum remote_part { REMOTE_ALL, REMOTE_THROTTLED, REMOTE_FAILED };
uint64_t metrics_totals_remote(const struct metrics_totals *totals, enum remote_part part);
uint64_t metrics_totals_bucket(const struct metrics_totals *totals, size_t histogram, size_t bucket);
/* Of a bucket: the longest time that falls into it, in nanoseconds; INT64_MAX: there is no bound. */
int64_t metrics_bucket_up_to_ns(size_t bucket);

#endif
