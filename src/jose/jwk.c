/* jose/jwk.c: keys to and from JWK. */
#include "jose/jwk.h"
#include "jose/b64.h"
#include "jose/ed25519_point.h"
#include "jose/jws.h"
#include "jose/private_memory.h"
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/decoder.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { RSA_BITS_MIN = 2048, RSA_BITS_MAX = 8192, RSA_EXPONENT_BYTES_MAX = 8, COORDINATE = 32, MEMBER_MAX = 1024 };

/* The table of algorithms (RFC 7518 section 3.1, RFC 8037 section 3.1). */
static const struct {
    enum jwa alg;
    const char *name, *kty, *crv, *openssl;
} algorithms[] = {
    { JWA_RS256, "RS256", "RSA", NULL, "RSA" },
    { JWA_PS256, "PS256", "RSA", NULL, "RSA" },
    { JWA_ES256, "ES256", "EC", "P-256", "EC" },
    { JWA_EDDSA, "EdDSA", "OKP", "Ed25519", "ED25519" },
};
enum { ALGORITHMS = sizeof algorithms / sizeof *algorithms };

const char *jwa_name(enum jwa alg)
{
    return algorithms[alg - 1].name;
}

bool jwa_find(struct str name, enum jwa *out)
{
    for (size_t i = 0; i < ALGORITHMS; i++)
        if (str_eq(name, str_of(algorithms[i].name))) {
            *out = algorithms[i].alg;
            return true;
        }
    return false;
}

struct str jwa_usual_name(struct str name)
{
    return str_eq(name, STR("Ed25519")) ? STR("EdDSA") : name;
}

static void jwk_bn_freep(BIGNUM **number)
{
    BN_free(*number);
}

static void jwk_pkey_freep(EVP_PKEY **pkey)
{
    EVP_PKEY_free(*pkey);
}

/* --- from OpenSSL's key ------------------------------------------------------------------------------------------ */

static struct err jwk_check_rsa(EVP_PKEY *pkey)
{
    AUTO(jwk_bn_freep) BIGNUM *exponent = NULL;
    int bits = EVP_PKEY_get_bits(pkey);
    if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
        return failed(ERR_INVALID_REQUEST, "the RSA key has fewer than 2048 or more than 8192 bits");
    if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &exponent) != 1 || !BN_is_odd(exponent) ||
        BN_num_bits(exponent) < 17 || BN_num_bytes(exponent) > RSA_EXPONENT_BYTES_MAX)
        return failed(ERR_INVALID_REQUEST, "the RSA key's exponent is even, below 65537 or too large");
    return OK;
}

static struct err jwk_check_key(EVP_PKEY *pkey, enum jwa alg)
{
    if (!EVP_PKEY_is_a(pkey, algorithms[alg - 1].openssl))
        return failed(ERR_INVALID_REQUEST, "the key is of another type than its algorithm needs");
    if (alg == JWA_RS256 || alg == JWA_PS256)
        return jwk_check_rsa(pkey);
    char group[32] = { 0 };
    if (alg == JWA_ES256 &&
        (EVP_PKEY_get_group_name(pkey, group, sizeof group, NULL) != 1 || !str_eq(str_of(group), STR("prime256v1"))))
        return failed(ERR_INVALID_REQUEST, "the key is not on the curve P-256");
    return OK;
}

/* A number as base64url, at least `width` bytes (RFC 7518 section 6.2.1.2 pads coordinates, section 6.3.1 nothing). */
static void jwk_write_number(struct buf *out, EVP_PKEY *pkey, const char *name, size_t width)
{
    AUTO(jwk_bn_freep) BIGNUM *number = NULL;
    unsigned char bytes[MEMBER_MAX];
    if (EVP_PKEY_get_bn_param(pkey, name, &number) != 1 || BN_num_bytes(number) > MEMBER_MAX)
        abort(); /* a key that was checked has its members */
    size_t len = (size_t)BN_num_bytes(number);
    len = len < width ? width : len;
    (void)BN_bn2binpad(number, bytes, (int)len);
    buf_add_char(out, '"');
    b64url_add(out, (struct str){ (const char *)bytes, len });
    buf_add_char(out, '"');
}

static void jwk_write_okp(struct buf *out, EVP_PKEY *pkey)
{
    unsigned char bytes[COORDINATE];
    size_t len = sizeof bytes;
    if (EVP_PKEY_get_raw_public_key(pkey, bytes, &len) != 1)
        abort();
    buf_add_char(out, '"');
    b64url_add(out, (struct str){ (const char *)bytes, len });
    buf_add_char(out, '"');
}

