/* test_credentials.c: where AWS credentials come from, against real files and a real HTTP server on the loopback that
 * plays STS, a container's address and an instance's metadata. */
#include "aws/credentials.h"
#include "aws/credentials_source.h"
#include "aws/region.h"
#include "folder.h"
#include "http_server.h"
#include "net/client.h"
#include "observe/log.h"

enum { NOW_S = 1800000000 }; /* 2027-01-15T08:00:00Z */

static struct net_client *client;
static struct settings settings;
static struct credentials *credentials;
static struct http_server *server;

static const char *const variables[] = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_ENDPOINT_URL_STS",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_DEFAULT_REGION",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    "http_proxy",
};

static int begin(void **state)
{
    int failed_setup = folder_begin(state);
    for (size_t i = 0; i < COUNT(variables); i++)
        unsetenv(variables[i]);
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    setenv("AWS_SHARED_CREDENTIALS_FILE", in_folder("credentials"), 1);
    setenv("AWS_CONFIG_FILE", in_folder("config"), 1);
    settings = (struct settings){ .aws_region = "eu-west-1", .aws_endpoint_url = "", .aws_endpoint_url_kms = "" };
    credentials = credentials_new(client, &settings);
    server = NULL;
    return failed_setup;
}

/* Nothing is remembered. */
static void begin_anew(void)
{
    credentials_free(credentials);
    credentials = credentials_new(client, &settings);
}

static int finish(void **state)
{
    credentials_free(credentials);
    if (server)
        http_stop(server);
    return folder_finish(state);
}

