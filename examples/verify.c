/* verify.c: how a service verifies access tokens by itself, in C17 with OpenSSL 3, libcurl and jansson. It fetches the
 * issuer's public keys, follows its revocation feed (docs/revocation-feed.md) on a thread of its own, and from then on
 * asks nobody.
 *
 *   struct verifier *verifier = verifier_start("https://auth.example", "https://auth.example", "https://api.example");
 *   json_t *claims;
 *   const char *why = verifier_check(verifier, token, strlen(token), &claims);   // from any thread; NULL: it is good
 *
 * As a command: tokens come in a line each, "ok <sub>" or "refused <why>" goes out for each.
 *
 *   cc -std=c17 -O2 -Wall -Wextra verify.c -o verify -lcrypto -lcurl -ljansson -lpthread
 *   ./verify --issuer-url http://127.0.0.1:8080 --issuer https://auth.example --audience https://api.example
 *
 * verify.mjs and verify.py beside it do the same. With -DVERIFY_LIBRARY there is no main(). */
#define _GNU_SOURCE
#include <curl/curl.h>
#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
    POLL_MS = 800,      /* with a cache of one second in between, a revocation is known within two */
    TIMEOUT_MS = 5000,  /* of one request */
    SKEW_S = 30,        /* how far the clocks of the issuer and of this machine may differ */
    UNKNOWN_KEY_S = 10, /* an unknown kid has the keys fetched again at most that often */
    KEYS_COUNT = 64,
    TOKEN_MAX = 16 * 1024,
    PAGE_MAX = 2 * 1024 * 1024, /* of the feed, and of the key set */
    HASH_BYTES = 16,
    ENTRY_BYTES = 20,
};

static const char *const rule_kinds[] = { "sub", "client_id", "sid", "all" };
enum { RULE_KINDS = 4 };

