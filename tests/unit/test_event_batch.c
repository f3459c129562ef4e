/* test_event_batch.c: which events go together: as many as fit, in order, and none before an earlier one of its key. */
#include "service/event_batch.h"
#include "unit.h"

/* A letter a key: small "a" waits, capital "A" is held, "." after it: told. */
static size_t read_events(const char *text, struct batch_event *out)
{
    size_t count = 0;
    for (const char *at = text; *at; at++) {
        if (*at == '.') {
            out[count - 1].state = EVENT_TOLD;
            continue;
        }
        out[count++] = (struct batch_event){
            .key = arena_printf(&arena, "%c", *at | 0x20),
            .entry = { .detail_type = STR("t"), .detail = STR("{}") },
            .state = *at & 0x20 ? EVENT_WAITING : EVENT_HELD,
        };
    }
    return count;
}

static void a_batch_has_what_comes_next_and_a_key_once(void **state)
{
    static const struct {
        const char *events, *picked; /* picked: their numbers, in base 36 */
    } rows[] = {
        { "", "" },
        { "a", "0" },
        { "ab", "01" },
        { "aa", "0" },
        { "a.a", "1" },
        { "aba", "01" },
        { "a.bab", "12" },
        { "Ab", "1" },
        { "Aa", "" },     /* the later one of a key waits for the earlier one */
        { "A.a", "1" },   /* which was told since */
        { "aA", "0" },    /* but not the other way round */
        { "Aba.a", "1" }, /* also for one before the last that was told */
        { "abcdefghij", "0123456789" },
        { "abcdefghijk", "0123456789" },
        { "a.b.cdefghijklm", "23456789ab" },
        { "abcaaaaaadefg", "0129abc" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
        struct batch_event events[64];
        size_t picked[PUT_EVENTS_MAX], count = read_events(rows[i].events, events);
        char got[PUT_EVENTS_MAX + 1] = "";
        count = event_batch_pick(events, count, picked);
        for (size_t j = 0; j < count; j++)
            got[j] = digits[picked[j]];
        assert_row(strcmp(got, rows[i].picked) == 0, rows[i].events);
    }
}

/* An event whose entry takes so many bytes as AWS counts. */
static struct batch_event of_size(const char *key, size_t bytes)
{
    struct batch_event event = { .key = str_of(key), .entry = { .detail_type = STR("t"), .detail = STR("") } };
    event.entry.detail.at = arena_zalloc(&arena, bytes);
    event.entry.detail.len = bytes - put_entry_bytes(&event.entry);
    assert_int_equal(put_entry_bytes(&event.entry), bytes);
    return event;
}

static void a_batch_is_no_larger_than_a_call_may_be(void **state)
{
    static const struct {
        size_t sizes[3], count;
    } rows[] = {
        { { PUT_EVENTS_BYTES / 2, PUT_EVENTS_BYTES / 2, 100 }, 2 },
        { { PUT_EVENTS_BYTES / 2, PUT_EVENTS_BYTES / 2 + 1, 100 }, 1 }, /* what comes later does not overtake */
        { { PUT_EVENTS_BYTES - 200, 100, 100 }, 3 },
        { { PUT_EVENTS_BYTES - 199, 100, 100 }, 2 },
        { { PUT_EVENTS_BYTES, 100, 100 }, 1 },
        { { PUT_EVENTS_BYTES + 1, 100, 100 }, 1 }, /* EventBridge shall say what it thinks of it */
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct batch_event events[] = { of_size("a", rows[i].sizes[0]), of_size("b", rows[i].sizes[1]),
                                              of_size("c", rows[i].sizes[2]) };
        size_t picked[PUT_EVENTS_MAX];
        assert_row(event_batch_pick(events, 3, picked) == rows[i].count, arena_printf(&arena, "row %zu", i).at);
    }
}

/* docs of PutEvents: 14 bytes for the time, the source, the detail type and the detail. */
static void an_entry_is_counted_as_aws_counts(void **state)
{
    const struct put_entry entry = { .detail_type = STR("token_revoked"), .detail = STR("{\"a\":1}"), .at_s = 1 };
    (void)state;
    assert_int_equal(put_entry_bytes(&entry), 14 + strlen("storytailor.token-service") + 13 + 7);
}

RUN(TEST(a_batch_has_what_comes_next_and_a_key_once), TEST(a_batch_is_no_larger_than_a_call_may_be),
    TEST(an_entry_is_counted_as_aws_counts))