static const char *write_file(const char *name, const char *text)
{
    const char *path = in_folder(name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return path;
}

/* Gets them, and says "access secret token" of what there is. */
static const char *got_at(int64_t now_s)
{
    const struct aws_credentials *held = NULL;
    struct err err = credentials_get(credentials, now_s, &held);
    if (err.code)
        return arena_printf(&arena, "%s: %s", err_label(err.code), err.why).at;
    const char *text = arena_printf(&arena, "%s %s %s", held->access_key.at, held->secret_key.at, held->token.at).at;
    credentials_put(credentials, held);
    return text;
}

static void assert_refused(const char *says)
{
    const char *got = got_at(NOW_S);
    assert_row(strncmp(got, "temporarily_unavailable: ", 25) == 0 && strstr(got, says), got);
}

/* --- environment and files --------------------------------------------------------------------------------------- */

static void the_environment_comes_first(void **state)
{
    write_file("credentials", "[default]\naws_access_key_id = AKIDFILE\naws_secret_access_key = file\n");
    setenv("AWS_ACCESS_KEY_ID", "AKIDENV", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "env", 1);
    assert_string_equal(got_at(NOW_S), "AKIDENV env ");
    begin_anew();
    setenv("AWS_SESSION_TOKEN", "token==", 1);
    assert_string_equal(got_at(NOW_S), "AKIDENV env token==");
    (void)state;
}

static void half_of_the_environment_is_refused(void **state)
{
    write_file("credentials", "[default]\naws_access_key_id = AKIDFILE\naws_secret_access_key = file\n");
    setenv("AWS_ACCESS_KEY_ID", "AKIDENV", 1);
    assert_refused("AWS_SECRET_ACCESS_KEY");
    unsetenv("AWS_ACCESS_KEY_ID");
    setenv("AWS_SECRET_ACCESS_KEY", "env", 1); /* alone it is nothing, as for AWS's tools */
    begin_anew();
    assert_string_equal(got_at(NOW_S), "AKIDFILE file ");
    (void)state;
}

static void what_could_end_a_header_is_refused(void **state)
{
    static const char *const bad[][3] = {
        { "AKID\r\nX: y", "s", "" }, { "AK ID", "s", "" },     { "AK/ID", "s", "" },
        { "AKID", "s\n", "" },       { "AKID", "s", "t\r\n" }, { "AKID", "s", "t\x80" },
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        begin_anew();
        setenv("AWS_ACCESS_KEY_ID", bad[i][0], 1);
        setenv("AWS_SECRET_ACCESS_KEY", bad[i][1], 1);
        setenv("AWS_SESSION_TOKEN", bad[i][2], 1);
        assert_refused("malformed");
    }
    (void)state;
}

static void profiles_are_read_from_both_files(void **state)
{
    static const struct {
        const char *profile, *expected;
    } rows[] = {
        { "", "AKIDDEFAULT s0 " }, { "default", "AKIDDEFAULT s0 " }, { "one", "AKIDONE s1 t1" },
        { "two", "AKIDTWO s2 " },  { "both", "AKIDBOTH fromcred " }, { "first", "AKIDFIRST s3 " },
    };
    static const struct {
        const char *profile, *says;
    } bad[] = {
        { "none", "no profile with the name" },       { "empty", "there are no AWS credentials" },
        { "chained", "another profile's keys" },      { "process", "SSO, a login or another program" },
        { "sso", "SSO, a login or another program" }, { "half", "no aws_secret_access_key" },
        { "keyed", "another profile's keys" },        { "roleless", "no role_arn" },
    };
    write_file("credentials", "[default]\naws_access_key_id=AKIDDEFAULT\naws_secret_access_key=s0\n"
                              "[one]\naws_access_key_id=AKIDONE\naws_secret_access_key=s1\naws_session_token=t1\n"
                              "[both]\naws_access_key_id=AKIDBOTH\naws_secret_access_key=fromcred\n"
                              "[first]\naws_access_key_id=AKIDFIRST\naws_secret_access_key=s3\n"
                              "[keyed]\naws_access_key_id=AKIDX\naws_secret_access_key=x\n");
    write_file("config", "[profile two]\nregion = us-east-2\naws_access_key_id=AKIDTWO\naws_secret_access_key=s2\n"
                         "[profile both]\naws_access_key_id=AKIDBOTH\naws_secret_access_key=fromconfig\n"
                         "[none]\naws_access_key_id=AKIDX\naws_secret_access_key=x\n"
                         "[profile empty]\nregion=eu-west-1\n[profile half]\naws_access_key_id=AKIDX\n"
                         "[profile chained]\nrole_arn=arn:aws:iam::1:role/r\nsource_profile=default\n"
                         "[profile keyed]\nrole_arn=arn:aws:iam::1:role/r\nsource_profile=default\n"
                         "[profile first]\ncredential_process=/bin/true\n"
                         "[profile roleless]\nweb_identity_token_file=/dev/null\n"
                         "[profile process]\ncredential_process=/bin/true\n[profile sso]\nsso_session=x\n");
    for (size_t i = 0; i < COUNT(rows); i++) {
        begin_anew();
        setenv("AWS_PROFILE", rows[i].profile, 1);
        assert_string_equal(got_at(NOW_S), rows[i].expected);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        begin_anew();
        setenv("AWS_PROFILE", bad[i].profile, 1);
        assert_refused(bad[i].says);
    }
    (void)state;
}

static void a_file_that_is_too_long_is_refused(void **state)
{
    char *text = arena_alloc(&arena, CREDENTIALS_FILE_MAX + 2);
    struct str got;
    memset(text, 'x', CREDENTIALS_FILE_MAX + 1);
    text[CREDENTIALS_FILE_MAX + 1] = '\0';
    write_file("credentials", text);
    assert_refused("too long");
    text[CREDENTIALS_FILE_MAX] = '\0';
    assert_ok(credentials_read_file(&arena, write_file("credentials", text), &got));
    assert_int_equal(got.len, CREDENTIALS_FILE_MAX);
    assert_code(credentials_read_file(&arena, in_folder("none"), &got), ERR_NOT_FOUND, "missing");
    assert_code(credentials_read_file(&arena, folder, &got), ERR_INVALID_REQUEST, "a folder");
    (void)state;
}

static void without_any_source_it_says_where_it_looked(void **state)
{
    assert_refused("there are no AWS credentials");
    (void)state;
}

/* --- over HTTP --------------------------------------------------------------------------------------------------- */

static const char *expiration = "2027-01-15T09:00:00Z"; /* an hour after NOW_S */
static atomic_int failures;                             /* answers of 500 before a good one */
static atomic_int generation;

static void write_credentials(FILE *out)
{
    char body[512];
    snprintf(body, sizeof body,
             "{\"Code\":\"Success\",\"AccessKeyId\":\"ASIA%d\",\"SecretAccessKey\":\"s\",\"Token\":\"t\","
             "\"Expiration\":\"%s\"}",
             atomic_fetch_add(&generation, 1), expiration);
    http_write(out, 200, "", body);
}

static int failing_status = 500;

static void play_container(struct http_server *self, struct str request, FILE *out)
{
    (void)self;
    if (atomic_load(&failures) > 0 && atomic_fetch_sub(&failures, 1) > 0)
        http_write(out, failing_status, "", "");
    else if (!http_has(request, "GET /role?x=1 HTTP/1.1\r\n") || !http_has(request, "\r\nAuthorization: a token\r\n"))
        http_write(out, 403, "", "no");
    else
        write_credentials(out);
}

static void a_container_shows_its_token_and_gets_credentials(void **state)
{
    server = http_start(play_container);
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", arena_printf(&arena, "%s/role?x=1", server->url).at, 1);
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "a wrong one", 1);
    assert_refused("refused");
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", write_file("token", "a token\n"), 1); /* goes first */
    begin_anew();
    atomic_store(&failures, 2); /* tried three times */
    atomic_store(&generation, 0);
    assert_string_equal(got_at(NOW_S), "ASIA0 s t");
    (void)state;
}