static void *must(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

static int64_t now_s(void)
{
    return (int64_t)time(NULL);
}

/* By a clock that nobody sets back. */
static int64_t steady_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* --- base64url ---------------------------------------------------------------------------------------------------- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Decodes strictly: no padding, no other bytes, no bits left over. The caller frees; NULL: malformed. */
static unsigned char *decode(const char *text, size_t len, size_t *out_len)
{
    unsigned char *out = must(malloc(len / 4 * 3 + 3));
    uint32_t bits = 0;
    int count = 0;
    *out_len = 0;
    for (size_t i = 0; i < len; i++) {
        const char *found = text[i] ? strchr(alphabet, text[i]) : NULL;
        if (!found)
            goto malformed;
        bits = bits << 6 | (uint32_t)(found - alphabet);
        count += 6;
        if (count >= 8) {
            count -= 8;
            out[(*out_len)++] = (unsigned char)(bits >> count);
            bits &= (1U << count) - 1;
        }
    }
    if (len % 4 != 1 && bits == 0)
        return out;
malformed:
    free(out);
    return NULL;
}

static json_t *decode_object(const char *text, size_t len)
{
    size_t size = 0;
    unsigned char *bytes = decode(text, len, &size);
    json_t *object = bytes ? json_loadb((const char *)bytes, size, 0, NULL) : NULL; /* an object or an array */
    free(bytes);
    if (json_is_object(object))
        return object;
    json_decref(object);
    return NULL;
}

/* A member that is a string, or "". */
static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static bool time_of(const json_t *object, const char *name, int64_t *out)
{
    const json_t *value = json_object_get(object, name);
    *out = json_integer_value(value);
    return json_is_integer(value) && *out >= 0 && *out < INT64_C(1) << 53;
}

/* --- a set of hashes: open addressing in one buffer ----------------------------------------------------------------
 */

/* A slot is 16 bytes of a hash, 4 of the expiry (0: nothing is here), and for a rule 8 of its `before`. */
struct set {
    unsigned char *slots;
    size_t stride, capacity, used;
};

static uint64_t read_be(const unsigned char *at, size_t len)
{
    uint64_t value = 0;
    while (len-- > 0)
        value = value << 8 | *at++;
    return value;
}

static void write_be(unsigned char *at, size_t len, uint64_t value)
{
    while (len-- > 0) {
        at[len] = (unsigned char)value;
        value >>= 8;
    }
}

static void set_init(struct set *set, size_t stride, size_t capacity)
{
    *set = (struct set){ must(calloc(capacity, stride)), stride, capacity, 0 };
}

static uint64_t expiry_of(const unsigned char *slot)
{
    return read_be(slot + HASH_BYTES, 4);
}

/* Where a hash is, or would be. Hashes are spread already: their first bytes will do. */
static unsigned char *set_find(const struct set *set, const unsigned char *hash)
{
    for (size_t slot = read_be(hash, 4) % set->capacity;; slot = (slot + 1) % set->capacity) {
        unsigned char *at = set->slots + slot * set->stride;
        if (!expiry_of(at) || memcmp(at, hash, HASH_BYTES) == 0)
            return at;
    }
}

static void set_put(struct set *set, const unsigned char *hash, uint64_t expiry, int64_t before)
{
    unsigned char *at = set_find(set, hash);
    uint64_t old = expiry_of(at);
    set->used += old == 0;
    memcpy(at, hash, HASH_BYTES);
    write_be(at + HASH_BYTES, 4, old > expiry ? old : expiry);
    if (set->stride > ENTRY_BYTES && read_be(at + ENTRY_BYTES, 8) < (uint64_t)before)
        write_be(at + ENTRY_BYTES, 8, (uint64_t)before);
}

/* When it is three quarters full it is made anew without those that have expired; half full at most. */
static void set_add(struct set *set, const unsigned char *hash, int64_t expiry, int64_t before)
{
    int64_t now = now_s();
    if (4 * (set->used + 1) > 3 * set->capacity) {
        struct set bigger;
        size_t live = 0, capacity = 64;
        for (size_t i = 0; i < set->capacity; i++)
            live += (int64_t)expiry_of(set->slots + i * set->stride) > now;
        while (capacity < 2 * (live + 1))
            capacity *= 2;
        set_init(&bigger, set->stride, capacity);
        for (size_t i = 0; i < set->capacity; i++) {
            const unsigned char *slot = set->slots + i * set->stride;
            if ((int64_t)expiry_of(slot) > now)
                set_put(&bigger, slot, expiry_of(slot),
                        set->stride > ENTRY_BYTES ? (int64_t)read_be(slot + ENTRY_BYTES, 8) : 0);
        }
        free(set->slots);
        *set = bigger;
    }
    if (expiry > now)
        set_put(set, hash, expiry > UINT32_MAX ? UINT32_MAX : (uint64_t)expiry, before);
}

/* --- keys: one algorithm each --------------------------------------------------------------------------------------
 */

static const struct algorithm {
    const char *alg, *kty, *crv;
    bool is_pss;
} algorithms[] = {
    { "RS256", "RSA", "", false },
    { "PS256", "RSA", "", true },
    { "ES256", "EC", "P-256", false },
    { "EdDSA", "OKP", "Ed25519", false },
};

struct key {
    char *kid;
    const struct algorithm *algorithm;
    EVP_PKEY *pkey;
};

static EVP_PKEY *pkey_from(const char *type, OSSL_PARAM_BLD *builder)
{
    EVP_PKEY *pkey = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    if (!context || !params || EVP_PKEY_fromdata_init(context) <= 0 ||
        EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, params) <= 0)
        pkey = NULL;
    OSSL_PARAM_free(params);
    EVP_PKEY_CTX_free(context);
    return pkey;
}

/* A key from two members of a JWK, or one of Ed25519. NULL: it is none. */
static EVP_PKEY *pkey_of(const struct algorithm *algorithm, const unsigned char *a, size_t a_len,
                         const unsigned char *b, size_t b_len)
{
    if (strcmp(algorithm->kty, "OKP") == 0)
        return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, a, a_len);
    OSSL_PARAM_BLD *builder = must(OSSL_PARAM_BLD_new());
    BIGNUM *n = NULL, *e = NULL;
    EVP_PKEY *pkey = NULL;
    unsigned char point[65] = { 4 }; /* uncompressed */
    if (strcmp(algorithm->kty, "RSA") == 0) {
        n = BN_bin2bn(a, (int)a_len, NULL);
        e = BN_bin2bn(b, (int)b_len, NULL);
        if (BN_num_bits(n) >= 2048 && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) &&
            OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e))
            pkey = pkey_from("RSA", builder);
    } else if (a_len == 32 && b_len == 32) {
        memcpy(point + 1, a, 32);
        memcpy(point + 33, b, 32);
        if (OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) &&
            OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point))
            pkey = pkey_from("EC", builder);
    }
    OSSL_PARAM_BLD_free(builder);
    BN_free(n);
    BN_free(e);
    return pkey;
}

