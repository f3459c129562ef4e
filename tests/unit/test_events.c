/* test_events.c: what the events say, and what they never say; and those that wait in memory. */
#include "service/events.h"
#include "base/json.h"
#include "observe/log.h"
#include "service/event_bus.h"
#include "service/event_queue.h"
#include "service/message.h"
#include "service/service.h"
#include "store/store.h"
#include "unit.h"

/* --- a bus, and a store whose outbox is empty --------------------------------------------------------------------- */

static struct put_entry put[3 * EVENT_QUEUE_ROOM];
static size_t put_count, calls;
static enum put_outcome says;
static struct err whole;

static struct err fake_put(void *context, struct arena *to, const struct put_entry *entries, size_t count,
                           int64_t timeout_ms, enum put_outcome outcomes[], bool *is_throttled)
{
    (void)context;
    (void)to;
    (void)timeout_ms;
    *is_throttled = false;
    calls++;
    for (size_t i = 0; i < count; i++) {
        outcomes[i] = says;
        if (whole.code == ERR_OK && says == PUT_TAKEN) {
            put[put_count] = entries[i];
            put[put_count].detail_type = arena_copy(&arena, entries[i].detail_type);
            put[put_count++].detail = arena_copy(&arena, entries[i].detail);
        }
    }
    return whole;
}

static struct err no_events(struct store *store, struct arena *to, int64_t after, size_t max, struct event **out,
                            size_t *count)
{
    (void)store;
    (void)to;
    (void)after;
    (void)max;
    *out = NULL;
    *count = 0;
    return OK;
}

static struct err none(struct store *store, size_t max, size_t *count, int64_t *oldest_at)
{
    (void)store;
    (void)max;
    *count = 0;
    *oldest_at = 0;
    return OK;
}

static const struct store_ops empty_ops = { .name = "empty", .list_events = no_events, .count_events = none };
static struct store empty = { .ops = &empty_ops };

static int64_t now_ns;

static int64_t fake_now(void)
{
    return now_ns;
}

static struct event_bus bus;
static struct service service;

static int begin(void **state)
{
    log_configure(LOG_ERROR, LOG_JSON);
    now_ns = INT64_C(1000000000000);
    bus = (struct event_bus){ .put = fake_put, .now_ns = fake_now };
    put_count = calls = 0;
    says = PUT_TAKEN;
    whole = OK;
    service = (struct service){ .events = events_new(&empty, &bus) };
    return arena_begin(state);
}

static int finish(void **state)
{
    events_free(service.events);
    return arena_finish(state);
}

/* --- what they say ------------------------------------------------------------------------------------------------ */

/* The members but for the event's own name, which must be 32 hexadecimal digits at the front. */
static struct str rest_of(struct str detail)
{
    assert_true(detail.len > 48 && str_has_prefix(detail, STR("{\"eventId\":\"")));
    for (size_t i = 12; i < 44; i++)
        assert_true(memchr("0123456789abcdef", detail.at[i], 16) != NULL);
    assert_true(detail.at[44] == '"');
    return (struct str){ detail.at + 45, detail.len - 45 };
}

#define HASH "abababababababababababababababababababababababababababababababab"

static void an_issued_token_is_told_by_its_hash(void **state)
{
    static const struct {
        enum token_kind kind;
        struct str subject, client_id;
        const char *expected;
    } rows[] = {
        { TOKEN_ACCESS, ROW("user-1"), ROW("app"),
          ",\"tokenHash\":\"" HASH "\",\"tokenType\":\"access\",\"subject\":\"user-1\",\"clientId\":\"app\","
          "\"expiresAt\":\"2023-11-14T23:13:20.000Z\"}" },
        { TOKEN_REFRESH, ROW("a\"\\\n\xc3\xa9"), ROW(""),
          ",\"tokenHash\":\"" HASH
          "\",\"tokenType\":\"refresh\",\"subject\":\"a\\\"\\\\\\n\xc3\xa9\",\"clientId\":\"\","
          "\"expiresAt\":\"2023-11-14T23:13:20.000Z\"}" },
    };
    struct record behind = { .kind = RECORD_TOKEN };
    unsigned char hash[32];
    (void)state;
    memset(hash, 0xab, sizeof hash);
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct told_token token = { .kind = rows[i].kind,
                                          .hash = hash,
                                          .subject = rows[i].subject,
                                          .client_id = rows[i].client_id,
                                          .issued_at = 1700000000,
                                          .expires_at = 1700003600 };
        const struct record *record = events_of_token(&service, &arena, &token, &behind);
        assert_int_equal(record->kind, RECORD_EVENT);
        assert_ptr_equal(record->next, &behind);
        assert_str(record->event->type, "token_generated");
        assert_int_equal(record->event->created_at, 1700000000);
        assert_str(rest_of(record->event->detail), rows[i].expected);
    }
}

