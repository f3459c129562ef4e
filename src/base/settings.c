/* base/settings.c: every setting, a row each. A new one is a row here and a member in settings.h; reading, checking,
 * --help, the man page and the documentation follow from the row. The value chosen for a row (flag before environment
 * before default) is read once, by its kind; what several settings must agree on comes after. */
#include "base/settings_rows.h"
#include "base/json.h"
#include "base/secret_reference.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>

/* What a word stands for is its place in the list, from `min` of its row on. */
static const char *const algorithms[] = { "RS256", "PS256", "ES256", "EdDSA", NULL }; /* enum jwa, from 1 */
static const char *const records[] = { "all", "grants", NULL };
static const char *const accesses[] = { "loopback", "any", "off", NULL };
static const char *const emfs[] = { "auto", "on", "off", NULL }; /* enum emf */
static const char *const levels[] = { "error", "warn", "info", "debug", NULL };
static const char *const formats[] = { "auto", "json", "text", NULL };
static const char *const signers[] = { "auto", "local", "kms", "envelope", NULL }; /* enum signer_kind */
static const char *const policies[] = { "strict", "bounded", NULL };               /* enum revocation_policy */
static const char *const feeds[] = { "on", "off", NULL };                          /* enum revocation_feed */
static const char *const logins[] = { "off", "builtin", NULL };                    /* enum login_kind */
static const char *const truths[] = { "false", "true", NULL };

#define TEXT(member, preset, min, max, fault_of, form)                                                                 \
    KIND_TEXT, offsetof(struct settings, member), preset, min, max, NULL, fault_of, form
#define SECRET(member, max, fault_of, form)                                                                            \
    KIND_SECRET, offsetof(struct settings, member), "", 0, max, NULL, fault_of, form
#define WORD(member, preset, first, words)                                                                             \
    KIND_WORD, offsetof(struct settings, member), preset, first, 0, words, NULL, NULL
#define NUMBER(member, preset, min, max)                                                                               \
    KIND_NUMBER, offsetof(struct settings, member), preset, min, max, NULL, NULL, NULL
#define SECONDS(member, preset, min, max)                                                                              \
    KIND_SECONDS, offsetof(struct settings, member), preset, min, max, NULL, NULL, NULL
#define BYTES(member, preset, min, max)                                                                                \
    KIND_BYTES, offsetof(struct settings, member), preset, min, max, NULL, NULL, NULL

