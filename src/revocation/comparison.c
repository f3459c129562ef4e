/* revocation/comparison.c: first what the store has, with the reasons that others read in the keys; then, without a
 * store that all share, what only memory has: another instance's store knows it, but that instance may be gone.
 *
 * A rule is compared with its times, not only looked for: what is put back may have been read before the rule was
 * extended, and then an older rule stands where the newer one was lost. */
#include "revocation/comparison.h"
#include "base/hex.h"
#include "base/wall_clock.h"
#include "observe/metrics.h"
#include "revocation/catchup.h"
#include "revocation/inside.h"
#include "revocation/replication.h"
#include "revocation/shared_rules.h"
#include <stdio.h>
#include <time.h>

static const struct str no_reason = STR_INIT("revoked"); /* of what only memory has: it doesn't say why */

/* A page of what is known. */
struct page {
    struct revocation entries[COMPARED_MAX];
    size_t count;
    bool lacking[COMPARED_MAX];  /* in the cache, or with earlier times there */
    bool nameless[COMPARED_MAX]; /* rules that only the cache has told of, which doesn't say of which kind they are */
};

/* Another instance, which has the token only in memory, was first to put it back. */
static bool comparison_knows_more(const struct revocation *entry, struct str value)
{
    return entry->reason.len > 0 && !str_eq(entry->reason, value) && str_eq(value, no_reason);
}

static struct err comparison_find_lacking(struct cache *cache, struct arena *arena, struct page *page)
{
    struct str *keys = arena_alloc(arena, (page->count + 1) * sizeof *keys);
    struct str *values = arena_alloc(arena, (page->count + 1) * sizeof *values);
    for (size_t i = 0; i < page->count; i++) {
        const struct revocation *entry = &page->entries[i];
        keys[i] = entry->kind == REVOKED_TOKEN ? revocation_key(entry->hash, arena_alloc(arena, REVOCATION_KEY_LEN + 1))
                                               : shared_rules_key(entry->hash, arena_alloc(arena, RULE_KEY_ROOM));
    }
    TRY(cache_get_all(cache, arena, keys, page->count, values));
    for (size_t i = 0; i < page->count; i++)
        page->lacking[i] = page->entries[i].kind == REVOKED_TOKEN
                               ? !values[i].at || comparison_knows_more(&page->entries[i], values[i])
                               : !shared_rules_hold(values[i], &page->entries[i]);
    return OK;
}

/* The same as when it was revoked: the key, then the item. Somebody may have put it there since: then the
 * reason is told once more. Of a nameless rule there can be no item. */
static struct err comparison_put_back(struct revocations *revocations, const struct revocation *entry, bool is_nameless,
                                      int64_t now_s)
{
    struct cache *cache = revocations->cache;
    struct cache_position ignored;
    char key[REVOCATION_KEY_LEN + 1], item[RULE_ITEM_ROOM];
    const bool has_reason = entry->reason.len > 0;
    const struct str reason = has_reason ? entry->reason : no_reason;
    size_t added = 0;
    const struct record rule = {
        .revokes = entry->kind,
        .before = entry->before,
        .expires_at = entry->expires_at,
        .reason = reason,
    };
    const struct cache_entry token = { .key = revocation_key(entry->hash, key),
                                       .value = reason,
                                       .ttl_s = entry->expires_at - now_s };
    if (entry->kind == REVOKED_TOKEN) {
        TRY(cache_add(cache, &token, 1, &added));
        if (added == 0 && has_reason)
            TRY(cache_put(cache, &token, 1));
        snprintf(item, sizeof item, "revoked %.64s %lld", key + REVOCATION_PREFIX_LEN, (long long)entry->expires_at);
    } else {
        struct record record = rule;
        memcpy(record.token_hash, entry->hash, sizeof record.token_hash);
        TRY(shared_rules_put(cache, &record, now_s, item));
    }
    if (revocations->store->ops->is_shared || is_nameless)
        return OK;
    return cache_append(cache, replication_log, str_of(item), &ignored);
}

