/* tests/unit/test_settings.c: where a value comes from, what is refused and in which words, what is printed. */
#include "base/settings.h"
#include "jose/claims.h"
#include "jose/jwk.h"
#include "unit.h"
#include <unistd.h>

static struct settings settings;

static void forget_environment(void)
{
    char name[64];
    for (char **at = environ; *at;) {
        size_t len = strcspn(*at, "=");
        bool is_ours = (strncmp(*at, "TOKEN_", 6) == 0 || strncmp(*at, "AWS_", 4) == 0) && len < sizeof name;
        if (!is_ours) {
            at++;
            continue;
        }
        memcpy(name, *at, len);
        name[len] = '\0';
        unsetenv(name); /* moves the rest up */
    }
    unsetenv("LOGIN_URL");
    unsetenv("KMS_KEY_ID");
    unsetenv("DATABASE_URL");
    unsetenv("SUPABASE_URL");
    unsetenv("SUPABASE_SERVICE_KEY");
    unsetenv("REDIS_URL");
    unsetenv("EVENT_BUS_NAME");
}

static int begin(void **state)
{
    forget_environment();
    return arena_begin(state);
}

static int finish(void **state)
{
    settings_release(&settings);
    forget_environment();
    return arena_finish(state);
}

/* Reads with the flags given; the last is NULL. */
static struct err read_with(int *next, ...)
{
    char *argv[16] = { (char *)"serve" };
    int argc = 1;
    va_list args;
    va_start(args, next);
    for (char *one; argc < 16 && (one = va_arg(args, char *)); argc++)
        argv[argc] = one;
    va_end(args);
    settings_release(&settings);
    *next = 1;
    return settings_read(argc, argv, next, &settings);
}

static struct err read_environment(const char *name, const char *value)
{
    int next;
    setenv(name, value, 1);
    struct err err = read_with(&next, NULL);
    unsetenv(name);
    return err;
}

/* What settings_print_values says of a variable, without its origin. */
static const char *value_of(const char *name)
{
    char *text = NULL, *found = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    settings_print_values(&settings, out);
    fclose(out);
    struct str rest = { text, size }, line, prefix = arena_printf(&arena, "%s=", name);
    while (str_cut(&rest, '\n', &line))
        if (str_has_prefix(line, prefix)) {
            const char *end = memmem(line.at, line.len, "  # ", 4);
            found = (char *)arena_copy(&arena,
                                       (struct str){ line.at + prefix.len, (size_t)(end - line.at) - prefix.len })
                        .at;
        }
    free(text);
    assert_row(found != NULL, name);
    return found;
}

static struct str printed(void (*print)(FILE *))
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    print(out);
    fclose(out);
    struct str copy = arena_copy(&arena, (struct str){ text, size });
    free(text);
    return copy;
}

static bool has(struct str text, const char *part)
{
    return memmem(text.at, text.len, part, strlen(part)) != NULL;
}

/* --- where values come from -------------------------------------------------------------------------------------- */