/* False for a key that is not for this. */
static bool key_read(const json_t *jwk, struct key *out)
{
    const char *const first = strcmp(text_of(jwk, "kty"), "RSA") == 0 ? "n" : "x";
    const char *const second = *first == 'n' ? "e" : "y";
    const char *use = json_object_get(jwk, "use") ? text_of(jwk, "use") : "sig";
    *out = (struct key){ 0 };
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++)
        if (strcmp(algorithms[i].alg, text_of(jwk, "alg")) == 0 &&
            strcmp(algorithms[i].kty, text_of(jwk, "kty")) == 0 && strcmp(algorithms[i].crv, text_of(jwk, "crv")) == 0)
            out->algorithm = &algorithms[i];
    if (!out->algorithm || !*text_of(jwk, "kid") || strcmp(use, "sig") != 0)
        return false;
    size_t a_len = 0, b_len = 0;
    unsigned char *a = decode(text_of(jwk, first), strlen(text_of(jwk, first)), &a_len);
    unsigned char *b = decode(text_of(jwk, second), strlen(text_of(jwk, second)), &b_len);
    out->pkey = a && b ? pkey_of(out->algorithm, a, a_len, b, b_len) : NULL;
    free(a);
    free(b);
    if (out->pkey)
        out->kid = must(strdup(text_of(jwk, "kid")));
    return out->pkey != NULL;
}

/* A signature of ES256 is r and s (RFC 7518 section 3.4); OpenSSL wants them in DER. The caller frees. */
static unsigned char *der_of(const unsigned char *raw, size_t raw_len, size_t *len)
{
    unsigned char *der = NULL;
    ECDSA_SIG *signature = ECDSA_SIG_new();
    if (raw_len == 64 && signature &&
        ECDSA_SIG_set0(signature, BN_bin2bn(raw, 32, NULL), BN_bin2bn(raw + 32, 32, NULL))) {
        int size = i2d_ECDSA_SIG(signature, &der);
        *len = size > 0 ? (size_t)size : 0;
    }
    ECDSA_SIG_free(signature);
    return der;
}

static bool key_check(const struct key *key, const char *text, size_t text_len, const unsigned char *signature,
                      size_t signature_len)
{
    EVP_MD_CTX *context = must(EVP_MD_CTX_new());
    EVP_PKEY_CTX *options = NULL; /* the context's */
    const EVP_MD *md = strcmp(key->algorithm->kty, "OKP") == 0 ? NULL : EVP_sha256();
    unsigned char *der = NULL;
    if (strcmp(key->algorithm->kty, "EC") == 0) {
        der = der_of(signature, signature_len, &signature_len);
        signature = der;
    }
    bool good = signature && EVP_DigestVerifyInit(context, &options, md, NULL, key->pkey) == 1 &&
                (!key->algorithm->is_pss || (EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
                                             EVP_PKEY_CTX_set_rsa_pss_saltlen(options, 32) == 1)) &&
                EVP_DigestVerify(context, signature, signature_len, (const unsigned char *)text, text_len) == 1;
    OPENSSL_free(der);
    EVP_MD_CTX_free(context);
    return good;
}

/* --- HTTP ----------------------------------------------------------------------------------------------------------
 */

struct answer {
    long status;
    char etag[128]; /* "": none */
    long max_age_s; /* -1: none */
    char *body;
    size_t len;
};

static size_t take_body(char *bytes, size_t size, size_t count, void *to)
{
    struct answer *answer = to;
    if (answer->len + size * count > PAGE_MAX)
        return 0; /* ends the transfer */
    answer->body = must(realloc(answer->body, answer->len + size * count));
    memcpy(answer->body + answer->len, bytes, size * count);
    answer->len += size * count;
    return size * count;
}

static size_t take_header(char *bytes, size_t size, size_t count, void *to)
{
    struct answer *answer = to;
    char line[256];
    snprintf(line, sizeof line, "%.*s", (int)(size * count), bytes);
    line[strcspn(line, "\r\n")] = '\0';
    const char *max_age = strstr(line, "max-age=");
    if (strncasecmp(line, "etag: ", 6) == 0)
        snprintf(answer->etag, sizeof answer->etag, "%.127s", line + 6);
    if (strncasecmp(line, "cache-control:", 14) == 0 && max_age)
        answer->max_age_s = strtol(max_age + 8, NULL, 10);
    return size * count;
}

