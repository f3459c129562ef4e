/* oauth/signed_request.c: checks one, and makes a form of it. */
#include "oauth/signed_request.h"
#include "base/clock.h"
#include "base/settings.h"
#include "jose/claims.h"
#include "oauth/client_keys.h"
#include "oauth/oauth.h"
#include "oauth/request_object.h"
#include "service/call.h"
#include "service/client_metadata.h"
#include "service/service.h"

static const struct authorize_fault no_fault = { 0, 0 };
static const struct authorize_fault not_supported = { "request_not_supported",
                                                      "request objects are for clients that have registered a key" };

static struct authorize_fault signed_request_wrong(const char *why)
{
    return (struct authorize_fault){ "invalid_request_object", why };
}

/* RFC 9101 section 10.8: no other kind of token may pass for one. */
static bool signed_request_is_typ(struct str typ)
{
    return typ.len == 0 || str_eq_nocase(typ, STR("oauth-authz-req+jwt")) || str_eq_nocase(typ, STR("JWT")) ||
           str_eq_nocase(typ, STR("application/oauth-authz-req+jwt"));
}

static struct authorize_fault signed_request_verify(struct call *call, const struct client *client,
                                                    const struct client_metadata *registered, struct str text,
                                                    const struct json **claims)
{
    const struct client_keys_source source = { client->id, registered->jwks, registered->jwks_uri };
    struct arena *arena = call->request->arena;
    struct jws_parts parts;
    struct jws_header header;
    struct str payload;
    if (jws_split(text, &parts).code || jws_read_header(arena, parts.header, &header).code ||
        !signed_request_is_typ(header.typ))
        return signed_request_wrong("the request object is no signed JWT");
    header.alg = jwa_usual_name(header.alg);
    if (registered->request_object_alg && !str_eq(header.alg, str_of(jwa_name(registered->request_object_alg))))
        return signed_request_wrong("the request object is not signed with the algorithm that was registered");
    if (client_keys_verify(call->service->oauth->client_keys, arena, &source, &parts, &header, clock_coarse_ms()).code)
        return signed_request_wrong("the request object is not signed with a key of the client");
    if (jws_read_payload(arena, parts.payload, &payload).code || json_parse(arena, payload, claims).code ||
        (*claims)->kind != JSON_OBJECT)
        return signed_request_wrong("the request object's payload is no JSON object");
    return no_fault;
}

static bool signed_request_has(const struct json *claims, struct str name, struct str value)
{
    const struct json *member = json_member(claims, name);
    const struct json *each = member && member->kind == JSON_ARRAY ? member->child : member;
    for (; each; each = member->kind == JSON_ARRAY ? each->next : NULL)
        if (each->kind == JSON_STRING && str_eq(each->text, value))
            return true;
    return false;
}

/* Times that are there are held to; absent ones are allowed (RFC 9101 section 4). */
static bool signed_request_is_now(const struct call *call, const struct json *claims)
{
    const int64_t now_s = call->request->now_s, skew_s = call->service->settings->clock_skew_s;
    const struct json *exp = json_member(claims, STR("exp")), *nbf = json_member(claims, STR("nbf"));
    int64_t exp_s = CLAIMS_TIME_MAX, nbf_s = 0;
    return (!exp || json_int(exp, 0, CLAIMS_TIME_MAX, &exp_s)) && (!nbf || json_int(nbf, 0, CLAIMS_TIME_MAX, &nbf_s)) &&
           exp_s > now_s && nbf_s <= now_s + skew_s;
}

/* iss is the client, and aud this service (section 4). Who sees one in a browser must not be able to authenticate with
 * it, so its sub is not the client (section 10.8). */
static struct authorize_fault signed_request_check(const struct call *call, const struct client *client,
                                                   const struct json *claims)
{
    if (!signed_request_has(claims, STR("iss"), client->id) ||
        !signed_request_has(claims, STR("aud"), str_of(call->service->settings->issuer)))
        return signed_request_wrong("the request object's iss must be the client, and its aud this issuer");
    if (signed_request_has(claims, STR("sub"), client->id))
        return signed_request_wrong("the request object's sub is the client, which is for assertions");
    return signed_request_is_now(call, claims)
               ? no_fault
               : signed_request_wrong("the request object has expired, or is not good yet");
}

static void signed_request_drop(struct form *form)
{
    size_t kept = 0;
    for (size_t i = 0; i < form->count; i++) {
        if (str_eq(form->name[i], STR("request")))
            continue;
        form->name[kept] = form->name[i];
        form->value[kept++] = form->value[i];
    }
    form->count = kept;
}

struct authorize_fault signed_request_take(struct call *call, const struct client *client,
                                           const struct client_metadata *registered, struct form *form)
{
    const struct str text = form_value(form, STR("request"));
    const struct json *claims = NULL;
    struct form members;
    if (!text.at)
        return no_fault;
    signed_request_drop(form);
    if (registered->jwks.len == 0 && registered->jwks_uri.len == 0)
        return not_supported;
    if (text.len > SIGNED_REQUEST_MAX)
        return signed_request_wrong("the request object is too long");
    struct authorize_fault fault = signed_request_verify(call, client, registered, text, &claims);
    if (!fault.error)
        fault = signed_request_check(call, client, claims);
    if (fault.error)
        return fault;
    fault = request_object_form(call->request->arena, claims, client->id, &members);
    if (!fault.error)
        *form = members;
    return fault;
}
