/* store/commit.c: one thread, one queue, one transaction after the other.
 *
 * While a transaction runs, the next batch gathers. When it would be small although more requests wait for their turn
 * or are on workers (commit_expect), it waits for them, up to WAIT_TIMES as long as the last transaction took: under
 * load that turns some thousand flushes a second into some hundred. Where requests come by themselves, one after the
 * other and not as fast as they could be served, it waits for a few of them, if they come within COMPANY_MAX_NS: a
 * flush takes some 125 us of a processor, and at half of the load that a core can take that was a fourth of what
 * issuing a token took (415 us, and 306 with it). A request that is alone never waits.
 *
 * For a store whose calls are costly in themselves (PostgREST) a batch is even larger: it waits until all but a fourth
 * of the requests on their way have arrived. Where workers wait for a network (commit_hurry), most of the expected
 * requests come later than that: then it waits for HURRIED_WAIT_US, and only when so many are on their way that some
 * must arrive by then. */
#include "store/commit.h"
#include "base/background.h"
#include "base/clock.h"
#include "base/condition.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    BATCH_MAX = 256,
    BATCH_GOOD = 96,
    LEFT_GOOD = 16, /* under way: enough to keep the workers busy while a batch is flushed */
    COSTLY_GOOD = 128,
    COSTLY_PART = 3, /* of those that wait: when fewer are expected, they are not waited for */
    WAIT_TIMES = 24,
    WAIT_MAX_NS = 6000000,
    COSTLY_WAIT_MAX_NS = 24000000,
    COMPANY = 4, /* of those who come by themselves: so many make a flush worth its processor time */
    COMPANY_MAX_NS = 3000000,
    AVERAGE_PART = 16, /* of a moving average: what the newest weighs */
    ONE = 1024,        /* in the average of small numbers */
    HURRIED_GOOD = 32,
    HURRIED_EXPECTED = 64,
    HURRIED_WAIT_US = 500,
    STACK_BYTES = 512 * 1024,
};

struct commit {
    struct store *store;
    struct background background; /* under its lock, from here on: */
    struct commit_item *first, **last;
    size_t waiting;  /* in the queue */
    int expected;    /* requests on workers that may still submit */
    int64_t last_ns; /* how long the last transaction took */
    /* On average: how long one takes, and how many come meanwhile (in parts of ONE). */
    int64_t mean_ns, mean_came;
    bool hurries;
    bool has_company;    /* it waits for more, whatever is on its way: to wake it would only cost time */
    atomic_size_t depth; /* queue and running transaction; without the lock */
};

/* Under the lock. Not all that is under way is waited for: the workers sign the rest while this batch is flushed, and
 * would be idle at each flush without one. Half of it is enough, and so are LEFT_GOOD; a costly call keeps a processor
 * busy for as long as the other one needs to sign a fourth. */
static bool commit_is_worth_waiting(const struct commit *commit)
{
    if (commit->background.stopping)
        return false;
    if (commit->hurries)
        return commit->waiting < HURRIED_GOOD && commit->expected >= HURRIED_EXPECTED;
    if (commit->store->ops->is_costly)
        return commit->waiting < COSTLY_GOOD && commit->expected * COSTLY_PART > (int)commit->waiting;
    const size_t left = commit->waiting < LEFT_GOOD ? commit->waiting : LEFT_GOOD;
    return commit->waiting < BATCH_GOOD && commit->expected > (int)left;
}

static void commit_wait_for_more(struct commit *commit, int64_t wait_ns)
{
    const int64_t until_ns = clock_ns() + wait_ns;
    while (commit_is_worth_waiting(commit) &&
           condition_wait_until(&commit->background.changed, &commit->background.lock, until_ns))
        ;
}

/* When nothing more is on its way, but others come by themselves, soon enough: who came while a transaction ran had not
 * been waiting for its end, and more of their kind will come. */
static void commit_wait_for_company(struct commit *commit)
{
    if (commit->background.stopping || commit->hurries || commit->mean_came == 0 || commit->waiting > COMPANY)
        return;
    const int64_t wait_ns = commit->mean_ns * COMPANY * ONE / commit->mean_came;
    if (wait_ns > COMPANY_MAX_NS)
        return;
    const int64_t until_ns = clock_ns() + wait_ns;
    commit->has_company = true;
    while (!commit->background.stopping &&
           condition_wait_until(&commit->background.changed, &commit->background.lock, until_ns))
        ;
    commit->has_company = false;
}

/* Under the lock, when something has come or been given up. */
static bool commit_wakes(const struct commit *commit)
{
    return !commit->has_company && !commit_is_worth_waiting(commit);
}

/* For those that are on their way. */
static int64_t commit_longest_wait_ns(const struct commit *commit)
{
    const int64_t most_ns = commit->store->ops->is_costly ? COSTLY_WAIT_MAX_NS : WAIT_MAX_NS;
    if (commit->hurries)
        return HURRIED_WAIT_US * INT64_C(1000);
    return commit->last_ns * WAIT_TIMES < most_ns ? commit->last_ns * WAIT_TIMES : most_ns;
}

/* Under the lock: until there is something, and then until it is enough, or nothing more is on its way, or time is up.
 */
static void commit_gather(struct commit *commit)
{
    while (!commit->first && !commit->background.stopping)
        pthread_cond_wait(&commit->background.changed, &commit->background.lock);
    if (commit_is_worth_waiting(commit))
        commit_wait_for_more(commit, commit_longest_wait_ns(commit));
    else
        commit_wait_for_company(commit);
}