/* The public members in the order of RFC 7638 section 3.2: what a thumbprint is made of. */
static void jwk_write_members(struct buf *out, EVP_PKEY *pkey, enum jwa alg)
{
    switch (alg) {
    case JWA_RS256:
    case JWA_PS256:
        buf_add(out, STR("\"e\":"));
        jwk_write_number(out, pkey, OSSL_PKEY_PARAM_RSA_E, 0);
        buf_add(out, STR(",\"kty\":\"RSA\",\"n\":"));
        jwk_write_number(out, pkey, OSSL_PKEY_PARAM_RSA_N, 0);
        break;
    case JWA_ES256:
        buf_add(out, STR("\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":"));
        jwk_write_number(out, pkey, OSSL_PKEY_PARAM_EC_PUB_X, COORDINATE);
        buf_add(out, STR(",\"y\":"));
        jwk_write_number(out, pkey, OSSL_PKEY_PARAM_EC_PUB_Y, COORDINATE);
        break;
    case JWA_EDDSA:
        buf_add(out, STR("\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":"));
        jwk_write_okp(out, pkey);
        break;
    }
}

static void jwk_write_thumbprint(struct jwk *key)
{
    char room[4096];
    struct arena arena;
    struct buf text;
    unsigned char hash[32];
    arena_init(&arena, room, sizeof room);
    buf_init(&text, &arena, 1024, 8192);
    buf_add_char(&text, '{');
    jwk_write_members(&text, key->pkey, key->alg);
    buf_add_char(&text, '}');
    sha256(buf_str(&text), hash);
    b64url_encode((struct str){ (const char *)hash, sizeof hash }, key->kid);
    arena_release(&arena);
}

struct err jwk_of_pkey(EVP_PKEY *pkey, enum jwa alg, bool has_private, struct jwk **out)
{
    static atomic_uint_fast64_t serials = 1;
    AUTO(jwk_pkey_freep) EVP_PKEY *owned = pkey;
    TRY(jwk_check_key(owned, alg));
    struct jwk *key = mem_alloc(sizeof *key);
    *key =
        (struct jwk){ .alg = alg, .pkey = owned, .serial = atomic_fetch_add(&serials, 1), .has_private = has_private };
    owned = NULL;
    jwk_write_thumbprint(key);
    *out = key;
    return OK;
}

void jwk_free(struct jwk *key)
{
    if (!key)
        return;
    if (key->has_private)
        jws_forget(key);
    private_memory_begin();
    EVP_PKEY_free(key->pkey); /* OpenSSL wipes private numbers */
    private_memory_end();
    free(key);
}

bool jwk_set_kid(struct jwk *key, struct str kid)
{
    char bytes[sizeof key->kid];
    size_t len;
    if (kid.len == 0 || kid.len >= sizeof key->kid || !b64url_decode(kid, bytes, &len))
        return false;
    memcpy(key->kid, kid.at, kid.len);
    key->kid[kid.len] = '\0';
    return true;
}

void jwk_write_public(const struct jwk *key, struct buf *out)
{
    buf_add(out, STR("{\"kid\":\""));
    buf_add(out, str_of(key->kid));
    buf_add(out, STR("\",\"use\":\"sig\",\"alg\":\""));
    buf_add(out, str_of(jwa_name(key->alg)));
    buf_add(out, STR("\","));
    jwk_write_members(out, key->pkey, key->alg);
    buf_add_char(out, '}');
}

/* --- parsing ----------------------------------------------------------------------------------------------------- */

static struct err jwk_text_member(const struct json *jwk, const char *name, struct str *out)
{
    const struct json *member = json_member(jwk, str_of(name));
    *out = (struct str){ 0, 0 };
    if (member && member->kind != JSON_STRING)
        return failed(ERR_INVALID_REQUEST, "a member of the JWK is not a string");
    if (member)
        *out = member->text;
    return OK;
}

/* A base64url member of `min` to `max` bytes. */
static struct err jwk_bytes_member(struct arena *arena, const struct json *jwk, const char *name, size_t min,
                                   size_t max, struct str *out)
{
    struct str text;
    size_t len;
    TRY(jwk_text_member(jwk, name, &text));
    if (!text.at || text.len > b64url_encoded_len(max))
        return failed(ERR_INVALID_REQUEST, "a member of the JWK is missing or too long");
    char *to = arena_alloc(arena, text.len / 4 * 3 + 2);
    if (!b64url_decode(text, to, &len) || len < min || len > max)
        return failed(ERR_INVALID_REQUEST, "a member of the JWK is not base64url of the right length");
    *out = (struct str){ to, len };
    return OK;
}

static EVP_PKEY *jwk_pkey_from(const char *type, OSSL_PARAM_BLD *builder)
{
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM *params = builder ? OSSL_PARAM_BLD_to_param(builder) : NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) <= 0 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) <= 0)
        pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return pkey;
}

static struct err jwk_parse_rsa(struct arena *arena, const struct json *jwk, EVP_PKEY **out)
{
    struct str n, e;
    TRY(jwk_bytes_member(arena, jwk, "n", RSA_BITS_MIN / 8, RSA_BITS_MAX / 8, &n));
    TRY(jwk_bytes_member(arena, jwk, "e", 1, RSA_EXPONENT_BYTES_MAX, &e));
    if (!(n.at[n.len - 1] & 1))
        return failed(ERR_INVALID_REQUEST, "the JWK's modulus is even");
    if (n.at[0] == 0 || e.at[0] == 0) /* RFC 7518 section 2: no leading zero octets in a Base64urlUInt */
        return failed(ERR_INVALID_REQUEST, "a number of the JWK has leading zeros");
    AUTO(jwk_bn_freep) BIGNUM *modulus = BN_bin2bn((const unsigned char *)n.at, (int)n.len, NULL);
    AUTO(jwk_bn_freep) BIGNUM *exponent = BN_bin2bn((const unsigned char *)e.at, (int)e.len, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    if (builder && modulus && exponent && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent))
        *out = jwk_pkey_from("RSA", builder);
    OSSL_PARAM_BLD_free(builder);
    return OK;
}

static struct err jwk_parse_ec(struct arena *arena, const struct json *jwk, EVP_PKEY **out)
{
    struct str x, y;
    unsigned char point[1 + 2 * COORDINATE] = { 4 }; /* uncompressed */
    TRY(jwk_bytes_member(arena, jwk, "x", COORDINATE, COORDINATE, &x));
    TRY(jwk_bytes_member(arena, jwk, "y", COORDINATE, COORDINATE, &y));
    memcpy(point + 1, x.at, COORDINATE);
    memcpy(point + 1 + COORDINATE, y.at, COORDINATE);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    if (builder && OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) &&
        OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point))
        *out = jwk_pkey_from("EC", builder);
    OSSL_PARAM_BLD_free(builder);
    if (!*out)
        return OK;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, *out, NULL);
    bool on_curve = ctx && EVP_PKEY_public_check(ctx) == 1; /* RFC 8725 section 3.4 */
    EVP_PKEY_CTX_free(ctx);
    return on_curve ? OK : failed(ERR_INVALID_REQUEST, "the JWK's point is not on its curve");
}

