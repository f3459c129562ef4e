/* http/shares.c: two accounts in nanoseconds: what a loop owes to jobs, and what connections that it holds may take. */
#include "http/shares.h"
#include "base/clock.h"
#include "http/advance.h"
#include "service/service.h"

enum {
    JOBS_PART = 2,          /* of the time that events took */
    TURN_LEAST_NS = 100000, /* of several short jobs: then looking for events is little of their cost */
    OWED_MOST_NS = 4000000,
    AVERAGE_PART = 16,
    AT_ONCE_MS = 250,       /* sooner than any Retry-After says */
    HELD_PART = 16,         /* of the loop's time, which they get */
    HELD_MOST_NS = 4000000, /* saved up */
    HELD_AT_ONCE = 64,
};

/* One that has nothing to do helps with what this one leaves. */
static void shares_wake_another(const struct loop *loop)
{
    for (size_t i = 0; i < loop->options.loop_count; i++) {
        struct loop *other = loop->options.loops[i];
        if (!atomic_load_explicit(&other->sleeps, memory_order_relaxed))
            continue;
        loop_wake(other);
        return;
    }
}

/* Events come first, since most take little time, and jobs have what they leave; but while there are both, jobs get at
 * least a third: half as long as the events before them took, as soon as that is enough for one. So neither keeps the
 * other waiting for much longer than it takes itself. */
void shares_give_turns(struct loop *loop, bool had_events, int64_t began_ns)
{
    struct turns *turns = loop->options.turns;
    struct job *job = NULL;
    int64_t now_ns = clock_ns();
    loop->owed_ns += (now_ns - began_ns) / JOBS_PART;
    if (loop->owed_ns > OWED_MOST_NS)
        loop->owed_ns = OWED_MOST_NS;
    if (had_events && loop->owed_ns < loop->job_ns)
        return;
    const int64_t until_ns = now_ns + TURN_LEAST_NS;
    do {
        if (!(job = turns_take(turns, now_ns)))
            break;
        if (turns_count(turns) > 0)
            shares_wake_another(loop);
        job->run(job);
        const int64_t then_ns = now_ns;
        now_ns = clock_ns();
        loop->job_ns += (now_ns - then_ns - loop->job_ns) / AVERAGE_PART;
        loop->owed_ns -= now_ns - then_ns;
    } while (now_ns < until_ns && (!had_events || loop->owed_ns >= loop->job_ns));
    if (!job || loop->owed_ns < 0) /* nothing is owed to nobody, and what was left by events was given */
        loop->owed_ns = 0;
}

/* Requests wait for their turn, and any that comes would take it from them. */
static bool shares_are_short(const struct loop *loop)
{
    return atomic_load_explicit(&loop->options.service->state.jobs_waiting, memory_order_relaxed) > 0 &&
           !atomic_load_explicit(loop->options.stopping, memory_order_relaxed);
}

bool shares_hold(struct loop *loop, struct connection *connection)
{
    const bool has_more = connection->transport.readable || connection->exchange;
    if (connection->phase != PHASE_IDLE || !connection->put_off_ms || !has_more)
        return false;
    const bool waited = !connection->is_held && clock_coarse_ms() - connection->put_off_ms > AT_ONCE_MS;
    if (!waited && shares_are_short(loop) && !connection->transport.at_end) {
        connection_hold(&loop->connections, connection, true);
        return true;
    }
    connection_hold(&loop->connections, connection, false);
    return false;
}

/* Who asks again at once after a refusal would be refused again, and whatever that costs is taken from those who were
 * not. So such a connection's next request is not read before the others of its kind have been, in a line that gets a
 * part of the loop's time; or all that it wants, when nobody waits for a turn any more. */
void shares_hear_held(struct loop *loop)
{
    int64_t now_ns = clock_ns();
    loop->allowance_ns += (now_ns - loop->since_ns) / HELD_PART;
    if (loop->allowance_ns > HELD_MOST_NS)
        loop->allowance_ns = HELD_MOST_NS;
    for (int i = 0; i < HELD_AT_ONCE && loop->connections.held.oldest; i++) {
        struct connection *connection = loop->connections.held.oldest;
        if (loop->allowance_ns <= 0 && shares_are_short(loop))
            break;
        connection_hold(&loop->connections, connection, false);
        connection->put_off_ms = 0;
        (void)advance(loop, connection);
        const int64_t then_ns = now_ns;
        now_ns = clock_ns();
        loop->allowance_ns -= now_ns - then_ns;
    }
    loop->since_ns = now_ns;
}