/* Fills *answer, whose body the caller frees. `header`: "": none. NULL, or what went wrong. */
static const char *get(CURL *curl, const char *base, const char *path, const char *header, struct answer *answer)
{
    char url[2048];
    struct curl_slist *headers = NULL;
    *answer = (struct answer){ .max_age_s = -1 };
    snprintf(url, sizeof url, "%s%s", base, path);
    if (*header)
        headers = curl_slist_append(NULL, header);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, answer);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    if (code != CURLE_OK)
        return curl_easy_strerror(code);
    return answer->status == 200 || answer->status == 304 ? NULL : "the issuer answers neither 200 nor 304";
}

/* --- the verifier --------------------------------------------------------------------------------------------------
 */

struct verifier {
    char *url, *issuer, *audience;
    CURL *curl; /* the follower's */
    pthread_t follower;
    pthread_mutex_t lock; /* of what is known; never held while a request is under way */
    pthread_cond_t wake;
    bool stopping;
    struct key keys[KEYS_COUNT];
    size_t keys_count;
    struct set tokens, rules[RULE_KINDS];
    int64_t fresh_until;         /* s; until then it is known what is revoked */
    int64_t fresh_end;           /* the same of steady_s() */
    pthread_mutex_t fetching;    /* of the next two; held while keys are fetched: many unknown ones make one fetch */
    int64_t keys_at, keys_until; /* s; when they were asked for last, when they are to be fetched again */
    char epoch[17];              /* whose positions `since` is one of; "": none yet. The follower's, as what follows */
    int64_t since;               /* the page to read next */
    bool begins;                 /* from 0, until the tail has been read */
    char etag[128];              /* of the tail, while `since` stays */
    const char *fault;           /* what was logged last */
};

static void keys_free(struct key *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(keys[i].kid);
        EVP_PKEY_free(keys[i].pkey);
    }
}

/* With `fetching` held. When it fails, the keys that are there stay. */
static const char *fetch_keys(struct verifier *verifier, CURL *curl)
{
    struct answer answer;
    struct key keys[KEYS_COUNT];
    size_t count = 0, at;
    json_t *jwk;
    verifier->keys_at = now_s();
    const char *why = get(curl, verifier->url, "/.well-known/jwks.json", "", &answer);
    json_t *jwks = why ? NULL : json_loadb(answer.body ? answer.body : "", answer.len, 0, NULL);
    free(answer.body);
    if (!jwks)
        return why ? why : "the key set is malformed";
    json_array_foreach(json_object_get(jwks, "keys"), at, jwk)
    {
        if (count < KEYS_COUNT && key_read(jwk, &keys[count]))
            count++;
    }
    json_decref(jwks);
    int64_t max_age_s = answer.max_age_s < 0 ? 60 : answer.max_age_s;
    verifier->keys_until = now_s() + (max_age_s < UNKNOWN_KEY_S ? UNKNOWN_KEY_S : max_age_s > 3600 ? 3600 : max_age_s);
    pthread_mutex_lock(&verifier->lock);
    keys_free(verifier->keys, verifier->keys_count);
    memcpy(verifier->keys, keys, count * sizeof *keys);
    verifier->keys_count = count;
    pthread_mutex_unlock(&verifier->lock);
    return NULL;
}

/* The key of that kid, its pkey for the caller to free; false: there is none. */
static bool find_key(struct verifier *verifier, const char *kid, struct key *out)
{
    bool found = false;
    pthread_mutex_lock(&verifier->lock);
    for (size_t i = 0; i < verifier->keys_count && !found; i++)
        if (strcmp(verifier->keys[i].kid, kid) == 0) {
            *out = verifier->keys[i];
            found = EVP_PKEY_up_ref(out->pkey) == 1;
        }
    pthread_mutex_unlock(&verifier->lock);
    return found;
}

static bool find_or_fetch_key(struct verifier *verifier, const char *kid, struct key *out)
{
    if (find_key(verifier, kid, out))
        return true;
    pthread_mutex_lock(&verifier->fetching);
    if (now_s() >= verifier->keys_at + UNKNOWN_KEY_S) {
        CURL *curl = must(curl_easy_init());
        const char *why = fetch_keys(verifier, curl);
        if (why)
            fprintf(stderr, "verify: %s\n", why);
        curl_easy_cleanup(curl);
    }
    pthread_mutex_unlock(&verifier->fetching);
    return find_key(verifier, kid, out);
}

/* NULL, and the header's alg and kid in *header (to be freed); or what is wrong with it. */
static const char *open_header(const char *text, size_t len, const char *typ, json_t **header)
{
    *header = decode_object(text, len);
    if (!*header || json_object_get(*header, "crit") || json_object_get(*header, "b64") ||
        json_object_get(*header, "zip") || !*text_of(*header, "alg"))
        return "malformed";
    /* its "application/" may be left out (RFC 7515 section 4.1.9) */
    const char *given = text_of(*header, "typ");
    if (strncasecmp(given, "application/", 12) == 0)
        given += 12;
    return strcasecmp(given, typ) == 0 ? NULL : "type";
}

