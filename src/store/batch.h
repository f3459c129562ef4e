/* store/batch.h: a verdict for each list of a batch. A batch is stored as one, but for the lists that the store leaves
 * out of it by a verdict of their own; when a list in it is bad, it is split and tried in halves, until the good lists
 * are stored and only the bad one is refused. */
#ifndef STORE_BATCH_H
#define STORE_BATCH_H

#include "store/store.h"

/* Of a bad list in 256 it takes 17; more than that many calls no batch gets, and what is left is told to try again. */
enum { BATCH_LISTS_MAX = 1024, BATCH_CALLS_MAX = 64 };

/* Keeps the records of all lists or of none; but nothing of a list whose verdict (OK before) it sets, which needs no
 * other try. On failure *is_of_records: a list among these is to blame (or may be), rather than the store, which would
 * fail the others as well; then no verdict counts. */
typedef struct err (*batch_keep)(struct store *store, const struct record *const *lists, size_t count,
                                 struct err *verdicts, bool *is_of_records);

/* store_ops.record by that means: one call of `keep`, when all goes well. At most BATCH_LISTS_MAX lists. */
void batch_record(struct store *store, batch_keep keep, const struct record *const *lists, size_t count,
                  struct err *verdicts);

/* For a caller that needs one verdict: the first that is not OK. */
MUST_USE struct err batch_record_all(struct store *store, const struct record *const *lists, size_t count);

#endif
