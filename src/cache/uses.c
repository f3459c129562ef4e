/* cache/uses.c: a token is on the list while its count is not 0: the thread that raises it from 0 puts it there. The
 * list is a stack to which many threads push and which one takes as a whole, so there is no ABA problem. */
#include "cache/uses.h"
#include "observe/metrics.h"
#include <stdatomic.h>
#include <stdlib.h>

struct use {
    struct use *next; /* on the list */
    atomic_ullong times;
    atomic_llong last_used_at; /* s */
    atomic_uint refs;
    enum token_kind kind;
    unsigned char hash[32];
};

struct uses {
    _Alignas(64) _Atomic(struct use *) list;
    atomic_size_t listed; /* on the list, collected or taken */
    struct use *collected;
    struct use *batch[USES_BATCH]; /* taken */
    size_t taken;
};

struct use *use_new(const unsigned char hash[32], enum token_kind kind)
{
    struct use *use = mem_alloc(sizeof *use);
    memset((void *)use, 0, sizeof *use);
    atomic_store_explicit(&use->refs, 1, memory_order_relaxed);
    use->kind = kind;
    memcpy(use->hash, hash, sizeof use->hash);
    return use;
}

void use_release(struct use *use)
{
    if (use && atomic_fetch_sub_explicit(&use->refs, 1, memory_order_acq_rel) == 1)
        free(use);
}

struct uses *uses_new(void)
{
    struct uses *uses = aligned_alloc(_Alignof(struct uses), sizeof *uses);
    if (!uses)
        abort(); /* as mem_alloc() does, which takes no alignment */
    memset((void *)uses, 0, sizeof *uses);
    return uses;
}

static void uses_release_all(struct use *list)
{
    for (struct use *next; list; list = next) {
        next = list->next;
        use_release(list);
    }
}

void uses_free(struct uses *uses)
{
    if (!uses)
        return;
    uses_release_all(atomic_load(&uses->list));
    uses_release_all(uses->collected);
    free(uses);
}

/* With a reference of the list's own. */
static void uses_push(struct uses *uses, struct use *use)
{
    atomic_fetch_add_explicit(&use->refs, 1, memory_order_relaxed);
    use->next = atomic_load_explicit(&uses->list, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&uses->list, &use->next, use, memory_order_release,
                                                  memory_order_relaxed))
        ;
}

void uses_note(struct uses *uses, struct use *use, int64_t now_s)
{
    if (atomic_load_explicit(&use->last_used_at, memory_order_relaxed) < now_s)
        atomic_store_explicit(&use->last_used_at, now_s, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&use->times, 1, memory_order_acq_rel) > 0)
        return; /* the usual case of a token that is used often */
    if (atomic_fetch_add_explicit(&uses->listed, 1, memory_order_relaxed) < USES_MAX) {
        uses_push(uses, use);
        return;
    }
    atomic_fetch_sub_explicit(&uses->listed, 1, memory_order_relaxed);
    metrics_count(COUNT_USES_DROPPED, atomic_exchange_explicit(&use->times, 0, memory_order_acq_rel));
}

void uses_collect(struct uses *uses)
{
    if (!uses->collected)
        uses->collected = atomic_exchange_explicit(&uses->list, NULL, memory_order_acquire);
}

size_t uses_take(struct uses *uses, struct use_count out[USES_BATCH])
{
    size_t count = 0;
    for (struct use *use; count < USES_BATCH && (use = uses->collected); count++) {
        uses->collected = use->next; /* first: with its count gone it may be put on the list again */
        out[count] = (struct use_count){ .kind = use->kind };
        memcpy(out[count].hash, use->hash, sizeof use->hash);
        out[count].last_used_at = atomic_load_explicit(&use->last_used_at, memory_order_relaxed);
        out[count].times = atomic_exchange_explicit(&use->times, 0, memory_order_acq_rel);
        uses->batch[count] = use;
    }
    uses->taken = count;
    return count;
}

void uses_settle(struct uses *uses, const struct use_count taken[USES_BATCH], bool is_written)
{
    for (size_t i = 0; i < uses->taken; i++) {
        struct use *use = uses->batch[i];
        if (!is_written && atomic_fetch_add_explicit(&use->times, taken[i].times, memory_order_acq_rel) == 0) {
            use->next = uses->collected; /* its place and its reference stay */
            uses->collected = use;
            continue;
        }
        atomic_fetch_sub_explicit(&uses->listed, 1, memory_order_relaxed);
        use_release(use);
    }
    uses->taken = 0;
}
