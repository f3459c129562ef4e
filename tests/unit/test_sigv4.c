/* test_sigv4.c: AWS's published suite for Signature Version 4, a row a case, each step by itself: a failure says which
 * step went wrong. tests/vectors/aws_sigv4.json, an object a line. */
#include "aws/sigv4.h"
#include "vectors.h"

enum { CASES = 38 };

static struct str named(const struct json *row, const char *name)
{
    struct str text = text_of(row, name);
    assert_true(text.at != NULL || json_member(row, str_of(name)) != NULL);
    return text;
}

static void check_case(const struct json *row)
{
    const char *name = arena_copy(&arena, named(row, "name")).at;
    struct sigv4_header headers[SIGV4_HEADERS_MAX];
    struct sigv4_request request = { .method = named(row, "method"),
                                     .path = named(row, "path"),
                                     .query = named(row, "query"),
                                     .headers = headers,
                                     .body = named(row, "body") };
    struct sigv4_scope scope = { .region = named(row, "region"), .service = named(row, "service") };
    struct str canonical, signed_headers, to_sign, authorization;
    unsigned char key[SIGV4_KEY_LEN];
    char signature[SIGV4_SIGNATURE_LEN + 1];
    request.normalize_path = json_member(row, STR("normalize"))->kind == JSON_TRUE;
    for (const struct json *at = json_member(row, STR("headers"))->child; at; at = at->next)
        headers[request.header_count++] = (struct sigv4_header){ at->child->text, at->child->next->text };
    assert_str(named(row, "timestamp"), "2015-08-30T12:36:00Z");
    sigv4_time(1440938160, scope.time);
    assert_string_equal(scope.time, "20150830T123600Z");

    assert_ok(sigv4_canonical_request(&arena, &request, &canonical, &signed_headers));
    assert_row(str_eq(canonical, named(row, "canonical_request")), name);
    to_sign = sigv4_string_to_sign(&arena, &scope, canonical);
    assert_row(str_eq(to_sign, named(row, "string_to_sign")), name);
    assert_ok(sigv4_derive_key(named(row, "secret_key"), &scope, key));
    assert_ok(sigv4_signature(key, to_sign, signature));
    assert_row(str_eq(str_of(signature), named(row, "signature")), name);
    assert_ok(sigv4_authorization(&arena, &request, &scope, named(row, "access_key"), key, &authorization));
    assert_row(str_eq(authorization, named(row, "authorization")), name);
    assert_row(authorization.at[authorization.len] == '\0', name);
}

static void every_step_of_every_case_of_the_suite_agrees(void **state)
{
    const char *where = getenv("TOKEN_VECTORS");
    static char text[8192];
    size_t cases = 0;
    if (!where)
        fail_msg("TOKEN_VECTORS does not name the folder of the vectors (meson test sets it)");
    FILE *file = fopen(arena_printf(&arena, "%s/aws_sigv4.json", where).at, "re");
    if (!file)
        fail_msg("the vectors aws_sigv4 can't be read");
    while (fgets(text, sizeof text, file)) {
        const struct json *row = NULL;
        struct str line = str_of(text);
        line.len -= str_has(line, '\n');
        line.len -= line.len > 0 && line.at[line.len - 1] == ',';
        if (text[0] != '{')
            continue;
        assert_ok(json_parse(&arena, arena_copy(&arena, line), &row));
        if (json_member(row, STR("source")))
            continue;
        check_case(row);
        cases++;
    }
    fclose(file);
    assert_int_equal(cases, CASES);
    (void)state;
}

static void what_does_not_fit_is_refused(void **state)
{
    struct sigv4_header headers[SIGV4_HEADERS_MAX + 1];
    struct sigv4_request request = { .method = STR("POST"), .path = STR("/"), .headers = headers };
    struct sigv4_scope scope = { .region = STR("r"), .service = STR("s") };
    struct str out, names;
    unsigned char key[SIGV4_KEY_LEN];
    char *many = arena_alloc(&arena, 300 * 1024);
    for (size_t i = 0; i < COUNT(headers); i++)
        headers[i] = (struct sigv4_header){ STR("a"), STR("b") };
    request.header_count = SIGV4_HEADERS_MAX;
    assert_ok(sigv4_canonical_request(&arena, &request, &out, &names));
    request.header_count = SIGV4_HEADERS_MAX + 1;
    assert_code(sigv4_canonical_request(&arena, &request, &out, &names), ERR_INTERNAL, "17 headers");
    request.header_count = 1;
    memset(many, '&', 300 * 1024);
    for (size_t i = 0; i < 65; i++)
        many[2 * i] = 'x';
    request.query = (struct str){ many, 127 };
    assert_ok(sigv4_canonical_request(&arena, &request, &out, &names));
    request.query.len = 129;
    assert_code(sigv4_canonical_request(&arena, &request, &out, &names), ERR_INTERNAL, "65 parameters");
    request.query.len = 0;
    memset(many, 'x', 300 * 1024);
    request.path = (struct str){ many, 300 * 1024 };
    assert_code(sigv4_canonical_request(&arena, &request, &out, &names), ERR_INTERNAL, "a long path");
    sigv4_time(0, scope.time);
    assert_ok(sigv4_derive_key((struct str){ many, 256 }, &scope, key));
    assert_code(sigv4_derive_key((struct str){ many, 257 }, &scope, key), ERR_INVALID_REQUEST, "a long secret");
    (void)state;
}

static void times_are_written_for_every_second_of_four_digit_years(void **state)
{
    static const struct {
        int64_t at_s;
        const char *text;
    } rows[] = {
        { 0, "19700101T000000Z" },
        { 951782399, "20000228T235959Z" },
        { 951782400, "20000229T000000Z" },
        { 253402300799, "99991231T235959Z" },
        { 253402300800, "19700101T000000Z" }, /* out of range: no time that a service takes */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[SIGV4_TIME_LEN + 1];
        sigv4_time(rows[i].at_s, text);
        assert_string_equal(text, rows[i].text);
    }
    (void)state;
}

RUN(TEST(every_step_of_every_case_of_the_suite_agrees), TEST(what_does_not_fit_is_refused),
    TEST(times_are_written_for_every_second_of_four_digit_years))
