/* jose/jws.c: compact JWS.
 *
 * The signature is checked over a digest that is computed here, with one EVP_PKEY_CTX for each thread and key: OpenSSL
 * 3 spends more on setting a context up than on hashing. A context is found by the key's serial, which is never used
 * twice, so one that outlives its key can never be taken for another key's. */
#include "jose/jws.h"
#include "jose/b64.h"
#include "jose/ecdsa.h"
#include "jose/private_memory.h"
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdlib.h>

enum { CONTEXTS = 8, HALF = 32 /* of an ES256 signature */, PSS_SALT = 32 };

struct context {
    uint64_t serial; /* 0: free */
    EVP_PKEY *own;   /* a private RSA key's copy: OpenSSL's blinding takes a lock on a key that threads share */
    EVP_PKEY_CTX *ctx;
    uint64_t used;
};

/* What a thread signs with. Listed, so that no copy of a private key outlives the key in a thread that sleeps. */
struct signing {
    pthread_mutex_t lock; /* held while it signs; taken by another thread only to forget a key */
    struct context contexts[CONTEXTS];
    struct signing *next;
};

static pthread_mutex_t signing_lock = PTHREAD_MUTEX_INITIALIZER; /* of the list; taken before a member's own */
static struct signing *signing_first;

static _Thread_local struct {
    struct context contexts[CONTEXTS]; /* for verifying */
    struct signing *signing;           /* made with this thread's first signature */
    uint64_t clock;
    EVP_MD_CTX *digest;
} mine;

/* --- a thread's end ---------------------------------------------------------------------------------------------- */

static pthread_key_t end_key;
static pthread_once_t end_once = PTHREAD_ONCE_INIT;
static void jws_free_mine(void *ignored);

static void jws_make_end_key(void)
{
    if (pthread_key_create(&end_key, jws_free_mine) != 0)
        abort();
}

/* Whatever is made for `mine` goes with its thread. */
static void jws_own_by_thread(void)
{
    pthread_once(&end_once, jws_make_end_key);
    if (pthread_setspecific(end_key, &mine) != 0)
        abort();
}

/* --- digests ----------------------------------------------------------------------------------------------------- */

static EVP_MD *sha256_md;
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

static void jws_fetch_sha256(void)
{
    sha256_md = EVP_MD_fetch(NULL, "SHA256", NULL); /* once: a fetch for each digest costs more than the digest */
    if (!sha256_md)
        abort();
}

void sha256_parts(const struct str *parts, size_t count, unsigned char out[32])
{
    pthread_once(&sha256_once, jws_fetch_sha256);
    if (!mine.digest) {
        jws_own_by_thread();
        if (!(mine.digest = EVP_MD_CTX_new()))
            abort();
    }
    bool good = EVP_DigestInit_ex2(mine.digest, sha256_md, NULL) == 1;
    for (size_t i = 0; i < count; i++)
        good = good && EVP_DigestUpdate(mine.digest, parts[i].at, parts[i].len) == 1;
    if (!good || EVP_DigestFinal_ex(mine.digest, out, NULL) != 1)
        abort(); /* a hash that is not made must never be compared */
}

void sha256(struct str in, unsigned char out[32])
{
    sha256_parts(&in, 1, out);
}

/* --- contexts ---------------------------------------------------------------------------------------------------- */

static void jws_context_free(struct context *context)
{
    private_memory_begin();
    EVP_PKEY_CTX_free(context->ctx);
    EVP_PKEY_free(context->own);
    private_memory_end();
    *context = (struct context){ 0 };
}

static struct signing *jws_begin_signing(void)
{
    if (!mine.signing) {
        jws_own_by_thread();
        mine.signing = mem_alloc(sizeof *mine.signing);
        *mine.signing = (struct signing){ .next = NULL };
        pthread_mutex_init(&mine.signing->lock, NULL);
        pthread_mutex_lock(&signing_lock);
        mine.signing->next = signing_first;
        signing_first = mine.signing;
        pthread_mutex_unlock(&signing_lock);
    }
    pthread_mutex_lock(&mine.signing->lock);
    return mine.signing;
}

static void jws_end_signing(void)
{
    pthread_mutex_unlock(&mine.signing->lock);
}

