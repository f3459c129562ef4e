/* test_client_metadata.c: what a client may register, and what is made of rows that others wrote. The rules between
 * members (client_rules.c) are met here too, as they are in the service. */
#include "service/client_metadata.h"
#include "unit.h"

/* RFC 7517 appendix A.1, the EC key; RFC 8037 appendix A.2; and the private half of the latter. */
#define EC                                                                                                             \
    "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\","                          \
    "\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\""
#define OKP "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""
#define PRIVATE OKP ",\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\""
#define JWKS(keys) "\"jwks\":{\"keys\":[" keys "]}"
#define CB "\"redirect_uris\":[\"https://a.example/cb\"]"
#define KEYED "\"token_endpoint_auth_method\":\"private_key_jwt\""
#define OPEN "\"token_endpoint_auth_method\":\"none\""

static struct err take(struct str text, struct client_metadata *out)
{
    const struct json *object;
    assert_ok(json_parse(&arena, text, &object));
    return client_metadata_take(&arena, object, out);
}

static struct str written(const struct client_metadata *metadata)
{
    struct buf out;
    buf_init(&out, &arena, 256, 2 * CLIENT_METADATA_MAX);
    buf_add_char(&out, '{');
    client_metadata_write(metadata, &out);
    buf_add_char(&out, '}');
    assert_false(out.overflowed);
    return buf_str(&out);
}

static void what_is_not_said_has_its_default(void **state)
{
    struct client_metadata got;
    (void)state;
    assert_ok(take(STR("{}"), &got));
    assert_true(got.grants == 0 && got.responses == 0 && got.auth == CLIENT_AUTH_BASIC && got.require_pkce);
    assert_true(got.id_token_alg == JWA_RS256 && got.userinfo_alg == 0 && got.refresh_token_rotation);
    assert_true(got.default_max_age_s == -1 && got.refresh_token_grace_s == -1 && got.refresh_token_idle_s == -1);
    assert_str(written(&got), "{\"application_type\":\"web\",\"redirect_uris\":[],\"grant_types\":[],"
                              "\"response_types\":[],"
                              "\"token_endpoint_auth_method\":\"client_secret_basic\",\"subject_type\":\"public\","
                              "\"id_token_signed_response_alg\":\"RS256\",\"require_pkce\":true}");
    assert_ok(take(STR("{" CB ",\"response_types\":null,\"grant_types\":null}"), &got));
    assert_true(got.grants == GRANT_AUTHORIZATION_CODE && got.responses == RESPONSE_CODE); /* RFC 7591 section 2 */
}

static void all_that_is_said_is_read_and_written(void **state)
{
    static const struct str all = ROW(
        "{\"application_type\":\"native\",\"redirect_uris\":[\"com.example.app:/cb\",\"http://127.0.0.1/cb\"],"
        "\"post_logout_redirect_uris\":[\"com.example.app:/bye\"],"
        "\"grant_types\":[\"authorization_code\",\"refresh_token\",\"client_credentials\"],"
        "\"response_types\":[\"code\"],"
        "\"token_endpoint_auth_method\":\"private_key_jwt\",\"token_endpoint_auth_signing_alg\":\"ES256\","
        "\"jwks\":{\"keys\": [ {" EC "} ] },\"subject_type\":\"pairwise\","
        "\"sector_identifier_uri\":\"https://a.example/sector\",\"id_token_signed_response_alg\":\"EdDSA\","
        "\"userinfo_signed_response_alg\":\"PS256\",\"request_object_signing_alg\":\"RS256\",\"require_pkce\":false,"
        "\"require_auth_time\":true,\"default_max_age\":0,\"backchannel_logout_uri\":\"https://a.example/bye\","
        "\"backchannel_logout_session_required\":true,\"initiate_login_uri\":\"https://a.example/in\","
        "\"client_uri\":\"https://a.example/\",\"logo_uri\":\"https://a.example/l.png\","
        "\"policy_uri\":\"https://a.example/p\",\"tos_uri\":\"https://a.example/t\",\"contacts\":[\"a@a.example\"],"
        "\"resources\":[\"https://api.example/\",\"urn:x\"],\"refresh_token_rotation\":false,\"refresh_token_grace\":0,"
        "\"refresh_token_idle\":60,\"skip_consent\":true,\"assertion_audience\":\"token_endpoint\"}");
    struct client_metadata got, again;
    (void)state;
    assert_ok(take(all, &got));
    assert_str(written(&got), all.at);
    client_metadata_read(&arena, all, false, &again);
    assert_str(written(&again), all.at);
    assert_true(got.application == APPLICATION_NATIVE && got.subject == SUBJECT_PAIRWISE);
    assert_true(got.assertion_audience == AUDIENCE_TOKEN_ENDPOINT && got.redirect_uris.count == 2);
    assert_str(got.redirect_uris.at[1], "http://127.0.0.1/cb");
    assert_true(got.auth == CLIENT_AUTH_KEY && got.auth_alg == JWA_ES256 && got.jwks.len > 0);
}

