/* fuzz/rule_item.c: what lies in Redis of rules, an item of the log or a key and its value. Whatever it is, what comes
 * of it is a rule with times that anybody may mean, or nothing. The input is an item behind its first word; what stands
 * before its first line break may be a key, what follows its value. */
#include "fuzz.h"
#include "revocation/rules.h"
#include "revocation/shared_rules.h"

static void check(struct rules *rules, const unsigned char hash[32], bool may_be)
{
    int64_t before = -1, expires_at = -1;
    PROMISE(rules_count(rules) <= (may_be ? 1 : 0));
    if (rules_find(rules, hash, &before, &expires_at))
        PROMISE(before >= 0 && before < INT64_C(1000000000000) && expires_at >= 0 &&
                expires_at < INT64_C(1000000000000));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned char zero[32];
    const struct str input = input_of(data, size);
    struct rules *rules = rules_new(), *seen = rules_new();
    shared_rules_apply(rules, input);
    check(rules, zero, input.len > 64);
    rules_free(rules);

    rules = rules_new();
    struct rules_reading reading = { rules, seen };
    const struct cache_visitor visitor = shared_rules_visitor(&reading);
    struct str value = input, key;
    if (str_cut(&value, '\n', &key) && str_has_prefix(key, visitor.prefix)) { /* a scan shows no others */
        if (visitor.wants(visitor.context, key))
            visitor.holds(visitor.context, key, value);
        PROMISE(rules_count(seen) == rules_count(rules));
    }
    check(rules, zero, true);
    rules_free(rules);
    rules_free(seen);
    return 0;
}