const struct settings_row settings_rows[] = {
    { "TOKEN_LISTEN", SECTION_SERVER,
      TEXT(listen, "127.0.0.1:8080", 1, 300, settings_fault_of_listen, "host:port, [IPv6]:port or :port"),
      "Where to listen. Port 0 picks a free port, which the log names; without a host, every address." },
    { "TOKEN_DATA_DIR", SECTION_SERVER, TEXT(data_dir, "data", 1, 3072, NULL, "a path"),
      "Directory of the database and the key files; created with mode 0700 if it is missing." },
    { "TOKEN_TLS_CERT", SECTION_SERVER, TEXT(tls_cert, "", 0, 3072, NULL, "a path, or nothing"),
      "PEM file of the certificate and its chain. With TOKEN_TLS_KEY, HTTPS is served instead of HTTP." },
    { "TOKEN_TLS_KEY", SECTION_SERVER, TEXT(tls_key, "", 0, 3072, NULL, "a path, or nothing"),
      "PEM file of the certificate's private key; refused if everybody can read it." },
    { "TOKEN_LOOPS", SECTION_SERVER, NUMBER(loops, "0", 0, 64),
      "Event loops, one thread each, for requests that need not wait, and for signatures. 0: one per core." },
    { "TOKEN_WORKERS", SECTION_SERVER, NUMBER(workers, "0", 0, 256),
      "Threads for what waits. 0: one per core, 16 with Redis, a shared store or users, 256 if KMS signs." },
    { "TOKEN_QUEUE", SECTION_SERVER, NUMBER(queue, "1024", 1, 65536),
      "Requests that may wait for their turn; a further one gets 503 at once. Requests of callers not yet known: half "
      "as many." },
    { "TOKEN_QUEUE_WAIT_MS", SECTION_SERVER, NUMBER(queue_wait_ms, "50", 1, 60000),
      "How many milliseconds a request may wait for its turn. One that would wait longer gets 503 at once." },
    { "TOKEN_DRAIN_TIMEOUT", SECTION_SERVER, SECONDS(drain_timeout_s, "20", 0, 600),
      "How long a stop waits for the requests in progress." },
    { "TOKEN_PURGE_INTERVAL", SECTION_SERVER, SECONDS(purge_interval_s, "60", 1, 86400),
      "How often expired rows are deleted from the store." },
    { "TOKEN_USAGE_INTERVAL", SECTION_SERVER, SECONDS(usage_interval_s, "5", 0, 3600),
      "How often use_count and last_used_at are written to the platform's tables. 0: uses are not counted." },
    { "TOKEN_CORS_ORIGINS", SECTION_SERVER,
      TEXT(cors_origins, "", 0, 4096, settings_fault_of_origins, "*, or scheme://host[:port] separated by commas"),
      "Origins whose scripts may call the token and revocation endpoints. Any origin may read keys and metadata." },
    { "TOKEN_TRUSTED_PROXIES", SECTION_SERVER,
      TEXT(trusted_proxies, "", 0, 4096, settings_fault_of_networks,
           "at most 64 networks separated by commas, like 10.0.0.0/8, 2001:db8::/32"),
      "Proxies whose Forwarded, X-Forwarded-For and X-Forwarded-Proto headers are trusted to say who called." },
    { "TOKEN_PATH_PREFIX", SECTION_SERVER,
      TEXT(path_prefix, "", 0, 256, settings_fault_of_path_prefix, "a path like /prod, or nothing"),
      "A prefix under which every path is served too, such as the stage of an API gateway. None by default." },

    { "TOKEN_ISSUER", SECTION_TOKENS,
      TEXT(issuer, "https://auth.storytailor.ai", 1, 512, settings_fault_of_issuer,
           "an https or http URL without query and fragment"),
      "The iss of every token (RFC 8414 section 2)." },
    { "TOKEN_AUDIENCE", SECTION_TOKENS,
      TEXT(audience, "", 0, 4096, settings_fault_of_audience, "at most 15 names separated by commas"),
      "What the aud of an access token holds besides its client." },
    { "TOKEN_SIGNING_ALG", SECTION_TOKENS, WORD(signing_alg, "RS256", 1, algorithms),
      "Algorithm of the signing key. A change makes a new key; the old key still verifies its tokens." },
    { "TOKEN_ACCESS_TTL", SECTION_TOKENS, SECONDS(access_ttl_s, "3600", 1, 31536000),
      "Lifetime of an access token, unless its client has one of its own." },
    { "TOKEN_ACCESS_TTL_MAX", SECTION_TOKENS, SECONDS(access_ttl_max_s, "86400", 1, 31536000),
      "The longest lifetime of an access token that a request may ask for." },
    { "TOKEN_REFRESH_TTL", SECTION_TOKENS, SECONDS(refresh_ttl_s, "2592000", 1, 315360000),
      "Lifetime of a refresh token, unless its client has one of its own." },
    { "TOKEN_REFRESH_TTL_MAX", SECTION_TOKENS, SECONDS(refresh_ttl_max_s, "31536000", 1, 315360000),
      "The longest lifetime of a refresh token that a request may ask for." },
    { "TOKEN_ID_TTL", SECTION_TOKENS, SECONDS(id_ttl_s, "3600", 1, 31536000),
      "Lifetime of an ID token, unless its client has one of its own." },
    { "TOKEN_ID_TTL_MAX", SECTION_TOKENS, SECONDS(id_ttl_max_s, "86400", 1, 31536000),
      "The longest lifetime of an ID token that a request may ask for." },
    { "TOKEN_PRIVILEGED_CLAIMS", SECTION_TOKENS,
      TEXT(privileged_claims, "", 0, 4096, settings_fault_of_list, "names of claims separated by commas"),
      "Claims besides role that only a caller with the scope token:issue:privileged may set." },
    { "TOKEN_RECORDS", SECTION_TOKENS, WORD(records, "all", RECORDS_ALL, records),
      "What is recorded of issued tokens. all: a row for each token; grants: no rows for access tokens." },

    { "LOGIN_URL", SECTION_USERS,
      TEXT(login_url, "", 0, 2048, settings_fault_of_issuer, "an https or http URL without query and fragment"),
      "Where users are sent to log in and to consent, which answers by /admin/login-requests." },
    { "TOKEN_LOGIN", SECTION_USERS, WORD(login, "off", LOGIN_OFF, logins),
      "builtin: pages of this service where users log in and consent, for development and small sites." },
    { "TOKEN_USERS_FILE", SECTION_USERS, TEXT(users_file, "", 0, 3072, NULL, "a path, or nothing"),
      "File of the users of the built-in login page, which token-service users writes. None: users.json in "
      "TOKEN_DATA_DIR." },
    { "TOKEN_CODE_TTL", SECTION_USERS, SECONDS(code_ttl_s, "60", 1, 600), "Lifetime of an authorization code." },
    { "TOKEN_REFRESH_GRACE", SECTION_USERS, SECONDS(refresh_grace_s, "60", 0, 3600),
      "How long a used refresh token still gives its successor again. 0: any second use ends the grant." },
    { "TOKEN_REFRESH_IDLE", SECTION_USERS, SECONDS(refresh_idle_s, "0", 0, 315360000),
      "How long a refresh token may lie unused, unless its client has a time of its own. 0: until it expires." },
    { "TOKEN_SESSION_TTL", SECTION_USERS, SECONDS(session_ttl_s, "43200", 60, 31536000),
      "How long a user stays signed in, unless the login says otherwise." },
    { "TOKEN_SESSION_IDLE", SECTION_USERS, SECONDS(session_idle_s, "7200", 0, 31536000),
      "How long such a session may lie unused by /authorize; it may end a tenth of that sooner. 0: no such end." },
    { "TOKEN_SCOPES", SECTION_USERS,
      TEXT(scopes, "openid profile email address phone offline_access", 0, 4096, NULL, "scopes separated by spaces"),
      "The scopes that the metadata names (scopes_supported). Which ones a client may have, its registration says." },
    { "TOKEN_LOGIN_REQUEST_LIMIT", SECTION_USERS, NUMBER(login_request_limit, "300", 0, 1000000),
      "Logins and consents that one address may begin per minute; a further one gets 429. 0: no limit." },
    { "TOKEN_ACR_VALUES", SECTION_USERS, TEXT(acr_values, "", 0, 2048, NULL, "names separated by spaces"),
      "The authentication contexts that LOGIN_URL knows, for the metadata (acr_values_supported)." },
    { "TOKEN_PAIRWISE_SALT", SECTION_USERS,
      SECRET(pairwise_salt, 1024, settings_fault_of_salt, "32 to 1024 random bytes as text, or nothing"),
      "The secret of pairwise subjects, the same at every instance. With another one, clients don't recognise their "
      "users." },

    { "TOKEN_CLOCK_SKEW", SECTION_CHECKS, SECONDS(clock_skew_s, "30", 0, 300),
      "How far nbf and iat may be in the future, since other machines' clocks differ. exp is exact." },
    { "TOKEN_CLOCK_TOLERANCE_MAX", SECTION_CHECKS, SECONDS(clock_tolerance_max_s, "300", 0, 3600),
      "The largest clockTolerance that a verification may ask for." },
    { "TOKEN_REVOCATION_FEED", SECTION_CHECKS, WORD(revocation_feed, "on", FEED_ON, feeds),
      "Whether GET /revocations gives anyone the hashes of revoked tokens, for those who verify tokens themselves." },
    { "TOKEN_VERIFIED_CACHE", SECTION_CHECKS, NUMBER(verified_cache, "1536", 0, 1048576),
      "Verified tokens kept in memory, so that a second check costs only a hash. 0: none." },
    { "TOKEN_JWKS_MAX_AGE", SECTION_CHECKS, SECONDS(jwks_max_age_s, "300", 0, 86400),
      "How long others may cache the published keys (max-age of the JWKS)." },
    { "TOKEN_JWKS_STALE_WHILE_REVALIDATE", SECTION_CHECKS, SECONDS(jwks_stale_while_revalidate_s, "60", 0, 86400),
      "How much longer others may use them while they fetch them again (RFC 5861)." },
    { "TOKEN_JWKS_STALE_IF_ERROR", SECTION_CHECKS, SECONDS(jwks_stale_if_error_s, "3600", 0, 604800),
      "How much longer others may use them when this service can't be reached (RFC 5861)." },

    { "TOKEN_KEY_ROTATION", SECTION_KEYS, SECONDS(key_rotation_s, "7776000", 0, 315360000),
      "How long a key signs before the next one replaces it. 0: until a rotation is asked for." },
    { "TOKEN_KEY_PENDING", SECTION_KEYS, SECONDS(key_pending_s, "7200", 0, 2592000),
      "How long a key is published before it signs: at least as long as verifiers may keep an older key set." },
    { "TOKEN_KEY_RETIRING", SECTION_KEYS, SECONDS(key_retiring_s, "0", 0, 630720000),
      "How long a key stays published after it stops signing: at least the lifetime of the longest token. 0: that "
      "lifetime." },

    { "TOKEN_FAILURE_LIMIT", SECTION_CALLERS, NUMBER(failure_limit, "10", 0, 1000000),
      "Failed authentications per minute, from one address or of one client or user, before others must wait. 0: no "
      "limit." },
    { "TOKEN_CLIENT_CACHE_TTL", SECTION_CALLERS, SECONDS(client_cache_s, "60", 3, 3600),
      "How long a client's data is kept in memory; a disabled client is refused within that time." },
    { "TOKEN_CLIENT_STALENESS", SECTION_CALLERS, SECONDS(client_staleness_s, "3600", 0, 604800),
      "How long a known client is still accepted while the store can't be read. 0: no longer than otherwise." },
    { "TOKEN_FETCH_ALLOW", SECTION_CALLERS,
      TEXT(fetch_allow, "", 0, 4096, settings_fault_of_networks,
           "at most 64 networks separated by commas, like 10.0.0.0/8, 2001:db8::/32"),
      "Networks that may be called where a client names a URL, although they are private, local or reserved." },
    { "TOKEN_FETCH_CA_FILE", SECTION_CALLERS, TEXT(fetch_ca_file, "", 0, 3072, NULL, "a path, or nothing"),
      "PEM file of the certificates to trust where a client names a URL, instead of the system's." },

    { "TOKEN_MAX_BYTES", SECTION_LIMITS, BYTES(token_max_bytes, "16384", 1024, 65536),
      "The longest token that is issued or checked." },
    { "TOKEN_BODY_MAX", SECTION_LIMITS, BYTES(body_max_bytes, "65536", 1024, 16777216),
      "Largest request body; a larger one gets 413." },
    { "TOKEN_HEADER_MAX", SECTION_LIMITS, BYTES(header_max_bytes, "8192", 1024, 262144),
      "Largest request line and headers together; larger ones get 431." },
    { "TOKEN_CONNECTIONS", SECTION_LIMITS, NUMBER(connections, "4096", 1, 1048576),
      "Connections open at once, over all loops; one more replaces the longest idle one, or else gets 503." },
    { "TOKEN_REQUEST_MEMORY", SECTION_LIMITS, BYTES(request_memory_bytes, "201326592", 1048576, 1099511627776),
      "Memory of all requests in progress together: headers, bodies and responses. A request beyond it gets 503 at "
      "once." },
    { "TOKEN_IDLE_TIMEOUT", SECTION_LIMITS, SECONDS(idle_timeout_s, "60", 1, 3600),
      "How long a connection may stay open between two requests." },
    { "TOKEN_REQUEST_TIMEOUT", SECTION_LIMITS, SECONDS(request_timeout_s, "10", 1, 300),
      "How long a request may take to arrive in full." },

    { "TOKEN_METRICS", SECTION_OBSERVE, WORD(metrics, "loopback", METRICS_LOOPBACK, accesses),
      "Who may read /metrics. loopback: callers on this machine, but not callers for whom a proxy on it forwards." },
    { "TOKEN_LOG_LEVEL", SECTION_OBSERVE, WORD(log_level, "info", LOG_ERROR, levels),
      "The least important lines that are logged. debug adds a line for each request." },
    { "TOKEN_LOG_FORMAT", SECTION_OBSERVE, WORD(log_format, "auto", LOG_AUTO, formats),
      "auto: text when standard error is a terminal, otherwise one JSON object per line." },
    { "TOKEN_EMF", SECTION_OBSERVE, WORD(emf, "auto", EMF_AUTO, emfs),
      "on: metrics for CloudWatch are lines of the log, in its Embedded Metric Format. auto: in AWS Lambda only." },
    { "TOKEN_EMF_INTERVAL", SECTION_OBSERVE, SECONDS(emf_interval_s, "60", 1, 3600), "How often they are written." },
    { "TOKEN_EMF_SERVICE", SECTION_OBSERVE,
      TEXT(emf_service, "token-service", 1, 250, settings_fault_of_service, "letters, digits and -_.:/"),
      "The value of their one dimension, Service, by which installations in one account are told apart." },

    { "KMS_KEY_ID", SECTION_AWS,
      TEXT(kms_key_id, "", 0, 4096, settings_fault_of_list, "a key's id, ARN or alias, or several separated by commas"),
      "The key in AWS KMS. From a list of signing keys, each rotation takes the next. A symmetric key wraps new key "
      "pairs." },
    { "TOKEN_SIGNER", SECTION_AWS, WORD(signer, "auto", SIGNER_AUTO, signers),
      "kms: AWS KMS signs each token; envelope: KMS wraps a key; local: a key file; auto: what KMS_KEY_ID is for, or "
      "local." },
    { "AWS_REGION", SECTION_AWS,
      TEXT(aws_region, "", 0, 64, settings_fault_of_region, "lower-case letters, digits and hyphens"),
      "The region, unless an ARN names it. Without it: AWS_DEFAULT_REGION, the profile's region, us-east-1." },
    { "AWS_ENDPOINT_URL", SECTION_AWS,
      TEXT(aws_endpoint_url, "", 0, 512, settings_fault_of_issuer, "an https or http URL without query and fragment"),
      "Where to call AWS's services, instead of their own addresses in the region." },
    { "AWS_ENDPOINT_URL_KMS", SECTION_AWS,
      TEXT(aws_endpoint_url_kms, "", 0, 512, settings_fault_of_issuer,
           "an https or http URL without query and fragment"),
      "Where to call KMS; takes precedence over AWS_ENDPOINT_URL." },
    { "AWS_ENDPOINT_URL_EVENTBRIDGE", SECTION_AWS,
      TEXT(aws_endpoint_url_eventbridge, "", 0, 512, settings_fault_of_issuer,
           "an https or http URL without query and fragment"),
      "Where to call EventBridge; takes precedence over AWS_ENDPOINT_URL." },
    { "AWS_ENDPOINT_URL_SECRETS_MANAGER", SECTION_AWS,
      TEXT(aws_endpoint_url_secrets_manager, "", 0, 512, settings_fault_of_issuer,
           "an https or http URL without query and fragment"),
      "Where to call Secrets Manager; takes precedence over AWS_ENDPOINT_URL." },
    { "AWS_ENDPOINT_URL_SSM", SECTION_AWS,
      TEXT(aws_endpoint_url_ssm, "", 0, 512, settings_fault_of_issuer,
           "an https or http URL without query and fragment"),
      "Where to call Systems Manager's Parameter Store; takes precedence over AWS_ENDPOINT_URL." },
    { "AWS_USE_FIPS_ENDPOINT", SECTION_AWS, WORD(aws_use_fips_endpoint, "false", 0, truths),
      "Whether AWS's services are called at their FIPS 140 endpoints." },
    { "AWS_CA_BUNDLE", SECTION_AWS, TEXT(aws_ca_bundle, "", 0, 3072, NULL, "a path, or nothing"),
      "PEM file of the certificates to trust for AWS, instead of the system's." },
    { "TOKEN_KMS_RATE", SECTION_AWS, NUMBER(kms_rate, "900", 1, 1000000),
      "Signatures per second that this instance asks of KMS; KMS's own quota is for a whole account and region." },
    { "TOKEN_KMS_TIMEOUT", SECTION_AWS, SECONDS(kms_timeout_s, "5", 1, 60),
      "How long a call to KMS may take, including waits for the quota and retries." },
    { "TOKEN_KMS_TRY_TIMEOUT", SECTION_AWS, SECONDS(kms_try_timeout_s, "2", 1, 60),
      "How long one attempt of a call to KMS may take." },
    { "EVENT_BUS_NAME", SECTION_AWS,
      TEXT(event_bus_name, "", 0, 1600, settings_fault_of_bus, "a name or an ARN: letters, digits and /.-_:"),
      "The bus of EventBridge that is told of tokens, revocations, failed verifications and new keys. None: nobody." },

    { "REDIS_URL", SECTION_REDIS,
      SECRET(redis_url, 4096, settings_fault_of_redis_url,
             "redis[s]://[[user]:password@]host[:port][,...][/db], redis[s]+sentinel://...host[:port][,...]/group"),
      "The Redis that all instances share: a server, a cluster (named by any of its servers), or a server's "
      "Sentinels." },
    { "REDIS_CA_FILE", SECTION_REDIS, TEXT(redis_ca_file, "", 0, 3072, NULL, "a path, or nothing"),
      "PEM file of the certificates to trust for rediss://, instead of the system's." },
    { "REDIS_CERT_FILE", SECTION_REDIS, TEXT(redis_cert_file, "", 0, 3072, NULL, "a path, or nothing"),
      "PEM file of the certificate to show to a Redis that asks for one, with the intermediate certificates." },
    { "REDIS_KEY_FILE", SECTION_REDIS, TEXT(redis_key_file, "", 0, 3072, NULL, "a path, or nothing"),
      "PEM file of the private key of REDIS_CERT_FILE." },
    { "REDIS_SENTINEL_USER", SECTION_REDIS, TEXT(redis_sentinel_user, "", 0, 127, NULL, "a name, or nothing"),
      "The user for the Sentinels themselves, with REDIS_SENTINEL_PASSWORD." },
    { "REDIS_SENTINEL_PASSWORD", SECTION_REDIS, SECRET(redis_sentinel_password, 511, NULL, "a password, or nothing"),
      "The password of the Sentinels themselves; without it, Sentinels that ask for one get that of REDIS_URL." },
    { "TOKEN_REDIS_TIMEOUT", SECTION_REDIS, SECONDS(redis_timeout_s, "1", 1, 60),
      "How long a command to Redis may take." },
    { "TOKEN_REVOCATION_POLICY", SECTION_REDIS, WORD(revocation_policy, "strict", POLICY_STRICT, policies),
      "While others' revocations can't be read: strict refuses to call a token valid (503), bounded goes on for a "
      "time." },
    { "TOKEN_REVOCATION_STALENESS", SECTION_REDIS, SECONDS(revocation_staleness_s, "60", 1, 86400),
      "How long bounded goes on; for that long, a token revoked elsewhere may still be accepted." },

    { "DATABASE_URL", SECTION_SHARED, SECRET(database_url, 4096, NULL, "postgresql://user:password@host:port/name"),
      "A PostgreSQL database with the platform's tables, for any number of instances; a transaction pooler works "
      "too." },
    { "SUPABASE_URL", SECTION_SHARED,
      TEXT(supabase_url, "", 0, 512, settings_fault_of_issuer, "an https URL without query and fragment"),
      "The platform's Supabase project, called over HTTPS. DATABASE_URL takes precedence over it." },
    { "SUPABASE_SERVICE_KEY", SECTION_SHARED,
      SECRET(supabase_service_key, 4096, NULL, "sb_secret_…, or a service_role JWT"),
      "The key for SUPABASE_URL: it must be allowed to write." },
    { "TOKEN_SUPABASE_HTTP", SECTION_SHARED, WORD(supabase_http, "false", 0, truths),
      "Whether SUPABASE_URL may be http to another machine, which sends the key unencrypted. Only for a network of "
      "your own." },
    { "TOKEN_DATABASE_CONNECTIONS", SECTION_SHARED, NUMBER(database_connections, "8", 1, 256),
      "Connections that this instance opens to DATABASE_URL, at most." },
    { "TOKEN_STORE_TIMEOUT", SECTION_SHARED, SECONDS(store_timeout_s, "5", 1, 60),
      "How long a call to the database may take; after that the request gets 503." },
};
_Static_assert(SETTINGS_AUDIENCE_MAX == 15, "the row of TOKEN_AUDIENCE says this number");
enum { ROWS = sizeof settings_rows / sizeof *settings_rows };
const size_t settings_rows_count = ROWS;