static const struct {
    const char *name, *preset;
} presets[] = {
    { "TOKEN_LISTEN", "127.0.0.1:8080" },
    { "TOKEN_DATA_DIR", "data" },
    { "TOKEN_ISSUER", "https://auth.storytailor.ai" },
    { "TOKEN_AUDIENCE", "" },
    { "TOKEN_SIGNING_ALG", "RS256" },
    { "TOKEN_RECORDS", "all" },
    { "TOKEN_ACCESS_TTL", "3600" },
    { "TOKEN_ACCESS_TTL_MAX", "86400" },
    { "TOKEN_REFRESH_TTL", "2592000" },
    { "TOKEN_REFRESH_TTL_MAX", "31536000" },
    { "TOKEN_ID_TTL", "3600" },
    { "TOKEN_ID_TTL_MAX", "86400" },
    { "TOKEN_PRIVILEGED_CLAIMS", "" },
    { "TOKEN_CLOCK_SKEW", "30" },
    { "TOKEN_CLOCK_TOLERANCE_MAX", "300" },
    { "TOKEN_MAX_BYTES", "16384" },
    { "TOKEN_FAILURE_LIMIT", "10" },
    { "TOKEN_CLIENT_CACHE_TTL", "60" },
    { "TOKEN_CLIENT_STALENESS", "3600" },
    { "LOGIN_URL", "" },
    { "TOKEN_LOGIN", "off" },
    { "TOKEN_CODE_TTL", "60" },
    { "TOKEN_REFRESH_GRACE", "60" },
    { "TOKEN_REFRESH_IDLE", "0" },
    { "TOKEN_SESSION_TTL", "43200" },
    { "TOKEN_SESSION_IDLE", "7200" },
    { "TOKEN_SCOPES", "openid profile email address phone offline_access" },
    { "TOKEN_ACR_VALUES", "" },
    { "TOKEN_LOGIN_REQUEST_LIMIT", "300" },
    { "TOKEN_PAIRWISE_SALT", "" },
    { "TOKEN_USERS_FILE", "" },
    { "TOKEN_FETCH_ALLOW", "" },
    { "TOKEN_FETCH_CA_FILE", "" },
    { "TOKEN_REVOCATION_FEED", "on" },
    { "TOKEN_VERIFIED_CACHE", "1536" },
    { "TOKEN_JWKS_MAX_AGE", "300" },
    { "TOKEN_JWKS_STALE_WHILE_REVALIDATE", "60" },
    { "TOKEN_JWKS_STALE_IF_ERROR", "3600" },
    { "TOKEN_KEY_ROTATION", "7776000" },
    { "TOKEN_KEY_PENDING", "7200" },
    { "TOKEN_KEY_RETIRING", "0" },
    { "TOKEN_CORS_ORIGINS", "" },
    { "TOKEN_TRUSTED_PROXIES", "" },
    { "TOKEN_PATH_PREFIX", "" },
    { "TOKEN_LOOPS", "0" },
    { "TOKEN_WORKERS", "0" },
    { "TOKEN_QUEUE", "1024" },
    { "TOKEN_QUEUE_WAIT_MS", "50" },
    { "TOKEN_BODY_MAX", "65536" },
    { "TOKEN_HEADER_MAX", "8192" },
    { "TOKEN_CONNECTIONS", "4096" },
    { "TOKEN_REQUEST_MEMORY", "201326592" },
    { "TOKEN_IDLE_TIMEOUT", "60" },
    { "TOKEN_REQUEST_TIMEOUT", "10" },
    { "TOKEN_DRAIN_TIMEOUT", "20" },
    { "TOKEN_TLS_CERT", "" },
    { "TOKEN_TLS_KEY", "" },
    { "TOKEN_METRICS", "loopback" },
    { "TOKEN_LOG_LEVEL", "info" },
    { "TOKEN_LOG_FORMAT", "auto" },
    { "TOKEN_EMF", "auto" },
    { "TOKEN_EMF_INTERVAL", "60" },
    { "TOKEN_EMF_SERVICE", "token-service" },
    { "TOKEN_PURGE_INTERVAL", "60" },
    { "TOKEN_USAGE_INTERVAL", "5" },
    { "KMS_KEY_ID", "" },
    { "TOKEN_SIGNER", "auto" },
    { "AWS_REGION", "" },
    { "AWS_ENDPOINT_URL", "" },
    { "AWS_ENDPOINT_URL_KMS", "" },
    { "AWS_ENDPOINT_URL_EVENTBRIDGE", "" },
    { "AWS_ENDPOINT_URL_SECRETS_MANAGER", "" },
    { "AWS_ENDPOINT_URL_SSM", "" },
    { "AWS_USE_FIPS_ENDPOINT", "false" },
    { "AWS_CA_BUNDLE", "" },
    { "TOKEN_KMS_RATE", "900" },
    { "TOKEN_KMS_TIMEOUT", "5" },
    { "TOKEN_KMS_TRY_TIMEOUT", "2" },
    { "EVENT_BUS_NAME", "" },
    { "REDIS_URL", "" },
    { "REDIS_CA_FILE", "" },
    { "REDIS_CERT_FILE", "" },
    { "REDIS_KEY_FILE", "" },
    { "REDIS_SENTINEL_USER", "" },
    { "REDIS_SENTINEL_PASSWORD", "" },
    { "TOKEN_REDIS_TIMEOUT", "1" },
    { "TOKEN_REVOCATION_POLICY", "strict" },
    { "TOKEN_REVOCATION_STALENESS", "60" },
    { "DATABASE_URL", "" },
    { "SUPABASE_URL", "" },
    { "SUPABASE_SERVICE_KEY", "" },
    { "TOKEN_SUPABASE_HTTP", "false" },
    { "TOKEN_DATABASE_CONNECTIONS", "8" },
    { "TOKEN_STORE_TIMEOUT", "5" },
};

static void without_environment_and_flags_the_defaults_are_in_force(void **state)
{
    int next;
    assert_ok(read_with(&next, NULL));
    assert_int_equal(next, 1);
    for (size_t i = 0; i < COUNT(presets); i++) {
        if (strcmp(value_of(presets[i].name), presets[i].preset) != 0)
            print_error("%s\n", presets[i].name);
        assert_string_equal(value_of(presets[i].name), presets[i].preset);
    }
    assert_string_equal(settings.listen, "127.0.0.1:8080");
    assert_string_equal(settings.issuer, "https://auth.storytailor.ai");
    assert_string_equal(settings.tls_cert, "");
    assert_int_equal(settings.access_ttl_s, 3600);
    assert_int_equal(settings.refresh_ttl_s, 2592000);
    assert_int_equal(settings.id_ttl_s, 3600);
    assert_int_equal(settings.body_max_bytes, 65536);
    assert_int_equal(settings.failure_limit, 10);
    (void)state;
}

static void a_flag_wins_over_the_environment_and_that_over_the_default(void **state)
{
    int next;
    setenv("TOKEN_ISSUER", "https://environment.example", 1);
    setenv("TOKEN_QUEUE", "7", 1);
    assert_ok(read_with(&next, "--issuer", "https://flag.example", "--data-dir=/srv/tokens", NULL));
    assert_int_equal(next, 4);
    assert_string_equal(settings.issuer, "https://flag.example");
    assert_string_equal(settings.data_dir, "/srv/tokens");
    assert_int_equal(settings.queue, 7);
    (void)state;
}

static void an_empty_variable_is_absent_but_an_empty_flag_is_empty(void **state)
{
    int next;
    setenv("TOKEN_QUEUE", "", 1);
    setenv("TOKEN_AUDIENCE", "from-the-environment", 1);
    assert_ok(read_with(&next, "--audience=", NULL));
    assert_int_equal(settings.queue, 1024);
    assert_string_equal(settings.audience, "");
    assert_code(read_with(&next, "--queue=", NULL), ERR_INVALID_REQUEST, "--queue=");
    assert_code(read_with(&next, "--issuer", "", NULL), ERR_INVALID_REQUEST, "--issuer ''");
    (void)state;
}