/* The payload of a compact JWS of that typ, signed by a key of the issuer's: NULL, and *payload is the caller's; or why
 * not. The algorithm is the key's, never the token's (RFC 8725 section 3.1). */
static const char *open_jws(struct verifier *verifier, const char *jws, size_t len, const char *typ, size_t most,
                            json_t **payload)
{
    json_t *header = NULL;
    struct key key = { 0 };
    unsigned char *signature = NULL;
    size_t signature_len = 0;
    const char *end = jws + len, *first = memchr(jws, '.', len);
    const char *second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;
    *payload = NULL;
    if (len > most || !second || first == jws || second == first + 1 || second + 1 == end)
        return "malformed";
    const char *why = open_header(jws, (size_t)(first - jws), typ, &header);
    if (!why && !(signature = decode(second + 1, (size_t)(end - second - 1), &signature_len)))
        why = "malformed";
    if (!why && !find_or_fetch_key(verifier, text_of(header, "kid"), &key))
        why = "unknown_key";
    if (!why && strcmp(text_of(header, "alg"), key.algorithm->alg) != 0)
        why = "algorithm";
    if (!why && !key_check(&key, jws, (size_t)(second - jws), signature, signature_len))
        why = "signature";
    if (!why && !(*payload = decode_object(first + 1, (size_t)(second - first - 1))))
        why = "malformed";
    EVP_PKEY_free(key.pkey);
    free(signature);
    json_decref(header);
    return why;
}

/* --- the feed ------------------------------------------------------------------------------------------------------
 */

/* A kind that is not known here can't be followed, and so the feed can't. */
static bool apply_rule(struct verifier *verifier, const json_t *rule)
{
    size_t found = 0, kind = 0, len = 0;
    int64_t before = 0, exp = 0;
    for (size_t i = 0; i < RULE_KINDS; i++)
        if (*text_of(rule, rule_kinds[i])) {
            kind = i;
            found++;
        }
    if (found != 1 || !time_of(rule, "before", &before) || !time_of(rule, "exp", &exp))
        return false;
    const char *text = text_of(rule, rule_kinds[kind]);
    unsigned char *hash = decode(text, strlen(text), &len);
    bool good = hash && len == SHA256_DIGEST_LENGTH;
    if (good)
        set_add(&verifier->rules[kind], hash, exp, before);
    free(hash);
    return good;
}

static const char *apply_page(struct verifier *verifier, const json_t *page)
{
    const json_t *rules = json_object_get(page, "rules"), *rule;
    const char *tokens = text_of(page, "tokens");
    size_t len = 0, at;
    unsigned char *entries = decode(tokens, strlen(tokens), &len);
    bool good = entries && len % ENTRY_BYTES == 0;
    pthread_mutex_lock(&verifier->lock);
    for (size_t i = 0; good && i < len; i += ENTRY_BYTES)
        set_add(&verifier->tokens, entries + i, (int64_t)expiry_of(entries + i), 0);
    json_array_foreach(rules, at, rule)
    {
        good = good && apply_rule(verifier, rule);
    }
    pthread_mutex_unlock(&verifier->lock);
    free(entries);
    return good ? NULL : "a page of the feed is not understood";
}

struct page {
    int64_t iat, exp, since, next;
    char epoch[17];
    bool more;
};

static bool read_epoch(const json_t *json, char to[17])
{
    const char *epoch = text_of(json, "epoch");
    if (strlen(epoch) != 16 || strspn(epoch, "0123456789abcdef") != 16)
        return false;
    memcpy(to, epoch, 17);
    return true;
}

/* A page that fits the one that was asked for. Another one could leave out what lies between. */
static const char *read_page(const struct verifier *verifier, const json_t *json, struct page *out)
{
    const json_t *more = json_object_get(json, "more");
    if (!time_of(json, "iat", &out->iat) || !time_of(json, "exp", &out->exp) || !time_of(json, "since", &out->since) ||
        !time_of(json, "next", &out->next) || !json_is_boolean(more) ||
        !json_is_string(json_object_get(json, "tokens")) || !json_is_array(json_object_get(json, "rules")) ||
        !read_epoch(json, out->epoch) || strcmp(text_of(json, "iss"), verifier->issuer) != 0)
        return "a page of the feed is not believed: claims";
    out->more = json_is_true(more);
    if (out->exp <= now_s())
        return "a page of the feed is not believed: expired";
    if (out->iat > now_s() + SKEW_S)
        return "a page of the feed is not believed: not_yet_valid";
    bool fits = out->more ? out->since == verifier->since && out->next > out->since
                          : out->since <= verifier->since && out->next == out->since;
    return fits ? NULL : "a page of the feed is not believed: position";
}