const char *settings_flag(const struct settings_row *row, char to[SETTINGS_FLAG_ROOM])
{
    if (row->kind == KIND_SECRET) { /* every user of the machine can read a command line */
        to[0] = '\0';
        return to;
    }
    const bool is_ours = str_has_prefix(str_of(row->name), STR("TOKEN_")); /* AWS's own names stay whole */
    const char *name = row->name + (is_ours ? strlen("TOKEN_") : 0);
    size_t len = 2;
    memcpy(to, "--", 2);
    for (; *name && len < SETTINGS_FLAG_ROOM - 1; name++)
        to[len++] = *name == '_' ? '-' : (char)tolower((unsigned char)*name);
    to[len] = '\0';
    return to;
}

const char *settings_allowed(const struct settings_row *row, char to[SETTINGS_ALLOWED_ROOM])
{
    static const char *const units[] = { [KIND_NUMBER] = "", [KIND_SECONDS] = " seconds", [KIND_BYTES] = " bytes" };
    size_t len = 0;
    if (settings_is_text(row)) {
        snprintf(to, 128, "%s", row->form);
    } else if (row->kind == KIND_WORD) {
        for (size_t i = 0; row->words[i] && len < 100; i++)
            len += (size_t)snprintf(to + len, 128 - len, "%s%s", i > 0 ? ", " : "", row->words[i]);
    } else {
        snprintf(to, 128, "%lld to %lld%s", (long long)row->min, (long long)row->max, units[row->kind]);
    }
    return to;
}