static struct err comparison_compare(struct revocations *revocations, struct arena *arena, struct page *page,
                                     int64_t now_s, size_t *restored)
{
    TRY(comparison_find_lacking(revocations->cache, arena, page));
    for (size_t i = 0; i < page->count; i++) {
        if (!page->lacking[i])
            continue;
        TRY(comparison_put_back(revocations, &page->entries[i], page->nameless[i], now_s));
        metrics_count(COUNT_KEYS_RESTORED, 1);
        ++*restored;
    }
    return OK;
}

/* --- what is known ----------------------------------------------------------------------------------------------- */

static struct err comparison_read_stored(struct revocations *revocations, struct arena *arena,
                                         struct comparison *comparison, int64_t now_s, struct page *page)
{
    struct store *store = revocations->store;
    struct revocation *found = NULL;
    struct sequence ignored; /* when positions start over, this walk ends early or late, and the next one is complete */
    TRY(store->ops->revocations_since(store, arena, comparison->position, now_s, COMPARED_MAX, &found, &page->count,
                                      &ignored));
    if (page->count > 0)
        memcpy(page->entries, found, page->count * sizeof *found);
    comparison->position = page->count > 0 ? found[page->count - 1].position : 0;
    if (page->count < COMPARED_MAX) {
        comparison->position = 0;
        comparison->stage = store->ops->is_shared ? COMPARES_STORED : COMPARES_TOKENS;
    }
    return OK;
}

static void comparison_read_tokens(struct revocations *revocations, struct arena *arena, struct comparison *comparison,
                                   int64_t now_s, struct page *page)
{
    struct hash_entry *held = arena_alloc(arena, COMPARED_MAX * sizeof *held);
    page->count = hash_set_list(revocations->revoked, &comparison->tokens, now_s, held, COMPARED_MAX);
    for (size_t i = 0; i < page->count; i++) {
        page->entries[i] = (struct revocation){ .kind = REVOKED_TOKEN, .expires_at = held[i].value.expires_at };
        memcpy(page->entries[i].hash, held[i].hash, sizeof held[i].hash);
    }
    if (page->count < COMPARED_MAX)
        *comparison = (struct comparison){ .stage = COMPARES_RULES };
}

static void comparison_read_rules(struct revocations *revocations, struct arena *arena, struct comparison *comparison,
                                  int64_t now_s, struct page *page)
{
    struct hash_entry *held = arena_alloc(arena, COMPARED_MAX * sizeof *held);
    page->count = hash_set_list(rules_set(revocations->rules), &comparison->rules, now_s, held, COMPARED_MAX);
    for (size_t i = 0; i < page->count; i++) {
        page->nameless[i] = held[i].value.kind == 0;
        page->entries[i] = (struct revocation){ .kind = held[i].value.kind ? (enum revocation_kind)held[i].value.kind
                                                                           : REVOKED_ALL,
                                                .before = held[i].value.before,
                                                .expires_at = held[i].value.expires_at };
        memcpy(page->entries[i].hash, held[i].hash, sizeof held[i].hash);
    }
    if (page->count < COMPARED_MAX)
        *comparison = (struct comparison){ .stage = COMPARES_STORED };
}

static struct err comparison_read_page(struct revocations *revocations, struct arena *arena,
                                       struct comparison *comparison, int64_t now_s, struct page *page)
{
    if (comparison->stage == COMPARES_STORED)
        return comparison_read_stored(revocations, arena, comparison, now_s, page);
    (comparison->stage == COMPARES_TOKENS ? comparison_read_tokens : comparison_read_rules)(revocations, arena,
                                                                                            comparison, now_s, page);
    return OK;
}

struct err comparison_round(struct revocations *revocations, struct comparison *comparison, size_t *restored)
{
    AUTO(arena_release) struct arena arena;
    int64_t now_s = wall_clock_by_all_s((int64_t)time(NULL));
    arena_init(&arena, NULL, 0);
    struct page *page = arena_zalloc(&arena, sizeof *page);
    struct comparison next = *comparison;
    TRY(comparison_read_page(revocations, &arena, &next, now_s, page));
    TRY(comparison_compare(revocations, &arena, page, now_s, restored));
    *comparison = next; /* only now: a page that failed is still to be done */
    return OK;
}
