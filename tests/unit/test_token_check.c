/* test_token_check.c: token_check(), the one decision whether a token is good, against every way in which some library
 * once got it wrong (RFC 8725, and the CVEs named below). The tokens are signed with the service's own private keys, so
 * that each is wrong in the one thing that is tested; and each is shown twice: a cache may not change an answer. */
#include "revocation/inside.h"
#include "revocation/rule.h"
#include "service/sealed_rules.h"
#include "service/service.h"
#include "service/verify.h"
#include "keys.h"
#include "base/clock.h"
#include "base/hex.h"
#include "jose/b64.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <pthread.h>

#define ISSUER "https://auth.test"
enum { NOW = 1800000000, ANY = KIND_ACCESS | KIND_REFRESH | KIND_ID };

static struct service service;
static size_t cache_entries; /* the whole suite runs without a cache and with one */

/* The ring's keys, one an algorithm, with the private halves that only the signer should have; and an attacker's. */
static const enum jwa algs[] = { JWA_ES256, JWA_RS256, JWA_PS256, JWA_EDDSA };
enum { ES256, RS256, PS256, EDDSA, KEYS };
static struct jwk *keys[KEYS], *attacker[KEYS];

static struct jwk *private_of(struct str kid, enum jwa alg)
{
    struct jwk *key = NULL;
    struct str name = arena_printf(&arena, "signing-key-%.*s.pem", (int)kid.len, kid.at);
    assert_ok(jwk_read_private_pem(read_text(name.at), alg, &key));
    return key;
}

/* Once for all: making RSA keys takes its time. */
static int begin(void **state)
{
    if (keys_begin(state))
        return -1;
    settings.issuer = ISSUER;
    settings.audience = "";
    settings.privileged_claims = "";
    settings.clock_skew_s = 5;
    settings.token_max_bytes = 4096;
    for (size_t i = 1; i < KEYS; i++) {
        keys[i] = private_of(pending(algs[i]).kid, algs[i]);
        set_state(str_of(keys[i]->kid), KEY_RETIRING); /* one key at most is pending */
    }
    assert_ok(keyring_reload(ring));
    const struct keyring_view *view = keyring_acquire(ring);
    keys[ES256] = private_of(view->active->kid, JWA_ES256);
    keyring_release(view);
    for (size_t i = 0; i < KEYS; i++)
        assert_ok(jwk_generate(algs[i], &attacker[i]));
    return arena_finish(state);
}

static int finish(void **state)
{
    for (size_t i = 0; i < KEYS; i++) {
        jwk_free(keys[i]);
        jwk_free(attacker[i]);
    }
    return keys_finish(state);
}

/* For each test: nothing is known, nothing is revoked. */
static int begin_one(void **state)
{
    service = (struct service){ .settings = &settings,
                                .store = store,
                                .signer = signer,
                                .keyring = ring,
                                .revocations = revocations_new(&settings, store, NULL, ring),
                                .verified = verified_cache_new(cache_entries),
                                .audience = STR("") };
    return arena_begin(state);
}

static int finish_one(void **state)
{
    verified_cache_free(service.verified);
    revocations_close(service.revocations);
    return arena_finish(state);
}

/* --- making tokens ----------------------------------------------------------------------------------------------- */

static struct str text_of(const char *format, ...) __attribute__((format(printf, 1, 2)));
static struct str text_of(const char *format, ...)
{
    char text[16384];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return arena_copy(&arena, (struct str){ text, (size_t)len });
}

static struct str encoded(struct str bytes)
{
    char *to = arena_alloc(&arena, b64url_encoded_len(bytes.len) + 1);
    b64url_encode(bytes, to);
    return (struct str){ to, b64url_encoded_len(bytes.len) };
}

static struct str joined(struct str header, struct str payload, struct str signature)
{
    struct str h = encoded(header), p = encoded(payload), s = encoded(signature);
    return text_of("%.*s.%.*s.%.*s", (int)h.len, h.at, (int)p.len, p.at, (int)s.len, s.at);
}

static struct str signed_with(const struct jwk *key, struct str header, struct str payload)
{
    char signature[JWK_SIGNATURE_MAX];
    size_t len = 0;
    struct str h = encoded(header), p = encoded(payload);
    assert_ok(jws_sign(key, text_of("%.*s.%.*s", (int)h.len, h.at, (int)p.len, p.at), signature, &len));
    return joined(header, payload, (struct str){ signature, len });
}

static struct str header_of(const struct jwk *key, const char *typ)
{
    return text_of("{\"alg\":\"%s\",\"typ\":\"%s\",\"kid\":\"%s\"}", jwa_name(key->alg), typ, key->kid);
}

/* Good from NOW - 100 to NOW + 100; `more` is added. */
#define PAYLOAD_OF(iss, sub, more)                                                                                     \
    text_of("{\"iss\":\"%s\",\"sub\":\"%s\",\"aud\":[\"client\",\"api\"],\"exp\":%d,\"iat\":%d,\"nbf\":%d,\"jti\":"    \
            "\"j\","                                                                                                   \
            "\"client_id\":\"client\",\"scope\":\"a b\"%s}",                                                           \
            iss, sub, NOW + 100, NOW - 100, NOW - 100, more)
#define PAYLOAD PAYLOAD_OF(ISSUER, "subject", "")

static struct str good(void)
{
    return signed_with(keys[ES256], header_of(keys[ES256], "at+jwt"), PAYLOAD);
}

/* --- asking ------------------------------------------------------------------------------------------------------ */

static const struct token_ask any = { .kinds = ANY, .expect.max_age_s = -1 };

static struct err check_at(struct str token, const struct token_ask *ask, int64_t now_s)
{
    struct verified *untouched = (struct verified *)(uintptr_t)&arena, *entry = untouched;
    unsigned char hash[32];
    char *copy = exactly(token);
    struct err err = token_check(&service, (struct str){ copy, token.len }, ask, now_s, &entry);
    free(copy);
    if (err.code) {
        assert_ptr_equal(entry, untouched);
        bool is_known = atomic_load(&service.revocations->known_until_ms) == INT64_MAX;
        assert_true((err.code >= ERR_TOKEN_MALFORMED && err.code <= ERR_TOKEN_REVOKED) ||
                    (err.code == ERR_UNAVAILABLE && !is_known));
        return err;
    }
    sha256(token, hash);
    assert_memory_equal(entry->hash, hash, 32);
    verified_release(entry);
    return err;
}

/* Twice: as a token never seen, and, where there is a cache, as one that is known. */
static void check(struct str token, const struct token_ask *ask, enum err_code expected, const char *row)
{
    assert_code(check_at(token, ask, NOW), expected, row);
    assert_code(check_at(token, ask, NOW), expected, row);
}

/* --- good tokens ------------------------------------------------------------------------------------------------- */

static void a_token_of_each_key_and_kind_is_good_and_says_what_it_says(void **state)
{
    static const struct {
        const char *typ;
        unsigned kinds;
        enum token_kind token_kind;
    } rows[] = { { "at+jwt", KIND_ACCESS, TOKEN_ACCESS },
                 { "rt+jwt", KIND_REFRESH, TOKEN_REFRESH },
                 { "JWT", KIND_ID, TOKEN_ID },
                 { "application/AT+JWT", KIND_ACCESS, TOKEN_ACCESS } };
    (void)state;
    for (size_t k = 0; k < KEYS; k++)
        for (size_t i = 0; i < COUNT(rows); i++) {
            struct str token = signed_with(keys[k], header_of(keys[k], rows[i].typ), PAYLOAD);
            const struct token_ask ask = { .kinds = rows[i].kinds, .expect.max_age_s = -1 };
            for (int again = 0; again < 2; again++) {
                AUTO(verified_releasep) struct verified *entry = NULL;
                const struct json *answer;
                assert_ok(token_check(&service, token, &ask, NOW, &entry));
                assert_int_equal(entry->kind, rows[i].token_kind);
                assert_str(entry->claims.sub, "subject");
                assert_str(entry->claims.client_id, "client");
                assert_int_equal(entry->claims.aud_count, 2);
                assert_int_equal(entry->claims.exp, NOW + 100);
                assert_true(str_eq(entry->claims.text, PAYLOAD));
                assert_ok(json_parse(&arena, entry->introspection, &answer));
                assert_int_equal(json_member(answer, STR("active"))->kind, JSON_TRUE);
                assert_str(json_member(answer, STR("sub"))->text, "subject");
                assert_str(json_member(answer, STR("scope"))->text, "a b");
                assert_int_equal(json_member(answer, STR("aud"))->count, 2);
            }
        }
}

