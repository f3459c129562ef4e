/* jose/password.c: the PHC string format, read and written, and OpenSSL's KDFs behind it. */
#include "jose/password.h"
#include "base/random.h"
#include "jose/b64.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

enum {
    COSTS = 3,
    FIELD_LEAST = 8, /* bytes of a salt */
    FIELD_MOST = 64, /* bytes of a salt or a hash */
    TEXT_MOST = 86,  /* the same in base64 */
    NEW_SALT = 16,
    NEW_HASH = 32,
    MEMORY_MOST = 192 * 1024 * 1024, /* what OpenSSL may take for scrypt: 128 MiB and its own part */
};

/* What the forms differ in. The numbers' names are those of the string and those of OpenSSL's parameters. */
struct password_form {
    struct str begins;
    struct str costs[COSTS];
    const char *params[COSTS];
    int64_t least[COSTS], most[COSTS], preset[COSTS];
    const char *kdf;
};

/* The presets are OWASP's least of equal strength. OpenSSL's names of Argon2's parameters are written out, since the
 * headers before 3.2 lack them. */
static const struct password_form forms[] = {
    { STR_INIT("$argon2id$v=19$"),
      { STR_INIT("m="), STR_INIT("t="), STR_INIT("p=") },
      { "memcost", "iter", "lanes" },
      { 8, 1, 1 },
      { 131072, 16, 16 },
      { 19456, 2, 1 },
      "ARGON2ID" },
    { STR_INIT("$scrypt$"),
      { STR_INIT("ln="), STR_INIT("r="), STR_INIT("p=") },
      { OSSL_KDF_PARAM_SCRYPT_N, OSSL_KDF_PARAM_SCRYPT_R, OSSL_KDF_PARAM_SCRYPT_P },
      { 1, 1, 1 },
      { 17, 8, 16 },
      { 15, 8, 3 },
      "SCRYPT" },
};
enum { FORM_ARGON2ID, FORM_SCRYPT, FORMS };

const struct str password_hash_of_nobody = STR_INIT(
    "$scrypt$ln=15,r=8,p=3$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");

struct password_parts {
    const struct password_form *form;
    int64_t costs[COSTS];
    struct str salt, hash; /* in the room below */
    char salt_room[FIELD_MOST + 8], hash_room[FIELD_MOST + 8];
};

/* --- the string -------------------------------------------------------------------------------------------------- */

/* Base64 without padding, in the alphabet of RFC 4648 section 4; one spelling for each value. */
static bool password_decode(struct str text, char *room, struct str *out)
{
    char url[TEXT_MOST];
    if (text.len == 0 || text.len > sizeof url || str_has(text, '-') || str_has(text, '_'))
        return false;
    for (size_t i = 0; i < text.len; i++)
        url[i] = (char)(text.at[i] == '+' ? '-' : text.at[i] == '/' ? '_' : text.at[i]);
    out->at = room;
    return b64url_decode((struct str){ url, text.len }, room, &out->len) && out->len >= FIELD_LEAST &&
           out->len <= FIELD_MOST;
}

static void password_encode(struct buf *out, struct str bytes)
{
    const size_t begin = out->len;
    b64url_add(out, bytes);
    for (size_t i = begin; i < out->len; i++)
        out->at[i] = (char)(out->at[i] == '-' ? '+' : out->at[i] == '_' ? '/' : out->at[i]);
}

/* "ln=15,r=8,p=3": all three, in this order. */
static bool password_read_costs(const struct password_form *form, struct str text, int64_t costs[COSTS])
{
    struct str one;
    if (text.len == 0 || text.at[text.len - 1] == ',')
        return false;
    for (size_t i = 0; i < COSTS; i++) {
        if (!str_next_item(&text, ',', &one) || !str_has_prefix(one, form->costs[i]))
            return false;
        const struct str digits = { one.at + form->costs[i].len, one.len - form->costs[i].len };
        if (!str_number(digits, form->most[i], &costs[i]) || costs[i] < form->least[i] || digits.at[0] == '0')
            return false;
    }
    return text.len == 0 && (form != &forms[FORM_ARGON2ID] || costs[0] >= 8 * costs[2]); /* RFC 9106 section 3.1 */
}

static bool password_read(struct str text, struct password_parts *out)
{
    struct str costs, salt;
    out->form = NULL;
    for (size_t i = 0; i < FORMS; i++)
        if (str_has_prefix(text, forms[i].begins))
            out->form = &forms[i];
    if (!out->form || text.len > PASSWORD_HASH_MAX)
        return false;
    text = (struct str){ text.at + out->form->begins.len, text.len - out->form->begins.len };
    return str_cut(&text, '$', &costs) && str_cut(&text, '$', &salt) &&
           password_read_costs(out->form, costs, out->costs) && password_decode(salt, out->salt_room, &out->salt) &&
           password_decode(text, out->hash_room, &out->hash) && out->hash.len >= 2 * FIELD_LEAST;
}