void jws_forget(const struct jwk *key)
{
    pthread_mutex_lock(&signing_lock);
    for (struct signing *each = signing_first; each; each = each->next) {
        pthread_mutex_lock(&each->lock);
        for (size_t i = 0; i < CONTEXTS; i++)
            if (each->contexts[i].serial == key->serial)
                jws_context_free(&each->contexts[i]);
        pthread_mutex_unlock(&each->lock);
    }
    pthread_mutex_unlock(&signing_lock);
}

static void jws_signing_free(struct signing *signing)
{
    pthread_mutex_lock(&signing_lock);
    struct signing **place = &signing_first;
    while (*place != signing)
        place = &(*place)->next;
    *place = signing->next;
    pthread_mutex_unlock(&signing_lock);
    for (size_t i = 0; i < CONTEXTS; i++)
        jws_context_free(&signing->contexts[i]);
    pthread_mutex_destroy(&signing->lock);
    free(signing);
}

static void jws_free_mine(void *ignored)
{
    (void)ignored;
    for (size_t i = 0; i < CONTEXTS; i++)
        jws_context_free(&mine.contexts[i]);
    if (mine.signing)
        jws_signing_free(mine.signing);
    mine.signing = NULL;
    EVP_MD_CTX_free(mine.digest);
    mine.digest = NULL;
}

/* RFC 7518: the padding and digest that an algorithm fixes. Nothing here comes from a token. */
static bool jws_set_parameters(EVP_PKEY_CTX *ctx, enum jwa alg)
{
    switch (alg) {
    case JWA_RS256:
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0 &&
               EVP_PKEY_CTX_set_signature_md(ctx, sha256_md) > 0;
    case JWA_PS256:
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
               EVP_PKEY_CTX_set_signature_md(ctx, sha256_md) > 0 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, sha256_md) > 0 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, PSS_SALT) > 0;
    case JWA_ES256:
        return EVP_PKEY_CTX_set_signature_md(ctx, sha256_md) > 0;
    case JWA_EDDSA:
        break;
    }
    return false;
}

static bool jws_context_fill(struct context *context, const struct jwk *key, bool signs)
{
    pthread_once(&sha256_once, jws_fetch_sha256);
    if (signs && key->alg != JWA_ES256)
        context->own = EVP_PKEY_dup(key->pkey); /* without a copy: slower, but still correct */
    context->ctx = EVP_PKEY_CTX_new_from_pkey(NULL, context->own ? context->own : key->pkey, NULL);
    if (!context->ctx)
        return false;
    int begun = signs ? EVP_PKEY_sign_init(context->ctx) : EVP_PKEY_verify_init(context->ctx);
    if (begun <= 0 || !jws_set_parameters(context->ctx, key->alg))
        return false;
    context->serial = key->serial;
    return true;
}

/* A first signature makes what OpenSSL then keeps with the key: its primes in Montgomery form. */
static bool jws_context_fill_to_sign(struct context *context, const struct jwk *key)
{
    static const unsigned char nothing[32];
    unsigned char signature[JWK_SIGNATURE_MAX];
    size_t len = sizeof signature;
    private_memory_begin();
    bool filled = jws_context_fill(context, key, true) &&
                  EVP_PKEY_sign(context->ctx, signature, &len, nothing, sizeof nothing) > 0;
    private_memory_end();
    return filled;
}

/* This thread's context for the key, among `contexts`; the one that was not used for longest makes room. */
static EVP_PKEY_CTX *jws_context_of(struct context contexts[CONTEXTS], const struct jwk *key, bool signs)
{
    struct context *oldest = &contexts[0];
    for (size_t i = 0; i < CONTEXTS; i++) {
        struct context *each = &contexts[i];
        if (each->serial == key->serial) {
            each->used = ++mine.clock;
            return each->ctx;
        }
        if (each->used < oldest->used)
            oldest = each;
    }
    jws_own_by_thread();
    jws_context_free(oldest);
    if (!(signs ? jws_context_fill_to_sign(oldest, key) : jws_context_fill(oldest, key, false))) {
        jws_context_free(oldest);
        return NULL;
    }
    oldest->used = ++mine.clock;
    return oldest->ctx;
}

/* --- the token's parts ------------------------------------------------------------------------------------------- */