/* --- errors ------------------------------------------------------------------------------------------------------ */

__attribute__((format(printf, 1, 2))) static struct err refuse(const char *format, ...)
{
    static char sentence[640]; /* until the next call, as the header says */
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    return failed(ERR_INVALID_REQUEST, sentence);
}

static bool settings_is_printable(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i], next = i + 1 < text.len ? (unsigned char)text.at[i + 1] : 0;
        if (c < 0x20 || c == 0x7f || (c == 0xc2 && next >= 0x80 && next < 0xa0)) /* C0, DEL, C1 in UTF-8 */
            return false;
    }
    return utf8_valid(text);
}

/* What stands before an @ in a URL may be a password. */
static bool settings_may_be_shown(const struct settings_row *row, struct str value)
{
    return row->kind != KIND_SECRET && value.len <= 80 && !str_has(value, '@') && settings_is_printable(value);
}

static struct err settings_refuse_value(const struct settings_row *row, struct str value, const char *fault)
{
    char allowed[128];
    if (!settings_may_be_shown(row, value))
        return refuse("%s is not usable: %s (allowed: %s)", row->name, fault, settings_allowed(row, allowed));
    return refuse("%s is \"%.*s\": %s (allowed: %s)", row->name, (int)value.len, value.at, fault,
                  settings_allowed(row, allowed));
}