static void a_revocation_is_told_with_what_it_revokes(void **state)
{
    static const struct {
        struct record record;
        const char *expected;
    } rows[] = {
        { { .reason = STR_INIT("lost \"phone\"") }, ",\"tokenHash\":\"" HASH "\",\"reason\":\"lost \\\"phone\\\"\"}" },
        { { .reason = STR_INIT("") }, ",\"tokenHash\":\"" HASH "\",\"reason\":\"\"}" },
        { { .revokes = REVOKED_SUBJECT, .target = STR_INIT("user-1"), .before = 1700000000, .reason = STR_INIT("r") },
          ",\"tokenHash\":\"" HASH "\",\"reason\":\"r\",\"kind\":\"subject\",\"target\":\"user-1\","
          "\"before\":\"2023-11-14T22:13:20.000Z\"}" },
        { { .revokes = REVOKED_ALL, .target = STR_INIT(""), .before = 0, .reason = STR_INIT("r") },
          ",\"tokenHash\":\"" HASH "\",\"reason\":\"r\",\"kind\":\"all\",\"target\":\"\","
          "\"before\":\"1970-01-01T00:00:00.000Z\"}" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct record revocation = rows[i].record;
        revocation.kind = RECORD_REVOCATION;
        revocation.issued_at = 1700000005;
        memset(revocation.token_hash, 0xab, sizeof revocation.token_hash);
        const struct record *record = events_of_revocations(&service, &arena, &revocation);
        assert_int_equal(record->kind, RECORD_EVENT);
        assert_ptr_equal(record->next, &revocation);
        assert_str(record->event->type, "token_revoked");
        assert_int_equal(record->event->created_at, 1700000005);
        assert_str(rest_of(record->event->detail), rows[i].expected);
    }
}

static void each_revocation_of_a_list_is_told_and_the_list_stays(void **state)
{
    struct item item = { .kind = ITEM_SESSION };
    struct record last = { .kind = RECORD_REVOCATION, .reason = STR("2") },
                  middle = { .kind = RECORD_ITEM, .item = &item, .next = &last },
                  first = { .kind = RECORD_REVOCATION, .reason = STR("1"), .next = &middle };
    (void)state;
    const struct record *told = events_of_revocations(&service, &arena, &first);
    assert_int_equal(told->kind, RECORD_EVENT);
    assert_int_equal(told->next->kind, RECORD_EVENT);
    assert_false(str_eq(told->event->detail, told->next->event->detail));
    assert_ptr_equal(told->next->next, &first);
    assert_ptr_equal(events_of_revocations(&service, &arena, &middle)->next, &middle);
    assert_ptr_equal(events_of_revocations(&service, &arena, NULL), NULL);
}

static void where_nobody_is_told_nothing_is_added(void **state)
{
    const struct service silent = { .events = NULL };
    struct record revocation = { .kind = RECORD_REVOCATION };
    unsigned char hash[32] = { 0 };
    const struct told_token token = { .hash = hash };
    (void)state;
    assert_ptr_equal(events_of_token(&silent, &arena, &token, &revocation), &revocation);
    assert_ptr_equal(events_of_token(&silent, &arena, &token, NULL), NULL);
    assert_ptr_equal(events_of_revocations(&silent, &arena, &revocation), &revocation);
    events_note_unverified(&silent, ERR_TOKEN_EXPIRED, 1);
    assert_ok(events_round_now(NULL, INT64_MAX));
    assert_null(arena.chunks); /* not a byte */
}

/* --- what waits in memory ----------------------------------------------------------------------------------------- */

static void a_failed_verification_is_told_with_its_label(void **state)
{
    (void)state;
    events_note_unverified(&service, ERR_TOKEN_EXPIRED, 1700000000);
    events_note_unverified(&service, ERR_TOKEN_SIGNATURE, 1700000001);
    assert_int_equal(events_state(service.events).queue_length, 2);
    assert_ok(events_round_now(service.events, INT64_MAX));
    assert_int_equal(put_count, 2);
    assert_int_equal(events_state(service.events).queue_length, 0);
    assert_str(put[0].detail_type, "token_verification_failed");
    assert_int_equal(put[0].at_s, 1700000000);
    assert_str(rest_of(put[0].detail), ",\"error\":\"expired\"}");
    assert_str(rest_of(put[1].detail), ",\"error\":\"signature\"}");
    assert_false(str_eq(put[0].detail, put[1].detail));
}

static void more_than_there_is_room_for_drops_the_oldest(void **state)
{
    (void)state;
    for (int64_t i = 0; i < EVENT_QUEUE_ROOM + 7; i++)
        events_note_unverified(&service, ERR_TOKEN_EXPIRED, i);
    assert_int_equal(events_state(service.events).queue_length, EVENT_QUEUE_ROOM);
    assert_ok(events_round_now(service.events, INT64_MAX));
    assert_int_equal(put_count, EVENT_QUEUE_ROOM);
    for (int64_t i = 0; i < EVENT_QUEUE_ROOM; i++)
        assert_int_equal(put[i].at_s, i + 7);
}

static void what_is_not_taken_waits_and_keeps_its_name(void **state)
{
    static const enum put_outcome later[] = { PUT_THROTTLED, PUT_FAILED };
    (void)state;
    for (size_t i = 0; i < COUNT(later); i++) {
        put_count = 0;
        for (int64_t j = 0; j < 25; j++)
            events_note_unverified(&service, ERR_TOKEN_EXPIRED, j);
        says = later[i];
        assert_code(events_round_now(service.events, INT64_MAX), ERR_UNAVAILABLE, "not taken");
        assert_int_equal(events_state(service.events).queue_length, 25);
        const size_t before = calls;
        assert_code(events_round_now(service.events, INT64_MAX), ERR_UNAVAILABLE, "too early");
        assert_int_equal(calls, before);
        says = PUT_TAKEN;
        now_ns += EVENT_BUS_PAUSE_MAX_MS * INT64_C(1000000);
        assert_ok(events_round_now(service.events, INT64_MAX));
        assert_int_equal(put_count, 25);
        for (int64_t j = 0; j < 25; j++)
            assert_int_equal(put[j].at_s, j);
    }
    events_note_unverified(&service, ERR_TOKEN_EXPIRED, 1);
    says = PUT_REFUSED; /* it would be refused each time */
    assert_ok(events_round_now(service.events, INT64_MAX));
    assert_int_equal(events_state(service.events).queue_length, 0);
}

static void what_comes_back_has_the_name_that_it_had(void **state)
{
    struct event_queue *queue = event_queue_new();
    struct queued_event first[3], again[3];
    (void)state;
    for (int64_t i = 0; i < 3; i++)
        event_queue_add(queue, "expired", i);
    assert_int_equal(event_queue_take(queue, 2, first), 2);
    event_queue_give_back(queue, first, 2);
    assert_int_equal(event_queue_take(queue, 3, again), 3);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(again[i].at_s, first[i].at_s);
        assert_memory_equal(again[i].id, first[i].id, EVENT_ID_BYTES);
    }
    assert_memory_not_equal(again[0].id, again[1].id, EVENT_ID_BYTES);
    assert_int_equal(event_queue_take(queue, 3, again), 0);
    event_queue_free(queue);
}

