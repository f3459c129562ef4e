/* store/commit.h: group commit. Many requests' records become one transaction on one thread; each submitter is told
 * when its records are durable. While a transaction runs, the next batch gathers; when more requests are on their way
 * (commit_expect), a batch waits a moment for them, since a flush costs more than a record. */
#ifndef STORE_COMMIT_H
#define STORE_COMMIT_H

#include "store/store.h"

struct commit;

/* One request's records. The submitter owns it until `done`, which is called on the commit thread, exactly once, and
 * must not block. `failure` is OK when all is durable; ERR_INVALID_REQUEST when the store can't hold one of them, or
 * ERR_CONFLICT when an item is not as it must be, and none is kept; else ERR_UNAVAILABLE, and perhaps they are. */
struct commit_item {
    const struct record *records;
    void (*done)(struct commit_item *, struct err failure);
    struct commit_item *next; /* commit.c's own */
};

/* The store must outlive it. Also after an error *out is to be closed. */
MUST_USE struct err commit_open(struct store *store, struct commit **out);
/* Takes the item into the next batch. Never blocks. */
void commit_submit(struct commit *commit, struct commit_item *item);
/* The same, waiting until it is durable: for fronts without a loop. */
MUST_USE struct err commit_wait(struct commit *commit, const struct record *records);
/* Says that `delta` more (or fewer) requests are on workers and may submit soon. */
void commit_expect(struct commit *commit, int delta);
/* From now on a batch waits for requests on workers half a millisecond, and only while there are many, since they
 * wait for a network themselves (AWS KMS): for some milliseconds, not for a signature's quarter of one. Before the
 * first request. */
void commit_hurry(struct commit *commit);
/* Items waiting or in the transaction that is running; for metrics. */
size_t commit_depth(const struct commit *commit);
/* Commits what was submitted, then stops the thread and frees. NULL allowed. */
void commit_close(struct commit *commit);

#endif
