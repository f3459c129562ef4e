/* oauth/metadata.c: the provider's metadata: OpenID Connect Discovery 1.0 section 3 and RFC 8414 section 2, of which
 * both documents are the same one. It is made from what is switched on and from the key in force, and never says more.
 */
#include "base/settings.h"
#include "keys/keyring.h"
#include "oauth/issuer.h"
#include "oauth/oauth.h"
#include "oauth/operations.h"
#include "oauth/standard_claims.h"
#include "service/call.h"
#include "service/pairwise.h"
#include "service/service.h"
#include "wire/fields.h"

/* What a member needs to be there: users who can log in. */
enum needs { ALWAYS, USERS };

enum shape { URL, WORDS, YES, NO }; /* an endpoint's path, a list of words, true, false */

struct member {
    struct str name, value;
    enum shape shape;
    enum needs needs;
};

#define ALGORITHMS "RS256 PS256 ES256 EdDSA Ed25519" /* that clients may sign with: all of jose/jwk.h */
#define PROVEN "client_secret_basic client_secret_post private_key_jwt"
#define METHODS PROVEN " none" /* where a public client may name itself */
static const struct member members[] = {
    { STR_INIT("authorization_endpoint"), STR_INIT("/authorize"), URL, USERS },
    { STR_INIT("token_endpoint"), STR_INIT("/token"), URL, ALWAYS },
    { STR_INIT("userinfo_endpoint"), STR_INIT("/userinfo"), URL, USERS },
    { STR_INIT("end_session_endpoint"), STR_INIT("/logout"), URL, USERS },
    { STR_INIT("introspection_endpoint"), STR_INIT("/token/introspect"), URL, ALWAYS },
    { STR_INIT("revocation_endpoint"), STR_INIT("/token/revoke"), URL, ALWAYS },
    { STR_INIT("jwks_uri"), STR_INIT("/.well-known/jwks.json"), URL, ALWAYS },
    { STR_INIT("response_types_supported"), STR_INIT("code"), WORDS, ALWAYS },
    { STR_INIT("response_modes_supported"), STR_INIT("query form_post"), WORDS, USERS },
    { STR_INIT("token_endpoint_auth_methods_supported"), STR_INIT(METHODS), WORDS, ALWAYS },
    { STR_INIT("token_endpoint_auth_signing_alg_values_supported"), STR_INIT(ALGORITHMS), WORDS, ALWAYS },
    { STR_INIT("introspection_endpoint_auth_methods_supported"), STR_INIT(PROVEN), WORDS, ALWAYS },
    { STR_INIT("introspection_endpoint_auth_signing_alg_values_supported"), STR_INIT(ALGORITHMS), WORDS, ALWAYS },
    { STR_INIT("revocation_endpoint_auth_methods_supported"), STR_INIT(METHODS), WORDS, ALWAYS },
    { STR_INIT("revocation_endpoint_auth_signing_alg_values_supported"), STR_INIT(ALGORITHMS), WORDS, ALWAYS },
    { STR_INIT("request_object_signing_alg_values_supported"), STR_INIT(ALGORITHMS), WORDS, USERS },
    { STR_INIT("code_challenge_methods_supported"), STR_INIT("S256"), WORDS, USERS },
    { STR_INIT("display_values_supported"), STR_INIT("page popup touch"), WORDS, USERS },
    { STR_INIT("prompt_values_supported"), STR_INIT("none login consent select_account"), WORDS, USERS },
    { STR_INIT("ui_locales_supported"), STR_INIT("en"), WORDS, USERS },
    { STR_INIT("claim_types_supported"), STR_INIT("normal"), WORDS, USERS },
    { STR_INIT("authorization_response_iss_parameter_supported"), STR_INIT(""), YES, USERS },
    { STR_INIT("claims_parameter_supported"), STR_INIT(""), YES, USERS },
    { STR_INIT("request_parameter_supported"), STR_INIT(""), YES, USERS },
    { STR_INIT("request_uri_parameter_supported"), STR_INIT(""), NO, ALWAYS }, /* absent would mean true */
    { STR_INIT("backchannel_logout_supported"), STR_INIT(""), YES, USERS },
    { STR_INIT("backchannel_logout_session_supported"), STR_INIT(""), YES, USERS },
};

static void metadata_add(struct buf *out, const struct service *service, const struct member *member)
{
    switch (member->shape) {
    case URL:
        json_write_text(out, member->name, issuer_url(out->arena, service->settings, member->value));
        break;
    case WORDS:
        json_write_words(out, member->name, member->value);
        break;
    case YES:
    case NO:
        json_write_bool(out, member->name, member->shape == YES);
        break;
    }
}

static void metadata_add_list(struct buf *out, const char *name, struct str words)
{
    if (words.len > 0)
        json_write_words(out, str_of(name), words);
}

/* OpenID Connect Core section 5.1, and what id tokens say of themselves. */
static void metadata_add_claims(struct buf *out)
{
    json_write_name(out, STR("claims_supported"));
    buf_add(out,
            STR("[\"iss\",\"sub\",\"aud\",\"exp\",\"iat\",\"auth_time\",\"nonce\",\"acr\",\"amr\",\"azp\",\"sid\""));
    for (size_t i = 0; i < standard_claims_count; i++) {
        buf_add_char(out, ',');
        json_write_str(out, standard_claims[i].name);
    }
    buf_add_char(out, ']');
}

static void metadata_write(struct buf *out, const struct service *service, struct str signing_alg)
{
    const struct settings *settings = service->settings;
    const bool is_builtin = settings->login == LOGIN_BUILTIN, has_users = settings_have_users(settings);
    buf_add(out, STR("{\"issuer\":"));
    json_write_str(out, str_of(settings->issuer));
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (members[i].needs == ALWAYS || has_users)
            metadata_add(out, service, &members[i]);
    metadata_add_list(out, "subject_types_supported",
                      pairwise_is_offered(settings) ? STR("public pairwise") : STR("public"));
    metadata_add_list(out, "grant_types_supported",
                      has_users ? STR("authorization_code refresh_token client_credentials")
                                : STR("client_credentials"));
    metadata_add_list(out, "id_token_signing_alg_values_supported", signing_alg);
    if (has_users) {
        metadata_add_list(out, "scopes_supported", str_of(settings->scopes));
        metadata_add_list(out, "userinfo_signing_alg_values_supported", signing_alg);
        metadata_add_list(out, "acr_values_supported", is_builtin ? STR(BUILTIN_ACR) : str_of(settings->acr_values));
        metadata_add_claims(out);
    }
    buf_add_char(out, '}');
}

struct err publish_metadata(struct call *call, struct response *response)
{
    const struct service *service = call->service;
    const struct settings *settings = service->settings;
    if (call->path_value.at && !str_eq(call->path_value, issuer_path(settings)))
        return failed(ERR_NOT_FOUND, "there is nothing at this path");
    AUTO(keyring_releasep) const struct keyring_view *view = keyring_acquire(service->keyring);
    response_may_be_kept(response, call->request->arena, settings->jwks_max_age_s,
                         settings->jwks_stale_while_revalidate_s, settings->jwks_stale_if_error_s);
    metadata_write(&response->body, service, str_of(jwa_name(view->active->jwk->alg)));
    return OK;
}