static const struct {
    struct str text; /* without its braces */
    enum err_code code;
} rows[] = {
    { ROW(CB), ERR_OK },
    { ROW(CB ",\"grant_types\":[\"authorization_code\",\"refresh_token\"]"), ERR_OK },
    { ROW("\"grant_types\":[\"client_credentials\"]"), ERR_OK },
    { ROW("\"grant_types\":[]"), ERR_OK },
    { ROW(OPEN), ERR_OK },
    { ROW(OPEN "," CB), ERR_OK },
    { ROW(KEYED "," JWKS("{" EC "}")), ERR_OK },
    { ROW(KEYED "," JWKS("{" EC ",\"kid\":\"1\"},{" OKP ",\"kid\":\"2\"}")), ERR_OK },
    { ROW(KEYED "," JWKS("{" EC "},{\"kty\":\"RSA\",\"use\":\"enc\",\"n\":\"x\"}")), ERR_OK },
    { ROW(KEYED ",\"jwks_uri\":\"https://a.example/jwks\""), ERR_OK },
    { ROW(CB ",\"subject_type\":\"pairwise\""), ERR_OK },
    { ROW("\"redirect_uris\":[\"https://a.example/1\",\"https://A.example/2\"],\"subject_type\":\"pairwise\""),
      ERR_OK },
    { ROW("\"refresh_token_grace\":3600,\"refresh_token_idle\":1,\"default_max_age\":2147483647"), ERR_OK },
    { ROW("\"contacts\":[],\"resources\":[],\"response_types\":[]"), ERR_OK },

    /* redirect URIs have an error of their own */
    { ROW("\"redirect_uris\":[\"https://a.example/cb#x\"]"), ERR_REDIRECT_URI },
    { ROW("\"redirect_uris\":[\"http://a.example/cb\"]"), ERR_REDIRECT_URI },
    { ROW("\"redirect_uris\":[\"com.example.app:/cb\"]"), ERR_REDIRECT_URI }, /* of a web application */
    { ROW("\"redirect_uris\":[\"com.example.app:/cb\"],\"application_type\":\"native\""), ERR_OK },
    { ROW("\"redirect_uris\":[\"myapp:/cb\"],\"application_type\":\"native\""), ERR_REDIRECT_URI },
    { ROW("\"redirect_uris\":[\"https://a.example/cb\",\"https://a.example/cb\"]"), ERR_REDIRECT_URI },
    { ROW("\"redirect_uris\":[1]"), ERR_REDIRECT_URI },
    { ROW("\"redirect_uris\":[null]"), ERR_REDIRECT_URI },
    { ROW("\"redirect_uris\":\"https://a.example/cb\""), ERR_REDIRECT_URI },
    { ROW("\"redirect_uris\":[],\"grant_types\":[\"authorization_code\"]"), ERR_REDIRECT_URI },
    { ROW(CB ",\"grant_types\":[\"client_credentials\"]"), ERR_REDIRECT_URI },

    { ROW("\"post_logout_redirect_uris\":[\"https://a.example/bye?state=x\"]"), ERR_CLIENT_METADATA },
    { ROW("\"application_type\":\"desktop\""), ERR_CLIENT_METADATA },
    { ROW("\"grant_types\":[\"implicit\"]"), ERR_CLIENT_METADATA },
    { ROW("\"grant_types\":[\"refresh_token\"]"), ERR_CLIENT_METADATA },
    { ROW("\"grant_types\":\"client_credentials\""), ERR_CLIENT_METADATA },
    { ROW("\"response_types\":[\"token\"]"), ERR_CLIENT_METADATA },
    { ROW("\"response_types\":[\"code id_token\"]"), ERR_CLIENT_METADATA },
    { ROW("\"token_endpoint_auth_method\":\"client_secret_jwt\""), ERR_CLIENT_METADATA },
    { ROW("\"token_endpoint_auth_method\":\"unsupported\""), ERR_CLIENT_METADATA },
    { ROW("\"token_endpoint_auth_method\":\"NONE\""), ERR_CLIENT_METADATA },
    { ROW(OPEN ",\"grant_types\":[\"client_credentials\"]"), ERR_CLIENT_METADATA },
    { ROW(OPEN "," CB ",\"require_pkce\":false"), ERR_CLIENT_METADATA },
    { ROW("\"require_pkce\":\"false\""), ERR_CLIENT_METADATA },
    { ROW("\"id_token_signed_response_alg\":\"none\""), ERR_CLIENT_METADATA },
    { ROW("\"id_token_signed_response_alg\":\"HS256\""), ERR_CLIENT_METADATA },
    { ROW("\"userinfo_signed_response_alg\":\"rs256\""), ERR_CLIENT_METADATA },
    { ROW("\"request_object_signing_alg\":\"RS256\""), ERR_CLIENT_METADATA }, /* there is no key */
    { ROW(KEYED ",\"token_endpoint_auth_signing_alg\":\"Ed25519\"," JWKS("{" OKP ",\"alg\":\"Ed25519\"}")), ERR_OK },
    { ROW("\"request_object_signing_alg\":\"Ed25519\"," JWKS("{" OKP "}")), ERR_OK },
    { ROW("\"request_object_signing_alg\":\"ed25519\"," JWKS("{" OKP "}")), ERR_CLIENT_METADATA },
    { ROW("\"token_endpoint_auth_signing_alg\":\"Ed448\""), ERR_CLIENT_METADATA },
    { ROW("\"id_token_signed_response_alg\":\"Ed25519\""), ERR_CLIENT_METADATA }, /* what is signed here is EdDSA */
    { ROW("\"userinfo_signed_response_alg\":\"Ed25519\""), ERR_CLIENT_METADATA },
    { ROW("\"backchannel_logout_uri\":\"http://127.0.0.1/bye\""), ERR_CLIENT_METADATA },
    { ROW("\"backchannel_logout_uri\":\"https://a.example/bye#x\""), ERR_CLIENT_METADATA },
    { ROW("\"client_uri\":\"javascript:alert(1)\""), ERR_CLIENT_METADATA },
    { ROW("\"contacts\":[\"\"]"), ERR_CLIENT_METADATA },
    { ROW("\"resources\":[\"api\"]"), ERR_CLIENT_METADATA },
    { ROW("\"default_max_age\":-1"), ERR_CLIENT_METADATA },
    { ROW("\"default_max_age\":1.5"), ERR_CLIENT_METADATA },
    { ROW("\"refresh_token_grace\":3601"), ERR_CLIENT_METADATA },
    { ROW("\"refresh_token_idle\":0"), ERR_CLIENT_METADATA },
    { ROW("\"subject_type\":\"pairwise\""), ERR_CLIENT_METADATA },
    { ROW("\"subject_type\":\"unsupported\""), ERR_CLIENT_METADATA },
    { ROW("\"subject_type\":\"Pairwise\""), ERR_CLIENT_METADATA },
    { ROW("\"redirect_uris\":[\"https://a.example/\",\"https://b.example/\"],\"subject_type\":\"pairwise\""),
      ERR_CLIENT_METADATA },
    { ROW("\"redirect_uris\":[\"com.example:/\"],\"application_type\":\"native\",\"subject_type\":\"pairwise\""),
      ERR_CLIENT_METADATA },
    { ROW("\"client_name\":\"x\""), ERR_CLIENT_METADATA }, /* not one of these */
    { ROW("\"software_id\":\"x\""), ERR_CLIENT_METADATA },

    /* keys */
    { ROW(KEYED), ERR_CLIENT_METADATA },
    { ROW(KEYED ",\"jwks_uri\":\"https://a.example/jwks\"," JWKS("{" EC "}")), ERR_CLIENT_METADATA },
    { ROW(KEYED ",\"jwks_uri\":\"http://127.0.0.1/jwks\""), ERR_CLIENT_METADATA },
    { ROW(KEYED "," JWKS("")), ERR_CLIENT_METADATA },
    { ROW(KEYED "," JWKS("{" PRIVATE "}")), ERR_CLIENT_METADATA },
    { ROW(KEYED "," JWKS("{\"kty\":\"oct\",\"k\":\"AAAAAAAAAAAAAAAAAAAAAA\"}")), ERR_CLIENT_METADATA },
    { ROW(KEYED "," JWKS("{" EC "},{\"kty\":\"oct\",\"use\":\"enc\",\"k\":\"AAAA\"}")), ERR_CLIENT_METADATA },
    { ROW(KEYED "," JWKS("{" EC ",\"use\":\"enc\"}")), ERR_CLIENT_METADATA },
    { ROW(KEYED "," JWKS("{" EC ",\"kid\":\"1\"},{" OKP ",\"kid\":\"1\"}")), ERR_CLIENT_METADATA },
    { ROW(KEYED "," JWKS("1")), ERR_CLIENT_METADATA },
    { ROW(KEYED ",\"jwks\":[{" EC "}]"), ERR_CLIENT_METADATA },
    { ROW(KEYED ",\"jwks\":{\"keys\":{" EC "}}"), ERR_CLIENT_METADATA },
    { ROW(KEYED ",\"jwks\":{}"), ERR_CLIENT_METADATA },
};

