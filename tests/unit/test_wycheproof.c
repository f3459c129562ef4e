/* test_wycheproof.c: Project Wycheproof's signatures, each with its verdict: tests/vectors/wycheproof_*.json, lists
 * with an object a line: the source and the algorithm, then keys, each followed by its signatures (msg and sig in
 * hexadecimal). They are read line by line, since our reader takes no document of that size. */
#include "jose/jws.h"
#include "vectors.h"

static FILE *open_vectors(const char *name)
{
    const char *where = getenv("TOKEN_VECTORS");
    if (!where)
        fail_msg("TOKEN_VECTORS does not name the folder of the vectors (meson test sets it)");
    FILE *file = fopen(arena_printf(&arena, "%s/wycheproof_%s.json", where, name).at, "re");
    if (!file)
        fail_msg("the vectors %s can't be read", name);
    return file;
}

static const struct json *next_line(FILE *file, char *text, size_t size)
{
    const struct json *json = NULL;
    while (fgets(text, (int)size, file))
        if (text[0] == '{') {
            struct str line = str_of(text);
            line.len -= str_has(line, '\n');
            line.len -= line.at[line.len - 1] == ',';
            assert_ok(json_parse(&arena, arena_copy(&arena, line), &json));
            return json;
        }
    return NULL;
}

static struct str bytes_of(struct str hex)
{
    char *to = arena_alloc(&arena, hex.len / 2 + 1);
    for (size_t i = 0; i + 1 < hex.len; i += 2) {
        const char digits[] = { hex.at[i], hex.at[i + 1], '\0' };
        to[i / 2] = (char)strtoul(digits, NULL, 16);
    }
    return (struct str){ to, hex.len / 2 };
}

/* RFC 8725 section 3.4 asks for an exponent above 65536; Wycheproof has keys of exponent 3, which are not taken. */
static bool is_weak(const struct json *jwk)
{
    return str_eq(text_of(jwk, "e"), STR("Aw"));
}

static void check_signature(const struct jwk *key, const struct json *row, size_t counts[2])
{
    struct str result = text_of(row, "result");
    bool good = jws_check(key, bytes_of(text_of(row, "msg")), bytes_of(text_of(row, "sig")));
    const char *said = arena_copy(&arena, row->text).at;
    if (!str_eq(result, STR("acceptable"))) /* PKCS#1 without the NULL of its digest's parameters: either is right */
        assert_row(good == str_eq(result, STR("valid")), said);
    counts[good]++;
}

static void run_set(const char *name, enum jwa alg, size_t rows, size_t weak_rows)
{
    AUTO(jwk_freep) struct jwk *key = NULL;
    size_t counts[2] = { 0, 0 }, passed_over = 0;
    char text[4096];
    FILE *file = open_vectors(name);
    const struct json *row = next_line(file, text, sizeof text);
    assert_str(text_of(row, "alg"), jwa_name(alg));
    while ((row = next_line(file, text, sizeof text))) {
        const struct json *jwk = json_member(row, STR("jwk"));
        if (jwk) {
            jwk_free(key);
            key = NULL;
            struct err err = jwk_parse_public(&arena, jwk->text, &key);
            assert_code(err, is_weak(jwk) ? ERR_INVALID_REQUEST : ERR_OK, arena_copy(&arena, jwk->text).at);
            assert_true(!key || key->alg == alg);
        } else if (key) {
            check_signature(key, row, counts);
        } else {
            passed_over++;
        }
    }
    fclose(file);
    assert_int_equal(counts[0] + counts[1] + passed_over, rows);
    assert_int_equal(passed_over, weak_rows);
    assert_true(counts[0] > 0 && counts[1] > 0);
}

static void ecdsa_on_p_256_with_sha_256(void **state)
{
    (void)state;
    run_set("ecdsa_p256_sha256", JWA_ES256, 262, 0);
}

static void rsa_pkcs1_with_sha_256(void **state)
{
    (void)state;
    run_set("rsa_pkcs1_2048_sha256", JWA_RS256, 259, 2);
}

static void rsa_pss_with_sha_256_and_a_salt_of_32(void **state)
{
    (void)state;
    run_set("rsa_pss_2048_sha256", JWA_PS256, 108, 0);
}

static void ed25519(void **state)
{
    (void)state;
    run_set("ed25519", JWA_EDDSA, 151, 0);
}

RUN(TEST(ecdsa_on_p_256_with_sha_256), TEST(rsa_pkcs1_with_sha_256), TEST(rsa_pss_with_sha_256_and_a_salt_of_32),
    TEST(ed25519))