static struct err jwk_parse_okp(struct arena *arena, const struct json *jwk, EVP_PKEY **out)
{
    struct str x;
    TRY(jwk_bytes_member(arena, jwk, "x", COORDINATE, COORDINATE, &x));
    if (!ed25519_point_is_sound((const unsigned char *)x.at))
        return failed(ERR_INVALID_REQUEST, "the JWK's point is not on its curve, or of small order");
    *out = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, (const unsigned char *)x.at, x.len);
    return OK;
}

/* The one algorithm that a JWK is pinned to: its alg, which must be of its type; without one, the type's first. */
static struct err jwk_find_algorithm(const struct json *jwk, enum jwa *out)
{
    struct str kty, crv, alg;
    TRY(jwk_text_member(jwk, "kty", &kty));
    TRY(jwk_text_member(jwk, "crv", &crv));
    TRY(jwk_text_member(jwk, "alg", &alg));
    for (size_t i = 0; i < ALGORITHMS; i++) {
        bool is_type = str_eq(kty, str_of(algorithms[i].kty)) &&
                       (!algorithms[i].crv || str_eq(crv, str_of(algorithms[i].crv)));
        if (is_type && (!alg.at || str_eq(jwa_usual_name(alg), str_of(algorithms[i].name)))) {
            *out = algorithms[i].alg;
            return OK;
        }
    }
    return failed(ERR_INVALID_REQUEST, "the JWK's kty, crv and alg are not supported");
}

bool jwk_is_private(const struct json *jwk)
{
    static const char *const private_members[] = { "d", "p", "q", "dp", "dq", "qi", "oth", "k" };
    for (size_t i = 0; i < sizeof private_members / sizeof *private_members; i++)
        if (json_member(jwk, str_of(private_members[i])))
            return true;
    return false;
}

static struct err jwk_check_use(const struct json *jwk)
{
    struct str use, kid;
    if (jwk_is_private(jwk))
        return failed(ERR_INVALID_REQUEST, "the JWK holds a private or symmetric key");
    TRY(jwk_text_member(jwk, "kid", &kid));
    TRY(jwk_text_member(jwk, "use", &use));
    if (use.at && !str_eq(use, STR("sig")))
        return failed(ERR_INVALID_REQUEST, "the JWK is not for signatures");
    const struct json *operations = json_member(jwk, STR("key_ops"));
    if (!operations)
        return OK;
    bool verifies = false;
    for (const struct json *each = operations->kind == JSON_ARRAY ? operations->child : NULL; each; each = each->next)
        verifies = verifies || (each->kind == JSON_STRING && str_eq(each->text, STR("verify")));
    return verifies ? OK : failed(ERR_INVALID_REQUEST, "the JWK's key_ops does not allow verify");
}