struct err jws_split_any(struct str token, struct jws_parts *out)
{
    struct str rest = token, header, payload;
    if (!str_cut(&rest, '.', &header) || !str_cut(&rest, '.', &payload) || str_has(rest, '.'))
        return failed(ERR_TOKEN_MALFORMED, "the token is not three parts separated by dots");
    if (!header.len || !rest.len) /* no signature means "alg": "none": RFC 8725 section 3.2 */
        return failed(ERR_TOKEN_MALFORMED, "the token has an empty part");
    *out = (struct jws_parts){ header, payload, rest, { token.at, token.len - rest.len - 1 } };
    return OK;
}

struct err jws_split(struct str token, struct jws_parts *out)
{
    struct jws_parts parts;
    TRY(jws_split_any(token, &parts));
    if (!parts.payload.len)
        return failed(ERR_TOKEN_MALFORMED, "the token has an empty part");
    *out = parts;
    return OK;
}

static struct err jws_decode(struct arena *arena, struct str part, struct str *out)
{
    char *to = arena_alloc(arena, part.len / 4 * 3 + 2);
    size_t len;
    if (!b64url_decode(part, to, &len))
        return failed(ERR_TOKEN_MALFORMED, "the token is not base64url");
    *out = (struct str){ to, len };
    return OK;
}

/* A member that must be a string if it is there. */
static struct err jws_header_text(const struct json *header, struct str name, size_t max, struct str *out)
{
    const struct json *member = json_member(header, name);
    if (!member)
        return OK;
    if (member->kind != JSON_STRING || member->text.len > max)
        return failed(ERR_TOKEN_MALFORMED, "the token's header has a member of a wrong form");
    *out = member->text;
    return OK;
}

struct err jws_read_header(struct arena *arena, struct str header, struct jws_header *out)
{
    struct str text;
    const struct json *json;
    struct jws_header read = { { 0, 0 }, { 0, 0 }, { 0, 0 } };
    if (header.len > JWS_HEADER_MAX)
        return failed(ERR_TOKEN_MALFORMED, "the token's header is too long");
    TRY(jws_decode(arena, header, &text));
    if (json_parse(arena, text, &json).code || json->kind != JSON_OBJECT)
        return failed(ERR_TOKEN_MALFORMED, "the token's header is not a JSON object");
    if (json_member(json, STR("crit")) || json_member(json, STR("b64")) || json_member(json, STR("zip")))
        return failed(ERR_TOKEN_MALFORMED, "the token's header asks for an extension"); /* RFC 7515 section 4.1.11 */
    TRY(jws_header_text(json, STR("alg"), 16, &read.alg));
    TRY(jws_header_text(json, STR("kid"), JWS_KID_MAX, &read.kid));
    TRY(jws_header_text(json, STR("typ"), 64, &read.typ));
    if (!read.alg.at)
        return failed(ERR_TOKEN_MALFORMED, "the token's header has no alg");
    *out = read;
    return OK;
}

struct err jws_read_payload(struct arena *arena, struct str payload, struct str *out)
{
    return jws_decode(arena, payload, out);
}

/* --- ES256: r||s and DER ----------------------------------------------------------------------------------------- */

/* RFC 7518 section 3.4: 64 bytes to the DER that OpenSSL takes. r and s of 0 or of the order and above are refused by
 * OpenSSL itself; the encoding is strict because it is made here. Returns its length. */
static size_t jws_der_of_raw(const unsigned char *raw, unsigned char der[72])
{
    size_t len = 2;
    for (int half = 0; half < 2; half++) {
        const unsigned char *at = raw + half * HALF;
        size_t left = HALF;
        while (left > 1 && at[0] == 0) {
            at++;
            left--;
        }
        bool pad = at[0] & 0x80;
        der[len++] = 0x02;
        der[len++] = (unsigned char)(left + pad);
        if (pad)
            der[len++] = 0;
        memcpy(der + len, at, left);
        len += left;
    }
    der[0] = 0x30;
    der[1] = (unsigned char)(len - 2);
    return len;
}

/* --- verify ------------------------------------------------------------------------------------------------------ */

static bool jws_verify_eddsa(const struct jwk *key, struct str input, struct str signature)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx && EVP_DigestVerifyInit_ex(ctx, NULL, NULL, NULL, NULL, key->pkey, NULL) == 1 &&
                EVP_DigestVerify(ctx, (const unsigned char *)signature.at, signature.len,
                                 (const unsigned char *)input.at, input.len) == 1;
    EVP_MD_CTX_free(ctx);
    return good;
}

