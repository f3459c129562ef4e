/* test_put_events.c: PutEvents against a real HTTP server on the loopback whose answers a test scripts: what is sent,
 * what became of each entry, and which calls are made again. */
#include "aws/put_events.h"
#include "fake_aws.h"
#include "observe/log.h"
#include <time.h>

static struct put_events *bus;
static struct settings settings;

static int begin(void **state)
{
    log_configure(LOG_ERROR, LOG_JSON);
    fake_aws_begin();
    settings = (struct settings){ .aws_region = "eu-west-1",
                                  .aws_endpoint_url = "",
                                  .aws_endpoint_url_kms = "",
                                  .aws_endpoint_url_eventbridge = server->url,
                                  .aws_ca_bundle = "",
                                  .kms_key_id = "",
                                  .event_bus_name = "story" };
    bus = NULL;
    if (put_events_open(&settings, &bus).code)
        return 1;
    return arena_begin(state);
}

static int finish(void **state)
{
    put_events_close(bus);
    http_stop(server);
    return arena_finish(state);
}

#define TAKEN "{\"EventId\":\"11710aed-b79e-4468-a20b-bb3c0c3b4860\"}"
#define NOT_TAKEN(code) "{\"ErrorCode\":\"" code "\",\"ErrorMessage\":\"m\"}"
#define ENTRIES(failed, list) "{\"FailedEntryCount\":" failed ",\"Entries\":[" list "]}"

static const struct put_entry two[] = { { STR_INIT("token_generated"), STR_INIT("{\"subject\":\"a\\\"b\"}"),
                                          1700000000 },
                                        { STR_INIT("keys_rotated"), STR_INIT("{}"), 1700000001 } };

static struct err put_two(const struct line *answers, size_t count, enum put_outcome outcomes[2], bool *is_throttled)
{
    begin_script(answers, count);
    return put_events(bus, &arena, two, 2, 3000, outcomes, is_throttled);
}

static void a_batch_is_sent_as_eventbridge_wants_it(void **state)
{
    static const struct line answers[] = { { 200, NULL, ENTRIES("0", TAKEN "," TAKEN) } };
    enum put_outcome outcomes[2];
    bool is_throttled = true;
    (void)state;
    assert_ok(put_two(answers, COUNT(answers), outcomes, &is_throttled));
    assert_false(is_throttled);
    assert_true(outcomes[0] == PUT_TAKEN && outcomes[1] == PUT_TAKEN);
    const struct str sent = str_of(server->last);
    assert_row(str_has_prefix(sent, STR("POST / HTTP/1.1\r\n")), server->last);
    assert_row(http_has(sent, "\r\nX-Amz-Target: AWSEvents.PutEvents\r\n"), server->last);
    assert_row(http_has(sent, "\r\nContent-Type: application/x-amz-json-1.1\r\n"), server->last);
    assert_row(http_has(sent, "/eu-west-1/events/aws4_request, SignedHeaders=content-type;host;x-amz-date;"
                              "x-amz-target, Signature="),
               server->last);
    assert_row(http_has(sent, "\r\n\r\n{\"Entries\":[{\"Time\":1700000000,\"Source\":\"storytailor.token-service\","
                              "\"DetailType\":\"token_generated\",\"Detail\":\"{\\\"subject\\\":\\\"a\\\\\\\"b\\\"}\","
                              "\"EventBusName\":\"story\"},{\"Time\":1700000001,"),
               server->last);
}

static void each_entry_has_its_own_outcome(void **state)
{
    static const struct {
        const char *entry;
        enum put_outcome outcome;
    } rows[] = {
        { TAKEN, PUT_TAKEN },
        { NOT_TAKEN("ThrottlingException"), PUT_THROTTLED },
        { NOT_TAKEN("TooManyRequestsException"), PUT_THROTTLED },
        { NOT_TAKEN("InternalFailure"), PUT_FAILED },
        { NOT_TAKEN("InternalException"), PUT_FAILED },
        { NOT_TAKEN("MalformedDetail"), PUT_REFUSED },
        { NOT_TAKEN("InvalidArgument"), PUT_REFUSED },
        { NOT_TAKEN("NotAuthorizedForSourceException"), PUT_REFUSED },
        { NOT_TAKEN("whatever comes next year"), PUT_REFUSED },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        enum put_outcome outcomes[2];
        const struct str body = arena_printf(&arena, ENTRIES("1", TAKEN ",%s"), rows[i].entry);
        assert_row(put_events_read(&arena, body, 2, outcomes), rows[i].entry);
        assert_row(outcomes[0] == PUT_TAKEN && outcomes[1] == rows[i].outcome, rows[i].entry);
    }
}

