/* revocation/shared_rules.h: rules in the shared cache, only for replication.c, which says what they are for.
 * `token-service:rule:<hash in hex>` is a mark (cache.h), "<before> <expires_at> <reason>", until it expires; the log's
 * item is "rule <hash in hex> <before> <expires_at> <kind>". All but the last function may wait. */
#ifndef REVOCATION_SHARED_RULES_H
#define REVOCATION_SHARED_RULES_H

#include "cache/cache.h"
#include "store/store.h"

struct hash_set;
struct rules;
struct verified;

enum { RULE_ITEM_ROOM = 128, RULE_KEY_ROOM = 19 + 64 + 1 };

/* What the shared cache calls a rule. */
struct str shared_rules_key(const unsigned char hash[32], char to[RULE_KEY_ROOM]);

/* Whether a key's value (`at` may be NULL) is that rule's, with its times or later ones. */
MUST_USE bool shared_rules_hold(struct str value, const struct revocation *rule);
/* Puts the rule's mark, or raises it, and writes what is to be appended to the log. */
MUST_USE struct err shared_rules_put(struct cache *cache, const struct record *record, int64_t now_s,
                                     char item[RULE_ITEM_ROOM]);
/* For a scan of the cache: holds every rule that it has in `rules`, those in force here, and in `seen`. */
struct rules_reading {
    struct rules *rules;
    struct hash_set *seen;
};
struct cache_visitor shared_rules_visitor(struct rules_reading *reading);
/* Of the store's revocations, gives the cache each rule that it lacks, or has with earlier times; *given grows by their
 * number. */
MUST_USE struct err shared_rules_push(struct cache *cache, struct hash_set *seen, const struct revocation *found,
                                      size_t count, int64_t now_s, size_t *given);
/* Asks the cache itself whether a rule refuses the token. ERR_TOKEN_REVOKED. */
MUST_USE struct err shared_rules_ask(struct cache *cache, struct verified *entry);
/* Holds in memory what an item says, behind its first word. */
void shared_rules_apply(struct rules *rules, struct str rest);

#endif
