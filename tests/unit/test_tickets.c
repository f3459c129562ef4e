/* test_tickets.c: which key seals a TLS session ticket, which ones open it, and until when. */
#include "http/tickets.h"
#include "unit.h"

enum { DAY_S = 24 * 3600 };

static const int64_t noon = 20000 * (int64_t)DAY_S + DAY_S / 2, midnight = 20001 * (int64_t)DAY_S;

static struct tickets *with_secret(const char *secret)
{
    struct tickets *tickets = NULL;
    assert_ok(tickets_open(&tickets));
    assert_ok(tickets_share(tickets, str_of(secret)));
    return tickets;
}

static struct ticket_key sealing(struct tickets *tickets, bool is_shared, int64_t at_s)
{
    struct ticket_key key;
    assert_true(tickets_to_seal(tickets, is_shared, at_s, &key));
    return key;
}

/* Whether the key opens at that time, and is the same then. */
static bool opens(struct tickets *tickets, bool is_shared, int64_t at_s, const struct ticket_key *key)
{
    struct ticket_key found;
    if (!tickets_to_open(tickets, is_shared, at_s, key->name, &found))
        return false;
    assert_memory_equal(&found, key, sizeof found);
    return true;
}

static bool are_same(const struct ticket_key *one, const struct ticket_key *other)
{
    return memcmp(one, other, sizeof *one) == 0;
}

static void a_day_has_one_key_of_each_kind_and_the_next_day_another(void **state)
{
    (void)state;
    struct tickets *tickets = with_secret("the text of a file");
    for (int shared = 0; shared <= 1; shared++) {
        const struct ticket_key key = sealing(tickets, shared, noon), later = sealing(tickets, shared, midnight - 1),
                                next = sealing(tickets, shared, midnight);
        assert_true(are_same(&key, &later));
        assert_memory_not_equal(next.name, key.name, sizeof key.name);
        assert_memory_not_equal(next.cipher, key.cipher, sizeof key.cipher);
        assert_memory_not_equal(next.mac, key.mac, sizeof key.mac);
        assert_memory_not_equal(key.mac, key.cipher, sizeof key.mac);
    }
    tickets_close(tickets);
}

static void whoever_has_the_secret_has_the_shared_keys_and_no_others(void **state)
{
    (void)state;
    struct tickets *one = with_secret("the text of a file"), *other = with_secret("the text of a file"),
                   *foreign = with_secret("the text of a filf");
    const struct ticket_key shared = sealing(one, true, noon), own = sealing(one, false, noon),
                            theirs = sealing(other, true, noon), elsewhere = sealing(foreign, true, noon);
    assert_true(are_same(&shared, &theirs));
    assert_true(opens(other, true, noon, &shared));
    assert_false(opens(other, false, noon, &own));
    assert_false(opens(foreign, true, noon, &shared));
    assert_memory_not_equal(elsewhere.mac, shared.mac, sizeof shared.mac);
    tickets_close(one);
    tickets_close(other);
    tickets_close(foreign);
}

static void neither_kind_opens_for_the_other(void **state)
{
    (void)state;
    struct tickets *tickets = with_secret("the text of a file");
    const struct ticket_key shared = sealing(tickets, true, noon), own = sealing(tickets, false, noon);
    assert_false(opens(tickets, false, noon, &shared));
    assert_false(opens(tickets, true, noon, &own));
    assert_true(opens(tickets, true, noon, &shared));
    assert_true(opens(tickets, false, noon, &own));
    tickets_close(tickets);
}

static void a_key_opens_as_long_as_its_last_ticket_lives_and_no_longer(void **state)
{
    (void)state;
    for (int shared = 0; shared <= 1; shared++) {
        struct tickets *tickets = with_secret("the text of a file");
        const struct ticket_key key = sealing(tickets, shared, midnight - 1);
        assert_true(opens(tickets, shared, midnight, &key));
        assert_true(opens(tickets, shared, midnight + TICKET_LIFE_S - 1, &key));
        assert_false(opens(tickets, shared, midnight + TICKET_LIFE_S, &key));
        tickets_close(tickets);
    }
}

/* Of an instance whose clock is ahead. */
static void the_next_days_shared_key_opens_before_its_day(void **state)
{
    (void)state;
    struct tickets *ahead = with_secret("the text of a file"), *late = with_secret("the text of a file");
    const struct ticket_key key = sealing(ahead, true, midnight);
    assert_false(opens(late, true, midnight - TICKETS_AHEAD_S - 1, &key));
    assert_true(opens(late, true, midnight - TICKETS_AHEAD_S, &key));
    const struct ticket_key seals = sealing(late, true, midnight - 1);
    assert_false(are_same(&seals, &key));
    tickets_close(ahead);
    tickets_close(late);
}

static void what_is_wiped_is_not_made_again(void **state)
{
    (void)state;
    struct tickets *tickets = with_secret("the text of a file");
    const struct ticket_key own = sealing(tickets, false, noon), shared = sealing(tickets, true, noon);
    tickets_look(tickets, noon + 2 * (int64_t)DAY_S);
    assert_false(opens(tickets, false, noon, &own));
    assert_true(opens(tickets, true, noon, &shared));
    tickets_close(tickets);
}

static void another_secret_ends_what_the_old_one_has_sealed(void **state)
{
    (void)state;
    struct tickets *tickets = with_secret("the text of a file");
    const struct ticket_key shared = sealing(tickets, true, noon), own = sealing(tickets, false, noon);
    assert_ok(tickets_share(tickets, STR("the text of a file")));
    assert_true(opens(tickets, true, noon, &shared));
    assert_true(opens(tickets, false, noon, &own));
    assert_ok(tickets_share(tickets, STR("the text of another")));
    assert_false(opens(tickets, true, noon, &shared));
    assert_false(opens(tickets, false, noon, &own));
    tickets_close(tickets);
}

/* Steps of the clock, to and fro, before 1970 too: there is a key at each time, and room for it. */
static void every_time_has_its_keys(void **state)
{
    (void)state;
    static const int64_t steps[] = { 0,         DAY_S - 1,  DAY_S,     -1,   -DAY_S,      -DAY_S - 1,
                                     3 * DAY_S, -3 * DAY_S, DAY_S + 1, 3600, DAY_S - 3600 };
    struct tickets *tickets = with_secret("the text of a file");
    for (size_t i = 0; i < 4 * COUNT(steps); i++)
        for (int shared = 0; shared <= 1; shared++) {
            const int64_t at_s = (i & 1 ? midnight : 0) + steps[i * 7 % COUNT(steps)];
            const struct ticket_key key = sealing(tickets, shared, at_s);
            assert_true(opens(tickets, shared, at_s, &key));
        }
    tickets_close(tickets);
}

RUN(TEST(a_day_has_one_key_of_each_kind_and_the_next_day_another),
    TEST(whoever_has_the_secret_has_the_shared_keys_and_no_others), TEST(neither_kind_opens_for_the_other),
    TEST(a_key_opens_as_long_as_its_last_ticket_lives_and_no_longer),
    TEST(the_next_days_shared_key_opens_before_its_day), TEST(what_is_wiped_is_not_made_again),
    TEST(another_secret_ends_what_the_old_one_has_sealed), TEST(every_time_has_its_keys))
