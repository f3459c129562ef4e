/* test_family.c: the rules of refresh tokens one by one, at each time a second before and at its end; and the row, with
 * each of its members missing or of another form. What happens when two use one token is in test_family_races.c. */
#include "oauth/family.h"
#include "unit.h"

enum { NOW = 100000, GRACE = 60, IDLE = 3600, LIFE = 20000 };

static const struct family_terms usual = { ROW("client"), true, GRACE, IDLE };
static const struct family_terms kept = { ROW("client"), false, GRACE, IDLE };

static struct family begin(const struct family_terms *terms, struct refresh_token *first)
{
    struct family family = { .expires_at = NOW + LIFE,
                             .granted = {
                                 .scope = STR("openid stories:read"), .sub = STR("reader-1"), .auth_time = NOW - 5 } };
    assert_ok(family_begin(&family, terms, NOW, first));
    return family;
}

static struct refresh_token rotate(struct family *family, const struct refresh_token *token, int64_t now_s)
{
    struct refresh_token next;
    assert_int_equal(family_decide(family, token, &usual, now_s), FAMILY_ROTATE);
    assert_ok(family_rotate(family, token, &usual, now_s, &next));
    return next;
}

static void assert_same(const struct refresh_token *one, const struct refresh_token *other)
{
    assert_memory_equal(one->text, other->text, sizeof one->text);
    assert_memory_equal(one->bytes, other->bytes, sizeof one->bytes);
    assert_memory_equal(one->hash, other->hash, sizeof one->hash);
    assert_int_equal(one->generation, other->generation);
}

/* --- the rules ---------------------------------------------------------------------------------------------------- */

static void the_live_token_is_replaced_by_its_successor(void **state)
{
    struct refresh_token first, second, third;
    struct family family = begin(&usual, &first);
    (void)state;
    assert_int_equal(first.generation, 0);
    assert_int_equal(family.issued_at, NOW);
    assert_int_equal(family.idle_expires_at, NOW + IDLE);
    second = rotate(&family, &first, NOW + 10);
    assert_int_equal(family.rotation_count, 1);
    assert_int_equal(family.idle_expires_at, NOW + 10 + IDLE);
    assert_memory_equal(family.token_hash, second.hash, 32);
    assert_memory_equal(family.previous_token_hash, first.hash, 32);
    third = rotate(&family, &second, NOW + 20);
    assert_int_equal(third.generation, 2);
    assert_memory_equal(family.previous_token_hash, second.hash, 32);
    assert_memory_equal(refresh_token_grant_id(&third), family.grant_id, GRANT_ID_LEN);
}

static void a_used_token_gives_the_same_successor_until_its_grace_period_is_over(void **state)
{
    struct refresh_token first, second, third, again;
    struct family family = begin(&usual, &first);
    (void)state;
    second = rotate(&family, &first, NOW + 100);
    third = rotate(&family, &second, NOW + 120);
    assert_int_equal(family_decide(&family, &first, &usual, NOW + 100 + GRACE), FAMILY_AGAIN);
    assert_ok(family_open(&family, &first, &again));
    assert_same(&again, &second);
    assert_ok(family_open(&family, &second, &again));
    assert_same(&again, &third);
    assert_int_equal(family_decide(&family, &first, &usual, NOW + 100 + GRACE + 1), FAMILY_REUSED);
    assert_int_equal(family_decide(&family, &second, &usual, NOW + 100 + GRACE + 1), FAMILY_AGAIN);
    assert_int_equal(family_decide(&family, &second, &usual, NOW + 120 + GRACE + 1), FAMILY_REUSED);
    assert_int_equal(family_decide(&family, &third, &usual, NOW + 120 + GRACE + 1), FAMILY_ROTATE);
    /* by a clock that is behind */
    assert_int_equal(family_decide(&family, &first, &usual, NOW + 90), FAMILY_AGAIN);
}