/* What to ask for next. Positions that are given anew, by another epoch or a tail that lies before what was asked for,
 * are read from the start: once in a round. */
static const char *go_on(struct verifier *verifier, const struct page *page, bool *has_started_over, bool *is_tail)
{
    bool is_another = *verifier->epoch && strcmp(verifier->epoch, page->epoch) != 0;
    bool is_older = !page->more && page->since < verifier->since && !*has_started_over;
    memcpy(verifier->epoch, page->epoch, sizeof verifier->epoch);
    if (is_another || is_older) {
        verifier->since = 0;
        verifier->begins = true;
        if (*has_started_over)
            return "the feed tells of two sequences";
        *has_started_over = true;
    } else if (page->more) {
        verifier->since = page->next;
    } else {
        verifier->since = page->since;
        verifier->begins = false;
        *is_tail = true;
    }
    return NULL;
}

/* One page. *is_tail: it was the last, or has not changed. */
static const char *follow_page(struct verifier *verifier, bool *has_started_over, bool *is_tail)
{
    struct answer answer;
    struct page page;
    json_t *json = NULL;
    char path[64], header[160] = "";
    snprintf(path, sizeof path, "/revocations?since=%lld", (long long)verifier->since);
    if (verifier->begins) /* a cache may hold pages of another sequence */
        snprintf(header, sizeof header, "Cache-Control: no-cache");
    else if (*verifier->etag)
        snprintf(header, sizeof header, "If-None-Match: %s", verifier->etag);
    const char *why = get(verifier->curl, verifier->url, path, header, &answer);
    if (why || answer.status == 304) {
        free(answer.body);
        *is_tail = !why;
        return why;
    }
    if (open_jws(verifier, answer.body ? answer.body : "", answer.len, "revocation-feed+jwt", PAGE_MAX, &json))
        why = "a page of the feed is not believed: its form, key or signature";
    free(answer.body);
    if (!why)
        why = read_page(verifier, json, &page);
    if (!why)
        why = apply_page(verifier, json);
    json_decref(json);
    if (why)
        return why;
    verifier->etag[0] = '\0';
    why = go_on(verifier, &page, has_started_over, is_tail);
    if (*is_tail) {
        memcpy(verifier->etag, answer.etag, sizeof verifier->etag);
        pthread_mutex_lock(&verifier->lock);
        const int64_t end = steady_s() + page.exp - now_s();
        if (verifier->fresh_until < page.exp)
            verifier->fresh_until = page.exp;
        if (verifier->fresh_end < end)
            verifier->fresh_end = end;
        pthread_mutex_unlock(&verifier->lock);
    }
    return why;
}

/* The keys when it is time, then page by page up to the tail, which is the one that says how things stand. What was
 * once read stays known, so an old page that somebody shows again takes nothing away, and makes nothing fresh for
 * longer than its own exp. */
static const char *follow_round(struct verifier *verifier)
{
    bool has_started_over = false, is_tail = false;
    const char *why = NULL;
    pthread_mutex_lock(&verifier->fetching);
    if (now_s() >= verifier->keys_until)
        why = fetch_keys(verifier, verifier->curl);
    pthread_mutex_unlock(&verifier->fetching);
    while (!why && !is_tail)
        why = follow_page(verifier, &has_started_over, &is_tail);
    if (why != verifier->fault) /* what fails again and again is said once */
        fprintf(stderr, "verify: %s\n", why ? why : "the feed is followed again");
    verifier->fault = why;
    return why;
}

static void *follow(void *arg)
{
    struct verifier *verifier = arg;
    struct timespec until;
    pthread_mutex_lock(&verifier->lock);
    for (;;) {
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += POLL_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        while (!verifier->stopping && pthread_cond_timedwait(&verifier->wake, &verifier->lock, &until) == 0)
            ;
        if (verifier->stopping)
            break;
        pthread_mutex_unlock(&verifier->lock);
        (void)follow_round(verifier);
        pthread_mutex_lock(&verifier->lock);
    }
    pthread_mutex_unlock(&verifier->lock);
    return NULL;
}

