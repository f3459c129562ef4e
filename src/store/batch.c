/* store/batch.c: splits a batch. */
#include "store/batch.h"
#include "observe/log.h"

enum { DEPTH_MAX = 16 }; /* halves of halves of BATCH_LISTS_MAX */

struct part {
    size_t from, count;
};

static void batch_tell(struct err *verdicts, struct part part, struct err verdict)
{
    for (size_t i = 0; i < part.count; i++)
        verdicts[part.from + i] = verdict;
}

/* Keeps one part, and tells its lists; or splits it in two, the first of which comes next. True: the store itself is at
 * fault, and *fault says how. */
static bool batch_settle(struct store *store, batch_keep keep, const struct record *const *lists, struct err *verdicts,
                         struct part *parts, size_t *left, struct err *fault)
{
    const struct part part = parts[--*left];
    bool is_of_records = false;
    batch_tell(verdicts, part, OK);
    struct err err = keep(store, lists + part.from, part.count, verdicts + part.from, &is_of_records);
    if (err.code && is_of_records && part.count > 1) {
        parts[(*left)++] = (struct part){ part.from + part.count / 2, part.count - part.count / 2 };
        parts[(*left)++] = (struct part){ part.from, part.count / 2 };
        return false;
    }
    if (err.code)
        batch_tell(verdicts, part, err);
    if (err.code && is_of_records)
        LOG(LOG_WARN, "record_refused", LOG_TEXT_("store", store->ops->name), LOG_TEXT_("why", err.why));
    *fault = err;
    return err.code && !is_of_records;
}

void batch_record(struct store *store, batch_keep keep, const struct record *const *lists, size_t count,
                  struct err *verdicts)
{
    struct part parts[DEPTH_MAX] = { { 0, count } };
    struct err fault = failed(ERR_UNAVAILABLE, "too many others in the same batch were refused; try again");
    size_t left = count > 0 && count <= BATCH_LISTS_MAX;
    for (int calls = 0; left > 0 && calls < BATCH_CALLS_MAX; calls++) {
        struct err last;
        if (batch_settle(store, keep, lists, verdicts, parts, &left, &last)) {
            fault = last;
            break;
        }
    }
    while (left > 0)
        batch_tell(verdicts, parts[--left], fault);
    if (count > BATCH_LISTS_MAX)
        batch_tell(verdicts, (struct part){ 0, count }, failed(ERR_TOO_LARGE, "that is too much for one batch"));
}

struct err batch_record_all(struct store *store, const struct record *const *lists, size_t count)
{
    struct err verdicts[BATCH_LISTS_MAX];
    if (count > BATCH_LISTS_MAX)
        return failed(ERR_TOO_LARGE, "that is too much for one batch");
    store->ops->record(store, lists, count, verdicts);
    for (size_t i = 0; i < count; i++)
        if (verdicts[i].code)
            return verdicts[i];
    return OK;
}