/* What is not understood says of no entry that it was taken. */
static void an_answer_that_is_not_understood_takes_nothing(void **state)
{
    static const char *const bodies[] = {
        "",
        "<html>",
        "{}",
        "[]",
        "{\"FailedEntryCount\":0}",
        ENTRIES("0", ""),
        ENTRIES("0", TAKEN),                     /* one too few */
        ENTRIES("0", TAKEN "," TAKEN "," TAKEN), /* one too many */
        ENTRIES("0", TAKEN ",{}"),
        ENTRIES("0", TAKEN ",{\"EventId\":\"\"}"),
        ENTRIES("0", TAKEN ",{\"EventId\":7}"),
        ENTRIES("0", TAKEN ",null"),
        "{\"Entries\":{\"a\":1,\"b\":2}}",
        "{\"Entries\":\"ab\"}",
        ENTRIES("0", TAKEN "," TAKEN) "x",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bodies); i++) {
        const struct line answers[] = { { 200, NULL, bodies[i] } };
        enum put_outcome outcomes[2];
        bool is_throttled = true;
        assert_false(put_events_read(&arena, str_of(bodies[i]), 2, outcomes));
        assert_code(put_two(answers, COUNT(answers), outcomes, &is_throttled), ERR_UNAVAILABLE, bodies[i]);
        assert_false(is_throttled);
        assert_int_equal(atomic_load(&at), 1);
    }
}

