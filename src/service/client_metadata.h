/* service/client_metadata.h: what a client has registered: RFC 7591 section 2, OpenID Connect Dynamic Client
 * Registration 1.0 section 2, its logout specifications, and some members of our own. It is kept as a JSON object in
 * struct client (store/store.h), by those names; this file is the only one that reads or writes it. The same rules hold
 * for what an administrator says, on the command line or over HTTP, and for what a client registers by itself. */
#ifndef SERVICE_CLIENT_METADATA_H
#define SERVICE_CLIENT_METADATA_H

#include "base/json.h"
#include "jose/jwk.h"

struct client;

enum { CLIENT_METADATA_MAX = 32 * 1024, CLIENT_LIST_MAX = 32, CLIENT_JWKS_MAX = 8 * 1024 };

enum client_grant { GRANT_AUTHORIZATION_CODE = 1, GRANT_REFRESH_TOKEN = 2, GRANT_CLIENT_CREDENTIALS = 4 };
enum client_response { RESPONSE_CODE = 1 };
enum client_application { APPLICATION_WEB, APPLICATION_NATIVE };
enum client_subject {
    SUBJECT_UNSUPPORTED, /* a type that is not known here: it is told of no user */
    SUBJECT_PUBLIC,
    SUBJECT_PAIRWISE, /* pairwise.h */
};
/* What an assertion of the client's names as its audience (RFC 7523 section 3). */
enum client_audience { AUDIENCE_ISSUER, AUDIENCE_TOKEN_ENDPOINT };

/* How it authenticates at the token endpoint (OpenID Connect Core section 9). */
enum client_auth {
    CLIENT_AUTH_UNSUPPORTED, /* a way that is not known here: nobody comes in by it */
    CLIENT_AUTH_BASIC,       /* client_secret_basic */
    CLIENT_AUTH_POST,        /* client_secret_post */
    CLIENT_AUTH_KEY,         /* private_key_jwt */
    CLIENT_AUTH_NONE,        /* a public client */
};

struct client_texts {
    const struct str *at;
    size_t count;
};

struct client_metadata {
    struct client_texts redirect_uris, post_logout_redirect_uris, contacts;
    struct client_texts resources; /* the values of `resource` that it may ask for (RFC 8707) */
    unsigned grants;               /* enum client_grant */
    unsigned responses;            /* enum client_response */
    enum client_auth auth;         /* token_endpoint_auth_method */
    enum jwa auth_alg;             /* token_endpoint_auth_signing_alg; 0: any */
    struct str jwks, jwks_uri;     /* a JWK Set as JSON, or where it is; "": none; never both */
    enum client_application application;
    enum client_subject subject;
    struct str sector_identifier_uri;
    enum jwa id_token_alg;                    /* id_token_signed_response_alg; RS256 unless it says otherwise */
    enum jwa userinfo_alg;                    /* userinfo_signed_response_alg; 0: not signed */
    enum jwa request_object_alg;              /* request_object_signing_alg; 0: any */
    bool require_pkce;                        /* true but for confidential clients that asked */
    bool require_auth_time;                   /* auth_time is in every id token anyway */
    int64_t default_max_age_s;                /* -1: none */
    struct str backchannel_logout_uri;        /* "": none */
    bool backchannel_logout_session_required; /* a logout token needs a sid */
    struct str initiate_login_uri;            /* "": none, as of those that follow, which people are shown */
    struct str client_uri, logo_uri, policy_uri, tos_uri;
    bool refresh_token_rotation;   /* false: a confidential client's stays the same */
    int64_t refresh_token_grace_s; /* for how long a used one is still good; -1: as the settings say */
    int64_t refresh_token_idle_s;  /* after how long without a use one ends; -1: likewise */
    bool skip_consent;             /* one of the operator's own: nobody is asked */
    enum client_audience assertion_audience;
};

/* Whether a member of that name is one of these. */
bool client_metadata_knows(struct str name);

/* Reads what a store has. Anything may stand there, since the platform writes clients too: a member that is malformed,
 * or says what is not offered here, counts as absent, an item of a list likewise; nothing is allowed by that. A client
 * without a list of grants has none. `is_public`: struct client's, which comes before token_endpoint_auth_method. Views
 * are into the arena and `text`. */
void client_metadata_read(struct arena *arena, struct str text, bool is_public, struct client_metadata *out);

/* What a client has registered: as memory has it (clients.h), or read into the arena. */
const struct client_metadata *client_metadata_of(struct arena *arena, const struct client *client);

/* A copy with all that it views. */
void client_metadata_copy(struct arena *arena, const struct client_metadata *from, struct client_metadata *out);

/* Reads what is to be registered: an object of members that client_metadata_knows(), each as it must be, and fit for
 * one another. Those that are absent or null get their defaults. ERR_REDIRECT_URI, ERR_CLIENT_METADATA (RFC 7591
 * section 3.2.2), with a sentence that names the member. */
MUST_USE struct err client_metadata_take(struct arena *arena, const struct json *object, struct client_metadata *out);

/* Appends the members, the defaults too that the RFCs name, each after a comma unless it is the first in its object:
 * the caller places the braces. Read again, by either function, it is the same. */
void client_metadata_write(const struct client_metadata *metadata, struct buf *out);

#endif