static void what_comes_back_to_a_full_queue_is_older_and_goes(void **state)
{
    struct event_queue *queue = event_queue_new();
    struct queued_event taken[4], first;
    (void)state;
    for (int64_t i = 0; i < EVENT_QUEUE_ROOM; i++)
        event_queue_add(queue, "expired", i);
    assert_int_equal(event_queue_take(queue, 4, taken), 4);
    event_queue_add(queue, "expired", EVENT_QUEUE_ROOM);
    event_queue_add(queue, "expired", EVENT_QUEUE_ROOM + 1);
    event_queue_give_back(queue, taken, 4); /* there is room for the last two of them */
    assert_int_equal(event_queue_length(queue), EVENT_QUEUE_ROOM);
    assert_int_equal(event_queue_take(queue, 1, &first), 1);
    assert_int_equal(first.at_s, 2);
    event_queue_free(queue);
}

static void a_process_that_does_not_tell_keeps_nothing_in_memory(void **state)
{
    struct service command = { .events = events_new(&empty, NULL) };
    (void)state;
    events_note_unverified(&command, ERR_TOKEN_EXPIRED, 1);
    assert_int_equal(events_state(command.events).queue_length, 0);
    assert_ok(events_round_now(command.events, INT64_MAX));
    events_free(command.events);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, begin, finish)
RUN(WITH(an_issued_token_is_told_by_its_hash), WITH(a_revocation_is_told_with_what_it_revokes),
    WITH(each_revocation_of_a_list_is_told_and_the_list_stays), WITH(where_nobody_is_told_nothing_is_added),
    WITH(a_failed_verification_is_told_with_its_label), WITH(more_than_there_is_room_for_drops_the_oldest),
    WITH(what_is_not_taken_waits_and_keeps_its_name), WITH(what_comes_back_has_the_name_that_it_had),
    WITH(what_comes_back_to_a_full_queue_is_older_and_goes), WITH(a_process_that_does_not_tell_keeps_nothing_in_memory))