static void what_the_ring_signs_is_good(void **state)
{
    struct buf token;
    (void)state;
    ACQUIRE(view);
    buf_init(&token, &arena, 512, 4096);
    assert_ok(keyring_sign(ring, view, SIGN_INTERACTIVE, STR("at+jwt"), PAYLOAD, &token));
    check(buf_str(&token), &any, ERR_OK, "signed by the ring");
}

/* --- kinds (RFC 8725 section 3.11 and 3.12) ---------------------------------------------------------------------- */

static void no_kind_passes_for_another(void **state)
{
    static const char *const typs[] = { "at+jwt", "rt+jwt", "JWT" };
    (void)state;
    for (size_t i = 0; i < COUNT(typs); i++) {
        struct str token = signed_with(keys[ES256], header_of(keys[ES256], typs[i]), PAYLOAD);
        for (unsigned kinds = 0; kinds < 16; kinds += 2) {
            const struct token_ask ask = { .kinds = kinds, .expect.max_age_s = -1 };
            check(token, &ask, kinds & ((unsigned)KIND_ACCESS << i) ? ERR_OK : ERR_TOKEN_KIND, typs[i]);
        }
    }
}

static void a_typ_that_is_none_of_ours_is_refused(void **state)
{
    static const char *const typs[] = { "",
                                        "jose",
                                        "logout+jwt",
                                        "dpop+jwt",
                                        "token-introspection+jwt",
                                        "oauth-authz-req+jwt",
                                        "secevent+jwt",
                                        "at",
                                        "at+jwt ",
                                        " at+jwt",
                                        "text/at+jwt",
                                        "id+jwt",
                                        "JWE" };
    (void)state;
    for (size_t i = 0; i < COUNT(typs); i++)
        check(signed_with(keys[ES256], header_of(keys[ES256], typs[i]), PAYLOAD), &any, ERR_TOKEN_KIND, typs[i]);
    struct str without = text_of("{\"alg\":\"ES256\",\"kid\":\"%s\"}", keys[ES256]->kid);
    check(signed_with(keys[ES256], without, PAYLOAD), &any, ERR_TOKEN_KIND, "no typ");
}

/* --- the algorithm (RFC 8725 section 3.1 and 3.2) ---------------------------------------------------------------- */

/* McLean 2015, and CVE-2026-23552, CVE-2022-23540. */
static void alg_none_is_refused_in_any_case_and_shape(void **state)
{
    static const char *const names[] = { "none", "None", "NONE", "nOnE", "NoNe", "none ", " none", "non\xd0\xb5", "" };
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++)
        for (size_t k = 0; k < KEYS; k++) {
            struct str header = text_of("{\"alg\":\"%s\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", names[i], keys[k]->kid);
            struct str h = encoded(header), p = encoded(PAYLOAD);
            check(text_of("%.*s.%.*s.", (int)h.len, h.at, (int)p.len, p.at), &any, ERR_TOKEN_MALFORMED, header.at);
            check(text_of("%.*s.%.*s", (int)h.len, h.at, (int)p.len, p.at), &any, ERR_TOKEN_MALFORMED, header.at);
            check(joined(header, PAYLOAD, STR("x")), &any, ERR_TOKEN_ALGORITHM, header.at);
            check(signed_with(keys[k], header, PAYLOAD), &any, ERR_TOKEN_ALGORITHM, header.at);
        }
}

static void add_hmac(struct str header, const void *key, size_t key_len, const char *what)
{
    unsigned char mac[64];
    unsigned len = 0;
    struct str h = encoded(header), p = encoded(PAYLOAD);
    struct str input = text_of("%.*s.%.*s", (int)h.len, h.at, (int)p.len, p.at);
    assert_non_null(HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)input.at, input.len, mac, &len));
    check(joined(header, PAYLOAD, (struct str){ (const char *)mac, len }), &any, ERR_TOKEN_ALGORITHM, what);
}

/* RS/HS confusion: CVE-2015-9235, CVE-2024-54150, CVE-2023-48223 (and CVE-2026-34950, a leading space), CVE-2023-48238,
 * CVE-2026-22817, and the empty key of CVE-2026-44699. All that anyone can know of a key, tried as the key of a MAC. */
static void no_form_of_a_public_key_is_the_key_of_a_mac(void **state)
{
    static const char *const names[] = { "HS256", "HS384", "HS512", " HS256", "HS256 ", "hs256" };
    (void)state;
    for (size_t k = 0; k < KEYS; k++) {
        struct buf jwk;
        char *pem = NULL;
        unsigned char *der = NULL;
        buf_init(&jwk, &arena, 512, 4096);
        jwk_write_public(keys[k], &jwk);
        BIO *bio = BIO_new(BIO_s_mem());
        assert_int_equal(PEM_write_bio_PUBKEY(bio, keys[k]->pkey), 1);
        size_t pem_len = (size_t)BIO_get_mem_data(bio, &pem);
        int der_len = i2d_PUBKEY(keys[k]->pkey, &der);
        assert_true(der_len > 0);
        for (size_t i = 0; i < COUNT(names); i++) {
            struct str header = text_of("{\"alg\":\"%s\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", names[i], keys[k]->kid);
            add_hmac(header, jwk.at, jwk.len, "the JWK");
            add_hmac(header, pem, pem_len, "the PEM");
            add_hmac(header, pem, pem_len - 1, "the PEM without its last line end");
            add_hmac(header, der, (size_t)der_len, "the DER");
            add_hmac(header, keys[k]->kid, strlen(keys[k]->kid), "the kid");
            add_hmac(header, "", 0, "nothing");
        }
        OPENSSL_free(der);
        BIO_free(bio);
    }
}

static void each_key_is_good_for_its_own_algorithm_alone(void **state)
{
    static const char *const names[] = { "RS256",   "PS256",  "ES256",  "EdDSA",  "RS384",    "RS512", "PS384",
                                         "PS512",   "ES384",  "ES512",  "ES256K", "rs256",    "es256", "eddsa",
                                         "Ed25519", "RSA1_5", "RS256 ", " RS256", "RSA-OAEP", "dir",   "A256GCMKW" };
    (void)state;
    for (size_t k = 0; k < KEYS; k++)
        for (size_t i = 0; i < COUNT(names); i++) {
            struct str header = text_of("{\"alg\":\"%s\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", names[i], keys[k]->kid);
            bool own = strcmp(names[i], jwa_name(algs[k])) == 0;
            check(signed_with(keys[k], header, PAYLOAD), &any, own ? ERR_OK : ERR_TOKEN_ALGORITHM, header.at);
        }
}

static void a_token_of_one_key_under_the_kid_of_another_is_refused(void **state)
{
    (void)state;
    for (size_t signer_key = 0; signer_key < KEYS; signer_key++)
        for (size_t named = 0; named < KEYS; named++) {
            if (signer_key == named)
                continue;
            struct str honest = text_of("{\"alg\":\"%s\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}",
                                        jwa_name(algs[signer_key]), keys[named]->kid);
            check(signed_with(keys[signer_key], honest, PAYLOAD), &any, ERR_TOKEN_ALGORITHM, honest.at);
            check(signed_with(keys[signer_key], header_of(keys[named], "at+jwt"), PAYLOAD), &any, ERR_TOKEN_SIGNATURE,
                  "another key's signature");
        }
}

/* --- the header is data (RFC 8725 section 3.10; CVE-2026-29000, GHSA-jc38-x7x8-2xc8) ------------------------------ */

