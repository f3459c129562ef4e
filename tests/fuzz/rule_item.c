/* fuzz/rule_item.c: what lies in Redis of rules, an item of the log or a key and its value. Whatever it is, what comes
 * of it is a rule with times that anybody may mean, or nothing. The input is an item behind its first word; what stands
 * before its first line break may be a key, what follows its value. */
#include "fuzz.h"
#include "revocation/rules.h"
#include "revocation/shared_rules.h"

static void check(struct rules *rules, bool may_be)
{
    PROMISE(hash_set_count(rules_set(rules)) <= (may_be ? 1 : 0));
    PROMISE(rules_latest(rules) >= 0 && rules_latest(rules) < INT64_C(1000000000000));
    PROMISE(rules_last_expiry(rules) >= 0 && rules_last_expiry(rules) < INT64_C(1000000000000));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str input = input_of(data, size);
    struct rules *rules = rules_new();
    struct hash_set *seen = hash_set_new(HASH_SET_RULES);
    shared_rules_apply(rules, input);
    check(rules, input.len > 64);
    rules_free(rules);

    rules = rules_new();
    struct rules_reading reading = { rules, seen };
    const struct cache_visitor visitor = shared_rules_visitor(&reading);
    struct str value = input, key;
    if (str_cut(&value, '\n', &key) && str_has_prefix(key, visitor.prefix)) { /* a scan shows no others */
        if (visitor.wants(visitor.context, key))
            visitor.holds(visitor.context, key, value);
        PROMISE(hash_set_count(seen) == hash_set_count(rules_set(rules)));
    }
    check(rules, true);
    rules_free(rules);
    hash_set_free(seen);
    return 0;
}