/* --- one value --------------------------------------------------------------------------------------------------- */

static bool settings_find_word(const struct settings_row *row, struct str text, int64_t *out)
{
    for (size_t i = 0; row->words[i]; i++)
        if (str_eq(text, str_of(row->words[i]))) {
            *out = row->min + (int64_t)i;
            return true;
        }
    return false;
}

static const char *settings_fault_of_text(const struct settings_row *row, struct str text)
{
    if (!settings_is_printable(text))
        return "it has control characters or is not UTF-8";
    if (text.len < (size_t)row->min)
        return "it is empty";
    if (text.len > (size_t)row->max)
        return "it is too long";
    return text.len > 0 && row->fault_of ? row->fault_of(text) : NULL;
}

/* Of a text that is given, or, for a secret, of the reference to it. */
static const char *settings_fault_of_given(const struct settings_row *row, struct str text)
{
    struct secret_reference reference;
    return row->kind == KIND_SECRET && secret_reference_is(text) ? secret_reference_read(text, &reference)
                                                                 : settings_fault_of_text(row, text);
}

/* Writes the row's member. A text goes to *room, which moves on. */
static struct err settings_read_value(const struct settings_row *row, struct str text, struct settings *settings,
                                      char **room)
{
    char *member = (char *)settings + row->offset;
    const char *fault = NULL;
    int64_t number = 0;
    switch (row->kind) {
    case KIND_TEXT:
    case KIND_SECRET:
        fault = settings_fault_of_given(row, text);
        memcpy(*room, text.at, text.len);
        (*room)[text.len] = '\0';
        memcpy(member, room, sizeof *room);
        *room += text.len + 1;
        break;
    case KIND_WORD:
        fault = settings_find_word(row, text, &number) ? NULL : "it is not one of the choices";
        memcpy(member, &number, sizeof number);
        break;
    case KIND_NUMBER:
    case KIND_SECONDS:
    case KIND_BYTES:
        if (!settings_number(text, row->min, row->max, &number))
            fault = settings_is_number(text) ? "it is out of range" : "it is not a whole number";
        memcpy(member, &number, sizeof number);
        break;
    }
    return fault ? settings_refuse_value(row, text, fault) : OK;
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

/* What was chosen for each row. */
struct choice {
    const char *values[ROWS];
    enum settings_origin origins[ROWS];
};

static void settings_choose_environment(struct choice *choice)
{
    for (size_t i = 0; i < ROWS; i++) {
        const char *value = getenv(settings_rows[i].name);
        bool is_set = value && value[0]; /* an empty variable counts as absent */
        choice->values[i] = is_set ? value : settings_rows[i].preset;
        choice->origins[i] = is_set ? ORIGIN_ENVIRONMENT : ORIGIN_DEFAULT;
    }
}

/* The row whose flag `arg` is; *value: what stands after '=', or NULL. ROWS when there is none. */
static size_t settings_find_flag(const char *arg, const char **value)
{
    char flag[SETTINGS_FLAG_ROOM];
    for (size_t i = 0; i < ROWS; i++) {
        size_t len = strlen(settings_flag(&settings_rows[i], flag));
        if (len == 0 || strncmp(arg, flag, len) != 0 || (arg[len] && arg[len] != '='))
            continue;
        *value = arg[len] ? arg + len + 1 : NULL;
        return i;
    }
    return ROWS;
}

static struct err settings_choose_flags(int argc, char **argv, int *next, struct choice *choice)
{
    while (*next < argc) {
        const char *value = NULL;
        size_t at = settings_find_flag(argv[*next], &value);
        if (at == ROWS)
            break;
        if (!value && *next + 1 == argc) {
            char allowed[128];
            return refuse("%s: the flag %s needs a value (allowed: %s)", settings_rows[at].name, argv[*next],
                          settings_allowed(&settings_rows[at], allowed));
        }
        choice->values[at] = value ? value : argv[++*next];
        choice->origins[at] = ORIGIN_FLAG;
        ++*next;
    }
    return OK;
}

static struct err settings_check_ttl(const char *name, int64_t ttl_s, int64_t max_s)
{
    if (ttl_s <= max_s)
        return OK;
    return refuse("%s is \"%lld\": it is above %s_MAX (allowed: 1 to %lld seconds, or raise %s_MAX)", name,
                  (long long)ttl_s, name, (long long)max_s, name);
}

static bool settings_is_of_sentinels(const char *redis_url)
{
    return str_has_prefix(str_of(redis_url), STR("redis+")) || str_has_prefix(str_of(redis_url), STR("rediss+"));
}

/* What would be ignored is refused: somebody counts on it. */
static struct err settings_check_redis(const struct settings *settings)
{
    const bool is_tls = str_has_prefix(str_of(settings->redis_url), STR("rediss"));
    const bool is_set = settings->redis_url[0] && !secret_reference_is(str_of(settings->redis_url));
    if (is_set && !is_tls && settings->redis_ca_file[0])
        return refuse("REDIS_URL does not use TLS: REDIS_CA_FILE is set (allowed: rediss://, or no REDIS_CA_FILE)");
    if (is_set && !is_tls && settings->redis_cert_file[0])
        return refuse("REDIS_URL does not use TLS: REDIS_CERT_FILE is set (allowed: rediss://, or no REDIS_CERT_FILE)");
    if (!settings->redis_cert_file[0] != !settings->redis_key_file[0])
        return refuse("%s is missing: the other one is set (allowed: REDIS_CERT_FILE and REDIS_KEY_FILE, or none)",
                      settings->redis_cert_file[0] ? "REDIS_KEY_FILE" : "REDIS_CERT_FILE");
    if (settings->redis_sentinel_user[0] && !settings->redis_sentinel_password[0])
        return refuse("REDIS_SENTINEL_PASSWORD is missing: REDIS_SENTINEL_USER is set (allowed: both, or none)");
    if (is_set && settings->redis_sentinel_password[0] && !settings_is_of_sentinels(settings->redis_url))
        return refuse("REDIS_SENTINEL_PASSWORD is set: REDIS_URL names no Sentinels (allowed: redis[s]+sentinel://)");
    return OK;
}

static struct err settings_check_together(const struct settings *settings)
{
    TRY(settings_check_redis(settings));
    TRY(settings_check_ttl("TOKEN_ACCESS_TTL", settings->access_ttl_s, settings->access_ttl_max_s));
    TRY(settings_check_ttl("TOKEN_REFRESH_TTL", settings->refresh_ttl_s, settings->refresh_ttl_max_s));
    TRY(settings_check_ttl("TOKEN_ID_TTL", settings->id_ttl_s, settings->id_ttl_max_s));
    if (!settings->tls_cert[0] && settings->tls_key[0])
        return refuse("TOKEN_TLS_CERT is missing: TOKEN_TLS_KEY is set (allowed: both or none)");
    if (settings->kms_try_timeout_s > settings->kms_timeout_s)
        return refuse("TOKEN_KMS_TRY_TIMEOUT is \"%lld\": it is above TOKEN_KMS_TIMEOUT (allowed: 1 to %lld seconds)",
                      (long long)settings->kms_try_timeout_s, (long long)settings->kms_timeout_s);
    if (settings->tls_cert[0] && !settings->tls_key[0])
        return refuse("TOKEN_TLS_KEY is missing: TOKEN_TLS_CERT is set (allowed: both or none)");
    if (settings->supabase_url[0] && !settings->supabase_service_key[0] && !settings->database_url[0])
        return refuse("SUPABASE_SERVICE_KEY is missing: SUPABASE_URL is set (allowed: both, or only DATABASE_URL)");
    const char *fault = settings->supabase_url[0] ? settings_fault_of_supabase_url(str_of(settings->supabase_url))
                                                  : NULL;
    if (fault && !settings->supabase_http)
        return refuse("SUPABASE_URL is not usable: %s (allowed: an https URL; or set TOKEN_SUPABASE_HTTP=true, if the "
                      "network between them is your own)",
                      fault);
    if (settings->signer >= SIGNER_KMS && !settings->kms_key_id[0])
        return refuse("KMS_KEY_ID is missing: TOKEN_SIGNER is \"%s\" (allowed: a key of AWS KMS, or TOKEN_SIGNER "
                      "local)",
                      signers[settings->signer]);
    return OK;
}

static struct err settings_read_all(const struct choice *choice, struct settings *settings)
{
    char *room = settings->owned;
    for (size_t i = 0; i < ROWS; i++)
        TRY(settings_read_value(&settings_rows[i], str_of(choice->values[i]), settings, &room));
    return settings_check_together(settings);
}

struct err settings_read(int argc, char **argv, int *next, struct settings *out)
{
    struct choice choice = { 0 };
    size_t size = 0;
    int at = *next;
    settings_choose_environment(&choice);
    TRY(settings_choose_flags(argc, argv, &at, &choice));
    for (size_t i = 0; i < ROWS; i++)
        size += settings_is_text(&settings_rows[i]) ? strlen(choice.values[i]) + 1 : 0;
    struct settings settings = { .origins = mem_alloc(sizeof choice.origins), .owned = mem_alloc(size) };
    memcpy(settings.origins, choice.origins, sizeof choice.origins);
    settings.owned_size = size;
    memset(settings.owned, 0, size);
    struct err err = settings_read_all(&choice, &settings);
    if (err.code) {
        settings_release(&settings);
        return err;
    }
    *out = settings;
    *next = at;
    return OK;
}

bool settings_are_given(const struct settings *settings, const char *name)
{
    for (size_t i = 0; i < settings_rows_count; i++)
        if (strcmp(settings_rows[i].name, name) == 0)
            return settings->origins && settings->origins[i] != ORIGIN_DEFAULT;
    return false;
}

/* --- secrets by reference ---------------------------------------------------------------------------------------- */

static const char *settings_text_of(const struct settings *settings, const struct settings_row *row)
{
    const char *text;
    memcpy(&text, (const char *)settings + row->offset, sizeof text);
    return text;
}

static bool settings_is_reference(const struct settings *settings, const struct settings_row *row)
{
    return row->kind == KIND_SECRET && secret_reference_is(str_of(settings_text_of(settings, row)));
}

bool settings_have_references(const struct settings *settings)
{
    for (size_t i = 0; i < ROWS && !settings->has_fetched; i++)
        if (settings_is_reference(settings, &settings_rows[i]))
            return true;
    return false;
}

/* The value behind a reference; it may not be empty, which would count as if nothing had been set. */
static struct err settings_fetch_one(const struct settings *settings, const struct settings_row *row,
                                     settings_fetch *fetch, void *context, struct str *out)
{
    TRY(fetch(context, row->name, str_of(settings_text_of(settings, row)), out));
    const char *fault = out->len > 0 ? settings_fault_of_text(row, *out) : "it is empty where its ARN leads";
    return fault ? settings_refuse_value(row, *out, fault) : OK;
}

static struct err settings_place_secrets(struct settings *settings, const struct str values[ROWS])
{
    size_t size = 0;
    for (size_t i = 0; i < ROWS; i++)
        size += values[i].at ? values[i].len + 1 : 0;
    TRY(secret_init(&settings->fetched, size, NULL));
    char *room = settings->fetched.at;
    for (size_t i = 0; i < ROWS; i++) {
        if (!values[i].at)
            continue;
        memcpy(room, values[i].at, values[i].len); /* and a NUL, which is there */
        memcpy((char *)settings + settings_rows[i].offset, &room, sizeof room);
        room += values[i].len + 1;
    }
    return OK;
}

struct err settings_fetch_secrets(struct settings *settings, settings_fetch *fetch, void *context)
{
    struct str values[ROWS] = { { 0, 0 } };
    if (!settings_have_references(settings))
        return OK;
    for (size_t i = 0; i < ROWS; i++)
        if (settings_is_reference(settings, &settings_rows[i]))
            TRY(settings_fetch_one(settings, &settings_rows[i], fetch, context, &values[i]));
    TRY(settings_place_secrets(settings, values));
    settings->has_fetched = true;
    return settings_check_together(settings);
}

/* The texts hold passwords and keys. */
void settings_release(struct settings *settings)
{
    secret_release(&settings->fetched);
    if (settings->owned)
        mem_wipe(settings->owned, settings->owned_size);
    free(settings->owned);
    free(settings->origins);
    *settings = (struct settings){ 0 };
}
