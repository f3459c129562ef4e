/* test_purge.c: how fast expired rows go, by a clock that stands still unless the store or a pause takes its time: the
 * store and its rows are counted in the store's place. */
#include "service/purge.h"
#include "store/store.h"
#include "unit.h"

enum { SECOND = 1000000000, MS = 1000000, ROUNDS = 120 };

/* A store as it could be. */
struct machine {
    int64_t now_ns;
    int64_t transaction_ns, row_ns; /* what deleting costs */
    double rate;                    /* rows that come to be due in a second */
    double due;
    double held_ns, longest_ns; /* others could not write: in all, and at once */
    size_t steps, most, pauses_left;
    bool fails;
};

static struct machine machine;

static void pass(int64_t ns)
{
    machine.now_ns += ns;
    machine.due += machine.rate * (double)ns / (double)SECOND;
}

static struct err delete_rows(struct store *self, int64_t now_s, size_t max, size_t *deleted, int64_t *held_ns)
{
    (void)self;
    assert_int_equal(now_s, 1234);
    machine.steps++;
    if (machine.fails)
        return failed(ERR_UNAVAILABLE, "the store failed");
    *deleted = machine.due < (double)max ? (size_t)machine.due : max;
    machine.most = *deleted > machine.most ? *deleted : machine.most;
    machine.due -= (double)*deleted;
    *held_ns = machine.transaction_ns + (int64_t)*deleted * machine.row_ns;
    machine.held_ns += (double)*held_ns;
    machine.longest_ns = (double)*held_ns > machine.longest_ns ? (double)*held_ns : machine.longest_ns;
    pass(*held_ns);
    return OK;
}

static int64_t now_ns(void *context)
{
    assert_ptr_equal(context, &machine);
    return machine.now_ns;
}

static bool pause_for(void *context, int64_t ns)
{
    assert_ptr_equal(context, &machine);
    pass(ns);
    return machine.pauses_left-- > 0;
}

static struct purge purge_of(struct machine like, bool is_shared)
{
    static struct store_ops ops;
    static struct store counted = { .ops = &ops };
    ops = (struct store_ops){ .purge = delete_rows, .is_shared = is_shared };
    machine = like;
    machine.pauses_left = SIZE_MAX;
    return purge_begin(&counted, (struct purge_clock){ now_ns, pause_for, &machine });
}

/* As housekeeping does it: the rest of a round, then the next one. */
static enum purge_end round_of(struct purge *purge)
{
    const int64_t end_ns = machine.now_ns + SECOND;
    const enum purge_end end = purge_run(purge, 1234, end_ns);
    if (machine.now_ns < end_ns)
        pass(end_ns - machine.now_ns);
    return end;
}

/* ES256 issues 22,000 tokens a second on a core, where a row is deleted in a microsecond: twice as many go, and what
 * had piled up too, while most of the time is left to those who write. */
static void rows_go_faster_than_they_can_come(void **state)
{
    static const struct {
        const char *name;
        bool is_shared;
        struct machine machine;
        double longest_ms, part; /* of the time */
    } rows[] = {
        { "a usual machine", false, { .row_ns = 1000, .rate = 44000 }, 8, 9 },
        { "rows of several indexes", false, { .row_ns = 5000, .rate = 44000 }, 8, 4 },
        { "a slow machine", false, { .row_ns = 20000, .rate = 11000 }, 11, 4 },
        { "one that begins each step slowly", false, { .transaction_ns = MS, .row_ns = 3000, .rate = 44000 }, 8, 4 },
        { "a shared one", true, { .transaction_ns = 3 * MS, .row_ns = 10000, .rate = 42000 }, 200, 2 },
        { "a shared one over HTTP", true, { .transaction_ns = 10 * MS, .row_ns = 10000, .rate = 42000 }, 200, 2 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct purge purge = purge_of(rows[i].machine, rows[i].is_shared);
        machine.due = 100000;
        for (int k = 0; k < ROUNDS; k++)
            (void)round_of(&purge);
        assert_row(machine.due < 2 * machine.rate, rows[i].name);
        assert_row(machine.held_ns <= (double)machine.now_ns / rows[i].part, rows[i].name);
        assert_row(machine.longest_ns <= rows[i].longest_ms * (double)MS, rows[i].name);
        assert_int_not_equal(round_of(&purge), PURGE_DONE); /* it is the same again in a second, not in a minute */
    }
}

/* Whatever a row costs, a step takes some ms: not more than half again, once the first ones have shown it. */
static void a_step_is_as_large_as_the_last_ones_were_quick(void **state)
{
    static const int64_t costs_ns[] = { 1000, 5000, 20000, 2000, 39000, 1500 };
    struct purge purge = purge_of((struct machine){ .due = 1e9 }, false);
    (void)state;
    for (size_t i = 0; i < COUNT(costs_ns); i++) {
        machine.row_ns = costs_ns[i];
        (void)round_of(&purge);
        machine.longest_ns = 0;
        (void)round_of(&purge);
        assert_true(machine.longest_ns > 3 * MS && machine.longest_ns < 6 * MS);
    }
    machine.row_ns = 10 * MS; /* so slow that no step is small enough */
    for (size_t i = 0; i < 10; i++) {
        machine.most = 0;
        (void)round_of(&purge);
    }
    assert_int_equal(machine.most, 100);
    machine.row_ns = machine.transaction_ns = 0; /* by a clock that sees nothing */
    for (size_t i = 0; i < 100; i++) {
        machine.pauses_left = 1;
        (void)purge_run(&purge, 1234, INT64_MAX);
    }
    assert_true(machine.most <= 100000);
}

static void what_is_due_ends_it_or_the_time_or_what_else_is_wanted(void **state)
{
    (void)state;
    struct purge purge = purge_of((struct machine){ .row_ns = 1000 }, false);
    assert_int_equal(purge_run(&purge, 1234, SECOND), PURGE_DONE); /* nothing is due */
    assert_int_equal(machine.steps, 1);
    machine.due = 10;
    assert_int_equal(purge_run(&purge, 1234, SECOND), PURGE_DONE);
    assert_int_equal(machine.steps, 2);
    assert_int_equal((int)machine.due, 0);
    machine.due = 10000;
    assert_int_equal(purge_run(&purge, 1234, SECOND), PURGE_BUSY);
    assert_int_equal((int)machine.due, 0);
    machine.due = 1e9;
    assert_int_equal(purge_run(&purge, 1234, machine.now_ns + SECOND), PURGE_UNFINISHED);
    machine.steps = 0;
    assert_int_equal(purge_run(&purge, 1234, 0), PURGE_UNFINISHED);
    assert_int_equal(machine.steps, 1);
    machine.pauses_left = 3;
    assert_int_equal(purge_run(&purge, 1234, INT64_MAX), PURGE_UNFINISHED);
    assert_int_equal(machine.steps, 1 + 4);
    machine.fails = true;
    machine.steps = 0;
    assert_int_equal(purge_run(&purge, 1234, INT64_MAX), PURGE_DONE); /* again at the next interval */
    assert_int_equal(machine.steps, 1);
}

RUN(TEST(rows_go_faster_than_they_can_come), TEST(a_step_is_as_large_as_the_last_ones_were_quick),
    TEST(what_is_due_ends_it_or_the_time_or_what_else_is_wanted))
