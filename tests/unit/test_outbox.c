/* test_outbox.c: the outbox over a store and a bus of the test's own: everything is told at least once, in order for a
 * key, whatever the bus does, whoever else tells, and wherever it is cut off. */
#include "service/outbox.h"
#include "base/json.h"
#include "observe/log.h"
#include "service/event_bus.h"
#include "store/store.h"
#include "unit.h"

enum { ROOM = 2000, HEARD_MAX = 8000 };

/* --- a store ------------------------------------------------------------------------------------------------------ */

static struct event kept[ROOM];
static size_t kept_count;
static struct err lists, drops; /* what the store says */
static bool is_leased_away;
static int leases, drops_made;

static struct err fake_list(struct store *store, struct arena *to, int64_t after, size_t max, struct event **out,
                            size_t *count)
{
    (void)store;
    if (lists.code)
        return lists;
    *out = arena_alloc(to, (max + 1) * sizeof **out);
    *count = 0;
    for (size_t i = 0; i < kept_count && *count < max; i++)
        if (kept[i].position > after)
            (*out)[(*count)++] = kept[i];
    return OK;
}

static struct err fake_drop(struct store *store, const struct event *events, size_t count)
{
    (void)store;
    if (drops.code)
        return drops;
    drops_made++;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < kept_count; j++)
            if (kept[j].position == events[i].position) {
                memmove(&kept[j], &kept[j + 1], (kept_count - j - 1) * sizeof *kept);
                kept_count--;
                break;
            }
    return OK;
}

static struct err fake_count(struct store *store, size_t max, size_t *count, int64_t *oldest_at)
{
    (void)store;
    if (lists.code)
        return lists;
    *count = kept_count < max ? kept_count : max;
    *oldest_at = kept_count ? kept[0].created_at : 0;
    return OK;
}

static struct err fake_take(struct store *store, struct str name, int64_t ttl_s)
{
    (void)store;
    assert_str(name, "events");
    assert_true(ttl_s * 1000 > 2 * EVENT_BUS_TRY_MS);
    leases++;
    return is_leased_away ? failed(ERR_CONFLICT, "another instance is doing it") : OK;
}

static struct err fake_give(struct store *store, struct str name)
{
    (void)store;
    (void)name;
    leases--;
    return OK;
}

static const struct store_ops fake_ops = { .name = "fake",
                                           .list_events = fake_list,
                                           .drop_events = fake_drop,
                                           .count_events = fake_count,
                                           .take_lease = fake_take,
                                           .drop_lease = fake_give };
static struct store fake_store = { .ops = &fake_ops };

/* An event of that key, with its number as its name. */
static void add(const char *key)
{
    static int64_t position;
    struct event *event = &kept[kept_count++];
    position++;
    *event = (struct event){ .position = position, .type = STR("token_revoked"), .created_at = 1000 + position };
    event->detail = arena_printf(&arena, "{\"eventId\":\"%lld\",\"tokenHash\":\"%s\"}", (long long)position, key);
}

/* --- a bus -------------------------------------------------------------------------------------------------------- */

/* What the bus heard and took, in order. */
static struct heard {
    struct str id, key;
    size_t call;
} heard[HEARD_MAX];
static size_t heard_count, calls;
static size_t largest; /* of the calls */

/* What it says of an entry; and of a call as a whole. */
static enum put_outcome (*judge)(struct str key, struct str id);
static struct err whole;
static size_t whole_from = SIZE_MAX; /* `whole` from that call on */

static struct str member(struct str detail, const char *name)
{
    const struct json *json = NULL;
    assert_ok(json_parse(&arena, detail, &json));
    const struct json *found = json_member(json, str_of(name));
    return found ? found->text : STR("");
}

static struct err fake_put(void *context, struct arena *to, const struct put_entry *entries, size_t count,
                           int64_t timeout_ms, enum put_outcome outcomes[], bool *is_throttled)
{
    (void)context;
    (void)to;
    assert_true(count > 0 && count <= PUT_EVENTS_MAX && timeout_ms > 0 && timeout_ms <= EVENT_BUS_TRY_MS);
    *is_throttled = false;
    if (calls++ >= whole_from && whole.code)
        return whole;
    largest = count > largest ? count : largest;
    for (size_t i = 0; i < count; i++) {
        const struct str id = member(entries[i].detail, "eventId"), key = member(entries[i].detail, "tokenHash");
        outcomes[i] = judge ? judge(key, id) : PUT_TAKEN;
        if (outcomes[i] == PUT_TAKEN)
            heard[heard_count++] = (struct heard){ arena_copy(&arena, id), arena_copy(&arena, key), calls };
    }
    return OK;
}