static void without_a_grace_period_nothing_is_kept_for_a_second_use(void **state)
{
    const struct family_terms strict = { STR("client"), true, 0, IDLE };
    struct refresh_token first, second, again;
    struct family family = begin(&strict, &first);
    (void)state;
    assert_ok(family_rotate(&family, &first, &strict, NOW, &second));
    assert_int_equal(family.successor_count, 0);
    assert_int_equal(family_decide(&family, &first, &strict, NOW), FAMILY_REUSED);
    assert_int_equal(family_decide(&family, &first, &strict, NOW - 10), FAMILY_REUSED);
    assert_code(family_open(&family, &first, &again), ERR_INTERNAL, "nothing to open");
    /* nor when the period was taken away after the use */
    family = begin(&usual, &first);
    (void)rotate(&family, &first, NOW);
    assert_int_equal(family_decide(&family, &first, &strict, NOW), FAMILY_REUSED);
}

static void a_revoked_family_refuses_every_token_and_keeps_its_first_reason(void **state)
{
    struct refresh_token first, second;
    struct family family = begin(&usual, &first);
    (void)state;
    second = rotate(&family, &first, NOW);
    family_revoke(&family, STR("reuse"), NOW + 5);
    family_revoke(&family, STR("logout"), NOW + 6);
    assert_int_equal(family.revoked_at, NOW + 5);
    assert_str(family.revocation_reason, "reuse");
    assert_int_equal(family.successor_count, 0);
    assert_int_equal(family_decide(&family, &first, &usual, NOW + 5), FAMILY_REVOKED);
    assert_int_equal(family_decide(&family, &second, &usual, NOW + 5), FAMILY_REVOKED);
    assert_int_equal(family_decide(&family, &second, &usual, NOW - 5), FAMILY_REVOKED);
    family = begin(&usual, &first);
    family_revoke(&family, STR("by a clock that stands at its beginning"), 0);
    assert_int_equal(family_decide(&family, &first, &usual, 0), FAMILY_REVOKED);
}

static void a_family_ends_when_it_lies_idle_and_at_its_absolute_end(void **state)
{
    struct refresh_token token, used;
    struct family family = begin(&usual, &token);
    int64_t now_s = NOW;
    (void)state;
    assert_int_equal(family_decide(&family, &token, &usual, NOW + IDLE - 1), FAMILY_ROTATE);
    assert_int_equal(family_decide(&family, &token, &usual, NOW + IDLE), FAMILY_ENDED);
    for (; now_s + IDLE - 1 < family.expires_at; now_s += IDLE - 1) {
        used = token;
        token = rotate(&family, &used, now_s + IDLE - 1);
    }
    assert_int_equal(family.idle_expires_at, family.expires_at);
    assert_int_equal(family_decide(&family, &token, &usual, NOW + LIFE - 1), FAMILY_ROTATE);
    assert_int_equal(family_decide(&family, &token, &usual, NOW + LIFE), FAMILY_ENDED);
    /* also for what would be given again, and for what would revoke */
    used = token;
    token = rotate(&family, &used, NOW + LIFE - 1);
    assert_int_equal(family_decide(&family, &used, &usual, NOW + LIFE - 1), FAMILY_AGAIN);
    assert_int_equal(family_decide(&family, &used, &usual, NOW + LIFE), FAMILY_ENDED);
    assert_int_equal(family_decide(&family, &used, &usual, NOW + LIFE + GRACE + 1), FAMILY_ENDED);
}

static void without_an_idle_time_only_the_absolute_end_counts(void **state)
{
    const struct family_terms lasting = { STR("client"), true, GRACE, 0 };
    struct refresh_token token;
    struct family family = begin(&lasting, &token);
    (void)state;
    assert_int_equal(family.idle_expires_at, NOW + LIFE);
    assert_int_equal(family_decide(&family, &token, &lasting, NOW + LIFE - 1), FAMILY_ROTATE);
    assert_int_equal(family_decide(&family, &token, &lasting, NOW + LIFE), FAMILY_ENDED);
}

