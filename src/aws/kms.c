/* aws/kms.c: the calls to KMS: each builds its JSON and reads the response. kms_call.c makes the call. */
#include "aws/kms_call.h"
#include "aws/region.h"
#include "base/clock.h"
#include "jose/b64.h"
#include "jose/ecdsa.h"
#include "jose/jws.h"
#include "observe/log.h"
#include <stdlib.h>
#include <time.h>

enum { BODY_MAX = 64 * 1024, RAW_MAX = 4096, PAGES_MAX = 100, KEYS_A_PAGE = 100, ROOM = 12 * 1024 };

/* --- opening ----------------------------------------------------------------------------------------------------- */

/* A wrapped key's plaintext would cross the network unprotected. */
static void kms_warn_of_plain_http(const struct kms *kms)
{
    const struct str loopback[] = { STR("127."), STR("localhost"), STR("[::1]") };
    for (size_t i = 0; i < sizeof loopback / sizeof *loopback; i++)
        if (str_has_prefix(kms->place.host, loopback[i]))
            return;
    if (str_has_prefix(kms->place.url, STR("http://")))
        LOG(LOG_WARN, "kms_without_tls", LOG_STR("host", kms->place.host));
}

struct err kms_open(const struct settings *settings, struct kms **out)
{
    struct kms *kms = mem_alloc(sizeof *kms);
    *kms = (struct kms){ .settings = settings };
    struct err err = signed_caller_open(&kms->caller, "kms", settings);
    if (err.code) {
        free(kms);
        return err;
    }
    kms->budget = budget_new((double)settings->kms_rate);
    breaker_init(&kms->breaker);
    arena_init(&kms->arena, NULL, 0);
    kms_metrics_show();
    err = region_of_kms(settings, &kms->arena, &kms->place.region);
    if (err.code) {
        kms_close(kms);
        return err;
    }
    kms->place = aws_place_in(settings, &kms->arena, "kms", kms->place.region);
    kms_warn_of_plain_http(kms);
    *out = kms;
    return OK;
}

void kms_close(struct kms *kms)
{
    if (!kms)
        return;
    signed_caller_close(&kms->caller);
    budget_free(kms->budget);
    breaker_release(&kms->breaker);
    arena_release(&kms->arena);
    free(kms);
}

/* --- JSON -------------------------------------------------------------------------------------------------------- */

static struct buf kms_body_begin(struct arena *arena)
{
    struct buf body;
    buf_init(&body, arena, 512, BODY_MAX);
    buf_add_char(&body, '{');
    return body;
}

static void kms_add_base64(struct buf *body, struct str name, struct str bytes)
{
    json_write_name(body, name);
    buf_add_char(body, '"');
    b64_add(body, bytes);
    buf_add_char(body, '"');
}

static struct str kms_body_end(struct buf *body)
{
    buf_add_char(body, '}');
    return buf_str(body);
}

static struct err kms_odd_answer(enum kms_operation operation)
{
    LOG(LOG_ERROR, "kms_answer_malformed", LOG_TEXT_("operation", kms_operation_name(operation)));
    return failed(ERR_UNAVAILABLE, "AWS KMS gave a response that is not understood");
}

/* Calls, and parses what comes back. */
static struct err kms_call_json(struct kms *kms, struct arena *arena, struct kms_call call, struct buf *body,
                                const struct json **out)
{
    struct str answer = { 0, 0 };
    call.body = kms_body_end(body);
    if (body->overflowed || !utf8_valid(call.body))
        return failed(ERR_INVALID_REQUEST, "a call to AWS KMS is too long, or not UTF-8");
    TRY(kms_call(kms, arena, &call, &answer));
    if (answer.len == 0) { /* UpdateAlias and DisableKey have nothing to say */
        *out = NULL;
        return OK;
    }
    return json_parse(arena, answer, out).code ? kms_odd_answer(call.operation) : OK;
}