static void what_may_be_registered_is_taken_and_nothing_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct client_metadata got, again;
        struct str text = arena_printf(&arena, "{%.*s}", (int)rows[i].text.len, rows[i].text.at);
        struct err err = take(text, &got);
        assert_code(err, rows[i].code, text.at);
        assert_row(!err.code == !err.why, text.at);
        if (err.code)
            continue;
        assert_ok(take(written(&got), &again)); /* as it is written, it is taken again, and the same */
        assert_row(str_eq(written(&again), written(&got)), text.at);
    }
}

static struct str list_of(const char *member, size_t count, size_t len)
{
    struct buf out;
    buf_init(&out, &arena, 1024, 1024 * 1024);
    buf_add(&out, arena_printf(&arena, "{\"%s\":[", member));
    for (size_t i = 0; i < count; i++) {
        buf_add(&out, arena_printf(&arena, "%s\"https://a.example/%02zu", i ? "," : "", i));
        for (size_t at = 20; at < len; at++)
            buf_add_char(&out, 'x');
        buf_add_char(&out, '"');
    }
    buf_add(&out, STR("]}"));
    return buf_str(&out);
}

static void lists_and_all_together_are_bounded(void **state)
{
    struct client_metadata got;
    (void)state;
    assert_ok(take(list_of("redirect_uris", 32, 20), &got));
    assert_int_equal(got.redirect_uris.count, 32);
    assert_code(take(list_of("redirect_uris", 33, 20), &got), ERR_REDIRECT_URI, "33 URIs");
    assert_ok(take(list_of("post_logout_redirect_uris", 15, 2048), &got));
    assert_code(take(list_of("post_logout_redirect_uris", 15, 2049), &got), ERR_CLIENT_METADATA, "a URI of 2049 bytes");
    assert_code(take(list_of("post_logout_redirect_uris", 16, 2048), &got), ERR_CLIENT_METADATA, "above 32 KB");
    client_metadata_read(&arena, list_of("redirect_uris", 40, 20), false, &got);
    assert_int_equal(got.redirect_uris.count, 32);
}