static void a_container_asks_only_its_own_machine_or_https(void **state)
{
    static const char *const good[] = {
        "https://credentials.example/x",
        "http://localhost/x",
        "http://localhost:80/x",
        "http://127.0.0.1:1/x",
        "http://127.1.2.3",
        "http://[::1]/x",
        "http://[::1]:8/x",
        "http://169.254.170.2/x",
        "http://169.254.170.23/v1",
        "http://[fd00:ec2::23]/v1",
    };
    static const char *const bad[] = {
        "http://169.254.169.254/x",
        "http://10.0.0.1/x",
        "http://127.0.0.1.evil.example/x",
        "http://127.0.0.1:80@evil.example/x",
        "http://127.0.0.1@evil.example/x",
        "http://evil.example#@127.0.0.1/x",
        "http://evil.example?@127.0.0.1",
        "http://evil.example\\@127.0.0.1/x",
        "http://127.1/x",
        "http://2130706433/x",
        "http://localhost.evil.example/x",
        "http://[::1].evil.example/x",
        "http://[::2]/x",
        "http:///127.0.0.1",
        "http://",
        "HTTP://127.0.0.1/x",
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
        "",
    };
    for (size_t i = 0; i < COUNT(good); i++)
        assert_row(credentials_may_ask(str_of(good[i])), good[i]);
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_row(!credentials_may_ask(str_of(bad[i])), bad[i]);
    assert_false(credentials_may_ask(STR("http://127.0.0.1\0x.example/x")));
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://10.0.0.1/x", 1);
    assert_refused("neither https");
    (void)state;
}

static const char *failing_body = "";

