/* base/settings.h: every setting of the service, one row each in settings.c: variable, flag, kind, default, range,
 * help. --help, the man page and docs/configuration.md are printed from those rows. */
#ifndef BASE_SETTINGS_H
#define BASE_SETTINGS_H

#include "base/mem.h"
#include <stdio.h>

enum records_kept { RECORDS_ALL, RECORDS_GRANTS };
enum metrics_access { METRICS_LOOPBACK, METRICS_ANY, METRICS_OFF };
enum emf { EMF_AUTO, EMF_ON, EMF_OFF };
enum log_format { LOG_AUTO, LOG_JSON, LOG_TEXT };
enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

enum login_kind { LOGIN_OFF, LOGIN_BUILTIN };

enum revocation_policy { POLICY_STRICT, POLICY_BOUNDED };
enum revocation_feed { FEED_ON, FEED_OFF };

enum signer_kind { SIGNER_AUTO, SIGNER_LOCAL, SIGNER_KMS, SIGNER_ENVELOPE };

enum settings_origin { ORIGIN_DEFAULT, ORIGIN_ENVIRONMENT, ORIGIN_FLAG };

enum { SETTINGS_SALT_MIN = 32 };     /* bytes of TOKEN_PAIRWISE_SALT */
enum { SETTINGS_AUDIENCE_MAX = 15 }; /* names in TOKEN_AUDIENCE: a token's aud (CLAIMS_AUD_MAX) without its client */