/* What needs no more than a key. */
static struct err kms_ask_of_key(struct kms *kms, struct arena *arena, enum kms_operation operation, struct str id,
                                 const struct json **out)
{
    struct buf body = kms_body_begin(arena);
    json_write_text(&body, STR("KeyId"), id);
    return kms_call_json(kms, arena, (struct kms_call){ .operation = operation, .key = id }, &body, out);
}

/* What AWS denies to the service says nothing of the caller's rights. */
static struct err kms_as_own_fault(struct err err)
{
    return err.code == ERR_INSUFFICIENT_SCOPE ? failed(ERR_UNAVAILABLE, err.why) : err;
}

/* Where the key must be there, its absence is a fault of the service too. */
static struct err kms_as_unavailable(struct err err)
{
    return err.code == ERR_NOT_FOUND ? failed(ERR_UNAVAILABLE, err.why) : kms_as_own_fault(err);
}

static struct str kms_text_of(const struct json *json, struct str name)
{
    const struct json *member = json_member(json, name);
    return member && member->kind == JSON_STRING ? member->text : (struct str){ 0, 0 };
}

/* A member in base64, decoded into the arena. */
static bool kms_bytes_of(struct arena *arena, const struct json *json, struct str name, struct str *out)
{
    struct str text = kms_text_of(json, name);
    size_t len = 0;
    char *to = arena_alloc(arena, text.len / 4 * 3 + 2);
    if (text.len == 0 || !b64_decode(text, to, &len))
        return false;
    *out = (struct str){ to, len };
    return true;
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

static enum kms_key_state kms_state_of(struct str name)
{
    if (str_eq(name, STR("Enabled")))
        return KMS_ENABLED;
    if (str_eq(name, STR("Disabled")))
        return KMS_DISABLED;
    return str_eq(name, STR("PendingDeletion")) ? KMS_PENDING_DELETION : KMS_OTHER_STATE;
}

struct err kms_describe(struct kms *kms, struct arena *arena, struct str id, struct kms_key *out)
{
    const struct json *answer = NULL;
    TRY(kms_as_own_fault(kms_ask_of_key(kms, arena, KMS_DESCRIBE_KEY, id, &answer)));
    const struct json *key = json_member(answer, STR("KeyMetadata"));
    struct kms_key found = { .arn = kms_text_of(key, STR("Arn")),
                             .spec = kms_text_of(key, STR("KeySpec")),
                             .is_signing = str_eq(kms_text_of(key, STR("KeyUsage")), STR("SIGN_VERIFY")),
                             .state_name = kms_text_of(key, STR("KeyState")) };
    if (found.spec.len == 0)
        found.spec = kms_text_of(key, STR("CustomerMasterKeySpec")); /* its name before 2021 */
    if (found.arn.len == 0 || found.spec.len == 0 || found.state_name.len == 0)
        return kms_odd_answer(KMS_DESCRIBE_KEY);
    found.state = kms_state_of(found.state_name);
    *out = found;
    return OK;
}

struct err kms_public_key(struct kms *kms, struct arena *arena, struct str id, struct str *spki)
{
    const struct json *answer = NULL;
    TRY(kms_as_unavailable(kms_ask_of_key(kms, arena, KMS_GET_PUBLIC_KEY, id, &answer)));
    return kms_bytes_of(arena, answer, STR("PublicKey"), spki) ? OK : kms_odd_answer(KMS_GET_PUBLIC_KEY);
}

struct err kms_create_key(struct kms *kms, struct arena *arena, struct str spec, struct str description,
                          struct str tag_name, struct str tag_value, struct str *arn)
{
    const struct json *answer = NULL;
    struct buf body = kms_body_begin(arena);
    json_write_text(&body, STR("KeySpec"), spec);
    json_write_text(&body, STR("KeyUsage"), STR("SIGN_VERIFY"));
    json_write_text(&body, STR("Description"), description);
    json_write_name(&body, STR("Tags"));
    buf_add(&body, STR("[{"));
    json_write_text(&body, STR("TagKey"), tag_name);
    json_write_text(&body, STR("TagValue"), tag_value);
    buf_add(&body, STR("}]"));
    TRY(kms_as_unavailable(kms_call_json(kms, arena,
                                         (struct kms_call){ .operation = KMS_CREATE_KEY, .is_unique = true }, &body,
                                         &answer)));
    *arn = kms_text_of(json_member(answer, STR("KeyMetadata")), STR("Arn"));
    return arn->len > 0 ? OK : kms_odd_answer(KMS_CREATE_KEY);
}

struct err kms_update_alias(struct kms *kms, struct str alias, struct str key_id)
{
    AUTO(arena_release) struct arena arena = { 0 };
    const struct json *nothing = NULL;
    struct buf body = kms_body_begin(&arena);
    json_write_text(&body, STR("AliasName"), alias);
    json_write_text(&body, STR("TargetKeyId"), key_id);
    return kms_as_unavailable(
        kms_call_json(kms, &arena, (struct kms_call){ .operation = KMS_UPDATE_ALIAS, .key = key_id }, &body, &nothing));
}

struct err kms_disable_key(struct kms *kms, struct str id)
{
    AUTO(arena_release) struct arena arena = { 0 };
    const struct json *nothing = NULL;
    return kms_as_unavailable(kms_ask_of_key(kms, &arena, KMS_DISABLE_KEY, id, &nothing));
}

/* --- finding a key by its tag ------------------------------------------------------------------------------------ */

/* ERR_NOT_FOUND when the key has no tag of that name, or we may not see its tags: then it is not ours. */
static struct err kms_read_tag(struct kms *kms, struct arena *arena, struct str id, struct str name, struct str *value)
{
    const struct json *answer = NULL;
    struct err err = kms_ask_of_key(kms, arena, KMS_LIST_RESOURCE_TAGS, id, &answer);
    if (err.code == ERR_INSUFFICIENT_SCOPE)
        return failed(ERR_NOT_FOUND, "another's key");
    TRY(err);
    const struct json *tags = json_member(answer, STR("Tags")), *tag = tags ? tags->child : NULL;
    for (; tag; tag = tag->next) /* a key has at most 50, and they come on one page */
        if (str_eq(kms_text_of(tag, STR("TagKey")), name)) {
            *value = kms_text_of(tag, STR("TagValue"));
            return OK;
        }
    return failed(ERR_NOT_FOUND, "another key");
}

/* ERR_NOT_FOUND when it is not that key, or one that will never sign. */
static struct err kms_check_key(struct kms *kms, struct arena *arena, struct str id, const struct kms_search *search,
                                struct str *arn)
{
    struct str value = { 0, 0 };
    struct kms_key key = { 0 };
    TRY(kms_read_tag(kms, arena, id, search->tag_name, &value));
    TRY(kms_describe(kms, arena, id, &key));
    if (key.state != KMS_ENABLED && !str_eq(key.state_name, STR("Creating")))
        return failed(ERR_NOT_FOUND, "a key that does not sign");
    if (!search->fits(search->context, value, &key))
        return failed(ERR_NOT_FOUND, "a key that is not looked for");
    *arn = key.arn;
    return OK;
}

static struct err kms_search_page(struct kms *kms, struct arena *arena, const struct json *page,
                                  const struct kms_search *search, struct str *arn)
{
    const struct json *keys = json_member(page, STR("Keys")), *key = keys ? keys->child : NULL;
    for (; key; key = key->next) {
        struct arena own; /* what is asked of one key is not kept */
        struct str found = { 0, 0 };
        arena_init(&own, NULL, 0);
        struct err err = kms_check_key(kms, &own, kms_text_of(key, STR("KeyId")), search, &found);
        if (!err.code)
            *arn = arena_copy(arena, found);
        arena_release(&own);
        if (err.code != ERR_NOT_FOUND)
            return err;
    }
    return failed(ERR_NOT_FOUND, "no key of this page");
}

struct err kms_find_tagged(struct kms *kms, struct arena *arena, const struct kms_search *search, struct str *arn)
{
    struct str marker = { 0, 0 };
    for (size_t pages = 0; pages < PAGES_MAX; pages++) {
        const struct json *page = NULL, *more;
        struct buf body = kms_body_begin(arena);
        json_write_int(&body, STR("Limit"), KEYS_A_PAGE);
        if (marker.len > 0)
            json_write_text(&body, STR("Marker"), marker);
        TRY(kms_as_unavailable(
            kms_call_json(kms, arena, (struct kms_call){ .operation = KMS_LIST_KEYS }, &body, &page)));
        struct err err = kms_search_page(kms, arena, page, search, arn);
        if (err.code != ERR_NOT_FOUND)
            return err;
        more = json_member(page, STR("Truncated"));
        marker = kms_text_of(page, STR("NextMarker"));
        if (!more || more->kind != JSON_TRUE || marker.len == 0)
            break;
    }
    return failed(ERR_NOT_FOUND, "AWS KMS has no such key with that tag");
}

/* --- how busy it is ---------------------------------------------------------------------------------------------- */

int64_t kms_wait_s(struct kms *kms, size_t ahead)
{
    const int64_t second_ns = 1000000000, second_ms = 1000;
    int64_t turn_ns = budget_wait_ns(kms->budget, ahead);
    int64_t pause_ms = breaker_wait_ms(&kms->breaker, clock_ms());
    int64_t turn_s = (turn_ns + second_ns - 1) / second_ns, pause_s = (pause_ms + second_ms - 1) / second_ms;
    return turn_s > pause_s ? turn_s : pause_s;
}

/* --- signatures -------------------------------------------------------------------------------------------------- */

static const char *kms_algorithm_of(enum jwa alg)
{
    switch (alg) {
    case JWA_RS256:
        return "RSASSA_PKCS1_V1_5_SHA_256";
    case JWA_PS256:
        return "RSASSA_PSS_SHA_256";
    case JWA_ES256:
        return "ECDSA_SHA_256";
    case JWA_EDDSA:
        return "ED25519_SHA_512"; /* pure Ed25519; ED25519_PH_SHA_512 is not what RFC 8037 has */
    }
    return "";
}

/* The digest, or for Ed25519 the message itself. */
static struct str kms_sign_body(struct arena *arena, struct str id, enum jwa alg, struct str input, struct buf *body)
{
    unsigned char digest[32];
    const bool is_raw = alg == JWA_EDDSA;
    *body = kms_body_begin(arena);
    if (!is_raw)
        sha256(input, digest);
    json_write_text(body, STR("KeyId"), id);
    kms_add_base64(body, STR("Message"), is_raw ? input : (struct str){ (const char *)digest, sizeof digest });
    json_write_text(body, STR("MessageType"), is_raw ? STR("RAW") : STR("DIGEST"));
    json_write_text(body, STR("SigningAlgorithm"), str_of(kms_algorithm_of(alg)));
    return buf_str(body);
}

static bool kms_read_signature(struct str signature, enum jwa alg, char *out, size_t *len)
{
    if (alg == JWA_ES256) {
        *len = ECDSA_P256_RAW_LEN;
        return ecdsa_p256_raw(signature, out);
    }
    if (signature.len == 0 || signature.len > JWK_SIGNATURE_MAX || (alg == JWA_EDDSA && signature.len != 64))
        return false;
    memcpy(out, signature.at, signature.len);
    *len = signature.len;
    return true;
}

static struct err kms_call_sign(struct kms *kms, struct arena *arena, const struct kms_call *call, struct str id,
                                enum jwa alg, struct str input, char *out, size_t *len)
{
    const struct json *answer = NULL;
    struct str signature = { 0, 0 };
    struct buf body;
    (void)kms_sign_body(arena, id, alg, input, &body);
    TRY(kms_as_unavailable(kms_call_json(kms, arena, *call, &body, &answer)));
    bool good = kms_bytes_of(arena, answer, STR("Signature"), &signature) &&
                kms_read_signature(signature, alg, out, len);
    return good ? OK : kms_odd_answer(KMS_SIGN);
}

struct err kms_sign(struct kms *kms, struct str id, enum jwa alg, enum kms_priority priority, struct str input,
                    char *out, size_t *len)
{
    const struct kms_call call = { .operation = KMS_SIGN, .key = id, .draws_on_quota = true, .priority = priority };
    char room[ROOM];
    struct arena arena;
    if (alg == JWA_EDDSA && input.len > RAW_MAX)
        return failed(ERR_INVALID_REQUEST, "the token is too long for a signature of AWS KMS with Ed25519: its header "
                                           "and claims may have 4,096 bytes");
    arena_init(&arena, room, sizeof room);
    struct err err = kms_call_sign(kms, &arena, &call, id, alg, input, out, len);
    arena_release(&arena);
    return err;
}

/* --- wrapped keys ------------------------------------------------------------------------------------------------ */

static void kms_add_context(struct buf *body, struct kms_context context)
{
    json_write_name(body, STR("EncryptionContext"));
    buf_add_char(body, '{');
    json_write_text(body, STR("iss"), context.issuer);
    json_write_text(body, STR("kid"), context.kid);
    buf_add_char(body, '}');
}

struct err kms_generate_pair(struct kms *kms, struct arena *arena, struct str id, struct str pair_spec,
                             struct kms_context context, struct str *wrapped, struct str *spki)
{
    const struct json *answer = NULL;
    struct buf body = kms_body_begin(arena);
    json_write_text(&body, STR("KeyId"), id);
    json_write_text(&body, STR("KeyPairSpec"), pair_spec);
    kms_add_context(&body, context);
    TRY(kms_as_unavailable(
        kms_call_json(kms, arena,
                      (struct kms_call){ .operation = KMS_GENERATE_DATA_KEY_PAIR_WITHOUT_PLAINTEXT, .key = id }, &body,
                      &answer)));
    struct str blob = { 0, 0 };
    if (!kms_bytes_of(arena, answer, STR("PrivateKeyCiphertextBlob"), &blob) ||
        !kms_bytes_of(arena, answer, STR("PublicKey"), spki))
        return kms_odd_answer(KMS_GENERATE_DATA_KEY_PAIR_WITHOUT_PLAINTEXT);
    *wrapped = blob;
    return OK;
}

/* Decodes straight into locked memory; the base64 lies in the arena, which the caller wipes. */
static struct err kms_read_plaintext(const struct json *answer, struct secret *out)
{
    struct str text = kms_text_of(answer, STR("Plaintext"));
    struct secret plain = { 0 };
    size_t len = 0;
    if (text.len == 0)
        return kms_odd_answer(KMS_DECRYPT);
    TRY(secret_init(&plain, text.len / 4 * 3 + 2, NULL));
    if (!b64_decode(text, plain.at, &len)) {
        secret_release(&plain);
        return kms_odd_answer(KMS_DECRYPT);
    }
    plain.len = len;
    *out = plain;
    return OK;
}

static struct err kms_call_decrypt(struct kms *kms, struct arena *arena, struct str id, struct str wrapped,
                                   struct kms_context context, struct secret *out)
{
    const struct json *answer = NULL;
    struct buf body = kms_body_begin(arena);
    json_write_text(&body, STR("KeyId"), id);
    kms_add_base64(&body, STR("CiphertextBlob"), wrapped);
    kms_add_context(&body, context);
    TRY(kms_as_unavailable(kms_call_json(kms, arena,
                                         (struct kms_call){ .operation = KMS_DECRYPT, .key = id, .is_secret = true },
                                         &body, &answer)));
    return kms_read_plaintext(answer, out);
}

struct err kms_decrypt(struct kms *kms, struct str id, struct str wrapped, struct kms_context context,
                       struct secret *out)
{
    struct arena arena = { 0 };
    struct err err = kms_call_decrypt(kms, &arena, id, wrapped, context, out);
    arena_wipe(&arena, NULL, 0);
    arena_release(&arena);
    return err;
}
