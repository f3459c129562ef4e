/* test_store_events.c: events over every store (stores.h): written with what they tell, listed in order, dropped. What
 * is special about a shared store comes after. */
#include "stores.h"

static struct event event_of(int64_t number, const char *hash)
{
    return (struct event){ .type = STR("token_revoked"),
                           .detail = arena_printf(&arena, "{\"eventId\": \"%lld\", \"tokenHash\": \"%s\"}",
                                                  (long long)number, hash),
                           .created_at = 1700000000 + number };
}

static struct record record_of(const struct event *event)
{
    return (struct record){ .kind = RECORD_EVENT, .event = event };
}

static void add(struct store *store, int64_t number)
{
    const struct event event = event_of(number, "ab");
    const struct record record = record_of(&event);
    assert_ok(record_one(store, &record));
}

static size_t list(struct store *store, int64_t after, size_t max, struct event **out)
{
    size_t count = 0;
    assert_ok(store->ops->list_events(store, &arena, after, max, out, &count));
    return count;
}

static int64_t number_of(const struct event *event)
{
    const struct json *detail = NULL;
    int64_t number = -1;
    assert_ok(json_parse(&arena, event->detail, &detail));
    assert_true(str_number(json_member(detail, STR("eventId"))->text, INT64_MAX, &number));
    return number;
}

static void count_is(struct store *store, size_t max, size_t expected, int64_t expected_at)
{
    size_t count = SIZE_MAX;
    int64_t oldest_at = -1;
    assert_ok(store->ops->count_events(store, max, &count, &oldest_at));
    assert_int_equal(count, expected);
    assert_int_equal(oldest_at, expected_at);
}

static void an_event_comes_back_as_it_was_written(void **state)
{
    OPEN(store);
    struct event *found;
    const struct json *detail = NULL;
    (void)state;
    assert_int_equal(list(store, 0, 10, &found), 0);
    count_is(store, 10, 0, 0);
    const struct event event = { .type = STR("token_generated"),
                                 .detail = STR("{\"eventId\": \"1\", \"subject\": \"a\\\"\\\\\\n\xc3\xa9\\u2028\"}"),
                                 .created_at = 1700000001 };
    const struct record record = record_of(&event);
    assert_ok(record_one(store, &record));
    assert_int_equal(list(store, 0, 10, &found), 1);
    assert_str(found[0].type, "token_generated");
    assert_int_equal(found[0].created_at, 1700000001);
    assert_true(found[0].position > 0);
    assert_ok(json_parse(&arena, found[0].detail, &detail)); /* a store may write it in another way */
    assert_int_equal(detail->count, 2);
    assert_str(json_member(detail, STR("subject"))->text, "a\"\\\n\xc3\xa9\xe2\x80\xa8");
    count_is(store, 10, 1, 1700000001);
}

static void events_are_listed_in_order_page_by_page(void **state)
{
    OPEN(store);
    struct event *found;
    int64_t after = 0, next = 0;
    (void)state;
    for (int64_t i = 0; i < 25; i++)
        add(store, i);
    for (size_t count; (count = list(store, after, 10, &found)) > 0; after = found[count - 1].position)
        for (size_t i = 0; i < count; i++) {
            assert_true(found[i].position > after);
            assert_int_equal(number_of(&found[i]), next++);
        }
    assert_int_equal(next, 25);
    assert_int_equal(list(store, 0, 0, &found), 0);
    count_is(store, 100, 25, 1700000000);
    count_is(store, 25, 25, 1700000000);
    count_is(store, 24, 24, 1700000000);
    for (int64_t i = 25; i < EVENTS_LISTED_MAX + 5; i++)
        add(store, i);
    assert_int_equal(list(store, 0, 1000, &found), EVENTS_LISTED_MAX);
}

static void events_of_one_transaction_keep_their_order(void **state)
{
    OPEN(store);
    struct event events[8], *found;
    struct record records[8];
    const struct record *lists[4];
    (void)state;
    for (size_t i = 0; i < 8; i++) {
        events[i] = event_of((int64_t)i, "ab");
        records[i] = record_of(&events[i]);
    }
    for (size_t i = 0; i < 4; i++) {
        records[2 * i].next = &records[2 * i + 1];
        lists[i] = &records[2 * i];
    }
    assert_ok(record_many(store, lists, 4));
    assert_int_equal(list(store, 0, 10, &found), 8);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(number_of(&found[i]), i);
}

static void what_is_dropped_is_gone_and_nothing_else(void **state)
{
    static const int64_t still_there[] = { 1, 2, 4, 5, 6, 7, 8 };
    OPEN(store);
    struct event *found, *left;
    (void)state;
    for (int64_t i = 0; i < 10; i++)
        add(store, i);
    assert_int_equal(list(store, 0, 10, &found), 10);
    const struct event dropped[] = { found[0], found[3], found[9] };
    assert_ok(store->ops->drop_events(store, dropped, COUNT(dropped)));
    assert_int_equal(list(store, 0, 10, &left), 7);
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(number_of(&left[i]), still_there[i]);
    assert_ok(store->ops->drop_events(store, dropped, COUNT(dropped))); /* by another instance, or again */
    assert_int_equal(list(store, 0, 10, &left), 7);
    assert_ok(store->ops->drop_events(store, dropped, 0));
    add(store, 10); /* a position is never another event's */
    assert_int_equal(list(store, found[9].position, 10, &left), 1);
    assert_int_equal(number_of(left), 10);
    assert_ok(store->ops->drop_events(store, dropped, COUNT(dropped)));
    count_is(store, 100, 8, 1700000001);
}