struct err jwk_parse_public(struct arena *arena, struct str text, struct jwk **out)
{
    const struct json *jwk;
    enum jwa alg;
    EVP_PKEY *pkey = NULL;
    TRY(json_parse(arena, text, &jwk));
    if (jwk->kind != JSON_OBJECT)
        return failed(ERR_INVALID_REQUEST, "the JWK is not a JSON object");
    TRY(jwk_find_algorithm(jwk, &alg));
    TRY(jwk_check_use(jwk));
    struct err err = alg == JWA_ES256   ? jwk_parse_ec(arena, jwk, &pkey)
                     : alg == JWA_EDDSA ? jwk_parse_okp(arena, jwk, &pkey)
                                        : jwk_parse_rsa(arena, jwk, &pkey);
    if (err.code || !pkey) {
        EVP_PKEY_free(pkey);
        return err.code ? err : failed(ERR_INVALID_REQUEST, "the JWK is not a usable key");
    }
    return jwk_of_pkey(pkey, alg, false, out);
}

/* --- making and keeping pairs ------------------------------------------------------------------------------------ */

struct err jwk_generate(enum jwa alg, struct jwk **out)
{
    private_memory_begin();
    EVP_PKEY *pkey = alg == JWA_ES256   ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256")
                     : alg == JWA_EDDSA ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
                                        : EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)RSA_BITS_MIN);
    private_memory_end();
    if (!pkey)
        return failed(ERR_INTERNAL, "a key pair could not be made");
    return jwk_of_pkey(pkey, alg, true, out);
}

/* A key file never asks for a passphrase. */
static int jwk_no_passphrase(char *text, int size, int writing, void *cls)
{
    (void)text;
    (void)size;
    (void)writing;
    (void)cls;
    return -1;
}

struct err jwk_read_private_pem(struct str pem, enum jwa alg, struct jwk **out)
{
    private_memory_begin();
    BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.len);
    EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, jwk_no_passphrase, NULL) : NULL;
    BIO_free(bio);
    private_memory_end();
    if (!pkey)
        return failed(ERR_INVALID_REQUEST, "it is not an unencrypted private key in PEM");
    return jwk_of_pkey(pkey, alg, true, out);
}

struct err jwk_read_private_der(struct str der, enum jwa alg, struct jwk **out)
{
    EVP_PKEY *pkey = NULL;
    const unsigned char *at = (const unsigned char *)der.at;
    size_t left = der.len;
    private_memory_begin();
    OSSL_DECODER_CTX *decoder = OSSL_DECODER_CTX_new_for_pkey(&pkey, "DER", "PrivateKeyInfo",
                                                              algorithms[alg - 1].openssl, EVP_PKEY_KEYPAIR, NULL,
                                                              NULL);
    bool whole = decoder && OSSL_DECODER_from_data(decoder, &at, &left) == 1 && left == 0;
    OSSL_DECODER_CTX_free(decoder);
    if (!whole) {
        EVP_PKEY_free(pkey);
        pkey = NULL;
    }
    private_memory_end();
    if (!pkey)
        return failed(ERR_INVALID_REQUEST, "the private key is not PKCS#8 of its algorithm");
    return jwk_of_pkey(pkey, alg, true, out);
}

struct err jwk_read_public_der(struct str der, enum jwa alg, struct jwk **out)
{
    const unsigned char *at = (const unsigned char *)der.at;
    EVP_PKEY *pkey = d2i_PUBKEY(NULL, &at, (long)der.len);
    if (!pkey || at != (const unsigned char *)der.at + der.len) {
        EVP_PKEY_free(pkey);
        return failed(ERR_INVALID_REQUEST, "the public key is not a SubjectPublicKeyInfo");
    }
    return jwk_of_pkey(pkey, alg, false, out);
}

struct err jwk_write_private_pem(const struct jwk *key, struct secret *out)
{
    private_memory_begin();
    BIO *bio = BIO_new(BIO_s_secmem()); /* wiped when freed */
    char *at = NULL;
    bool good = bio && key->has_private &&
                PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) == 1;
    long len = good ? BIO_get_mem_data(bio, &at) : 0;
    struct err err = len > 0 ? secret_init(out, (size_t)len, NULL) : failed(ERR_INTERNAL, "the key can't be written");
    if (!err.code)
        memcpy(out->at, at, (size_t)len);
    BIO_free(bio);
    private_memory_end();
    return err;
}