static void a_kid_that_names_no_key_is_refused_whatever_it_says(void **state)
{
    static const char *const kids[] = { "",
                                        "../../../../dev/null",
                                        "/dev/null",
                                        "..\\\\..\\\\x",
                                        "' OR '1'='1",
                                        "'; DROP TABLE x;--",
                                        "*)(uid=*",
                                        "%00",
                                        "${jndi:ldap://127.0.0.1/x}",
                                        "$(id)",
                                        "| id",
                                        "\\r\\nDEL x",
                                        "http://127.0.0.1/jwks.json",
                                        "active",
                                        "0",
                                        "undefined",
                                        "null",
                                        "\\ud83d\\ude00" };
    (void)state;
    for (size_t i = 0; i < COUNT(kids); i++) {
        struct str header = text_of("{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", kids[i]);
        check(signed_with(keys[ES256], header, PAYLOAD), &any, ERR_TOKEN_KEY, header.at);
    }
    check(signed_with(keys[ES256], STR("{\"alg\":\"ES256\",\"typ\":\"at+jwt\"}"), PAYLOAD), &any, ERR_TOKEN_KEY,
          "no kid");
    struct str part = text_of("{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"%.42s\"}", keys[ES256]->kid);
    check(signed_with(keys[ES256], part, PAYLOAD), &any, ERR_TOKEN_KEY, "all but its last letter");
    struct str nul = text_of("{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"%s\\u0000\"}", keys[ES256]->kid);
    check(signed_with(keys[ES256], nul, PAYLOAD), &any, ERR_TOKEN_MALFORMED, "a NUL");
}

static void members_of_a_wrong_type_are_refused(void **state)
{
    static const char *const values[] = {
        "null", "1", "true", "[]", "[\"ES256\"]", "{}", "{\"a\":\"ES256\"}", "1e400"
    };
    (void)state;
    for (size_t i = 0; i < COUNT(values); i++) {
        const struct str headers[] = {
            text_of("{\"alg\":%s,\"typ\":\"at+jwt\",\"kid\":\"%s\"}", values[i], keys[ES256]->kid),
            text_of("{\"alg\":\"ES256\",\"typ\":%s,\"kid\":\"%s\"}", values[i], keys[ES256]->kid),
            text_of("{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":%s}", values[i]),
        };
        for (size_t j = 0; j < COUNT(headers); j++)
            check(signed_with(keys[ES256], headers[j], PAYLOAD), &any, ERR_TOKEN_MALFORMED, headers[j].at);
    }
}

/* CVE-2018-0114 and its kin: a key, or where to find one, that the token brings along. */
static void a_key_that_the_token_brings_along_is_not_looked_at(void **state)
{
    (void)state;
    for (size_t k = 0; k < KEYS; k++) {
        struct buf jwk;
        buf_init(&jwk, &arena, 512, 4096);
        jwk_write_public(attacker[k], &jwk);
        const char *const kids[] = { attacker[k]->kid, keys[k]->kid };
        for (size_t i = 0; i < COUNT(kids); i++) {
            const struct str headers[] = {
                text_of("{\"alg\":\"%s\",\"typ\":\"at+jwt\",\"kid\":\"%s\",\"jwk\":%.*s}", jwa_name(algs[k]), kids[i],
                        (int)jwk.len, jwk.at),
                text_of("{\"alg\":\"%s\",\"typ\":\"at+jwt\",\"kid\":\"%s\",\"jku\":\"http://127.0.0.1:1/jwks.json\"}",
                        jwa_name(algs[k]), kids[i]),
                text_of("{\"alg\":\"%s\",\"typ\":\"at+jwt\",\"kid\":\"%s\",\"x5u\":\"file:///etc/"
                        "passwd\",\"x5c\":[\"MIIB\"],"
                        "\"x5t\":\"x\"}",
                        jwa_name(algs[k]), kids[i]),
            };
            for (size_t j = 0; j < COUNT(headers); j++)
                check(signed_with(attacker[k], headers[j], PAYLOAD), &any, i ? ERR_TOKEN_SIGNATURE : ERR_TOKEN_KEY,
                      headers[j].at);
        }
        struct str header = text_of("{\"alg\":\"%s\",\"typ\":\"at+jwt\",\"kid\":\"%s\",\"jwk\":%.*s}",
                                    jwa_name(algs[k]), keys[k]->kid, (int)jwk.len, jwk.at);
        check(signed_with(keys[k], header, PAYLOAD), &any, ERR_OK, "ours, and a jwk that is ignored");
    }
}

static void extensions_are_refused(void **state)
{
    static const char *const more[] = { "\"crit\":[]",
                                        "\"crit\":[\"exp\"],\"exp\":1",
                                        "\"crit\":[\"x\"],\"x\":1",
                                        "\"crit\":null",
                                        "\"crit\":\"\"",
                                        "\"b64\":false,\"crit\":[\"b64\"]",
                                        "\"b64\":false",
                                        "\"b64\":true",
                                        "\"zip\":\"DEF\"",
                                        "\"zip\":null" };
    (void)state;
    for (size_t i = 0; i < COUNT(more); i++) {
        struct str header = text_of("{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"%s\",%s}", keys[ES256]->kid,
                                    more[i]);
        check(signed_with(keys[ES256], header, PAYLOAD), &any, ERR_TOKEN_MALFORMED, header.at);
    }
}

static void members_that_come_twice_are_refused(void **state)
{
    static const char *const headers[] = {
        "{\"alg\":\"ES256\",\"alg\":\"none\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}",
        "{\"alg\":\"none\",\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}",
        "{\"alg\":\"ES256\",\"\\u0061lg\":\"none\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}",
        "{\"alg\":\"ES256\",\"typ\":\"JWT\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}",
        "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"x\",\"kid\":\"%s\"}",
    };
    static const char *const more[] = { ",\"sub\":\"admin\"",    ",\"s\\u0075b\":\"admin\"", ",\"iss\":\"x\"",
                                        ",\"exp\":9999999999",   ",\"aud\":\"other\"",       ",\"a\":{\"b\":1,\"b\":2}",
                                        ",\"role\":1,\"role\":2" };
    (void)state;
    for (size_t i = 0; i < COUNT(headers); i++) {
        struct buf header;
        struct str rest = str_of(headers[i]), before;
        buf_init(&header, &arena, 256, 1024);
        assert_true(str_cut(&rest, '%', &before)); /* %s: the kid */
        buf_add(&header, before);
        buf_add(&header, str_of(keys[ES256]->kid));
        buf_add(&header, (struct str){ rest.at + 1, rest.len - 1 });
        check(signed_with(keys[ES256], buf_str(&header), PAYLOAD), &any, ERR_TOKEN_MALFORMED, headers[i]);
    }
    for (size_t i = 0; i < COUNT(more); i++)
        check(signed_with(keys[ES256], header_of(keys[ES256], "at+jwt"), PAYLOAD_OF(ISSUER, "subject", more[i])), &any,
              ERR_TOKEN_MALFORMED, more[i]);
}

/* --- the shape --------------------------------------------------------------------------------------------------- */

static void what_is_not_three_full_parts_is_malformed(void **state)
{
    struct str token = good(), rest = token, header, payload;
    (void)state;
    assert_true(str_cut(&rest, '.', &header) && str_cut(&rest, '.', &payload));
    const struct str bad[] = {
        { NULL, 0 },
        STR(""),
        STR("."),
        STR(".."),
        STR("..."),
        STR("...."),
        STR("x"),
        STR("\0"),
        header,
        text_of("%.*s.", (int)header.len, header.at),
        text_of("%.*s..", (int)header.len, header.at),
        text_of("%.*s.%.*s", (int)header.len, header.at, (int)payload.len, payload.at),
        text_of("%.*s.%.*s.", (int)header.len, header.at, (int)payload.len, payload.at),
        text_of("%.*s..%.*s", (int)header.len, header.at, (int)rest.len, rest.at), /* detached: RFC 7515 appendix F */
        text_of(".%.*s.%.*s", (int)payload.len, payload.at, (int)rest.len, rest.at),
        text_of("..%.*s", (int)rest.len, rest.at),
        text_of(".%.*s", (int)token.len, token.at),
        text_of("%.*s.", (int)token.len, token.at),
        text_of("%.*s.%.*s", (int)token.len, token.at, (int)rest.len, rest.at),
        text_of("%.*s.%.*s.%.*s", (int)token.len, token.at, (int)rest.len, rest.at, (int)rest.len,
                rest.at), /* a JWE has 5 */
        text_of("{\"protected\":\"%.*s\",\"payload\":\"%.*s\",\"signature\":\"%.*s\"}", (int)header.len, header.at,
                (int)payload.len, payload.at, (int)rest.len, rest.at), /* RFC 7515 section 7.2.2 */
    };
    for (size_t i = 0; i < COUNT(bad); i++)
        check(bad[i], &any, ERR_TOKEN_MALFORMED, bad[i].len ? bad[i].at : "empty");
}