/* Strings and lists are NUL-terminated and live as long as the struct. Units are in the names. */
struct settings {
    const char *listen;   /* TOKEN_LISTEN: host:port, [v6]:port, or :port */
    const char *data_dir; /* TOKEN_DATA_DIR */
    const char *issuer;   /* TOKEN_ISSUER */
    const char *audience; /* TOKEN_AUDIENCE: comma-separated */
    int64_t signing_alg;  /* TOKEN_SIGNING_ALG: an enum jwa */
    int64_t records;      /* TOKEN_RECORDS: an enum records_kept */
    int64_t access_ttl_s, access_ttl_max_s, refresh_ttl_s, refresh_ttl_max_s, id_ttl_s, id_ttl_max_s;
    const char *login_url;                               /* LOGIN_URL */
    int64_t login;                                       /* TOKEN_LOGIN: an enum login_kind */
    int64_t code_ttl_s, refresh_grace_s, refresh_idle_s; /* TOKEN_CODE_TTL, TOKEN_REFRESH_… */
    int64_t session_ttl_s, session_idle_s;               /* TOKEN_SESSION_TTL, TOKEN_SESSION_IDLE */
    const char *scopes, *acr_values;                     /* TOKEN_SCOPES, TOKEN_ACR_VALUES: space-separated */
    const char *pairwise_salt;                           /* TOKEN_PAIRWISE_SALT: a secret; "": none */
    const char *privileged_claims;                       /* TOKEN_PRIVILEGED_CLAIMS: comma-separated, added to "role" */
    int64_t clock_skew_s;                                /* TOKEN_CLOCK_SKEW: for nbf and iat */
    int64_t clock_tolerance_max_s;                       /* TOKEN_CLOCK_TOLERANCE_MAX: the most a caller may ask for */
    int64_t token_max_bytes;                             /* TOKEN_MAX_BYTES: a longer token is not looked at */
    int64_t failure_limit;       /* TOKEN_FAILURE_LIMIT: a minute, by address and by client; 0: no limit */
    int64_t login_request_limit; /* TOKEN_LOGIN_REQUEST_LIMIT: a minute, by address; 0: no limit */
    int64_t client_cache_s;      /* TOKEN_CLIENT_CACHE_TTL */
    int64_t client_staleness_s;  /* TOKEN_CLIENT_STALENESS */
    const char *fetch_allow;     /* TOKEN_FETCH_ALLOW: networks, comma-separated */
    const char *fetch_ca_file;   /* TOKEN_FETCH_CA_FILE: PEM file; "": the system's certificates */
    int64_t verified_cache;      /* TOKEN_VERIFIED_CACHE: entries */
    int64_t jwks_max_age_s;      /* TOKEN_JWKS_MAX_AGE */
    int64_t jwks_stale_while_revalidate_s, jwks_stale_if_error_s; /* TOKEN_JWKS_STALE_… (RFC 5861) */
    int64_t key_rotation_s;      /* TOKEN_KEY_ROTATION: an active key's time; 0: until somebody asks */
    int64_t key_pending_s;       /* TOKEN_KEY_PENDING: published before it signs */
    int64_t key_retiring_s;      /* TOKEN_KEY_RETIRING: published after it signed; 0: as long as its last token lives */
    const char *users_file;      /* TOKEN_USERS_FILE; "": users.json in data_dir */
    const char *cors_origins;    /* TOKEN_CORS_ORIGINS: comma-separated, or * */
    const char *trusted_proxies; /* TOKEN_TRUSTED_PROXIES: networks, comma-separated */
    const char *path_prefix;     /* TOKEN_PATH_PREFIX: "" or like "/prod" */
    int64_t loops, workers, queue; /* TOKEN_LOOPS, TOKEN_WORKERS (0: from the number of cores), TOKEN_QUEUE */
    int64_t queue_wait_ms;         /* TOKEN_QUEUE_WAIT_MS */
    int64_t body_max_bytes;        /* TOKEN_BODY_MAX */
    int64_t header_max_bytes;      /* TOKEN_HEADER_MAX: request line and headers together */
    int64_t connections;           /* TOKEN_CONNECTIONS */
    int64_t request_memory_bytes;  /* TOKEN_REQUEST_MEMORY: of all requests in hand together */
    int64_t idle_timeout_s, request_timeout_s;    /* TOKEN_IDLE_TIMEOUT, TOKEN_REQUEST_TIMEOUT */
    int64_t drain_timeout_s;                      /* TOKEN_DRAIN_TIMEOUT */
    const char *tls_cert, *tls_key;               /* TOKEN_TLS_CERT, TOKEN_TLS_KEY: PEM files; both or none */
    int64_t metrics;                              /* TOKEN_METRICS: an enum metrics_access */
    int64_t log_level, log_format;                /* TOKEN_LOG_LEVEL, TOKEN_LOG_FORMAT */
    int64_t emf;                                  /* TOKEN_EMF: an enum emf */
    int64_t emf_interval_s;                       /* TOKEN_EMF_INTERVAL */
    const char *emf_service;                      /* TOKEN_EMF_SERVICE: a dimension's value */
    int64_t purge_interval_s;                     /* TOKEN_PURGE_INTERVAL */
    int64_t usage_interval_s;                     /* TOKEN_USAGE_INTERVAL; 0: uses are not counted */
    const char *kms_key_id;                       /* KMS_KEY_ID: id, ARN or alias, or a comma-separated list */
    int64_t signer;                               /* TOKEN_SIGNER: an enum signer_kind */
    const char *aws_region;                       /* AWS_REGION; "": aws/region.h */
    const char *aws_endpoint_url;                 /* AWS_ENDPOINT_URL: of every AWS service; "": AWS's own */
    const char *aws_endpoint_url_kms;             /* AWS_ENDPOINT_URL_KMS: goes before it */
    const char *aws_endpoint_url_eventbridge;     /* AWS_ENDPOINT_URL_EVENTBRIDGE: likewise */
    const char *aws_endpoint_url_secrets_manager; /* AWS_ENDPOINT_URL_SECRETS_MANAGER: likewise */
    const char *aws_endpoint_url_ssm;             /* AWS_ENDPOINT_URL_SSM: likewise */
    int64_t aws_use_fips_endpoint;                /* AWS_USE_FIPS_ENDPOINT: 0 or 1 */
    const char *aws_ca_bundle;                    /* AWS_CA_BUNDLE: PEM file; "": the system's certificates */
    int64_t kms_rate;                             /* TOKEN_KMS_RATE: signatures a second */
    int64_t kms_timeout_s, kms_try_timeout_s;     /* TOKEN_KMS_TIMEOUT, TOKEN_KMS_TRY_TIMEOUT */
    const char *event_bus_name;                   /* EVENT_BUS_NAME: a name or an ARN; "": nobody is told of events */
    const char *redis_url;                        /* REDIS_URL; "": no cache. Holds a password */
    const char *redis_ca_file;                    /* REDIS_CA_FILE: PEM file; "": the system's certificates */
    const char *redis_cert_file;                  /* REDIS_CERT_FILE, with REDIS_KEY_FILE: PEM files; "": none */
    const char *redis_key_file;
    const char *redis_sentinel_user; /* REDIS_SENTINEL_USER, with REDIS_SENTINEL_PASSWORD; "": those of redis_url */
    const char *redis_sentinel_password;
    int64_t redis_timeout_s;          /* TOKEN_REDIS_TIMEOUT */
    int64_t revocation_policy;        /* TOKEN_REVOCATION_POLICY: an enum revocation_policy */
    int64_t revocation_staleness_s;   /* TOKEN_REVOCATION_STALENESS: of the policy bounded */
    int64_t revocation_feed;          /* TOKEN_REVOCATION_FEED: an enum revocation_feed */
    const char *database_url;         /* DATABASE_URL: of a PostgreSQL, with a password; "": none */
    const char *supabase_url;         /* SUPABASE_URL; "": none */
    const char *supabase_service_key; /* SUPABASE_SERVICE_KEY */
    int64_t supabase_http;            /* TOKEN_SUPABASE_HTTP: 0 or 1 */
    int64_t database_connections;     /* TOKEN_DATABASE_CONNECTIONS */
    int64_t store_timeout_s;          /* TOKEN_STORE_TIMEOUT: of one call of a shared store */
    enum settings_origin *origins;    /* for each row of the table: where its value came from; owned */
    char *owned;                      /* what the strings above point into; settings_release frees it */
    size_t owned_size;
    struct secret fetched; /* what settings_fetch_secrets() has got: some of them point into it then */
    bool has_fetched;
};