static void only_a_clock_or_credentials_are_mended_and_once(void **state)
{
#define GOOD                                                                                                           \
    {                                                                                                                  \
        200, NULL, ENTRIES("0", TAKEN "," TAKEN)                                                                       \
    }
#define LATE                                                                                                           \
    {                                                                                                                  \
        400, "Date: Sun, 06 Nov 2033 08:49:37 GMT\r\n", ERROR("RequestTimeTooSkewed")                                  \
    }
#define STALE                                                                                                          \
    {                                                                                                                  \
        400, NULL, ERROR("ExpiredTokenException")                                                                      \
    }
    static const struct {
        const char *what;
        struct line answers[4];
        enum err_code code;
        int calls;
        bool is_throttled;
    } rows[] = {
        { "a fault", { { 500, NULL, ERROR("InternalFailure") }, GOOD }, ERR_UNAVAILABLE, 1, false },
        { "too fast", { { 400, NULL, ERROR("ThrottlingException") }, GOOD }, ERR_UNAVAILABLE, 1, true },
        { "denied", { { 400, NULL, ERROR("AccessDeniedException") }, GOOD }, ERR_UNAVAILABLE, 1, false },
        { "no answer", { { 0, NULL, NULL }, { 0, NULL, NULL }, GOOD }, ERR_UNAVAILABLE, -1, false },
        { "credentials", { STALE, GOOD }, ERR_OK, 2, false },
        { "credentials again", { STALE, STALE, GOOD }, ERR_UNAVAILABLE, 2, false },
        { "the clock", { LATE, GOOD }, ERR_OK, 2, false },
        { "both", { LATE, STALE, GOOD }, ERR_OK, 3, false },
        { "both, and one again", { STALE, LATE, LATE, GOOD }, ERR_UNAVAILABLE, 3, false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        enum put_outcome outcomes[2];
        bool is_throttled = false;
        assert_code(put_two(rows[i].answers, COUNT(rows[i].answers), outcomes, &is_throttled), rows[i].code,
                    rows[i].what);
        assert_row(rows[i].calls < 0 || atomic_load(&at) == rows[i].calls, rows[i].what);
        assert_row(is_throttled == rows[i].is_throttled, rows[i].what);
    }
}

/* Nobody can hear of what is sent for it: it is no event. */
static void a_check_puts_what_has_to_be_refused(void **state)
{
    static const struct line answers[] = { { 200, NULL, ENTRIES("1", NOT_TAKEN("MalformedDetail")) } };
    (void)state;
    begin_script(answers, COUNT(answers));
    assert_ok(put_events_check(bus, &arena));
    assert_row(http_has(str_of(server->last),
                        "\"Source\":\"storytailor.token-service\",\"DetailType\":\"token_generated\","
                        "\"Detail\":\"none\",\"EventBusName\":\"story\"}]}"),
               server->last);
}

static void a_check_says_what_is_wrong(void **state)
{
    static const struct {
        struct line answers[3];
        const char *why; /* NULL: nothing */
    } rows[] = {
        { { { 200, NULL, ENTRIES("0", TAKEN) } }, NULL },
        { { STALE, { 200, NULL, ENTRIES("1", NOT_TAKEN("MalformedDetail")) } }, NULL },
        { { { 200, NULL, ENTRIES("1", NOT_TAKEN("AccessDeniedException")) } }, "denies access" },
        { { { 200, NULL, ENTRIES("1", NOT_TAKEN("NotAuthorizedForSourceException")) } }, "denies access" },
        { { { 200, NULL, ENTRIES("1", NOT_TAKEN("NotAuthorizedForDetailTypeException")) } }, "denies access" },
        { { { 200, NULL, ENTRIES("1", NOT_TAKEN("InvalidArgument")) } }, "refuses events for this bus" },
        { { { 200, NULL, ENTRIES("1", NOT_TAKEN("InternalFailure")) } }, "has a fault" },
        { { { 200, NULL, ENTRIES("1", NOT_TAKEN("ThrottlingException")) } }, "has a fault" },
        { { { 200, NULL, ENTRIES("0", "null") } }, "not understood" },
        { { { 200, NULL, ENTRIES("0", "{\"ErrorCode\":7}") } }, "not understood" },
        { { { 200, NULL, ENTRIES("0", "") } }, "not understood" },
        { { { 200, NULL, "<html>" } }, "not understood" },
        { { { 400, NULL, ERROR("AccessDeniedException") } }, "denies access" },
        { { { 400, NULL, ERROR("ResourceNotFoundException") } }, "refused the call" },
        { { { 500, NULL, ERROR("InternalFailure") } }, "has a fault" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        begin_script(rows[i].answers, COUNT(rows[i].answers));
        const struct err err = put_events_check(bus, &arena);
        assert_row(!err.code == !rows[i].why, err.why);
        assert_row(!rows[i].why || strstr(err.why, rows[i].why), err.why);
    }
}

/* The bus's ARN says which region's EventBridge it is. */
static void a_bus_is_called_in_its_region(void **state)
{
    static const struct line answers[] = { GOOD };
    enum put_outcome outcomes[2];
    bool is_throttled;
    (void)state;
    put_events_close(bus);
    settings.event_bus_name = "arn:aws:events:ap-south-1:111122223333:event-bus/story";
    assert_ok(put_events_open(&settings, &bus));
    assert_ok(put_two(answers, COUNT(answers), outcomes, &is_throttled));
    assert_row(http_has(str_of(server->last), "/ap-south-1/events/aws4_request"), server->last);
    assert_row(http_has(str_of(server->last),
                        "\"EventBusName\":\"arn:aws:events:ap-south-1:111122223333:event-bus/story\""),
               server->last);
}

static void an_eventbridge_that_is_away_is_named(void **state)
{
    enum put_outcome outcomes[2];
    bool is_throttled;
    (void)state;
    put_events_close(bus);
    settings.aws_endpoint_url_eventbridge = "http://127.0.0.1:1";
    assert_ok(put_events_open(&settings, &bus));
    const struct err err = put_events(bus, &arena, two, 2, 3000, outcomes, &is_throttled);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_row(str_has_prefix(str_of(err.why), STR("EventBridge (AWS_ENDPOINT_URL_EVENTBRIDGE): http://127.0.0.1:1: "
                                                   "it refuses connections")),
               err.why);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, begin, finish)
RUN(WITH_SERVER(a_batch_is_sent_as_eventbridge_wants_it), TEST(each_entry_has_its_own_outcome),
    WITH_SERVER(an_answer_that_is_not_understood_takes_nothing),
    WITH_SERVER(only_a_clock_or_credentials_are_mended_and_once), WITH_SERVER(a_check_puts_what_has_to_be_refused),
    WITH_SERVER(a_check_says_what_is_wrong), WITH_SERVER(a_bus_is_called_in_its_region),
    WITH_SERVER(an_eventbridge_that_is_away_is_named))