static struct str password_write(struct arena *arena, const struct password_parts *parts)
{
    struct buf out;
    buf_init(&out, arena, 128, PASSWORD_HASH_MAX);
    buf_add(&out, parts->form->begins);
    for (size_t i = 0; i < COSTS; i++) {
        buf_add(&out, i > 0 ? STR(",") : STR(""));
        buf_add(&out, parts->form->costs[i]);
        buf_add_int(&out, parts->costs[i]);
    }
    buf_add_char(&out, '$');
    password_encode(&out, parts->salt);
    buf_add_char(&out, '$');
    password_encode(&out, parts->hash);
    return buf_str(&out);
}

bool password_hash_is_fit(struct str hash)
{
    struct password_parts parts;
    return password_read(hash, &parts);
}

/* --- OpenSSL ----------------------------------------------------------------------------------------------------- */

static void password_free_kdf(EVP_KDF **kdf)
{
    EVP_KDF_free(*kdf);
}

static void password_free_context(EVP_KDF_CTX **context)
{
    EVP_KDF_CTX_free(*context);
}

/* NULL when this OpenSSL lacks it, which is no error to be kept, or can't do it here: OpenSSL takes all of Argon2id's
 * memory from its secure heap, once there is one (jose/private_memory.h), and fails when that is too small. A heap of
 * tens of MiB could not be locked. */
static EVP_KDF *password_fetch(const struct password_form *form)
{
    if (form == &forms[FORM_ARGON2ID] && CRYPTO_secure_malloc_initialized())
        return NULL;
    ERR_set_mark();
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, form->kdf, NULL);
    ERR_pop_to_mark();
    return kdf;
}

static struct err password_derive(const struct password_parts *parts, struct str password, struct str to)
{
    AUTO(password_free_kdf) EVP_KDF *kdf = password_fetch(parts->form);
    if (!kdf)
        return failed(ERR_UNAVAILABLE, "OpenSSL can't compute this hash of a password here");
    AUTO(password_free_context) EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);
    const bool is_scrypt = parts->form == &forms[FORM_SCRYPT];
    uint64_t costs[COSTS], memory = MEMORY_MOST;
    OSSL_PARAM params[COSTS + 4], *next = params;
    *next++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, (void *)password.at, password.len);
    *next++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)parts->salt.at, parts->salt.len);
    for (size_t i = 0; i < COSTS; i++) {
        costs[i] = (uint64_t)parts->costs[i];
        *next++ = OSSL_PARAM_construct_uint64(parts->form->params[i], &costs[i]);
    }
    if (is_scrypt) {
        costs[0] = UINT64_C(1) << parts->costs[0];
        *next++ = OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &memory);
    }
    *next = OSSL_PARAM_construct_end();
    if (!context || EVP_KDF_derive(context, (unsigned char *)to.at, to.len, params) != 1)
        return failed(ERR_INTERNAL, "OpenSSL could not make the hash of a password");
    return OK;
}

/* scrypt's first step is an HMAC whose key is the password, and an HMAC doesn't see NUL bytes at the end of its key
 * (RFC 2104 section 2): two passwords would be one. */
static bool password_is_one(struct str password)
{
    return password.len > 0 && password.len <= PASSWORD_MAX && !str_has(password, '\0');
}

struct err password_hash(struct arena *arena, struct str password, struct str *out)
{
    struct password_parts parts = { .salt = { parts.salt_room, NEW_SALT }, .hash = { parts.hash_room, NEW_HASH } };
    if (!password_is_one(password))
        return failed(ERR_INVALID_REQUEST, "a password has 1 to 1024 bytes, none of which is NUL");
    AUTO(password_free_kdf) EVP_KDF *argon2id = password_fetch(&forms[FORM_ARGON2ID]);
    parts.form = argon2id ? &forms[FORM_ARGON2ID] : &forms[FORM_SCRYPT];
    memcpy(parts.costs, parts.form->preset, sizeof parts.costs);
    random_bytes(parts.salt_room, NEW_SALT);
    TRY(password_derive(&parts, password, parts.hash));
    *out = password_write(arena, &parts);
    return OK;
}

struct err password_check(struct str hash, struct str password, bool *right)
{
    struct password_parts parts;
    char got[FIELD_MOST];
    *right = false;
    if (!password_read(hash, &parts))
        return failed(ERR_INTERNAL, "the hash of a password is not in a form that is known here");
    if (!password_is_one(password))
        return OK;
    struct err err = password_derive(&parts, password, (struct str){ got, parts.hash.len });
    *right = !err.code && str_eq_secret((struct str){ got, parts.hash.len }, parts.hash);
    mem_wipe(got, sizeof got);
    return err;
}