/* A revocation is kept by the token's text: a second spelling of it would undo the revocation. */
static void a_token_has_one_spelling(void **state)
{
    static const char *const around[][2] = { { " ", "" },        { "", " " },           { "", "\n" },   { "", "\r\n" },
                                             { "\t", "" },       { "", "=" },           { "", "==" },   { "", "A" },
                                             { "", "AAAA" },     { "Bearer ", "" },     { "\"", "\"" }, { "", "%3D" },
                                             { "", "\xc2\xa0" }, { "\xef\xbb\xbf", "" } };
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=";
    struct str token = good();
    (void)state;
    check(token, &any, ERR_OK, "as it is");
    for (size_t i = 0; i < COUNT(around); i++)
        assert_true(
            check_at(text_of("%s%.*s%s", around[i][0], (int)token.len, token.at, around[i][1]), &any, NOW).code);
    assert_true(check_at((struct str){ arena_copy(&arena, token).at, token.len + 1 }, &any, NOW).code); /* and a NUL */
    char *changed = arena_alloc(&arena, token.len);
    memcpy(changed, token.at, token.len);
    for (size_t i = 0; i < token.len; i++) {
        bool ends_part = i + 1 == token.len || token.at[i + 1] == '.';
        for (size_t j = 0; j < sizeof digits - 1; j += ends_part ? 1 : 7) {
            changed[i] = digits[j];
            if (digits[j] != token.at[i])
                assert_row(check_at((struct str){ changed, token.len }, &any, NOW).code != ERR_OK, "another letter");
        }
        changed[i] = token.at[i];
    }
    check((struct str){ changed, token.len }, &any, ERR_OK, "as it was");
}

static void a_token_is_bounded(void **state)
{
    char filling[5000];
    (void)state;
    memset(filling, 'x', sizeof filling);
    size_t usual =
        signed_with(keys[ES256], header_of(keys[ES256], "at+jwt"), PAYLOAD_OF(ISSUER, "s", ",\"f\":\"\"")).len;
    size_t room = (4096 - usual) / 4 * 3;
    struct str longest = { NULL, 0 };
    for (size_t more = room - 6; longest.len <= 4096; more++) {
        char text[5000];
        snprintf(text, sizeof text, ",\"f\":\"%.*s\"", (int)more, filling);
        longest = signed_with(keys[ES256], header_of(keys[ES256], "at+jwt"), PAYLOAD_OF(ISSUER, "s", text));
        check(longest, &any, longest.len <= 4096 ? ERR_OK : ERR_TOKEN_MALFORMED, "near the bound");
    }
    char *huge = arena_alloc(&arena, 10000000);
    memset(huge, 'A', 10000000);
    huge[100] = huge[200] = '.';
    check((struct str){ huge, 10000000 }, &any, ERR_TOKEN_MALFORMED, "10 MB");
}

static void a_payload_that_is_no_object_or_a_bomb_is_malformed(void **state)
{
    char bomb[600];
    (void)state;
    memset(bomb, '[', 300);
    memset(bomb + 300, ']', 299);
    bomb[599] = '\0';
    const struct str bad[] = { STR("null"),
                               STR("[]"),
                               STR("\"x\""),
                               STR("1"),
                               STR("{"),
                               STR("x"),
                               STR("{}{}"),
                               text_of("[%.*s]", (int)PAYLOAD.len, PAYLOAD.at),
                               text_of("%.*sx", (int)PAYLOAD.len, PAYLOAD.at),
                               text_of("\xef\xbb\xbf%.*s", (int)PAYLOAD.len, PAYLOAD.at),
                               PAYLOAD_OF(ISSUER, "s\\u0000", ""),
                               PAYLOAD_OF(ISSUER, "s\xff", ""),
                               PAYLOAD_OF(ISSUER, "\\ud800", ""),
                               text_of("{\"a\":%s}", bomb),
                               PAYLOAD_OF(ISSUER, "s", ",\"x\":1e400"),
                               PAYLOAD_OF(ISSUER, "s", ",\"x\":NaN") };
    for (size_t i = 0; i < COUNT(bad); i++)
        check(signed_with(keys[ES256], header_of(keys[ES256], "at+jwt"), bad[i]), &any, ERR_TOKEN_MALFORMED, bad[i].at);
    check(signed_with(keys[ES256], header_of(keys[ES256], "at+jwt"), STR("{}")), &any, ERR_TOKEN_CLAIM, "{}");
}

/* --- the signature ----------------------------------------------------------------------------------------------- */

/* CVE-2022-21449. */
static void a_psychic_signature_is_refused(void **state)
{
    static const unsigned char order[32] = { 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
                                             0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
                                             0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51 };
    static const unsigned char zero[32], one[32] = { [31] = 1 };
    const unsigned char *const halves[] = { zero, one, order };
    char signature[64];
    (void)state;
    for (size_t i = 0; i < COUNT(halves); i++)
        for (size_t j = 0; j < COUNT(halves); j++) {
            memcpy(signature, halves[i], 32);
            memcpy(signature + 32, halves[j], 32);
            check(joined(header_of(keys[ES256], "at+jwt"), PAYLOAD, (struct str){ signature, 64 }), &any,
                  ERR_TOKEN_SIGNATURE, "r and s");
        }
    static const char zeros[512];
    for (size_t k = 0; k < KEYS; k++)
        for (size_t len = 1; len <= sizeof zeros; len *= 2)
            check(joined(header_of(keys[k], "at+jwt"), PAYLOAD, (struct str){ zeros, len }), &any, ERR_TOKEN_SIGNATURE,
                  "zeros");
}

static void a_signature_over_something_else_is_refused(void **state)
{
    struct str other = signed_with(keys[ES256], header_of(keys[ES256], "at+jwt"), PAYLOAD_OF(ISSUER, "admin", ""));
    struct str one = good(), rest_of_other = other, rest = one, header, payload, other_header, other_payload;
    (void)state;
    assert_true(str_cut(&rest, '.', &header) && str_cut(&rest, '.', &payload));
    assert_true(str_cut(&rest_of_other, '.', &other_header) && str_cut(&rest_of_other, '.', &other_payload));
    check(text_of("%.*s.%.*s.%.*s", (int)header.len, header.at, (int)other_payload.len, other_payload.at, (int)rest.len,
                  rest.at),
          &any, ERR_TOKEN_SIGNATURE, "another payload");
    struct str as_refresh = encoded(header_of(keys[ES256], "rt+jwt"));
    check(text_of("%.*s.%.*s.%.*s", (int)as_refresh.len, as_refresh.at, (int)payload.len, payload.at, (int)rest.len,
                  rest.at),
          &any, ERR_TOKEN_SIGNATURE, "another kind");
    check(signed_with(attacker[ES256], header_of(keys[ES256], "at+jwt"), PAYLOAD), &any, ERR_TOKEN_SIGNATURE,
          "a stranger's");
}

/* --- claims ------------------------------------------------------------------------------------------------------ */