static void play_sts(struct http_server *self, struct str request, FILE *out)
{
    char body[1024];
    (void)self;
    if (atomic_load(&failures) > 0 && atomic_fetch_sub(&failures, 1) > 0) {
        http_write(out, failing_status, "", failing_body);
        return;
    }
    /* every byte is percent-encoded: "arn:r", "session", "a.b" */
    bool good = http_has(request, "POST / HTTP/1.1\r\n") &&
                http_has(request, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=%61%72%6E%3A%72") &&
                http_has(request, "&RoleSessionName=%73%65%73%73%69%6F%6E&WebIdentityToken=%61%2E%62");
    bool is_length_right = request.at[request.len - 1] == '2'; /* the file's newline is not sent */
    if (!good || !is_length_right) {
        http_write(out, 403, "", "<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>");
        return;
    }
    snprintf(body, sizeof body,
             "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
             "<AccessKeyId>ASIAWEB</AccessKeyId><SecretAccessKey>web/s+</SecretAccessKey>"
             "<SessionToken>web==</SessionToken><Expiration>%s</Expiration></Credentials>"
             "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
             expiration);
    http_write(out, 200, "Content-Type: text/xml\r\n", body);
}

static void a_web_identity_is_exchanged_at_sts(void **state)
{
    server = http_start(play_sts);
    setenv("AWS_ENDPOINT_URL_STS", server->url, 1);
    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", write_file("token", "a.b\n"), 1);
    assert_refused("AWS_ROLE_ARN");
    setenv("AWS_ROLE_ARN", "arn:r", 1);
    begin_anew();
    assert_refused("refused the web identity"); /* another session's name */
    setenv("AWS_ROLE_SESSION_NAME", "session", 1);
    begin_anew();
    assert_string_equal(got_at(NOW_S), "ASIAWEB web/s+ web==");
    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", in_folder("none"), 1);
    begin_anew();
    assert_refused("can't be read");
    (void)state;
}

static void a_profile_may_name_a_web_identity(void **state)
{
    server = http_start(play_sts);
    settings.aws_endpoint_url = server->url;
    write_file("token", "a.b");
    write_file("config", arena_printf(&arena,
                                      "[profile web]\nrole_arn = arn:r\nrole_session_name = session\n"
                                      "web_identity_token_file = %s\n",
                                      in_folder("token"))
                             .at);
    setenv("AWS_PROFILE", "web", 1);
    assert_string_equal(got_at(NOW_S), "ASIAWEB web/s+ web==");
    (void)state;
}

static const char *role_name = "my-role";

static void play_metadata(struct http_server *self, struct str request, FILE *out)
{
    (void)self;
    if (atomic_load(&failures) > 0 && atomic_fetch_sub(&failures, 1) > 0)
        http_write(out, failing_status, "", "");
    else if (http_has(request, "PUT /latest/api/token HTTP/1.1\r\n") &&
             http_has(request, "\r\nX-aws-ec2-metadata-token-ttl-seconds: 21600\r\n"))
        http_write(out, 200, "", "session-token==");
    else if (!http_has(request, "\r\nX-aws-ec2-metadata-token: session-token==\r\n"))
        http_write(out, 401, "", ""); /* version 1 */
    else if (http_has(request, "GET /latest/meta-data/iam/security-credentials/ HTTP/1.1\r\n"))
        http_write(out, role_name ? 200 : 404, "", role_name ? role_name : "");
    else if (http_has(request, "GET /latest/meta-data/iam/security-credentials/my-role HTTP/1.1\r\n"))
        write_credentials(out);
    else
        http_write(out, 500, "", "");
}

static void an_instance_gives_its_roles_credentials_for_a_session_token(void **state)
{
    static const char *const odd[] = { "../../user-data", "a/b", "a?b", "a%62", "", " x" };
    server = http_start(play_metadata);
    setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", arena_printf(&arena, "%s/", server->url).at, 1);
    assert_refused("there are no AWS credentials"); /* it is disabled */
    assert_int_equal(atomic_load(&server->requests), 0);
    unsetenv("AWS_EC2_METADATA_DISABLED");
    begin_anew();
    atomic_store(&generation, 0);
    assert_string_equal(got_at(NOW_S), "ASIA0 s t");
    for (size_t i = 0; i < COUNT(odd); i++) {
        role_name = odd[i];
        begin_anew();
        assert_refused("does not name a role");
    }
    role_name = NULL;
    begin_anew();
    assert_refused("there are no AWS credentials");
    role_name = "my-role";
    (void)state;
}

/* --- keeping them ------------------------------------------------------------------------------------------------ */

static void from_a_container(void)
{
    server = http_start(play_container);
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", arena_printf(&arena, "%s/role?x=1", server->url).at, 1);
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "a token", 1);
    atomic_store(&generation, 0);
    atomic_store(&failures, 0);
}

static void they_are_kept_and_refreshed_before_they_expire(void **state)
{
    from_a_container();
    assert_string_equal(got_at(NOW_S), "ASIA0 s t");
    assert_string_equal(got_at(NOW_S + 3600 - CREDENTIALS_EARLY_S - 1), "ASIA0 s t");
    expiration = "2027-01-15T10:00:00Z";
    assert_string_equal(got_at(NOW_S + 3600 - CREDENTIALS_EARLY_S), "ASIA1 s t");
    assert_string_equal(got_at(NOW_S + 3600), "ASIA1 s t");
    assert_int_equal(atomic_load(&server->requests), 2);
    expiration = "2027-01-15T09:00:00Z";
    (void)state;
}