static int64_t now_ns;

static int64_t fake_now(void)
{
    return now_ns;
}

static struct event_bus bus;
static struct outbox *outbox;

static int begin(void **state)
{
    log_configure(LOG_ERROR, LOG_JSON);
    kept_count = heard_count = calls = largest = 0;
    lists = drops = whole = OK;
    whole_from = 0;
    judge = NULL;
    is_leased_away = false;
    leases = drops_made = 0;
    now_ns = INT64_C(1000000000000);
    bus = (struct event_bus){ .put = fake_put, .now_ns = fake_now };
    outbox = outbox_new(&fake_store, &bus);
    return arena_begin(state);
}

static int finish(void **state)
{
    outbox_free(outbox);
    return arena_finish(state);
}

static enum err_code go(void)
{
    return outbox_round(outbox, INT64_MAX).code;
}

static int64_t number(struct str id)
{
    int64_t value = -1;
    (void)str_number(id, INT64_MAX, &value);
    return value;
}

/* The first time that the bus heard of each event of a key is in order, and in calls of their own. */
static void assert_order(void)
{
    for (size_t i = 0; i < heard_count; i++) {
        bool is_first = true;
        for (size_t j = 0; j < i; j++)
            is_first = is_first && !str_eq(heard[i].id, heard[j].id);
        for (size_t j = 0; is_first && j < i; j++)
            if (str_eq(heard[i].key, heard[j].key)) {
                assert_true(number(heard[j].id) < number(heard[i].id));
                assert_true(heard[j].call < heard[i].call);
            }
    }
}

static size_t times_heard(const char *key)
{
    size_t times = 0;
    for (size_t i = 0; i < heard_count; i++)
        times += str_eq(heard[i].key, str_of(key));
    return times;
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

static void an_empty_outbox_costs_a_look(void **state)
{
    (void)state;
    assert_int_equal(go(), ERR_OK);
    assert_int_equal(calls, 0);
    assert_int_equal(leases, 0);
    assert_int_equal(outbox_state(outbox).length, 0);
}

static void all_is_told_in_batches_and_dropped(void **state)
{
    (void)state;
    for (int i = 0; i < 250; i++)
        add(arena_printf(&arena, "key-%d", i).at);
    assert_int_equal(go(), ERR_OK);
    assert_int_equal(kept_count, 0);
    assert_int_equal(heard_count, 250);
    assert_int_equal(calls, 25);
    assert_int_equal(largest, 10);
    assert_int_equal(drops_made, 3); /* one for each page, not for each batch */
    assert_int_equal(leases, 0);     /* given back */
    assert_int_equal(outbox_state(outbox).length, 0);
    assert_int_equal(outbox_state(outbox).oldest_at, 0);
}

static void of_a_key_one_follows_the_other(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++)
        add(arena_printf(&arena, "key-%d", i % 7).at);
    assert_int_equal(go(), ERR_OK);
    assert_int_equal(heard_count, 300);
    assert_order();
}

/* Events of an older version have none, and are no tokens'. */
static void an_event_without_a_name_gets_one_that_stays(void **state)
{
    static const char *const details[] = { "{}", "{\"newKeyId\":\"k\"}" };
    struct str first[2];
    (void)state;
    drops = failed(ERR_UNAVAILABLE, "no");
    for (size_t i = 0; i < COUNT(details); i++) {
        add("");
        kept[kept_count - 1].detail = str_of(details[i]);
    }
    assert_int_equal(go(), ERR_UNAVAILABLE);
    assert_int_equal(heard_count, 2);
    for (size_t i = 0; i < 2; i++) {
        first[i] = heard[i].id;
        assert_int_equal(first[i].len, 32);
    }
    assert_false(str_eq(first[0], first[1]));
    drops = OK;
    assert_int_equal(go(), ERR_OK);
    assert_int_equal(heard_count, 4);
    for (size_t i = 0; i < 2; i++)
        assert_true(str_eq(heard[2 + i].id, first[i]));
}

static void what_was_told_and_not_dropped_is_told_again_with_its_name(void **state)
{
    (void)state;
    for (int i = 0; i < 30; i++)
        add(arena_printf(&arena, "key-%d", i % 4).at);
    drops = failed(ERR_UNAVAILABLE, "the store is away"); /* as when the process ends here */
    assert_int_equal(go(), ERR_UNAVAILABLE);
    assert_int_equal(kept_count, 30);
    drops = OK;
    assert_int_equal(go(), ERR_OK);
    assert_int_equal(kept_count, 0);
    assert_int_equal(heard_count, 60);
    assert_order();
}

