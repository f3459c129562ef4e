/* service/usage.c: batches, and not all of them in one round of housekeeping, which also hears of revocations. */
#include "service/usage.h"
#include "base/settings.h"
#include "observe/metrics.h"
#include "service/service.h"
#include "store/store.h"

struct use *usage_begin(const struct service *service, const unsigned char hash[32], enum token_kind kind)
{
    bool is_kept = kind == TOKEN_REFRESH || (kind == TOKEN_ACCESS && service->settings->records == RECORDS_ALL);
    return service->uses && is_kept ? use_new(hash, kind) : NULL;
}

/* As the store takes them; *times: all of them together. */
static void usage_copy(const struct use_count *taken, size_t count, struct token_use *uses, uint64_t *times)
{
    *times = 0;
    for (size_t i = 0; i < count; i++) {
        uses[i] = (struct token_use){ .kind = taken[i].kind,
                                      .times = (int64_t)taken[i].times,
                                      .last_used_at = taken[i].last_used_at };
        memcpy(uses[i].token_hash, taken[i].hash, sizeof uses[i].token_hash);
        *times += taken[i].times;
    }
}

bool usage_write(struct service *service, size_t batches)
{
    struct store *store = service->store;
    AUTO(arena_release) struct arena arena;
    arena_init(&arena, NULL, 0);
    struct use_count *taken = arena_alloc(&arena, USES_BATCH * sizeof *taken);
    struct token_use *uses = arena_alloc(&arena, USES_BATCH * sizeof *uses);
    uses_collect(service->uses);
    for (size_t i = 0; i < batches; i++) {
        uint64_t times;
        size_t count = uses_take(service->uses, taken);
        if (count == 0)
            return false;
        usage_copy(taken, count, uses, &times);
        struct err err = store->ops->count_uses(store, uses, count);
        uses_settle(service->uses, taken, !err.code);
        if (err.code)
            return false; /* the next time */
        metrics_count(COUNT_USES_WRITTEN, times);
    }
    return true;
}
