/* test_commit.c: group commit over a store that can be held up and made to fail: nobody is told before the records are
 * durable, everybody is told once, and the truth. */
#include "store/commit.h"
#include "unit.h"
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

/* --- a store that does as it is told ----------------------------------------------------------------------------- */

/* issued_at of a record that is refused, and of one that is in conflict */
enum { BATCHES_MAX = 100000, BAD = 66, LATE = 77 };

struct told_store {
    struct store store;
    pthread_mutex_t gate; /* held by the test: no transaction ends */
    atomic_bool failing;
    atomic_size_t transactions, records;
    atomic_size_t begun;
    size_t largest;
    const struct record *seen[BATCHES_MAX]; /* in the order of their commit */
};
static struct told_store told;

static void told_record(struct store *store, const struct record *const *lists, size_t count, struct err *verdicts)
{
    struct told_store *self = (struct told_store *)store;
    atomic_fetch_add(&self->begun, 1);
    pthread_mutex_lock(&self->gate);
    bool failing = atomic_load(&self->failing);
    for (size_t i = 0; i < count; i++) {
        verdicts[i] = failing                       ? failed(ERR_UNAVAILABLE, "the detail of the store's failure")
                      : lists[i]->issued_at == BAD  ? failed(ERR_INVALID_REQUEST, "it can't be held")
                      : lists[i]->issued_at == LATE ? failed(ERR_CONFLICT, "another one was faster")
                                                    : OK;
        if (verdicts[i].code)
            continue;
        size_t at = atomic_fetch_add(&self->records, 1);
        if (at < BATCHES_MAX)
            self->seen[at] = lists[i];
    }
    self->largest = count > self->largest ? count : self->largest;
    if (!failing)
        atomic_fetch_add(&self->transactions, 1);
    pthread_mutex_unlock(&self->gate);
}

static const struct store_ops told_ops = { .name = "told", .record = told_record };

static int begin(void **state)
{
    memset(&told, 0, sizeof told);
    told.store.ops = &told_ops;
    pthread_mutex_init(&told.gate, NULL);
    return arena_begin(state);
}

static int finish(void **state)
{
    pthread_mutex_destroy(&told.gate);
    return arena_finish(state);
}

/* --- items that remember what they were told --------------------------------------------------------------------- */

struct noted {
    struct commit_item item; /* first */
    struct record record;
    atomic_int done;
    enum err_code code;
    size_t records_then; /* durable when it was told */
};

static void note(struct commit_item *item, struct err failure)
{
    struct noted *noted = (struct noted *)item;
    noted->code = failure.code;
    noted->records_then = atomic_load(&told.records);
    atomic_fetch_add(&noted->done, 1);
}

static struct noted *submit_many(struct commit *commit, size_t count)
{
    struct noted *items = arena_zalloc(&arena, count * sizeof *items);
    for (size_t i = 0; i < count; i++) {
        items[i].record = (struct record){ .kind = RECORD_TOKEN, .expires_at = (int64_t)i };
        items[i].item = (struct commit_item){ .records = &items[i].record, .done = note };
        commit_submit(commit, &items[i].item);
    }
    return items;
}

static void wait_until(const atomic_size_t *value, size_t least)
{
    for (int i = 0; i < 20000 && atomic_load(value) < least; i++)
        usleep(500);
    assert_true(atomic_load(value) >= least);
}

static void wait_for(const struct noted *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (int tries = 0; tries < 20000 && atomic_load(&items[i].done) == 0; tries++)
            usleep(500);
}

static struct commit *open_commit(void)
{
    struct commit *commit = NULL;
    assert_ok(commit_open(&told.store, &commit));
    return commit;
}

/* --- tests ------------------------------------------------------------------------------------------------------- */

static void an_item_alone_is_committed_at_once(void **state)
{
    struct commit *commit = open_commit();
    struct timespec before, after;
    (void)state;
    const struct record record = { .kind = RECORD_TOKEN };
    clock_gettime(CLOCK_MONOTONIC, &before);
    assert_ok(commit_wait(commit, &record));
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_int_equal(atomic_load(&told.transactions), 1);
    assert_ptr_equal(told.seen[0], &record);
    assert_int_equal(commit_depth(commit), 0);
    assert_true((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 < 1000);
    commit_close(commit);
}

static void nobody_is_told_before_the_transaction_has_ended(void **state)
{
    struct commit *commit = open_commit();
    (void)state;
    pthread_mutex_lock(&told.gate);
    struct noted *items = submit_many(commit, 10);
    wait_until(&told.begun, 1);
    usleep(20000);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(atomic_load(&items[i].done), 0);
    assert_int_equal(commit_depth(commit), 10);
    pthread_mutex_unlock(&told.gate);
    wait_for(items, 10);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(atomic_load(&items[i].done), 1);
        assert_int_equal(items[i].code, ERR_OK);
        assert_true(items[i].records_then > i);
    }
    commit_close(commit);
}

