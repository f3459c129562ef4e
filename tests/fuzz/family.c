/* fuzz/family.c: a row of a refresh family that is read decides without a crash about any token, and is written so that
 * it reads the same again; a text that is taken for a refresh token has one spelling.
 *
 * An input is a text of a token, a line's end, and the body of a row. */
#include "fuzz.h"
#include "oauth/family.h"

static const unsigned char grant_id[GRANT_ID_LEN], no_key[REUSE_KEY_LEN];

static void check_token(struct str text)
{
    struct refresh_token token, again;
    if (!refresh_token_read(text, &token))
        return;
    PROMISE(str_eq(refresh_token_text(&token), text));
    refresh_token_of_bytes(token.bytes, &again);
    PROMISE(memcmp(token.hash, again.hash, sizeof token.hash) == 0 && token.generation == again.generation);
    PROMISE(!refresh_token_is_of(&token, no_key)); /* but for a fuzzer that breaks HMAC */
}

/* Whatever the row says, only tokens that were made with its key are known. */
static void check_rules(struct family *family, const struct refresh_token *stranger)
{
    const struct family_terms terms = { family->client_id, true, 60, 3600 };
    const int64_t times[] = { 0, family->issued_at, family->idle_expires_at - 1, family->idle_expires_at };
    struct refresh_token used, next, opened;
    if (refresh_token_make(grant_id, 0, family->reuse_key, &used).code)
        return;
    memcpy(family->token_hash, used.hash, sizeof used.hash);
    family->rotation_count = 0;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        struct family changed = *family;
        PROMISE(family_decide(&changed, stranger, &terms, times[i]) == FAMILY_UNKNOWN);
        const enum family_verdict verdict = family_decide(&changed, &used, &terms, times[i]);
        PROMISE((verdict == FAMILY_REVOKED) == (family->revoked_at > 0));
        PROMISE(verdict != FAMILY_UNKNOWN && verdict != FAMILY_REUSED);
        if (verdict != FAMILY_ROTATE)
            continue;
        PROMISE(!family_rotate(&changed, &used, &terms, times[i], &next).code);
        PROMISE(changed.successor_count <= FAMILY_SUCCESSORS_MAX && changed.idle_expires_at <= changed.expires_at);
        PROMISE(family_decide(&changed, &used, &terms, times[i]) == FAMILY_AGAIN);
        PROMISE(!family_open(&changed, &used, &opened).code && memcmp(opened.hash, next.hash, sizeof next.hash) == 0);
    }
}

static void check_row(struct arena *arena, struct str body)
{
    const struct family_row row = { grant_id, STR("client"), INT64_C(4102444800), body };
    struct family_row again = row;
    struct family family, back;
    struct refresh_token stranger;
    struct str once, twice;
    if (family_read(arena, &row, &family).code)
        return;
    PROMISE(family.successor_count <= FAMILY_SUCCESSORS_MAX && family.granted.resource.count <= RESOURCES_MAX);
    PROMISE(family.issued_at >= 0 && family.revoked_at >= 0 && family.granted.auth_time >= -1);
    if (!family_write(&family, arena, &once).code) {
        again.body = once;
        PROMISE(!family_read(arena, &again, &back).code);
        PROMISE(!family_write(&back, arena, &twice).code && str_eq(once, twice));
    }
    memset(&stranger, 'x', sizeof stranger);
    check_rules(&family, &stranger);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct str body = input_of(data, size), text;
    arena_init(&arena, NULL, 0);
    if (str_cut(&body, '\n', &text)) {
        check_token(text);
        check_row(&arena, body);
    }
    arena_release(&arena);
    return 0;
}
