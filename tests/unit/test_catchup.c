/* test_catchup.c: reading on in a store, and a store that is another one, or an older one, than before: nothing that
 * was known is forgotten, nothing new is missed, and what the store has lost is written back. */
#include "revocation/catchup.h"
#include "revocation/inside.h"
#include "revocation/rule.h"
#include "unit.h"
#include <time.h>

enum { ROOM = 4000 };

/* A store of revocations alone, whose positions a test may set back. */
struct fake {
    struct store store; /* first */
    struct revocation rows[ROOM];
    size_t count;
    struct sequence sequence;
    bool refuses; /* to record */
    size_t asked, recorded;
};

static struct fake fake;
static struct revocations *revocations;

static struct err fake_since(struct store *store, struct arena *to, int64_t after, int64_t now_s, size_t max,
                             struct revocation **out, size_t *count, struct sequence *sequence)
{
    struct fake *self = (struct fake *)store;
    (void)now_s;
    self->asked++;
    *out = arena_alloc(to, max * sizeof **out);
    *count = 0;
    for (size_t i = 0; i < self->count && *count < max; i++)
        if (self->rows[i].position > after)
            (*out)[(*count)++] = self->rows[i];
    *sequence = self->sequence;
    return OK;
}

static void add_row(enum revocation_kind kind, unsigned char first, int64_t before, int64_t expires_at)
{
    assert_true(fake.count < ROOM);
    fake.rows[fake.count] = (struct revocation){ .position = ++fake.sequence.last,
                                                 .kind = kind,
                                                 .hash = { first, 1, 2, [31] = first },
                                                 .before = before,
                                                 .expires_at = expires_at,
                                                 .reason = STR("") };
    fake.count++;
}

static void fake_record(struct store *store, const struct record *const *lists, size_t count, struct err *verdicts)
{
    struct fake *self = (struct fake *)store;
    for (size_t i = 0; i < count; i++) {
        verdicts[i] = self->refuses ? failed(ERR_UNAVAILABLE, "not now") : OK;
        for (const struct record *record = lists[i]; record && !self->refuses; record = record->next) {
            assert_int_equal(record->kind, RECORD_REVOCATION);
            assert_int_equal(record->token_hash[31], record->token_hash[0]); /* whole */
            self->recorded++;
            if (record == lists[i])
                add_row(record->revokes, record->token_hash[0], record->before, record->expires_at);
        }
    }
}

static const struct store_ops fake_ops = {
    .name = "fake", .is_shared = true, .revocations_since = fake_since, .record = fake_record
};

static int64_t later(void)
{
    return (int64_t)time(NULL) + 1000;
}

static int begin(void **state)
{
    fake = (struct fake){ .store.ops = &fake_ops, .sequence = { .epoch = 7 } };
    revocations = revocations_new(NULL, &fake.store, NULL, NULL);
    return arena_begin(state);
}

static int finish(void **state)
{
    revocations_close(revocations);
    return arena_finish(state);
}

static bool has(unsigned char first)
{
    const unsigned char hash[32] = { first, 1, 2, [31] = first };
    return hash_set_has(revocations->revoked, hash);
}

static int64_t position(uint64_t epoch)
{
    struct sequence sequence;
    int64_t at = catchup_position(revocations->catchup, &sequence);
    assert_int_equal(sequence.epoch, epoch);
    return at;
}

/* The first `kept` rows are those that the standby has. */
static void fail_over(size_t kept)
{
    fake.count = kept;
    fake.sequence = (struct sequence){ fake.sequence.epoch + 2, kept ? fake.rows[kept - 1].position : 0 };
}

static void what_is_new_is_read_and_nothing_twice(void **state)
{
    (void)state;
    assert_int_equal(position(0), 0);
    assert_ok(catchup_store(revocations));
    assert_int_equal(position(7), 0);
    add_row(REVOKED_TOKEN, 1, 0, later());
    assert_ok(catchup_store(revocations));
    assert_true(has(1) && !has(2));
    assert_int_equal(position(7), 1);
    fake.sequence.last = 50; /* positions that nobody used, or whose transactions are still to come */
    assert_ok(catchup_store(revocations));
    assert_int_equal(position(7), 1);
    assert_int_equal(fake.recorded, 0);
}