static enum put_outcome throttle_b(struct str key, struct str id)
{
    (void)id;
    return str_eq(key, STR("b")) ? PUT_THROTTLED : PUT_TAKEN;
}

/* Until what was not taken is due again. */
static void time_goes_by(void)
{
    now_ns += EVENT_BUS_FIRST_PAUSE_MS * INT64_C(1000000);
}

static void what_is_not_taken_holds_back_its_own_key_alone(void **state)
{
    (void)state;
    add("a"), add("b"), add("a"), add("b"), add("c");
    judge = throttle_b;
    assert_int_equal(go(), ERR_OK);
    assert_int_equal(times_heard("a"), 2);
    assert_int_equal(times_heard("c"), 1);
    assert_int_equal(kept_count, 2);
    const size_t before = calls;
    add("b"), add("d");
    assert_int_equal(go(), ERR_OK); /* b is not due yet, and later ones of it don't overtake */
    assert_int_equal(times_heard("d"), 1);
    assert_int_equal(calls, before + 1);
    judge = NULL;
    time_goes_by();
    assert_int_equal(go(), ERR_OK);
    assert_int_equal(times_heard("b"), 3);
    assert_int_equal(kept_count, 0);
    assert_order();
}

static enum put_outcome refuse_all(struct str key, struct str id)
{
    (void)key;
    (void)id;
    return PUT_REFUSED;
}

static enum put_outcome throttle_all(struct str key, struct str id)
{
    (void)key;
    (void)id;
    return PUT_THROTTLED;
}

static void a_bus_that_takes_nothing_is_left_alone_for_a_while(void **state)
{
    (void)state;
    for (int i = 0; i < 30; i++)
        add(arena_printf(&arena, "key-%d", i).at);
    judge = throttle_all;
    assert_int_equal(go(), ERR_UNAVAILABLE);
    assert_int_equal(calls, 1);
    assert_int_equal(go(), ERR_UNAVAILABLE);
    assert_int_equal(calls, 1);
    assert_int_equal(outbox_state(outbox).length, 30); /* which is shown meanwhile */
    assert_int_equal(outbox_state(outbox).oldest_at, kept[0].created_at);
    judge = NULL;
    time_goes_by();
    assert_int_equal(go(), ERR_OK);
    assert_int_equal(heard_count, 30);
}

static void what_was_told_before_the_bus_failed_is_dropped(void **state)
{
    (void)state;
    for (int i = 0; i < 30; i++)
        add(arena_printf(&arena, "key-%d", i).at);
    whole = failed(ERR_UNAVAILABLE, "it is away");
    whole_from = 2;
    assert_int_equal(go(), ERR_UNAVAILABLE);
    assert_int_equal(kept_count, 10);
    whole = OK;
    time_goes_by();
    assert_int_equal(go(), ERR_OK);
    assert_int_equal(heard_count, 30);
}

/* More than are remembered one by one: the round ends, and nothing is lost. */
static void many_that_are_refused_are_kept(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++)
        add(arena_printf(&arena, "key-%d", i).at);
    judge = refuse_all;
    assert_int_equal(go(), ERR_UNAVAILABLE);
    assert_int_equal(kept_count, 200);
    assert_int_equal(heard_count, 0);
    judge = NULL;
    assert_int_equal(go(), ERR_OK);
    assert_int_equal(heard_count, 200 - OUTBOX_HELD_MAX);
    assert_order();
}

static struct str refused_id;

static enum put_outcome throttle_one(struct str key, struct str id)
{
    (void)key;
    return str_eq(id, refused_id) ? PUT_THROTTLED : PUT_TAKEN;
}

/* Also when they lie pages behind the one that is not taken. */
static void later_pages_are_told_but_for_the_key_that_waits(void **state)
{
    (void)state;
    for (int i = 0; i < 150; i++)
        add("b");
    add("a");
    refused_id = member(kept[0].detail, "eventId");
    judge = throttle_one;
    assert_int_equal(go(), ERR_OK);
    assert_int_equal(times_heard("a"), 1);
    assert_int_equal(times_heard("b"), 0);
    add("b"), add("c");
    assert_int_equal(go(), ERR_OK);
    assert_int_equal(times_heard("c"), 1);
    assert_int_equal(times_heard("b"), 0);
    judge = NULL;
    time_goes_by();
    assert_int_equal(go(), ERR_OK);
    assert_int_equal(times_heard("b"), 151);
    assert_order();
}