static void a_token_of_another_client_family_or_future_changes_nothing(void **state)
{
    const struct family_terms other_client = { STR("other"), true, GRACE, IDLE };
    struct refresh_token first, second, stranger, forged;
    struct family family = begin(&usual, &first);
    (void)state;
    (void)begin(&usual, &stranger);
    assert_int_equal(family_decide(&family, &stranger, &usual, NOW), FAMILY_UNKNOWN);
    second = rotate(&family, &first, NOW);
    assert_int_equal(family_decide(&family, &second, &other_client, NOW), FAMILY_UNKNOWN);
    assert_int_equal(family_decide(&family, &first, &other_client, NOW + GRACE + 1), FAMILY_UNKNOWN);
    /* made for this family, but never in force: a rotation that was not stored, or that the store has lost */
    assert_ok(refresh_token_make(family.grant_id, 1, family.reuse_key, &forged));
    assert_int_equal(family_decide(&family, &forged, &usual, NOW), FAMILY_UNKNOWN);
    assert_ok(refresh_token_make(family.grant_id, 2, family.reuse_key, &forged));
    assert_int_equal(family_decide(&family, &forged, &usual, NOW), FAMILY_UNKNOWN);
    /* somebody who knows the id, but not the key, has nothing revoked */
    assert_ok(refresh_token_make(family.grant_id, 0, stranger.bytes, &forged));
    assert_int_equal(family_decide(&family, &forged, &usual, NOW + GRACE + 1), FAMILY_UNKNOWN);
    assert_int_equal(family_decide(&family, &first, &usual, NOW + GRACE + 1), FAMILY_REUSED);
}

static void a_client_that_does_not_rotate_keeps_its_token(void **state)
{
    struct refresh_token token;
    struct family family = begin(&kept, &token);
    (void)state;
    assert_int_equal(family_decide(&family, &token, &kept, NOW + IDLE - 1), FAMILY_KEEP);
    assert_int_equal(family_decide(&family, &token, &kept, NOW + IDLE), FAMILY_ENDED);
    assert_int_equal(family_decide(&family, &token, &usual, NOW), FAMILY_ROTATE); /* when it does so later */
}

static void the_idle_end_of_a_token_that_stays_moves_by_steps(void **state)
{
    enum { STEP = IDLE / 64 };
    struct refresh_token token;
    struct family family = begin(&kept, &token);
    (void)state;
    assert_false(family_keep(&family, &kept, NOW));
    assert_false(family_keep(&family, &kept, NOW + STEP - 1));
    assert_int_equal(family.idle_expires_at, NOW + IDLE);
    assert_true(family_keep(&family, &kept, NOW + STEP));
    assert_int_equal(family.idle_expires_at, NOW + STEP + IDLE);
    assert_false(family_keep(&family, &kept, NOW)); /* never back */
    assert_true(family_keep(&family, &kept, NOW + LIFE - 1));
    assert_int_equal(family.idle_expires_at, NOW + LIFE);
    assert_false(family_keep(&family, &kept, NOW + LIFE - 1));
}

static void when_no_successor_can_be_kept_the_token_stays(void **state)
{
    struct refresh_token token, used[FAMILY_SUCCESSORS_MAX + 1];
    struct family family = begin(&usual, &token);
    (void)state;
    for (int i = 0; i < FAMILY_SUCCESSORS_MAX; i++) {
        used[i] = token;
        token = rotate(&family, &used[i], NOW + i);
    }
    assert_int_equal(family.successor_count, FAMILY_SUCCESSORS_MAX);
    assert_int_equal(family_decide(&family, &token, &usual, NOW + GRACE), FAMILY_KEEP);
    for (int i = 0; i < FAMILY_SUCCESSORS_MAX; i++)
        assert_int_equal(family_decide(&family, &used[i], &usual, NOW + GRACE), FAMILY_AGAIN);
    /* until the first of them is past its grace period, and makes room */
    used[FAMILY_SUCCESSORS_MAX] = token;
    token = rotate(&family, &used[FAMILY_SUCCESSORS_MAX], NOW + GRACE + 1);
    assert_int_equal(family.successor_count, FAMILY_SUCCESSORS_MAX);
    assert_int_equal(family_decide(&family, &used[0], &usual, NOW + GRACE + 1), FAMILY_REUSED);
    for (int i = 1; i <= FAMILY_SUCCESSORS_MAX; i++) {
        struct refresh_token again;
        assert_int_equal(family_decide(&family, &used[i], &usual, NOW + GRACE + 1), FAMILY_AGAIN);
        assert_ok(family_open(&family, &used[i], &again));
        assert_memory_equal(again.text, i < FAMILY_SUCCESSORS_MAX ? used[i + 1].text : token.text, REFRESH_TOKEN_LEN);
    }
}

