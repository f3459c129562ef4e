/* tests/unit/test_emf.c: the lines for CloudWatch, read as JSON. Each must be what the Embedded Metric Format allows,
 * which write_and_read() checks of every line; integration/test_emf.py has AWS's own library judge them. */
#include "base/json.h"
#include "observe/emf.h"
#include "observe/log_writer.h"
#include "unit.h"
#include <math.h>
#include <pthread.h>
#include <unistd.h>

enum { LINES_MAX = 8, METRICS_OF_A_LINE = 100, VALUES_OF_A_METRIC = 100 };

static struct {
    const struct json *at[LINES_MAX];
    size_t count;
} lines;

/* --- standard error into a file and back; nothing may be asserted in between, for cmocka writes there too -------- */

static struct str written(const struct gauge *gauges, size_t count)
{
    FILE *file = tmpfile();
    int kept = dup(STDERR_FILENO);
    if (!file || kept < 0)
        abort();
    (void)dup2(fileno(file), STDERR_FILENO);
    emf_write(gauges, count);
    (void)dup2(kept, STDERR_FILENO);
    close(kept);
    off_t size = lseek(fileno(file), 0, SEEK_END);
    char *at = arena_alloc(&arena, (size_t)size + 1);
    if (pread(fileno(file), at, (size_t)size, 0) != size)
        abort();
    fclose(file);
    return (struct str){ at, (size_t)size };
}

static const struct json *directive(const struct json *line)
{
    const struct json *all = json_member(json_member(line, STR("_aws")), STR("CloudWatchMetrics"));
    assert_non_null(all);
    assert_int_equal(all->count, 1);
    return all->child;
}

static bool is_number(const struct json *value)
{
    return value->kind == JSON_NUMBER && isfinite(strtod(arena_copy(&arena, value->text).at, NULL));
}

/* A finite number, or at most 100 of them: what the specification calls a target. */
static void check_target(const struct json *target, const char *name)
{
    assert_row(target != NULL, name);
    if (target->kind != JSON_ARRAY) {
        assert_row(is_number(target), name);
        return;
    }
    assert_row(target->count >= 1 && target->count <= VALUES_OF_A_METRIC, name);
    for (const struct json *value = target->child; value; value = value->next)
        assert_row(is_number(value), name);
}

static void check_line(const struct json *line)
{
    const struct json *one = directive(line), *metrics = json_member(one, STR("Metrics"));
    const struct json *dimensions = json_member(one, STR("Dimensions"));
    int64_t timestamp;
    assert_true(json_int(json_member(json_member(line, STR("_aws")), STR("Timestamp")), 1700000000000, 9999999999999,
                         &timestamp));
    assert_str(json_member(one, STR("Namespace"))->text, "TokenService");
    assert_int_equal(dimensions->count, 1);
    assert_int_equal(dimensions->child->count, 1);
    assert_str(dimensions->child->child->text, "Service");
    assert_int_equal(json_member(line, STR("Service"))->kind, JSON_STRING);
    assert_true(metrics->count >= 1 && metrics->count <= METRICS_OF_A_LINE);
    for (const struct json *metric = metrics->child; metric; metric = metric->next) {
        struct str name = json_member(metric, STR("Name"))->text;
        check_target(json_member(line, name), arena_copy(&arena, name).at);
    }
    assert_int_equal(line->count, metrics->count + 5); /* and time, level, event, _aws, Service */
    assert_str(json_member(line, STR("level"))->text, "info");
    assert_str(json_member(line, STR("event"))->text, "metrics");
    assert_int_equal(json_member(line, STR("time"))->text.len, strlen("2026-11-29T15:00:00.000Z"));
}

static void write_and_read(const struct gauge *gauges, size_t count)
{
    struct str text = written(gauges, count), line;
    lines.count = 0;
    while (str_cut(&text, '\n', &line)) {
        assert_true(line.len < LOG_LINE_MAX);
        assert_true(lines.count < LINES_MAX);
        assert_ok(json_parse(&arena, line, &lines.at[lines.count]));
        check_line(lines.at[lines.count++]);
    }
    assert_int_equal(text.len, 0);
}

/* The value of a metric, which may be on one line alone; NULL: it was not written. */
static const struct json *metric(const char *name)
{
    const struct json *found = NULL;
    for (size_t i = 0; i < lines.count; i++) {
        const struct json *here = json_member(lines.at[i], str_of(name));
        assert_true(!here || !found);
        found = here ? here : found;
    }
    return found;
}

#define assert_metric(name, expected) assert_str(metric(name) ? metric(name)->text : STR("none"), (expected))

static int open_it(void **state)
{
    (void)arena_begin(state);
    emf_open("tests");
    (void)written(NULL, 0); /* what earlier tests counted */
    return 0;
}

