/* oauth/assertion.c: reads, judges, verifies, in this order: what costs least comes first. */
#include "oauth/assertion.h"
#include "jose/claims.h"
#include "oauth/client_keys.h"

/* --- reading ----------------------------------------------------------------------------------------------------- */

static struct err assertion_refuse(const char *why)
{
    return failed(ERR_INVALID_CLIENT, why);
}

/* RFC 8725 section 3.11. The second name is that of draft-ietf-oauth-rfc7523bis; no kind of our own tokens has either,
 * but an id token, which no client can sign. */
static bool assertion_is_typ(struct str typ)
{
    const struct str prefix = STR("application/");
    if (typ.len > prefix.len && str_eq_nocase((struct str){ typ.at, prefix.len }, prefix))
        typ = (struct str){ typ.at + prefix.len, typ.len - prefix.len };
    return !typ.at || str_eq_nocase(typ, STR("JWT")) || str_eq_nocase(typ, STR("client-authentication+jwt"));
}

static bool assertion_read_text(const struct json *claims, struct str name, struct str *out)
{
    const struct json *value = json_member(claims, name);
    if (!value || value->kind != JSON_STRING || value->text.len == 0)
        return false;
    *out = value->text;
    return true;
}

/* A NumericDate may have a fraction (RFC 7519 section 2), which some clients send; it is cut off. */
static bool assertion_read_time(const struct json *claims, struct str name, int64_t *out)
{
    const struct json *value = json_member(claims, name);
    struct str text = value && value->kind == JSON_NUMBER ? value->text : STR(""), whole = text, fraction = text;
    if (str_cut(&fraction, '.', &whole) && (str_has(fraction, 'e') || str_has(fraction, 'E')))
        return false;
    return str_number(whole, CLAIMS_TIME_MAX, out);
}

static bool assertion_read_optional_time(const struct json *claims, struct str name, int64_t *out)
{
    return !json_member(claims, name) || assertion_read_time(claims, name, out);
}

static bool assertion_read_audience(const struct json *claims, struct assertion *out)
{
    const struct json *value = json_member(claims, STR("aud"));
    out->aud_is_list = value && value->kind == JSON_ARRAY;
    if (out->aud_is_list && (value->count == 0 || value->count > ASSERTION_AUD_MAX))
        return false;
    for (const struct json *each = out->aud_is_list ? value->child : value; each;
         each = out->aud_is_list ? each->next : NULL) {
        if (each->kind != JSON_STRING)
            return false;
        out->aud[out->aud_count++] = each->text;
    }
    return out->aud_count > 0;
}

static struct err assertion_read_claims(const struct json *claims, struct assertion *out)
{
    struct str iss, sub;
    if (claims->kind != JSON_OBJECT)
        return assertion_refuse("the client_assertion's claims are not a JSON object");
    if (!assertion_read_text(claims, STR("iss"), &iss) || !assertion_read_text(claims, STR("sub"), &sub) ||
        !str_eq(iss, sub)) /* RFC 7523 section 3 (1) and (2B) */
        return assertion_refuse("the client_assertion's iss and sub must both be the client's id");
    if (!assertion_read_audience(claims, out))
        return assertion_refuse("the client_assertion lacks aud, or its aud has a wrong form");
    if (!assertion_read_time(claims, STR("exp"), &out->exp))
        return assertion_refuse("the client_assertion lacks exp, or its exp is not a point in time");
    if (!assertion_read_optional_time(claims, STR("iat"), &out->iat) ||
        !assertion_read_optional_time(claims, STR("nbf"), &out->nbf))
        return assertion_refuse("the client_assertion's iat or nbf is not a point in time");
    if (!assertion_read_text(claims, STR("jti"), &out->jti) || out->jti.len > ASSERTION_JTI_MAX)
        return assertion_refuse("the client_assertion lacks jti, or its jti is longer than 256 bytes");
    out->client_id = sub;
    return OK;
}