static void successors_that_nobody_may_open_are_dropped(void **state)
{
    struct refresh_token first, second, third;
    struct family family = begin(&usual, &first);
    (void)state;
    second = rotate(&family, &first, NOW);
    third = rotate(&family, &second, NOW + GRACE + 300);
    assert_int_equal(family.successor_count, 2); /* kept for a while, for clocks that are behind */
    (void)rotate(&family, &third, NOW + GRACE + 301);
    assert_int_equal(family.successor_count, 2);
    assert_memory_equal(family.successors[0].follows, second.hash, 32);
}

static void only_the_holder_of_a_used_token_opens_its_successor(void **state)
{
    struct refresh_token first, second, other, out;
    struct family family = begin(&usual, &first), changed;
    (void)state;
    second = rotate(&family, &first, NOW);
    memset(&out, 0, sizeof out);
    /* with the row alone, and a token of which all but the secret is known */
    assert_ok(refresh_token_make(family.grant_id, 0, family.reuse_key, &other));
    memcpy(other.hash, first.hash, sizeof other.hash);
    assert_code(family_open(&family, &other, &out), ERR_INTERNAL, "another secret");
    assert_code(family_open(&family, &second, &out), ERR_INTERNAL, "not used");
    for (size_t i = 0; i < SUCCESSOR_SEALED_LEN; i++) {
        changed = family;
        changed.successors[0].sealed[i] ^= 0x40;
        assert_code(family_open(&changed, &first, &out), ERR_INTERNAL, "a changed row");
    }
    assert_ok(family_open(&family, &first, &out));
    assert_same(&out, &second);
}

/* --- the row ------------------------------------------------------------------------------------------------------ */

static struct err read_row(struct str body, struct family *out)
{
    static const unsigned char grant_id[GRANT_ID_LEN] = "0123456789abcde";
    const struct family_row row = { grant_id, STR("client"), NOW + LIFE, body };
    return family_read(&arena, &row, out);
}

static struct str write_row(const struct family *family)
{
    struct str body = { NULL, 0 };
    assert_ok(family_write(family, &arena, &body));
    return body;
}

static struct family full_family(struct refresh_token *used)
{
    struct family family = begin(&usual, used);
    assert_ok(json_parse(&arena, STR("{\"id_token\":{\"email\":null}}"), &family.granted.claims));
    family.granted.sid = STR("session \"1\"");
    family.granted.acr = STR("urn:acr:2");
    assert_ok(resources_add(&family.granted.resource, STR("https://a.example")));
    assert_ok(resources_add(&family.granted.resource, STR("https://b.example")));
    family.granted.amr[family.granted.amr_count++] = STR("pwd");
    family.granted.amr[family.granted.amr_count++] = STR("otp");
    (void)rotate(&family, used, NOW + 7);
    return family;
}

