/* revocation/shared_rules.c: rules as keys and items. A mark can only be raised, so of two instances that revoke the
 * same at once, neither lowers what the other has promised. */
#include "revocation/shared_rules.h"
#include "base/hex.h"
#include "observe/log.h"
#include "revocation/rule.h"
#include "revocation/rules.h"
#include <stdio.h>

static const struct str key_prefix = STR_INIT("token-service:rule:");
enum { KEY_LEN = RULE_KEY_ROOM - 1 };

struct str shared_rules_key(const unsigned char hash[32], char to[RULE_KEY_ROOM])
{
    memcpy(to, key_prefix.at, key_prefix.len);
    hex_write(hash, 32, to + key_prefix.len);
    return (struct str){ to, KEY_LEN };
}

static bool shared_rules_read_key(struct str key, unsigned char hash[32])
{
    return hex_read((struct str){ key.at + key_prefix.len, key.len - key_prefix.len }, hash, 32);
}

/* "<before> <expires_at> <reason>", the last perhaps empty. */
static bool shared_rules_read_value(struct str value, int64_t *before, int64_t *expires_at)
{
    struct str first, second;
    return str_cut(&value, ' ', &first) && str_cut(&value, ' ', &second) && str_number(first, CACHE_MARK_MAX, before) &&
           str_number(second, CACHE_MARK_MAX, expires_at);
}

bool shared_rules_hold(struct str value, const struct revocation *rule)
{
    int64_t before, expires_at;
    return value.at && shared_rules_read_value(value, &before, &expires_at) && before >= rule->before &&
           expires_at >= rule->expires_at;
}

struct err shared_rules_put(struct cache *cache, const struct record *record, int64_t now_s, char item[RULE_ITEM_ROOM])
{
    char key[RULE_KEY_ROOM];
    const struct cache_mark mark = { shared_rules_key(record->token_hash, key), record->before, record->expires_at,
                                     record->reason };
    snprintf(item, RULE_ITEM_ROOM, "rule %.64s %lld %lld %s", key + key_prefix.len, (long long)record->before,
             (long long)record->expires_at, revocation_kind_name(record->revokes).at);
    return cache_raise(cache, &mark, 1, now_s);
}

void shared_rules_apply(struct rules *rules, struct str rest)
{
    struct str hash_text, before_text, expires_text;
    unsigned char hash[32];
    int64_t before, expires_at;
    enum revocation_kind kind = REVOKED_TOKEN;
    if (str_cut(&rest, ' ', &hash_text) && hex_read(hash_text, hash, 32) && str_cut(&rest, ' ', &before_text) &&
        str_number(before_text, CACHE_MARK_MAX, &before) && str_cut(&rest, ' ', &expires_text) &&
        str_number(expires_text, CACHE_MARK_MAX, &expires_at) && revocation_kind_find(rest, &kind) &&
        kind != REVOKED_TOKEN)
        rules_add(rules, hash, (struct hash_value){ .expires_at = expires_at, .before = before, .kind = kind });
}

/* --- all of them ---------------------------------------------------------------------------------------------------
 */

static bool shared_rules_wants(void *context, struct str key)
{
    unsigned char hash[32];
    (void)context;
    return shared_rules_read_key(key, hash);
}

static void shared_rules_holds(void *context, struct str key, struct str value)
{
    const struct rules_reading *reading = context;
    unsigned char hash[32];
    int64_t before, expires_at;
    if (!shared_rules_read_key(key, hash))
        return;
    if (!shared_rules_read_value(value, &before, &expires_at)) { /* none of ours */
        LOG(LOG_WARN, "rule_unreadable", LOG_STR("key", key));
        return;
    }
    const struct hash_value rule = { .expires_at = expires_at, .before = before };
    hash_set_add(reading->seen, hash, rule);
    rules_add(reading->rules, hash, rule);
}

struct cache_visitor shared_rules_visitor(struct rules_reading *reading)
{
    return (struct cache_visitor){
        .prefix = key_prefix, .context = reading, .wants = shared_rules_wants, .holds = shared_rules_holds
    };
}

struct err shared_rules_push(struct cache *cache, struct hash_set *seen, const struct revocation *found, size_t count,
                             int64_t now_s, size_t *given)
{
    AUTO(arena_release) struct arena arena;
    arena_init(&arena, NULL, 0);
    struct cache_mark *marks = NULL;
    size_t lacking = 0;
    for (size_t i = 0; i < count; i++) {
        if (found[i].kind == REVOKED_TOKEN ||
            hash_set_holds(seen, &found[i].hash, 1, found[i].expires_at, found[i].before))
            continue;
        if (!marks)
            marks = arena_alloc(&arena, count * sizeof *marks);
        char *key = arena_alloc(&arena, RULE_KEY_ROOM);
        marks[lacking++] = (struct cache_mark){ shared_rules_key(found[i].hash, key), found[i].before,
                                                found[i].expires_at, found[i].reason };
    }
    if (lacking == 0)
        return OK;
    TRY(cache_raise(cache, marks, lacking, now_s));
    *given += lacking;
    return OK;
}

/* --- asking --------------------------------------------------------------------------------------------------------
 */

/* By a rule of the hash `i` (rule_hashes()), about the token or about the one that it was issued with. */
static bool shared_rules_is_refused_by(const struct claims *claims, size_t i, int64_t before, int64_t expires_at)
{
    const bool by_its_own = i < RULES_OF_TOKEN && claims->iat <= before;
    const bool by_its_parents = i >= RULE_OF_ALL && claims->parent_hash.at && claims->parent_iat <= before;
    return (by_its_own || by_its_parents) && claims->issued_after <= expires_at;
}

struct err shared_rules_ask(struct cache *cache, struct verified *entry)
{
    unsigned char room[VERIFIED_RULES][32];
    char key[RULE_KEY_ROOM];
    AUTO(arena_release) struct arena arena;
    arena_init(&arena, NULL, 0);
    const unsigned char(*hashes)[32] = rule_hashes_of(entry, room);
    for (size_t i = 0; i < VERIFIED_RULES; i++) {
        struct str value;
        int64_t before, expires_at;
        struct err err = cache_get(cache, &arena, shared_rules_key(hashes[i], key), &value);
        if (err.code == ERR_NOT_FOUND)
            continue;
        if (err.code)
            return failed(ERR_UNAVAILABLE, "Redis can't say whether the token is revoked; try again");
        if (shared_rules_read_value(value, &before, &expires_at) &&
            shared_rules_is_refused_by(&entry->claims, i, before, expires_at))
            return failed(ERR_TOKEN_REVOKED, "the token has been revoked");
    }
    return OK;
}