static void times_are_whole_numbers_that_lie_right(void **state)
{
    static const struct {
        const char *exp, *iat, *nbf;
        enum err_code code;
    } rows[] = {
        { "1800000001", "1799999999", "1799999999", ERR_OK },
        { "1800000000", "1799999999", "1799999999", ERR_TOKEN_EXPIRED },
        { "1799999999", "1799999998", "1799999998", ERR_TOKEN_EXPIRED },
        { "1", "1", "1", ERR_TOKEN_EXPIRED },
        { "0", "0", "0", ERR_TOKEN_EXPIRED },
        { "1800000001", "1800000000", "1800000005", ERR_OK }, /* within TOKEN_CLOCK_SKEW */
        { "1800000100", "1800000000", "1800000006", ERR_TOKEN_NOT_YET },
        { "1800000100", "1800000005", "1800000000", ERR_OK },
        { "1800000100", "1800000006", "1800000000", ERR_TOKEN_NOT_YET },
        { "253402300799", "1800000000", "253402300799", ERR_TOKEN_NOT_YET },
        { "253402300799", "0", "0", ERR_OK },
        { "253402300800", "0", "0", ERR_TOKEN_CLAIM },
        { "9223372036854775807", "0", "0", ERR_TOKEN_CLAIM },
        { "9223372036854775808", "0", "0", ERR_TOKEN_CLAIM },
        { "18446744075509551617", "0", "0", ERR_TOKEN_CLAIM }, /* 2^64 + 1800000001 */
        { "99999999999999999999999999999999", "0", "0", ERR_TOKEN_CLAIM },
        { "-1", "0", "0", ERR_TOKEN_CLAIM },
        { "1800000100", "-1", "0", ERR_TOKEN_CLAIM },
        { "1800000100", "0", "-9223372036854775808", ERR_TOKEN_CLAIM },
        { "1800000100.5", "0", "0", ERR_TOKEN_CLAIM },
        { "1800000100.0", "0", "0", ERR_TOKEN_CLAIM },
        { "1.8e9", "0", "0", ERR_TOKEN_CLAIM },
        { "1e308", "0", "0", ERR_TOKEN_CLAIM },
        { "1e400", "0", "0", ERR_TOKEN_MALFORMED },
        { "\"1800000100\"", "0", "0", ERR_TOKEN_CLAIM },
        { "null", "0", "0", ERR_TOKEN_CLAIM },
        { "true", "0", "0", ERR_TOKEN_CLAIM },
        { "[1800000100]", "0", "0", ERR_TOKEN_CLAIM },
        { "{\"$gt\":0}", "0", "0", ERR_TOKEN_CLAIM },
        { "1800000100", "null", "0", ERR_TOKEN_CLAIM },
        { "1800000100", "0", "\"0\"", ERR_TOKEN_CLAIM },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str payload = text_of("{\"iss\":\"" ISSUER
                                     "\",\"sub\":\"s\",\"aud\":\"a\",\"jti\":\"j\",\"exp\":%s,\"iat\":%s,"
                                     "\"nbf\":%s}",
                                     rows[i].exp, rows[i].iat, rows[i].nbf);
        check(signed_with(keys[ES256], header_of(keys[ES256], "at+jwt"), payload), &any, rows[i].code, payload.at);
    }
}

static void another_issuers_token_is_refused_even_with_our_signature(void **state)
{
    static const char *const issuers[] = { "",
                                           "https://auth.test/",
                                           "https://AUTH.test",
                                           "http://auth.test",
                                           "https://uth.test",
                                           "https://auth.test.evil.example",
                                           "https://auth.test ",
                                           "https://auth.test\\u00a0" };
    struct token_ask ask = any;
    (void)state;
    for (size_t i = 0; i < COUNT(issuers); i++) {
        struct str token = signed_with(keys[ES256], header_of(keys[ES256], "at+jwt"), PAYLOAD_OF(issuers[i], "s", ""));
        check(token, &any, ERR_TOKEN_CLAIM, issuers[i]);
        ask.expect.issuer = str_of(issuers[i]); /* nor does it help to ask for it */
        check(token, &ask, ERR_TOKEN_CLAIM, issuers[i]);
    }
    ask.expect.issuer = STR(ISSUER);
    check(good(), &ask, ERR_OK, "ours");
    ask.expect.issuer = STR("https://other.test");
    check(good(), &ask, ERR_TOKEN_CLAIM, "another asked for");
}

/* --- the cache may not change an answer (facts: trap 9) ---------------------------------------------------------- */

static void what_a_caller_asks_is_asked_of_a_known_token_too(void **state)
{
    static const struct {
        struct token_ask ask;
        enum err_code code;
        const char *what;
    } rows[] = {
        { { .kinds = ANY, .expect = { .max_age_s = -1 } }, ERR_OK, "nothing" },
        { { .kinds = KIND_REFRESH, .expect = { .max_age_s = -1 } }, ERR_TOKEN_KIND, "a refresh token" },
        { { .kinds = KIND_ID | KIND_REFRESH, .expect = { .max_age_s = -1 } },
          ERR_TOKEN_KIND,
          "an id or refresh token" },
        { { .kinds = 0, .expect = { .max_age_s = -1 } }, ERR_TOKEN_KIND, "no kind at all" },
        { { .kinds = ANY, .expect = { .audience = { ROW("api") }, .audience_count = 1, .max_age_s = -1 } },
          ERR_OK,
          "its aud" },
        { { .kinds = ANY, .expect = { .audience = { ROW("other") }, .audience_count = 1, .max_age_s = -1 } },
          ERR_TOKEN_CLAIM,
          "another aud" },
        { { .kinds = ANY, .expect = { .subject = ROW("subject"), .max_age_s = -1 } }, ERR_OK, "its sub" },
        { { .kinds = ANY, .expect = { .subject = ROW("other"), .max_age_s = -1 } }, ERR_TOKEN_CLAIM, "another sub" },
        { { .kinds = ANY, .expect = { .issuer = ROW("https://other.test"), .max_age_s = -1 } },
          ERR_TOKEN_CLAIM,
          "iss" },
        { { .kinds = ANY, .expect = { .nonce = ROW("n"), .max_age_s = -1 } },
          ERR_TOKEN_CLAIM,
          "a nonce that it has not" },
        { { .kinds = ANY, .expect = { .max_age_s = 100 } }, ERR_OK, "its age" },
        { { .kinds = ANY, .expect = { .max_age_s = 99 } }, ERR_TOKEN_CLAIM, "a lower age" },
        { { .kinds = ANY, .expect = { .max_age_s = 0 } }, ERR_TOKEN_CLAIM, "no age" },
    };
    (void)state;
    struct str known = good();
    check(known, &any, ERR_OK, "known");
    for (size_t i = 0; i < COUNT(rows); i++) {
        check(known, &rows[i].ask, rows[i].code, rows[i].what);
        check(good(), &rows[i].ask, rows[i].code, rows[i].what); /* never seen: ECDSA signs differently each time */
        check(known, &any, ERR_OK, "and none spoils it for the next");
    }
}

static void a_known_token_expires_in_its_time(void **state)
{
    struct token_ask tolerant = any;
    struct str token = good();
    (void)state;
    tolerant.expect.tolerance_s = 10;
    assert_ok(check_at(token, &any, NOW));
    assert_ok(check_at(token, &any, NOW + 99));
    assert_code(check_at(token, &any, NOW + 100), ERR_TOKEN_EXPIRED, "at its exp");
    assert_ok(check_at(token, &tolerant, NOW + 109));
    assert_code(check_at(token, &tolerant, NOW + 110), ERR_TOKEN_EXPIRED, "after its tolerance");
    assert_code(check_at(token, &any, NOW + 1000000), ERR_TOKEN_EXPIRED, "later");
    assert_code(check_at(token, &any, NOW - 106), ERR_TOKEN_NOT_YET, "a clock set back");
    assert_ok(check_at(token, &any, NOW)); /* the entry still says what it said */
}

static void a_token_that_was_expired_when_first_seen_is_no_better_later(void **state)
{
    struct str token = good();
    (void)state;
    assert_code(check_at(token, &any, NOW + 200), ERR_TOKEN_EXPIRED, "first");
    assert_code(check_at(token, &any, NOW + 200), ERR_TOKEN_EXPIRED, "again");
    assert_code(check_at(token, &any, NOW - 1000), ERR_TOKEN_NOT_YET, "too early");
}

/* For revoking it, again or in spite of the clock. */
static void can_be_found(struct str token, const char *row)
{
    AUTO(verified_releasep) struct verified *entry = NULL;
    unsigned char hash[32];
    sha256(token, hash);
    assert_code(token_find(&service, token, &entry), ERR_OK, row);
    assert_memory_equal(entry->hash, hash, sizeof hash);
}

static void a_revoked_token_is_refused_known_or_not(void **state)
{
    struct str known = good(), unknown = good();
    unsigned char hash[32];
    (void)state;
    check(known, &any, ERR_OK, "known");
    sha256(known, hash);
    hash_set_add(service.revocations->revoked, hash, (struct hash_value){ .expires_at = NOW + 100 });
    sha256(unknown, hash);
    hash_set_add(service.revocations->revoked, hash, (struct hash_value){ .expires_at = NOW + 100 });
    check(known, &any, ERR_TOKEN_REVOKED, "known");
    check(unknown, &any, ERR_TOKEN_REVOKED, "never seen");
    can_be_found(known, "for revoking it again");
    can_be_found(unknown, "for revoking it again");
    check(known, &any, ERR_TOKEN_REVOKED, "still");
    check(good(), &any, ERR_OK, "another of the same claims");
}

