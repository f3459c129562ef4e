/* fuzz/assertion.c: what is read of any assertion has the bounds that are promised, and is judged by the clock, the
 * audience and the client as it should be.
 *
 * An input is header, NUL, claims: both are encoded here, with a signature that is none, since base64url would be in
 * the fuzzer's way. Without a NUL it is the assertion itself. */
#include "fuzz.h"
#include "jose/b64.h"
#include "oauth/assertion.h"

static struct str assertion_of(struct arena *arena, struct str input)
{
    struct str claims = input, header;
    struct buf text;
    if (!str_cut(&claims, '\0', &header))
        return input;
    buf_init(&text, arena, 256, 2 * input.len + 64);
    b64url_add(&text, header);
    buf_add_char(&text, '.');
    b64url_add(&text, claims);
    buf_add(&text, STR(".c2ln"));
    return buf_str(&text);
}

static void check_bounds(const struct assertion *read)
{
    enum jwa alg;
    PROMISE(read->client_id.len > 0 && utf8_valid(read->client_id));
    PROMISE(read->jti.len > 0 && read->jti.len <= ASSERTION_JTI_MAX);
    PROMISE(read->aud_count >= 1 && read->aud_count <= ASSERTION_AUD_MAX);
    PROMISE(read->aud_is_list || read->aud_count == 1);
    PROMISE(read->exp >= 0 && read->iat >= 0 && read->nbf >= 0);
    PROMISE(jwa_find(read->header.alg, &alg));
}

static void check_judging(const struct assertion *read)
{
    const struct assertion_expect none = { .client_id = read->client_id, .issuer = STR("\x01"), .ahead_max_s = 600 };
    struct assertion_expect own = { .client_id = read->client_id, .issuer = read->aud[0], .ahead_max_s = 600 };
    const int64_t moments[] = { 0, 1800000000, read->exp - 1, read->exp, read->exp - 600, read->exp - 601 };
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
        const int64_t now_s = moments[i];
        const bool is_in_time = now_s < read->exp && read->exp <= now_s + 600 && read->nbf <= now_s + 60 &&
                                read->iat <= now_s + 60;
        own.token_endpoint = (struct str){ 0, 0 };
        PROMISE(!assertion_check(read, &own, now_s).code == (is_in_time && !read->aud_is_list));
        own.token_endpoint = STR("https://a/token");
        PROMISE(!assertion_check(read, &own, now_s).code == is_in_time);
        PROMISE(assertion_check(read, &none, now_s).code == ERR_INVALID_CLIENT || str_eq(read->aud[0], STR("\x01")));
    }
    own.client_id = STR("\x01 nobody");
    PROMISE(assertion_check(read, &own, read->exp - 1).code == ERR_INVALID_CLIENT ||
            str_eq(read->client_id, own.client_id));
    PROMISE(assertion_once(read).expires_at > read->exp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct assertion read;
    arena_init(&arena, NULL, 0);
    const struct err err = assertion_read(&arena, assertion_of(&arena, input_of(data, size)), &read);
    PROMISE(!err.code || (err.code == ERR_INVALID_CLIENT && err.why));
    if (!err.code) {
        check_bounds(&read);
        check_judging(&read);
    }
    arena_release(&arena);
    return 0;
}