struct err assertion_read(struct arena *arena, struct str text, struct assertion *out)
{
    struct assertion read = { .exp = 0 };
    struct str payload;
    const struct json *claims;
    enum jwa alg;
    if (text.len > ASSERTION_MAX)
        return assertion_refuse("the client_assertion is longer than 8 KB");
    if (jws_split(text, &read.parts).code)
        return assertion_refuse("the client_assertion is not a signed JWT in compact form");
    if (jws_read_header(arena, read.parts.header, &read.header).code)
        return assertion_refuse("the client_assertion's header is malformed, or asks for an extension");
    read.header.alg = jwa_usual_name(read.header.alg);
    if (!jwa_find(read.header.alg, &alg))
        return assertion_refuse("the client_assertion's alg is not supported");
    if (!assertion_is_typ(read.header.typ))
        return assertion_refuse("the client_assertion's typ is that of something else");
    if (jws_read_payload(arena, read.parts.payload, &payload).code || json_parse(arena, payload, &claims).code)
        return assertion_refuse("the client_assertion's claims are not JSON");
    TRY(assertion_read_claims(claims, &read));
    *out = read;
    return OK;
}

/* --- judging ----------------------------------------------------------------------------------------------------- */

/* Whoever is sent an assertion could use it elsewhere if its audience were wide; so it is exactly us (RFC 7523 section
 * 3 (3), draft-ietf-oauth-rfc7523bis, FAPI 2.0). Older clients name the token endpoint, also in a list. */
static bool assertion_is_for_us(const struct assertion *assertion, const struct assertion_expect *expect)
{
    const bool is_wide = expect->token_endpoint.at != NULL;
    if (assertion->aud_is_list && !is_wide)
        return false;
    for (size_t i = 0; i < assertion->aud_count; i++)
        if (str_eq(assertion->aud[i], expect->issuer) || (is_wide && str_eq(assertion->aud[i], expect->token_endpoint)))
            return true;
    return false;
}

/* All terms lie within [0, CLAIMS_TIME_MAX], so no sum can overflow. */
static struct err assertion_check_times(const struct assertion *assertion, int64_t ahead_max_s, int64_t now_s)
{
    if (now_s >= assertion->exp)
        return assertion_refuse("the client_assertion has expired");
    if (assertion->exp > now_s + ahead_max_s)
        return assertion_refuse("the client_assertion's exp is too far away");
    if (assertion->nbf > now_s + ASSERTION_SKEW_S)
        return assertion_refuse("the client_assertion's nbf lies in the future");
    if (assertion->iat > now_s + ASSERTION_SKEW_S)
        return assertion_refuse("the client_assertion's iat lies in the future");
    return OK;
}

struct err assertion_check(const struct assertion *assertion, const struct assertion_expect *expect, int64_t now_s)
{
    if (!str_eq(assertion->client_id, expect->client_id))
        return assertion_refuse("the client_assertion is another client's");
    if (expect->signing_alg.len > 0 && !str_eq(assertion->header.alg, expect->signing_alg))
        return assertion_refuse("the client_assertion's alg is not the one that the client has registered");
    if (!assertion_is_for_us(assertion, expect))
        return assertion_refuse("the client_assertion's aud must be this service's issuer");
    return assertion_check_times(assertion, expect->ahead_max_s, now_s);
}

/* --- verifying --------------------------------------------------------------------------------------------------- */

struct err assertion_verify(const struct assertion *assertion, struct client_keys *keys, struct arena *arena,
                            const struct client_keys_source *source, int64_t now_ms)
{
    const struct err err = client_keys_verify(keys, arena, source, &assertion->parts, &assertion->header, now_ms);
    if (!err.code || err.code == ERR_UNAVAILABLE)
        return err;
    return assertion_refuse(err.code == ERR_TOKEN_KEY ? err.why : "the client_assertion's signature is wrong");
}

struct assertion_once assertion_once(const struct assertion *assertion)
{
    struct assertion_once once = { .expires_at = assertion->exp + ASSERTION_SKEW_S };
    const struct str parts[] = { STR("jti\n"), assertion->client_id, STR("\n"), assertion->jti };
    sha256_parts(parts, sizeof parts / sizeof *parts, once.id);
    return once;
}