/* Whatever bears the service's signature can be revoked, known or not; nothing else can. */
static void what_can_be_revoked_hangs_on_the_signature_alone(void **state)
{
    struct verified *entry = NULL;
    (void)state;
    can_be_found(good(), "now");
    can_be_found(signed_with(keys[RS256], header_of(keys[RS256], "rt+jwt"), PAYLOAD), "refresh");
    struct str over = text_of("{\"iss\":\"" ISSUER "\",\"sub\":\"s\",\"aud\":\"a\",\"exp\":1,\"iat\":0,\"nbf\":0,"
                              "\"jti\":\"j\"}");
    can_be_found(signed_with(keys[ES256], header_of(keys[ES256], "at+jwt"), over), "over since 1970");
    can_be_found(signed_with(keys[ES256], header_of(keys[ES256], "at+jwt"),
                             PAYLOAD_OF("https://was.test", "subject", "")),
                 "of an issuer of yesterday");
    struct str forged = signed_with(attacker[ES256], header_of(keys[ES256], "at+jwt"), PAYLOAD);
    assert_code(token_find(&service, forged, &entry), ERR_TOKEN_SIGNATURE, "forged");
    struct str stranger = signed_with(attacker[ES256], header_of(attacker[ES256], "at+jwt"), PAYLOAD);
    assert_code(token_find(&service, stranger, &entry), ERR_TOKEN_KEY, "of nobody's key");
    assert_null(entry);
}

#define PARENT ",\"parent_hash\":\"%.*s\",\"parent_client_id\":\"issuer\",\"parent_iat\":1799999800"

/* RFC 8725 has nothing to say of this: a token that was issued with a token falls with it, known or not. */
static void a_token_falls_with_the_one_that_it_was_issued_with(void **state)
{
    struct str parent = good(), other = good();
    unsigned char hash[32], others[32];
    (void)state;
    sha256(parent, hash);
    sha256(other, others);
    struct str in_text = encoded((struct str){ (const char *)hash, sizeof hash });
    struct str more = text_of(PARENT, (int)in_text.len, in_text.at);
    struct str known = signed_with(keys[ES256], header_of(keys[ES256], "at+jwt"),
                                   PAYLOAD_OF(ISSUER, "subject", more.at));
    struct str unknown = signed_with(keys[ES256], header_of(keys[ES256], "rt+jwt"),
                                     PAYLOAD_OF(ISSUER, "subject", more.at));
    check(known, &any, ERR_OK, "known");
    hash_set_add(service.revocations->revoked, others, (struct hash_value){ .expires_at = NOW + 100 });
    check(known, &any, ERR_OK, "another one was revoked");
    hash_set_add(service.revocations->revoked, hash, (struct hash_value){ .expires_at = NOW + 100 });
    check(known, &any, ERR_TOKEN_REVOKED, "known");
    check(unknown, &any, ERR_TOKEN_REVOKED, "never seen");
    can_be_found(known, "for revoking it by itself");
    static const char *const wrong[] = {
        "\"\"", "\"x\"", "1", "null", "[]", "\"AAAA\"", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB\""
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        more = text_of(",\"parent_client_id\":\"issuer\",\"parent_iat\":1,\"parent_hash\":%s", wrong[i]);
        struct str token = signed_with(keys[ES256], header_of(keys[ES256], "at+jwt"),
                                       PAYLOAD_OF(ISSUER, "subject", more.at));
        check(token, &any, ERR_TOKEN_CLAIM, wrong[i]);
    }
#define HASH "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\""
    static const char *const parts[] = { ",\"parent_hash\":" HASH,
                                         ",\"parent_client_id\":\"issuer\"",
                                         ",\"parent_iat\":1",
                                         ",\"parent_hash\":" HASH ",\"parent_client_id\":\"issuer\"",
                                         ",\"parent_hash\":" HASH ",\"parent_client_id\":\"\",\"parent_iat\":1",
                                         ",\"parent_client_id\":\"issuer\",\"parent_iat\":1" };
    for (size_t i = 0; i < COUNT(parts); i++)
        check(signed_with(keys[ES256], header_of(keys[ES256], "at+jwt"), PAYLOAD_OF(ISSUER, "subject", parts[i])), &any,
              ERR_TOKEN_CLAIM, parts[i]);
}

static void revoke_by_rule_of(enum revocation_kind rule, const char *value, int64_t before)
{
    unsigned char hash[32];
    rule_hash(rule, str_of(value), hash);
    rules_add(service.revocations->rules, hash, (struct hash_value){ NOW + 10000, before, REVOKED_SUBJECT });
}

static void forget_rules(void)
{
    rules_free(service.revocations->rules);
    service.revocations->rules = rules_new();
}

/* A token of this shape is refused by its own rule, up to the second in which it was issued, and by no other's. */
static void a_rule_refuses_what_it_is_about_and_nothing_else(void **state)
{
    static const char id_claims[] = "{\"iss\":\"" ISSUER "\",\"sub\":\"subject\",\"aud\":\"client\",\"exp\":1800000100,"
                                    "\"iat\":1799999900,\"nbf\":1799999900,\"jti\":\"j\",\"azp\":\"client\"}";
    static const struct {
        const char *row;
        enum revocation_kind rule;
        const char *value;
        int64_t before;
        enum err_code access, with_sid, id;
    } rows[] = {
        { "its subject", REVOKED_SUBJECT, "subject", NOW - 100, ERR_TOKEN_REVOKED, ERR_TOKEN_REVOKED,
          ERR_TOKEN_REVOKED },
        { "its subject, later", REVOKED_SUBJECT, "subject", NOW, ERR_TOKEN_REVOKED, ERR_TOKEN_REVOKED,
          ERR_TOKEN_REVOKED },
        { "a second too early", REVOKED_SUBJECT, "subject", NOW - 101, ERR_OK, ERR_OK, ERR_OK },
        { "another subject", REVOKED_SUBJECT, "subjec", NOW, ERR_OK, ERR_OK, ERR_OK },
        { "in other letters", REVOKED_SUBJECT, "Subject", NOW, ERR_OK, ERR_OK, ERR_OK },
        { "its client", REVOKED_CLIENT, "client", NOW - 100, ERR_TOKEN_REVOKED, ERR_TOKEN_REVOKED, ERR_TOKEN_REVOKED },
        { "an audience is no client", REVOKED_CLIENT, "api", NOW, ERR_OK, ERR_OK, ERR_OK },
        { "its session", REVOKED_SESSION, "s1", NOW - 100, ERR_OK, ERR_TOKEN_REVOKED, ERR_OK },
        { "another session", REVOKED_SESSION, "s2", NOW, ERR_OK, ERR_OK, ERR_OK },
        { "a session of its subject's name", REVOKED_SESSION, "subject", NOW, ERR_OK, ERR_OK, ERR_OK },
        { "a subject of its client's name", REVOKED_SUBJECT, "client", NOW, ERR_OK, ERR_OK, ERR_OK },
        { "everything", REVOKED_ALL, "", NOW - 100, ERR_TOKEN_REVOKED, ERR_TOKEN_REVOKED, ERR_TOKEN_REVOKED },
        { "everything, too early", REVOKED_ALL, "", NOW - 101, ERR_OK, ERR_OK, ERR_OK },
        { "no session", REVOKED_SESSION, "", NOW, ERR_OK, ERR_OK, ERR_OK },
    };
    (void)state;
    const struct str tokens[] = { good(),
                                  signed_with(keys[ES256], header_of(keys[ES256], "at+jwt"),
                                              PAYLOAD_OF(ISSUER, "subject", ",\"sid\":\"s1\"")),
                                  signed_with(keys[ES256], header_of(keys[ES256], "JWT"), str_of(id_claims)) };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const enum err_code expected[] = { rows[i].access, rows[i].with_sid, rows[i].id };
        forget_rules();
        for (size_t k = 0; k < COUNT(tokens); k++)
            check(tokens[k], &any, ERR_OK, "before");
        revoke_by_rule_of(rows[i].rule, rows[i].value, rows[i].before);
        for (size_t k = 0; k < COUNT(tokens); k++) {
            check(tokens[k], &any, expected[k], rows[i].row);
            can_be_found(tokens[k], "for revoking it by itself");
        }
    }
}

/* Rules name the platform's subject and session, and such a token what its client knows them by: they stand in it
 * sealed. What it says itself is good for a rule all the same. */