/* All of a list or nothing: an event tells of nothing that was not kept. */
static void an_event_is_kept_with_what_it_tells_or_not_at_all(void **state)
{
    OPEN(store);
    struct event event = event_of(1, "ab"), *found;
    struct item item = { .kind = ITEM_CODE, .expires_at = 4102444800, .body = STR("{}") };
    struct record change = { .kind = RECORD_ITEM, .item = &item, .item_version = 7, .item_change = 1 },
                  token = token_of(1, TOKEN_REFRESH, 4102444800), told = record_of(&event);
    const struct record *lists[2];
    struct event other = event_of(2, "cd");
    const struct record alone = record_of(&other);
    struct err verdicts[2];
    (void)state;
    token.next = &change;
    told.next = &token;
    lists[0] = &told;
    lists[1] = &alone;
    store->ops->record(store, lists, 2, verdicts);
    assert_int_equal(verdicts[0].code, ERR_CONFLICT); /* there is no such version */
    assert_ok(verdicts[1]);
    assert_int_equal(list(store, 0, 10, &found), 1);
    assert_int_equal(number_of(found), 2);
    change.item_version = 0;
    assert_ok(record_one(store, &told));
    assert_int_equal(list(store, 0, 10, &found), 2);
    assert_int_equal(number_of(&found[1]), 1);
}

static void a_transition_of_a_key_tells_of_itself_by_name(void **state)
{
    OPEN(store);
    struct event *found;
    const struct json *detail = NULL;
    const struct key key = { .kid = STR("k1"),
                             .alg = STR("ES256"),
                             .public_jwk = STR("{\"kty\":\"EC\"}"),
                             .private_ref = STR("file:x"),
                             .state = KEY_ACTIVE,
                             .created_at = 1700000000,
                             .published_at = 1700000000,
                             .activated_at = 1700000000 };
    (void)state;
    assert_ok(store->ops->add_first_key(store, &key));
    assert_int_equal(list(store, 0, 10, &found), 1);
    assert_str(found[0].type, "keys_rotated");
    assert_int_equal(found[0].created_at, 1700000000);
    assert_ok(json_parse(&arena, found[0].detail, &detail));
    assert_str(json_member(detail, STR("newKeyId"))->text, "k1");
    assert_int_equal(json_member(detail, STR("eventId"))->text.len, 32);
    assert_null(json_member(detail, STR("oldKeyId")));
}

static void an_event_is_purged_when_nobody_wants_it(void **state)
{
    OPEN(store);
    struct event *found;
    size_t deleted = 0;
    (void)state;
    add(store, 0);
    assert_ok(store->ops->purge(store, 1700000000 + 30 * 24 * 3600 + STORE_TOKEN_KEPT_S, 100, &deleted, NULL));
    assert_int_equal(list(store, 0, 10, &found), 1);
    assert_ok(store->ops->purge(store, 1700000000 + 30 * 24 * 3600 + STORE_TOKEN_KEPT_S + 1, 100, &deleted, NULL));
    assert_int_equal(list(store, 0, 10, &found), 0);
}

/* After a fail-over to a server that lagged, a position is given a second time. */
static void a_position_that_is_another_events_since_is_not_dropped(void **state)
{
    OPEN(store);
    struct event *found, *left;
    (void)state;
    add(store, 1);
    assert_int_equal(list(store, 0, 10, &found), 1);
    pg("UPDATE token_service_events SET detail = '{\"eventId\": \"2\"}'");
    assert_ok(store->ops->drop_events(store, found, 1));
    assert_int_equal(list(store, 0, 10, &left), 1);
    assert_int_equal(number_of(left), 2);
    assert_ok(store->ops->drop_events(store, left, 1));
    assert_int_equal(list(store, 0, 10, &left), 0);
    pg("INSERT INTO token_service_events (type, detail, created_at) VALUES ('keys_rotated', '{}', now())");
    assert_int_equal(list(store, 0, 10, &left), 1); /* of an older version, without a name */
    assert_ok(store->ops->drop_events(store, left, 1));
    assert_int_equal(list(store, 0, 10, &left), 0);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest conformance[] = {
        IN_EACH(an_event_comes_back_as_it_was_written),
        IN_EACH(events_are_listed_in_order_page_by_page),
        IN_EACH(events_of_one_transaction_keep_their_order),
        IN_EACH(what_is_dropped_is_gone_and_nothing_else),
        IN_EACH(an_event_is_kept_with_what_it_tells_or_not_at_all),
        IN_EACH(a_transition_of_a_key_tells_of_itself_by_name),
        IN_EACH(an_event_is_purged_when_nobody_wants_it),
    };
    const struct CMUnitTest shared[] = { IN_EACH(a_position_that_is_another_events_since_is_not_dropped) };
    return RUN_OVER_STORES(conformance, shared);
}
