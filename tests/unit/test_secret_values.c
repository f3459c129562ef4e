/* test_secret_values.c: secrets that settings refer to: which ARNs are references, what is asked of a real HTTP server
 * on the loopback whose answers a test scripts, and what becomes of each answer. */
#include "aws/secret_values.h"
#include "fake_aws.h"
#include "observe/log.h"
#include <time.h>

#define SECRET "arn:aws:secretsmanager:eu-west-1:111122223333:secret:token-service/supabase-AbCdEf"
#define PARAMETER "arn:aws:ssm:eu-central-1:111122223333:parameter/token-service/redis"

static struct settings settings;

static int begin(void **state)
{
    log_configure(LOG_ERROR, LOG_JSON);
    fake_aws_begin();
    setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", server->url, 1);
    setenv("AWS_ENDPOINT_URL_SSM", server->url, 1);
    setenv("SUPABASE_URL", "https://project.example", 1);
    return arena_begin(state);
}

static int finish(void **state)
{
    static const char *const names[] = { "SUPABASE_URL", "SUPABASE_SERVICE_KEY", "REDIS_URL", "TOKEN_PAIRWISE_SALT" };
    for (size_t i = 0; i < COUNT(names); i++)
        unsetenv(names[i]);
    settings_release(&settings);
    http_stop(server);
    return arena_finish(state);
}

/* Reads the settings, the secret of one of them by reference, and fetches it. */
static struct err fetch(const char *variable, const char *reference, const struct line *answers, size_t count)
{
    char *argv[] = { (char *)"serve" };
    int next = 1;
    begin_script(answers, count);
    setenv("SUPABASE_SERVICE_KEY", "sb_secret_plain", 1);
    setenv(variable, reference, 1);
    settings_release(&settings);
    assert_ok(settings_read(1, argv, &next, &settings));
    return secret_values_fetch(&settings, &arena);
}

#define FETCH(variable, reference, answers) fetch(variable, reference, answers, COUNT(answers))
#define OF_SECRET(text) "{\"ARN\":\"x\",\"Name\":\"n\",\"SecretString\":" text "}"
#define OF_PARAMETER(text) "{\"Parameter\":{\"Name\":\"n\",\"Type\":\"SecureString\",\"Value\":" text "}}"

/* --- references --------------------------------------------------------------------------------------------------- */

static void an_arn_is_taken_apart(void **state)
{
    static const struct {
        const char *arn;
        enum secret_place place;
        const char *region, *id, *member;
    } rows[] = {
        { SECRET, SECRET_OF_MANAGER, "eu-west-1", SECRET, "" },
        { SECRET ":redis_url::", SECRET_OF_MANAGER, "eu-west-1", SECRET, "redis_url" },
        { SECRET ":a member::", SECRET_OF_MANAGER, "eu-west-1", SECRET, "a member" },
        { PARAMETER, SECRET_OF_PARAMETER, "eu-central-1", PARAMETER, "" },
        { "arn:aws-cn:ssm:cn-north-1:111122223333:parameter/a", SECRET_OF_PARAMETER, "cn-north-1",
          "arn:aws-cn:ssm:cn-north-1:111122223333:parameter/a", "" },
        { "arn:aws-us-gov:secretsmanager:us-gov-west-1:111122223333:secret:a", SECRET_OF_MANAGER, "us-gov-west-1",
          "arn:aws-us-gov:secretsmanager:us-gov-west-1:111122223333:secret:a", "" },
    };
    struct secret_reference found;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_row(!secret_reference_read(str_of(rows[i].arn), &found), rows[i].arn);
        assert_int_equal(found.place, rows[i].place);
        assert_str(found.region, rows[i].region);
        assert_str(found.id, rows[i].id);
        assert_str(found.member, rows[i].member);
    }
}