static void a_rule_reaches_an_id_token_that_does_not_name_its_user(void **state)
{
    static const struct {
        const char *row;
        enum revocation_kind rule;
        const char *value;
        int64_t before;
        enum err_code of_session, of_none;
    } rows[] = {
        { "its subject", REVOKED_SUBJECT, "ada", NOW - 100, ERR_TOKEN_REVOKED, ERR_TOKEN_REVOKED },
        { "its subject, too early", REVOKED_SUBJECT, "ada", NOW - 101, ERR_OK, ERR_OK },
        { "another subject", REVOKED_SUBJECT, "bob", NOW, ERR_OK, ERR_OK },
        { "its session", REVOKED_SESSION, "s1", NOW - 100, ERR_TOKEN_REVOKED, ERR_OK },
        { "another session", REVOKED_SESSION, "s2", NOW, ERR_OK, ERR_OK },
        { "a session of its subject's name", REVOKED_SESSION, "ada", NOW, ERR_OK, ERR_OK },
        { "no session", REVOKED_SESSION, "", NOW, ERR_OK, ERR_OK },
        { "what its client knows", REVOKED_SUBJECT, "subject", NOW - 100, ERR_TOKEN_REVOKED, ERR_TOKEN_REVOKED },
        { "everything", REVOKED_ALL, "", NOW - 100, ERR_TOKEN_REVOKED, ERR_TOKEN_REVOKED },
    };
    static const struct str sessions[] = { STR_INIT("s1"), { 0, 0 } };
    struct str tokens[COUNT(sessions)], sealed;
    (void)state;
    settings.pairwise_salt = "0123456789abcdef0123456789abcdef";
    for (size_t k = 0; k < COUNT(sessions); k++) {
        assert_ok(sealed_rules_write(&settings, &arena, STR("j"), STR("ada"), sessions[k], &sealed));
        tokens[k] = signed_with(keys[ES256], header_of(keys[ES256], "JWT"),
                                PAYLOAD_OF(ISSUER, "subject",
                                           text_of(",\"sealed_rules\":\"%.*s\"", (int)sealed.len, sealed.at).at));
    }
    for (size_t i = 0; i < COUNT(rows); i++) {
        const enum err_code expected[] = { rows[i].of_session, rows[i].of_none };
        forget_rules();
        for (size_t k = 0; k < COUNT(tokens); k++)
            check(tokens[k], &any, ERR_OK, "before");
        revoke_by_rule_of(rows[i].rule, rows[i].value, rows[i].before);
        for (size_t k = 0; k < COUNT(tokens); k++)
            check(tokens[k], &any, expected[k], rows[i].row);
    }
    forget_rules();
}

/* Then nobody knows which rules are about it. */
static void an_id_token_whose_rules_can_not_be_opened_is_refused(void **state)
{
    static const char *const salts[] = { "1123456789abcdef0123456789abcdef", "" };
    struct str sealed;
    (void)state;
    settings.pairwise_salt = "0123456789abcdef0123456789abcdef";
    assert_ok(sealed_rules_write(&settings, &arena, STR("j"), STR("ada"), (struct str){ 0, 0 }, &sealed));
    for (size_t i = 0; i < COUNT(salts); i++) {
        const struct str payload = PAYLOAD_OF(ISSUER, "subject",
                                              text_of(",\"sealed_rules\":\"%.*s\"", (int)sealed.len, sealed.at).at);
        settings.pairwise_salt = salts[i];
        const struct str token = signed_with(keys[ES256], header_of(keys[ES256], "JWT"), payload);
        check(token, &any, ERR_TOKEN_CLAIM, "another salt");
        can_be_found(token, "as a hint");
    }
    check(signed_with(keys[ES256], header_of(keys[ES256], "JWT"),
                      PAYLOAD_OF(ISSUER, "subject", ",\"sealed_rules\":\"x\"")),
          &any, ERR_TOKEN_CLAIM, "no such text");
}

/* Also a rule that was made for a time before the token itself was issued. */
static void a_rule_about_a_token_is_about_what_was_issued_with_it(void **state)
{
    static const struct {
        const char *row;
        enum revocation_kind rule;
        const char *value;
        int64_t before;
        enum err_code expected;
    } rows[] = {
        { "its client", REVOKED_CLIENT, "issuer", NOW - 200, ERR_TOKEN_REVOKED },
        { "its client, too early", REVOKED_CLIENT, "issuer", NOW - 201, ERR_OK },
        { "its subject", REVOKED_SUBJECT, "issuer", NOW - 200, ERR_TOKEN_REVOKED },
        { "its subject, too early", REVOKED_SUBJECT, "issuer", NOW - 201, ERR_OK },
        { "a session of that name", REVOKED_SESSION, "issuer", NOW, ERR_OK },
        { "everything", REVOKED_ALL, "", NOW - 200, ERR_TOKEN_REVOKED },
        { "everything, too early", REVOKED_ALL, "", NOW - 201, ERR_OK },
        { "the token's own client, too early", REVOKED_CLIENT, "client", NOW - 101, ERR_OK },
        { "the token's own client", REVOKED_CLIENT, "client", NOW - 100, ERR_TOKEN_REVOKED },
    };
    (void)state;
    const char *hash = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    struct str child = signed_with(keys[ES256], header_of(keys[ES256], "at+jwt"),
                                   PAYLOAD_OF(ISSUER, "subject", text_of(PARENT, (int)strlen(hash), hash).at));
    for (size_t i = 0; i < COUNT(rows); i++) {
        forget_rules();
        check(child, &any, ERR_OK, "before");
        revoke_by_rule_of(rows[i].rule, rows[i].value, rows[i].before);
        check(child, &any, rows[i].expected, rows[i].row);
    }
}

static void a_token_of_strange_claims_is_met_by_what_it_has(void **state)
{
    (void)state;
    revoke_by_rule_of(REVOKED_SESSION, "42", NOW);
    struct str number = signed_with(keys[ES256], header_of(keys[ES256], "at+jwt"),
                                    PAYLOAD_OF(ISSUER, "subject", ",\"sid\":42"));
    struct str escaped = signed_with(keys[ES256], header_of(keys[ES256], "at+jwt"),
                                     PAYLOAD_OF(ISSUER, "subject", ",\"sid\":\"\\u0034\\u0032\""));
    struct str empty = signed_with(keys[ES256], header_of(keys[ES256], "at+jwt"), PAYLOAD_OF(ISSUER, "", ""));
    check(number, &any, ERR_OK, "a sid is a text");
    check(escaped, &any, ERR_TOKEN_REVOKED, "however it is written");
    check(empty, &any, ERR_OK, "of nobody");
    revoke_by_rule_of(REVOKED_SUBJECT, "", NOW);
    check(empty, &any, ERR_TOKEN_REVOKED, "of nobody");
}

static void what_is_to_be_issued_meets_the_same_rules(void **state)
{
    const struct claims claims = { .sub = STR("subject"), .client_id = STR("client"), .sid = STR("s"), .iat = NOW };
    static const struct {
        enum revocation_kind rule;
        const char *value;
        int64_t before;
        bool refused;
    } rows[] = { { REVOKED_SUBJECT, "subject", NOW, true },
                 { REVOKED_SUBJECT, "subject", NOW - 1, false },
                 { REVOKED_CLIENT, "client", NOW, true },
                 { REVOKED_CLIENT, "another", NOW, false },
                 { REVOKED_SESSION, "s", NOW + 3, true },
                 { REVOKED_SESSION, "subject", NOW, false },
                 { REVOKED_ALL, "", NOW, true },
                 { REVOKED_ALL, "", NOW - 1, false } };
    (void)state;
    assert_false(revocations_refuse_new(service.revocations, &claims));
    for (size_t i = 0; i < COUNT(rows); i++) {
        forget_rules();
        revoke_by_rule_of(rows[i].rule, rows[i].value, rows[i].before);
        assert_int_equal(revocations_refuse_new(service.revocations, &claims), rows[i].refused);
    }
}

/* Made by others' hands: printf %s 'sub:subject' | sha256sum, and so on. Redis, the feed and the store hold these. */
static void a_rules_hash_is_what_is_written_down(void **state)
{
    static const struct {
        enum revocation_kind rule;
        const char *value, *hex;
    } rows[] = {
        { REVOKED_SUBJECT, "subject", "5651abd6382105db0455096c3cf30ee5d1ca33d59913e6a46cba3edf237f3bda" },
        { REVOKED_CLIENT, "subject", "2eebf43f11d16f53d4c44c9861a06e289cd3a10686fbe098626b4a86e79a1148" },
        { REVOKED_SESSION, "subject", "ef220b3ab44b393aad37cdd34c2ca2d4e9820e3f8cc22f693fcd989297ebbf43" },
        { REVOKED_ALL, "", "f370f8ba3ff5052c005ab90dbcd384712c7feb15ea0ab6fc3d9a2c82e5b7f02a" },
    };
    char hex[65];
    unsigned char hash[32];
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        rule_hash(rows[i].rule, str_of(rows[i].value), hash);
        hex_write(hash, sizeof hash, hex);
        assert_string_equal(hex, rows[i].hex);
    }
}