static void old_ones_serve_until_they_expire_when_no_new_ones_can_be_had(void **state)
{
    from_a_container();
    assert_string_equal(got_at(NOW_S), "ASIA0 s t");
    atomic_store(&failures, 1000);
    assert_string_equal(got_at(NOW_S + 3500), "ASIA0 s t");
    int asked = atomic_load(&server->requests);
    assert_string_equal(got_at(NOW_S + 3500 + CREDENTIALS_AGAIN_S - 1), "ASIA0 s t");
    assert_int_equal(atomic_load(&server->requests), asked); /* not asked again at once */
    assert_string_equal(got_at(NOW_S + 3599), "ASIA0 s t");
    assert_true(atomic_load(&server->requests) > asked);
    assert_row(strstr(got_at(NOW_S + 3600 + CREDENTIALS_AGAIN_S), "refused"), "expired");
    asked = atomic_load(&server->requests);
    assert_row(strstr(got_at(NOW_S + 3600 + CREDENTIALS_AGAIN_S), "refused"), "and still");
    assert_int_equal(atomic_load(&server->requests), asked);
    atomic_store(&failures, 0);
    expiration = "2027-01-15T11:00:00Z";
    assert_string_equal(got_at(NOW_S + 3600 + 2 * CREDENTIALS_AGAIN_S), "ASIA1 s t");
    expiration = "2027-01-15T09:00:00Z";
    (void)state;
}

/* A wait that was planned by a clock which was hours ahead is over when that is set right. */
static void a_clock_that_is_set_back_holds_nobody_up(void **state)
{
    from_a_container();
    atomic_store(&failures, 1000);
    assert_row(strstr(got_at(NOW_S + 7200), "refused"), "none");
    int asked = atomic_load(&server->requests);
    assert_row(strstr(got_at(NOW_S + 7200), "refused"), "and not asked again at once");
    assert_int_equal(atomic_load(&server->requests), asked);
    atomic_store(&failures, 0);
    assert_string_equal(got_at(NOW_S), "ASIA0 s t");
    (void)state;
}

static void refused_ones_are_fetched_anew_but_not_at_every_call(void **state)
{
    const struct aws_credentials *held = NULL;
    from_a_container();
    assert_ok(credentials_get(credentials, NOW_S, &held));
    credentials_refused(credentials, held->serial + 1); /* some others */
    assert_string_equal(got_at(NOW_S), "ASIA0 s t");
    credentials_refused(credentials, held->serial);
    assert_string_equal(got_at(NOW_S), "ASIA1 s t");
    assert_str(held->access_key, "ASIA0"); /* who holds the old ones has them until they are put back */
    credentials_put(credentials, held);
    assert_ok(credentials_get(credentials, NOW_S, &held));
    credentials_refused(credentials, held->serial);
    credentials_put(credentials, held);
    assert_string_equal(got_at(NOW_S + 1), "ASIA1 s t");
    assert_string_equal(got_at(NOW_S + CREDENTIALS_AGAIN_S), "ASIA2 s t");
    (void)state;
}

static void expired_ones_are_not_used(void **state)
{
    from_a_container();
    assert_row(strstr(got_at(NOW_S + 3600), "have expired"), "an hour late");
    (void)state;
}

static void from_metadata(void)
{
    server = http_start(play_metadata);
    setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server->url, 1);
    unsetenv("AWS_EC2_METADATA_DISABLED");
    role_name = "my-role";
    atomic_store(&generation, 0);
    atomic_store(&failures, 0);
}

/* The instance's metadata can't get new ones; whoever is called with the old ones judges them. */
static void an_instances_credentials_are_used_expired_and_asked_for_again(void **state)
{
    const struct aws_credentials *held = NULL;
    const int64_t late_s = NOW_S + 7200;
    from_metadata();
    assert_string_equal(got_at(late_s), "ASIA0 s t"); /* at the start */
    assert_string_equal(got_at(late_s + CREDENTIALS_EXTENDED_S - 1), "ASIA0 s t");
    assert_string_equal(got_at(late_s + 2 * CREDENTIALS_EXTENDED_S), "ASIA1 s t");
    assert_ok(credentials_get(credentials, late_s + 2 * CREDENTIALS_EXTENDED_S, &held));
    credentials_refused(credentials, held->serial); /* asked for at once, and then every few seconds */
    credentials_put(credentials, held);
    assert_string_equal(got_at(late_s + 2 * CREDENTIALS_EXTENDED_S), "ASIA2 s t");
    assert_string_equal(got_at(late_s + 2 * CREDENTIALS_EXTENDED_S + CREDENTIALS_AGAIN_S - 1), "ASIA2 s t");
    expiration = "2027-01-15T13:00:00Z";
    assert_string_equal(got_at(late_s + 2 * CREDENTIALS_EXTENDED_S + CREDENTIALS_AGAIN_S), "ASIA3 s t");
    expiration = "2027-01-15T09:00:00Z";
    (void)state;
}