static int close_it(void **state)
{
    emf_close();
    return arena_finish(state);
}

#define EMF_TEST(function) cmocka_unit_test_setup_teardown(function, open_it, close_it)

/* --- counts ------------------------------------------------------------------------------------------------------ */

static void nothing_is_written_before_it_is_open_and_when_there_is_nothing_new(void **state)
{
    metrics_count(COUNT_ISSUED_ACCESS, 1);
    emf_close();
    assert_false(emf_is_open());
    assert_int_equal(written(NULL, 0).len, 0);
    emf_open("tests");
    assert_true(emf_is_open());
    assert_true(written(NULL, 0).len > 0);
    assert_int_equal(written(NULL, 0).len, 0);
    (void)state;
}

static void a_count_is_what_came_since_the_last_line(void **state)
{
    metrics_count(COUNT_ISSUED_ACCESS, 2);
    metrics_count(COUNT_ISSUED_REFRESH, 3);
    metrics_count(COUNT_ISSUED_ID, 4);
    write_and_read(NULL, 0);
    assert_int_equal(lines.count, 1);
    assert_metric("TokensGenerated", "9");
    assert_str(json_member(lines.at[0], STR("Service"))->text, "tests");
    metrics_count(COUNT_ISSUED_ACCESS, 1);
    write_and_read(NULL, 0);
    assert_metric("TokensGenerated", "1");
    (void)state;
}

static void a_group_is_written_as_a_whole_and_no_other(void **state)
{
    metrics_count(COUNT_VERIFY_INVALID, 1);
    write_and_read(NULL, 0);
    assert_metric("VerificationsInvalid", "1");
    assert_metric("VerificationsValid", "0");
    assert_metric("IntrospectionsActive", "0");
    assert_metric("VerificationsFailed", "0");
    assert_null(metric("TokensGenerated"));
    assert_null(metric("Requests"));
    (void)state;
}