static void reading_stops_at_the_first_argument_that_is_no_settings_flag(void **state)
{
    static const char *const strangers[] = { "--listening", "--liste",        "-listen", "listen", "--LISTEN",
                                             "--data_dir",  "--token-listen", "--",      "",       "--listen:1" };
    for (size_t i = 0; i < COUNT(strangers); i++) {
        int next;
        assert_code(read_with(&next, "--queue", "5", strangers[i], "--queue", "6", NULL), ERR_OK, strangers[i]);
        assert_int_equal(next, 3);
        assert_int_equal(settings.queue, 5);
    }
    (void)state;
}

static void the_last_of_two_equal_flags_wins(void **state)
{
    int next;
    assert_ok(read_with(&next, "--queue=5", "--queue", "6", NULL));
    assert_int_equal(settings.queue, 6);
    (void)state;
}

static void a_flag_at_the_end_needs_its_value(void **state)
{
    int next;
    struct err err = read_with(&next, "--queue=5", "--listen", NULL);
    assert_code(err, ERR_INVALID_REQUEST, "--listen");
    assert_true(has(str_of(err.why), "TOKEN_LISTEN") && has(str_of(err.why), "--listen"));
    (void)state;
}

static void a_failure_leaves_everything_as_it_was(void **state)
{
    char *argv[] = { (char *)"serve", (char *)"--queue=5", (char *)"--loops=x" };
    struct settings untouched = { .queue = 77 };
    int next = 1;
    assert_code(settings_read(3, argv, &next, &untouched), ERR_INVALID_REQUEST, "--loops=x");
    assert_int_equal(next, 1);
    assert_int_equal(untouched.queue, 77);
    assert_null(untouched.owned);
    (void)state;
}

/* --- what is refused, and its neighbours that are not ------------------------------------------------------------ */