/* Reads the keys and the feed, then follows it. When that fails it goes on trying: until then every token is refused.
 * Call curl_global_init() before, in a program with threads. */
struct verifier *verifier_start(const char *url, const char *issuer, const char *audience)
{
    struct verifier *verifier = must(calloc(1, sizeof *verifier));
    size_t len = strlen(url);
    verifier->url = must(strndup(url, len - (len > 0 && url[len - 1] == '/')));
    verifier->issuer = must(strdup(issuer));
    verifier->audience = must(strdup(audience));
    verifier->curl = must(curl_easy_init());
    set_init(&verifier->tokens, ENTRY_BYTES, 1024);
    for (size_t i = 0; i < RULE_KINDS; i++)
        set_init(&verifier->rules[i], ENTRY_BYTES + 8, 64);
    pthread_mutex_init(&verifier->lock, NULL);
    pthread_mutex_init(&verifier->fetching, NULL);
    pthread_cond_init(&verifier->wake, NULL);
    (void)follow_round(verifier);
    if (pthread_create(&verifier->follower, NULL, follow, verifier) != 0)
        abort();
    return verifier;
}

void verifier_stop(struct verifier *verifier)
{
    pthread_mutex_lock(&verifier->lock);
    verifier->stopping = true;
    pthread_cond_signal(&verifier->wake);
    pthread_mutex_unlock(&verifier->lock);
    pthread_join(verifier->follower, NULL);
    keys_free(verifier->keys, verifier->keys_count);
    for (size_t i = 0; i < RULE_KINDS; i++)
        free(verifier->rules[i].slots);
    free(verifier->tokens.slots);
    curl_easy_cleanup(verifier->curl);
    pthread_cond_destroy(&verifier->wake);
    pthread_mutex_destroy(&verifier->fetching);
    pthread_mutex_destroy(&verifier->lock);
    free(verifier->url);
    free(verifier->issuer);
    free(verifier->audience);
    free(verifier);
}

/* --- a token -------------------------------------------------------------------------------------------------------
 */

static bool is_for(const json_t *aud, const char *audience)
{
    const json_t *one;
    size_t at;
    if (json_is_string(aud))
        return strcmp(json_string_value(aud), audience) == 0;
    json_array_foreach(aud, at, one)
    {
        if (json_is_string(one) && strcmp(json_string_value(one), audience) == 0)
            return true;
    }
    return false;
}

/* Whether the claims name the token that this one was issued with, and is revoked with; its hash, unless `hash` is
 * NULL.
 */
static bool parent_of(const json_t *claims, unsigned char *hash)
{
    size_t len = 0;
    const char *text = text_of(claims, "parent_hash");
    unsigned char *found = decode(text, strlen(text), &len);
    bool good = found && len == SHA256_DIGEST_LENGTH;
    if (good && hash)
        memcpy(hash, found, len);
    free(found);
    return good;
}

/* All that a token says of the one that it was issued with, or nothing. */
static bool has_whole_parent(const json_t *claims)
{
    int64_t issued_at;
    if (!json_object_get(claims, "parent_hash"))
        return !json_object_get(claims, "parent_client_id") && !json_object_get(claims, "parent_iat");
    return parent_of(claims, NULL) && *text_of(claims, "parent_client_id") && time_of(claims, "parent_iat", &issued_at);
}

static const char *check_claims(const struct verifier *verifier, const json_t *claims)
{
    const json_t *aud = json_object_get(claims, "aud");
    int64_t exp = 0, iat = 0, nbf = 0, after = 0, now = now_s();
    if (!*text_of(claims, "sub") || (!json_is_string(aud) && !json_is_array(aud)) || !time_of(claims, "exp", &exp) ||
        !time_of(claims, "iat", &iat) || (json_object_get(claims, "nbf") && !time_of(claims, "nbf", &nbf)) ||
        (json_object_get(claims, "issued_after") && !time_of(claims, "issued_after", &after)) ||
        !has_whole_parent(claims))
        return "claims";
    if (strcmp(text_of(claims, "iss"), verifier->issuer) != 0)
        return "issuer";
    if (!is_for(aud, verifier->audience))
        return "audience";
    if (now >= exp + SKEW_S)
        return "expired";
    return (nbf > iat ? nbf : iat) > now + SKEW_S ? "not_yet_valid" : NULL;
}

