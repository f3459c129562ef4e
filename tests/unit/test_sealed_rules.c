/* test_sealed_rules.c: which rules are about an id token comes back from its claim, and only with the secret, in the
 * same token; nobody else learns anything by it. (What it does to tokens: test_token_check.c.) */
#include "service/sealed_rules.h"
#include "base/settings.h"
#include "revocation/rule.h"
#include "unit.h"

#define JTI STR("AAAAAAAAAAAAAAAAAAAAAA")

static const struct settings salted = { .pairwise_salt = "0123456789abcdef0123456789abcdef" };
static const struct str no_session = { 0, 0 };

static struct str sealed_for(struct str subject, struct str sid)
{
    struct str text = { 0, 0 };
    assert_ok(sealed_rules_write(&salted, &arena, JTI, subject, sid, &text));
    assert_int_equal(text.len, SEALED_RULES_LEN);
    return text;
}

static void what_is_sealed_comes_back(void **state)
{
    unsigned char hashes[SEALED_RULES][32], subject[32], session[32], all[32];
    (void)state;
    rule_hash(REVOKED_SUBJECT, STR("ada"), subject);
    rule_hash(REVOKED_SESSION, STR("s1"), session);
    rule_hash(REVOKED_ALL, STR(""), all);
    assert_true(sealed_rules_open(&salted, JTI, sealed_for(STR("ada"), STR("s1")), hashes));
    assert_memory_equal(hashes[0], subject, 32);
    assert_memory_equal(hashes[1], session, 32);
    assert_true(sealed_rules_open(&salted, JTI, sealed_for(STR("ada"), no_session), hashes));
    assert_memory_equal(hashes[0], subject, 32);
    assert_memory_equal(hashes[1], all, 32);
}

/* Whoever the user is, and again for the same one. */
static void no_two_tokens_have_the_same_text_and_all_have_one_length(void **state)
{
    (void)state;
    const struct str texts[] = {
        sealed_for(STR("ada"), STR("s1")), sealed_for(STR("ada"), STR("s1")), sealed_for(STR(""), no_session),
        sealed_for(STR("a much longer subject than that one, with all that is in it"), STR("s1"))
    };
    for (size_t i = 0; i < COUNT(texts); i++)
        for (size_t k = 0; k < i; k++)
            assert_false(str_eq(texts[i], texts[k]));
}

static void nothing_else_opens_it(void **state)
{
    const struct settings other = { .pairwise_salt = "1123456789abcdef0123456789abcdef" },
                          none = { .pairwise_salt = "" };
    const struct str text = sealed_for(STR("ada"), STR("s1"));
    const struct str longer = arena_printf(&arena, "%.*sA", (int)text.len, text.at);
    const struct str too_long = STR("a jti of more characters than any that this service makes");
    unsigned char hashes[SEALED_RULES][32];
    (void)state;
    const struct {
        const char *name;
        const struct settings *settings;
        struct str jti, text;
    } rows[] = { { "another salt", &other, JTI, text },
                 { "no salt", &none, JTI, text },
                 { "another token", &salted, STR("AAAAAAAAAAAAAAAAAAAAAQ"), text },
                 { "a token without a jti", &salted, STR(""), text },
                 { "a token of somebody else's", &salted, too_long, text },
                 { "nothing", &salted, JTI, STR("") },
                 { "shorter", &salted, JTI, { text.at, text.len - 1 } },
                 { "longer", &salted, JTI, longer } };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_row(!sealed_rules_open(rows[i].settings, rows[i].jti, rows[i].text, hashes), rows[i].name);
    for (size_t i = 0; i < text.len; i++) {
        char changed[SEALED_RULES_LEN];
        memcpy(changed, text.at, sizeof changed);
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        assert_false(sealed_rules_open(&salted, JTI, (struct str){ changed, sizeof changed }, hashes));
    }
    struct str out = STR("untouched");
    assert_code(sealed_rules_write(&none, &arena, JTI, STR("ada"), STR("s1"), &out), ERR_INTERNAL, "no salt");
    assert_str(out, "untouched");
}

RUN(TEST(what_is_sealed_comes_back), TEST(no_two_tokens_have_the_same_text_and_all_have_one_length),
    TEST(nothing_else_opens_it))