/* Whatever the platform wrote: nothing is allowed by what is not understood. */
static void a_row_that_others_wrote_allows_no_more_than_it_says(void **state)
{
    static const struct str nonsense[] = { ROW(""),   ROW("x"),    ROW("[]"),   ROW("null"),
                                           ROW("{}"), ROW("{{}}"), ROW("\"\""), ROW("{\"redirect_uris\":{}}") };
    struct client_metadata got;
    (void)state;
    for (size_t i = 0; i < COUNT(nonsense); i++) {
        client_metadata_read(&arena, nonsense[i], false, &got);
        assert_row(got.grants == 0 && got.redirect_uris.count == 0 && got.require_pkce, nonsense[i].at);
        assert_row(got.auth == CLIENT_AUTH_BASIC && got.subject == SUBJECT_PUBLIC, nonsense[i].at);
    }
    client_metadata_read(&arena,
                         STR("{\"redirect_uris\":[null,\"https://a.example/cb\",\"http://a.example/cb\",7,"
                             "\"https://a.example/cb\"],\"grant_types\":[\"implicit\",\"authorization_code\",{}],"
                             "\"response_types\":[\"token\",\"code\"],\"token_endpoint_auth_method\":"
                             "\"client_secret_jwt\",\"require_pkce\":\"no\",\"id_token_signed_response_alg\":\"HS256\","
                             "\"default_max_age\":\"x\",\"subject_type\":3,\"software_id\":{},"
                             "\"jwks\":{\"keys\":[]},\"jwks_uri\":\"https://a.example/jwks\"}"),
                         false, &got);
    assert_int_equal(got.redirect_uris.count, 1);
    assert_str(got.redirect_uris.at[0], "https://a.example/cb");
    assert_true(got.grants == GRANT_AUTHORIZATION_CODE && got.responses == RESPONSE_CODE && got.require_pkce);
    assert_true(got.auth == CLIENT_AUTH_UNSUPPORTED && got.id_token_alg == JWA_RS256 && got.default_max_age_s == -1);
    assert_true(got.subject == SUBJECT_UNSUPPORTED && got.jwks.len > 0 && got.jwks_uri.len == 0);
}