static void what_gathers_during_a_transaction_is_the_next_one(void **state)
{
    struct commit *commit = open_commit();
    (void)state;
    pthread_mutex_lock(&told.gate);
    struct noted *first = submit_many(commit, 1);
    wait_until(&told.begun, 1);
    struct noted *rest = submit_many(commit, 200);
    pthread_mutex_unlock(&told.gate);
    wait_for(first, 1);
    wait_for(rest, 200);
    assert_int_equal(atomic_load(&told.transactions), 2);
    assert_int_equal(told.largest, 200);
    for (size_t i = 0; i < 200; i++) /* in the order in which they came */
        assert_ptr_equal(told.seen[1 + i], &rest[i].record);
    commit_close(commit);
}

static void a_batch_is_bounded(void **state)
{
    enum { MANY = 2000 };
    struct commit *commit = open_commit();
    (void)state;
    pthread_mutex_lock(&told.gate);
    struct noted *items = submit_many(commit, MANY);
    pthread_mutex_unlock(&told.gate);
    wait_for(items, MANY);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(atomic_load(&items[i].done), 1);
    assert_int_equal(atomic_load(&told.records), MANY);
    assert_in_range(told.largest, 1, 256);
    assert_int_equal(commit_depth(commit), 0);
    commit_close(commit);
}

static void a_failure_is_told_to_each_of_its_batch_and_to_no_other(void **state)
{
    struct commit *commit = open_commit();
    (void)state;
    pthread_mutex_lock(&told.gate);
    struct noted *first = submit_many(commit, 1);
    wait_until(&told.begun, 1);
    struct noted *unlucky = submit_many(commit, 50);
    pthread_mutex_unlock(&told.gate);
    wait_for(first, 1);
    wait_for(unlucky, 50);
    assert_int_equal(first[0].code, ERR_OK);
    atomic_store(&told.failing, true);
    struct noted *failing = submit_many(commit, 50);
    wait_for(failing, 50);
    atomic_store(&told.failing, false);
    struct noted *later = submit_many(commit, 50);
    wait_for(later, 50);
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(unlucky[i].code, ERR_OK);
        assert_int_equal(atomic_load(&failing[i].done), 1);
        assert_int_equal(failing[i].code, ERR_UNAVAILABLE);
        assert_int_equal(later[i].code, ERR_OK);
    }
    assert_int_equal(atomic_load(&told.records), 101);
    atomic_store(&told.failing, true);
    const struct record record = { .kind = RECORD_TOKEN };
    struct err err = commit_wait(commit, &record);
    assert_code(err, ERR_UNAVAILABLE, "commit_wait");
    assert_null(strstr(err.why, "detail")); /* the inside stays inside */
    commit_close(commit);
}

static void each_hears_of_its_own_list(void **state)
{
    struct commit *commit = open_commit();
    struct noted *items = arena_zalloc(&arena, 100 * sizeof *items);
    (void)state;
    pthread_mutex_lock(&told.gate);
    struct noted *first = submit_many(commit, 1);
    wait_until(&told.begun, 1);
    for (size_t i = 0; i < 100; i++) {
        items[i].record = (struct record){ .kind = RECORD_TOKEN };
        items[i].record.issued_at = i % 10 == 3 ? BAD : i % 10 == 7 ? LATE : 0;
        items[i].item = (struct commit_item){ .records = &items[i].record, .done = note };
        commit_submit(commit, &items[i].item);
    }
    pthread_mutex_unlock(&told.gate);
    wait_for(first, 1);
    wait_for(items, 100);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(atomic_load(&items[i].done), 1);
        assert_int_equal(items[i].code, i % 10 == 3 ? ERR_INVALID_REQUEST : i % 10 == 7 ? ERR_CONFLICT : ERR_OK);
    }
    assert_int_equal(atomic_load(&told.records), 81);
    assert_int_equal(atomic_load(&told.transactions), 2);
    commit_close(commit);
}

