/* test_endpoint.c: where AWS's services are called. */
#include "aws/endpoint.h"
#include "unit.h"

static struct settings settings_of(const char *url, const char *url_kms, bool fips)
{
    return (struct settings){ .aws_endpoint_url = url, .aws_endpoint_url_kms = url_kms, .aws_use_fips_endpoint = fips };
}

static void the_settings_say_where(void **state)
{
    static const struct {
        const char *region, *url, *url_kms;
        bool fips;
        const char *sts_variable, *service, *expected;
    } rows[] = {
        { "us-east-1", "", "", false, "", "kms", "https://kms.us-east-1.amazonaws.com" },
        { "eu-west-1", "", "", true, "", "kms", "https://kms-fips.eu-west-1.amazonaws.com" },
        { "cn-north-1", "", "", false, "", "kms", "https://kms.cn-north-1.amazonaws.com.cn" },
        { "eu-west-1", "", "", false, "", "sts", "https://sts.eu-west-1.amazonaws.com" },
        { "us-west-2", "", "", true, "", "sts", "https://sts-fips.us-west-2.amazonaws.com" },
        { "eu-west-1", "http://a:1", "", true, "", "kms", "http://a:1" },
        { "eu-west-1", "http://a:1/", "http://b//", true, "", "kms", "http://b" },
        { "eu-west-1", "http://a:1/", "http://b/", false, "", "sts", "http://a:1" },
        { "eu-west-1", "http://a:1/", "http://b/", false, "https://c/x", "sts", "https://c/x" },
        { "eu-west-1", "", "", false, "https://c", "kms", "https://kms.eu-west-1.amazonaws.com" },
        { "eu-west-1", "", "http://b", false, "", "events", "https://events.eu-west-1.amazonaws.com" },
        { "us-east-1", "", "", true, "", "events", "https://events-fips.us-east-1.amazonaws.com" },
        { "eu-west-1", "http://a:1/", "http://b", false, "", "events", "http://a:1" },
        { "eu-west-1", "", "", false, "", "secretsmanager", "https://secretsmanager.eu-west-1.amazonaws.com" },
        { "us-east-1", "", "", true, "", "ssm", "https://ssm-fips.us-east-1.amazonaws.com" },
        { "eu-west-1", "http://a:1/", "", false, "", "ssm", "http://a:1" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct settings settings = settings_of(rows[i].url, rows[i].url_kms, rows[i].fips);
        setenv("AWS_ENDPOINT_URL_STS", rows[i].sts_variable, 1);
        struct str url = endpoint_url(&settings, &arena, rows[i].service, str_of(rows[i].region));
        assert_str(url, rows[i].expected);
        assert_int_equal(url.at[url.len], '\0');
    }
    unsetenv("AWS_ENDPOINT_URL_STS");
    (void)state;
}

static void an_url_has_a_host_and_a_path(void **state)
{
    static const struct {
        const char *url, *host, *path;
    } rows[] = {
        { "https://kms.us-east-1.amazonaws.com", "kms.us-east-1.amazonaws.com", "/" },
        { "http://127.0.0.1:4566", "127.0.0.1:4566", "/" },
        { "http://[::1]:1/base/x", "[::1]:1", "/base/x" },
        { "http://host/", "host", "/" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_str(endpoint_host(str_of(rows[i].url)), rows[i].host);
        assert_str(endpoint_path(str_of(rows[i].url)), rows[i].path);
    }
    (void)state;
}

static void each_service_has_a_setting_of_its_own(void **state)
{
    struct settings settings = settings_of("http://a:1", "http://b", false);
    settings.aws_endpoint_url_eventbridge = "http://e/";
    (void)state;
    assert_str(endpoint_url(&settings, &arena, "events", STR("eu-west-1")), "http://e");
    assert_str(endpoint_url(&settings, &arena, "kms", STR("eu-west-1")), "http://b");
    assert_string_equal(endpoint_setting(&settings, "events"), "AWS_ENDPOINT_URL_EVENTBRIDGE");
    assert_string_equal(endpoint_setting(&settings, "kms"), "AWS_ENDPOINT_URL_KMS");
    settings.aws_endpoint_url_eventbridge = "";
    assert_string_equal(endpoint_setting(&settings, "events"), "AWS_ENDPOINT_URL");
    settings.aws_endpoint_url = "";
    assert_string_equal(endpoint_setting(&settings, "events"), "AWS_REGION");
}

RUN(TEST(each_service_has_a_setting_of_its_own), TEST(the_settings_say_where), TEST(an_url_has_a_host_and_a_path))