/* Another instance told of it meanwhile: nothing waits for it any more. */
static void one_that_is_gone_holds_nothing_back(void **state)
{
    (void)state;
    add("b"), add("b");
    judge = throttle_b;
    assert_int_equal(go(), ERR_OK);
    assert_int_equal(heard_count, 0);
    (void)fake_drop(&fake_store, kept, 1).code;
    judge = NULL;
    assert_int_equal(go(), ERR_OK);
    assert_int_equal(heard_count, 1);
    assert_int_equal(kept_count, 0);
}

static void another_instance_that_has_the_lease_tells(void **state)
{
    (void)state;
    add("a");
    is_leased_away = true;
    assert_int_equal(go(), ERR_OK);
    assert_int_equal(calls, 0);
    assert_int_equal(outbox_state(outbox).length, 1);
    is_leased_away = false;
    assert_int_equal(go(), ERR_OK);
    assert_int_equal(heard_count, 1);
}

/* A lease that was lost in the middle does no more than have things told twice. */
static void two_that_tell_at_once_keep_the_order(void **state)
{
    struct event_bus other_bus = { .put = fake_put, .now_ns = fake_now };
    struct outbox *other = outbox_new(&fake_store, &other_bus);
    (void)state;
    for (int i = 0; i < 60; i++)
        add(arena_printf(&arena, "key-%d", i % 5).at);
    for (size_t cut = 1; kept_count > 0 || cut < 3; cut++) { /* each is cut off after some calls, in turn */
        whole = failed(ERR_UNAVAILABLE, "cut off");
        whole_from = calls + cut;
        drops = cut % 3 == 0 ? failed(ERR_UNAVAILABLE, "cut off") : OK;
        bus.again_ns = other_bus.again_ns = 0;
        (void)outbox_round(cut % 2 ? outbox : other, INT64_MAX).code;
    }
    assert_order();
    for (int i = 0; i < 5; i++)
        assert_true(times_heard(arena_printf(&arena, "key-%d", i).at) >= 12);
    outbox_free(other);
}

static void a_round_ends_when_its_time_is_up(void **state)
{
    (void)state;
    add("a");
    assert_int_equal(outbox_round(outbox, now_ns).code, ERR_TIMEOUT);
    assert_int_equal(calls, 0);
    assert_int_equal(kept_count, 1);
    assert_int_equal(go(), ERR_OK);
    assert_int_equal(heard_count, 1);
}

static void a_store_that_fails_is_told(void **state)
{
    (void)state;
    add("a");
    lists = failed(ERR_UNAVAILABLE, "it is away");
    assert_int_equal(go(), ERR_UNAVAILABLE);
    lists = OK;
    assert_int_equal(go(), ERR_OK);
    assert_int_equal(heard_count, 1);
}

/* A command beside a server: it only looks. */
static void without_a_bus_nothing_is_told(void **state)
{
    struct outbox *blind = outbox_new(&fake_store, NULL);
    (void)state;
    add("a");
    assert_ok(outbox_round(blind, INT64_MAX));
    assert_int_equal(outbox_state(blind).length, 1);
    assert_int_equal(leases, 0);
    outbox_free(blind);
}

static void pauses_grow_and_have_an_end(void **state)
{
    static const struct {
        unsigned tries;
        int64_t least_ms, most_ms;
    } rows[] = {
        { 1, 500, 1000 }, { 2, 1000, 2000 }, { 5, 8000, 16000 }, { 7, 30000, 60000 }, { 4000000, 30000, 60000 }
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(event_bus_pause_ms(rows[i].tries, 0), rows[i].least_ms);
        assert_int_equal(event_bus_pause_ms(rows[i].tries, (uint64_t)(rows[i].most_ms - rows[i].least_ms)),
                         rows[i].most_ms);
    }
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, begin, finish)
RUN(WITH(an_empty_outbox_costs_a_look), WITH(all_is_told_in_batches_and_dropped), WITH(of_a_key_one_follows_the_other),
    WITH(an_event_without_a_name_gets_one_that_stays), WITH(what_was_told_and_not_dropped_is_told_again_with_its_name),
    WITH(what_is_not_taken_holds_back_its_own_key_alone), WITH(a_bus_that_takes_nothing_is_left_alone_for_a_while),
    WITH(what_was_told_before_the_bus_failed_is_dropped), WITH(many_that_are_refused_are_kept),
    WITH(later_pages_are_told_but_for_the_key_that_waits), WITH(one_that_is_gone_holds_nothing_back),
    WITH(another_instance_that_has_the_lease_tells), WITH(two_that_tell_at_once_keep_the_order),
    WITH(a_round_ends_when_its_time_is_up), WITH(a_store_that_fails_is_told), WITH(without_a_bus_nothing_is_told),
    WITH(pauses_grow_and_have_an_end))