static void closing_commits_what_was_submitted(void **state)
{
    enum { MANY = 1000 };
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct commit *commit = open_commit();
        size_t before = atomic_load(&told.records);
        if (round % 2)
            commit_expect(commit, 5); /* also when more was expected: it may never come */
        struct noted *items = submit_many(commit, MANY);
        commit_close(commit);
        for (size_t i = 0; i < MANY; i++) {
            assert_int_equal(atomic_load(&items[i].done), 1);
            assert_int_equal(items[i].code, ERR_OK);
        }
        assert_int_equal(atomic_load(&told.records), before + MANY);
        arena_release(&arena);
    }
    commit_close(NULL);
    struct commit *idle = open_commit();
    commit_close(idle);
}

/* Requests on workers make a small batch wait for them, but not long when they never submit. */
static void a_batch_waits_for_what_is_expected_but_not_for_ever(void **state)
{
    struct commit *commit = open_commit();
    (void)state;
    commit_expect(commit, 20);
    for (int i = 0; i < 20; i++) {
        const struct record record = { .kind = RECORD_TOKEN };
        struct timespec before, after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        assert_ok(commit_wait(commit, &record));
        clock_gettime(CLOCK_MONOTONIC, &after);
        assert_true((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 < 1000);
    }
    commit_expect(commit, -20);
    assert_ok(commit_wait(commit, &(const struct record){ .kind = RECORD_TOKEN }));
    commit_close(commit);
}

static int64_t ms_of_waits(struct commit *commit, int times)
{
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    for (int i = 0; i < times; i++)
        assert_ok(commit_wait(commit, &(const struct record){ .kind = RECORD_TOKEN }));
    clock_gettime(CLOCK_MONOTONIC, &after);
    return (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
}

/* With KMS each worker waits for a network: to wait for those would add their wait to every answer. So it is a moment,
 * for a few of many, and nothing where few are on their way. */
static void in_a_hurry_a_batch_waits_but_a_moment_and_only_for_many(void **state)
{
    struct commit *commit = open_commit();
    (void)state;
    commit_hurry(commit);
    commit_expect(commit, 200);
    int64_t among_many = ms_of_waits(commit, 100);
    assert_true(among_many >= 50 && among_many < 800); /* 1.6 s, if each waited as without hurry */
    commit_expect(commit, -180);
    assert_true(ms_of_waits(commit, 2000) < 900);
    commit_expect(commit, -20);
    commit_close(commit);
}

static void *submit_and_wait(void *arg)
{
    size_t failures = 0;
    for (int i = 0; i < 500; i++) {
        const struct record record = { .kind = RECORD_TOKEN, .expires_at = i };
        commit_expect(arg, 1);
        failures += commit_wait(arg, &record).code != ERR_OK;
        commit_expect(arg, -1);
    }
    return (void *)(uintptr_t)failures;
}

static void many_submit_at_once_and_each_hears_of_its_own(void **state)
{
    pthread_t threads[8];
    struct commit *commit = open_commit();
    (void)state;
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, submit_and_wait, commit), 0);
    for (size_t i = 0; i < COUNT(threads); i++) {
        void *failures = NULL;
        pthread_join(threads[i], &failures);
        assert_null(failures);
    }
    assert_int_equal(atomic_load(&told.records), 8 * 500);
    assert_true(atomic_load(&told.transactions) < 8 * 500); /* they shared some */
    commit_close(commit);
}

#define WITH_STORE(function) cmocka_unit_test_setup_teardown(function, begin, finish)
RUN(WITH_STORE(an_item_alone_is_committed_at_once), WITH_STORE(nobody_is_told_before_the_transaction_has_ended),
    WITH_STORE(what_gathers_during_a_transaction_is_the_next_one), WITH_STORE(a_batch_is_bounded),
    WITH_STORE(a_failure_is_told_to_each_of_its_batch_and_to_no_other), WITH_STORE(each_hears_of_its_own_list),
    WITH_STORE(closing_commits_what_was_submitted), WITH_STORE(a_batch_waits_for_what_is_expected_but_not_for_ever),
    WITH_STORE(in_a_hurry_a_batch_waits_but_a_moment_and_only_for_many),
    WITH_STORE(many_submit_at_once_and_each_hears_of_its_own))