static const struct {
    const char *name, *value;
} good[] = {
    { "TOKEN_QUEUE", "1" },
    { "TOKEN_QUEUE", "65536" },
    { "TOKEN_QUEUE_WAIT_MS", "1" },
    { "TOKEN_QUEUE_WAIT_MS", "60000" },
    { "TOKEN_LOOPS", "0" },
    { "TOKEN_LOOPS", "64" },
    { "TOKEN_FAILURE_LIMIT", "0" },
    { "TOKEN_LISTEN", ":0" },
    { "TOKEN_LISTEN", ":65535" },
    { "TOKEN_LISTEN", "[::]:80" },
    { "TOKEN_LISTEN", "[::1]:8080" },
    { "TOKEN_LISTEN", "localhost:80" },
    { "TOKEN_LISTEN", "[fe80::1%eth0]:80" },
    { "TOKEN_ISSUER", "https://a.example" },
    { "TOKEN_ISSUER", "http://127.0.0.1:8080" },
    { "TOKEN_ISSUER", "https://a.example/tenant/1" },
    { "TOKEN_ISSUER", "https://[::1]:8443/x" },
    { "TOKEN_AUDIENCE", "one" },
    { "TOKEN_AUDIENCE", "one, two" },
    { "TOKEN_AUDIENCE", "https://api.example" },
    { "TOKEN_AUDIENCE", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15" },
    { "TOKEN_CORS_ORIGINS", "*" },
    { "AWS_REGION", "eu-west-1" },
    { "AWS_REGION", "us-gov-east-1" },
    { "AWS_ENDPOINT_URL", "http://127.0.0.1:4566" },
    { "AWS_ENDPOINT_URL_KMS", "https://vpce-1.kms.eu-west-1.vpce.amazonaws.com/base" },
    { "AWS_USE_FIPS_ENDPOINT", "true" },
    { "AWS_ENDPOINT_URL_EVENTBRIDGE", "http://127.0.0.1:4566" },
    { "AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:4566" },
    { "AWS_ENDPOINT_URL_SSM", "https://ssm.eu-west-1.amazonaws.com" },
    { "EVENT_BUS_NAME", "default" },
    { "EVENT_BUS_NAME", "story/tokens.v1_a-b" },
    { "EVENT_BUS_NAME", "arn:aws:events:eu-west-1:111122223333:event-bus/story" },
    { "TOKEN_KMS_RATE", "1000000" },
    { "TOKEN_CORS_ORIGINS", "https://a.example, http://localhost:3000" },
    { "TOKEN_CORS_ORIGINS", "capacitor://localhost" },
    { "TOKEN_CORS_ORIGINS", "https://a.example:80" },
    { "TOKEN_CORS_ORIGINS", "https://[::1]:8443" },
    { "TOKEN_TRUSTED_PROXIES", "10.0.0.0/8, 2001:db8::/32,127.0.0.1" },
    { "TOKEN_PATH_PREFIX", "/prod" },
    { "TOKEN_PATH_PREFIX", "/auth/v1.2/$default" },
    { "TOKEN_PRIVILEGED_CLAIMS", "tier,permissions" },
    { "TOKEN_DATA_DIR", "/srv/t\xc3\xb6ken s" },
    { "TOKEN_SIGNING_ALG", "EdDSA" },
    { "TOKEN_RECORDS", "grants" },
    { "TOKEN_METRICS", "off" },
    { "TOKEN_LOG_LEVEL", "debug" },
    { "TOKEN_LOG_FORMAT", "text" },
    { "TOKEN_EMF", "on" },
    { "TOKEN_EMF_INTERVAL", "3600" },
    { "TOKEN_EMF_SERVICE", "stories-Prod_1.eu:a/b" },
    { "TOKEN_ACCESS_TTL", "86400" },
    { "TOKEN_ACCESS_TTL_MAX", "3600" },
};

static const struct {
    const char *name, *value, *says;
} bad[] = {
    { "TOKEN_QUEUE_WAIT_MS", "0", "out of range (allowed: 1 to 60000)" },
    { "TOKEN_QUEUE_WAIT_MS", "60001", "out of range (allowed: 1 to 60000)" },
    { "TOKEN_QUEUE", "0", "out of range (allowed: 1 to 65536)" },
    { "TOKEN_QUEUE", "65537", "out of range (allowed: 1 to 65536)" },
    { "TOKEN_QUEUE", "-1", "not a whole number" },
    { "TOKEN_QUEUE", "+1", "not a whole number" },
    { "TOKEN_QUEUE", " 1", "not a whole number" },
    { "TOKEN_QUEUE", "1 ", "not a whole number" },
    { "TOKEN_QUEUE", "1k", "not a whole number" },
    { "TOKEN_QUEUE", "0x10", "not a whole number" },
    { "TOKEN_QUEUE", "010", "not a whole number" },
    { "TOKEN_QUEUE", "1.0", "not a whole number" },
    { "TOKEN_QUEUE", "1e3", "not a whole number" },
    { "TOKEN_QUEUE", "many", "not a whole number" },
    { "TOKEN_QUEUE", "18446744073709551617", "out of range" }, /* 1 modulo 2^64 */
    { "TOKEN_QUEUE", "999999999999999999999999999999", "out of range" },
    { "TOKEN_QUEUE", "\xd9\xa1", "not a whole number" }, /* an Arabic-Indic one */
    { "TOKEN_KEY_ROTATION", "90d", "not a whole number" },
    { "TOKEN_KEY_PENDING", "2592001", "out of range (allowed: 0 to 2592000 seconds)" },
    { "TOKEN_LOOPS", "65", "out of range (allowed: 0 to 64)" },
    { "TOKEN_CLIENT_CACHE_TTL", "2", "out of range (allowed: 3 to 3600 seconds)" },
    { "TOKEN_BODY_MAX", "1023", "out of range (allowed: 1024 to 16777216 bytes)" },
    { "TOKEN_LISTEN", "8080", "no port" },
    { "TOKEN_LISTEN", "localhost", "no port" },
    { "TOKEN_LISTEN", "localhost:", "port" },
    { "TOKEN_LISTEN", "[::1]", "no port" },
    { "TOKEN_LISTEN", "::1:8080", "host" },
    { "TOKEN_LISTEN", "[]:8080", "host" },
    { "TOKEN_LISTEN", "[localhost]:8080", "host" },
    { "TOKEN_LISTEN", "a b:80", "host" },
    { "TOKEN_LISTEN", "http://a:80", "host" },
    { "TOKEN_LISTEN", "a:65536", "port" },
    { "TOKEN_LISTEN", "a:-1", "port" },
    { "TOKEN_LISTEN", "a:080", "port" },
    { "TOKEN_LISTEN", "a:http", "port" },
    { "TOKEN_LISTEN", "a:80 ", "port" },
    { "TOKEN_ISSUER", "auth.example", "https://" },
    { "TOKEN_ISSUER", "HTTPS://a.example", "https://" },
    { "TOKEN_ISSUER", "ftp://a.example", "https://" },
    { "TOKEN_ISSUER", " https://a.example", "https://" },
    { "TOKEN_ISSUER", "https://a.example ", "characters that are not allowed in a URL" },
    { "TOKEN_ISSUER", "https://a.example/\xc3\xbc", "characters that are not allowed in a URL" },
    { "TOKEN_ISSUER", "https://a.example/\"", "characters that are not allowed in a URL" },
    { "TOKEN_ISSUER", "https://a.example?", "query or a fragment" },
    { "TOKEN_ISSUER", "https://a.example/x?y=1", "query or a fragment" },
    { "TOKEN_ISSUER", "https://a.example#", "query or a fragment" },
    { "TOKEN_ISSUER", "https://", "host" },
    { "TOKEN_ISSUER", "https:///x", "host" },
    { "TOKEN_ISSUER", "https://:443", "host" },
    { "TOKEN_ISSUER", "https://user@a.example", "user" },
    { "TOKEN_ISSUER", "https://a.example:0", "port" },
    { "TOKEN_ISSUER", "https://a.example:", "port" },
    { "TOKEN_AUDIENCE", ",", "empty" },
    { "TOKEN_AUDIENCE", "a,", "empty" },
    { "TOKEN_AUDIENCE", ",a", "empty" },
    { "TOKEN_AUDIENCE", "a,,b", "empty" },
    { "TOKEN_AUDIENCE", "a, ,b", "empty" },
    { "TOKEN_AUDIENCE", " ", "empty" },
    { "TOKEN_AUDIENCE", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16", "too long" },
    { "TOKEN_PRIVILEGED_CLAIMS", "tier,,x", "empty" },
    { "TOKEN_CORS_ORIGINS", "https://a.example/", "path" },
    { "AWS_REGION", "eu-west-1.example", "characters" },
    { "AWS_REGION", "EU-WEST-1", "characters" },
    { "AWS_REGION", "eu/west", "characters" },
    { "AWS_REGION", "-", "hyphen" },
    { "AWS_ENDPOINT_URL", "127.0.0.1:4566", "https://" },
    { "AWS_ENDPOINT_URL", "http://user:secret@host", "password" },
    { "AWS_ENDPOINT_URL_KMS", "https://host/?x", "query" },
    { "AWS_USE_FIPS_ENDPOINT", "yes", "not one of the choices" },
    { "EVENT_BUS_NAME", "two words", "characters" },
    { "EVENT_BUS_NAME", "a:b", "characters" },
    { "EVENT_BUS_NAME", "arn:aws:sqs:eu-west-1:111122223333:story", "not of an event bus" },
    { "TOKEN_KMS_RATE", "0", "range" },
    { "TOKEN_KMS_TRY_TIMEOUT", "6", "above TOKEN_KMS_TIMEOUT" },
    { "TOKEN_CORS_ORIGINS", "https://a.example,https://b.example/x", "path" },
    { "TOKEN_CORS_ORIGINS", "a.example", "scheme" },
    { "TOKEN_CORS_ORIGINS", "null", "scheme" },
    { "TOKEN_CORS_ORIGINS", "://a.example", "scheme" },
    { "TOKEN_CORS_ORIGINS", "1x://a.example", "scheme" },
    { "TOKEN_CORS_ORIGINS", "https://", "host" },
    { "TOKEN_CORS_ORIGINS", "https://*.example", "host" },
    { "TOKEN_CORS_ORIGINS", "https://A.example", "lower case" },
    { "TOKEN_CORS_ORIGINS", "https://a.example:443", "default port" },
    { "TOKEN_CORS_ORIGINS", "http://a.example:80", "default port" },
    { "TOKEN_CORS_ORIGINS", "https://a.example:99999", "port" },
    { "TOKEN_CORS_ORIGINS", "*,", "empty" },
    { "TOKEN_TRUSTED_PROXIES", "10.0.0.0/8,", "empty" },
    { "TOKEN_TRUSTED_PROXIES", "10.0.0.1/8", "bits" },
    { "TOKEN_TRUSTED_PROXIES", "10.0.0.0/33", "prefix length" },
    { "TOKEN_TRUSTED_PROXIES", "proxy.example", "address" },
    { "TOKEN_TRUSTED_PROXIES", "*", "address" },
    { "TOKEN_PAIRWISE_SALT", "0123456789abcdef0123456789abcde", "shorter than 32 bytes" },
    { "TOKEN_PATH_PREFIX", "prod", "slash" },
    { "TOKEN_PATH_PREFIX", "/", "slash" },
    { "TOKEN_PATH_PREFIX", "/prod/", "slash" },
    { "TOKEN_PATH_PREFIX", "/a//b", "segment" },
    { "TOKEN_PATH_PREFIX", "/a/../b", "segment" },
    { "TOKEN_PATH_PREFIX", "/a%20b", "characters" },
    { "TOKEN_PATH_PREFIX", "/a?b", "characters" },
    { "TOKEN_SIGNING_ALG", "none", "(allowed: RS256, PS256, ES256, EdDSA)" },
    { "TOKEN_SIGNING_ALG", "rs256", "not one of the choices" },
    { "TOKEN_SIGNING_ALG", "HS256", "not one of the choices" },
    { "TOKEN_SIGNING_ALG", "RS256 ", "not one of the choices" },
    { "TOKEN_RECORDS", "none", "(allowed: all, grants)" },
    { "TOKEN_METRICS", "on", "(allowed: loopback, any, off)" },
    { "TOKEN_LOG_LEVEL", "warning", "(allowed: error, warn, info, debug)" },
    { "TOKEN_LOG_FORMAT", "xml", "(allowed: auto, json, text)" },
    { "TOKEN_EMF", "yes", "(allowed: auto, on, off)" },
    { "TOKEN_EMF_SERVICE", "a b", "it has other characters" },
    { "TOKEN_EMF_SERVICE", "a\"b", "it has other characters" },
    { "TOKEN_EMF_SERVICE", "a\\b", "it has other characters" },
    { "TOKEN_EMF_SERVICE", "\xc3\xa4", "it has other characters" },
    { "TOKEN_EMF_SERVICE", ":a", "it begins with a colon" },
    { "TOKEN_DATA_DIR", "a\nb", "control characters" },
    { "TOKEN_DATA_DIR", "a\x7f", "control characters" },
    { "TOKEN_DATA_DIR", "\xc2\x9b", "control characters" },
    { "TOKEN_DATA_DIR", "\xff", "not UTF-8" },
    { "TOKEN_DATA_DIR", "\xc0\xaf", "not UTF-8" },
    { "TOKEN_ACCESS_TTL", "86401", "above TOKEN_ACCESS_TTL_MAX" },
    { "TOKEN_ACCESS_TTL_MAX", "3599", "above TOKEN_ACCESS_TTL_MAX" },
    { "TOKEN_REFRESH_TTL", "31536001", "above TOKEN_REFRESH_TTL_MAX" },
    { "TOKEN_ID_TTL", "86401", "above TOKEN_ID_TTL_MAX" },
    { "TOKEN_TLS_CERT", "cert.pem", "both or none" },
    { "TOKEN_TLS_KEY", "key.pem", "both or none" },
};

static void what_is_allowed_is_taken_as_it_stands(void **state)
{
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_code(read_environment(good[i].name, good[i].value), ERR_OK, good[i].value);
        assert_string_equal(value_of(good[i].name), good[i].value);
    }
    (void)state;
}

static void a_bad_value_is_refused_in_one_sentence_that_names_its_variable(void **state)
{
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct err err = read_environment(bad[i].name, bad[i].value);
        const char *row = arena_printf(&arena, "%s=%s: %s", bad[i].name, bad[i].value, err.why ? err.why : "-").at;
        bool is_maximum = strstr(bad[i].name, "_MAX") && strstr(bad[i].says, "above"); /* the other one is blamed */
        assert_code(err, ERR_INVALID_REQUEST, row);
        assert_row(is_maximum || strncmp(bad[i].says, "both", 4) == 0 ||
                       str_has_prefix(str_of(err.why), arena_printf(&arena, "%s is ", bad[i].name)),
                   row);
        assert_row(has(str_of(err.why), bad[i].name), row);
        assert_row(has(str_of(err.why), bad[i].says), row);
        assert_row(has(str_of(err.why), "(allowed: "), row);
        assert_row(utf8_valid(str_of(err.why)) && !strpbrk(err.why, "\n\x1b\x7f"), row);
    }
    (void)state;
}