static void each_metric_counts_what_it_says(void **state)
{
    static const struct {
        enum counter counter;
        const char *name;
    } rows[] = {
        { COUNT_ISSUED_ACCESS, "TokensGenerated" },
        { COUNT_ISSUED_REFRESH, "TokensGenerated" },
        { COUNT_ISSUED_ID, "TokensGenerated" },
        { COUNT_VERIFY_VALID, "VerificationsValid" },
        { COUNT_VERIFY_INVALID, "VerificationsInvalid" },
        { COUNT_INTROSPECT_ACTIVE, "IntrospectionsActive" },
        { COUNT_INTROSPECT_INACTIVE, "IntrospectionsInactive" },
        { COUNT_REVOKED, "Revocations" },
        { COUNT_REVOKED_RULE, "Revocations" },
        { COUNT_KEYS_ACTIVATED, "KeysRotated" },
        { COUNT_KEYS_REVOKED, "KeysRevoked" },
        { COUNT_AUTH_FAILED, "AuthenticationsFailed" },
        { COUNT_AUTH_LIMITED, "AuthenticationsLimited" },
        { COUNT_SIGNER_ERRORS, "SignerErrors" },
        { COUNT_STORE_ERRORS, "StoreErrors" },
        { COUNT_REDIS_ERRORS, "RedisErrors" },
        { COUNT_COLD_STARTS, "ColdStarts" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        metrics_count(rows[i].counter, i + 1);
        write_and_read(NULL, 0);
        assert_metric(rows[i].name, arena_printf(&arena, "%zu", i + 1).at);
        for (size_t other = 0; other < COUNT(rows); other++) /* and no other counts it */
            if (strcmp(rows[other].name, rows[i].name) != 0 && metric(rows[other].name))
                assert_metric(rows[other].name, "0");
    }
    metrics_count(COUNT_REVOKED_UNKNOWN, 1); /* nothing was revoked */
    write_and_read(NULL, 0);
    assert_null(metric("Revocations"));
    (void)state;
}

static void answers_are_told_apart_by_operation_and_status(void **state)
{
    static const struct {
        enum operation operation;
        enum err_code outcome;
        const char *refused, *tokens_failed, *checks_failed, *requests, *failed;
    } rows[] = {
        { OP_ISSUE, ERR_OK, "none", "none", "none", "1", "0" },
        { OP_ISSUE, ERR_INVALID_SCOPE, "1", "0", "none", "1", "0" },
        { OP_ISSUE, ERR_UNAVAILABLE, "0", "1", "none", "1", "1" },
        { OP_TOKEN, ERR_INTERNAL, "0", "1", "none", "1", "1" },
        { OP_TOKEN, ERR_TOO_MANY_REQUESTS, "1", "0", "none", "1", "0" },
        { OP_VERIFY, ERR_TOKEN_EXPIRED, "none", "none", "none", "1", "0" },
        { OP_VERIFY, ERR_UNAVAILABLE, "none", "none", "1", "1", "1" },
        { OP_INTROSPECT, ERR_UNAVAILABLE, "none", "none", "1", "1", "1" },
        { OP_ROTATE, ERR_UNAVAILABLE, "none", "none", "none", "1", "1" },
        { OP_OTHER, ERR_VERSION, "none", "none", "none", "1", "0" }, /* 505: its caller's fault */
        { OP_HEALTH, ERR_UNAVAILABLE, "none", "none", "none", "none", "none" },
        { OP_METRICS, ERR_OK, "none", "none", "none", "none", "none" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        metrics_request(rows[i].operation, rows[i].outcome, 1000);
        write_and_read(NULL, 0);
        assert_metric("TokenGenerationsRefused", rows[i].refused);
        assert_metric("TokenGenerationsFailed", rows[i].tokens_failed);
        assert_metric("VerificationsFailed", rows[i].checks_failed);
        assert_metric("Requests", rows[i].requests);
        assert_metric("RequestsFailed", rows[i].failed);
    }
    (void)state;
}

static void calls_of_kms_are_told_apart_by_outcome(void **state)
{
    static const char *const operations[] = { "Sign", "Decrypt" };
    static const char *const outcomes[] = { "ok", "throttled", "failed", "refused" };
    static const struct metrics_remote remote = { .operations = operations,
                                                  .outcomes = outcomes,
                                                  .operation_count = COUNT(operations),
                                                  .outcome_count = COUNT(outcomes),
                                                  .throttled_outcome = 1 };
    static const struct {
        size_t outcome;
        const char *failed, *throttled;
    } rows[] = { { 0, "0", "0" }, { 1, "0", "1" }, { 2, "1", "0" }, { 3, "1", "0" } };
    metrics_remote_call(0, 0);
    write_and_read(NULL, 0);
    assert_null(metric("KmsCalls")); /* none is in use */
    metrics_remote_show(&remote);
    for (size_t i = 0; i < 2 * COUNT(rows); i++) {
        metrics_remote_call(i % 2, rows[i / 2].outcome);
        write_and_read(NULL, 0);
        assert_metric("KmsCalls", "1");
        assert_metric("KmsCallsFailed", rows[i / 2].failed);
        assert_metric("KmsCallsThrottled", rows[i / 2].throttled);
    }
    metrics_remote_show(NULL);
    (void)state;
}

enum { THREADS = 4, TIMES = 5000 };

static void *count_many(void *arg)
{
    for (int i = 0; i < TIMES; i++)
        metrics_count(COUNT_ISSUED_ACCESS, 1);
    return arg;
}

static void nothing_is_lost_or_told_twice_while_others_count(void **state)
{
    pthread_t threads[THREADS];
    int64_t sum = 0, value;
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, count_many, NULL) != 0)
            abort();
    for (int i = 0; i <= THREADS; i++) {
        write_and_read(NULL, 0);
        if (metric("TokensGenerated")) {
            assert_true(json_int(metric("TokensGenerated"), 0, INT64_MAX, &value));
            sum += value;
        }
        if (i < THREADS)
            pthread_join(threads[i], NULL);
    }
    assert_int_equal(sum, THREADS * TIMES);
    (void)state;
}

/* --- durations --------------------------------------------------------------------------------------------------- */

static void a_duration_is_told_by_the_bound_above_it_in_milliseconds(void **state)
{
    metrics_request(OP_ISSUE, ERR_OK, 900000);
    metrics_request(OP_TOKEN, ERR_OK, 2600000);
    metrics_request(OP_TOKEN, ERR_OK, 2600000);
    metrics_request(OP_VERIFY, ERR_OK, 12000);
    metrics_request(OP_JWKS, ERR_OK, 1);
    metrics_redis_command(90000000000);
    metrics_remote_took(20000000);
    write_and_read(NULL, 0);
    assert_metric("TokenGenerationDuration", "[1,5,5]");
    assert_metric("VerificationDuration", "[0.025]");
    assert_metric("RedisDuration", "[100000]");
    assert_metric("KmsSignDuration", "[25]");
    (void)state;
}

static size_t times(const struct json *array, const char *text)
{
    size_t count = 0;
    for (const struct json *value = array->child; value; value = value->next)
        count += str_eq(value->text, str_of(text));
    return count;
}

