/* tests/unit/test_metrics.c: what is counted and how it reads. The text's form is checked as a Prometheus server would
 * read it: name, labels and value of each line, HELP and TYPE once a name and before its rows, no series twice. */
#include "observe/metrics.h"
#include "unit.h"
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

static struct str scrape_with(const struct gauge *gauges, size_t count)
{
    struct buf out;
    buf_init(&out, &arena, 1024, 1024 * 1024);
    metrics_write(&out, gauges, count);
    assert_false(out.overflowed);
    return buf_str(&out);
}

static struct str scrape(void)
{
    return scrape_with(NULL, 0);
}

/* The text of a series' value; at is NULL when there is no such row. */
static struct str text_of(struct str text, const char *series)
{
    struct str line, prefix = arena_printf(&arena, "%s ", series);
    while (str_cut(&text, '\n', &line))
        if (str_has_prefix(line, prefix))
            return (struct str){ line.at + prefix.len, line.len - prefix.len };
    return (struct str){ 0, 0 };
}

static double value_of(struct str text, const char *series)
{
    struct str value = text_of(text, series);
    return value.at ? strtod(arena_copy(&arena, value).at, NULL) : (double)NAN;
}

#define assert_value(text, series, expected) assert_str(text_of((text), (series)), (expected))

/* --- the text's form --------------------------------------------------------------------------------------------- */

static bool is_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789", name.at[i]))
            return false;
    return name.len > 0 && (name.at[0] < '0' || name.at[0] > '9');
}

/* name="value",… without escapes, which no label of ours needs */
static bool is_labels(struct str labels)
{
    struct str item, name;
    if (labels.len == 0 || labels.at[labels.len - 1] == ',')
        return false;
    while (str_next_item(&labels, ',', &item))
        if (!str_cut(&item, '=', &name) || !is_name(name) || item.len < 2 || item.at[0] != '"' ||
            memchr(item.at + 1, '"', item.len - 1) != item.at + item.len - 1 || str_has(item, '\\'))
            return false;
    return true;
}

/* Cuts "name{labels} value"; false unless it is well formed. */
static bool read_row(struct str line, struct str *name, struct str *series)
{
    const char *space = memrchr(line.at, ' ', line.len);
    char *end = NULL;
    if (!space || (size_t)(space + 1 - line.at) == line.len)
        return false;
    *series = *name = (struct str){ line.at, (size_t)(space - line.at) };
    struct str value = arena_copy(&arena, (struct str){ space + 1, line.len - series->len - 1 }), rest = *series;
    (void)strtod(value.at, &end);
    if (*end || str_has(value, 'x'))
        return false;
    if (str_cut(&rest, '{', name))
        return is_name(*name) && rest.len > 1 && rest.at[rest.len - 1] == '}' &&
               is_labels((struct str){ rest.at, rest.len - 1 });
    return is_name(*name);
}

static bool belongs_to(struct str name, struct str metric, bool is_histogram)
{
    static const char *const ends[] = { "_bucket", "_sum", "_count" };
    if (!is_histogram)
        return str_eq(name, metric);
    for (size_t i = 0; i < COUNT(ends); i++)
        if (str_eq(name, arena_printf(&arena, "%.*s%s", (int)metric.len, metric.at, ends[i])))
            return true;
    return false;
}

static void check_form(struct str text)
{
    struct str seen[2048], metrics[128], line, helped = { 0, 0 }, metric = { 0, 0 };
    size_t seen_count = 0, named = 0;
    bool is_histogram = false;
    assert_int_equal(text.at[text.len - 1], '\n');
    while (str_cut(&text, '\n', &line)) {
        struct str name, series;
        const char *row = arena_copy(&arena, line).at;
        if (str_has_prefix(line, STR("# HELP "))) {
            struct str rest = { line.at + 7, line.len - 7 };
            assert_row(str_cut(&rest, ' ', &helped) && is_name(helped) && rest.len > 0, row);
            for (size_t i = 0; i < named; i++)
                assert_row(!str_eq(metrics[i], helped), row);
            metrics[named++] = helped;
        } else if (str_has_prefix(line, STR("# TYPE "))) {
            struct str type = { line.at + 7, line.len - 7 };
            assert_row(str_cut(&type, ' ', &metric) && str_eq(metric, helped), row);
            is_histogram = str_eq(type, STR("histogram"));
            assert_row(is_histogram || str_eq(type, STR("counter")) || str_eq(type, STR("gauge")), row);
        } else {
            assert_row(read_row(line, &name, &series), row);
            assert_row(belongs_to(name, metric, is_histogram), row);
            for (size_t i = 0; i < seen_count; i++)
                assert_row(!str_eq(seen[i], series), row);
            assert_true(seen_count < COUNT(seen));
            seen[seen_count++] = series;
        }
    }
    assert_true(seen_count > 100);
}