/* Whether users can log in: here, or at a service elsewhere. */
static inline bool settings_have_users(const struct settings *settings)
{
    return settings->login != LOGIN_OFF || settings->login_url[0];
}

/* Fills *out: defaults, then the environment (an empty variable counts as absent), then flags (`--listen 0.0.0.0:80` or
 * `--listen=…`) from argv[*next] on; stops at the first argument that is no setting's flag and leaves *next there. On a
 * bad value: ERR_INVALID_REQUEST with one sentence that names the variable, the value's fault and what is allowed; the
 * sentence is static until the next call; *next and *out are untouched. */
MUST_USE struct err settings_read(int argc, char **argv, int *next, struct settings *out);
void settings_release(struct settings *settings);
/* Whether the environment or a flag gives the setting of that variable a value; otherwise it has its default. */
bool settings_are_given(const struct settings *settings, const char *name);

/* A secret may be given as a reference (base/secret_reference.h); until its value is fetched, it is the reference that
 * stands in the struct, and no more than its form has been checked. Whether there is one: */
bool settings_have_references(const struct settings *settings);
/* Gets what one reference names; the text must live until settings_fetch_secrets() returns. `variable`: the setting's,
 * for sentences. */
typedef struct err settings_fetch(void *context, const char *variable, struct str reference, struct str *out);
/* Puts values in the place of all references and checks them, alone and together. Once done, another call does nothing.
 * ERR_INVALID_REQUEST with a sentence as settings_read() has it; fetch's errors as they are. */
MUST_USE struct err settings_fetch_secrets(struct settings *settings, settings_fetch *fetch, void *context);

/* Tells of every environment variable that begins with TOKEN_ and is no setting's, and which setting was probably
 * meant: "" when none is near. Never a value. */
void settings_tell_unknown(void (*tell)(struct str name, const char *meant));

/* The table as the settings' part of --help (at most 100 columns), as sections of a man page, as the tables of
 * docs/configuration.md; and the values in force with their origin, for --check-config, where a secret is only
 * said to be set. */
void settings_print_help(FILE *out);
void settings_print_man(FILE *out);
void settings_print_markdown(FILE *out);
void settings_print_values(const struct settings *settings, FILE *out);

/* A text with what roff would read as its own escaped, for the rest of the man page. */
void roff_print(FILE *out, const char *text);

/* What is wrong with the name of a region of AWS, which becomes a part of a host's name; NULL: nothing. Not of an empty
 * one. Static. */
const char *settings_fault_of_region(struct str text);

#endif
