/* test_batch.c: how a batch is split, over a store that refuses whom it is told to. */
#include "store/batch.h"
#include "unit.h"

/* issued_at of a record that is refused, and of one that is left out */
enum { LISTS = 256, BAD = 66, LEFT_OUT = 77 };

static struct {
    struct store store;
    size_t calls, kept;
    size_t broken_after; /* calls; then the store itself fails */
    bool seen[BATCH_LISTS_MAX];
} told;
static struct record records[LISTS];
static const struct record *lists[LISTS];
static struct err verdicts[LISTS];

static struct err keep(struct store *store, const struct record *const *some, size_t count, struct err *own,
                       bool *is_of_records)
{
    (void)store;
    assert_true(count > 0);
    if (told.calls++ >= told.broken_after)
        return failed(ERR_UNAVAILABLE, "the store is away");
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(own[i].code, ERR_OK);
        if (some[i]->issued_at == LEFT_OUT)
            own[i] = failed(ERR_CONFLICT, "it is not as it must be");
    }
    for (size_t i = 0; i < count; i++)
        if (some[i]->issued_at == BAD) {
            *is_of_records = true;
            return failed(ERR_INVALID_REQUEST, "it can't be held");
        }
    for (size_t i = 0; i < count; i++) {
        if (own[i].code)
            continue;
        assert_false(told.seen[some[i]->expires_at]); /* none is kept twice */
        told.seen[some[i]->expires_at] = true;
        told.kept++;
    }
    return OK;
}

static void record_all(size_t count)
{
    memset(verdicts, 0x5a, sizeof verdicts);
    batch_record(&told.store, keep, lists, count, verdicts);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(verdicts[i].code == ERR_OK, told.seen[i]); /* whatever comes: the truth */
}

static int begin(void **state)
{
    static const struct store_ops ops = { .name = "told" };
    memset(&told, 0, sizeof told);
    told.store.ops = &ops;
    told.broken_after = SIZE_MAX;
    for (size_t i = 0; i < LISTS; i++) {
        records[i] = (struct record){ .kind = RECORD_TOKEN, .expires_at = (int64_t)i };
        lists[i] = &records[i];
    }
    return arena_begin(state);
}

static void a_good_batch_is_one_call(void **state)
{
    (void)state;
    record_all(LISTS);
    assert_int_equal(told.calls, 1);
    assert_int_equal(told.kept, LISTS);
    batch_record(&told.store, keep, lists, 0, verdicts);
    assert_int_equal(told.calls, 1); /* none is no call */
}

static void a_bad_list_anywhere_fails_alone(void **state)
{
    (void)state;
    for (size_t bad = 0; bad < LISTS; bad++) {
        (void)begin(state);
        records[bad].issued_at = BAD;
        record_all(LISTS);
        assert_int_equal(verdicts[bad].code, ERR_INVALID_REQUEST);
        assert_int_equal(told.kept, LISTS - 1);
        assert_true(told.calls <= 17);
    }
}

static void a_list_that_is_left_out_splits_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < LISTS; i++)
        records[i].issued_at = i % 3 ? 0 : LEFT_OUT;
    record_all(LISTS);
    assert_int_equal(told.calls, 1);
    for (size_t i = 0; i < LISTS; i++)
        assert_int_equal(verdicts[i].code, i % 3 ? ERR_OK : ERR_CONFLICT);
    (void)begin(state);
    records[17].issued_at = records[200].issued_at = LEFT_OUT;
    records[18].issued_at = BAD; /* and it is left out still when the batch is split for another one */
    record_all(LISTS);
    assert_int_equal(verdicts[17].code, ERR_CONFLICT);
    assert_int_equal(verdicts[18].code, ERR_INVALID_REQUEST);
    assert_int_equal(verdicts[200].code, ERR_CONFLICT);
    assert_int_equal(told.kept, LISTS - 3);
    (void)begin(state);
    records[17].issued_at = LEFT_OUT;
    told.broken_after = 0; /* then nobody knows */
    record_all(LISTS);
    assert_int_equal(verdicts[17].code, ERR_UNAVAILABLE);
}

static void each_of_a_few_bad_lists_fails_alone(void **state)
{
    (void)state;
    for (size_t size = 1; size <= LISTS; size += 5) {
        (void)begin(state);
        const size_t bad[] = { 0, size / 2, size - 1 };
        for (size_t i = 0; i < COUNT(bad); i++)
            records[bad[i]].issued_at = BAD;
        record_all(size);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(verdicts[i].code, records[i].issued_at == BAD ? ERR_INVALID_REQUEST : ERR_OK);
    }
}

/* Whoever sends many bad ones costs no more than so much; who is left over may try again. */
static void many_bad_lists_are_bounded_work(void **state)
{
    (void)state;
    for (size_t i = 0; i < LISTS; i++)
        records[i].issued_at = i % 2 ? BAD : 0;
    record_all(LISTS);
    assert_int_equal(told.calls, BATCH_CALLS_MAX);
    assert_true(told.kept > 0);
    for (size_t i = 0; i < LISTS; i++)
        assert_true(verdicts[i].code == ERR_OK || verdicts[i].code == ERR_UNAVAILABLE ||
                    (verdicts[i].code == ERR_INVALID_REQUEST && i % 2));
}

static void a_store_that_fails_is_asked_no_more(void **state)
{
    (void)state;
    records[100].issued_at = BAD;
    told.broken_after = 4;
    record_all(LISTS);
    assert_int_equal(told.calls, 5);
    (void)begin(state);
    told.broken_after = 0;
    record_all(LISTS);
    assert_int_equal(told.calls, 1);
    for (size_t i = 0; i < LISTS; i++)
        assert_int_equal(verdicts[i].code, ERR_UNAVAILABLE);
}

static void a_batch_beyond_the_bound_is_refused_whole(void **state)
{
    static const struct record *many[BATCH_LISTS_MAX + 1];
    static struct err each[BATCH_LISTS_MAX + 1];
    (void)state;
    for (size_t i = 0; i < COUNT(many); i++)
        many[i] = &records[0];
    batch_record(&told.store, keep, many, COUNT(many), each);
    assert_int_equal(told.calls, 0);
    for (size_t i = 0; i < COUNT(many); i++)
        assert_int_equal(each[i].code, ERR_TOO_LARGE);
}

#define ANEW(function) cmocka_unit_test_setup_teardown(function, begin, arena_finish)
RUN(ANEW(a_good_batch_is_one_call), ANEW(a_bad_list_anywhere_fails_alone), ANEW(a_list_that_is_left_out_splits_nothing),
    ANEW(each_of_a_few_bad_lists_fails_alone), ANEW(many_bad_lists_are_bounded_work),
    ANEW(a_store_that_fails_is_asked_no_more), ANEW(a_batch_beyond_the_bound_is_refused_whole))