static void the_text_is_well_formed_with_every_outcome_of_every_operation(void **state)
{
    check_form(scrape());
    for (int op = 0; op < OP_COUNT; op++)
        for (int code = 0; code < ERR_CODE_COUNT; code++)
            metrics_request((enum operation)op, (enum err_code)code, 1000);
    for (int counter = 0; counter < COUNT_COUNT; counter++)
        metrics_count((enum counter)counter, 1);
    struct str text = scrape();
    check_form(text);
    for (int op = 0; op < OP_COUNT; op++)
        for (int code = 0; code < ERR_CODE_COUNT; code++) {
            const char *series = arena_printf(&arena, "token_service_requests_total{operation=\"%s\",outcome=\"%s\"}",
                                              operation_name((enum operation)op), err_label((enum err_code)code))
                                     .at;
            assert_row(value_of(text, series) >= 1, series);
        }
    (void)state;
}

/* --- counting ---------------------------------------------------------------------------------------------------- */

static void every_counter_has_a_series_of_its_own(void **state)
{
    static const char *const series[] = {
        [COUNT_ISSUED_ACCESS] = "token_service_tokens_issued_total{type=\"access\"}",
        [COUNT_ISSUED_REFRESH] = "token_service_tokens_issued_total{type=\"refresh\"}",
        [COUNT_ISSUED_ID] = "token_service_tokens_issued_total{type=\"id\"}",
        [COUNT_VERIFY_VALID] = "token_service_verifications_total{result=\"valid\"}",
        [COUNT_VERIFY_INVALID] = "token_service_verifications_total{result=\"invalid\"}",
        [COUNT_INTROSPECT_ACTIVE] = "token_service_introspections_total{result=\"active\"}",
        [COUNT_INTROSPECT_INACTIVE] = "token_service_introspections_total{result=\"inactive\"}",
        [COUNT_REVOKED] = "token_service_revocations_total{result=\"revoked\"}",
        [COUNT_REVOKED_RULE] = "token_service_revocations_total{result=\"rule\"}",
        [COUNT_REVOKED_UNKNOWN] = "token_service_revocations_total{result=\"unknown\"}",
        [COUNT_VERIFIED_HIT] = "token_service_verified_cache_total{result=\"hit\"}",
        [COUNT_VERIFIED_MISS] = "token_service_verified_cache_total{result=\"miss\"}",
        [COUNT_AUTH_VOUCHED] = "token_service_authentications_total{method=\"event\",result=\"ok\"}",
        [COUNT_AUTH_BASIC] = "token_service_authentications_total{method=\"client_secret_basic\",result=\"ok\"}",
        [COUNT_AUTH_POST] = "token_service_authentications_total{method=\"client_secret_post\",result=\"ok\"}",
        [COUNT_AUTH_BEARER] = "token_service_authentications_total{method=\"bearer\",result=\"ok\"}",
        [COUNT_AUTH_NONE] = "token_service_authentications_total{method=\"none\",result=\"ok\"}",
        [COUNT_AUTH_FAILED] = "token_service_authentications_total{method=\"any\",result=\"failed\"}",
        [COUNT_AUTH_LIMITED] = "token_service_authentications_total{method=\"any\",result=\"limited\"}",
        [COUNT_LOGIN_REQUESTS_LIMITED] = "token_service_login_requests_limited_total",
        [COUNT_QUEUE_FULL] = "token_service_queue_full_total",
        [COUNT_COMMITS] = "token_service_commits_total",
        [COUNT_COMMITTED_RECORDS] = "token_service_committed_records_total",
        [COUNT_STORE_ERRORS] = "token_service_dependency_errors_total{dependency=\"store\"}",
        [COUNT_SIGNER_ERRORS] = "token_service_dependency_errors_total{dependency=\"signer\"}",
        [COUNT_KEYS_PUBLISHED] = "token_service_key_transitions_total{to=\"pending\"}",
        [COUNT_KEYS_ACTIVATED] = "token_service_key_transitions_total{to=\"active\"}",
        [COUNT_KEYS_RETIRED] = "token_service_key_transitions_total{to=\"retired\"}",
        [COUNT_KEYS_REVOKED] = "token_service_key_transitions_total{to=\"revoked\"}",
        [COUNT_PURGED] = "token_service_purged_rows_total",
        [COUNT_RECORDS_UNLINKED] = "token_service_unlinked_records_total",
        [COUNT_TIMEOUTS] = "token_service_request_timeouts_total",
        [COUNT_REDIS_ERRORS] = "token_service_dependency_errors_total{dependency=\"redis\"}",
        [COUNT_REDIS_RECONNECTS] = "token_service_redis_reconnects_total",
        [COUNT_REDIS_REDIRECTIONS] = "token_service_redis_redirections_total",
        [COUNT_REVOCATIONS_RESYNCS] = "token_service_revocations_resyncs_total",
        [COUNT_KEYS_RESTORED] = "token_service_revocation_keys_restored_total",
        [COUNT_STORE_EPOCHS] = "token_service_store_epochs_total",
        [COUNT_USES_WRITTEN] = "token_service_token_uses_total{result=\"written\"}",
        [COUNT_USES_DROPPED] = "token_service_token_uses_total{result=\"dropped\"}",
        [COUNT_FEED_SIGNED] = "token_service_feed_pages_signed_total",
        [COUNT_FEED_LIMITED] = "token_service_feed_limited_total",
        [COUNT_RULE_REFUSALS] = "token_service_rule_refusals_total",
        [COUNT_RULES_FULL] = "token_service_rules_full_total",
        [COUNT_CLOCK_STEPS] = "token_service_clock_steps_total",
        [COUNT_LAMBDA_HTTP] = "token_service_lambda_invocations_total{kind=\"http\"}",
        [COUNT_LAMBDA_BUS] = "token_service_lambda_invocations_total{kind=\"event\"}",
        [COUNT_LAMBDA_SCHEDULE] = "token_service_lambda_invocations_total{kind=\"schedule\"}",
        [COUNT_LAMBDA_REFUSED] = "token_service_lambda_invocations_total{kind=\"refused\"}",
        [COUNT_LAMBDA_DEADLINES] = "token_service_lambda_deadlines_total",
        [COUNT_LAMBDA_DUPLICATES] = "token_service_lambda_duplicates_total",
        [COUNT_CLOCK_STOPS] = "token_service_clock_stops_total",
        [COUNT_COLD_STARTS] = "token_service_cold_starts_total",
        [COUNT_CONNECTIONS_SPARED] = "token_service_spared_connections_total",
        [COUNT_CONNECTIONS_REFUSED] = "token_service_refused_connections_total",
        [COUNT_TLS_FULL] = "token_service_tls_handshakes_total{result=\"full\"}",
        [COUNT_TLS_RESUMED] = "token_service_tls_handshakes_total{result=\"resumed\"}",
        [COUNT_TLS_FAILED] = "token_service_tls_handshakes_total{result=\"failed\"}",
        [COUNT_AUTH_ASSERTION] = "token_service_authentications_total{method=\"private_key_jwt\",result=\"ok\"}",
        [COUNT_LOGINS_OK] = "token_service_logins_total{by=\"builtin\",result=\"succeeded\"}",
        [COUNT_LOGINS_FAILED] = "token_service_logins_total{by=\"builtin\",result=\"failed\"}",
        [COUNT_LOGINS_SLOWED] = "token_service_logins_total{by=\"builtin\",result=\"slowed\"}",
        [COUNT_LOGINS_ACCEPTED] = "token_service_logins_total{by=\"login_url\",result=\"accepted\"}",
        [COUNT_LOGINS_REJECTED] = "token_service_logins_total{by=\"login_url\",result=\"rejected\"}",
        [COUNT_FETCHES_OK] = "token_service_client_fetches_total{result=\"ok\"}",
        [COUNT_FETCHES_REFUSED] = "token_service_client_fetches_total{result=\"refused\"}",
        [COUNT_FETCHES_FAILED] = "token_service_client_fetches_total{result=\"failed\"}",
        [COUNT_FETCHES_UNFIT] = "token_service_client_fetches_total{result=\"unfit\"}",
        [COUNT_LOGOUTS_DELIVERED] = "token_service_backchannel_logouts_total{result=\"delivered\"}",
        [COUNT_LOGOUTS_RETRIED] = "token_service_backchannel_logouts_total{result=\"retried\"}",
        [COUNT_LOGOUTS_GIVEN_UP] = "token_service_backchannel_logouts_total{result=\"given_up\"}",
        [COUNT_MEMORY_FULL] = "token_service_request_memory_full_total",
        [COUNT_EVENT_BUS_ERRORS] = "token_service_dependency_errors_total{dependency=\"eventbridge\"}",
        [COUNT_EVENTS_PUBLISHED] = "token_service_events_total{result=\"published\"}",
        [COUNT_EVENTS_THROTTLED] = "token_service_events_total{result=\"throttled\"}",
        [COUNT_EVENTS_FAILED] = "token_service_events_total{result=\"failed\"}",
        [COUNT_EVENTS_REFUSED] = "token_service_events_total{result=\"refused\"}",
        [COUNT_EVENTS_DROPPED] = "token_service_events_total{result=\"dropped\"}",
        [COUNT_LOG_LIMITED] = "token_service_log_lines_lost_total{reason=\"rate\"}",
        [COUNT_LOG_FULL] = "token_service_log_lines_lost_total{reason=\"queue\"}",
        [COUNT_LOG_FAILED] = "token_service_log_lines_lost_total{reason=\"error\"}",
    };
    assert_int_equal(COUNT(series), COUNT_COUNT);
    for (size_t i = 0; i < COUNT(series); i++) {
        struct str before = scrape();
        metrics_count((enum counter)i, i + 3);
        struct str after = scrape();
        for (size_t j = 0; j < COUNT(series); j++) {
            double grown = value_of(after, series[j]) - value_of(before, series[j]);
            assert_row(grown >= (i == j ? (double)(i + 3) : 0) && grown <= (i == j ? (double)(i + 3) : 0), series[j]);
        }
    }
    (void)state;
}