static void a_row_is_read_as_it_was_written(void **state)
{
    struct refresh_token used, again;
    const struct family family = full_family(&used);
    struct family read;
    const struct str body = write_row(&family);
    (void)state;
    assert_ok(read_row(body, &read));
    assert_memory_equal(read.grant_id, "0123456789abcde", GRANT_ID_LEN);
    assert_str(read.client_id, "client");
    assert_int_equal(read.expires_at, NOW + LIFE);
    assert_memory_equal(read.token_hash, family.token_hash, 32);
    assert_memory_equal(read.previous_token_hash, family.previous_token_hash, 32);
    assert_memory_equal(read.reuse_key, family.reuse_key, REUSE_KEY_LEN);
    assert_int_equal(read.rotation_count, 1);
    assert_int_equal(read.issued_at, NOW);
    assert_int_equal(read.idle_expires_at, NOW + 7 + IDLE);
    assert_int_equal(read.granted.auth_time, NOW - 5);
    assert_str(read.granted.scope, "openid stories:read");
    assert_str(read.granted.sub, "reader-1");
    assert_str(read.granted.sid, "session \"1\"");
    assert_str(read.granted.acr, "urn:acr:2");
    assert_int_equal(read.granted.resource.count, 2);
    assert_str(read.granted.resource.of[1], "https://b.example");
    assert_int_equal(read.granted.amr_count, 2);
    assert_str(read.granted.amr[1], "otp");
    assert_non_null(json_member(json_member(read.granted.claims, STR("id_token")), STR("email")));
    assert_int_equal(read.successor_count, 1);
    assert_int_equal(read.successors[0].used_at, NOW + 7);
    assert_int_equal(family_decide(&read, &used, &usual, NOW + 8), FAMILY_AGAIN);
    assert_ok(family_open(&read, &used, &again));
    assert_memory_equal(again.hash, family.token_hash, 32);
    assert_true(str_eq(write_row(&read), body));
}

static void a_row_of_little_is_read_too(void **state)
{
    struct refresh_token token;
    struct family family = begin(&usual, &token), read;
    (void)state;
    family.granted.scope = STR("");
    family.granted.auth_time = -1;
    assert_ok(read_row(write_row(&family), &read));
    assert_int_equal(read.granted.auth_time, -1);
    assert_int_equal(read.rotation_count + (int64_t)read.successor_count + (int64_t)read.granted.resource.count, 0);
    assert_null(read.granted.claims);
    family_revoke(&family, STR("logout"), NOW);
    assert_ok(read_row(write_row(&family), &read));
    assert_int_equal(read.revoked_at, NOW);
    assert_str(read.revocation_reason, "logout");
}

/* Two versions may serve together, and the newer one may have bound the tokens to something. */
static void a_member_that_is_not_known_here_is_kept(void **state)
{
    struct refresh_token used;
    struct family family = full_family(&used), read;
    const struct str body = write_row(&family);
    const struct str more = arena_printf(&arena, "{\"cnf\":{\"jkt\":[1,\"x\\n\"]},%.*s,\"z\\\"\":null}",
                                         (int)body.len - 2, body.at + 1);
    (void)state;
    assert_ok(read_row(more, &read));
    family_revoke(&read, STR("logout"), NOW);
    const struct str again = write_row(&read);
    assert_non_null(memmem(again.at, again.len, ",\"cnf\":{\"jkt\":[1,\"x\\n\"]}", 24));
    assert_non_null(memmem(again.at, again.len, ",\"z\\\"\":null}", 12));
    assert_ok(read_row(again, &read));
    assert_int_equal(read.revoked_at, NOW);
}

/* `body` with the member's value replaced; NULL: without the member. */
static struct str changed_row(struct str body, const char *name, const char *value)
{
    const struct json *row;
    struct buf out;
    assert_ok(json_parse(&arena, body, &row));
    buf_init(&out, &arena, 1024, 65536);
    buf_add_char(&out, '{');
    for (const struct json *each = row->child; each; each = each->next) {
        const bool is_it = str_eq(each->name, str_of(name));
        if (is_it && !value)
            continue;
        json_write_name(&out, each->name);
        if (is_it)
            buf_add(&out, str_of(value));
        else
            json_write(&out, each);
    }
    buf_add_char(&out, '}');
    return buf_str(&out);
}

