/* test_kms.c: the calls of KMS against a real HTTP server on the loopback whose answers a test scripts: what is sent,
 * what is made of each answer, what is tried again and what is not. That real KMS takes the signatures of the requests
 * is shown elsewhere: test_sigv4.c, and tests/integration. */
#include "aws/kms.h"
#include "aws/kms_error.h"
#include "base/sentence.h"
#include "fake_aws.h"
#include "jose/jws.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <time.h>

static struct kms *kms;
static struct settings settings;

static void say(int status, const char *headers, const char *body)
{
    pthread_mutex_lock(&script_lock);
    assert_true(script_len < COUNT(script));
    script[script_len++] = (struct line){ status, headers, body };
    pthread_mutex_unlock(&script_lock);
}

#define SIGNED "{\"KeyId\":\"k\",\"Signature\":\"c2lnbmF0dXJl\",\"SigningAlgorithm\":\"a\"}"

static int begin(void **state)
{
    fake_aws_begin();
    settings = (struct settings){ .aws_region = "eu-west-1",
                                  .aws_endpoint_url = "",
                                  .aws_endpoint_url_kms = server->url,
                                  .aws_ca_bundle = "",
                                  .kms_rate = 1000000,
                                  .kms_timeout_s = 5,
                                  .kms_try_timeout_s = 1 };
    if (kms_open(&settings, &kms).code)
        return 1;
    return arena_begin(state);
}

static int finish(void **state)
{
    kms_close(kms);
    http_stop(server);
    return arena_finish(state);
}

static struct err sign(enum jwa alg, char out[JWK_SIGNATURE_MAX], size_t *len)
{
    return kms_sign(kms, STR("alias/tokens"), alg, KMS_INTERACTIVE, STR("header.payload"), out, len);
}

static struct err sign_any(void)
{
    char out[JWK_SIGNATURE_MAX];
    size_t len = 0;
    return sign(JWA_RS256, out, &len);
}

/* --- what is sent ------------------------------------------------------------------------------------------------ */