static void many_durations_are_thinned_out_and_the_longest_stays(void **state)
{
    for (int i = 0; i < 100; i++)
        metrics_request(OP_VERIFY, ERR_OK, 20000);
    write_and_read(NULL, 0);
    assert_int_equal(metric("VerificationDuration")->count, 100);
    for (int i = 0; i < 99990; i++)
        metrics_request(OP_VERIFY, ERR_OK, i % 2 ? 20000 : 40000);
    for (int i = 0; i < 9; i++)
        metrics_request(OP_INTROSPECT, ERR_OK, 400000);
    metrics_request(OP_VERIFY, ERR_OK, 4000000000);
    write_and_read(NULL, 0);
    const struct json *values = metric("VerificationDuration");
    assert_int_equal(times(values, "5000"), 1);
    assert_int_equal(times(values, "0.5"), 1);
    assert_true(times(values, "0.025") >= 39 && times(values, "0.05") >= 39);
    assert_int_equal(times(values, "0.025") + times(values, "0.05") + 2, values->count);
    (void)state;
}

/* --- gauges ------------------------------------------------------------------------------------------------------ */

static void a_gauge_is_written_by_its_name_unless_it_is_no_number_or_one_of_several(void **state)
{
    static const struct gauge gauges[] = {
        { "token_service_connections", "none for CloudWatch", "", 7 },
        { "token_service_active_key_age_seconds", "h", "", 86400 },
        { "token_service_active_key_remaining_seconds", "h", "", -12.5 },
        { "token_service_key_standby", "h", "kid=\"k\"", 1 },
        { "token_service_revocations_staleness_seconds", "h", "", 0.25 },
        { "token_service_events_outbox_length", "h", "", 12345678 },
        { "token_service_events_oldest_seconds", "h", "", (double)INFINITY },
        { "token_service_store_up", "h", "", 0 },
    };
    write_and_read(gauges, COUNT(gauges));
    assert_int_equal(lines.count, 1);
    assert_metric("ActiveKeyAge", "86400");
    assert_metric("ActiveKeyRemaining", "-12.5");
    assert_metric("RevocationsStaleness", "0.25");
    assert_metric("EventsOutboxLength", "12345678");
    assert_metric("StoreUp", "0");
    assert_null(metric("NextKeyPublished"));
    assert_null(metric("EventsOldest"));
    assert_int_equal(json_member(directive(lines.at[0]), STR("Metrics"))->count, 5);
    (void)state;
}

/* --- length ------------------------------------------------------------------------------------------------------ */

static void what_is_too_long_for_a_line_is_on_several(void **state)
{
    static const char *const gauge_names[] = {
        "token_service_active_key_age_seconds",        "token_service_active_key_remaining_seconds",
        "token_service_revocations_staleness_seconds", "token_service_events_outbox_length",
        "token_service_events_oldest_seconds",
    };
    struct gauge gauges[COUNT(gauge_names)];
    char service[EMF_SERVICE_MAX + 1];
    size_t metrics = 0;
    memset(service, 'x', sizeof service - 1);
    service[sizeof service - 1] = '\0';
    emf_open(service);
    for (size_t i = 0; i < COUNT(gauges); i++)
        gauges[i] = (struct gauge){ gauge_names[i], "h", "", -1.23456789012345e-300 };
    for (int i = 0; i < COUNT_COUNT; i++)
        metrics_count((enum counter)i, UINT64_C(900719925474099));
    for (int i = 0; i < 2000; i++) {
        const int64_t duration_ns = i % 20 == 19 ? INT64_MAX / 4000 : metrics_bucket_up_to_ns((size_t)i % 20);
        for (int op = 0; op < OP_COUNT; op++)
            metrics_request((enum operation)op, ERR_UNAVAILABLE, duration_ns);
        metrics_redis_command(duration_ns);
        metrics_remote_took(duration_ns);
    }
    write_and_read(gauges, COUNT(gauges));
    assert_true(lines.count >= 2);
    for (size_t i = 0; i < lines.count; i++)
        metrics += json_member(directive(lines.at[i]), STR("Metrics"))->count;
    assert_int_equal(metrics, 19 + 4 + COUNT(gauges)); /* counts but for those of KMS, durations, gauges */
    assert_metric("ColdStarts", "900719925474099");
    assert_metric("EventsOldest", "-1.23456789012345e-300");
    (void)state;
}

RUN(EMF_TEST(nothing_is_written_before_it_is_open_and_when_there_is_nothing_new),
    EMF_TEST(a_count_is_what_came_since_the_last_line), EMF_TEST(a_group_is_written_as_a_whole_and_no_other),
    EMF_TEST(each_metric_counts_what_it_says), EMF_TEST(answers_are_told_apart_by_operation_and_status),
    EMF_TEST(calls_of_kms_are_told_apart_by_outcome), EMF_TEST(nothing_is_lost_or_told_twice_while_others_count),
    EMF_TEST(a_duration_is_told_by_the_bound_above_it_in_milliseconds),
    EMF_TEST(many_durations_are_thinned_out_and_the_longest_stays),
    EMF_TEST(a_gauge_is_written_by_its_name_unless_it_is_no_number_or_one_of_several),
    EMF_TEST(what_is_too_long_for_a_line_is_on_several))
