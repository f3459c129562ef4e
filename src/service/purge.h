/* service/purge.h: deletes expired rows from the store: as many as are due, in steps that hold nobody up for long. How
 * large a step is follows from how long the last one kept others from writing; after it, the store is left alone for
 * longer. So rows go as fast as the machine can delete them in a part of its time, which is faster than it can make new
 * ones. */
#ifndef SERVICE_PURGE_H
#define SERVICE_PURGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

/* Where the time comes from. */
struct purge_clock {
    int64_t (*now_ns)(void *context);
    /* Waits for so long. False: end here, something else is wanted. */
    bool (*pause)(void *context, int64_t ns);
    void *context;
};

struct purge {
    struct store *store;
    struct purge_clock clock;
    size_t rows;   /* of the next step, at most */
    int64_t pause; /* after it, as long as it held others up; less and less while more piles up than is deleted */
};

struct purge purge_begin(struct store *store, struct purge_clock clock);

enum purge_end {
    PURGE_DONE,       /* nothing is due any more; or the store failed, which is logged */
    PURGE_BUSY,       /* the same, after so many rows that soon there will be as many again */
    PURGE_UNFINISHED, /* time was up, or something else was wanted */
};
/* Deletes what had expired long before `settled_s` (store.h). After `until_ns` no step is begun but the first. */
enum purge_end purge_run(struct purge *purge, int64_t settled_s, int64_t until_ns);

#endif