static void failures_have_a_row_before_the_first_and_are_told_from_callers_faults(void **state)
{
    static const char series[] = "token_service_server_errors_total{operation=\"logout\"}";
    static const struct {
        enum err_code outcome;
        int failures;
    } rows[] = { { ERR_OK, 0 },      { ERR_INVALID_REQUEST, 0 }, { ERR_TOO_MANY_REQUESTS, 0 },
                 { ERR_VERSION, 0 }, { ERR_UNAVAILABLE, 1 },     { ERR_INTERNAL, 1 } };
    assert_true(value_of(scrape(), series) >= 0);
    for (size_t i = 0; i < COUNT(rows); i++) {
        double before = value_of(scrape(), series);
        metrics_request(OP_LOGOUT, rows[i].outcome, 1000);
        assert_int_equal((int)(value_of(scrape(), series) - before), rows[i].failures);
    }
    (void)state;
}

static double bucket(struct str text, const char *le)
{
    char series[128];
    snprintf(series, sizeof series, "token_service_request_duration_seconds_bucket{operation=\"jwks\",le=\"%s\"}", le);
    return value_of(text, series);
}

static void a_duration_falls_into_the_first_bucket_that_holds_it(void **state)
{
    static const char *const les[] = { "0.00001", "0.000025", "0.00005", "0.0001", "0.00025", "0.0005", "0.001",
                                       "0.0025",  "0.005",    "0.01",    "0.025",  "0.05",    "0.1",    "0.25",
                                       "0.5",     "1",        "2.5",     "5",      "10",      "+Inf" };
    static const struct {
        int64_t duration_ns;
        const char *first; /* le of the first bucket that counts it */
    } rows[] = {
        { INT64_MIN, "0.00001" }, { -1, "0.00001" },       { 0, "0.00001" },           { 10000, "0.00001" },
        { 10001, "0.000025" },    { 25000, "0.000025" },   { 25001, "0.00005" },       { 999999, "0.001" },
        { 1000000, "0.001" },     { 1000001, "0.0025" },   { 1000000000, "1" },        { 1000000001, "2.5" },
        { 10000000000, "10" },    { 10000000001, "+Inf" }, { 86400000000000, "+Inf" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str before = scrape();
        metrics_request(OP_JWKS, ERR_OK, rows[i].duration_ns);
        struct str after = scrape();
        bool reached = false;
        for (size_t j = 0; j < COUNT(les); j++) {
            reached = reached || strcmp(les[j], rows[i].first) == 0;
            assert_row((bucket(after, les[j]) > bucket(before, les[j])) == reached, les[j]);
        }
        assert_true(reached);
        double count = value_of(after, "token_service_request_duration_seconds_count{operation=\"jwks\"}");
        assert_row(!(count < bucket(after, "+Inf")) && !(count > bucket(after, "+Inf")), rows[i].first);
    }
    (void)state;
}

static void the_sum_is_exact_to_the_nanosecond(void **state)
{
    static const char series[] = "token_service_request_duration_seconds_sum{operation=\"revoke\"}";
    struct str before = scrape();
    metrics_request(OP_REVOKE, ERR_OK, 2000000001);
    metrics_request(OP_REVOKE, ERR_INTERNAL, 999999998);
    metrics_request(OP_REVOKE, ERR_OK, -5); /* a clock's step back counts as nothing */
    double grown = value_of(scrape(), series) - value_of(before, series);
    assert_true(fabs(grown - 2.999999999) < 1e-10);
    assert_true(str_has(text_of(before, series), '.'));
    (void)state;
}

/* --- threads ----------------------------------------------------------------------------------------------------- */

enum { THREADS = 8, TIMES = 20000 };
static const char shared_count[] = "token_service_commits_total";
static const char shared_requests[] = "token_service_requests_total{operation=\"verify\",outcome=\"expired\"}";
static atomic_int running;

static void *count_many(void *arg)
{
    for (int i = 0; i < TIMES; i++) {
        metrics_count(COUNT_COMMITS, 1);
        metrics_request(OP_VERIFY, ERR_TOKEN_EXPIRED, i);
    }
    atomic_fetch_sub(&running, 1);
    return arg;
}

static void threads_lose_nothing_and_a_scrape_never_sees_less_than_before(void **state)
{
    pthread_t threads[THREADS];
    struct str text = scrape();
    double counted = value_of(text, shared_count), last = counted, requests = value_of(text, shared_requests);
    if (isnan(requests)) /* there is no row before the first */
        requests = 0;
    atomic_store(&running, THREADS);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, count_many, NULL) != 0)
            abort();
    while (atomic_load(&running) > 0) {
        double now = value_of(scrape(), shared_count);
        assert_true(now >= last);
        last = now;
        arena_release(&arena);
        arena_init(&arena, NULL, 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    text = scrape(); /* after the threads' end */
    assert_int_equal((int64_t)(value_of(text, shared_count) - counted), THREADS * TIMES);
    assert_int_equal((int64_t)(value_of(text, shared_requests) - requests), THREADS * TIMES);
    (void)state;
}

/* --- gauges and the process -------------------------------------------------------------------------------------- */

static void gauges_of_one_name_stand_together_whatever_their_order(void **state)
{
    const struct gauge gauges[] = {
        { "test_age", "Age", "kid=\"a\"", 1 },        { "test_depth", "Depth", "", 0.1 },
        { "test_age", "Age", "kid=\"b\"", -2.5 },     { "test_ratio", "Ratio", "", 1.0 / 3 },
        { "test_high", "High", "", HUGE_VAL },        { "test_low", "Low", "", -HUGE_VAL },
        { "test_none", "None", "", (double)NAN },     { "test_large", "Large", "", 1e300 },
        { "test_bytes", "Bytes", "", 12345678901.0 },
    };
    struct str text = scrape_with(gauges, COUNT(gauges));
    check_form(text);
    assert_value(text, "test_age{kid=\"a\"}", "1");
    assert_value(text, "test_age{kid=\"b\"}", "-2.5");
    assert_value(text, "test_depth", "0.1");
    assert_value(text, "test_high", "+Inf");
    assert_value(text, "test_low", "-Inf");
    assert_value(text, "test_none", "NaN");
    assert_value(text, "test_large", "1e+300");
    assert_value(text, "test_bytes", "12345678901");
    double third = value_of(text, "test_ratio");
    assert_memory_equal(&third, &gauges[3].value, sizeof third);
    (void)state;
}

static void the_process_tells_its_memory_its_start_and_its_version(void **state)
{
    struct str text = scrape();
    double resident = value_of(text, "process_resident_memory_bytes");
    double start = value_of(text, "process_start_time_seconds");
    assert_true(resident > 256 * 1024 && resident < 4e12);
    assert_true(start <= (double)time(NULL) + 1 && start > (double)time(NULL) - 3600);
    assert_memory_equal(text_of(scrape(), "process_start_time_seconds").at,
                        text_of(text, "process_start_time_seconds").at, 10);
    assert_non_null(memmem(text.at, text.len, "\ntoken_service_build_info{version=\"", 34));
    (void)state;
}

RUN(TEST(the_text_is_well_formed_with_every_outcome_of_every_operation), TEST(every_counter_has_a_series_of_its_own),
    TEST(failures_have_a_row_before_the_first_and_are_told_from_callers_faults),
    TEST(a_duration_falls_into_the_first_bucket_that_holds_it), TEST(the_sum_is_exact_to_the_nanosecond),
    TEST(threads_lose_nothing_and_a_scrape_never_sees_less_than_before),
    TEST(gauges_of_one_name_stand_together_whatever_their_order),
    TEST(the_process_tells_its_memory_its_start_and_its_version))
