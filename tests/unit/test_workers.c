/* test_workers.c: the pool of threads and its two queues: what is refused, who waits for whom, what has waited for too
 * long, and that all of it is run before the end. Jobs here end when the test lets them. */
#include "http/workers.h"
#include "unit.h"
#include <semaphore.h>

enum { JOBS = 64 };
static const int64_t EVER_NS = INT64_MAX / 2;

struct held {
    struct job job;
};

static sem_t begun, may_end;
static atomic_size_t waiting, turns;
static struct held jobs[JOBS];
static size_t order[JOBS];
static bool was_late[JOBS];

static void run_held(struct job *job)
{
    size_t at = (size_t)((struct held *)(void *)job - jobs);
    order[at] = atomic_fetch_add(&turns, 1);
    was_late[at] = job->is_late;
    sem_post(&begun);
    while (sem_wait(&may_end) != 0)
        continue;
}

static void begin(void)
{
    sem_init(&begun, 0, 0);
    sem_init(&may_end, 0, 0);
    atomic_store(&waiting, 0);
    atomic_store(&turns, 0);
    for (size_t i = 0; i < JOBS; i++)
        jobs[i].job.run = run_held;
}

static bool submit(struct workers *workers, size_t at, bool is_stranger)
{
    return workers_submit(workers, &jobs[at].job, is_stranger) == QUEUE_TAKEN;
}

static void wait_for(sem_t *semaphore, size_t times)
{
    for (size_t i = 0; i < times; i++)
        while (sem_wait(semaphore) != 0)
            continue;
}

static void let(size_t end)
{
    for (size_t i = 0; i < end; i++)
        sem_post(&may_end);
}

static void a_full_queue_of_strangers_leaves_the_others_theirs(void **state)
{
    struct workers *workers = NULL;
    begin();
    assert_code(workers_open(1, 16, EVER_NS, &waiting, &workers), ERR_OK, "open");
    assert_true(submit(workers, 0, true));
    wait_for(&begun, 1);
    for (size_t i = 1; i <= 8; i++)
        assert_true(submit(workers, i, true)); /* half of 16 */
    assert_false(submit(workers, 9, true));
    for (size_t i = 10; i < 26; i++)
        assert_true(submit(workers, i, false));
    assert_false(submit(workers, 26, false));
    assert_int_equal(atomic_load(&waiting), 24);
    let(25);
    workers_close(workers);
    assert_int_equal(atomic_load(&turns), 25);
    assert_int_equal(atomic_load(&waiting), 0);
    (void)state;
}

static void strangers_never_have_all_of_the_threads(void **state)
{
    struct workers *workers = NULL;
    begin();
    assert_code(workers_open(4, 64, EVER_NS, &waiting, &workers), ERR_OK, "open");
    for (size_t i = 0; i < 6; i++)
        assert_true(submit(workers, i, true));
    wait_for(&begun, 2);
    assert_int_equal(atomic_load(&waiting), 4);
    for (size_t i = 6; i < 8; i++)
        assert_true(submit(workers, i, false));
    wait_for(&begun, 2); /* the known ones, though strangers came before */
    assert_true(order[6] >= 2 && order[7] >= 2 && order[6] < 4 && order[7] < 4);
    let(8);
    workers_close(workers);
    assert_int_equal(atomic_load(&turns), 8);
    (void)state;
}

static void neither_queue_starves_the_other(void **state)
{
    struct workers *workers = NULL;
    begin();
    assert_code(workers_open(1, 40, EVER_NS, &waiting, &workers), ERR_OK, "open");
    assert_true(submit(workers, 0, false));
    wait_for(&begun, 1);
    for (size_t i = 1; i <= 5; i++)
        assert_true(submit(workers, i, true));
    for (size_t i = 6; i < 36; i++)
        assert_true(submit(workers, i, false));
    let(36);
    workers_close(workers);
    size_t last_stranger = 0, known_before = 0;
    for (size_t i = 1; i <= 5; i++)
        last_stranger = order[i] > last_stranger ? order[i] : last_stranger;
    for (size_t i = 6; i < 36; i++)
        known_before += order[i] < last_stranger;
    assert_int_equal(last_stranger, 20); /* the fifth of every four */
    assert_int_equal(known_before, 15);
    (void)state;
}

static void what_is_queued_is_run_before_the_end(void **state)
{
    struct workers *workers = NULL;
    begin();
    assert_code(workers_open(3, 64, EVER_NS, &waiting, &workers), ERR_OK, "open");
    size_t taken = 0;
    for (size_t i = 0; i < 40; i++)
        taken += submit(workers, i, i % 2 == 0);
    let(40);
    workers_close(workers);
    assert_int_equal(atomic_load(&turns), taken);
    (void)state;
}

static void what_waited_too_long_is_late_while_a_crowd_waits_behind_it(void **state)
{
    struct workers *workers = NULL;
    begin();
    assert_code(workers_open(1, JOBS, 1, &waiting, &workers), ERR_OK, "open");
    assert_true(submit(workers, 0, false));
    wait_for(&begun, 1);
    for (size_t i = 1; i < QUEUE_LEAST + 4; i++)
        assert_true(submit(workers, i, false));
    let(QUEUE_LEAST + 4);
    workers_close(workers);
    assert_true(was_late[1] && was_late[3]);
    assert_false(was_late[4]); /* the crowd's first */
    (void)state;
}

RUN(TEST(a_full_queue_of_strangers_leaves_the_others_theirs), TEST(strangers_never_have_all_of_the_threads),
    TEST(neither_queue_starves_the_other), TEST(what_is_queued_is_run_before_the_end),
    TEST(what_waited_too_long_is_late_while_a_crowd_waits_behind_it))