static void a_standby_that_lagged_is_read_from_the_start_and_given_what_it_lacks(void **state)
{
    (void)state;
    const int64_t expires_at = later();
    for (unsigned char i = 1; i <= 6; i++)
        add_row(REVOKED_TOKEN, i, 0, expires_at);
    add_row(REVOKED_CLIENT, 100, 500, expires_at);
    add_row(REVOKED_SUBJECT, 101, 500, expires_at);
    add_row(REVOKED_TOKEN, 9, 0, (int64_t)time(NULL) - 7 * 3600); /* ended: nobody needs it any more */
    assert_ok(catchup_store(revocations));
    assert_int_equal(position(7), 9);

    fail_over(2);
    add_row(REVOKED_TOKEN, 50, 0, expires_at); /* position 3, which this instance has passed */
    fake.refuses = true;
    assert_code(catchup_store(revocations), ERR_UNAVAILABLE, "a store that takes nothing yet");
    assert_true(has(50));
    assert_int_equal(position(7), 9); /* so it is all done again */
    fake.refuses = false;
    assert_ok(catchup_store(revocations));
    assert_int_equal(position(9), 3);
    assert_int_equal(fake.recorded, 4 * 2 + 2); /* a token's rows of either kind, and the rules */
    bool there[256] = { false };
    for (size_t i = 0; i < fake.count; i++) {
        there[fake.rows[i].hash[0]] = true;
        if (fake.rows[i].hash[0] >= 100) {
            assert_int_equal(fake.rows[i].kind, fake.rows[i].hash[0] == 100 ? REVOKED_CLIENT : REVOKED_SUBJECT);
            assert_int_equal(fake.rows[i].before, 500);
        }
        assert_int_equal(fake.rows[i].expires_at, expires_at);
    }
    for (unsigned char i = 1; i <= 6; i++)
        assert_true(there[i] && has(i));
    assert_true(there[50] && there[100] && there[101] && !there[9]);
    assert_ok(catchup_store(revocations)); /* what was written back comes by, and changes nothing */
    assert_int_equal(fake.recorded, 4 * 2 + 2);
    assert_int_equal(position(9), 9);
}

static void times_that_grew_since_are_written_back(void **state)
{
    (void)state;
    const int64_t expires_at = later();
    add_row(REVOKED_TOKEN, 1, 0, expires_at);
    add_row(REVOKED_SUBJECT, 2, 500, expires_at);
    add_row(REVOKED_TOKEN, 1, 0, expires_at + 5);
    add_row(REVOKED_SUBJECT, 2, 600, expires_at);
    assert_ok(catchup_store(revocations));
    fail_over(2);
    assert_ok(catchup_store(revocations));
    assert_int_equal(fake.count, 4);
    assert_int_equal(fake.rows[2].expires_at, expires_at + 5);
    assert_int_equal(fake.rows[3].before, 600);
}

static void positions_that_go_back_in_one_epoch_are_a_new_beginning_too(void **state)
{
    (void)state;
    for (unsigned char i = 1; i <= 5; i++)
        add_row(REVOKED_TOKEN, i, 0, later());
    assert_ok(catchup_store(revocations));
    fake.count = 3;
    fake.sequence.last = 3;
    add_row(REVOKED_TOKEN, 60, 0, later());
    assert_ok(catchup_store(revocations));
    assert_true(has(60));
    assert_int_equal(fake.count, 6);
    for (size_t asked = fake.asked, i = 0; i < 3; i++, asked++) { /* once, and not again and again */
        assert_int_equal(fake.asked, asked);
        assert_ok(catchup_store(revocations));
    }
}

static void a_rule_that_nobody_has_named_is_left_to_who_made_it(void **state)
{
    unsigned char all[32];
    const unsigned char unnamed[32] = { 77, [31] = 77 };
    (void)state;
    assert_ok(catchup_store(revocations));
    rule_hash(REVOKED_ALL, STR(""), all);
    rules_add(revocations->rules, unnamed, (struct hash_value){ later(), 500, 0 }); /* as Redis tells it */
    fail_over(0);
    assert_ok(catchup_store(revocations));
    assert_int_equal(fake.recorded, 0);
    rules_add(revocations->rules, unnamed, (struct hash_value){ later(), 500, REVOKED_SESSION });
    fail_over(0);
    assert_ok(catchup_store(revocations));
    assert_int_equal(fake.recorded, 1);
    assert_int_equal(fake.rows[0].kind, REVOKED_SESSION);
}

#define IN_ONE(function) cmocka_unit_test_setup_teardown(function, begin, finish)
RUN(IN_ONE(what_is_new_is_read_and_nothing_twice),
    IN_ONE(a_standby_that_lagged_is_read_from_the_start_and_given_what_it_lacks),
    IN_ONE(times_that_grew_since_are_written_back), IN_ONE(positions_that_go_back_in_one_epoch_are_a_new_beginning_too),
    IN_ONE(a_rule_that_nobody_has_named_is_left_to_who_made_it))