static void a_signature_is_asked_for_as_kms_wants_it(void **state)
{
    static const struct {
        enum jwa alg;
        const char *has;
    } rows[] = {
        { JWA_RS256, "\"SigningAlgorithm\":\"RSASSA_PKCS1_V1_5_SHA_256\"}" },
        { JWA_PS256, "\"SigningAlgorithm\":\"RSASSA_PSS_SHA_256\"}" },
        { JWA_ES256, "\"SigningAlgorithm\":\"ECDSA_SHA_256\"}" },
        { JWA_EDDSA, "\"Message\":\"aGVhZGVyLnBheWxvYWQ=\",\"MessageType\":\"RAW\","
                     "\"SigningAlgorithm\":\"ED25519_SHA_512\"}" },
    };
    unsigned char hash[32];
    char expected[128];
    sha256(STR("header.payload"), hash);
    EVP_EncodeBlock((unsigned char *)expected, hash, 32);
    say(200, NULL, SIGNED);
    for (size_t i = 0; i < COUNT(rows); i++) {
        char out[JWK_SIGNATURE_MAX];
        size_t len = 0;
        (void)sign(rows[i].alg, out, &len).code;
        const struct str sent = str_of(server->last);
        assert_row(str_has_prefix(sent, STR("POST / HTTP/1.1\r\n")), server->last);
        assert_row(http_has(sent, "\r\nX-Amz-Target: TrentService.Sign\r\n"), server->last);
        assert_row(http_has(sent, "\r\nContent-Type: application/x-amz-json-1.1\r\n"), server->last);
        assert_row(http_has(sent, "\r\nAuthorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), server->last);
        assert_row(http_has(sent, "/eu-west-1/kms/aws4_request, SignedHeaders=content-type;host;x-amz-date;"
                                  "x-amz-target, Signature="),
                   server->last);
        assert_row(!http_has(sent, "X-Amz-Security-Token"), server->last);
        assert_row(http_has(sent, "\r\n\r\n{\"KeyId\":\"alias/tokens\","), server->last);
        assert_row(http_has(sent, rows[i].has), server->last);
        if (rows[i].alg != JWA_EDDSA)
            assert_row(http_has(sent,
                                arena_printf(&arena, "\"Message\":\"%s\",\"MessageType\":\"DIGEST\"", expected).at),
                       server->last);
    }
    (void)state;
}

static void a_session_token_is_sent_and_signed(void **state)
{
    kms_close(kms);
    setenv("AWS_SESSION_TOKEN", "session==", 1);
    assert_ok(kms_open(&settings, &kms));
    say(200, NULL, SIGNED);
    assert_ok(sign_any());
    assert_true(http_has(str_of(server->last), "\r\nX-Amz-Security-Token: session==\r\n"));
    assert_true(http_has(str_of(server->last), "x-amz-date;x-amz-security-token;x-amz-target, "));
    (void)state;
}

static void ed25519_takes_4096_bytes_and_no_more(void **state)
{
    char out[JWK_SIGNATURE_MAX], *long_input = arena_alloc(&arena, 4097);
    size_t len = 0;
    memset(long_input, 'x', 4097);
    say(200, NULL,
        "{\"Signature\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\"}");
    assert_ok(kms_sign(kms, STR("k"), JWA_EDDSA, KMS_BACKGROUND, (struct str){ long_input, 4096 }, out, &len));
    assert_int_equal(len, 64);
    assert_code(kms_sign(kms, STR("k"), JWA_EDDSA, KMS_BACKGROUND, (struct str){ long_input, 4097 }, out, &len),
                ERR_INVALID_REQUEST, "4097 bytes");
    assert_int_equal(atomic_load(&server->requests), 1);
    (void)state;
}

static void names_are_escaped(void **state)
{
    struct kms_key key;
    say(400, NULL, ERROR("NotFoundException"));
    assert_code(kms_describe(kms, &arena, STR("a\"},\\\n"), &key), ERR_NOT_FOUND, "odd id");
    assert_true(http_has(str_of(server->last), "{\"KeyId\":\"a\\\"},\\\\\\n\"}"));
    assert_code(kms_describe(kms, &arena, STR("\xff"), &key), ERR_INVALID_REQUEST, "no UTF-8");
    (void)state;
}

/* --- what is answered -------------------------------------------------------------------------------------------- */

static void an_ecdsa_signature_becomes_raw_or_is_refused(void **state)
{
    char out[JWK_SIGNATURE_MAX];
    size_t len = 0;
    say(200, NULL, "{\"Signature\":\"MAYCAQECAQI=\"}"); /* r = 1, s = 2 */
    say(200, NULL, "{\"Signature\":\"MAYCAQACAQI=\"}"); /* r = 0 */
    assert_ok(sign(JWA_ES256, out, &len));
    assert_int_equal(len, 64);
    assert_int_equal(out[31], 1);
    assert_int_equal(out[63], 2);
    assert_code(sign(JWA_ES256, out, &len), ERR_UNAVAILABLE, "r = 0");
    (void)state;
}

static void answers_that_make_no_sense_are_refused(void **state)
{
    static const char *const bodies[] = {
        "",
        "{}",
        "[]",
        "null",
        "not JSON",
        "{\"Signature\":null}",
        "{\"Signature\":7}",
        "{\"Signature\":\"\"}",
        "{\"Signature\":\"a\"}",
        "{\"Signature\":\"AA=A\"}",
        "{\"Signature\":\"c2ln\",\"Signature\":\"c2ln\"}",
    };
    char *large = arena_alloc(&arena, 2000);
    for (size_t i = 0; i < COUNT(bodies); i++) {
        begin_script(NULL, 0);
        say(200, NULL, bodies[i]);
        assert_code(sign_any(), ERR_UNAVAILABLE, bodies[i]);
    }
    memset(large, 'A', 2000); /* 1,026 bytes */
    memcpy(large, "{\"Signature\":\"", 14);
    memcpy(large + 14 + 1368, "\"}", 3);
    begin_script(NULL, 0);
    say(200, NULL, large);
    assert_code(sign_any(), ERR_UNAVAILABLE, "a long signature");
    (void)state;
}

static void a_key_is_described(void **state)
{
    struct kms_key key;
    say(200, NULL,
        "{\"KeyMetadata\":{\"Arn\":\"arn:k\",\"KeySpec\":\"ECC_NIST_P256\",\"KeyUsage\":\"SIGN_VERIFY\",\"KeyState\":"
        "\"Enabled\"}}");
    say(200, NULL,
        "{\"KeyMetadata\":{\"Arn\":\"arn:k\",\"CustomerMasterKeySpec\":\"SYMMETRIC_DEFAULT\",\"KeyUsage\":"
        "\"ENCRYPT_DECRYPT\",\"KeyState\":\"PendingDeletion\"}}");
    say(200, NULL, "{\"KeyMetadata\":{\"Arn\":\"arn:k\"}}");
    assert_ok(kms_describe(kms, &arena, STR("k"), &key));
    assert_str(key.arn, "arn:k");
    assert_str(key.spec, "ECC_NIST_P256");
    assert_true(key.is_signing && key.state == KMS_ENABLED);
    assert_ok(kms_describe(kms, &arena, STR("k"), &key));
    assert_str(key.spec, "SYMMETRIC_DEFAULT");
    assert_true(!key.is_signing && key.state == KMS_PENDING_DELETION);
    assert_code(kms_describe(kms, &arena, STR("k"), &key), ERR_UNAVAILABLE, "half");
    (void)state;
}

static void each_error_is_judged(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum aws_verdict verdict;
        enum err_code err;
        const char *code;
    } rows[] = {
        { 400, ERROR("ThrottlingException"), AWS_THROTTLED, ERR_UNAVAILABLE, "ThrottlingException" },
        { 400, ERROR("com.amazonaws.kms#NotFoundException"), AWS_FINAL, ERR_NOT_FOUND, "NotFoundException" },
        { 400, ERROR("NotFoundException:http://x/"), AWS_FINAL, ERR_NOT_FOUND, "NotFoundException" },
        { 400, ERROR("DisabledException"), AWS_FINAL, ERR_UNAVAILABLE, "DisabledException" },
        { 400, ERROR("KMSInvalidStateException"), AWS_FINAL, ERR_UNAVAILABLE, "KMSInvalidStateException" },
        { 400, ERROR("InvalidKeyUsageException"), AWS_FINAL, ERR_UNAVAILABLE, "InvalidKeyUsageException" },
        { 400, ERROR("AccessDeniedException"), AWS_FINAL, ERR_INSUFFICIENT_SCOPE, "AccessDeniedException" },
        { 400, ERROR("ValidationException"), AWS_FINAL, ERR_UNAVAILABLE, "ValidationException" },
        { 500, ERROR("KMSInternalException"), AWS_AGAIN, ERR_UNAVAILABLE, "KMSInternalException" },
        { 400, ERROR("DependencyTimeoutException"), AWS_AGAIN, ERR_UNAVAILABLE, "DependencyTimeoutException" },
        { 500, ERROR("KeyUnavailableException"), AWS_AGAIN, ERR_UNAVAILABLE, "KeyUnavailableException" },
        { 503, "<html>", AWS_AGAIN, ERR_UNAVAILABLE, "none" },
        { 502, "", AWS_AGAIN, ERR_UNAVAILABLE, "none" },
        { 429, "", AWS_THROTTLED, ERR_UNAVAILABLE, "none" },
        { 404, "[1,2]", AWS_FINAL, ERR_UNAVAILABLE, "none" },
        { 400, "{\"__type\":7}", AWS_FINAL, ERR_UNAVAILABLE, "none" },
        { 400, ERROR("InvalidSignatureException"), AWS_FINAL, ERR_UNAVAILABLE, "InvalidSignatureException" },
        { 400, "{\"__type\":\"InvalidSignatureException\",\"message\":\"Signature expired: 1 is now earlier than 2\"}",
          AWS_WRONG_CLOCK, ERR_UNAVAILABLE, "InvalidSignatureException" },
        { 400, "{\"__type\":\"InvalidSignatureException\",\"Message\":\"Signature not yet current: 1\"}",
          AWS_WRONG_CLOCK, ERR_UNAVAILABLE, "InvalidSignatureException" },
        { 400, ERROR("RequestTimeTooSkewed"), AWS_WRONG_CLOCK, ERR_UNAVAILABLE, "RequestTimeTooSkewed" },
        { 400, ERROR("ExpiredTokenException"), AWS_BAD_CREDENTIALS, ERR_UNAVAILABLE, "ExpiredTokenException" },
        { 400, ERROR("UnrecognizedClientException"), AWS_BAD_CREDENTIALS, ERR_UNAVAILABLE,
          "UnrecognizedClientException" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct kms_error error;
        kms_error_read(&arena, rows[i].status, (struct str){ 0, 0 }, str_of(rows[i].body), &error);
        assert_row(error.verdict == rows[i].verdict, rows[i].body);
        assert_code(error.err, rows[i].err, rows[i].body);
        assert_row(str_eq(error.code, str_of(rows[i].code)), rows[i].body);
        assert_row(error.err.why && !strstr(error.err.why, "Exception"), rows[i].body); /* AWS's words are the log's */
    }
    (void)state;
}

/* A header or either of two members says it; the header first. */
static void an_errors_type_is_read_wherever_aws_writes_it(void **state)
{
    static const struct {
        const char *type, *body, *code;
    } rows[] = {
        { "ThrottlingException", "", "ThrottlingException" },
        { "ThrottlingException", "<html>", "ThrottlingException" },
        { "ThrottlingException", ERROR("NotFoundException"), "ThrottlingException" },
        { "com.amazonaws.kms#NotFoundException", "{}", "NotFoundException" },
        { "NotFoundException:http://internal.amazon.com/coral/", "", "NotFoundException" },
        { "aws.kms#NotFoundException:http://internal.amazon.com/#x", "", "NotFoundException" },
        { "", "{\"code\":\"NotFoundException\"}", "NotFoundException" },
        { "", "{\"code\":\"DisabledException\",\"__type\":\"a#NotFoundException\"}", "NotFoundException" },
        { "", "{\"code\":7,\"__type\":\"\"}", "none" },
        { ":", "{\"code\":\"NotFoundException\"}", "NotFoundException" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct kms_error error;
        kms_error_read(&arena, 400, str_of(rows[i].type), str_of(rows[i].body), &error);
        assert_row(str_eq(error.code, str_of(rows[i].code)), rows[i].body);
    }
    say(400, "x-amzn-ErrorType: ThrottlingException:http://x/\r\n", "");
    say(200, NULL, SIGNED);
    assert_ok(sign_any()); /* it came with the answer */
    (void)state;
}

static void a_keys_arn_says_its_region(void **state)
{
    char out[JWK_SIGNATURE_MAX];
    size_t len = 0;
    say(200, NULL, SIGNED);
    assert_ok(kms_sign(kms, STR("arn:aws:kms:ap-south-1:1:key/k"), JWA_RS256, KMS_INTERACTIVE, STR("x"), out, &len));
    assert_true(http_has(str_of(server->last), "/ap-south-1/kms/aws4_request, "));
    assert_ok(sign_any());
    assert_true(http_has(str_of(server->last), "/eu-west-1/kms/aws4_request, "));
    (void)state;
}

static void what_cannot_be_reached_is_named_with_its_setting(void **state)
{
    static const struct {
        const char *url, *says;
    } rows[] = {
        { "http://127.0.0.1:1", "AWS KMS (AWS_ENDPOINT_URL_KMS): http://127.0.0.1:1: it refuses connections: nothing "
                                "listens there" },
        { "http://no-such-host.invalid", "AWS KMS (AWS_ENDPOINT_URL_KMS): http://no-such-host.invalid: its name is not "
                                         "known" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        kms_close(kms);
        settings.aws_endpoint_url_kms = rows[i].url ? rows[i].url
                                                    : arena_printf(&arena, "https%s", server->url + strlen("http")).at;
        settings.kms_timeout_s = 1;
        assert_ok(kms_open(&settings, &kms));
        struct err err = sign_any();
        assert_row(err.code == ERR_UNAVAILABLE && strstr(err.why, rows[i].says), err.why);
        assert_string_equal(sentence_for_callers(err.why), "AWS KMS can't be reached; try again later");
    }
    (void)state;
}

/* --- what is tried again ----------------------------------------------------------------------------------------- */

static void what_may_pass_is_tried_again(void **state)
{
    static const struct {
        int status;
        const char *body;
    } rows[] = {
        { 400, ERROR("ThrottlingException") },
        { 500, ERROR("KMSInternalException") },
        { 400, ERROR("DependencyTimeoutException") },
        { 500, ERROR("KeyUnavailableException") },
        { 503, "<html>" },
        { 0, NULL },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        begin_script(NULL, 0);
        say(rows[i].status, NULL, rows[i].body);
        say(rows[i].status, NULL, rows[i].body);
        say(200, NULL, SIGNED);
        assert_code(sign_any(), ERR_OK, rows[i].body);
        assert_int_equal(atomic_load(&at), 3);
    }
    (void)state;
}

static void what_will_not_pass_is_not(void **state)
{
    static const char *const bodies[] = {
        ERROR("DisabledException"),     ERROR("KMSInvalidStateException"), ERROR("NotFoundException"),
        ERROR("AccessDeniedException"), ERROR("InvalidKeyUsageException"), ERROR("InvalidSignatureException"),
        ERROR("ValidationException"),
    };
    for (size_t i = 0; i < COUNT(bodies); i++) {
        begin_script(NULL, 0);
        say(400, NULL, bodies[i]);
        assert_code(sign_any(), ERR_UNAVAILABLE, bodies[i]);
        assert_int_equal(atomic_load(&at), 1);
    }
    (void)state;
}

static void a_key_is_made_once_also_when_no_answer_comes(void **state)
{
    static const struct {
        int status;
        const char *body;
    } rows[] = { { 0, NULL }, { 500, ERROR("KMSInternalException") }, { 503, "" } };
    struct str arn;
    for (size_t i = 0; i < COUNT(rows); i++) {
        begin_script(NULL, 0);
        say(rows[i].status, NULL, rows[i].body);
        say(200, NULL, "{\"KeyMetadata\":{\"Arn\":\"arn:k\"}}");
        assert_code(kms_create_key(kms, &arena, STR("RSA_2048"), STR("d"), STR("n"), STR("v"), &arn), ERR_UNAVAILABLE,
                    "interrupted");
        assert_int_equal(atomic_load(&at), 1);
    }
    begin_script(NULL, 0);
    say(200, NULL, SIGNED);
    say(0, NULL, NULL);
    assert_ok(sign_any()); /* a kept connection: libcurl would send again over a new one */
    assert_code(kms_create_key(kms, &arena, STR("RSA_2048"), STR("d"), STR("n"), STR("v"), &arn), ERR_UNAVAILABLE,
                "cut off on a kept connection");
    assert_int_equal(atomic_load(&at), 2);
    begin_script(NULL, 0);
    say(400, NULL, ERROR("ThrottlingException")); /* then surely nothing was made */
    say(200, NULL, "{\"KeyMetadata\":{\"Arn\":\"arn:k\"}}");
    assert_ok(kms_create_key(kms, &arena, STR("RSA_2048"), STR("d"), STR("n"), STR("v"), &arn));
    assert_str(arn, "arn:k");
    assert_int_equal(atomic_load(&at), 2);
    (void)state;
}

static const char *date_of(int64_t at_s)
{
    char text[64];
    struct tm tm;
    const time_t at_time = (time_t)at_s;
    gmtime_r(&at_time, &tm);
    strftime(text, sizeof text, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
    return arena_copy(&arena, str_of(text)).at;
}

/* The day and hour of the last request's X-Amz-Date. */
static const char *signed_at(void)
{
    const char *found = strstr(server->last, "X-Amz-Date: ");
    assert_non_null(found);
    return arena_copy(&arena, (struct str){ found + 12, 11 }).at;
}

static void a_wrong_clock_is_corrected_once_and_stays_so(void **state)
{
    static const char wrong[] = "{\"__type\":\"InvalidSignatureException\",\"message\":\"Signature expired: x\"}";
    say(400, date_of(2000000000), wrong); /* 2033-05-18T03:33:20Z */
    say(200, NULL, SIGNED);
    assert_ok(sign_any());
    assert_string_equal(signed_at(), "20330518T03");
    assert_ok(sign_any());
    assert_string_equal(signed_at(), "20330518T03");
    assert_int_equal(atomic_load(&at), 3);
    begin_script(NULL, 0);
    say(400, date_of(2000000000), wrong);
    assert_code(sign_any(), ERR_UNAVAILABLE, "it says so again");
    assert_int_equal(atomic_load(&at), 2);
    begin_script(NULL, 0);
    say(400, NULL, wrong);
    assert_code(sign_any(), ERR_UNAVAILABLE, "it does not say the time");
    assert_int_equal(atomic_load(&at), 1);
    (void)state;
}

static void refused_credentials_are_fetched_anew_once(void **state)
{
    static const struct timespec pause = { 5, 100000000 }; /* CREDENTIALS_AGAIN_S */
    say(400, NULL, ERROR("ExpiredTokenException"));
    setenv("AWS_ACCESS_KEY_ID", "AKIDOLD", 1);
    assert_code(sign_any(), ERR_UNAVAILABLE, "both refused");
    assert_int_equal(atomic_load(&at), 2);
    nanosleep(&pause, NULL);
    begin_script(NULL, 0);
    say(400, NULL, ERROR("ExpiredTokenException"));
    say(200, NULL, SIGNED);
    setenv("AWS_ACCESS_KEY_ID", "AKIDNEW", 1);
    assert_ok(sign_any());
    assert_true(http_has(str_of(server->last), "Credential=AKIDNEW/"));
    (void)state;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void an_outage_opens_the_breaker_and_its_end_closes_it(void **state)
{
    settings.kms_timeout_s = 2;
    say(500, NULL, "");
    int64_t before = now_ms();
    struct err err = OK;
    while (now_ms() - before < 10000 && !(err.why && strstr(err.why, "is called again")))
        err = sign_any();
    assert_non_null(strstr(err.why, "is called again"));
    int asked = atomic_load(&at);
    before = now_ms();
    for (int i = 0; i < 100; i++)
        assert_code(sign_any(), ERR_UNAVAILABLE, "open");
    assert_true(now_ms() - before < 500);
    assert_int_equal(atomic_load(&at), asked);
    begin_script(NULL, 0);
    say(200, NULL, SIGNED);
    const struct timespec pause = { 1, 100000000 };
    nanosleep(&pause, NULL);
    assert_ok(sign_any());
    assert_ok(sign_any());
    (void)state;
}

static void the_quota_is_waited_for_and_then_refused(void **state)
{
    kms_close(kms);
    settings.kms_rate = 2;
    settings.kms_timeout_s = 1;
    assert_ok(kms_open(&settings, &kms));
    say(200, NULL, SIGNED);
    int64_t before = now_ms();
    assert_ok(sign_any());
    assert_ok(sign_any()); /* half a second later */
    assert_true(now_ms() - before >= 450);
    kms_close(kms);
    settings.kms_rate = 1;
    assert_ok(kms_open(&settings, &kms));
    assert_ok(sign_any());
    before = now_ms();
    struct err err = sign_any(); /* a second is too long */
    assert_code(err, ERR_UNAVAILABLE, "quota");
    assert_non_null(strstr(err.why, "quota"));
    assert_true(now_ms() - before < 300);
    struct kms_key key;
    begin_script(NULL, 0);
    say(400, NULL, ERROR("NotFoundException"));
    assert_code(kms_describe(kms, &arena, STR("k"), &key), ERR_NOT_FOUND, "it is for signatures alone");
    (void)state;
}

static void the_time_in_all_is_kept(void **state)
{
    settings.kms_timeout_s = 1;
    say(400, NULL, ERROR("ThrottlingException"));
    int64_t before = now_ms();
    struct err err = sign_any();
    assert_code(err, ERR_UNAVAILABLE, "throttled");
    assert_true(now_ms() - before < 1300);
    assert_true(atomic_load(&at) >= 3);
    (void)state;
}

/* --- wrapped keys and tags --------------------------------------------------------------------------------------- */

static void a_wrapped_key_is_unwrapped_with_its_context(void **state)
{
    const struct kms_context context = { STR("https://i"), STR("kid") };
    struct str wrapped, spki;
    struct secret plain = { 0 };
    say(200, NULL, "{\"PrivateKeyCiphertextBlob\":\"d3JhcHBlZA==\",\"PublicKey\":\"cHVibGlj\"}");
    say(200, NULL, "{\"Plaintext\":\"cHJpdmF0ZQ==\"}");
    say(200, NULL, "{\"Plaintext\":\"cHJpdmF0\\n\"}");
    assert_ok(kms_generate_pair(kms, &arena, STR("k"), STR("RSA_2048"), context, &wrapped, &spki));
    assert_str(wrapped, "wrapped");
    assert_str(spki, "public");
    assert_true(http_has(str_of(server->last), "TrentService.GenerateDataKeyPairWithoutPlaintext\r\n"));
    assert_true(http_has(str_of(server->last), "{\"KeyId\":\"k\",\"KeyPairSpec\":\"RSA_2048\",\"EncryptionContext\":"
                                               "{\"iss\":\"https://i\",\"kid\":\"kid\"}}"));
    assert_ok(kms_decrypt(kms, STR("k"), wrapped, context, &plain));
    assert_true(str_eq((struct str){ plain.at, plain.len }, STR("private")));
    assert_true(http_has(str_of(server->last), "{\"KeyId\":\"k\",\"CiphertextBlob\":\"d3JhcHBlZA==\","
                                               "\"EncryptionContext\":{\"iss\":\"https://i\",\"kid\":\"kid\"}}"));
    secret_release(&plain);
    assert_code(kms_decrypt(kms, STR("k"), wrapped, context, &plain), ERR_UNAVAILABLE, "no base64");
    assert_null(plain.at);
    (void)state;
}

static bool has_the_value(const void *context, struct str tag_value, const struct kms_key *key)
{
    assert_true(str_has_prefix(key->arn, STR("arn:")));
    return str_eq(tag_value, str_of(context));
}

/* Of keys that others forbid to look at, none is ours. */
static void a_tagged_key_is_found_on_a_later_page(void **state)
{
    const struct kms_search search = { STR("n"), has_the_value, "v" };
    struct str arn;
    say(200, NULL, "{\"Keys\":[{\"KeyId\":\"a\"}],\"Truncated\":true,\"NextMarker\":\"m\"}");
    say(200, NULL, "{\"Tags\":[{\"TagKey\":\"n\",\"TagValue\":\"other\"}]}");
    say(200, NULL, "{\"KeyMetadata\":{\"Arn\":\"arn:a\",\"KeySpec\":\"s\",\"KeyState\":\"Enabled\"}}");
    say(200, NULL, "{\"Keys\":[{\"KeyId\":\"d\"},{\"KeyId\":\"b\"},{\"KeyId\":\"c\"}],\"Truncated\":false}");
    say(400, NULL, ERROR("AccessDeniedException"));
    say(200, NULL, "{\"Tags\":[{\"TagKey\":\"x\",\"TagValue\":\"y\"},{\"TagKey\":\"n\",\"TagValue\":\"v\"}]}");
    say(200, NULL, "{\"KeyMetadata\":{\"Arn\":\"arn:b\",\"KeySpec\":\"s\",\"KeyState\":\"PendingDeletion\"}}");
    say(200, NULL, "{\"Tags\":[{\"TagKey\":\"n\",\"TagValue\":\"v\"}]}");
    say(200, NULL, "{\"KeyMetadata\":{\"Arn\":\"arn:c\",\"KeySpec\":\"s\",\"KeyState\":\"Creating\"}}");
    assert_ok(kms_find_tagged(kms, &arena, &search, &arn));
    assert_str(arn, "arn:c");
    assert_int_equal(atomic_load(&at), 9);
    begin_script(NULL, 0);
    say(200, NULL, "{\"Keys\":[],\"Truncated\":false}");
    assert_code(kms_find_tagged(kms, &arena, &search, &arn), ERR_NOT_FOUND, "none");
    begin_script(NULL, 0);
    say(400, NULL, ERROR("AccessDeniedException"));
    assert_code(kms_find_tagged(kms, &arena, &search, &arn), ERR_UNAVAILABLE, "no leave to list");
    (void)state;
}

static void a_bundle_of_certificates_must_be_one(void **state)
{
    struct settings other = settings;
    struct kms *none = NULL;
    other.aws_ca_bundle = "/nonexistent/ca.pem";
    struct err err = kms_open(&other, &none);
    assert_code(err, ERR_INVALID_REQUEST, "missing");
    assert_non_null(strstr(err.why, "AWS_CA_BUNDLE"));
    assert_null(none);
    (void)state;
}

static void aliases_move_and_keys_are_disabled(void **state)
{
    say(200, NULL, "");
    assert_ok(kms_update_alias(kms, STR("alias/a"), STR("arn:k")));
    assert_true(http_has(str_of(server->last), "TrentService.UpdateAlias\r\n"));
    assert_true(http_has(str_of(server->last), "{\"AliasName\":\"alias/a\",\"TargetKeyId\":\"arn:k\"}"));
    assert_ok(kms_disable_key(kms, STR("arn:k")));
    assert_true(http_has(str_of(server->last), "TrentService.DisableKey\r\n"));
    assert_true(http_has(str_of(server->last), "{\"KeyId\":\"arn:k\"}"));
    begin_script(NULL, 0);
    say(400, NULL, ERROR("NotFoundException"));
    assert_code(kms_disable_key(kms, STR("arn:k")), ERR_UNAVAILABLE, "gone");
    (void)state;
}

static void calls_are_counted_by_operation_and_outcome(void **state)
{
    struct buf text;
    say(400, NULL, ERROR("ThrottlingException"));
    say(200, NULL, SIGNED);
    assert_ok(sign_any());
    buf_init(&text, &arena, 4096, 1024 * 1024);
    metrics_write(&text, NULL, 0);
    struct str all = buf_str(&text);
    assert_true(http_has(all, "\ntoken_service_kms_calls_total{operation=\"Sign\",outcome=\"ok\"} "));
    assert_true(http_has(all, "\ntoken_service_kms_calls_total{operation=\"Sign\",outcome=\"throttled\"} "));
    assert_true(http_has(all, "\ntoken_service_kms_throttled_total "));
    assert_true(http_has(all, "\ntoken_service_kms_breaker_open 0\n"));
    assert_true(http_has(all, "\ntoken_service_kms_sign_duration_seconds_bucket{le=\"+Inf\"} "));
    assert_true(http_has(all, "\ntoken_service_kms_sign_duration_seconds_count "));
    (void)state;
}

static int be_quiet(void **state)
{
    (void)state;
    log_configure(LOG_ERROR, LOG_JSON);
    return 0;
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, begin, finish)

RUN_WITH(be_quiet, NULL, CASE(a_signature_is_asked_for_as_kms_wants_it), CASE(a_session_token_is_sent_and_signed),
         CASE(ed25519_takes_4096_bytes_and_no_more), CASE(names_are_escaped),
         CASE(an_ecdsa_signature_becomes_raw_or_is_refused), CASE(answers_that_make_no_sense_are_refused),
         CASE(a_key_is_described), CASE(each_error_is_judged), CASE(an_errors_type_is_read_wherever_aws_writes_it),
         CASE(a_keys_arn_says_its_region), CASE(what_cannot_be_reached_is_named_with_its_setting),
         CASE(what_may_pass_is_tried_again), CASE(what_will_not_pass_is_not),
         CASE(a_key_is_made_once_also_when_no_answer_comes), CASE(a_wrong_clock_is_corrected_once_and_stays_so),
         CASE(refused_credentials_are_fetched_anew_once), CASE(an_outage_opens_the_breaker_and_its_end_closes_it),
         CASE(the_quota_is_waited_for_and_then_refused), CASE(the_time_in_all_is_kept),
         CASE(a_wrapped_key_is_unwrapped_with_its_context), CASE(a_tagged_key_is_found_on_a_later_page),
         CASE(aliases_move_and_keys_are_disabled), CASE(a_bundle_of_certificates_must_be_one),
         CASE(calls_are_counted_by_operation_and_outcome))