static void an_instances_credentials_outlive_its_metadata(void **state)
{
    from_metadata();
    assert_string_equal(got_at(NOW_S), "ASIA0 s t");
    atomic_store(&failures, 1000);
    assert_string_equal(got_at(NOW_S + 7200), "ASIA0 s t");
    atomic_store(&failures, 0);
    expiration = "2027-01-15T13:00:00Z";
    assert_string_equal(got_at(NOW_S + 7200 + CREDENTIALS_AGAIN_S), "ASIA1 s t");
    expiration = "2027-01-15T09:00:00Z";
    (void)state;
}

/* The address of a container and of an instance's metadata: 4xx pass as well. */
static void what_may_pass_is_asked_again(void **state)
{
    static const int statuses[] = { 429, 400, 404, 500, 503 };
    for (size_t i = 0; i < COUNT(statuses); i++) {
        failing_status = statuses[i];
        from_a_container();
        begin_anew();
        atomic_store(&failures, CREDENTIALS_TRIES - 1);
        assert_string_equal(got_at(NOW_S), "ASIA0 s t");
        begin_anew();
        atomic_store(&failures, CREDENTIALS_TRIES);
        assert_row(strstr(got_at(NOW_S), "refused"), "and no more often");
        http_stop(server);
        unsetenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
        from_metadata();
        begin_anew();
        atomic_store(&failures, CREDENTIALS_TRIES - 1);
        assert_string_equal(got_at(NOW_S), "ASIA0 s t");
        http_stop(server);
        server = NULL;
    }
    failing_status = 500;
    (void)state;
}

#define STS_ERROR(code) "<ErrorResponse><Error><Code>" code "</Code></Error></ErrorResponse>"

static void sts_is_asked_again_for_what_may_pass(void **state)
{
    static const struct {
        int status;
        const char *body;
        bool again;
    } rows[] = {
        { 400, STS_ERROR("IDPCommunicationError"), true },
        { 400, STS_ERROR("Throttling"), true },
        { 400, STS_ERROR("RequestLimitExceeded"), true },
        { 429, "", true },
        { 503, "<html>", true },
        { 500, STS_ERROR("InternalFailure"), true },
        { 400, STS_ERROR("InvalidIdentityToken"), false },
        { 400, STS_ERROR("ExpiredTokenException"), false },
        { 400, STS_ERROR("IDPRejectedClaim"), false },
        { 403, STS_ERROR("AccessDenied"), false },
        { 400, "<html>", false },
    };
    server = http_start(play_sts);
    setenv("AWS_ENDPOINT_URL_STS", server->url, 1);
    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", write_file("token", "a.b\n"), 1);
    setenv("AWS_ROLE_ARN", "arn:r", 1);
    setenv("AWS_ROLE_SESSION_NAME", "session", 1);
    for (size_t i = 0; i < COUNT(rows); i++) {
        begin_anew();
        const int before = atomic_load(&server->requests);
        failing_status = rows[i].status;
        failing_body = rows[i].body;
        atomic_store(&failures, CREDENTIALS_TRIES - 1);
        const char *got = got_at(NOW_S);
        const int asked = atomic_load(&server->requests) - before;
        assert_row((strcmp(got, "ASIAWEB web/s+ web==") == 0) == rows[i].again, rows[i].body);
        assert_row(asked == (rows[i].again ? CREDENTIALS_TRIES : 1), rows[i].body);
    }
    failing_status = 500;
    failing_body = "";
    atomic_store(&failures, 0);
    (void)state;
}

