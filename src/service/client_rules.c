/* service/client_rules.c: the rules between members, one after the other. */
#include "service/client_rules.h"
#include "service/pairwise.h"

enum { KEYS_MAX = 16 };

#define FINE ((struct client_fault){ NULL, NULL })

static struct client_fault client_rules_broken(const char *member, const char *why)
{
    return (struct client_fault){ member, why };
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

/* Encryption is not offered here: such a key is left alone, but may have nothing private either (RFC 7518 section 6).
 */
static const char *client_rules_fault_of_encryption_key(const struct json *key)
{
    static const char *const private_members[] = { "d", "p", "q", "dp", "dq", "qi", "oth", "k" };
    for (size_t i = 0; i < sizeof private_members / sizeof *private_members; i++)
        if (json_member(key, str_of(private_members[i])))
            return "a key in it is private or symmetric";
    return NULL;
}

static bool client_rules_is_for_encryption(const struct json *key)
{
    const struct json *use = json_member(key, STR("use"));
    return use && use->kind == JSON_STRING && str_eq(use->text, STR("enc"));
}

static const char *client_rules_fault_of_key(struct arena *arena, const struct json *key)
{
    AUTO(jwk_freep) struct jwk *parsed = NULL;
    if (key->kind != JSON_OBJECT)
        return "a key in it is not an object";
    if (client_rules_is_for_encryption(key))
        return client_rules_fault_of_encryption_key(key);
    return jwk_parse_public(arena, key->text, &parsed).why;
}

static bool client_rules_has_kid_before(const struct json *keys, const struct json *key)
{
    const struct json *kid = json_member(key, STR("kid")), *other;
    for (const struct json *each = keys->child; kid && each != key; each = each->next)
        if ((other = json_member(each, STR("kid"))) && str_eq(other->text, kid->text))
            return true;
    return false;
}

static const char *client_rules_fault_of_jwks(struct arena *arena, struct str jwks)
{
    const struct json *set = NULL;
    size_t signing = 0;
    if (json_parse(arena, jwks, &set).code)
        return "it is not valid JSON";
    const struct json *keys = json_member(set, STR("keys"));
    if (!keys || keys->kind != JSON_ARRAY || keys->count > KEYS_MAX)
        return "it has no list of at most 16 keys";
    for (const struct json *key = keys->child; key; key = key->next) {
        const char *fault = client_rules_fault_of_key(arena, key);
        if (fault)
            return fault;
        if (client_rules_has_kid_before(keys, key))
            return "two keys in it have the same kid";
        signing += !client_rules_is_for_encryption(key);
    }
    return signing > 0 ? NULL : "it has no key for signatures";
}

static struct client_fault client_rules_check_keys(struct arena *arena, const struct client_metadata *metadata)
{
    const bool has_jwks = metadata->jwks.len > 0, has_uri = metadata->jwks_uri.len > 0;
    if (has_jwks && has_uri)
        return client_rules_broken("jwks", "the keys are in jwks or at jwks_uri, not both");
    if (metadata->auth == CLIENT_AUTH_KEY && !has_jwks && !has_uri)
        return client_rules_broken("token_endpoint_auth_method", "private_key_jwt needs jwks or jwks_uri");
    if (metadata->request_object_alg && !has_jwks && !has_uri)
        return client_rules_broken("request_object_signing_alg", "it needs jwks or jwks_uri");
    const char *fault = has_jwks ? client_rules_fault_of_jwks(arena, metadata->jwks) : NULL;
    return fault ? client_rules_broken("jwks", fault) : FINE;
}

/* --- grants ------------------------------------------------------------------------------------------------------ */

static struct client_fault client_rules_check_grants(const struct client_metadata *metadata)
{
    const bool redirects = metadata->grants & GRANT_AUTHORIZATION_CODE;
    if (redirects && metadata->redirect_uris.count == 0)
        return client_rules_broken("redirect_uris", "the grant type authorization_code needs one at least");
    if (!redirects && metadata->redirect_uris.count > 0)
        return client_rules_broken("redirect_uris", "without the grant type authorization_code nothing is sent there");
    if (metadata->grants & GRANT_REFRESH_TOKEN && !redirects)
        return client_rules_broken("grant_types", "refresh_token needs authorization_code: nothing else gives one");
    return FINE;
}

/* A public client has nothing to prove its identity with: it can act for nobody but a user (RFC 6749 section 4.4), and
 * a code is safe with it only by PKCE (RFC 9700 section 2.1.1). */
static struct client_fault client_rules_check_public(const struct client_metadata *metadata)
{
    if (metadata->auth != CLIENT_AUTH_NONE)
        return FINE;
    if (metadata->grants & GRANT_CLIENT_CREDENTIALS)
        return client_rules_broken("grant_types", "a public client can't have client_credentials");
    return metadata->require_pkce ? FINE : client_rules_broken("require_pkce", "a public client can't go without PKCE");
}

static struct client_fault client_rules_check_subject(const struct client_metadata *metadata)
{
    struct str host;
    const char *fault = metadata->subject == SUBJECT_PAIRWISE ? pairwise_find_sector(metadata, &host) : NULL;
    return fault ? client_rules_broken("subject_type", fault) : FINE;
}

struct client_fault client_rules_fault(struct arena *arena, const struct client_metadata *metadata)
{
    const struct client_fault faults[] = { client_rules_check_grants(metadata), client_rules_check_public(metadata),
                                           client_rules_check_subject(metadata),
                                           client_rules_check_keys(arena, metadata) };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        if (faults[i].why)
            return faults[i];
    return FINE;
}
