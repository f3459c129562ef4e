/* service/purge.c: step after step. */
#include "service/purge.h"
#include "observe/metrics.h"
#include "store/store.h"

/* A step of the embedded store keeps its one writer from committing, as does a commit itself. Of a shared one, others
 * hardly notice; but each of its steps takes a round trip. */
enum { STEP_NS = 4000000, SHARED_STEP_NS = 100000000 };
/* In a tenth of the time of SQLite's writer, three rows are deleted for each one that is added in the rest. Where rows
 * cost more, or have piled up, it takes more, up to a fourth. */
enum { PAUSE = 9, PAUSE_LEAST = 3, SHARED_PAUSE = 1 };
enum { ROWS_FIRST = 500, ROWS_LEAST = 100, ROWS_MOST = 50000 };

/* Where nothing has piled up. */
static int64_t purge_usual_pause(const struct store *store)
{
    return store->ops->is_shared ? SHARED_PAUSE : PAUSE;
}

struct purge purge_begin(struct store *store, struct purge_clock clock)
{
    return (struct purge){ .store = store, .clock = clock, .rows = ROWS_FIRST, .pause = purge_usual_pause(store) };
}

/* As many as would have fitted, but no more than twice as many as before, and no fewer than half: one step may have
 * been held up by something else. */
static size_t purge_rows_after(const struct purge *purge, int64_t held_ns)
{
    const int64_t goal_ns = purge->store->ops->is_shared ? SHARED_STEP_NS : STEP_NS;
    const size_t rows = purge->rows;
    const size_t fitting = held_ns > 0 ? (size_t)((int64_t)rows * goal_ns / held_ns) : 2 * rows;
    const size_t least = rows / 2 > ROWS_LEAST ? rows / 2 : ROWS_LEAST;
    const size_t most = 2 * rows < ROWS_MOST ? 2 * rows : ROWS_MOST;
    return fitting < least ? least : fitting > most ? most : fitting;
}

enum purge_end purge_run(struct purge *purge, int64_t settled_s, int64_t until_ns)
{
    const struct purge_clock *clock = &purge->clock;
    for (size_t total = 0;;) {
        const size_t asked = purge->rows;
        size_t deleted = 0;
        int64_t held_ns = 0;
        if (purge->store->ops->purge(purge->store, settled_s, asked, &deleted, &held_ns).code)
            return PURGE_DONE;
        metrics_count(COUNT_PURGED, deleted);
        total += deleted;
        if (deleted < asked) {
            purge->pause = purge_usual_pause(purge->store);
            return total < ROWS_FIRST ? PURGE_DONE : PURGE_BUSY;
        }
        purge->rows = purge_rows_after(purge, held_ns);
        if (clock->now_ns(clock->context) >= until_ns || !clock->pause(clock->context, held_ns * purge->pause)) {
            purge->pause -= purge->pause > PAUSE_LEAST;
            return PURGE_UNFINISHED;
        }
    }
}