static void a_value_that_is_long_or_odd_is_not_repeated(void **state)
{
    char value[8192];
    memset(value, 'z', sizeof value);
    value[sizeof value - 1] = '\0';
    struct err err = read_environment("TOKEN_DATA_DIR", value);
    assert_code(err, ERR_INVALID_REQUEST, "8191 bytes");
    assert_true(has(str_of(err.why), "TOKEN_DATA_DIR") && has(str_of(err.why), "too long"));
    assert_false(has(str_of(err.why), "zz"));
    value[3072] = '\0';
    assert_ok(read_environment("TOKEN_DATA_DIR", value));
    value[100] = '\0';
    assert_false(has(str_of(read_environment("TOKEN_QUEUE", value).why), "zz"));
    (void)state;
}

static void certificate_and_key_together_are_taken(void **state)
{
    int next;
    assert_ok(read_with(&next, "--tls-cert", "c.pem", "--tls-key", "k.pem", NULL));
    assert_string_equal(settings.tls_cert, "c.pem");
    assert_string_equal(settings.tls_key, "k.pem");
    (void)state;
}

/* base knows nothing of jose, so two facts are written in both. */
static void the_table_agrees_with_jose(void **state)
{
    static const enum jwa algorithms[] = { JWA_RS256, JWA_PS256, JWA_ES256, JWA_EDDSA };
    for (size_t i = 0; i < COUNT(algorithms); i++) {
        assert_ok(read_environment("TOKEN_SIGNING_ALG", jwa_name(algorithms[i])));
        assert_int_equal(settings.signing_alg, algorithms[i]);
    }
    assert_int_equal(SETTINGS_AUDIENCE_MAX, CLAIMS_AUD_MAX - 1);
    assert_ok(read_environment("TOKEN_METRICS", "any"));
    assert_int_equal(settings.metrics, METRICS_ANY);
    assert_ok(read_environment("TOKEN_RECORDS", "grants"));
    assert_int_equal(settings.records, RECORDS_GRANTS);
    assert_ok(read_environment("TOKEN_LOG_LEVEL", "error"));
    assert_int_equal(settings.log_level, LOG_ERROR);
    assert_ok(read_environment("TOKEN_LOG_FORMAT", "json"));
    assert_int_equal(settings.log_format, LOG_JSON);
    (void)state;
}