static void what_is_nearly_an_arn_is_refused(void **state)
{
    static const struct {
        const char *text, *fault;
    } rows[] = {
        { "arn:", "is none" },
        { "arn:aws", "is none" },
        { "arn:gcp:ssm:eu-west-1:111122223333:parameter/a", "is none" },
        { "arn:aws/:ssm:eu-west-1:111122223333:parameter/a", "is none" },
        { "arn:aws:kms:eu-west-1:111122223333:key/a", "neither of a secret" },
        { "arn:aws:ssm:eu-west-1:111122223333:document/a", "not of a parameter" },
        { "arn:aws:ssm:eu-west-1:111122223333:parameter/", "not of a parameter" },
        { "arn:aws:ssm:eu-west-1:111122223333:parameter/a:3", "not of a parameter" },
        { "arn:aws:ssm:eu-west-1:111122223333:parameter", "not of a parameter" },
        { "arn:aws:ssm::111122223333:parameter/a", "no region" },
        { "arn:aws:ssm:evil.example/x?:111122223333:parameter/a", "no region" },
        { "arn:aws:ssm:-:111122223333:parameter/a", "no region" },
        { "arn:aws:ssm:EU-WEST-1:111122223333:parameter/a", "no region" },
        { "arn:aws:ssm:eu-west-1-and-more-than-any-region-has:111122223333:parameter/a", "no region" },
        { "arn:aws:ssm:eu-west-1::parameter/a", "no account" },
        { "arn:aws:ssm:eu-west-1:11112222333x:parameter/a", "no account" },
        { "arn:aws:secretsmanager:eu-west-1:111122223333:rotation:a", "not of a secret" },
        { "arn:aws:secretsmanager:eu-west-1:111122223333:secret", "not of a secret" },
        { "arn:aws:secretsmanager:eu-west-1:111122223333:secret:", "name" },
        { "arn:aws:secretsmanager:eu-west-1:111122223333:secret:a\"b", "name" },
        { SECRET ":member", "something other" },
        { SECRET ":::", "something other" },
        { SECRET ":member:AWSPREVIOUS:", "something other" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct secret_reference found = { .region = STR("untouched") };
        const char *fault = secret_reference_read(str_of(rows[i].text), &found);
        assert_row(fault && strstr(fault, rows[i].fault), rows[i].text);
        assert_str(found.region, "untouched");
    }
    struct secret_reference found;
    char *longest = arena_alloc(&arena, SECRET_REFERENCE_MAX + 2);
    memset(longest, 'a', SECRET_REFERENCE_MAX + 1);
    memcpy(longest, "arn:aws:ssm:eu-west-1:111122223333:parameter/", 45);
    assert_null(secret_reference_read((struct str){ longest, SECRET_REFERENCE_MAX }, &found));
    assert_non_null(secret_reference_read((struct str){ longest, SECRET_REFERENCE_MAX + 1 }, &found));
}

/* --- what is asked ------------------------------------------------------------------------------------------------ */

static void a_secret_is_asked_for_in_its_region(void **state)
{
    static const struct line answers[] = { { 200, NULL, OF_SECRET("\"sb_secret_x\"") } };
    (void)state;
    assert_ok(FETCH("SUPABASE_SERVICE_KEY", SECRET, answers));
    assert_string_equal(settings.supabase_service_key, "sb_secret_x");
    assert_false(settings_have_references(&settings));
    const struct str sent = str_of(server->last);
    assert_row(http_has(sent, "\r\nX-Amz-Target: secretsmanager.GetSecretValue\r\n"), server->last);
    assert_row(http_has(sent, "/eu-west-1/secretsmanager/aws4_request, SignedHeaders="), server->last);
    assert_row(http_has(sent, "\r\n\r\n{\"SecretId\":\"" SECRET "\"}"), server->last);
    assert_ok(secret_values_fetch(&settings, &arena)); /* a second time asks nothing */
    assert_int_equal(atomic_load(&server->requests), 1);
}

static void a_parameter_is_asked_for_decrypted(void **state)
{
    static const struct line answers[] = { { 200, NULL, OF_PARAMETER("\"redis://:p%40ss@r.example\"") } };
    (void)state;
    assert_ok(FETCH("REDIS_URL", PARAMETER, answers));
    assert_string_equal(settings.redis_url, "redis://:p%40ss@r.example");
    assert_string_equal(settings.supabase_service_key, "sb_secret_plain");
    const struct str sent = str_of(server->last);
    assert_row(http_has(sent, "\r\nX-Amz-Target: AmazonSSM.GetParameter\r\n"), server->last);
    assert_row(http_has(sent, "/eu-central-1/ssm/aws4_request, SignedHeaders="), server->last);
    assert_row(http_has(sent, "\r\n\r\n{\"Name\":\"" PARAMETER "\",\"WithDecryption\":true}"), server->last);
}

static void without_references_nothing_is_asked(void **state)
{
    static const struct line answers[] = { { 500, NULL, "" } };
    (void)state;
    assert_ok(FETCH("SUPABASE_SERVICE_KEY", "sb_secret_plain", answers));
    assert_string_equal(settings.supabase_service_key, "sb_secret_plain");
    assert_int_equal(atomic_load(&server->requests), 0);
}

/* Each in its place, also when one is longer than the reference was. */
static void several_are_kept_apart(void **state)
{
    static const struct line answers[] = {
        { 200, NULL, OF_SECRET("\"{\\\"salt\\\":\\\"0123456789012345678901234567890123456789\\\"}\"") },
        { 200, NULL, OF_PARAMETER("\"rediss://a.example/1\"") },
        { 200, NULL, OF_SECRET("\"k\"") },
    };
    (void)state;
    setenv("TOKEN_PAIRWISE_SALT", SECRET ":salt::", 1);
    setenv("REDIS_URL", PARAMETER, 1);
    assert_ok(FETCH("SUPABASE_SERVICE_KEY", SECRET, answers));
    assert_string_equal(settings.pairwise_salt, "0123456789012345678901234567890123456789");
    assert_string_equal(settings.redis_url, "rediss://a.example/1");
    assert_string_equal(settings.supabase_service_key, "k");
    assert_int_equal(atomic_load(&server->requests), 3);
}

/* Settings may be members of one secret: then it is asked for once. */
static void one_secret_is_asked_for_once(void **state)
{
    static const struct line answers[] = {
        { 200, NULL, OF_SECRET("\"{\\\"redis\\\":\\\"redis://r.example\\\",\\\"key\\\":\\\"k\\\"}\"") },
        { 500, NULL, "" },
    };
    (void)state;
    setenv("REDIS_URL", SECRET ":redis::", 1);
    assert_ok(FETCH("SUPABASE_SERVICE_KEY", SECRET ":key::", answers));
    assert_string_equal(settings.redis_url, "redis://r.example");
    assert_string_equal(settings.supabase_service_key, "k");
    assert_int_equal(atomic_load(&server->requests), 1);
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

static void a_value_is_read_or_said_to_be_none(void **state)
{
    static const struct {
        const char *reference, *body, *value, *fault;
    } rows[] = {
        { SECRET, OF_SECRET("\"a\\u0062\\\"c\""), "ab\"c", NULL },
        { SECRET, OF_SECRET("\"\""), "", NULL },
        { SECRET, OF_SECRET("7"), NULL, "not understood" },
        { SECRET, "{\"SecretBinary\":\"aGk=\"}", NULL, "binary" },
        { SECRET, "[]", NULL, "not understood" },
        { SECRET, "\"SecretString\"", NULL, "not understood" },
        { SECRET, "", NULL, "not understood" },
        { SECRET, OF_PARAMETER("\"x\""), NULL, "not understood" },
        { SECRET ":m::", OF_SECRET("\"{\\\"m\\\":\\\"v\\\",\\\"n\\\":1}\""), "v", NULL },
        { SECRET ":n::", OF_SECRET("\"{\\\"m\\\":\\\"v\\\",\\\"n\\\":1}\""), NULL, "no text in a member" },
        { SECRET ":o::", OF_SECRET("\"{\\\"m\\\":\\\"v\\\",\\\"n\\\":1}\""), NULL, "no text in a member" },
        { SECRET ":m::", OF_SECRET("\"plain\""), NULL, "no JSON object" },
        { SECRET ":m::", OF_SECRET("\"[1]\""), NULL, "no JSON object" },
        { PARAMETER, OF_PARAMETER("\"v\""), "v", NULL },
        { PARAMETER, OF_PARAMETER("null"), NULL, "not understood" },
        { PARAMETER, "{\"Parameter\":\"v\"}", NULL, "not understood" },
        { PARAMETER, "{", NULL, "not understood" },
        { PARAMETER, OF_SECRET("\"x\""), NULL, "not understood" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct secret_reference reference;
        struct str value = STR("untouched");
        assert_null(secret_reference_read(str_of(rows[i].reference), &reference));
        const char *fault = secret_values_read(&arena, str_of(rows[i].body), &reference, &value);
        assert_row(rows[i].fault ? fault && strstr(fault, rows[i].fault) : !fault, rows[i].body);
        assert_str(value, rows[i].value ? rows[i].value : "untouched");
    }
}

/* The sentence names the setting and the cause, and nothing of a value. */
static void a_value_that_does_not_fit_is_refused(void **state)
{
    static const struct {
        const char *variable, *value, *fault;
    } rows[] = {
        { "REDIS_URL", "\"http://:hunter2@r.example\"", "REDIS_URL is not usable" },
        { "REDIS_URL", "\"\"", "REDIS_URL is not usable: it is empty" },
        { "REDIS_URL", "\"redis://:hunter2@r.example\\n\"", "control characters" },
        { "TOKEN_PAIRWISE_SALT", "\"hunter2\"", "TOKEN_PAIRWISE_SALT is not usable: it is shorter" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct line answers[] = { { 200, NULL, arena_printf(&arena, OF_PARAMETER("%s"), rows[i].value).at } };
        const struct err err = FETCH(rows[i].variable, PARAMETER, answers);
        assert_code(err, ERR_INVALID_REQUEST, rows[i].value);
        assert_row(strstr(err.why, rows[i].fault) && !strstr(err.why, "hunter2"), err.why);
        unsetenv(rows[i].variable);
    }
}

/* What settings say together is looked at when the value is there. */
static void what_settings_say_together_is_checked_then(void **state)
{
    static const struct line answers[] = { { 200, NULL, OF_PARAMETER("\"redis://r.example\"") } };
    (void)state;
    setenv("REDIS_CA_FILE", "/etc/ca.pem", 1);
    const struct err err = FETCH("REDIS_URL", PARAMETER, answers);
    unsetenv("REDIS_CA_FILE");
    assert_code(err, ERR_INVALID_REQUEST, "REDIS_CA_FILE");
    assert_row(strstr(err.why, "REDIS_URL does not use TLS"), err.why);
}

static void a_refusal_names_the_setting_and_the_cause(void **state)
{
    static const struct {
        const char *body, *cause;
    } rows[] = {
        { ERROR("ResourceNotFoundException"), "SUPABASE_SERVICE_KEY can't be read: there is no such secret" },
        { ERROR("AccessDeniedException"), "denies access: see the permissions secretsmanager:GetSecretValue" },
        { ERROR("DecryptionFailure"), "its KMS key can't decrypt it" },
        { ERROR("InvalidRequestException"), "being deleted" },
        { ERROR("Whatever"), "refused the call" },
        { "", "refused the call" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct line answers[] = { { 400, NULL, rows[i].body } };
        const struct err err = FETCH("SUPABASE_SERVICE_KEY", SECRET, answers);
        assert_code(err, ERR_UNAVAILABLE, rows[i].body);
        assert_row(strstr(err.why, rows[i].cause), err.why);
        assert_int_equal(atomic_load(&at), 1); /* not tried again */
    }
}

static void what_may_pass_is_tried_again(void **state)
{
    static const struct line answers[] = { { 400, NULL, ERROR("ThrottlingException") },
                                           { 500, NULL, ERROR("InternalServiceError") },
                                           { 0, NULL, NULL },
                                           { 400, NULL, ERROR("ExpiredTokenException") },
                                           { 200, NULL, OF_SECRET("\"v\"") } };
    (void)state;
    assert_ok(FETCH("SUPABASE_SERVICE_KEY", SECRET, answers));
    assert_string_equal(settings.supabase_service_key, "v");
    assert_int_equal(atomic_load(&at), COUNT(answers));
}

/* Credentials that stay bad are asked for once more, and no oftener. */
static void credentials_are_changed_once(void **state)
{
    static const struct line answers[] = { { 400, NULL, ERROR("UnrecognizedClientException") } };
    (void)state;
    const struct err err = FETCH("SUPABASE_SERVICE_KEY", SECRET, answers);
    assert_code(err, ERR_UNAVAILABLE, "credentials");
    assert_int_equal(atomic_load(&at), 2);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, begin, finish)
RUN(TEST(an_arn_is_taken_apart), TEST(what_is_nearly_an_arn_is_refused),
    WITH_SERVER(a_secret_is_asked_for_in_its_region), WITH_SERVER(a_parameter_is_asked_for_decrypted),
    WITH_SERVER(without_references_nothing_is_asked), WITH_SERVER(several_are_kept_apart),
    WITH_SERVER(one_secret_is_asked_for_once), TEST(a_value_is_read_or_said_to_be_none),
    WITH_SERVER(a_value_that_does_not_fit_is_refused), WITH_SERVER(what_settings_say_together_is_checked_then),
    WITH_SERVER(a_refusal_names_the_setting_and_the_cause), WITH_SERVER(what_may_pass_is_tried_again),
    WITH_SERVER(credentials_are_changed_once))