/* Several loops may meet a token's first check against rules at once. */
static void *check_many(void *arg)
{
    const struct str *token = arg;
    size_t wrong = 0;
    for (int i = 0; i < 2000; i++) {
        struct verified *entry = NULL;
        wrong += token_check(&service, *token, &any, NOW, &entry).code != ERR_TOKEN_REVOKED;
    }
    return (void *)wrong; // NOLINT(performance-no-int-to-ptr)
}

static void threads_agree_on_a_token_that_a_rule_refuses(void **state)
{
    pthread_t threads[3];
    struct str token = good();
    (void)state;
    check(token, &any, ERR_OK, "known, but not against a rule");
    revoke_by_rule_of(REVOKED_CLIENT, "client", NOW);
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, check_many, &token), 0);
    for (size_t i = 0; i < COUNT(threads); i++) {
        void *wrong = NULL;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
}

/* Another instance may have revoked it: that is no verdict on the token, and no verdict may come of it. */
static void while_revocations_are_not_known_no_token_is_good(void **state)
{
    struct str revoked = good(), forged = text_of("%.*sx", (int)revoked.len, revoked.at), token = good();
    unsigned char hash[32];
    (void)state;
    sha256(revoked, hash);
    hash_set_add(service.revocations->revoked, hash, (struct hash_value){ .expires_at = NOW + 100 });
    check(token, &any, ERR_OK, "known");
    atomic_store(&service.revocations->known_until_ms, 0);
    check(token, &any, ERR_UNAVAILABLE, "in the cache of verified tokens");
    check(good(), &any, ERR_UNAVAILABLE, "never seen before");
    check(revoked, &any, ERR_TOKEN_REVOKED, "revoked, as is known");
    assert_code(check_at(token, &any, NOW + INT64_C(1000000000)), ERR_TOKEN_EXPIRED, "expired in any case");
    assert_true(check_at(forged, &any, NOW).code != ERR_UNAVAILABLE);
    can_be_found(token, "for revoking it");
    atomic_store(&service.revocations->known_until_ms, clock_coarse_ms() + 60000);
    check(token, &any, ERR_OK, "known again, for a minute");
    atomic_store(&service.revocations->known_until_ms, clock_coarse_ms() - 1);
    check(token, &any, ERR_UNAVAILABLE, "the time is up");
}

static void a_key_that_is_revoked_takes_its_tokens_along(void **state)
{
    struct str tokens[2][KEYS];
    (void)state;
    for (size_t k = 0; k < KEYS; k++) {
        tokens[0][k] = signed_with(keys[k], header_of(keys[k], "at+jwt"), PAYLOAD_OF(ISSUER, "known", ""));
        tokens[1][k] = signed_with(keys[k], header_of(keys[k], "at+jwt"), PAYLOAD_OF(ISSUER, "never seen", ""));
        check(tokens[0][k], &any, ERR_OK, "active and retiring keys verify");
    }
    set_state(str_of(keys[ES256]->kid), KEY_RETIRING);
    set_state(str_of(keys[RS256]->kid), KEY_ACTIVE);
    set_state(str_of(keys[PS256]->kid), KEY_RETIRED);
    set_state(str_of(keys[EDDSA]->kid), KEY_REVOKED);
    assert_ok(keyring_reload(ring));
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < KEYS; k++)
            check(tokens[i][k], &any, k == PS256 || k == EDDSA ? ERR_TOKEN_KEY : ERR_OK, jwa_name(algs[k]));
    for (size_t i = 0; i < 2; i++) /* others may still take them: they can be revoked, seen before or not */
        for (size_t k = 0; k < KEYS; k++)
            can_be_found(tokens[i][k], jwa_name(algs[k]));
    set_state(str_of(keys[RS256]->kid), KEY_RETIRING); /* as it was, for the other tests */
    set_state(str_of(keys[PS256]->kid), KEY_RETIRING);
    set_state(str_of(keys[EDDSA]->kid), KEY_RETIRING);
    set_state(str_of(keys[ES256]->kid), KEY_ACTIVE);
    assert_ok(keyring_reload(ring));
}

/* What one token's check left behind must never answer for another. */
static void many_tokens_are_not_mixed_up(void **state)
{
    enum { MANY = 200 };
    struct str tokens[MANY];
    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        char sub[16];
        snprintf(sub, sizeof sub, "s%zu", i);
        tokens[i] = signed_with(keys[i % 2 ? ES256 : EDDSA], header_of(keys[i % 2 ? ES256 : EDDSA], "at+jwt"),
                                PAYLOAD_OF(ISSUER, sub, ""));
    }
    for (size_t n = 0; n < 4 * (size_t)MANY; n++) {
        size_t i = n * 7 % MANY;
        AUTO(verified_releasep) struct verified *entry = NULL;
        assert_ok(token_check(&service, tokens[i], &any, NOW, &entry));
        assert_str(entry->claims.sub, text_of("s%zu", i).at);
    }
}

#define CHECK(function) cmocka_unit_test_setup_teardown(function, begin_one, finish_one)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CHECK(a_token_of_each_key_and_kind_is_good_and_says_what_it_says),
        CHECK(what_the_ring_signs_is_good),
        CHECK(no_kind_passes_for_another),
        CHECK(a_typ_that_is_none_of_ours_is_refused),
        CHECK(alg_none_is_refused_in_any_case_and_shape),
        CHECK(no_form_of_a_public_key_is_the_key_of_a_mac),
        CHECK(each_key_is_good_for_its_own_algorithm_alone),
        CHECK(a_token_of_one_key_under_the_kid_of_another_is_refused),
        CHECK(a_kid_that_names_no_key_is_refused_whatever_it_says),
        CHECK(members_of_a_wrong_type_are_refused),
        CHECK(a_key_that_the_token_brings_along_is_not_looked_at),
        CHECK(extensions_are_refused),
        CHECK(members_that_come_twice_are_refused),
        CHECK(what_is_not_three_full_parts_is_malformed),
        CHECK(a_token_has_one_spelling),
        CHECK(a_token_is_bounded),
        CHECK(a_payload_that_is_no_object_or_a_bomb_is_malformed),
        CHECK(a_psychic_signature_is_refused),
        CHECK(a_signature_over_something_else_is_refused),
        CHECK(times_are_whole_numbers_that_lie_right),
        CHECK(another_issuers_token_is_refused_even_with_our_signature),
        CHECK(what_a_caller_asks_is_asked_of_a_known_token_too),
        CHECK(a_known_token_expires_in_its_time),
        CHECK(a_token_that_was_expired_when_first_seen_is_no_better_later),
        CHECK(a_revoked_token_is_refused_known_or_not),
        CHECK(what_can_be_revoked_hangs_on_the_signature_alone),
        CHECK(a_token_falls_with_the_one_that_it_was_issued_with),
        CHECK(a_rule_refuses_what_it_is_about_and_nothing_else),
        CHECK(a_rule_reaches_an_id_token_that_does_not_name_its_user),
        CHECK(an_id_token_whose_rules_can_not_be_opened_is_refused),
        CHECK(a_rule_about_a_token_is_about_what_was_issued_with_it),
        CHECK(a_token_of_strange_claims_is_met_by_what_it_has),
        CHECK(what_is_to_be_issued_meets_the_same_rules),
        CHECK(a_rules_hash_is_what_is_written_down),
        CHECK(threads_agree_on_a_token_that_a_rule_refuses),
        CHECK(while_revocations_are_not_known_no_token_is_good),
        CHECK(a_key_that_is_revoked_takes_its_tokens_along),
        CHECK(many_tokens_are_not_mixed_up),
    };
    int bad = 0;
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    for (cache_entries = 0; cache_entries <= 1000; cache_entries += 1000)
        bad += cmocka_run_group_tests(tests, begin, finish);
    return bad;
}