static void whether_a_client_has_a_secret_comes_before_its_method(void **state)
{
    struct client_metadata got;
    (void)state;
    client_metadata_read(&arena, STR("{\"token_endpoint_auth_method\":\"client_secret_basic\",\"require_pkce\":false}"),
                         true, &got);
    assert_true(got.auth == CLIENT_AUTH_NONE && got.require_pkce);
    client_metadata_read(&arena, STR("{" OPEN "}"), false, &got);
    assert_int_equal(got.auth, CLIENT_AUTH_UNSUPPORTED);
}

static void the_sentence_names_the_member(void **state)
{
    struct client_metadata got;
    (void)state;
    assert_string_equal(take(STR("{\"redirect_uris\":[\"http://a.example/\"]}"), &got).why,
                        "the member \"redirect_uris\" is refused: it is neither https nor on the loopback interface");
    assert_string_equal(take(STR("{\"tos_uri\":1}"), &got).why,
                        "the member \"tos_uri\" is refused: it is not a string");
}

RUN(TEST(what_is_not_said_has_its_default), TEST(all_that_is_said_is_read_and_written),
    TEST(what_may_be_registered_is_taken_and_nothing_else), TEST(lists_and_all_together_are_bounded),
    TEST(a_row_that_others_wrote_allows_no_more_than_it_says),
    TEST(whether_a_client_has_a_secret_comes_before_its_method), TEST(the_sentence_names_the_member))