static void a_row_that_lacks_a_member_or_has_one_of_another_form_is_not_guessed_at(void **state)
{
    static const struct {
        const char *name;
        bool may_be_missing;
        const char *bad[8];
    } rows[] = {
        { "token_hash", false, { "null", "\"\"", "1", "\"abcd\"", "[]" } },
        { "previous_token_hash", false, { "null", "\"\"", "\"00\"" } },
        { "rotation_count", false, { "null", "\"1\"", "-1", "1.5", "4294967296" } },
        { "reuse_key", false, { "null", "\"\"", "\"AAAA\"", "\"====\"" } },
        { "issued_at", false, { "null", "\"1\"", "-1", "253402300800" } },
        { "idle_expires_at", false, { "null", "\"1\"", "-1" } },
        { "scope", false, { "null", "1", "[\"a\"]" } },
        { "sub", false, { "null", "1" } },
        { "sid", true, { "null", "1" } },
        { "acr", true, { "null", "[]" } },
        { "auth_time", true, { "null", "-1", "\"1\"" } },
        { "resource",
          true,
          { "null", "\"https://a.example\"", "[\"\"]", "[1]", "{}",
            "[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]" } },
        { "amr", true, { "null", "\"pwd\"", "[null]" } },
        { "claims", true, { "null", "[]", "\"{}\"" } },
        { "successors",
          true,
          { "null", "{}", "[1]", "[{}]", "[[]]", "[{\"follows\":\"00\",\"sealed\":\"\",\"used_at\":1}]" } },
    };
    struct refresh_token used;
    const struct family family = full_family(&used);
    struct family read;
    const struct str body = write_row(&family);
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_non_null(memmem(body.at, body.len, rows[i].name, strlen(rows[i].name)));
        assert_code(read_row(changed_row(body, rows[i].name, NULL), &read),
                    rows[i].may_be_missing ? ERR_OK : ERR_INTERNAL, rows[i].name);
        for (size_t j = 0; j < COUNT(rows[i].bad); j++) {
            const char *bad = rows[i].bad[j];
            if (!bad)
                break;
            assert_code(read_row(changed_row(body, rows[i].name, bad), &read), ERR_INTERNAL, bad);
        }
    }
    static const char *const bad[] = { "", "null", "[]", "{}", "\"x\"", "{", "{\"scope\":\"\"}" };
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_code(read_row(str_of(bad[i]), &read), ERR_INTERNAL, bad[i]);
}

static void a_full_row_fits_and_a_larger_one_is_refused(void **state)
{
    struct refresh_token token, used;
    struct family family = begin(&usual, &token), read;
    char *large = arena_alloc(&arena, FAMILY_BODY_MAX);
    struct str body = STR("untouched");
    (void)state;
    for (int i = 0; i < FAMILY_SUCCESSORS_MAX; i++) {
        used = token;
        token = rotate(&family, &used, NOW + i);
    }
    for (int i = 0; i < RESOURCES_MAX; i++)
        assert_ok(resources_add(&family.granted.resource, arena_printf(&arena, "https://a.example/%0200d", i)));
    memset(large, 'x', FAMILY_BODY_MAX);
    family.granted.scope = (struct str){ large, 2048 };
    family.granted.sub = (struct str){ large, 255 };
    assert_ok(read_row(write_row(&family), &read));
    assert_int_equal(read.successor_count, FAMILY_SUCCESSORS_MAX);
    family.granted.scope.len = FAMILY_BODY_MAX;
    assert_code(family_write(&family, &arena, &body), ERR_TOO_LARGE, "a large scope");
    assert_str(body, "untouched");
}

RUN(TEST(the_live_token_is_replaced_by_its_successor),
    TEST(a_used_token_gives_the_same_successor_until_its_grace_period_is_over),
    TEST(without_a_grace_period_nothing_is_kept_for_a_second_use),
    TEST(a_revoked_family_refuses_every_token_and_keeps_its_first_reason),
    TEST(a_family_ends_when_it_lies_idle_and_at_its_absolute_end),
    TEST(without_an_idle_time_only_the_absolute_end_counts),
    TEST(a_token_of_another_client_family_or_future_changes_nothing),
    TEST(a_client_that_does_not_rotate_keeps_its_token), TEST(the_idle_end_of_a_token_that_stays_moves_by_steps),
    TEST(when_no_successor_can_be_kept_the_token_stays), TEST(successors_that_nobody_may_open_are_dropped),
    TEST(only_the_holder_of_a_used_token_opens_its_successor), TEST(a_row_is_read_as_it_was_written),
    TEST(a_row_of_little_is_read_too), TEST(a_member_that_is_not_known_here_is_kept),
    TEST(a_row_that_lacks_a_member_or_has_one_of_another_form_is_not_guessed_at),
    TEST(a_full_row_fits_and_a_larger_one_is_refused))