/* --- variables that nobody reads --------------------------------------------------------------------------------- */

static struct str told;

static void note_unknown(struct str name, const char *meant)
{
    told = arena_printf(&arena, "%.*s%.*s:%s;", (int)told.len, told.at, (int)name.len, name.at, meant);
}

static void a_misspelt_variable_is_named_with_what_was_meant(void **state)
{
    static const struct {
        const char *name, *says;
    } rows[] = {
        { "TOKEN_LISTNE", "TOKEN_LISTEN" },
        { "TOKEN_ISUER", "TOKEN_ISSUER" },
        { "TOKEN_DATADIR", "TOKEN_DATA_DIR" },
        { "TOKEN_Queue", "" },
        { "TOKEN_SOMETHING_ELSE", "" },
        { "TOKEN_", "" },
        { "TOKEN_\x1b[31m", "" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        setenv(rows[i].name, "hunter2", 1);
        told = STR("");
        settings_tell_unknown(note_unknown);
        unsetenv(rows[i].name);
        assert_str(told, arena_printf(&arena, "%s:%s;", rows[i].name, rows[i].says).at);
    }
    (void)state;
}

static void settings_and_strangers_are_not_warned_of(void **state)
{
    setenv("TOKENIZER", "x", 1);
    setenv("MY_TOKEN_LISTNE", "x", 1);
    setenv("TOKEN_LISTNE", "", 1); /* empty counts as absent here too */
    for (size_t i = 0; i < COUNT(presets); i++)
        setenv(presets[i].name, "x", 1);
    told = STR("");
    settings_tell_unknown(note_unknown);
    assert_str(told, "");
    (void)state;
}

/* --- printing ---------------------------------------------------------------------------------------------------- */

static struct str flag_of(const char *name)
{
    struct str flag = arena_printf(&arena, "--%s", name + (strncmp(name, "TOKEN_", 6) == 0 ? 6 : 0));
    for (char *at = (char *)flag.at; *at; at++)
        *at = *at == '_' ? '-' : *at >= 'A' && *at <= 'Z' ? (char)(*at + 32) : *at;
    return flag;
}

static bool is_secret(const char *name)
{
    static const char *const names[] = { "DATABASE_URL", "SUPABASE_SERVICE_KEY", "REDIS_URL", "REDIS_SENTINEL_PASSWORD",
                                         "TOKEN_PAIRWISE_SALT" };
    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static void help_shows_every_flag_in_at_most_100_columns(void **state)
{
    struct str text = printed(settings_print_help), rest = text, line;
    for (size_t i = 0; i < COUNT(presets); i++)
        assert_row(has(text, arena_printf(&arena, "\n  %s  ",
                                          is_secret(presets[i].name) ? presets[i].name : flag_of(presets[i].name).at)
                                 .at),
                   presets[i].name);
    while (str_cut(&rest, '\n', &line)) {
        const char *row = arena_copy(&arena, line).at;
        assert_row(line.len <= 100, row);
        assert_row(line.len == 0 || line.at[line.len - 1] != ' ', row);
    }
    assert_int_equal(rest.len, 0);
    (void)state;
}

static void markdown_has_a_row_of_five_cells_for_each_setting(void **state)
{
    struct str rest = printed(settings_print_markdown), line;
    size_t rows = 0;
    while (str_cut(&rest, '\n', &line)) {
        size_t bars = 0;
        if (!str_has_prefix(line, STR("| `")))
            continue;
        for (size_t i = 0; i < line.len; i++)
            bars += line.at[i] == '|' && line.at[i - (i > 0)] != '\\';
        assert_row(bars == 6, arena_copy(&arena, line).at);
        rows++;
    }
    assert_int_equal(rows, COUNT(presets));
    (void)state;
}

static void the_man_page_names_every_variable_and_knows_only_its_own_requests(void **state)
{
    static const char *const requests[] = { ".SS ", ".TP", ".BI ", ".B ", ".br" };
    struct str text = printed(settings_print_man), rest = text, line;
    for (size_t i = 0; i < COUNT(presets); i++)
        assert_row(has(text, presets[i].name), presets[i].name);
    while (str_cut(&rest, '\n', &line)) {
        bool known = line.len > 0 && line.at[0] != '.' && line.at[0] != '\'';
        for (size_t i = 0; i < COUNT(requests); i++)
            known = known || str_has_prefix(line, str_of(requests[i]));
        assert_row(known, arena_copy(&arena, line).at);
    }
    (void)state;
}

static void roff_never_reads_a_text_as_its_own(void **state)
{
    static const char *const rows[][2] = {
        { "plain", "plain" }, { ".TH", "\\&.TH" }, { "'br", "\\&'br" }, { "a\\fB", "a\\efB" },
        { "--x", "\\-\\-x" }, { "a.b", "a.b" },    { "", "" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[64] = "";
        FILE *out = fmemopen(text, sizeof text, "w");
        roff_print(out, rows[i][0]);
        fclose(out);
        assert_string_equal(text, rows[i][1]);
    }
    (void)state;
}

static void values_are_printed_a_line_each_with_their_origin(void **state)
{
    char *text = NULL;
    size_t size = 0, lines = 0;
    int next;
    setenv("TOKEN_QUEUE", "7", 1);
    setenv("TOKEN_LOG_LEVEL", "warn", 1);
    assert_ok(read_with(&next, "--signing-alg", "ES256", "--log-level=debug", NULL));
    FILE *out = open_memstream(&text, &size);
    settings_print_values(&settings, out);
    fclose(out);
    struct str all = arena_copy(&arena, (struct str){ text, size });
    free(text);
    for (size_t i = 0; i < all.len; i++)
        lines += all.at[i] == '\n';
    assert_int_equal(lines, COUNT(presets));
    assert_true(has(all, "\nTOKEN_QUEUE=7  # environment\n"));
    assert_true(has(all, "\nTOKEN_SIGNING_ALG=ES256  # flag\n"));
    assert_true(has(all, "\nTOKEN_LOG_LEVEL=debug  # flag\n"));
    assert_true(has(all, "\nTOKEN_RECORDS=all  # default\n"));
    (void)state;
}

/* REDIS_URL holds a password. */
static void a_secret_is_shown_nowhere(void **state)
{
    static const char *const urls[] = { "redis://user:hunter2@host:x", "http://user:hunter2@host", "hunter2" };
    for (size_t i = 0; i < COUNT(urls); i++) {
        struct err err = read_environment("REDIS_URL", urls[i]);
        assert_code(err, ERR_INVALID_REQUEST, urls[i]);
        assert_row(strstr(err.why, "REDIS_URL") && !strstr(err.why, "hunter2"), err.why);
    }
    assert_ok(read_environment("REDIS_URL", "redis://user:hunter2@host"));
    assert_string_equal(settings.redis_url, "redis://user:hunter2@host");
    assert_string_equal(value_of("REDIS_URL"), "(set, not shown)");
    (void)state;
}

/* What is read at the start: the reference is no secret, and a wrong one is refused before anything is asked. */
static void a_reference_to_a_secret_is_shown_and_checked(void **state)
{
    (void)state;
    assert_ok(read_environment("DATABASE_URL", "arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbCdEf:url::"));
    assert_true(settings_have_references(&settings));
    assert_string_equal(value_of("DATABASE_URL"),
                        "(read at arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbCdEf:url::)");
    struct err err = read_environment("DATABASE_URL", "arn:aws:secretsmanager:eu-west-1:111122223333:db");
    assert_code(err, ERR_INVALID_REQUEST, "not of a secret");
    assert_row(strstr(err.why, "DATABASE_URL is not usable: it is an ARN of Secrets Manager, but not of a secret"),
               err.why);
    assert_ok(read_environment("REDIS_URL", "arn:aws:ssm:eu-west-1:111122223333:parameter/redis"));
    assert_ok(read_environment("DATABASE_URL", "postgresql://arn:x@host/arn:aws"));
    assert_false(settings_have_references(&settings));
}

/* Not in what is printed, not in an error, not on a command line that every user of the machine can read. */
static void a_secret_is_never_shown(void **state)
{
    static const char *const names[] = { "DATABASE_URL", "SUPABASE_SERVICE_KEY", "TOKEN_PAIRWISE_SALT" };
    char long_one[5000];
    int next;
    (void)state;
    memset(long_one, 'x', sizeof long_one - 1);
    long_one[sizeof long_one - 1] = '\0';
    for (size_t i = 0; i < COUNT(names); i++) {
        setenv(names[i], "postgresql://u:hunter2@host.example/data", 1);
        assert_ok(read_with(&next, NULL));
        assert_string_equal(value_of(names[i]), "(set, not shown)");
        setenv(names[i], "hunter2\x01", 1);
        struct err err = read_with(&next, NULL);
        assert_code(err, ERR_INVALID_REQUEST, names[i]);
        assert_non_null(strstr(err.why, names[i]));
        assert_null(strstr(err.why, "hunter2"));
        setenv(names[i], long_one, 1);
        err = read_with(&next, NULL);
        assert_code(err, ERR_INVALID_REQUEST, names[i]);
        assert_null(strstr(err.why, "xxx"));
        unsetenv(names[i]);
        assert_ok(read_with(&next, flag_of(names[i]).at, "hunter2", NULL));
        assert_int_equal(next, 1); /* no such flag */
    }
}

static void a_salt_has_32_bytes_at_least(void **state)
{
    (void)state;
    assert_ok(read_environment("TOKEN_PAIRWISE_SALT", "0123456789abcdef0123456789abcdef"));
    assert_string_equal(settings.pairwise_salt, "0123456789abcdef0123456789abcdef");
    assert_ok(read_environment("TOKEN_PAIRWISE_SALT", ""));
    assert_string_equal(settings.pairwise_salt, "");
}

static void a_service_key_goes_to_no_stranger_in_clear(void **state)
{
    static const char *const near[] = { "https://x.supabase.co", "https://x.supabase.co/", "http://127.0.0.1:54321",
                                        "http://localhost", "http://[::1]:1/path" };
    static const char *const far[] = { "http://x.supabase.co",
                                       "http://127.0.0.1.example",
                                       "http://localhost.example",
                                       "http://127.0.0.1@example",
                                       "ftp://localhost",
                                       "x",
                                       "https://x?y=1" };
    (void)state;
    setenv("SUPABASE_SERVICE_KEY", "sb_secret_x", 1);
    for (size_t i = 0; i < COUNT(near); i++)
        assert_code(read_environment("SUPABASE_URL", near[i]), ERR_OK, near[i]);
    for (size_t i = 0; i < COUNT(far); i++)
        assert_code(read_environment("SUPABASE_URL", far[i]), ERR_INVALID_REQUEST, far[i]);
    struct err err = read_environment("SUPABASE_URL", "http://kong:8000");
    assert_code(err, ERR_INVALID_REQUEST, "another machine");
    assert_non_null(strstr(err.why, "TOKEN_SUPABASE_HTTP"));
    setenv("TOKEN_SUPABASE_HTTP", "true", 1); /* a network of one's own */
    assert_code(read_environment("SUPABASE_URL", "http://kong:8000"), ERR_OK, "allowed");
    assert_code(read_environment("SUPABASE_URL", "ftp://kong:8000"), ERR_INVALID_REQUEST, "no HTTP at all");
    err = read_environment("SUPABASE_URL", "https://ada:password@kong");
    assert_string_equal(err.why, "SUPABASE_URL is not usable: it has a user or a password before an @ (allowed: an "
                                 "https URL without query and fragment)");
    unsetenv("TOKEN_SUPABASE_HTTP");
    unsetenv("SUPABASE_SERVICE_KEY");
    err = read_environment("SUPABASE_URL", "https://x.supabase.co");
    assert_code(err, ERR_INVALID_REQUEST, "no key");
    assert_non_null(strstr(err.why, "SUPABASE_SERVICE_KEY"));
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, begin, finish)

RUN(CASE(a_secret_is_shown_nowhere), CASE(without_environment_and_flags_the_defaults_are_in_force),
    CASE(a_flag_wins_over_the_environment_and_that_over_the_default),
    CASE(an_empty_variable_is_absent_but_an_empty_flag_is_empty),
    CASE(reading_stops_at_the_first_argument_that_is_no_settings_flag), CASE(the_last_of_two_equal_flags_wins),
    CASE(a_flag_at_the_end_needs_its_value), CASE(a_failure_leaves_everything_as_it_was),
    CASE(what_is_allowed_is_taken_as_it_stands), CASE(a_bad_value_is_refused_in_one_sentence_that_names_its_variable),
    CASE(a_value_that_is_long_or_odd_is_not_repeated), CASE(certificate_and_key_together_are_taken),
    CASE(the_table_agrees_with_jose), CASE(a_misspelt_variable_is_named_with_what_was_meant),
    CASE(settings_and_strangers_are_not_warned_of), CASE(help_shows_every_flag_in_at_most_100_columns),
    CASE(markdown_has_a_row_of_five_cells_for_each_setting),
    CASE(the_man_page_names_every_variable_and_knows_only_its_own_requests), CASE(roff_never_reads_a_text_as_its_own),
    CASE(values_are_printed_a_line_each_with_their_origin), CASE(a_secret_is_never_shown),
    CASE(a_reference_to_a_secret_is_shown_and_checked), CASE(a_salt_has_32_bytes_at_least),
    CASE(a_service_key_goes_to_no_stranger_in_clear))