static bool jws_verify_digest(const struct jwk *key, struct str input, struct str signature)
{
    const unsigned char *bytes = (const unsigned char *)signature.at;
    size_t len = signature.len;
    unsigned char digest[32], der[72];
    EVP_PKEY_CTX *ctx = jws_context_of(mine.contexts, key, false);
    if (!ctx)
        return false;
    sha256(input, digest);
    if (key->alg == JWA_ES256) {
        if (len != 2 * HALF)
            return false;
        len = jws_der_of_raw(bytes, der);
        bytes = der;
    }
    return EVP_PKEY_verify(ctx, bytes, len, digest, sizeof digest) == 1;
}

bool jws_check(const struct jwk *key, struct str input, struct str signature)
{
    return key->alg == JWA_EDDSA ? jws_verify_eddsa(key, input, signature) : jws_verify_digest(key, input, signature);
}

struct err jws_verify(const struct jwk *key, const struct jws_parts *parts, const struct jws_header *header)
{
    char signature[JWK_SIGNATURE_MAX + 2];
    size_t len;
    if (!str_eq(header->alg, str_of(jwa_name(key->alg)))) /* RFC 8725 section 3.1 */
        return failed(ERR_TOKEN_ALGORITHM, "the token's alg is not that of its key");
    if (parts->signature.len > b64url_encoded_len(JWK_SIGNATURE_MAX) ||
        !b64url_decode(parts->signature, signature, &len))
        return failed(ERR_TOKEN_MALFORMED, "the token's signature is not base64url, or too long");
    return jws_check(key, parts->signed_part, (struct str){ signature, len })
               ? OK
               : failed(ERR_TOKEN_SIGNATURE, "the token's signature is wrong");
}

/* --- sign -------------------------------------------------------------------------------------------------------- */

void jws_write_signing_input(struct buf *out, enum jwa alg, struct str typ, struct str kid, struct str payload)
{
    char room[512];
    struct arena arena;
    struct buf header;
    arena_init(&arena, room, sizeof room);
    buf_init(&header, &arena, 192, JWS_HEADER_MAX);
    buf_add_char(&header, '{');
    json_write_text(&header, STR("alg"), str_of(jwa_name(alg)));
    json_write_text(&header, STR("typ"), typ);
    json_write_text(&header, STR("kid"), kid);
    buf_add_char(&header, '}');
    b64url_add(out, buf_str(&header));
    buf_add_char(out, '.');
    b64url_add(out, payload);
    arena_release(&arena);
}

static bool jws_sign_eddsa(const struct jwk *key, struct str input, unsigned char *out, size_t *len)
{
    private_memory_begin(); /* no context is kept: it is made and freed here */
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    *len = JWK_SIGNATURE_MAX;
    bool good = ctx && EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, key->pkey, NULL) == 1 &&
                EVP_DigestSign(ctx, out, len, (const unsigned char *)input.at, input.len) == 1;
    EVP_MD_CTX_free(ctx);
    private_memory_end();
    return good;
}

static bool jws_sign_with_context(const struct jwk *key, const unsigned char digest[32], unsigned char *out,
                                  size_t *len)
{
    struct signing *signing = jws_begin_signing();
    EVP_PKEY_CTX *ctx = jws_context_of(signing->contexts, key, true);
    *len = JWK_SIGNATURE_MAX;
    bool good = ctx && EVP_PKEY_sign(ctx, out, len, digest, 32) > 0;
    jws_end_signing();
    return good;
}

static bool jws_sign_digest(const struct jwk *key, struct str input, unsigned char *out, size_t *len)
{
    unsigned char digest[32];
    sha256(input, digest);
    if (!jws_sign_with_context(key, digest, out, len))
        return false;
    if (key->alg != JWA_ES256)
        return true;
    const struct str der = { (const char *)out, *len };
    *len = ECDSA_P256_RAW_LEN;
    return ecdsa_p256_raw(der, (char *)out);
}

struct err jws_sign(const struct jwk *key, struct str input, char *out, size_t *len)
{
    bool good = key->has_private && (key->alg == JWA_EDDSA ? jws_sign_eddsa(key, input, (unsigned char *)out, len)
                                                           : jws_sign_digest(key, input, (unsigned char *)out, len));
    return good ? OK : failed(ERR_INTERNAL, "the token could not be signed");
}