/* Under the lock, after a transaction. */
static void commit_learn(struct commit *commit, int64_t took_ns)
{
    commit->last_ns = took_ns;
    commit->mean_ns += (took_ns - commit->mean_ns) / AVERAGE_PART;
    commit->mean_came += ((int64_t)commit->waiting * ONE - commit->mean_came) / AVERAGE_PART;
}

/* Under the lock: takes up to BATCH_MAX items off the queue. */
static struct commit_item *commit_take(struct commit *commit, const struct record *lists[BATCH_MAX], size_t *count)
{
    struct commit_item *batch = commit->first, **end = &commit->first;
    for (*count = 0; *end && *count < BATCH_MAX; end = &(*end)->next)
        lists[(*count)++] = (*end)->records;
    commit->first = *end;
    *end = NULL;
    if (!commit->first)
        commit->last = &commit->first;
    commit->waiting -= *count;
    return batch;
}

/* What the store says of its inside is in the log. */
static struct err commit_failure_of(struct err verdict)
{
    return verdict.code == ERR_UNAVAILABLE ? failed(ERR_UNAVAILABLE, "the store did not take the record; try again")
                                           : verdict;
}

static void commit_finish(struct commit *commit, struct commit_item *batch, const struct err *verdicts)
{
    for (size_t i = 0; batch; i++) {
        struct commit_item *item = batch;
        batch = item->next; /* first: after `done` the item is the submitter's again */
        atomic_fetch_sub(&commit->depth, 1);
        item->done(item, commit_failure_of(verdicts[i]));
    }
}

static void commit_count_kept(const struct err *verdicts, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        kept += !verdicts[i].code;
    metrics_count(COUNT_COMMITS, kept > 0);
    metrics_count(COUNT_COMMITTED_RECORDS, kept);
}

static void commit_run(void *context)
{
    struct commit *commit = context;
    pthread_mutex_lock(&commit->background.lock);
    for (;;) {
        const struct record *lists[BATCH_MAX];
        struct err verdicts[BATCH_MAX];
        size_t count = 0;
        commit_gather(commit);
        if (!commit->first)
            break; /* stopping, and nothing is left */
        struct commit_item *batch = commit_take(commit, lists, &count);
        pthread_mutex_unlock(&commit->background.lock);
        const int64_t began_ns = clock_ns();
        commit->store->ops->record(commit->store, lists, count, verdicts);
        const int64_t took_ns = clock_ns() - began_ns;
        commit_count_kept(verdicts, count);
        commit_finish(commit, batch, verdicts);
        pthread_mutex_lock(&commit->background.lock);
        commit_learn(commit, took_ns);
    }
    pthread_mutex_unlock(&commit->background.lock);
}

struct err commit_open(struct store *store, struct commit **out)
{
    struct commit *commit = mem_alloc(sizeof *commit);
    *commit = (struct commit){ .store = store };
    commit->last = &commit->first;
    background_init(&commit->background);
    *out = commit;
    return background_start(&commit->background, "commit", STACK_BYTES, commit_run, commit);
}

void commit_submit(struct commit *commit, struct commit_item *item)
{
    item->next = NULL;
    atomic_fetch_add(&commit->depth, 1);
    pthread_mutex_lock(&commit->background.lock);
    *commit->last = item;
    commit->last = &item->next;
    commit->waiting++;
    const bool wakes = commit->waiting == 1 || commit_wakes(commit);
    pthread_mutex_unlock(&commit->background.lock);
    if (wakes) /* without the lock, which it needs at once */
        pthread_cond_signal(&commit->background.changed);
}

void commit_expect(struct commit *commit, int delta)
{
    pthread_mutex_lock(&commit->background.lock);
    commit->expected += delta;
    const bool wakes = commit->waiting > 0 && commit_wakes(commit);
    pthread_mutex_unlock(&commit->background.lock);
    if (wakes)
        pthread_cond_signal(&commit->background.changed);
}

void commit_hurry(struct commit *commit)
{
    pthread_mutex_lock(&commit->background.lock);
    commit->hurries = true;
    pthread_mutex_unlock(&commit->background.lock);
}

size_t commit_depth(const struct commit *commit)
{
    return atomic_load(&commit->depth);
}

void commit_close(struct commit *commit)
{
    if (!commit)
        return;
    background_stop(&commit->background);
    free(commit);
}

/* --- waiting for one --------------------------------------------------------------------------------------------- */

struct waiter {
    struct commit_item item; /* first: `done` is given its address */
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool is_over;
    struct err failure;
};

static void commit_wake_waiter(struct commit_item *item, struct err failure)
{
    struct waiter *waiter = (struct waiter *)item;
    pthread_mutex_lock(&waiter->lock);
    waiter->failure = failure;
    waiter->is_over = true;
    pthread_cond_signal(&waiter->over);
    pthread_mutex_unlock(&waiter->lock);
}

struct err commit_wait(struct commit *commit, const struct record *records)
{
    struct waiter waiter = { .item = { .records = records, .done = commit_wake_waiter } };
    pthread_mutex_init(&waiter.lock, NULL);
    pthread_cond_init(&waiter.over, NULL);
    commit_submit(commit, &waiter.item);
    pthread_mutex_lock(&waiter.lock);
    while (!waiter.is_over)
        pthread_cond_wait(&waiter.over, &waiter.lock);
    pthread_mutex_unlock(&waiter.lock);
    pthread_cond_destroy(&waiter.over);
    pthread_mutex_destroy(&waiter.lock);
    return waiter.failure;
}