/* With the lock held. `values`: of each kind of rule, or NULL. */
static bool is_covered(const struct verifier *verifier, const char *const values[RULE_KINDS], uint64_t issued_at,
                       uint64_t issued_after)
{
    for (size_t i = 0; i < RULE_KINDS; i++) {
        if (verifier->rules[i].used == 0 || !values[i])
            continue;
        unsigned char hash[SHA256_DIGEST_LENGTH];
        char *text = NULL;
        int len = asprintf(&text, "%s:%s", rule_kinds[i], values[i]);
        SHA256((const unsigned char *)must(text), (size_t)len, hash);
        free(text);
        const unsigned char *slot = set_find(&verifier->rules[i], hash);
        if (expiry_of(slot) && issued_at <= read_be(slot + ENTRY_BYTES, 8) && issued_after <= expiry_of(slot))
            return true;
    }
    return false;
}

/* With the lock held. By a rule about the token, or about the one that it was issued with, its client's own. */
static bool is_ruled_out(const struct verifier *verifier, const json_t *claims)
{
    const uint64_t issued_at = (uint64_t)json_integer_value(json_object_get(claims, "iat"));
    const uint64_t parents = (uint64_t)json_integer_value(json_object_get(claims, "parent_iat"));
    const uint64_t issued_after = (uint64_t)json_integer_value(json_object_get(claims, "issued_after"));
    const json_t *client = json_object_get(claims, "client_id");
    const char *own[RULE_KINDS] = { json_string_value(json_object_get(claims, "sub")),
                                    json_string_value(client ? client : json_object_get(claims, "azp")),
                                    json_string_value(json_object_get(claims, "sid")), "" };
    const char *parent = json_string_value(json_object_get(claims, "parent_client_id"));
    const char *of_parent[RULE_KINDS] = { parent, parent, NULL, "" };
    return is_covered(verifier, own, issued_at, issued_after) ||
           (parent && is_covered(verifier, of_parent, parents, issued_after));
}

/* NULL when the token is good, and *claims is the caller's (json_decref); or why it is not: one word, static. */
const char *verifier_check(struct verifier *verifier, const char *token, size_t len, json_t **claims)
{
    unsigned char hash[SHA256_DIGEST_LENGTH], parent[SHA256_DIGEST_LENGTH];
    const char *why = open_jws(verifier, token, len, "at+jwt", TOKEN_MAX, claims);
    if (!why)
        why = check_claims(verifier, *claims);
    if (!why) {
        SHA256((const unsigned char *)token, len, hash);
        pthread_mutex_lock(&verifier->lock);
        if (expiry_of(set_find(&verifier->tokens, hash)) ||
            (parent_of(*claims, parent) && expiry_of(set_find(&verifier->tokens, parent))) ||
            is_ruled_out(verifier, *claims))
            why = "revoked";
        else if (now_s() >= verifier->fresh_until || steady_s() >= verifier->fresh_end)
            why = "feed_stale";
        pthread_mutex_unlock(&verifier->lock);
    }
    if (why) {
        json_decref(*claims);
        *claims = NULL;
    }
    return why;
}

/* --- the command ---------------------------------------------------------------------------------------------------
 */

#ifndef VERIFY_LIBRARY
static void verify_line(struct verifier *verifier, const char *line, size_t len)
{
    json_t *claims = NULL;
    const char *why = verifier_check(verifier, line, len, &claims);
    if (why) {
        printf("refused %s\n", why);
    } else {
        printf("ok ");
        for (const char *at = text_of(claims, "sub"); *at; at++)
            putchar((unsigned char)*at < ' ' || *at == 0x7f ? '?' : *at); /* one line each, whatever it holds */
        putchar('\n');
    }
    fflush(stdout);
    json_decref(claims);
}

int main(int argc, char **argv)
{
    static const char *const names[] = { "--issuer-url", "--issuer", "--audience" };
    const char *values[3] = { 0 };
    char *line = NULL;
    size_t room = 0;
    for (int i = 1; i + 1 < argc; i += 2)
        for (size_t j = 0; j < 3; j++)
            if (strcmp(argv[i], names[j]) == 0)
                values[j] = argv[i + 1];
    if (argc != 7 || !values[0] || !values[1] || !values[2]) {
        fprintf(stderr, "usage: verify --issuer-url … --issuer … --audience …\n");
        return 2;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    struct verifier *verifier = verifier_start(values[0], values[1], values[2]);
    for (ssize_t len; (len = getline(&line, &room, stdin)) >= 0;)
        verify_line(verifier, line, (size_t)len - (len > 0 && line[len - 1] == '\n'));
    verifier_stop(verifier);
    free(line);
    curl_global_cleanup();
    return 0;
}
#endif