static void an_environment_may_say_when_it_expires(void **state)
{
    setenv("AWS_ACCESS_KEY_ID", "AKIDENV", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "env", 1);
    setenv("AWS_SECURITY_TOKEN", "old", 1);
    setenv("AWS_CREDENTIAL_EXPIRATION", "2027-01-15T13:30:01+05:30", 1);
    assert_string_equal(got_at(NOW_S), "AKIDENV env old");
    assert_row(strstr(got_at(NOW_S + 1 + CREDENTIALS_AGAIN_S), "have expired"), "late");
    setenv("AWS_CREDENTIAL_EXPIRATION", "tomorrow", 1);
    begin_anew();
    assert_refused("AWS_CREDENTIAL_EXPIRATION");
    (void)state;
}

static void the_region_is_looked_for_in_its_order(void **state)
{
    static const struct {
        const char *key, *setting, *variable, *config, *kms, *sts; /* NULL: refused */
    } rows[] = {
        { "k", "", "", "", "us-east-1", "us-east-1" },
        { "k", "", "", "[default]\nregion = eu-north-1\n", "eu-north-1", "eu-north-1" },
        { "k", "", "eu-west-3", "[default]\nregion = eu-north-1\n", "eu-west-3", "eu-west-3" },
        { "k", "eu-west-2", "eu-west-3", "[default]\nregion = eu-north-1\n", "eu-west-2", "eu-west-2" },
        { "arn:aws:kms:ap-south-1:1:key/k", "eu-west-2", "eu-west-3", "", "ap-south-1", "eu-west-2" },
        { "arn:aws-cn:kms:cn-north-1:1:alias/k,k2", "", "", "", "cn-north-1", "cn-north-1" },
        { "alias/k, arn:aws:kms:ap-south-1:1:key/k", "", "eu-west-3", "", "eu-west-3", "eu-west-3" },
        { "k", "", "EU", "", NULL, NULL },
        { "k", "", "evil.example/", "", NULL, NULL },
        { "k", "", "", "[default]\nregion = a.b\n", NULL, NULL },
        { "arn:aws:kms:evil.example/:1:key/k", "", "", "", "us-east-1", "us-east-1" },
        { "arn:aws:kms:eu-west-1", "", "", "", "us-east-1", "us-east-1" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str kms = { 0, 0 }, sts = { 0, 0 };
        settings.kms_key_id = rows[i].key;
        settings.aws_region = rows[i].setting;
        setenv("AWS_DEFAULT_REGION", rows[i].variable, 1);
        write_file("config", rows[i].config);
        const struct err err = region_of_kms(&settings, &arena, &kms);
        assert_row(err.code == (rows[i].kms ? ERR_OK : ERR_INVALID_REQUEST), rows[i].key);
        assert_row(region_of_sts(&settings, &arena, &sts).code == err.code, rows[i].key);
        if (rows[i].kms) {
            assert_str(kms, rows[i].kms);
            assert_str(sts, rows[i].sts);
        }
    }
    (void)state;
}

static void what_cannot_be_reached_is_named(void **state)
{
    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", write_file("token", "a.b\n"), 1);
    setenv("AWS_ROLE_ARN", "arn:r", 1);
    setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1", 1);
    assert_refused("AWS STS (AWS_ENDPOINT_URL_STS): http://127.0.0.1:1: it refuses connections");
    setenv("AWS_ENDPOINT_URL_STS", "http://no-such-host.invalid", 1);
    begin_anew();
    assert_refused("AWS STS (AWS_ENDPOINT_URL_STS): http://no-such-host.invalid: its name is not known");
    unsetenv("AWS_WEB_IDENTITY_TOKEN_FILE");
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/x", 1);
    begin_anew();
    assert_refused("AWS_CONTAINER_CREDENTIALS_FULL_URI: http://127.0.0.1:1: it refuses connections");
    (void)state;
}

static void *get_many(void *arg)
{
    size_t good = 0;
    (void)arg;
    for (int i = 0; i < 200; i++) {
        const struct aws_credentials *held = NULL;
        if (credentials_get(credentials, NOW_S + i * 60, &held).code)
            continue;
        good += str_has_prefix(held->access_key, STR("ASIA"));
        credentials_put(credentials, held);
    }
    return (void *)good;
}

static void many_threads_share_one_refresh(void **state)
{
    pthread_t threads[16];
    from_a_container();
    expiration = "2027-01-16T09:00:00Z";
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_many, NULL), 0);
    for (size_t i = 0; i < COUNT(threads); i++) {
        void *good = NULL;
        pthread_join(threads[i], &good);
        assert_int_equal((size_t)good, 200);
    }
    assert_int_equal(atomic_load(&server->requests), 1);
    expiration = "2027-01-15T09:00:00Z";
    (void)state;
}

