/* revocation/store_pages.c: one page after the other, or, of many in a shared store, several parts of what is left at
 * once: while one page is made by the database or is on its way, another one is read here.
 *
 * Positions become visible in their order (store.h), so whoever sees one has seen all before it that there will ever
 * be. A part that has seen its end is complete, then. One that has not may lack what became visible since, and what the
 * parts behind it have taken does no harm, but says nothing: reading goes on after the first such part. */
#include "revocation/store_pages.h"
#include "base/wall_clock.h"
#include <pthread.h>
#include <time.h>

enum { PARTS = 4, PARTS_WORTH = 4 * PARTS /* pages that are left */ };

bool sequence_goes_on(struct sequence *known, const struct sequence *read)
{
    if (known->epoch != 0 && (known->epoch != read->epoch || known->last > read->last))
        return false;
    *known = *read;
    return true;
}

static struct err store_pages_read_one(const struct store_pages *pages, struct sequence *known, size_t batch,
                                       int64_t *position, size_t *count)
{
    struct store *store = pages->store;
    AUTO(arena_release) struct arena arena;
    struct revocation *found = NULL;
    struct sequence sequence;
    arena_init(&arena, NULL, 0);
    TRY(store->ops->revocations_since(store, &arena, *position, wall_clock_by_all_s((int64_t)time(NULL)), batch, &found,
                                      count, &sequence));
    if (!sequence_goes_on(known, &sequence))
        return failed(ERR_CONFLICT, "the positions of revocations in the store started over");
    TRY(pages->take(pages->context, &arena, found, *count));
    if (*count > 0)
        *position = found[*count - 1].position;
    return OK;
}

/* --- parts ------------------------------------------------------------------------------------------------------- */

struct part {
    const struct store_pages *pages;
    struct sequence sequence;
    size_t batch;
    int64_t position, end;
    struct err err;
    pthread_t thread;
    bool has_thread;
};

static void *store_pages_read_part(void *arg)
{
    struct part *part = arg;
    size_t count = part->batch;
    while (!part->err.code && count == part->batch && part->position < part->end)
        part->err = store_pages_read_one(part->pages, &part->sequence, part->batch, &part->position, &count);
    return NULL;
}

/* All parts but the first on threads of their own; on this one what no thread can be had for. */
static void store_pages_run_parts(struct part parts[PARTS])
{
    for (size_t i = 1; i < PARTS; i++)
        parts[i].has_thread = pthread_create(&parts[i].thread, NULL, store_pages_read_part, &parts[i]) == 0;
    for (size_t i = 0; i < PARTS; i++)
        if (!parts[i].has_thread)
            (void)store_pages_read_part(&parts[i]);
    for (size_t i = 0; i < PARTS; i++)
        if (parts[i].has_thread)
            pthread_join(parts[i].thread, NULL);
}

static bool store_pages_are_worth_parts(const struct store_pages *pages, size_t batch, int64_t position)
{
    const int64_t last = pages->sequence.last;
    return pages->in_parts && last != INT64_MAX && (last - position) / (int64_t)batch >= PARTS_WORTH;
}

/* What is left behind *position, but for what has come since the last page. */
static struct err store_pages_read_parts(struct store_pages *pages, size_t batch, int64_t *position)
{
    struct part parts[PARTS];
    const int64_t size = (pages->sequence.last - *position) / PARTS;
    for (size_t i = 0; i < PARTS; i++) {
        const int64_t begin = *position + size * (int64_t)i;
        parts[i] = (struct part){ .pages = pages,
                                  .sequence = pages->sequence,
                                  .batch = batch,
                                  .position = begin,
                                  .end = begin + size,
                                  .err = OK };
    }
    store_pages_run_parts(parts);
    for (size_t i = 0; i < PARTS; i++) {
        *position = parts[i].position;
        TRY(parts[i].err);
        if (parts[i].position < parts[i].end)
            break;
    }
    return OK;
}

/* --- all --------------------------------------------------------------------------------------------------------- */

struct err store_pages_read(struct store_pages *pages, size_t batch, int64_t *position)
{
    size_t count = 0;
    TRY(store_pages_read_one(pages, &pages->sequence, batch, position, &count));
    if (count == batch && store_pages_are_worth_parts(pages, batch, *position))
        TRY(store_pages_read_parts(pages, batch, position));
    while (count == batch)
        TRY(store_pages_read_one(pages, &pages->sequence, batch, position, &count));
    return OK;
}
