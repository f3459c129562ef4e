/* revocation/write_back.c: revocations as records again. Memory does not know why a token was revoked, or its kind; so
 * a row of either kind is marked, and the reason says only that it was revoked. If another instance does this too, it
 * records the same, which changes nothing. */
#include "revocation/write_back.h"
#include "base/wall_clock.h"
#include "observe/log.h"
#include "revocation/inside.h"
#include "revocation/rule.h"
#include "store/batch.h"

enum { BATCH = 500, TOKEN_ROWS = 2 };

static struct record write_back_record_of(int64_t now_s, const unsigned char hash[32], int64_t expires_at)
{
    struct record record = { .kind = RECORD_REVOCATION,
                             .issued_at = now_s,
                             .expires_at = expires_at,
                             .token_expires_at = expires_at,
                             .reason = STR("revoked"),
                             .revoked_by = STR("token-service") };
    memcpy(record.token_hash, hash, sizeof record.token_hash);
    return record;
}

/* Whether the store has it, as long as it is known here. */
static bool write_back_is_held(struct hash_set *stored, const struct hash_entry *entry)
{
    return hash_set_holds(stored, &entry->hash, 1, entry->value.expires_at, entry->value.before);
}

/* Two records a token: one for a row of either kind. */
static struct err write_back_write_tokens(struct revocations *revocations, const struct hash_entry *lacking,
                                          size_t count, int64_t now_s)
{
    static const enum token_kind kinds[TOKEN_ROWS] = { TOKEN_ACCESS, TOKEN_REFRESH };
    AUTO(arena_release) struct arena arena;
    arena_init(&arena, NULL, 0);
    struct record *records = arena_alloc(&arena, TOKEN_ROWS * count * sizeof *records);
    const struct record **lists = arena_alloc(&arena, count * sizeof(const struct record *));
    for (size_t i = 0; i < count; i++) {
        struct record *pair = &records[TOKEN_ROWS * i];
        for (size_t k = 0; k < TOKEN_ROWS; k++) {
            pair[k] = write_back_record_of(now_s, lacking[i].hash, lacking[i].value.expires_at);
            pair[k].token_kind = kinds[k];
        }
        pair[0].next = &pair[1];
        lists[i] = pair;
    }
    return batch_record_all(revocations->store, lists, count);
}

static struct err write_back_tokens(struct revocations *revocations, struct hash_set *stored, int64_t now_s,
                                    size_t *written)
{
    struct hash_entry page[BATCH];
    struct hash_set_cursor cursor = { 0, 0 };
    for (size_t count;
         (count = hash_set_list(revocations->revoked, &cursor, wall_clock_by_all_s(now_s), page, BATCH)) > 0;) {
        size_t lacking = 0;
        for (size_t i = 0; i < count; i++)
            if (!write_back_is_held(stored, &page[i]))
                page[lacking++] = page[i];
        if (lacking > 0)
            TRY(write_back_write_tokens(revocations, page, lacking, now_s));
        *written += lacking;
    }
    return OK;
}

/* --- rules ------------------------------------------------------------------------------------------------------- */

/* A store has to know a rule's target. A rule that was learned only from Redis does not name it, unless it is for all
 * tokens; the instance that made it knows it, and records it. */
static bool write_back_name_kind(struct hash_entry *rule)
{
    unsigned char all[32];
    rule_hash(REVOKED_ALL, STR(""), all);
    if (rule->value.kind == 0 && memcmp(rule->hash, all, sizeof all) == 0)
        rule->value.kind = REVOKED_ALL;
    return rule->value.kind != 0;
}

static struct err write_back_write_rules(struct revocations *revocations, const struct hash_entry *lacking,
                                         size_t count, int64_t now_s)
{
    struct record records[BATCH];
    const struct record *lists[BATCH];
    for (size_t i = 0; i < count; i++) {
        records[i] = write_back_record_of(now_s, lacking[i].hash, lacking[i].value.expires_at);
        records[i].revokes = (enum revocation_kind)lacking[i].value.kind;
        records[i].before = lacking[i].value.before;
        records[i].target = STR("");
        lists[i] = &records[i];
    }
    return batch_record_all(revocations->store, lists, count);
}

static struct err write_back_rules(struct revocations *revocations, struct hash_set *stored, int64_t now_s,
                                   size_t *written)
{
    struct hash_entry page[BATCH];
    struct hash_set_cursor cursor = { 0, 0 };
    size_t unknown = 0;
    for (size_t count; (count = hash_set_list(rules_set(revocations->rules), &cursor, wall_clock_by_all_s(now_s), page,
                                              BATCH)) > 0;) {
        size_t lacking = 0;
        for (size_t i = 0; i < count; i++) {
            bool is_known = write_back_name_kind(&page[i]);
            unknown += !is_known;
            if (is_known && !write_back_is_held(stored, &page[i]))
                page[lacking++] = page[i];
        }
        if (lacking > 0)
            TRY(write_back_write_rules(revocations, page, lacking, now_s));
        *written += lacking;
    }
    if (unknown > 0)
        LOG(LOG_WARN, "rules_of_unknown_kind", LOG_INT("entries", (int64_t)unknown),
            LOG_TEXT_("why", "they are in force here; the instance that made them must write them back"));
    return OK;
}

struct err write_back(struct revocations *revocations, struct hash_set *tokens, struct hash_set *rules, int64_t now_s,
                      size_t *written)
{
    TRY(write_back_tokens(revocations, tokens, now_s, written));
    return write_back_rules(revocations, rules, now_s, written);
}