/* --- what is answered -------------------------------------------------------------------------------------------- */

static void answers_without_whole_credentials_are_refused(void **state)
{
    static const char *const json[] = {
        "",
        "null",
        "[]",
        "{}",
        "{\"AccessKeyId\":\"a\"}",
        "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"\"}",
        "{\"AccessKeyId\":1,\"SecretAccessKey\":\"s\"}",
        "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"s\",\"Token\":\"t\",\"Expiration\":\"soon\"}",
        "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"s\",\"Token\":\"t\"}",
        "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"s\",\"Expiration\":\"2027-01-15T08:00:00Z\"}",
        "{\"AccessKeyId\":\"a\",\"AccessKeyId\":\"b\",\"SecretAccessKey\":\"s\"}",
        "{\"Code\":\"Failed\",\"Message\":\"no\"}",
    };
    static const char *const xml[] = {
        "",
        "<AccessKeyId>a</AccessKeyId>",
        "<AccessKeyId>a</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>",
        "<AccessKeyId>a</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
        "<Expiration>x</Expiration>",
        "<AccessKeyId></AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
        "<Expiration>2027-01-15T08:00:00Z</Expiration>",
        "<AccessKeyId>a</AccessKeyId><AccessKeyId>b</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
        "<SessionToken>t</SessionToken><Expiration>2027-01-15T08:00:00Z</Expiration>",
        "<AccessKeyId>a&lt;</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
        "<Expiration>2027-01-15T08:00:00Z</Expiration>",
        "<AccessKeyId>a<b/></AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
        "<Expiration>2027-01-15T08:00:00Z</Expiration>",
    };
    struct credentials_found found;
    for (size_t i = 0; i < COUNT(json); i++)
        assert_code(credentials_read_json(&arena, str_of(json[i]), &found), ERR_UNAVAILABLE, json[i]);
    for (size_t i = 0; i < COUNT(xml); i++)
        assert_code(credentials_read_xml(str_of(xml[i]), &found), ERR_UNAVAILABLE, xml[i]);
    assert_ok(credentials_read_json(&arena,
                                    STR("{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"s\",\"Token\":\"t\","
                                        "\"Expiration\":\"2027-01-15T09:30:00+01:30\"}"),
                                    &found));
    assert_int_equal(found.expires_s, NOW_S);
    (void)state;
}

static int open_client(void **state)
{
    (void)state;
    log_configure(LOG_ERROR, LOG_JSON);
    return (int)net_open("", &client).code;
}

static int close_client(void **state)
{
    (void)state;
    net_close(client);
    return 0;
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, begin, finish)

RUN_WITH(open_client, close_client, CASE(the_environment_comes_first), CASE(half_of_the_environment_is_refused),
         CASE(what_could_end_a_header_is_refused), CASE(profiles_are_read_from_both_files),
         CASE(a_file_that_is_too_long_is_refused), CASE(without_any_source_it_says_where_it_looked),
         CASE(a_container_shows_its_token_and_gets_credentials), CASE(a_container_asks_only_its_own_machine_or_https),
         CASE(a_web_identity_is_exchanged_at_sts), CASE(a_profile_may_name_a_web_identity),
         CASE(an_instance_gives_its_roles_credentials_for_a_session_token),
         CASE(they_are_kept_and_refreshed_before_they_expire),
         CASE(old_ones_serve_until_they_expire_when_no_new_ones_can_be_had),
         CASE(a_clock_that_is_set_back_holds_nobody_up), CASE(refused_ones_are_fetched_anew_but_not_at_every_call),
         CASE(expired_ones_are_not_used), CASE(many_threads_share_one_refresh),
         CASE(an_instances_credentials_are_used_expired_and_asked_for_again),
         CASE(an_instances_credentials_outlive_its_metadata), CASE(what_may_pass_is_asked_again),
         CASE(sts_is_asked_again_for_what_may_pass), CASE(an_environment_may_say_when_it_expires),
         CASE(the_region_is_looked_for_in_its_order), CASE(what_cannot_be_reached_is_named),
         CASE(answers_without_whole_credentials_are_refused))
